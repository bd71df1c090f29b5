//! Artifacts over the network: downloads that go on after a cut and are verified, uploads in parts.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sha2::{Digest as _, Sha256};
use swarm_api::artifact::Artifact;
use swarm_api::bag::Bag;
use swarm_artifact::{ArtifactId, Sha256Sum};
use swarm_registry_client::{ClientError, PART, Submission, Upload, fetch_archive, read_archive};
use swarm_store::hash_archive;

use crate::connection::{CallError, Registry};
use crate::{files, output};

/// How often a download that broke is taken up again before it is given up.
const ATTEMPTS: u32 = 5;
/// Usual size of one part of an upload, in KiB.
pub(crate) const PART_KIB: u64 = PART / 1024;

/// A bar on a terminal, nothing elsewhere.
pub(crate) fn bar(length: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(what.to_owned())
}

/// Downloads an artifact to `path`. The file appears when it has the artifact's digest; until then it is `PATH.part`, and a
/// second try goes on behind what is there.
pub(crate) fn fetch(registry: &Registry, artifact: &Artifact, path: &Path) -> anyhow::Result<()> {
    let (digest, size) = (artifact.digest.parse()?, artifact.size);
    fetch_with(&format!("artifact {digest}"), digest, size, path, &mut |part, told| {
        fetch_archive(registry.connection(), digest, size, part, told)
    })
}

/// The same of a bag's archive.
pub(crate) fn fetch_bag(registry: &Registry, bag: &Bag, path: &Path) -> anyhow::Result<()> {
    let (digest, size) = (bag.digest.parse()?, bag.size);
    fetch_with(&format!("bag {}", bag.id), digest, size, path, &mut |part, told| {
        swarm_registry_client::fetch_bag(registry.connection(), bag.id, digest, size, part, told)
    })
}

/// Appends to a file, and tells how far it is.
type Fetch<'a> = dyn FnMut(&Path, &dyn Fn(u64) -> bool) -> Result<(), ClientError> + 'a;

fn fetch_with(
    what: &str,
    digest: ArtifactId,
    size: u64,
    path: &Path,
    fetch: &mut Fetch<'_>,
) -> anyhow::Result<()> {
    if path.exists() {
        bail!(
            "'{}' exists already and is not overwritten; choose another name or remove it yourself",
            path.display()
        );
    }
    let part = part_of(path);
    let bar = bar(size, what);
    let mut broken = 0;
    let told = |received| {
        bar.set_position(received);
        true
    };
    while let Err(error) = fetch(&part, &told) {
        broken += 1;
        let link = error.is_link();
        let error = CallError::of(format!("the download of {what}"), error);
        // What the registry refuses is refused again; a connection that broke may stand the next time.
        if !link {
            return Err(error.into());
        }
        if broken >= ATTEMPTS {
            return Err(error).with_context(|| {
                format!(
                    "the download broke {ATTEMPTS} times; '{}' keeps what came, try again",
                    part.display()
                )
            });
        }
    }
    bar.finish_and_clear();
    let actual = hash_archive(&part)?.id;
    if actual != digest {
        fs::remove_file(&part).with_context(|| format!("cannot remove '{}'", part.display()))?;
        bail!(
            "the registry's bytes have the digest {actual}, expected {digest}; they were removed: suspect the registry or the link"
        );
    }
    File::open(&part)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("cannot sync '{}'", part.display()))?;
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

/// Reads the artifact's bytes without keeping them: their number and their digest. More than `max_bytes` are an error.
pub(crate) fn hash_download(
    registry: &Registry,
    artifact: ArtifactId,
    max_bytes: u64,
) -> anyhow::Result<(u64, ArtifactId)> {
    let mut sha256 = Sha256::new();
    let length = read_archive(registry.connection(), artifact, max_bytes, |bytes| sha256.update(bytes))
        .map_err(|error| CallError::of(format!("the download of artifact {artifact}"), error))?;
    Ok((length, ArtifactId(Sha256Sum(sha256.finalize().into()))))
}

/// Hands an artifact in, in parts of `part` bytes. `begun` is an upload that was cut off; it goes on where the registry says.
pub(crate) fn upload(
    registry: &Registry,
    archive: &Path,
    submission: Submission,
    part: u64,
    begun: Option<&str>,
    note: impl FnOnce(&str) -> anyhow::Result<()>,
) -> anyhow::Result<Artifact> {
    let failed = |error| CallError::of(format!("the upload of '{}'", archive.display()), error);
    let mut upload = Upload::begin(registry.connection(), archive, begun).map_err(failed)?;
    note(upload.id())?;
    let digest = upload.digest();
    let bar = bar(digest.length, &output::short(&digest.id.to_string()));
    let told = |received| {
        bar.set_position(received);
        true
    };
    upload.send(part, told).map_err(failed)?;
    bar.finish_and_clear();
    Ok(upload.complete(submission).map_err(failed)?)
}
