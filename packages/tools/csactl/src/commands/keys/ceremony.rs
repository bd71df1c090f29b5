//! `csactl keys ceremony`: the beginning of trust.
//!
//! 1. Make the keys: roots, targets, and the registry's online key.
//! 2. Sign the first root of both repositories with all root keys, and the first, empty targets of the image repository.
//! 3. Put everything where it belongs: `offline`, `registry`, `cells`, `publish`.

use std::num::NonZeroU64;
use std::path::PathBuf;

use anyhow::bail;
use ed25519_dalek::SigningKey;
use serde_json::json;
use swarm_api::update::Which;
use swarm_tuf::repository::{NewRole, NewRoles, Repository};
use swarm_tuf::{Key, ROOT, TARGETS};

use super::role_keys;
use crate::draft::{DraftFile, sign_with};
use crate::files::{self, Access};
use crate::repositories::{Days, now};
use crate::{Context, Outcome};

/// Make the first keys and the first signed metadata of both update repositories. Needs no network, and should have none.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// New folder for all of it; one that holds a ceremony already is refused.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many root keys are made. Each belongs to another person.
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    root_keys: u8,
    /// How many of them have to sign a new root.
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    root_threshold: u8,
    /// How many keys may sign which skills there are, and whose.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    targets_keys: u8,
    /// How many of them have to.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    targets_threshold: u8,
    #[command(flatten)]
    days: Days,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Outcome> {
    for (role, keys, threshold) in
        [(ROOT, args.root_keys, args.root_threshold), (TARGETS, args.targets_keys, args.targets_threshold)]
    {
        if threshold > keys {
            bail!(
                "--{role}-threshold is {threshold}, but only {keys} {role} keys are made: nothing could ever be signed"
            );
        }
    }
    let folder = |name: &str| args.out.join(name);
    if folder("offline").exists() || folder("registry").exists() {
        bail!(
            "'{}' holds a ceremony already; its keys are not overwritten, choose another --out",
            args.out.display()
        );
    }
    for name in ["offline", "registry", "cells", "publish"] {
        files::folder(&folder(name))?;
    }
    // 1.
    let make = |role: &str, count: u8| -> anyhow::Result<Vec<SigningKey>> {
        (1..=count)
            .map(|number| files::new_key(&folder("offline").join(format!("{role}-{number}.pem"))))
            .collect()
    };
    let root_keys = make(ROOT, args.root_keys)?;
    let targets_keys = make(TARGETS, args.targets_keys)?;
    let online = files::new_key(&folder("registry").join("online.pem"))?;
    // 2.
    let now = now();
    let role = |keys: &[SigningKey], threshold: u8| NewRole {
        keys: keys.iter().map(|key| Key::ed25519(&key.verifying_key())).collect(),
        threshold: NonZeroU64::new(threshold.into()).unwrap_or(NonZeroU64::MIN),
    };
    let online = || role(std::slice::from_ref(&online), 1);
    for which in Which::ALL {
        let targets = match which {
            Which::Image => role(&targets_keys, args.targets_threshold),
            Which::Director => online(),
        };
        let root = role(&root_keys, args.root_threshold);
        let roles = NewRoles { root, targets, snapshot: online(), timestamp: online() };
        let mut repository = Repository::create(roles, args.days.lifetimes());
        let mut draft = DraftFile::new(which);
        let mut first = repository.draft_root(now)?;
        let (eligible, threshold) = role_keys(&repository, ROOT)?;
        sign_with(&mut first, &eligible, &root_keys);
        repository.adopt_root(&first.to_bytes())?;
        draft.add(ROOT, &first, &eligible, threshold.get());
        let pinned = folder("cells").join(format!("{}_root.json", which.as_str()));
        files::create(&pinned, &first.to_bytes(), Access::Everyone)?;
        if which == Which::Image {
            let mut first = repository.draft_role(TARGETS, now)?;
            let (eligible, threshold) = role_keys(&repository, TARGETS)?;
            sign_with(&mut first, &eligible, &targets_keys);
            repository.adopt_role(TARGETS, &first.to_bytes())?;
            draft.add(TARGETS, &first, &eligible, threshold.get());
        }
        // 3.
        draft.write(&folder("publish").join(format!("{}.json", which.as_str())))?;
    }
    let out = args.out.display();
    let report = json!({
        "offline": folder("offline"), "registry": folder("registry"), "cells": folder("cells"), "publish": folder("publish"),
        "root_keys": args.root_keys, "root_threshold": args.root_threshold,
        "targets_keys": args.targets_keys, "targets_threshold": args.targets_threshold,
    });
    context.output.show(&report, || {
        format!(
            "{out}/offline/root-*.pem     one to each of {} people, kept away from any network, in different places;\n\
             \x20                            {} of them together sign a new root. Keep no copies together here.\n\
             {out}/offline/targets-*.pem  to whoever says which skills there are; away from any network too\n\
             {out}/registry/online.pem    to the registry alone: UPDATE_KEY_PATH, mode 0600\n\
             {out}/cells                  to every cell, once, by a way that is trusted: the pinned roots; and to whoever\n\
             \x20                            publishes, as --metadata\n\
             {out}/publish                to the registry once it runs: csactl publish-root {out}/publish\n",
            args.root_keys, args.root_threshold
        )
    })?;
    Ok(Outcome::Done)
}
