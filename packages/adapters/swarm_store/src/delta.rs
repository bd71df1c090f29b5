//! From one archive to another by a delta.
//!
//! What is signed is compressed, and compressed bytes have no words to compare. So the delta is one between the tar archives inside
//! (`swarm_delta` says how), and the new one is compressed again as [`crate::package`] does. That gives the same bytes if, and only
//! if, the archive was packaged by this crate at its usual level; the digest, which signed metadata names, decides.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use swarm_artifact::{ArchiveDigest, ArtifactId, Limits};
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

/// The delta that turns the archive `base` into `result`; both are in memory while it is made. `None` where the whole is the
/// better choice: the delta is not smaller, or `result` was packaged by other means and would not come out again.
pub fn make_delta(base: &Path, result: &Path, limits: Limits) -> Result<Option<Vec<u8>>, DeltaError> {
    let archive = fs::read(result).map_err(failed("read", result))?;
    let mut result_tar = Vec::new();
    unpack(Cursor::new(&archive), result, &mut result_tar, limits)?;
    if compressed(&result_tar).map_err(failed("compress", result))? != ArchiveDigest::of(&archive) {
        return Ok(None);
    }
    let mut base_tar = Vec::new();
    unpack(open(base)?, base, &mut base_tar, limits)?;
    Ok(encode_if_smaller(&base_tar, &result_tar, archive.len() as u64))
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

fn compressed(tar: &[u8]) -> io::Result<ArchiveDigest> {
    let mut compressing = gzip(Hashed::new(io::sink()), PackageOptions::default().compression_level);
    compressing.write_all(tar)?;
    compressing.finish()?.finish()
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DeltaError {
    move |source| DeltaError::Io { what, path: path.to_owned(), source }
}
