//! Artifacts in the registry: list, show, download, quarantine, release.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use swarm_api::artifact::{Artifact, ArtifactPage, Reason, Status};
use swarm_artifact::SkillId;

use crate::output::{Table, fields, short, size};
use crate::target::Reference;
use crate::transfer::fetch;
use crate::{Context, Outcome, files};

/// List artifacts, newest first.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those of this skill.
    #[arg(long, value_name = "SKILL")]
    skill: Option<SkillId>,
    /// Only those that are active, or quarantined.
    #[arg(long, value_name = "STATUS", value_parser = ["active", "quarantined"])]
    status: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
}

pub(crate) fn list(args: &List, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    let mut items: Vec<Artifact> = Vec::new();
    let mut after = None;
    while items.len() < args.limit {
        let limit = (args.limit - items.len()).min(1000);
        let mut path = format!("/api/v1/csa/list?limit={limit}");
        if let Some(skill) = &args.skill {
            let _ = write!(path, "&skill_name={skill}");
        }
        if let Some(status) = &args.status {
            let _ = write!(path, "&status={status}");
        }
        if let Some(after) = after {
            let _ = write!(path, "&after={after}");
        }
        let page: ArtifactPage = registry.get(&path)?;
        items.extend(page.items);
        after = page.next_after;
        if after.is_none() {
            break;
        }
    }
    context.output.show(&items, || {
        let mut table =
            Table::new(["id", "skill", "version", "status", "size", "digest", "signed by", "uploaded"]);
        for item in &items {
            table.row([
                item.id.to_string(),
                item.skill_name.clone(),
                item.version.clone(),
                status(item).to_owned(),
                size(item.size),
                short(&item.digest),
                item.signers.join(" "),
                item.uploaded_at.clone(),
            ]);
        }
        let more = if after.is_some() { "there are more; see --limit\n" } else { "" };
        table.text("no artifacts") + more
    })?;
    Ok(Outcome::Done)
}

fn status(artifact: &Artifact) -> &'static str {
    match artifact.status {
        Status::Active => "active",
        Status::Quarantined => "quarantined",
    }
}

/// One artifact, below each other.
pub(crate) fn describe(artifact: &Artifact) -> String {
    let from = &artifact.provenance;
    let mut text = fields([
        ("id", artifact.id.to_string()),
        ("skill", artifact.skill_name.clone()),
        ("version", artifact.version.clone()),
        ("status", status(artifact).to_owned()),
        ("digest", artifact.digest.clone()),
        ("size", size(artifact.size)),
        ("signed by", artifact.signers.join(", ")),
        ("uploaded", format!("{} by {} ({})", artifact.uploaded_at, from.uploader, from.uploaded_by)),
        (
            "made from",
            from.parent.clone().or_else(|| from.base_version.clone()).unwrap_or_else(|| "-".to_owned()),
        ),
    ]);
    if let Some(quarantine) = &artifact.quarantine {
        text += &fields([(
            "quarantined",
            format!("{} by {}: {}", quarantine.since, quarantine.by, quarantine.reason),
        )]);
    }
    text
}

/// Show one artifact.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// Number, digest, or SKILL@VERSION.
    csa: Reference,
}

pub(crate) fn show(args: &Show, context: &Context) -> anyhow::Result<Outcome> {
    let artifact = args.csa.find(&context.registry.open()?)?;
    context.output.show(&artifact, || describe(&artifact))?;
    Ok(Outcome::Done)
}

/// Download an artifact and its signature file. What is there already of a download that broke is not asked for again.
///
/// The digest is verified; whether to believe the artifact is `cell verify`'s to say, with the trust file of the cell.
#[derive(Debug, clap::Args)]
pub(crate) struct Download {
    /// Number, digest, or SKILL@VERSION.
    csa: Reference,
    /// File for the archive [default: SKILL_vX.Y.Z.tar.gz here]; the signature file goes beside it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn download(args: &Download, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    let artifact = args.csa.find(&registry)?;
    let out = if let Some(out) = &args.out {
        out.clone()
    } else {
        // The registry's words become the name of a file: only as what they should be.
        let skill: SkillId = artifact.skill_name.parse().map_err(anyhow::Error::msg)?;
        let version: semver::Version = artifact.version.parse().context("the registry's version")?;
        format!("{skill}_v{version}.tar.gz").into()
    };
    let signature = registry.text(&format!("/api/v1/csa/{}/signature", artifact.digest))?;
    fetch(&registry, &artifact, &out)?;
    let beside = swarm_store::signature_path(&out);
    files::replace(&beside, signature.as_bytes())?;
    let report = serde_json::json!({"archive": out, "signature": beside, "digest": artifact.digest});
    context.output.show(&report, || {
        format!(
            "{}\n{}\ndigest {} is right; the signatures were not judged",
            out.display(),
            beside.display(),
            artifact.digest
        )
    })?;
    Ok(Outcome::Done)
}

/// Withdraw an artifact: it stays listed with its reason, and is handed out no more.
#[derive(Debug, clap::Args)]
pub(crate) struct Quarantine {
    /// Number, digest, or SKILL@VERSION.
    csa: Reference,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(crate) fn quarantine(args: &Quarantine, context: &Context) -> anyhow::Result<Outcome> {
    change(args, "quarantine", context)
}

/// Lift a quarantine.
pub(crate) fn release(args: &Quarantine, context: &Context) -> anyhow::Result<Outcome> {
    change(args, "release", context)
}

fn change(args: &Quarantine, verb: &str, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    let id = args.csa.find(&registry)?.digest;
    let reason = Reason { reason: args.reason.clone() };
    let artifact: Artifact = registry.post_now(&format!("/api/v1/csa/{id}/{verb}"), &reason)?;
    context.output.show(&artifact, || describe(&artifact))?;
    Ok(Outcome::Done)
}
