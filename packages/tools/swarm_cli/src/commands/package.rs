//! `cell package`: a folder becomes a reproducible archive.

use std::path::PathBuf;

use semver::Version;
use serde_json::json;
use swarm_artifact::SkillId;
use swarm_store::{PackageOptions, package};

use crate::Outcome;
use crate::output::print_json;

/// Package a folder as a skill artifact. The same folder gives the same bytes, on every machine.
///
/// The folder holds skill.yaml and everything it names:
///
///   schema_version: 1
///   skill_id: cooperative_assembly
///   version: 1.0.0
///   roles:
///     leader: {tree: trees/leader.xml, tree_id: Leader, robot_group: leader}
///     follower: {tree: trees/follower.xml, tree_id: Follower, robot_group: follower, policy: mate}
///   policies:
///     mate: {file: policies/mate.onnx, golden: policies/mate.golden.json, deadline_us: 2000}
///   envelope: safety_envelope.yaml
///   provenance: {trainer: train.py}
///
/// Further files are packaged, too; names beginning with a dot are left out. Next: `cell sign`.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Folder with skill.yaml, trees, policies and envelope.
    #[arg(long, value_name = "DIR")]
    model_dir: PathBuf,
    /// The archive to write, usually SKILL_vVERSION.tar.gz; an existing one is replaced.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Skill id, instead of the one in skill.yaml.
    #[arg(long, value_name = "NAME", alias = "skill-id")]
    skill_name: Option<SkillId>,
    /// Version, instead of the one in skill.yaml.
    #[arg(long, value_name = "SEMVER")]
    version: Option<Version>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let options = PackageOptions {
        skill_id: args.skill_name.clone(),
        version: args.version.clone(),
        ..PackageOptions::default()
    };
    let packaged = package(&args.model_dir, &args.output, &options)?;
    let skill = &packaged.manifest.skill;
    if args.json {
        print_json(&json!({
            "artifact": packaged.digest.id,
            "bytes": packaged.digest.length,
            "skill_id": skill.skill_id.as_str(),
            "version": skill.version,
            "files": packaged.manifest.files.len(),
            "output": args.output,
            "left_out": packaged.left_out,
        }))?;
        return Ok(Outcome::Done);
    }
    println!("{} {}", skill.skill_id, skill.version);
    println!("artifact  {}", packaged.digest.id);
    let (files, bytes) = (packaged.manifest.files.len(), packaged.digest.length);
    println!("written   {} ({files} files, {bytes} bytes)", args.output.display());
    for path in &packaged.left_out {
        println!("left out  {} (its name begins with a dot)", path.display());
    }
    Ok(Outcome::Done)
}
