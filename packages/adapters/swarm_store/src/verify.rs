//! Reading an archive, its signature file and the trust file, and asking the one rule.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use swarm_artifact::{ArchiveDigest, ArchiveHasher, Limits, SignatureFile, Trust, Verified, verify};
use swarm_base::ReadBuffer;

use crate::error::StoreError;

/// Large enough that the system calls cost nothing beside SHA-256, small enough to stay in the second-level cache.
const CHUNK: usize = 256 * 1024;

/// An archive that enough trusted signers signed.
#[derive(Clone, Debug)]
pub struct VerifiedArchive {
    pub digest: ArchiveDigest,
    pub verified: Verified,
}

/// Hashes the archive once, in constant memory, and checks its signatures. Nothing is unpacked.
pub fn verify_archive(
    archive: &Path,
    signatures: &Path,
    trust: &Trust,
    now_unix: i64,
) -> Result<VerifiedArchive, StoreError> {
    // First the small file: a missing or broken one is said without reading hundreds of megabytes.
    let signatures = read_signatures(signatures)?;
    let digest = hash_archive(archive)?;
    Ok(VerifiedArchive { verified: verify(&digest, &signatures, trust, now_unix)?, digest })
}

/// `X.tar.gz` -> `X.tar.gz.sig`.
pub fn signature_path(archive: &Path) -> PathBuf {
    let mut name = archive.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

pub fn read_signatures(path: &Path) -> Result<SignatureFile, StoreError> {
    if !path.exists() {
        return Err(StoreError::NoSignatureFile { path: path.to_owned() });
    }
    let text = read_text(path, "read the signature file", SignatureFile::MAX_BYTES)?;
    SignatureFile::parse(&text).map_err(|source| StoreError::SignatureFile { path: path.to_owned(), source })
}

pub fn read_trust(path: &Path) -> Result<Trust, StoreError> {
    let text = read_text(path, "read the trust file", Trust::MAX_BYTES)?;
    Trust::parse(&text).map_err(|source| StoreError::TrustFile { path: path.to_owned(), source })
}

/// Seconds since 1970-01-01 UTC by this machine's clock.
pub fn unix_now() -> i64 {
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, seconds)
}

/// Hashes an archive in constant memory.
pub fn hash_archive(archive: &Path) -> Result<ArchiveDigest, StoreError> {
    read_archive(archive, Limits::default().max_archive_bytes, |_| Ok(()))
}

/// Reads an archive once from its beginning to its end, hashing; `each` gets the chunks.
pub(crate) fn read_archive(
    archive: &Path,
    limit: u64,
    mut each: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<ArchiveDigest, StoreError> {
    let failed = |what| move |source| StoreError::Io { what, path: archive.to_owned(), source };
    let too_large = |size| StoreError::FileTooLarge { path: archive.to_owned(), size, limit };
    // Asked before opening: opening a named pipe would wait for a writer.
    let metadata = fs::metadata(archive).map_err(failed("open the archive"))?;
    if !metadata.is_file() {
        return Err(StoreError::NotAFile { path: archive.to_owned() });
    }
    if metadata.len() > limit {
        return Err(too_large(metadata.len()));
    }
    let file = File::open(archive).map_err(failed("open the archive"))?;
    // One byte more than allowed, so that a file that is growing is noticed.
    let mut file = file.take(limit + 1);
    let mut hasher = ArchiveHasher::default();
    let mut chunk = ReadBuffer::new(CHUNK);
    loop {
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&chunk[..count]);
                each(&chunk[..count])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed("read the archive")(error)),
        }
    }
    let digest = hasher.finish();
    if digest.length > limit { Err(too_large(digest.length)) } else { Ok(digest) }
}

pub(crate) fn read_text(path: &Path, what: &'static str, limit: u64) -> Result<String, StoreError> {
    let failed = |source| StoreError::Io { what, path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(limit + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > limit {
        let size = std::fs::metadata(path).map_err(failed)?.len();
        return Err(StoreError::FileTooLarge { path: path.to_owned(), size, limit });
    }
    Ok(text)
}
