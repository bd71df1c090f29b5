//! `csactl keys`: the keys of the update framework, and the metadata that names them.

mod ceremony;
mod change;
mod show;

use std::fmt::Write as _;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use ed25519_dalek::SigningKey;
use swarm_api::update::{Versions, Which};
use swarm_artifact::{private_key_from_pem, public_key_from_pem};
use swarm_tuf::repository::{PublishError, Repository};
use swarm_tuf::{Key, Metadata, Moment, ROOT, Refusal, Root, TARGETS};

use crate::connection::{Answer, Registry};
use crate::draft::{DraftFile, sign_with};
use crate::output::{Output, fields};
use crate::repositories::Believed;
use crate::{Context, Outcome, files};

/// Keys of the update framework: made, named in metadata, replaced.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    Ceremony(ceremony::Args),
    Skill(change::NewSkill),
    Rotate(change::Rotate),
    Renew(change::Renew),
    Retire(change::Retire),
    Show(show::Args),
}

pub(crate) fn run(command: &Keys, context: &Context) -> anyhow::Result<Outcome> {
    match command {
        Keys::Ceremony(args) => ceremony::run(args, context),
        Keys::Skill(args) => change::skill(args, context),
        Keys::Rotate(args) => change::rotate(args, context),
        Keys::Renew(args) => change::renew(args, context),
        Keys::Retire(args) => change::retire(args, context),
        Keys::Show(args) => show::run(args, context),
    }
}

/// Who signs, and what becomes of what is signed.
#[derive(Debug, clap::Args)]
pub(crate) struct Signing {
    /// Private key to sign with (PEM, mode 0600); may be given several times.
    #[arg(long = "key", value_name = "FILE", required = true)]
    pub(crate) keys: Vec<PathBuf>,
    /// Write the signed files here instead of handing them in; further people sign with `csactl sign-metadata`.
    #[arg(long, value_name = "FILE")]
    pub(crate) draft: Option<PathBuf>,
}

impl Signing {
    pub(crate) fn read(&self) -> anyhow::Result<Vec<SigningKey>> {
        self.keys.iter().map(|path| files::read_key(path)).collect()
    }
}

/// Signs the next version of a targets role, and takes it into the repository where enough have signed.
pub(crate) fn sign_role(
    repository: &mut Repository,
    role: &str,
    keys: &[SigningKey],
    now: Moment,
    draft: &mut DraftFile,
) -> anyhow::Result<()> {
    let mut next = repository.draft_role(role, now)?;
    let (eligible, threshold) = role_keys(repository, role)?;
    sign_with(&mut next, &eligible, keys);
    enough(repository.adopt_role(role, &next.to_bytes()))?;
    draft.add(role, &next, &eligible, threshold.get());
    Ok(())
}

/// Signs the next root. The keys of the root before it count too, and have to.
pub(crate) fn sign_root(
    repository: &mut Repository,
    before: &Root,
    keys: &[SigningKey],
    now: Moment,
    draft: &mut DraftFile,
) -> anyhow::Result<()> {
    let mut next = repository.draft_root(now)?;
    let (mut eligible, threshold) = role_keys(repository, ROOT)?;
    let old = before.roles.get(ROOT).into_iter().flat_map(|role| &role.keyids);
    eligible.extend(old.filter_map(|id| before.keys.get(id)).cloned());
    eligible.sort_by_key(Key::id);
    eligible.dedup();
    sign_with(&mut next, &eligible, keys);
    enough(repository.adopt_root(&next.to_bytes()))?;
    draft.add(ROOT, &next, &eligible, threshold.get());
    Ok(())
}

/// Too few signatures are no mistake: further people sign the draft.
fn enough(adopted: Result<(), PublishError>) -> anyhow::Result<()> {
    match adopted {
        Ok(()) | Err(PublishError::Refused(Refusal::Signatures { .. })) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn role_keys(repository: &Repository, role: &str) -> anyhow::Result<(Vec<Key>, NonZeroU64)> {
    let (keys, threshold) = repository
        .keys(role)
        .with_context(|| format!("there is no role '{role}'; `csactl keys show` lists them"))?;
    Ok((keys.into_iter().cloned().collect(), threshold))
}

/// Hands the files in, or writes the draft where the user wants one.
pub(crate) fn hand_in(
    draft: &DraftFile,
    to: Option<&Path>,
    registry: &Registry,
    believed: &Believed,
    output: Output,
) -> anyhow::Result<Outcome> {
    if let Some(path) = to {
        draft.write(path)?;
        let progress = draft.progress()?;
        output.show(&serde_json::json!({"draft": path, "files": progress}), || {
            let mut text = format!("written to {}; nothing was handed in\n", path.display());
            for file in &progress {
                let _ = writeln!(
                    text,
                    "{} version {}: {} signatures, {} needed",
                    file.role, file.version, file.signatures, file.needed
                );
            }
            text + "further people: csactl sign-metadata; then: csactl publish-metadata"
        })?;
        return Ok(Outcome::Done);
    }
    publish(draft, registry, Some(believed), output)
}

/// Hands the files in: all of them are published, or none. Where it is known what is believed, it is believed from now on.
pub(crate) fn publish(
    draft: &DraftFile,
    registry: &Registry,
    believed: Option<&Believed>,
    output: Output,
) -> anyhow::Result<Outcome> {
    let which = draft.repository.as_str();
    let path = format!("/api/v1/update/{which}/publish");
    match registry.post::<Versions>(&path, &draft.publish())? {
        Answer::Done(versions) => {
            believed.map_or(Ok(()), |believed| believed.confirm(registry, draft))?;
            output.show(&versions, || {
                format!("published in the {which} repository\n")
                    + &fields([
                        ("root", versions.root.to_string()),
                        ("targets", versions.targets.to_string()),
                        ("snapshot", versions.snapshot.to_string()),
                        ("timestamp", versions.timestamp.to_string()),
                    ])
            })?;
        }
        Answer::Waiting(approval) => super::approvals::waiting(&approval, output)?,
    }
    Ok(Outcome::Done)
}

/// A public key from PEM, of the public or of the private half.
fn read_public(path: &Path) -> anyhow::Result<Key> {
    let text = files::read(path)?;
    let key = match public_key_from_pem(&text) {
        Ok(key) => key,
        Err(public) => match private_key_from_pem(&text) {
            Ok(key) => key.verifying_key(),
            Err(_) => bail!("'{}': {public}", path.display()),
        },
    };
    Ok(Key::ed25519(&key))
}

/// Version of what will be signed next, for messages.
fn version<T: Metadata>(metadata: &T) -> u64 {
    metadata.head().version.get()
}

/// The repositories that a role is in.
fn repositories_of(role: &str) -> &'static [Which] {
    match role {
        ROOT | "online" => &Which::ALL,
        TARGETS => &[Which::Image],
        _ => &[Which::Image],
    }
}
