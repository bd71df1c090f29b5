//! What exists, as cells are told: artifacts named in the image repository, and taken out of it again.
//!
//! An artifact is named under a skill's key only after it was verified here, against a trust file of whoever holds that key:
//! the registry's word is not enough.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use semver::Version;
use swarm_api::artifact::{Artifact, Status};
use swarm_api::update::Which;
use swarm_artifact::{Limits, SkillId};
use swarm_store::{check_contents, read_trust, unix_now, verify_archive};
use swarm_tuf::TargetFile;
use swarm_tuf::repository::Repository;

use super::fleet;
use super::keys::{Signing, hand_in, sign_role};
use crate::connection::Registry;
use crate::draft::DraftFile;
use crate::repositories::{Believed, Expiry, now, top_level_and};
use crate::target::{Reference, site_id, target_path};
use crate::transfer::fetch;
use crate::{Context, Outcome};

/// Name an artifact in the image repository, so that cells can be sent to it.
///
/// The artifact is downloaded and verified first: digest, signatures against --trust, contents, skill and version.
#[derive(Debug, clap::Args)]
pub(crate) struct Publish {
    skill: SkillId,
    version: Version,
    /// The trust file: whose signatures make an artifact believed.
    #[arg(long, env = "TRUST_PATH", value_name = "FILE")]
    trust: PathBuf,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    believed: Believed,
}

pub(crate) fn publish(args: &Publish, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    let keys = args.signing.read()?;
    let now = now();
    let role = args.skill.as_str();
    let in_date = top_level_and(role);
    let mut image = args.believed.open(&registry, Which::Image, now, Expiry::Checked(&in_date))?;
    let path = target_path(&args.skill, &args.version)?;
    let file = verified(args, &registry)?;
    known_role(&image, role)?;
    if let Some(there) = image.role(role)?.targets.get(path.as_str()) {
        if *there == file {
            context.output.show(&serde_json::json!({"path": path.as_str(), "unchanged": true}), || {
                format!("{path} is in the image repository already")
            })?;
            return Ok(Outcome::Done);
        }
        bail!(
            "the image repository has other bytes as {path}; a version is never given twice, package a new one"
        );
    }
    image.set_target(role, &path, file)?;
    let mut draft = DraftFile::new(Which::Image);
    sign_role(&mut image, role, &keys, now, &mut draft)?;
    hand_in(&draft, args.signing.draft.as_deref(), &registry, &args.believed, context.output)
}

/// Take an artifact out of the image repository: no cell can be sent to it any more, not even by a director that was taken over.
///
/// Cells that run it leave it as soon as they hear of this and nothing moves: for what they are assigned instead (see `csactl rollback`), or
/// else for their own last good artifact, or else they begin no run.
#[derive(Debug, clap::Args)]
pub(crate) struct Withdraw {
    skill: SkillId,
    version: Version,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    believed: Believed,
}

pub(crate) fn withdraw(args: &Withdraw, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    let keys = args.signing.read()?;
    let now = now();
    let (role, path) = (args.skill.as_str(), target_path(&args.skill, &args.version)?);
    let in_date = top_level_and(role);
    let mut image = args.believed.open(&registry, Which::Image, now, Expiry::Checked(&in_date))?;
    known_role(&image, role)?;
    if image.remove_target(role, &path)?.is_none() {
        context.output.show(&serde_json::json!({"path": path.as_str(), "unchanged": true}), || {
            format!("{path} is not in the image repository")
        })?;
        return Ok(Outcome::Done);
    }
    let mut draft = DraftFile::new(Which::Image);
    sign_role(&mut image, role, &keys, now, &mut draft)?;
    hand_in(&draft, args.signing.draft.as_deref(), &registry, &args.believed, context.output)
}

/// Publish an artifact and send cells to it.
#[derive(Debug, clap::Args)]
pub(crate) struct Promote {
    #[command(flatten)]
    publish: Publish,
    /// A cell to send to it; may be given several times.
    #[arg(long = "cell", value_name = "SITE", value_parser = site_id, required = true)]
    cells: Vec<String>,
    /// Why; it is kept in the history.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(crate) fn promote(args: &Promote, context: &Context) -> anyhow::Result<Outcome> {
    if args.publish.signing.draft.is_some() {
        bail!(
            "--draft publishes nothing, so that there is nothing to send cells to; use `csactl publish` and then `csactl deploy`"
        );
    }
    publish(&args.publish, context)?;
    let csa = Reference::Version(args.publish.skill.clone(), args.publish.version.clone());
    fleet::assign(&context.registry.open()?, &csa, &args.cells, &args.reason, context.output)
}

fn known_role(image: &Repository, role: &str) -> anyhow::Result<()> {
    if image.roles().contains_key(role) {
        return Ok(());
    }
    bail!(
        "nobody may sign for skill {role} yet; whoever holds the targets key runs `csactl keys skill {role}`"
    )
}

/// The registry's artifact, verified here.
fn verified(args: &Publish, registry: &Registry) -> anyhow::Result<TargetFile> {
    let (skill, version) = (&args.skill, &args.version);
    let artifact = Reference::Version(skill.clone(), version.clone()).find(registry)?;
    refuse_quarantined(&artifact)?;
    let folder = tempfile::tempdir().context("cannot make a folder for the download")?;
    let archive = folder.path().join("artifact.tar.gz");
    fetch(registry, &artifact, &archive)?;
    let signature = folder.path().join("artifact.tar.gz.sig");
    let text = registry.text(&format!("/api/v1/csa/{}/signature", artifact.digest))?;
    std::fs::write(&signature, text).context("cannot write the signature file")?;
    verify(&archive, &signature, &args.trust, skill, version)
}

fn refuse_quarantined(artifact: &Artifact) -> anyhow::Result<()> {
    match (&artifact.status, &artifact.quarantine) {
        (Status::Active, _) => Ok(()),
        (Status::Quarantined, quarantine) => {
            let reason =
                quarantine.as_ref().map_or("no reason given", |quarantine| quarantine.reason.as_str());
            bail!(
                "artifact {} is quarantined ({}); nobody is to run it",
                artifact.digest,
                crate::output::plain(reason)
            )
        }
    }
}

/// Digest, signatures, contents, and that it is what it is called.
fn verify(
    archive: &Path,
    signature: &Path,
    trust: &Path,
    skill: &SkillId,
    version: &Version,
) -> anyhow::Result<TargetFile> {
    let trust = read_trust(trust)?;
    let verified = verify_archive(archive, signature, &trust, unix_now())?;
    let file = File::open(archive).context("cannot read the download")?;
    let manifest = check_contents(&file, &verified.digest, Limits::default())?;
    if manifest.skill.skill_id != *skill || manifest.skill.version != *version {
        bail!(
            "the registry's {skill} {version} calls itself {} {} in its manifest; suspect the registry",
            manifest.skill.skill_id,
            manifest.skill.version
        );
    }
    Ok(TargetFile::new(verified.digest.length, verified.digest.id.0.0))
}
