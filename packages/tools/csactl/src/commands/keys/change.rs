//! Changes of who may sign: a skill's first key, other keys for a role, none any more, and signatures before they run out.

use std::num::NonZeroU64;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use swarm_api::update::Which;
use swarm_artifact::SkillId;
use swarm_tuf::repository::{NewDelegation, Repository};
use swarm_tuf::{Key, ROOT, SNAPSHOT, TARGETS, TIMESTAMP};

use super::{Signing, hand_in, read_public, repositories_of, sign_role, sign_root};
use crate::draft::DraftFile;
use crate::repositories::{Believed, Expiry, TOP_LEVEL, now};
use crate::{Context, Outcome, files};

/// Make a key for a skill, and have the image repository trust it with the skill's artifacts and with nothing else.
///
/// Signed with the targets keys (--key). The new key signs the skill's first, empty list.
#[derive(Debug, clap::Args)]
pub(crate) struct NewSkill {
    /// The skill, such as cooperative_assembly.
    skill: SkillId,
    /// File for the skill's new key.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    believed: Believed,
}

pub(super) fn skill(args: &NewSkill, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    let mut keys = args.signing.read()?;
    let now = now();
    let mut image = args.believed.open(&registry, Which::Image, now, Expiry::Checked(&TOP_LEVEL))?;
    let role = args.skill.as_str();
    if image.roles().contains_key(role) {
        bail!("skill {role} has a key already; replace it with `csactl keys rotate {role}`");
    }
    let key = files::new_key(&args.out)?;
    let delegation = NewDelegation {
        name: role.to_owned(),
        keys: vec![Key::ed25519(&key.verifying_key())],
        threshold: NonZeroU64::MIN,
        paths: vec![format!("{role}/*")],
        terminating: true,
    };
    let handed_in = (|| {
        image.delegate(TARGETS, &delegation)?;
        keys.push(key);
        let mut draft = DraftFile::new(Which::Image);
        sign_role(&mut image, TARGETS, &keys, now, &mut draft)?;
        sign_role(&mut image, role, &keys, now, &mut draft)?;
        hand_in(&draft, args.signing.draft.as_deref(), &registry, &args.believed, context.output)
    })();
    handed_in.with_context(|| {
        let path = args.out.display();
        format!(
            "the key '{path}' was made; unless `csactl keys show` lists the skill, no metadata names it: remove it then, and \
             try again"
        )
    })
}

/// Give a role other keys: root, targets, online (what the registry signs), or a skill.
///
/// Signed with --key: for `root` with enough of the old keys and enough of the new ones, for `targets` and `online` with the
/// root keys (and the new targets keys), for a skill with the targets keys and the new key. Cells follow by themselves,
/// however long they were away. For `online`, the registry's file of update keys (UPDATE_KEY_PATH) holds the old and the new
/// key until this is published: it signs with whichever the root names. What has expired of the role itself is signed anew with that.
#[derive(Debug, clap::Args)]
pub(crate) struct Rotate {
    /// root, targets, online, or a skill.
    role: String,
    /// All keys that the role has from now on (PEM, public or private halves); may be given several times.
    #[arg(long = "new-key", value_name = "FILE", required = true)]
    new_keys: Vec<PathBuf>,
    /// How many of them have to sign [default: as many as until now, if there are that many].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=16))]
    threshold: Option<u64>,
    /// The repository, where the role is in both and only one is to change; --draft needs it then.
    #[arg(long, value_name = "image|director", value_parser = which)]
    repository: Option<Which>,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    believed: Believed,
}

fn which(text: &str) -> Result<Which, String> {
    Which::ALL
        .into_iter()
        .find(|which| which.as_str() == text)
        .ok_or_else(|| format!("expected image or director, found '{text}'"))
}

pub(super) fn rotate(args: &Rotate, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    let keys = args.signing.read()?;
    let new: Vec<Key> = args.new_keys.iter().map(|path| read_public(path)).collect::<anyhow::Result<_>>()?;
    let affected: Vec<Which> = match args.repository {
        Some(which) => vec![which],
        None => repositories_of(&args.role).to_vec(),
    };
    if affected.len() > 1 && args.signing.draft.is_some() {
        bail!(
            "--draft holds one repository's files, and {} is in both; give --repository, once each",
            args.role
        );
    }
    let now = now();
    let mut drafts = Vec::new();
    // Both are signed before either is handed in: a missing signature is noticed while nothing has changed.
    for which in affected {
        let roles = named(&args.role, which);
        let in_date: Vec<&str> = TOP_LEVEL.into_iter().filter(|role| !roles.contains(role)).collect();
        let mut repository = args.believed.open(&registry, which, now, Expiry::Checked(&in_date))?;
        let before = repository.root().clone();
        for role in &roles {
            let threshold = threshold(args, &repository, role, new.len())?;
            repository.set_keys(role, &new, threshold)?;
        }
        let mut draft = DraftFile::new(which);
        if *repository.root() != before {
            sign_root(&mut repository, &before, &keys, now, &mut draft)?;
        }
        // The registry signs its own roles again by itself.
        if args.role != "online" && args.role != ROOT {
            sign_role(&mut repository, TARGETS, &keys, now, &mut draft)?;
        }
        if !matches!(args.role.as_str(), ROOT | TARGETS | "online") {
            sign_role(&mut repository, &args.role, &keys, now, &mut draft)?;
        }
        drafts.push(draft);
    }
    for draft in &drafts {
        hand_in(draft, args.signing.draft.as_deref(), &registry, &args.believed, context.output)?;
    }
    Ok(Outcome::Done)
}

/// The roles of the metadata that one word stands for.
fn named(role: &str, which: Which) -> Vec<&str> {
    match (role, which) {
        ("online", Which::Image) => vec![SNAPSHOT, TIMESTAMP],
        ("online", Which::Director) => vec![TARGETS, SNAPSHOT, TIMESTAMP],
        (role, _) => vec![role],
    }
}

fn threshold(args: &Rotate, repository: &Repository, role: &str, count: usize) -> anyhow::Result<NonZeroU64> {
    let (_, now) = repository.keys(role).with_context(|| {
        format!("there is no role '{role}'; expected root, targets, online, or a skill of `csactl keys show`")
    })?;
    let threshold = args.threshold.and_then(NonZeroU64::new).unwrap_or(now);
    if threshold.get() > count as u64 {
        bail!(
            "role {role} would need {threshold} signatures and have {count} keys; give more --new-key, or --threshold"
        );
    }
    Ok(threshold)
}

/// Trust nobody any more with the artifacts of a skill; what it has is withdrawn with that.
///
/// For a skill that is given up, also where its key is lost. Signed with the targets keys (--key). Cells that run the skill leave it as
/// they do after `csactl withdraw`. `csactl keys skill` begins it anew, with no artifacts.
#[derive(Debug, clap::Args)]
pub(crate) struct Retire {
    /// The skill, such as cooperative_assembly.
    skill: SkillId,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    believed: Believed,
}

pub(super) fn retire(args: &Retire, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    let keys = args.signing.read()?;
    let now = now();
    let mut image = args.believed.open(&registry, Which::Image, now, Expiry::Checked(&TOP_LEVEL))?;
    let role = args.skill.as_str();
    if role == TARGETS || !image.roles().contains_key(role) {
        bail!("there is no skill {role} to retire; `csactl keys show` lists them");
    }
    image.revoke(TARGETS, role)?;
    let mut draft = DraftFile::new(Which::Image);
    sign_role(&mut image, TARGETS, &keys, now, &mut draft)?;
    hand_in(&draft, args.signing.draft.as_deref(), &registry, &args.believed, context.output)
}

/// Sign a role anew with nothing in it changed, before its signature runs out or after.
#[derive(Debug, clap::Args)]
pub(crate) struct Renew {
    /// root, targets, or a skill.
    role: String,
    /// The repository of `root`.
    #[arg(long, value_name = "image|director", value_parser = which, default_value = "image")]
    repository: Which,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    believed: Believed,
}

pub(super) fn renew(args: &Renew, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    let keys = args.signing.read()?;
    let now = now();
    // What has expired is what is renewed. Versions are held against those that were believed, as always.
    let mut repository = args.believed.open(&registry, args.repository, now, Expiry::Ignored)?;
    let before = repository.root().clone();
    repository.touch(&args.role)?;
    let mut draft = DraftFile::new(args.repository);
    match args.role.as_str() {
        ROOT => sign_root(&mut repository, &before, &keys, now, &mut draft)?,
        SNAPSHOT | TIMESTAMP => bail!("{} is signed by the registry, which does it by itself", args.role),
        role => sign_role(&mut repository, role, &keys, now, &mut draft)?,
    }
    hand_in(&draft, args.signing.draft.as_deref(), &registry, &args.believed, context.output)
}
