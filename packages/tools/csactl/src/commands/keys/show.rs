//! `csactl keys show`: who may sign what, and until when it is signed.

use serde::Serialize;
use swarm_api::update::Which;
use swarm_tuf::repository::Repository;
use swarm_tuf::{Moment, ROOT, SNAPSHOT, TARGETS, TIMESTAMP};

use super::version;
use crate::output::{Table, short};
use crate::repositories::{Believed, Expiry, now};
use crate::{Context, Outcome};

/// Show the roles of both update repositories: keys, thresholds, versions, and when they expire.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    believed: Believed,
}

#[derive(Debug, Serialize)]
struct Shown {
    repository: Which,
    role: String,
    version: u64,
    #[serde(rename = "expires")]
    expires_text: String,
    #[serde(skip)]
    expires: Moment,
    threshold: u64,
    keys: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    let now = now();
    let mut roles = Vec::new();
    for which in Which::ALL {
        // What has expired is shown as such.
        let repository = args.believed.open(&registry, which, now, Expiry::Ignored)?;
        roles.extend(roles_of(which, &repository));
    }
    let expired = roles.iter().any(|role| role.expires <= now);
    context.output.show(&roles, || {
        let mut table = Table::new(["repository", "role", "version", "expires", "signatures", "keys"]);
        for role in &roles {
            let mark = if role.expires <= now { " (expired)" } else { "" };
            table.row([
                role.repository.as_str().to_owned(),
                role.role.clone(),
                role.version.to_string(),
                format!("{}{mark}", role.expires_text),
                format!("{} of {}", role.threshold, role.keys.len()),
                role.keys.iter().map(|key| short(key)).collect::<Vec<_>>().join(" "),
            ]);
        }
        table.text("no roles")
    })?;
    Ok(if expired { Outcome::Refused } else { Outcome::Done })
}

fn roles_of(which: Which, repository: &Repository) -> Vec<Shown> {
    let mut heads = vec![(ROOT.to_owned(), version(repository.root()), repository.root().head.expires)];
    if let Some(snapshot) = repository.snapshot() {
        heads.push((SNAPSHOT.to_owned(), snapshot.version(), snapshot.expires()));
    }
    if let Some(timestamp) = repository.timestamp() {
        heads.push((TIMESTAMP.to_owned(), timestamp.version(), timestamp.expires()));
    }
    let targets = repository.roles().iter();
    heads.extend(targets.map(|(name, targets)| (name.clone(), version(targets), targets.head.expires)));
    // Targets before the skills, which are sorted by name.
    heads[1..].sort_by_key(|(name, ..)| (name != TARGETS, name.clone()));
    let role = |(role, version, expires): (String, u64, Moment)| {
        let (keys, threshold) = repository.keys(&role)?;
        let keys = keys.into_iter().map(|key| key.id().to_string()).collect();
        let expires_text = expires.to_string();
        Some(Shown {
            repository: which,
            role,
            version,
            expires_text,
            expires,
            threshold: threshold.get(),
            keys,
        })
    };
    heads.into_iter().filter_map(role).collect()
}
