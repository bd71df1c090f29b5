//! Comparing an unpacked folder with its archive, byte by byte: what will be run is what was signed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use swarm_artifact::EntryPath;

use crate::error::ArchiveError;
use crate::unpack::Target;

/// A target that writes nothing and fails where the folder differs from what would be written.
pub(crate) struct Compare<'f> {
    root: &'f Path,
    current: Option<(PathBuf, File)>,
    buffer: Vec<u8>,
    compared: BTreeSet<PathBuf>,
}

impl<'f> Compare<'f> {
    pub(crate) fn new(root: &'f Path) -> Self {
        Self { root, current: None, buffer: Vec::new(), compared: BTreeSet::new() }
    }

    /// After the last entry: is there a file that the archive does not have?
    pub(crate) fn finish(self) -> Result<(), ArchiveError> {
        let mut folders = vec![self.root.to_owned()];
        while let Some(folder) = folders.pop() {
            let failed = |source| differs(&folder, source);
            for entry in std::fs::read_dir(&folder).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let path = entry.path();
                if entry.file_type().map_err(failed)?.is_dir() {
                    folders.push(path);
                } else if !self.compared.contains(&path) {
                    return Err(differs(&path, io::Error::other("it is not in the archive")));
                }
            }
        }
        Ok(())
    }
}

impl Target for Compare<'_> {
    fn begin(&mut self, path: &EntryPath) -> Result<(), ArchiveError> {
        let path = self.root.join(path);
        let metadata = std::fs::symlink_metadata(&path).map_err(|source| differs(&path, source))?;
        if !metadata.is_file() {
            return Err(differs(&path, io::Error::other("it is not a regular file")));
        }
        let file = File::open(&path).map_err(|source| differs(&path, source))?;
        self.compared.insert(path.clone());
        self.current = Some((path, file));
        Ok(())
    }

    fn write(&mut self, chunk: &[u8]) -> Result<(), ArchiveError> {
        let Some((path, file)) = &mut self.current else { return Ok(()) };
        self.buffer.resize(chunk.len(), 0);
        file.read_exact(&mut self.buffer).map_err(|source| differs(path, source))?;
        if self.buffer == chunk { Ok(()) } else { Err(differs(path, io::Error::other("its bytes differ"))) }
    }

    fn end(&mut self) -> Result<(), ArchiveError> {
        let Some((path, mut file)) = self.current.take() else { return Ok(()) };
        match file.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(differs(&path, io::Error::other("it is longer"))),
            Err(source) => Err(differs(&path, source)),
        }
    }
}

fn differs(path: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::Differs { path: path.to_owned(), source }
}
