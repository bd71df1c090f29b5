//! Where a dataset grows, so that under its own name it is there whole or not at all.
//!
//! Beside the dataset `NAME` stands `.NAME.partial` until it is done, with the dataset in it and a note for each *unit* that is
//! complete. A run that was killed leaves it; the next run with the same plan takes over what is complete and does the rest.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{At, ExportError};

/// Names inside of the folder.
const PLAN: &str = "plan";
const DATASET: &str = "dataset";
const NOTES: &str = "complete";

#[derive(Debug)]
pub(crate) struct Staging {
    target: PathBuf,
    folder: PathBuf,
    _lock: File,
}

impl Staging {
    /// Begins, or goes on with what the plan of this digest has left.
    pub(crate) fn open(target: &Path, digest: &str, needed: u64) -> Result<Self, ExportError> {
        let name = target
            .file_name()
            .ok_or_else(|| ExportError::Options(format!("{} is no name for a dataset", target.display())))?;
        let folder = target.with_file_name(format!(".{}.partial", name.to_string_lossy()));
        let parent = parent(target);
        if target.symlink_metadata().is_ok() {
            return Err(ExportError::Exists { path: target.to_owned() });
        }
        fs::create_dir_all(&parent).at("create", &parent)?;
        let begun = folder.exists();
        if !begun {
            check_room(&parent, needed)?;
        }
        fs::create_dir_all(&folder).at("create", &folder)?;
        let lock = folder.join("lock");
        let file = File::create(&lock).at("create", &lock)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ExportError::Locked { path: target.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(source).at("lock", &lock),
        }
        let staging = Self { target: target.to_owned(), folder, _lock: file };
        let plan = staging.folder.join(PLAN);
        match fs::read_to_string(&plan) {
            Ok(text) if text == digest => {}
            Ok(_) => return Err(ExportError::OtherExport { path: staging.folder.clone() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                write_whole(&plan, digest.as_bytes())?;
            }
            Err(error) => return Err(error).at("read", &plan),
        }
        Ok(staging)
    }

    /// The dataset as it grows.
    pub(crate) fn dataset(&self) -> PathBuf {
        self.folder.join(DATASET)
    }

    /// A place in the dataset's folder; the folders above it are made.
    pub(crate) fn place(&self, relative: &str) -> Result<PathBuf, ExportError> {
        let path = self.dataset().join(relative);
        let folder = parent(&path);
        fs::create_dir_all(&folder).at("create", &folder)?;
        Ok(path)
    }

    /// A place for what is not a part of the dataset.
    pub(crate) fn aside(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What a unit that is complete has noted.
    pub(crate) fn noted<T: DeserializeOwned>(&self, unit: &str) -> Option<T> {
        let text = fs::read_to_string(self.note(unit)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Notes that a unit is complete; its files are on the disk by then.
    pub(crate) fn complete(&self, unit: &str, note: &impl Serialize) -> Result<(), ExportError> {
        let path = self.note(unit);
        let folder = parent(&path);
        fs::create_dir_all(&folder).at("create", &folder)?;
        sync_folders(&self.dataset())?;
        let text = serde_json::to_vec(note)
            .map_err(|error| ExportError::Encode { path: path.clone(), problem: error.to_string() })?;
        write_whole(&path, &text)
    }

    /// Gives the dataset its name.
    pub(crate) fn publish(self) -> Result<(), ExportError> {
        self.move_out()?;
        fs::remove_dir_all(&self.folder).at("remove", &self.folder)
    }

    fn move_out(&self) -> Result<(), ExportError> {
        let dataset = self.dataset();
        sync_folders(&dataset)?;
        if self.target.symlink_metadata().is_ok() {
            return Err(ExportError::Exists { path: self.target.clone() });
        }
        // A run that is killed behind the rename must not leave notes of units that are not in the folder any more: another
        // export of this plan would take them for done.
        let notes = self.folder.join(NOTES);
        match fs::remove_dir_all(&notes) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.at("remove", &notes)?,
        }
        sync_folder(&self.folder)?;
        fs::rename(&dataset, &self.target).at("rename", &self.target)?;
        sync_folder(&parent(&self.target))
    }

    fn note(&self, unit: &str) -> PathBuf {
        self.folder.join(NOTES).join(unit)
    }
}

/// Writes a file in one step, and makes it durable.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    let mut new = path.file_name().unwrap_or_default().to_owned();
    new.push(".new");
    let new = path.with_file_name(new);
    let mut file = File::create(&new).at("create", &new)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).at("write", &new)?;
    fs::rename(&new, path).at("write", path)
}

fn parent(path: &Path) -> PathBuf {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn check_room(folder: &Path, needed: u64) -> Result<(), ExportError> {
    let room = rustix::fs::statvfs(folder).map_err(std::io::Error::from).at("look at", folder)?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    if needed > free {
        return Err(ExportError::DiskFull { path: folder.to_owned(), needed, free });
    }
    Ok(())
}

/// Makes the names in a folder and those below it durable. A file has none below.
fn sync_folders(folder: &Path) -> Result<(), ExportError> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).at("list", folder)? {
        sync_folders(&entry.at("list", folder)?.path())?;
    }
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> Result<(), ExportError> {
    File::open(folder).and_then(|folder| folder.sync_all()).at("sync", folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_that_has_no_room_is_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let error =
            Staging::open(&folder.path().join("dataset"), "digest", u64::MAX).unwrap_err().to_string();
        let start = format!(
            "the dataset needs {} bytes, and where {} is to be there are ",
            u64::MAX,
            folder.path().display()
        );
        assert!(error.starts_with(&start) && error.ends_with(" free"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_run_that_is_killed_behind_the_rename_leaves_no_notes_of_what_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("dataset");
        let killed = Staging::open(&target, "digest", 0).unwrap();
        fs::create_dir(killed.dataset()).unwrap();
        killed.complete("unit", &7).unwrap();
        assert_eq!(killed.noted::<u32>("unit"), Some(7));
        killed.move_out().unwrap();
        drop(killed);
        fs::remove_dir_all(&target).unwrap();
        let again = Staging::open(&target, "digest", 0).unwrap();
        assert_eq!(again.noted::<u32>("unit"), None);
    }

    #[test]
    fn two_exports_of_one_dataset_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("dataset");
        let first = Staging::open(&target, "digest", 0).unwrap();
        let error = Staging::open(&target, "digest", 0).unwrap_err().to_string();
        assert_eq!(error, format!("{} is being written by another process", target.display()));
        fs::create_dir(first.dataset()).unwrap();
        first.publish().unwrap();
        assert!(target.is_dir());
    }
}
