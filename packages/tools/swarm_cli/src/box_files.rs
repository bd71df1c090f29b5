//! Files of a black box, from disk, in the order of their series.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use swarm_black_box::{Header, Record, records};

/// A file with its bytes.
#[derive(Debug)]
pub(crate) struct BoxFile {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

/// End of the names of black-box files.
const EXTENSION: &str = "swarmbox";

/// Whether a file is one by its name; one that is being begun has another.
pub(crate) fn is_box(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == EXTENSION)
}

/// Reads the files; a folder stands for all black-box files in it. They are put in the order of their numbers.
pub(crate) fn read_all(paths: &[PathBuf]) -> anyhow::Result<Vec<BoxFile>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            let doing = || format!("cannot read the folder '{}'", path.display());
            for entry in fs::read_dir(path).with_context(doing)? {
                let path = entry.with_context(doing)?.path();
                if is_box(&path) {
                    files.push(read(&path)?);
                }
            }
            ensure!(
                files.len() > before,
                "'{}' holds no black-box files; expected some named *.{EXTENSION}",
                path.display()
            );
        } else {
            files.push(read(path)?);
        }
    }
    // A file that has no header stays where it was named: it will be complained of there.
    files.sort_by_key(|file| header(&file.bytes).map_or((0, 0), |h| (h.started_unix_ns, h.place.file)));
    Ok(files)
}

/// The header, if there is a whole one.
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    match records(bytes).ok()?.next()? {
        (_, Record::Header(header)) => Some(header),
        _ => None,
    }
}

fn read(path: &Path) -> anyhow::Result<BoxFile> {
    let bytes = fs::read(path).with_context(|| format!("cannot read '{}'", path.display()))?;
    Ok(BoxFile { path: path.to_owned(), bytes })
}
