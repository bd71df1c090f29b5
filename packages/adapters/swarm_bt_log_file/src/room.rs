//! What a folder of recorded runs holds, and room for more by deleting the oldest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::folder::EXTENSION;

/// A run that has been recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) folder: PathBuf,
    /// The last write into any of its files.
    at: SystemTime,
    pub(crate) bytes: u64,
}

/// Every run in `folder`, the oldest last. A run is a folder with nothing in it but files of our [`EXTENSION`]: what holds anything
/// else is somebody's, so that a parameter that names the wrong folder costs nobody a file.
pub(crate) fn recorded(folder: &Path) -> io::Result<Vec<Recorded>> {
    let mut runs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Not of what a symbolic link points to.
        if entry.file_type()?.is_dir()
            && let Some(run) = run(&entry.path())?
        {
            runs.push(run);
        }
    }
    runs.sort_by(|a, b| (b.at, &b.folder).cmp(&(a.at, &a.folder)));
    Ok(runs)
}

fn run(folder: &Path) -> io::Result<Option<Recorded>> {
    let mut found: Option<Recorded> = None;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if !meta.is_file() || entry.path().extension().is_none_or(|extension| extension != EXTENSION) {
            return Ok(None);
        }
        let at = meta.modified()?;
        match &mut found {
            Some(run) => {
                run.at = run.at.max(at);
                run.bytes += meta.len();
            }
            None => found = Some(Recorded { folder: folder.to_owned(), at, bytes: meta.len() }),
        }
    }
    Ok(found)
}

/// Deletes a run, file by file; a folder into which somebody has put something else meanwhile stays.
pub(crate) fn delete(run: &Recorded) -> io::Result<()> {
    for entry in fs::read_dir(&run.folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            fs::remove_file(path)?;
        }
    }
    fs::remove_dir(&run.folder)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;

    /// A run with one file of so many bytes, written to last at that second.
    fn make(root: &Path, name: &str, bytes: usize, at_s: u64) {
        fs::create_dir(root.join(name)).unwrap();
        let path = root.join(name).join("leader.run");
        fs::write(&path, vec![0; bytes]).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at_s);
        File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }

    #[test]
    fn runs_are_found_by_age_and_nothing_else_is_one() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), "new", 30, 300);
        make(root.path(), "old", 10, 100);
        make(root.path(), "middle", 20, 200);
        make(root.path(), "with_a_note", 40, 1);
        fs::write(root.path().join("with_a_note/why.txt"), "kept").unwrap();
        fs::create_dir(root.path().join("empty")).unwrap();
        fs::write(root.path().join("alone.run"), "no run").unwrap();
        std::os::unix::fs::symlink(root.path().join("old"), root.path().join("link")).unwrap();
        let runs = recorded(root.path()).unwrap();
        let found: Vec<_> =
            runs.iter().map(|run| (run.folder.file_name().unwrap().to_str().unwrap(), run.bytes)).collect();
        assert_eq!(found, [("new", 30), ("middle", 20), ("old", 10)]);
    }

    #[test]
    fn what_somebody_has_added_since_is_not_deleted() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), "old", 10, 100);
        let run = recorded(root.path()).unwrap().pop().unwrap();
        fs::write(root.path().join("old/why.txt"), "kept").unwrap();
        assert!(delete(&run).is_err());
        assert_eq!(fs::read_to_string(root.path().join("old/why.txt")).unwrap(), "kept");
    }
}
