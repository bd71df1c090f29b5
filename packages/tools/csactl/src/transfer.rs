//! Artifacts over the network: downloads that go on after a cut and are verified, uploads in parts.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sha2::{Digest as _, Sha256};
use swarm_api::artifact::{Artifact, BeginUpload, CompleteUpload, UploadStatus};
use swarm_artifact::{ArtifactId, Sha256Sum};
use swarm_store::hash_archive;

use crate::connection::{CallError, Registry};
use crate::{files, output};

/// Bytes at a time.
const CHUNK: usize = 256 * 1024;
/// How often a transfer that broke is taken up again before it is given up.
const ATTEMPTS: u32 = 5;
/// Usual size of one part of an upload, in KiB.
pub(crate) const PART_KIB: u64 = 8 * 1024;

/// A bar on a terminal, nothing elsewhere.
pub(crate) fn bar(length: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(what.to_owned())
}

/// Downloads an artifact to `path`. The file appears when it has the artifact's digest; until then it is `PATH.part`, and a
/// second try goes on behind what is there.
pub(crate) fn fetch(registry: &Registry, artifact: &Artifact, path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        bail!(
            "'{}' exists already and is not overwritten; choose another name or remove it yourself",
            path.display()
        );
    }
    let part = part_of(path);
    let bar = bar(artifact.size, &output::short(&artifact.digest));
    let mut broken = 0;
    loop {
        match fetch_on(registry, artifact, &part, &bar) {
            Ok(()) => break,
            // What the registry refuses is refused again; a connection that broke may stand the next time.
            Err(Broken::Link(error)) => {
                broken += 1;
                if broken >= ATTEMPTS {
                    return Err(error).with_context(|| {
                        format!(
                            "the download broke {ATTEMPTS} times; '{}' keeps what came, try again",
                            part.display()
                        )
                    });
                }
            }
            Err(Broken::Else(error)) => return Err(error),
        }
    }
    bar.finish_and_clear();
    let actual = hash_archive(&part)?.id.to_string();
    if actual != artifact.digest {
        let expected = &artifact.digest;
        fs::remove_file(&part).with_context(|| format!("cannot remove '{}'", part.display()))?;
        bail!(
            "the registry's bytes have the digest {actual}, expected {expected}; they were removed: suspect the registry or the link"
        );
    }
    fs::rename(&part, path)
        .with_context(|| format!("cannot name '{}' '{}'", part.display(), path.display()))?;
    File::open(files::parent(path))
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("cannot sync '{}'", path.display()))
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Why a download ended early.
enum Broken {
    Link(anyhow::Error),
    Else(anyhow::Error),
}

fn fetch_on(registry: &Registry, artifact: &Artifact, part: &Path, bar: &ProgressBar) -> Result<(), Broken> {
    let disk = |error: std::io::Error| {
        Broken::Else(anyhow::Error::new(error).context(format!("cannot write '{}'", part.display())))
    };
    let mut file = OpenOptions::new().create(true).append(true).open(part).map_err(disk)?;
    let mut have = file.metadata().map_err(disk)?.len();
    if have > artifact.size {
        file.set_len(0).map_err(disk)?;
        have = 0;
    }
    if have == artifact.size {
        return Ok(());
    }
    let path = format!("/api/v1/csa/{}/download", artifact.digest);
    let resume = (have > 0).then_some((have, artifact.digest.as_str()));
    let (start, mut body) = registry.stream(&path, resume).map_err(|error| match error {
        error @ CallError::Unreachable { .. } => Broken::Link(error.into()),
        error => Broken::Else(error.into()),
    })?;
    if start != have {
        file.set_len(start).map_err(disk)?;
    }
    bar.set_position(start);
    let mut left = artifact.size - start;
    let mut chunk = vec![0; CHUNK];
    while left > 0 {
        let count = body.read(&mut chunk).map_err(|error| Broken::Link(error.into()))?;
        if count == 0 {
            return Err(Broken::Link(anyhow::anyhow!("the answer ended {left} bytes early")));
        }
        // More than was announced is not kept; the digest decides anyway.
        let count = count.min(usize::try_from(left).unwrap_or(usize::MAX));
        file.write_all(&chunk[..count]).map_err(disk)?;
        left -= count as u64;
        bar.inc(count as u64);
    }
    file.sync_all().map_err(disk)
}

/// Reads the artifact's bytes without keeping them: their number and their digest.
pub(crate) fn hash_download(
    registry: &Registry,
    digest: &str,
    max_bytes: u64,
) -> anyhow::Result<(u64, ArtifactId)> {
    let (_, mut body) =
        registry.stream(&format!("/api/v1/csa/{digest}/download?allow_quarantined=true"), None)?;
    let mut sha256 = Sha256::new();
    let (mut length, mut chunk) = (0, vec![0; CHUNK]);
    loop {
        let count = body.read(&mut chunk)?;
        if count == 0 || length > max_bytes {
            return Ok((length, ArtifactId(Sha256Sum(sha256.finalize().into()))));
        }
        sha256.update(&chunk[..count]);
        length += count as u64;
    }
}

/// What is said of an artifact that is handed in.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) signature: String,
    pub(crate) uploaded_by: String,
    pub(crate) parent: Option<ArtifactId>,
    pub(crate) training_data: Option<String>,
    /// Bytes of one part: what is sent again after a cut, at most.
    pub(crate) part: u64,
}

/// Hands an artifact in, part by part. `begun` is an upload that was cut off; it goes on where the registry says.
pub(crate) fn upload(
    registry: &Registry,
    archive: &Path,
    submission: &Submission,
    begun: Option<String>,
    mut note: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<Artifact> {
    let digest = hash_archive(archive)?;
    let mut file = File::open(archive).with_context(|| format!("cannot read '{}'", archive.display()))?;
    let status = match begun {
        Some(id) => match registry.get::<UploadStatus>(&place(&id)) {
            Ok(status) if status.length == digest.length => Some(status),
            Ok(_) | Err(CallError::Refused { .. }) => None,
            Err(error) => return Err(error.into()),
        },
        None => None,
    };
    let mut status = match status {
        Some(status) => status,
        None => registry.post_now("/api/v1/csa/uploads", &BeginUpload { length: digest.length })?,
    };
    note(&status.upload_id)?;
    let place = place(&status.upload_id);
    let bar = bar(digest.length, &output::short(&digest.id.to_string()));
    let mut broken = 0;
    while status.received < status.length {
        bar.set_position(status.received);
        let wanted = submission.part.min(status.length - status.received);
        let mut part = Vec::new();
        let read = file
            .seek(SeekFrom::Start(status.received))
            .and_then(|_| (&file).take(wanted).read_to_end(&mut part));
        read.with_context(|| format!("cannot read '{}'", archive.display()))?;
        if part.len() as u64 != wanted {
            bail!("'{}' became shorter while it was sent", archive.display());
        }
        match registry.append(&place, status.received, &part) {
            Ok(()) => {
                status.received += wanted;
                broken = 0;
            }
            // What arrived before the cut counts: ask, and go on there. It may still be arriving while it is asked for, so
            // that the next part begins too early.
            Err(error) if broken < ATTEMPTS && may_go_on(&error) => {
                broken += 1;
                if let Ok(there) = registry.get::<UploadStatus>(&place) {
                    status = there;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    bar.finish_and_clear();
    let complete = CompleteUpload {
        signature: submission.signature.clone(),
        uploaded_by: submission.uploaded_by.clone(),
        parent: submission.parent.map(|parent| parent.to_string()),
        training_data: submission.training_data.clone(),
        digest: Some(digest.id.to_string()),
    };
    Ok(registry.post_now(&format!("{place}/complete"), &complete)?)
}

fn may_go_on(error: &CallError) -> bool {
    matches!(error, CallError::Unreachable { .. }) || error.code() == Some("wrong_offset")
}

fn place(upload: &str) -> String {
    format!("/api/v1/csa/uploads/{upload}")
}
