//! How an artifact comes in. Nothing is visible before the last step, and nothing is left behind when a step fails.
//!
//! 1. The bytes flow into a file that has no name ([`Staging`]), are hashed on the way, and are read ahead as far as that needs no
//!    belief.
//! 2. `swarm_artifact::verify` decides whether enough trusted signers signed them. Nothing that was read counts before that.
//! 3. What was read ahead is held against the manifest; where that was not possible, the archive is read through now.
//! 4. The file gets its name in the artifact store, its digest; where the store is elsewhere, the bytes go there. What is there already is
//!    read and compared: who uploads an artifact again mends one that was damaged.
//! 5. One transaction records the artifact and writes the audit log: now it is listed.
//!
//! A crash between 4 and 5 leaves bytes that nothing refers to; the next upload of the same artifact uses them.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::PathBuf;

use swarm_artifact::{
    ArchiveDigest, ArtifactId, Limits, Manifest, SignatureFile, SignatureFileError, Trust, VerifyError,
    verify,
};
use swarm_store::ArchiveError;

use crate::blobs::{BlobError, Blobs};
use crate::catalogue::{Added, Catalogue};
use crate::current::Current;
use crate::database::DatabaseError;
use crate::record::{Provenance, Record, Reference, Status};

pub use crate::staging::{Staged, Staging};

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
        let (manifest, file) = match staged.contents.and_then(|contents| contents.check(&digest, limits).ok())
        {
            Some(manifest) => (manifest, staged.file),
            None => read_through(staged.file, digest, limits)
                .await
                .map_err(|source| IntakeError::Contents { artifact, source })?,
        };
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
        if !self.blobs.has_artifact(&digest).await? {
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

/// Reads an archive that is verified from its beginning, and says what is wrong with it.
async fn read_through(
    mut file: File,
    digest: ArchiveDigest,
    limits: Limits,
) -> Result<(Manifest, File), ArchiveError> {
    let reading = tokio::task::spawn_blocking(move || {
        file.seek(SeekFrom::Start(0)).map_err(ArchiveError::Read)?;
        Ok((swarm_store::check_contents(&file, &digest, limits)?, file))
    });
    reading.await.unwrap_or_else(|panic| Err(ArchiveError::Read(std::io::Error::other(panic))))
}
