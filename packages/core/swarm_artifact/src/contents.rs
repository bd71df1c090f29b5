//! Holding what an archive contains against what its manifest says.

use std::collections::BTreeSet;

use crate::manifest::{FileEntry, MANIFEST_NAME, Manifest};
use crate::path::EntryPath;
use crate::sum::Sha256Sum;

/// Bounds on what is unpacked, whoever signed it. A signer's machine may be taken over; the cell's disk must not fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of the archive itself, packed.
    pub max_archive_bytes: u64,
    pub max_files: usize,
    pub max_manifest_bytes: u64,
    pub max_file_bytes: u64,
    /// Of all files together, unpacked.
    pub max_total_bytes: u64,
    /// Unpacked bytes per archive byte. Trees and float weights stay below 20; a gzip bomb reaches 1000.
    pub max_ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_archive_bytes: 4 << 30,
            max_files: 1024,
            max_manifest_bytes: 1 << 20,
            max_file_bytes: 2 << 30,
            max_total_bytes: 4 << 30,
            max_ratio: 200,
        }
    }
}

/// Why the contents of an archive are not what its manifest says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentsError {
    #[error("'{path}' is in the archive but not in the manifest")]
    NotInManifest { path: EntryPath },
    #[error("'{path}' is in the archive twice")]
    Duplicate { path: EntryPath },
    #[error("'{path}' is {actual} bytes long, the manifest says {expected}")]
    SizeMismatch { path: EntryPath, expected: u64, actual: u64 },
    #[error("'{path}' has SHA-256 {actual}, the manifest says {expected}")]
    HashMismatch { path: EntryPath, expected: Sha256Sum, actual: Sha256Sum },
    #[error("{} in the manifest but not in the archive", missing(paths))]
    Missing { paths: Vec<EntryPath> },
}

impl ContentsError {
    /// A short, stable name of the variant, for scripts and counters.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotInManifest { .. } => "not_in_manifest",
            Self::Duplicate { .. } => "duplicate_entry",
            Self::SizeMismatch { .. } => "size_mismatch",
            Self::HashMismatch { .. } => "hash_mismatch",
            Self::Missing { .. } => "missing_file",
        }
    }
}

fn missing(paths: &[EntryPath]) -> String {
    let names: Vec<_> = paths.iter().map(|path| format!("'{path}'")).collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

/// Follows an archive entry by entry.
///
/// [`begin`](Self::begin) before an entry's bytes are read (so that nothing unannounced is ever written),
/// [`end`](Self::end) after, [`finish`](Self::finish) at the end of the archive.
#[derive(Clone, Debug)]
pub struct ContentsCheck<'m> {
    manifest: &'m Manifest,
    seen: BTreeSet<&'m EntryPath>,
}

impl<'m> ContentsCheck<'m> {
    pub fn new(manifest: &'m Manifest) -> Self {
        Self { manifest, seen: BTreeSet::new() }
    }

    /// An entry after the manifest begins; gives the manifest's line about it.
    pub fn begin(&mut self, path: &EntryPath, size: u64) -> Result<&'m FileEntry, ContentsError> {
        if path.as_str() == MANIFEST_NAME {
            return Err(ContentsError::Duplicate { path: path.clone() });
        }
        let Some(file) = self.manifest.file(path) else {
            return Err(ContentsError::NotInManifest { path: path.clone() });
        };
        if !self.seen.insert(&file.path) {
            return Err(ContentsError::Duplicate { path: path.clone() });
        }
        if size != file.size {
            return Err(ContentsError::SizeMismatch {
                path: path.clone(),
                expected: file.size,
                actual: size,
            });
        }
        Ok(file)
    }

    /// The bytes of `file` have been read and have this sum.
    pub fn end(&self, file: &FileEntry, actual: Sha256Sum) -> Result<(), ContentsError> {
        if actual != file.sha256 {
            return Err(ContentsError::HashMismatch {
                path: file.path.clone(),
                expected: file.sha256,
                actual,
            });
        }
        Ok(())
    }

    /// The archive has no further entry.
    pub fn finish(self) -> Result<(), ContentsError> {
        let unseen = |file: &&FileEntry| !self.seen.contains(&file.path);
        let paths: Vec<_> = self.manifest.files.iter().filter(unseen).map(|file| file.path.clone()).collect();
        if paths.is_empty() { Ok(()) } else { Err(ContentsError::Missing { paths }) }
    }
}
