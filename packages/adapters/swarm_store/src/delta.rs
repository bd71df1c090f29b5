//! From one archive to another by a delta.
//!
//! What is signed is compressed, and compressed bytes have no words to compare. So the delta is one between the tar archives inside
//! (`swarm_delta` says how), and the new one is compressed again as [`crate::package`] does. That gives the same bytes if, and only
//! if, the archive was packaged by this crate at its usual level; the digest, which signed metadata names, decides.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use swarm_artifact::{ArchiveDigest, ArchiveHasher, ArtifactId, Limits};
use swarm_delta::{ApplyError, encode_if_smaller};

use crate::package::{Hashed, PackageOptions, gzip};

/// Why an archive is not made by a delta. The remedy is always the same: download the whole.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    #[error("cannot {what} '{path}'")]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("'{path}' unpacks to more than {limit} bytes, which is the limit")]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("cannot apply the delta to '{base}'")]
    Apply { base: PathBuf, source: ApplyError },
    #[error(
        "the delta gives the archive {actual}, and {expected} is wanted; it was packaged by other means, download the whole"
    )]
    OtherBytes { expected: ArtifactId, actual: ArtifactId },
}

/// An archive's bytes, and what they are called where they cannot be used.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a, R> {
    pub name: &'a Path,
    pub bytes: R,
}

/// The delta that turns the archive `base` into `result`. `None` where the whole is the better choice: the delta is not smaller, or
/// `result` was packaged by other means and would not come out again.
pub fn make_delta(base: &Path, result: &Path, limits: Limits) -> Result<Option<Vec<u8>>, DeltaError> {
    delta_between(
        Source { name: base, bytes: open(base)? },
        Source { name: result, bytes: open(result)? },
        limits,
    )
}

/// The same of archives that have no names. Both are in memory, unpacked, while it is made, and the delta besides: three times
/// `limits.max_total_bytes` at most.
pub fn delta_between(
    base: Source<'_, impl Read>,
    result: Source<'_, impl Read>,
    limits: Limits,
) -> Result<Option<Vec<u8>>, DeltaError> {
    let mut archive = BufReader::new(Hashing { inner: result.bytes, hasher: ArchiveHasher::default() });
    let mut result_tar = Vec::new();
    unpack(&mut archive, result.name, &mut result_tar, limits)?;
    // Whatever follows the compressed bytes belongs to the archive's digest.
    io::copy(&mut archive, &mut io::sink()).map_err(failed("read", result.name))?;
    let whole = archive.into_inner().hasher.finish();
    if compressed(&result_tar).map_err(failed("compress", result.name))? != whole {
        return Ok(None);
    }
    let mut base_tar = Vec::new();
    unpack(BufReader::new(base.bytes), base.name, &mut base_tar, limits)?;
    Ok(encode_if_smaller(&base_tar, &result_tar, whole.length))
}

/// Makes the archive `expected` at `output` out of the archive `base`.
///
/// `output` appears complete and with that digest, or not at all. Beside it, room is needed for the unpacked base; memory
/// does not depend on the archives' sizes.
pub fn apply_delta(
    base: &Path,
    delta: impl Read,
    expected: ArtifactId,
    output: &Path,
    limits: Limits,
) -> Result<ArchiveDigest, DeltaError> {
    let folder = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let base_tar = tempfile::tempfile_in(folder).map_err(failed("create a file in", folder))?;
    let mut buffered = BufWriter::new(&base_tar);
    unpack(open(base)?, base, &mut buffered, limits)?;
    buffered.flush().map_err(failed("write a file in", folder))?;
    drop(buffered);

    let mut staged = tempfile::NamedTempFile::new_in(folder).map_err(failed("create a file in", folder))?;
    let hashed = Hashed::new(BufWriter::new(staged.as_file_mut()));
    let mut compressing = gzip(hashed, PackageOptions::default().compression_level);
    let max_result = swarm_delta::Limits { max_result: limits.max_total_bytes };
    swarm_delta::apply(delta, &base_tar, &mut compressing, max_result)
        .map_err(|source| DeltaError::Apply { base: base.to_owned(), source })?;
    let digest = compressing.finish().and_then(Hashed::finish).map_err(failed("write", output))?;
    if digest.id != expected {
        return Err(DeltaError::OtherBytes { expected, actual: digest.id });
    }
    staged.as_file().sync_all().map_err(failed("write", output))?;
    staged.persist(output).map_err(|error| error.error).map_err(failed("write", output))?;
    Ok(digest)
}

fn open(archive: &Path) -> Result<BufReader<File>, DeltaError> {
    File::open(archive).map(BufReader::new).map_err(failed("open", archive))
}

fn unpack(
    archive: impl io::BufRead,
    path: &Path,
    output: &mut impl Write,
    limits: Limits,
) -> Result<(), DeltaError> {
    let limit = limits.max_total_bytes;
    let mut bytes = GzDecoder::new(archive).take(limit + 1);
    let count = io::copy(&mut bytes, output).map_err(failed("unpack", path))?;
    if count > limit { Err(DeltaError::TooLarge { path: path.to_owned(), limit }) } else { Ok(()) }
}

/// Hashes what is read.
struct Hashing<R> {
    inner: R,
    hasher: ArchiveHasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }
}

fn compressed(tar: &[u8]) -> io::Result<ArchiveDigest> {
    let mut compressing = gzip(Hashed::new(io::sink()), PackageOptions::default().compression_level);
    compressing.write_all(tar)?;
    compressing.finish()?.finish()
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DeltaError {
    move |source| DeltaError::Io { what, path: path.to_owned(), source }
}
