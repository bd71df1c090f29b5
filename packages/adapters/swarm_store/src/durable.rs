//! Steps that must survive a crash, and the place where tests make them fail.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// A step of the store that changes the disk, in the order in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    CreateStaging,
    CopyArchive,
    CopySignatures,
    Unpack,
    WriteAcceptance,
    SyncStaging,
    DiscardDamagedObject,
    PublishObject,
    SyncObjects,
    WritePointer,
    SyncPointer,
    ReplacePointer,
    SyncRoot,
    RemoveObject,
}

type Hook = dyn Fn(Step) -> io::Result<()> + Send + Sync;

/// What goes wrong before a step; nothing, outside tests.
#[derive(Clone, Default)]
pub struct Fault(Option<Arc<Hook>>);

impl Fault {
    /// Asks `hook` before every step. An error from it stands for an error of the disk.
    pub fn injected(hook: impl Fn(Step) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    pub(crate) fn before(&self, step: Step) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |hook| hook(step))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Fault(injected)" } else { "Fault(none)" })
    }
}

/// Writes a new file and puts it on the disk.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Puts a folder's list of names on the disk. Without this a rename may be lost when the power fails.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes what is there, file or folder; nothing there is fine.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
