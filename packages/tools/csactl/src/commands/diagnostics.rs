//! `csactl diagnostics`: what a person who helps from afar asks for first, in one folder. Nothing in it is secret: no token, no
//! password, no key; the audit log's entries name people.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use swarm_audit::Verifier;

use super::audit::follow;
use crate::connection::Registry;
use crate::files;
use crate::{Context, Outcome};

/// Variables that say how registry and command line are set up, and hold no secret. Others are left out, whatever they are.
const SHOWN: [&str; 27] = [
    "REGISTRY_URL",
    "REGISTRY_LISTEN",
    "REGISTRY_DATA_PATH",
    "REGISTRY_PROFILE",
    "ARTIFACT_STORAGE_PATH",
    "TRUST_PATH",
    "MAX_ARTIFACT_BYTES",
    "MAX_DELTA_BYTES",
    "MAX_BAG_BYTES",
    "BAGS_QUOTA_BYTES",
    "BAG_RETENTION_DAYS",
    "DATABASE_CONNECTIONS",
    "TOKEN_KEYS_PATH",
    "TOKEN_AUDIENCE",
    "TLS_CERTIFICATE_PATH",
    "TLS_KEY_PATH",
    "TLS_SITE_CA_PATH",
    "TLS_SITE_CRL_PATH",
    "UPDATE_KEY_PATH",
    "TWO_PERSON_APPROVAL",
    "CSACTL_CA",
    "CSACTL_METADATA",
    "BACKUP_PLACE",
    "BACKUP_TYPE",
    "RETENTION_DAYS",
    "S3_BUCKET",
    "RUST_LOG",
];
/// Variables of which only it is said whether they are set.
const NAMED: [&str; 5] =
    ["DATABASE_URL", "CSACTL_TOKEN", "CSACTL_TOKEN_FILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// Collect health, version, metrics, the state of the update repositories, the last entries of the audit log, and settings
/// without secrets, in a new folder.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The new folder.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many of the audit log's last entries.
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    entries: usize,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Outcome> {
    if args.out.exists() {
        anyhow::bail!("'{}' exists already and is not overwritten; choose another --out", args.out.display());
    }
    let registry = context.registry.open()?;
    files::folder(&args.out)?;
    let mut report = serde_json::Map::new();
    let mut failed = Vec::new();
    // One thing that does not answer keeps none of the others out.
    let mut keep = |name: &str, file: &str, found: anyhow::Result<String>| -> anyhow::Result<()> {
        match found {
            Ok(text) => {
                files::replace(&args.out.join(file), text.as_bytes())?;
                report.insert(name.to_owned(), json!(file));
            }
            Err(error) => {
                let problem = swarm_base::ErrorChain(error.as_ref()).to_string();
                report.insert(name.to_owned(), json!({"problem": problem}));
                failed.push(format!("{name}: {problem}"));
            }
        }
        Ok(())
    };
    for (name, path, file) in [
        ("health", "/health", "health.json"),
        ("database", "/health/database", "health_database.json"),
        ("artifact store", "/health/models", "health_models.json"),
        ("version", "/version", "version.json"),
        ("metrics", "/metrics", "metrics.txt"),
        ("image repository", "/api/v1/update/image/versions", "update_image.json"),
        ("director", "/api/v1/update/director/versions", "update_director.json"),
        ("cells", "/api/v1/cells?limit=1000", "cells.json"),
        ("deployments", "/api/v1/deployments?limit=200", "deployments.json"),
        ("artifacts", "/api/v1/csa/list?limit=200", "artifacts.json"),
    ] {
        keep(name, file, registry.text(path).map_err(Into::into))?;
    }
    keep("audit log", "audit.json", audit(&registry, args.entries))?;
    keep("settings", "settings.json", Ok(settings(context.registry.address())))?;
    let report = Value::Object(report);
    files::replace(&args.out.join("report.json"), format!("{report:#}\n").as_bytes())?;
    context.output.show(&json!({"folder": args.out, "report": report}), || {
        let mut text = format!("collected in {}\n", args.out.display());
        for problem in &failed {
            let _ = writeln!(text, "missing: {}", crate::output::plain(problem));
        }
        text
    })?;
    Ok(if failed.is_empty() { Outcome::Done } else { Outcome::Refused })
}

/// The last entries, and whether the whole log is what was written.
fn audit(registry: &Registry, count: usize) -> anyhow::Result<String> {
    let mut last = std::collections::VecDeque::new();
    let mut verifier = Verifier::default();
    let problem = follow(registry, &mut verifier, |entry| {
        if last.len() == count {
            last.pop_front();
        }
        let event = &entry.event;
        last.push_back(json!({
            "seq": entry.seq, "at_unix": event.at_unix, "who": event.who, "action": event.action,
            "subject": event.subject, "detail": event.detail, "hash": entry.hash.to_string(),
        }));
    })?;
    let (entries, head) = verifier.head();
    let log = json!({
        "entries": entries, "head": head.to_string(), "intact": problem.is_none(), "problem": problem,
        "last": last.into_iter().collect::<Vec<_>>(),
    });
    Ok(format!("{log:#}\n"))
}

fn settings(registry: &str) -> String {
    let shown = SHOWN.iter().filter_map(|name| Some(((*name).to_owned(), json!(std::env::var(name).ok()?))));
    let named = NAMED.iter().map(|name| {
        let state = if std::env::var_os(name).is_some() { "set, and left out" } else { "not set" };
        ((*name).to_owned(), json!(state))
    });
    let settings = json!({
        "registry": registry, "csactl": env!("CARGO_PKG_VERSION"),
        "variables": shown.chain(named).collect::<serde_json::Map<_, _>>(),
    });
    format!("{settings:#}\n")
}
