//! `cell inspect`: what is in an artifact, and who claims to have signed it. Believes nothing.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;
use swarm_artifact::{ArchiveDigest, Limits, Manifest, SignatureFile};
use swarm_store::{check_contents, hash_archive, read_signatures, signature_path};

use crate::Outcome;
use crate::output::print_json;

/// Show what is in an artifact. Nothing is verified: the signers shown are what the file claims (see `cell verify`).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive (.tar.gz).
    #[arg(long, value_name = "FILE")]
    artifact: PathBuf,
    /// The signature file [default: ARTIFACT.sig].
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let digest = hash_archive(&args.artifact)?;
    let file =
        File::open(&args.artifact).with_context(|| format!("cannot open '{}'", args.artifact.display()))?;
    let manifest = match check_contents(&file, &digest, Limits::default()) {
        Ok(manifest) => manifest,
        Err(error) => {
            println!("refused: {error}");
            return Ok(Outcome::Refused);
        }
    };
    let path = args.signature.clone().unwrap_or_else(|| signature_path(&args.artifact));
    let signatures = if path.exists() { read_signatures(&path)? } else { SignatureFile::empty() };
    if args.json {
        print_json(&as_json(&digest, &manifest, &signatures))?;
    } else {
        print_text(&digest, &manifest, &signatures);
    }
    Ok(Outcome::Done)
}

fn as_json(digest: &ArchiveDigest, manifest: &Manifest, signatures: &SignatureFile) -> serde_json::Value {
    let skill = &manifest.skill;
    let role = |(name, role): (&swarm_base::Role, &swarm_artifact::RoleEntry)| {
        let entry = json!({
            "tree": role.tree, "tree_id": role.tree_id, "robot_group": role.robot_group, "policy": role.policy,
        });
        (name.to_string(), entry)
    };
    let policy = |(name, policy): (&String, &swarm_artifact::PolicyEntry)| {
        let statistics = policy.chunked.as_ref().map(|chunked| &chunked.statistics);
        let entry = json!({
            "file": policy.file, "golden": policy.golden, "deadline_us": policy.deadline_us, "statistics": statistics,
        });
        (name.clone(), entry)
    };
    let files = manifest
        .files
        .iter()
        .map(|file| json!({"path": file.path, "size": file.size, "sha256": file.sha256}));
    let claimed = signatures.signatures.iter();
    let claimed =
        claimed.map(|entry| json!({"key_id": entry.key_id, "claimed_signer": entry.claimed_signer}));
    json!({
        "artifact": digest.id,
        "bytes": digest.length,
        "skill_id": skill.skill_id.as_str(),
        "version": skill.version,
        "base_version": skill.base_version,
        "roles": skill.roles.iter().map(role).collect::<serde_json::Map<_, _>>(),
        "policies": skill.policies.iter().map(policy).collect::<serde_json::Map<_, _>>(),
        "envelope": skill.envelope,
        "provenance": skill.provenance,
        "files": files.collect::<Vec<_>>(),
        "unverified_signatures": claimed.collect::<Vec<_>>(),
    })
}

fn print_text(digest: &ArchiveDigest, manifest: &Manifest, signatures: &SignatureFile) {
    let skill = &manifest.skill;
    println!("{} {}", skill.skill_id, skill.version);
    println!("artifact  {} ({} bytes)", digest.id, digest.length);
    if let Some(base) = &skill.base_version {
        println!("made from {base}");
    }
    for (name, role) in &skill.roles {
        let policy = role.policy.as_ref().map_or(String::new(), |policy| format!(", policy {policy}"));
        println!(
            "role      {name}: tree {} in {}, robots '{}'{policy}",
            role.tree_id, role.tree, role.robot_group
        );
    }
    for (name, policy) in &skill.policies {
        println!("policy    {name}: {}, golden {}, {} us", policy.file, policy.golden, policy.deadline_us);
    }
    println!("envelope  {}", skill.envelope);
    for (key, value) in &skill.provenance {
        println!("from      {}: {}", key.escape_debug(), value.escape_debug());
    }
    for file in &manifest.files {
        println!("file      {:>12} {} {}", file.size, file.sha256, file.path);
    }
    for entry in &signatures.signatures {
        println!(
            "signature {} claims '{}' (not verified)",
            entry.key_id,
            entry.claimed_signer.escape_debug()
        );
    }
    if signatures.signatures.is_empty() {
        println!("signature none");
    }
}
