//! One artifact into the registry, or one bag, in parts.
//!
//! 1. The archive is hashed; then an upload is begun, or the one that was begun is asked how far it is.
//! 2. Parts are sent from there. After a cut, and where the registry has more or fewer bytes than expected, it is asked again.
//! 3. The upload is completed, an artifact's with its signature, and the registry's digest is held against ours.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use swarm_api::artifact::{Artifact, BeginUpload, CompleteUpload, UploadStatus};
use swarm_api::bag::{Bag, CompleteBag};
use swarm_artifact::{ArchiveDigest, ArchiveHasher};
use swarm_tuf::Limits;

use crate::ClientError;
use crate::cache::read;
use crate::connection::{Bounds, Connection};

/// Usual size of one part, in bytes: what is sent again after a cut, at most.
pub const PART: u64 = 8 << 20;
/// How often one part is taken up again before the upload is left for later.
const ATTEMPTS: u32 = 5;

/// What is said of an artifact that is handed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submission {
    /// Text of the signature file.
    pub signature: String,
    /// Who hands it in, for people who read the list.
    pub uploaded_by: String,
    /// Digest of the artifact that it was made from.
    pub parent: Option<String>,
    pub training_data: Option<String>,
}

/// An archive that is being handed in.
#[derive(Debug)]
pub struct Upload<'a> {
    connection: &'a Connection,
    archive: PathBuf,
    file: File,
    digest: ArchiveDigest,
    id: String,
    received: u64,
}

impl<'a> Upload<'a> {
    /// 1. `begun` is the id of an upload of this archive that was cut off, perhaps by the end of the program.
    pub fn begin(
        connection: &'a Connection,
        archive: &Path,
        begun: Option<&str>,
    ) -> Result<Self, ClientError> {
        Self::begin_at(connection, archive, begun, "/api/v1/csa/uploads")
    }

    /// The same of a bag that was packed.
    pub(crate) fn begin_bag(
        connection: &'a Connection,
        archive: &Path,
        begun: Option<&str>,
    ) -> Result<Self, ClientError> {
        Self::begin_at(connection, archive, begun, "/api/v1/bags/uploads")
    }

    fn begin_at(
        connection: &'a Connection,
        archive: &Path,
        begun: Option<&str>,
        path: &str,
    ) -> Result<Self, ClientError> {
        let mut hasher = ArchiveHasher::default();
        read(archive, |chunk| {
            hasher.update(chunk);
            Ok(())
        })?;
        let digest = hasher.finish();
        let file = File::open(archive).map_err(ClientError::at("read", archive))?;
        let status = match begun.map(|id| status(connection, id)) {
            // One that the registry has forgotten, or one of other bytes, is of no use.
            Some(Ok(status)) if status.length == digest.length && status.received <= status.length => {
                Some(status)
            }
            None | Some(Ok(_) | Err(ClientError::Status { status: 404, .. })) => None,
            Some(Err(error)) => return Err(error),
        };
        let status = if let Some(status) = status {
            status
        } else {
            let length = BeginUpload { length: digest.length };
            let begun: UploadStatus = connection.post_now(path, &length, Bounds::SHORT)?;
            checked(connection, begun)?
        };
        Ok(Self {
            connection,
            archive: archive.to_owned(),
            file,
            digest,
            id: status.upload_id,
            received: status.received,
        })
    }

    /// Whoever keeps it can go on after a cut.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub const fn digest(&self) -> ArchiveDigest {
        self.digest
    }

    /// 2. In parts of `part` bytes. `tell` hears how many bytes the registry has; false ends it, and it goes on the next time.
    pub fn send(&mut self, part: u64, mut tell: impl FnMut(u64) -> bool) -> Result<(), ClientError> {
        let (path, length) = (place(&self.id), self.digest.length);
        let (mut bytes, mut broken) = (Vec::new(), 0);
        while self.received < length {
            if !tell(self.received) {
                return Err(ClientError::Stopped);
            }
            let wanted = part.min(length - self.received);
            bytes.clear();
            let sought = self.file.seek(SeekFrom::Start(self.received));
            sought
                .and_then(|_| (&self.file).take(wanted).read_to_end(&mut bytes))
                .map_err(ClientError::at("read", &self.archive))?;
            if bytes.len() as u64 != wanted {
                let problem = "it became shorter while it was handed in".to_owned();
                return Err(ClientError::BadFile { path: self.archive.clone(), problem });
            }
            let limit = Limits::default().time_for(wanted);
            match self.connection.patch(&path, self.received, &bytes, limit) {
                Ok(()) => {
                    self.received += wanted;
                    broken = 0;
                }
                // What arrived before the cut counts: ask, and go on there. It may still be arriving while it is asked for, so
                // that the next part begins too early.
                Err(error) if broken < ATTEMPTS && may_go_on(&error) => {
                    broken += 1;
                    if let Ok(there) = status(self.connection, &self.id) {
                        self.received = there.received.min(length);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// 3.
    pub fn complete(self, submission: Submission) -> Result<Artifact, ClientError> {
        let complete = CompleteUpload {
            signature: submission.signature,
            uploaded_by: submission.uploaded_by,
            parent: submission.parent,
            training_data: submission.training_data,
            digest: Some(self.digest.id.to_string()),
        };
        let path = format!("{}/complete", place(&self.id));
        let artifact: Artifact = self.connection.post_now(&path, &complete, Bounds::WORK)?;
        self.is_this(&path, &artifact.digest)?;
        Ok(artifact)
    }

    /// The same of a bag, called `name`.
    pub(crate) fn complete_bag(self, name: &str) -> Result<Bag, ClientError> {
        let path = format!("/api/v1/bags/uploads/{}/complete", swarm_tuf::encoded(&self.id));
        let complete = CompleteBag { name: name.to_owned(), digest: self.digest.id.to_string() };
        let bag: Bag = self.connection.post_now(&path, &complete, Bounds::WORK)?;
        self.is_this(&path, &bag.digest)?;
        Ok(bag)
    }

    /// Whether the registry has what was handed in.
    fn is_this(&self, path: &str, digest: &str) -> Result<(), ClientError> {
        if digest == self.digest.id.to_string() {
            return Ok(());
        }
        Err(ClientError::Malformed {
            url: self.connection.url(path),
            expected: "what was handed in",
            found: format!(
                "digest {} instead of {}",
                digest.escape_debug().take(80).collect::<String>(),
                self.digest.id
            ),
        })
    }
}

fn may_go_on(error: &ClientError) -> bool {
    error.is_link() || matches!(error.problem_code(), Some("wrong_offset" | "upload_busy"))
}

fn place(id: &str) -> String {
    format!("/api/v1/csa/uploads/{}", swarm_tuf::encoded(id))
}

fn status(connection: &Connection, id: &str) -> Result<UploadStatus, ClientError> {
    checked(connection, connection.get_json(&place(id), Bounds::SHORT)?)
}

/// The id becomes a part of addresses and of files.
fn checked(connection: &Connection, status: UploadStatus) -> Result<UploadStatus, ClientError> {
    let id = &status.upload_id;
    if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(status);
    }
    Err(ClientError::Malformed {
        url: connection.url("/api/v1/csa/uploads"),
        expected: "an upload's id of letters and digits",
        found: id.escape_debug().take(80).collect(),
    })
}
