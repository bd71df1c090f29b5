//! Artifacts on the disk by their SHA-256. One is in the cache once its archive and its signature file are there under their names,
//! and they get these names only after the whole of them was checked. Every use checks again: disks forget, and people copy.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use swarm_artifact::{ArchiveHasher, ArtifactId, SignatureFile, Trust, verify};
use swarm_base::ReadBuffer;
use swarm_bridge_core::Cached;
use swarm_tuf::{Refusal, Target};

use crate::{ClientError, files};

pub(crate) const ARCHIVE: &str = ".tar.gz";
pub(crate) const SIGNATURES: &str = ".tar.gz.sig";
pub(crate) const IN_FLIGHT: &str = ".tmp";
const CHUNK: usize = 256 * 1024;

/// The folder. One process writes in it; the lock of the metadata's folder keeps a second one away.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    pub(crate) apply_delta: Option<ApplyDelta>,
}

/// Makes an artifact's archive out of an older one and a delta, all of it or nothing; otherwise says why not. The arguments are the older
/// archive, the delta, the artifact, and the file to make.
pub type ApplyDelta = fn(&Path, &Path, ArtifactId, &Path) -> Result<(), String>;

impl Cache {
    pub fn open(folder: &Path) -> Result<Self, ClientError> {
        files::make_folder(folder)?;
        Ok(Self { folder: folder.to_owned(), apply_delta: None })
    }

    /// Downloads ask for deltas first, which are applied by this.
    #[must_use]
    pub fn with_deltas(self, apply_delta: Option<ApplyDelta>) -> Self {
        Self { apply_delta, ..self }
    }

    /// Where an artifact is, or would be.
    pub fn archive(&self, artifact: ArtifactId) -> PathBuf {
        self.path(artifact, ARCHIVE)
    }

    pub fn signatures(&self, artifact: ArtifactId) -> PathBuf {
        self.path(artifact, SIGNATURES)
    }

    pub(crate) fn path(&self, artifact: ArtifactId, ending: &str) -> PathBuf {
        self.folder.join(format!("{artifact}{ending}"))
    }

    /// What is in the cache.
    pub fn entries(&self) -> Result<Vec<Cached>, ClientError> {
        let mut found: BTreeMap<ArtifactId, Vec<(String, fs::Metadata)>> = BTreeMap::new();
        let list = fs::read_dir(&self.folder).map_err(ClientError::at("list", &self.folder))?;
        for entry in list {
            let entry = entry.map_err(ClientError::at("list", &self.folder))?;
            let name = entry.file_name();
            let parts = name.to_str().and_then(|name| name.split_at_checked(64));
            let artifact = parts.and_then(|(digest, ending)| Some((digest.parse().ok()?, ending.to_owned())));
            if let (Some((artifact, ending)), Ok(metadata)) = (artifact, entry.metadata()) {
                found.entry(artifact).or_default().push((ending, metadata));
            }
        }
        let whole = found.into_iter().filter_map(|(artifact, files)| {
            let of = |ending: &str| files.iter().find(|(it, _)| it == ending).map(|(_, metadata)| metadata);
            let (archive, signatures) = (of(ARCHIVE)?, of(SIGNATURES)?);
            let used = archive.modified().ok().and_then(|used| used.duration_since(UNIX_EPOCH).ok());
            let used_unix_s = used.map_or(0, |used| used.as_secs().cast_signed());
            Some(Cached { artifact, bytes: archive.len() + signatures.len(), used_unix_s })
        });
        Ok(whole.collect())
    }

    /// Bytes on the disk, what is in flight too.
    pub fn bytes(&self) -> u64 {
        let list = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        list.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    pub fn evict(&self, artifact: ArtifactId) -> Result<(), ClientError> {
        // The signatures first: an archive without them is not in the cache.
        for ending in [SIGNATURES, ARCHIVE, IN_FLIGHT] {
            files::remove(&self.path(artifact, ending))?;
        }
        Ok(())
    }

    /// Removes downloads of anything else, and what a crash left half-written.
    pub fn discard_others(&self, wanted: Option<ArtifactId>) -> Result<(), ClientError> {
        let whole: Vec<_> = self.entries()?.into_iter().map(|entry| entry.artifact).collect();
        let kept = |name: &str| {
            let artifact: Option<ArtifactId> = name.get(..64).and_then(|digest| digest.parse().ok());
            artifact.is_some_and(|artifact| {
                Some(artifact) == wanted || (whole.contains(&artifact) && !name.ends_with(IN_FLIGHT))
            })
        };
        let list = fs::read_dir(&self.folder).map_err(ClientError::at("list", &self.folder))?;
        for entry in list.flatten() {
            if !entry.file_name().to_str().is_some_and(kept)
                && entry.file_type().is_ok_and(|kind| kind.is_file())
            {
                files::remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Whether the artifact is what the metadata says, and signed by whom the cell's trust file believes. What is damaged is
    /// removed, so that it is fetched again.
    pub fn verify(
        &self,
        artifact: ArtifactId,
        target: &Target,
        trust: &Trust,
        now_unix_s: i64,
    ) -> Result<(), ClientError> {
        let verified = self.check(artifact, target, trust, now_unix_s);
        match &verified {
            Ok(()) => {
                let now = UNIX_EPOCH + Duration::from_secs(now_unix_s.max(0).unsigned_abs());
                self.touch(artifact, now);
            }
            Err(error) if error.is_refusal() => self.evict(artifact)?,
            Err(_) => {}
        }
        verified
    }

    fn check(
        &self,
        artifact: ArtifactId,
        target: &Target,
        trust: &Trust,
        now_unix_s: i64,
    ) -> Result<(), ClientError> {
        let signatures = self.signatures(artifact);
        let bytes = files::read(&signatures, SignatureFile::MAX_BYTES)?;
        let signatures = read_signatures(artifact, &bytes.unwrap_or_default())?;
        let (mut check, mut hasher) = (target.check()?, ArchiveHasher::default());
        read(&self.archive(artifact), |chunk| {
            hasher.update(chunk);
            check.update(chunk)
        })?;
        check.finish()?;
        verify(&hasher.finish(), &signatures, trust, now_unix_s)?;
        Ok(())
    }

    /// Orders evictions; that it fails harms nothing.
    fn touch(&self, artifact: ArtifactId, now: SystemTime) {
        let file = File::options().write(true).open(self.archive(artifact));
        let _ = file.and_then(|file| file.set_modified(now));
    }
}

pub(crate) fn read_signatures(artifact: ArtifactId, bytes: &[u8]) -> Result<SignatureFile, ClientError> {
    let bad = |problem: String| ClientError::BadSignatureFile { artifact: artifact.to_string(), problem };
    let text = std::str::from_utf8(bytes).map_err(|_| bad("it is not text".to_owned()))?;
    SignatureFile::parse(text).map_err(|error| bad(error.to_string()))
}

/// Reads a file from its beginning to its end.
pub(crate) fn read(
    path: &Path,
    mut each: impl FnMut(&[u8]) -> Result<(), Refusal>,
) -> Result<(), ClientError> {
    let mut file = File::open(path).map_err(ClientError::at("read", path))?;
    let mut chunk = ReadBuffer::new(CHUNK);
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => each(&chunk[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ClientError::at("read", path)(error)),
        }
    }
}
