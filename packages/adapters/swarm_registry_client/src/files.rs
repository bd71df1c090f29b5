//! Files that are whole or not there.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::ClientError;

/// A file that is being written has a name that begins so.
pub(crate) const STAGED: &str = ".staged-";

/// Puts a file in its place in one step: synced before the rename, and the rename synced too.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), ClientError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = (|| {
        let mut staged = tempfile::Builder::new().prefix(STAGED).tempfile_in(folder)?;
        staged.write_all(bytes)?;
        staged.as_file().sync_all()?;
        staged.persist(path)?;
        sync_folder(folder)
    })();
    written.map_err(ClientError::at("write", path))
}

/// Removes what a kill left half-written in a folder where nobody else writes now.
pub(crate) fn sweep(folder: &Path) -> Result<(), ClientError> {
    for entry in fs::read_dir(folder).map_err(ClientError::at("list", folder))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(STAGED) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// `None` if it is not there; not more than `most` bytes are read.
pub(crate) fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, ClientError> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ClientError::at("read", path)(error)),
    };
    if length > most {
        let problem = format!("it has {length} bytes, and at most {most} make sense");
        return Err(ClientError::BadFile { path: path.to_owned(), problem });
    }
    fs::read(path).map(Some).map_err(ClientError::at("read", path))
}

/// Removes a file if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), ClientError> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(path.parent().unwrap_or(Path::new("."))).map_err(ClientError::at("sync", path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(ClientError::at("remove", path)(error)),
    }
}

pub(crate) fn make_folder(path: &Path) -> Result<(), ClientError> {
    fs::create_dir_all(path).map_err(ClientError::at("make the folder", path))
}

pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
