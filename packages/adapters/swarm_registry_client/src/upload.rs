//! One artifact into the registry, in parts.
//!
//! First the archive is hashed; then an upload is begun, or the one that was begun is asked how far it is; parts are sent from there;
//! and in the end the registry's digest is held against ours.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use swarm_api::artifact::{Artifact, BeginUpload, CompleteUpload, UploadStatus};
use swarm_artifact::{ArchiveHasher, SignatureFile};
use swarm_tuf::Limits;

use crate::cache::read;
use crate::connection::Connection;
use crate::spool::{Mark, Spool, with};
use crate::{ClientError, files};

const PART: u64 = 8 << 20;

pub(crate) enum Outcome {
    Taken(Box<Artifact>),
    /// The registry will never take it; why, in its words.
    Refused(String),
}

/// Hands an archive of the spool in. What is in the way for now is an error.
pub(crate) fn upload(
    connection: &Connection,
    spool: &Spool,
    archive: &Path,
    keep_on: &dyn Fn() -> bool,
) -> Result<Outcome, ClientError> {
    let signature = with(archive, ".sig");
    let Some(bytes) = files::read(&signature, SignatureFile::MAX_BYTES)? else {
        return Ok(Outcome::Refused(format!(
            "{} is not there; sign the artifact with `cell sign`",
            signature.display()
        )));
    };
    let Ok(signature) = String::from_utf8(bytes) else {
        return Ok(Outcome::Refused(format!("{} is not text", signature.display())));
    };
    if !archive.is_file() {
        return Ok(Outcome::Refused(format!("{} is marked, and is not there", archive.display())));
    }
    if let Err(error @ ClientError::BadFile { .. }) = spool.mark(archive) {
        return Ok(Outcome::Refused(error.to_string()));
    }
    match send(connection, spool, archive, signature, keep_on) {
        Ok(artifact) => Ok(Outcome::Taken(Box::new(artifact))),
        Err(error) if is_final(&error) => Ok(Outcome::Refused(error.to_string())),
        Err(error) => Err(error),
    }
}

/// What another try would not change: the registry understood, and does not want it.
fn is_final(error: &ClientError) -> bool {
    matches!(error, ClientError::Status { url, status: 400 | 409 | 413 | 415 | 422, problem: Some(problem) }
        if (url.ends_with("/uploads") || url.ends_with("/complete")) && problem.code != "incomplete")
}

fn send(
    connection: &Connection,
    spool: &Spool,
    archive: &Path,
    signature: String,
    keep_on: &dyn Fn() -> bool,
) -> Result<Artifact, ClientError> {
    let mut hasher = ArchiveHasher::default();
    read(archive, |chunk| {
        hasher.update(chunk);
        Ok(())
    })?;
    let digest = hasher.finish();
    let (id, mut received) = resume(connection, spool, archive, digest.length)?;
    let mut file = File::open(archive).map_err(ClientError::at("read", archive))?;
    file.seek(SeekFrom::Start(received)).map_err(ClientError::at("read", archive))?;
    let path = format!("/api/v1/csa/uploads/{id}");
    let mut part = Vec::new();
    while received < digest.length {
        if !keep_on() {
            return Err(ClientError::Stopped);
        }
        part.clear();
        file.by_ref().take(PART).read_to_end(&mut part).map_err(ClientError::at("read", archive))?;
        if part.is_empty() {
            let problem = "it became shorter while it was handed in".to_owned();
            return Err(ClientError::BadFile { path: archive.to_owned(), problem });
        }
        connection.patch(&path, received, &part, Limits::default().time_for(part.len() as u64))?;
        received += part.len() as u64;
    }
    let mark = spool.mark(archive)?;
    let complete = CompleteUpload {
        signature,
        uploaded_by: mark.uploaded_by,
        parent: mark.parent,
        training_data: mark.training_data,
        digest: Some(digest.id.to_string()),
    };
    let artifact: Artifact = connection.post(&format!("{path}/complete"), &complete)?;
    if artifact.digest != digest.id.to_string() {
        return Err(ClientError::Malformed {
            url: connection.url(&path),
            expected: "the artifact that was handed in",
            found: format!("artifact {} instead of {}", artifact.digest, digest.id),
        });
    }
    Ok(artifact)
}

/// The upload under way and the bytes that the registry has of it; a new one where there is none.
fn resume(
    connection: &Connection,
    spool: &Spool,
    archive: &Path,
    length: u64,
) -> Result<(String, u64), ClientError> {
    let mark = spool.mark(archive)?;
    if let Some(id) = &mark.upload_id {
        match connection.get_json::<UploadStatus>(&format!("/api/v1/csa/uploads/{}", swarm_tuf::encoded(id)))
        {
            Ok(status) if status.length == length && status.received <= length => {
                return Ok((status.upload_id, status.received));
            }
            Ok(_) | Err(ClientError::Status { status: 404, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let begun: UploadStatus = connection.post("/api/v1/csa/uploads", &BeginUpload { length })?;
    if begun.upload_id.is_empty() || !begun.upload_id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(ClientError::Malformed {
            url: connection.url("/api/v1/csa/uploads"),
            expected: "an upload's id of letters and digits",
            found: begun.upload_id.escape_debug().take(80).collect(),
        });
    }
    Spool::note(archive, &Mark { upload_id: Some(begun.upload_id.clone()), ..mark })?;
    Ok((begun.upload_id, begun.received))
}
