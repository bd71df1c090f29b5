//! Unpacking a verified archive, into a folder or into nothing.
//!
//! 1. The manifest is the first entry; it is read whole (its size is bounded) and parsed.
//! 2. Every further entry is held against the manifest before a byte of it is written.
//! 3. While the bytes pass, the archive is hashed again: what is unpacked is what was verified, even if somebody changes
//!    the file in between.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use swarm_artifact::{
    ArchiveDigest, ArchiveHasher, ContentsCheck, EntryPath, Limits, MANIFEST_NAME, Manifest, Sha256Sum,
};

use crate::archive::ArchiveReader;
use crate::error::ArchiveError;

pub(crate) const CHUNK: usize = 256 * 1024;

/// Where the files go.
pub(crate) trait Target {
    fn begin(&mut self, path: &EntryPath) -> Result<(), ArchiveError>;
    fn write(&mut self, chunk: &[u8]) -> Result<(), ArchiveError>;
    /// The file is complete.
    fn end(&mut self) -> Result<(), ArchiveError>;
}

/// Reads the contents of an archive through against its manifest and writes nothing.
///
/// `verified` is the archive's identity as [`crate::verify_archive`] found it.
pub fn check_contents(
    archive: &File,
    digest: &ArchiveDigest,
    limits: Limits,
) -> Result<Manifest, ArchiveError> {
    unpack(archive, digest, limits, &mut Nowhere)
}

pub(crate) fn unpack(
    archive: impl Read,
    digest: &ArchiveDigest,
    limits: Limits,
    target: &mut impl Target,
) -> Result<Manifest, ArchiveError> {
    let hashing = Hashing { inner: archive, hasher: ArchiveHasher::default() };
    let mut reader = ArchiveReader::new(BufReader::with_capacity(CHUNK, hashing), digest.length, limits);
    let (path, bytes) = read_manifest(&mut reader, limits)?;
    target.begin(&path)?;
    target.write(&bytes)?;
    target.end()?;
    let manifest = parse_manifest(bytes, limits)?;
    let mut contents = ContentsCheck::new(&manifest);
    let mut chunk = vec![0; CHUNK];
    while let Some(entry) = reader.next_entry()? {
        let file = contents.begin(&entry.path, entry.size)?;
        let mut sha256 = Sha256::new();
        target.begin(&entry.path)?;
        loop {
            let count = reader.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            sha256.update(&chunk[..count]);
            target.write(&chunk[..count])?;
        }
        target.end()?;
        contents.end(file, Sha256Sum(sha256.finalize().into()))?;
    }
    contents.finish()?;
    let now = reader.into_inner().into_inner().hasher.finish();
    if now != *digest {
        return Err(ArchiveError::Changed { verified: digest.id, now: now.id });
    }
    Ok(manifest)
}

/// The first entry, which has to be the manifest.
pub(crate) fn read_manifest<R: io::BufRead>(
    reader: &mut ArchiveReader<R>,
    limits: Limits,
) -> Result<(EntryPath, Vec<u8>), ArchiveError> {
    let Some(entry) = reader.next_entry()? else { return Err(ArchiveError::Empty) };
    if entry.path.as_str() != MANIFEST_NAME {
        return Err(ArchiveError::ManifestNotFirst { found: entry.path.to_string() });
    }
    if entry.size > limits.max_manifest_bytes {
        let (path, limit) = (entry.path.to_string(), limits.max_manifest_bytes);
        return Err(ArchiveError::FileTooLarge { path, size: entry.size, limit });
    }
    let mut bytes = vec![0; entry.size as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += reader.read(&mut bytes[filled..])?;
    }
    Ok((entry.path, bytes))
}

pub(crate) fn parse_manifest(bytes: Vec<u8>, limits: Limits) -> Result<Manifest, ArchiveError> {
    let text = String::from_utf8(bytes).map_err(|_| ArchiveError::ManifestNotText)?;
    let manifest = Manifest::parse(&text)?;
    if manifest.total_size() > limits.max_total_bytes {
        return Err(ArchiveError::TooLarge { size: manifest.total_size(), limit: limits.max_total_bytes });
    }
    Ok(manifest)
}

/// Checks only.
struct Nowhere;

impl Target for Nowhere {
    fn begin(&mut self, _: &EntryPath) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn write(&mut self, _: &[u8]) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn end(&mut self) -> Result<(), ArchiveError> {
        Ok(())
    }
}

/// Writes into a new folder. Every file is created anew (never through a link) and on the disk when [`Target::end`] returns.
pub(crate) struct Folder<'f> {
    root: &'f Path,
    current: Option<(PathBuf, File)>,
    /// Folders that were made, for the caller to make durable.
    pub(crate) folders: Vec<PathBuf>,
}

impl<'f> Folder<'f> {
    pub(crate) fn new(root: &'f Path) -> Self {
        Self { root, current: None, folders: vec![root.to_owned()] }
    }
}

impl Target for Folder<'_> {
    fn begin(&mut self, path: &EntryPath) -> Result<(), ArchiveError> {
        let path = self.root.join(path);
        let failed = |source| ArchiveError::Write { path: path.clone(), source };
        let mut missing: Vec<_> = path.ancestors().skip(1).take_while(|folder| !folder.exists()).collect();
        while let Some(folder) = missing.pop() {
            std::fs::create_dir(folder).map_err(failed)?;
            self.folders.push(folder.to_owned());
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed)?;
        self.current = Some((path, file));
        Ok(())
    }

    fn write(&mut self, chunk: &[u8]) -> Result<(), ArchiveError> {
        let Some((path, file)) = &mut self.current else { return Ok(()) };
        file.write_all(chunk).map_err(|source| ArchiveError::Write { path: path.clone(), source })
    }

    fn end(&mut self) -> Result<(), ArchiveError> {
        let Some((path, file)) = self.current.take() else { return Ok(()) };
        file.sync_all().map_err(|source| ArchiveError::Write { path, source })
    }
}

struct Hashing<R> {
    inner: R,
    hasher: ArchiveHasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
