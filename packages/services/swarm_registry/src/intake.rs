//! How an artifact comes in. Nothing is visible before the last step, and nothing is left behind when a step fails.
//!
//! 1. The bytes flow into a file that has no name (so a killed process leaves nothing) and are hashed on the way; a sender that
//!    sends too much or falls silent is cut off.
//! 2. `swarm_artifact::verify` decides whether enough trusted signers signed them. Nothing is unpacked before that.
//! 3. The archive is read through against its manifest.
//! 4. The bytes go to the artifact store under their digest.
//! 5. One transaction records the artifact and writes the audit log: now it is listed.
//!
//! A crash between 4 and 5 leaves bytes that nothing refers to; the next upload of the same artifact uses them.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use swarm_artifact::{
    ArchiveDigest, ArchiveHasher, ArtifactId, Limits, Manifest, SignatureFile, SignatureFileError, Trust,
    VerifyError, verify,
};
use swarm_store::ArchiveError;
use tokio::io::AsyncWriteExt;

use crate::blobs::{BlobError, Blobs};
use crate::catalogue::{Added, Catalogue};
use crate::current::Current;
use crate::database::DatabaseError;
use crate::record::{Provenance, Record, Reference, Status};

/// A file whose bytes are complete. It has no name; dropping it frees them.
#[derive(Debug)]
pub struct Staged {
    pub file: File,
    pub digest: ArchiveDigest,
    /// Why there are no more bytes, where the sender did not end properly.
    pub cut: Option<IntakeError>,
}

/// Where bytes are kept until they are verified, and how many.
#[derive(Clone, Debug)]
pub struct Staging {
    pub folder: PathBuf,
    /// Of one artifact.
    pub max_bytes: u64,
    /// A sender that is silent for longer is cut off.
    pub max_silence: Duration,
}

/// What comes with the bytes.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Text of the signature file.
    pub signature: String,
    /// The uploader's own statement; who it was is in `uploader`.
    pub uploaded_by: String,
    pub uploader: String,
    pub parent: Option<ArtifactId>,
    pub training_data: Option<String>,
    /// The digest that the uploader expects.
    pub expected: Option<ArtifactId>,
}

/// Why an artifact was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error("the artifact is larger than {limit} bytes, which is the limit here")]
    TooLarge { limit: u64 },
    #[error("the sender was silent for {seconds} s after {received} bytes")]
    Silent { received: u64, seconds: u64 },
    #[error("the connection was cut after {received} bytes: {problem}")]
    Cut { received: u64, problem: String },
    #[error("the artifact that arrived has the digest {actual}, its sender announced {expected}")]
    OtherDigest { expected: ArtifactId, actual: ArtifactId },
    #[error("this registry has no trust file, so that it can believe no artifact")]
    NoTrust,
    #[error(transparent)]
    Signature(#[from] SignatureFileError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error("artifact {artifact} is signed, but its contents are refused: {source}")]
    Contents {
        artifact: ArtifactId,
        #[source]
        source: ArchiveError,
    },
    #[error("the parent artifact {parent} is not in this registry")]
    UnknownParent { parent: ArtifactId },
    #[error("{} {} exists already as artifact {} with the digest {}; this one has {digest}", existing.skill_name, existing.version, existing.id, existing.digest)]
    VersionTaken { existing: Box<Record>, digest: ArtifactId },
    #[error("cannot keep the bytes of an upload in '{folder}': {source}")]
    Disk {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl Staging {
    /// Receives a stream to its end (step 1). A sender that is cut off is not an error here: what came is kept and `cut` says why
    /// it ended, so that a resumable upload can go on from there.
    pub async fn receive<E: std::fmt::Display>(
        &self,
        stream: impl Stream<Item = Result<Bytes, E>>,
        max_bytes: u64,
    ) -> Result<Staged, IntakeError> {
        let disk = |source| IntakeError::Disk { folder: self.folder.clone(), source };
        let file = tempfile::tempfile_in(&self.folder).map_err(disk)?;
        let mut writer = tokio::fs::File::from_std(file.try_clone().map_err(disk)?);
        writer.set_max_buf_size(1 << 20);
        let mut hasher = ArchiveHasher::default();
        let mut received = 0;
        let mut stream = std::pin::pin!(stream);
        let cut = loop {
            let chunk = match tokio::time::timeout(self.max_silence, stream.next()).await {
                Err(_) => break Some(IntakeError::Silent { received, seconds: self.max_silence.as_secs() }),
                Ok(None) => break None,
                Ok(Some(Err(error))) => {
                    break Some(IntakeError::Cut { received, problem: error.to_string() });
                }
                Ok(Some(Ok(chunk))) => chunk,
            };
            received += chunk.len() as u64;
            if received > max_bytes {
                return Err(IntakeError::TooLarge { limit: max_bytes });
            }
            hasher.update(&chunk);
            writer.write_all(&chunk).await.map_err(disk)?;
        };
        writer.flush().await.map_err(disk)?;
        Ok(Staged { file, digest: hasher.finish(), cut })
    }
}

/// What decides about artifacts, and where they go.
#[derive(Clone, Debug)]
pub struct Intake {
    pub trust: Current<Option<Trust>>,
    pub limits: Limits,
    pub catalogue: Catalogue,
    pub blobs: Blobs,
}

impl Intake {
    /// Steps 2 to 5. The same bytes again give the record that is there.
    pub async fn accept(
        &self,
        staged: Staged,
        submission: Submission,
        now_unix: i64,
    ) -> Result<Added, IntakeError> {
        if let Some(cut) = staged.cut {
            return Err(cut);
        }
        let artifact = staged.digest.id;
        if let Some(expected) = submission.expected.filter(|expected| *expected != artifact) {
            return Err(IntakeError::OtherDigest { expected, actual: artifact });
        }
        // 2.
        let trust = self.trust.get();
        let trust = trust.as_ref().as_ref().ok_or(IntakeError::NoTrust)?;
        let signatures = SignatureFile::parse(&submission.signature)?;
        let verified = verify(&staged.digest, &signatures, trust, now_unix)?;
        // 3.
        let (limits, digest) = (self.limits, staged.digest);
        let mut file = staged.file;
        let reading = tokio::task::spawn_blocking(move || {
            file.seek(SeekFrom::Start(0)).map_err(ArchiveError::Read)?;
            Ok((swarm_store::check_contents(&file, &digest, limits)?, file))
        });
        let read: Result<(Manifest, File), ArchiveError> =
            reading.await.unwrap_or_else(|panic| Err(ArchiveError::Read(std::io::Error::other(panic))));
        let (manifest, file) = read.map_err(|source| IntakeError::Contents { artifact, source })?;
        if let Some(parent) = submission.parent
            && self.catalogue.find(Reference::Digest(parent)).await?.is_none()
        {
            return Err(IntakeError::UnknownParent { parent });
        }
        let record = Record {
            id: 0,
            digest: artifact,
            skill_name: manifest.skill.skill_id.to_string(),
            version: manifest.skill.version.to_string(),
            size: staged.digest.length,
            signature: submission.signature,
            signers: verified.signers().iter().cloned().collect(),
            provenance: Provenance {
                parent: submission.parent,
                base_version: manifest.skill.base_version.map(|version| version.to_string()),
                training_data: submission.training_data,
                notes: manifest.skill.provenance,
                uploaded_by: submission.uploaded_by,
                uploader: submission.uploader,
            },
            uploaded_unix: now_unix,
            status: Status::Active,
        };
        // Refused before the store is written, where that is known already.
        if let Some(existing) = self.catalogue.find_version(&record.skill_name, &record.version).await?
            && existing.digest != artifact
        {
            return Err(IntakeError::VersionTaken { existing: Box::new(existing), digest: artifact });
        }
        // 4.
        if !self.blobs.has_artifact(artifact).await? {
            self.blobs.put_artifact(artifact, file).await?;
        }
        // 5.
        match self.catalogue.add(&record).await? {
            Added::VersionTaken(existing) => {
                Err(IntakeError::VersionTaken { existing: Box::new(existing), digest: artifact })
            }
            added => Ok(added),
        }
    }
}
