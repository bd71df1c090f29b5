//! The local folder of metadata: what was believed last, each file replaced in one step and synced.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::HostError;

/// The folder, held by one process at a time.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Opens the folder, and makes it if it is not there.
    pub fn open(path: &Path) -> Result<Self, HostError> {
        let lock = path.join(".lock");
        fs::create_dir_all(path).map_err(HostError::at("make the folder", path))?;
        let file = File::create(&lock).map_err(HostError::at("open", &lock))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: file }),
            Err(TryLockError::WouldBlock) => Err(HostError::Busy { folder: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(HostError::at("lock", &lock)(error)),
        }
    }

    pub fn load(&self, file: &str) -> Result<Option<Vec<u8>>, HostError> {
        let path = self.path.join(file);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HostError::at("read", &path)(error)),
        }
    }

    pub fn store(&self, file: &str, bytes: &[u8]) -> Result<(), HostError> {
        let path = self.path.join(file);
        let written = (|| {
            let mut staged = tempfile::NamedTempFile::new_in(&self.path)?;
            staged.write_all(bytes)?;
            replace(staged, &path)
        })();
        written.map_err(HostError::at("write", &path))
    }

    pub fn remove(&self, file: &str) -> Result<(), HostError> {
        let path = self.path.join(file);
        match fs::remove_file(&path) {
            Ok(()) => sync_folder(&self.path).map_err(HostError::at("sync", &self.path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(HostError::at("remove", &path)(error)),
        }
    }
}

/// Puts a finished file in its place: synced before the rename, and the rename synced too.
pub(crate) fn replace(staged: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    staged.as_file().sync_all()?;
    staged.persist(path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
