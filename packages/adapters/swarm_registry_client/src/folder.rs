//! The local folder of a repository's metadata: what was believed last, each file replaced in one step and synced.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use swarm_tuf::{ROOT, SNAPSHOT, TIMESTAMP, local_file};

use crate::{ClientError, files};

/// The root that the folder began with.
const PINNED: &str = "pinned.json";
/// More than any metadata may have.
const MOST_BYTES: u64 = 16 << 20;

/// The folder, held by one process at a time.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Opens the folder, and makes it if it is not there.
    pub fn open(path: &Path) -> Result<Self, ClientError> {
        files::make_folder(path)?;
        let lock = path.join(".lock");
        let file = File::create(&lock).map_err(ClientError::at("open", &lock))?;
        match file.try_lock() {
            Ok(()) => {
                files::sweep(path)?;
                Ok(Self { path: path.to_owned(), _lock: file })
            }
            Err(TryLockError::WouldBlock) => Err(ClientError::Busy { folder: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(ClientError::at("lock", &lock)(error)),
        }
    }

    /// The root to begin an update with: the last one believed, or the pinned one. A person who pins another root means it: what was
    /// believed before is forgotten.
    pub fn root(&self, pinned: &[u8]) -> Result<Vec<u8>, ClientError> {
        if self.load(PINNED)?.as_deref() != Some(pinned) {
            // The mark comes last: a crash before it begins this anew.
            for role in [ROOT, TIMESTAMP, SNAPSHOT] {
                self.remove(&local_file(role))?;
            }
            self.store(PINNED, pinned)?;
        }
        Ok(self.load(&local_file(ROOT))?.unwrap_or_else(|| pinned.to_vec()))
    }

    pub fn load(&self, file: &str) -> Result<Option<Vec<u8>>, ClientError> {
        files::read(&self.path.join(file), MOST_BYTES)
    }

    pub fn store(&self, file: &str, bytes: &[u8]) -> Result<(), ClientError> {
        files::write(&self.path.join(file), bytes)
    }

    pub fn remove(&self, file: &str) -> Result<(), ClientError> {
        files::remove(&self.path.join(file))
    }
}
