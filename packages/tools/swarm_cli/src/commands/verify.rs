//! `cell verify`: is this artifact believed, and sound?

use std::fs::File;
use std::path::{Path, PathBuf};

use semver::Version;
use serde_json::json;
use swarm_artifact::{Intent, Limits, Manifest, Trust, Verified, check_version};
use swarm_store::{
    StoreError, VerifiedArchive, check_contents, read_trust, signature_path, unix_now, verify_archive,
};

use crate::Outcome;
use crate::output::print_json;

/// Check an artifact: signatures first, then every file against its manifest. Nothing is written.
///
/// Exit codes: 0 good, 1 refused (the reason is printed), 2 could not look (missing file, unusable trust file).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive (.tar.gz).
    #[arg(long, value_name = "FILE")]
    artifact: PathBuf,
    /// The signature file [default: ARTIFACT.sig].
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// The trust file of the cell (`cell keys trust`).
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// Also refuse an artifact that is not newer than this version (the deployed one).
    #[arg(long, value_name = "SEMVER")]
    newer_than: Option<Version>,
    /// Check the signatures only, not the contents: one pass over the bytes, nothing is decompressed.
    #[arg(long)]
    signatures_only: bool,
    /// Print the verdict as JSON.
    #[arg(long)]
    json: bool,
}

/// What is asked about an artifact.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub archive: &'a Path,
    pub signatures: &'a Path,
    pub trust: &'a Trust,
    /// Seconds since 1970-01-01 UTC.
    pub now_unix: i64,
    /// The version that the artifact must be newer than.
    pub newer_than: Option<&'a Version>,
}

/// Signatures, contents, version: what the store asks of an artifact before it takes and deploys it.
pub fn judge(question: &Question<'_>) -> Result<(Verified, Manifest), StoreError> {
    let Question { archive, signatures, trust, now_unix, newer_than } = *question;
    let VerifiedArchive { digest, verified } = verify_archive(archive, signatures, trust, now_unix)?;
    let file = File::open(archive).map_err(|source| StoreError::Io {
        what: "open the archive",
        path: archive.to_owned(),
        source,
    })?;
    let manifest = check_contents(&file, &digest, Limits::default())
        .map_err(|source| StoreError::Refused { artifact: digest.id, source })?;
    let (skill, version) = (&manifest.skill.skill_id, &manifest.skill.version);
    check_version(newer_than, version, Intent::Upgrade)
        .map_err(|source| StoreError::Version { skill: skill.clone(), source })?;
    Ok((verified, manifest))
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let trust = read_trust(&args.trust)?;
    let signatures = args.signature.clone().unwrap_or_else(|| signature_path(&args.artifact));
    let question = Question {
        archive: &args.artifact,
        signatures: &signatures,
        trust: &trust,
        now_unix: unix_now(),
        newer_than: args.newer_than.as_ref(),
    };
    let answer = if args.signatures_only {
        verify_archive(&args.artifact, &signatures, &trust, question.now_unix)
            .map(|archive| (archive.verified, None))
    } else {
        judge(&question).map(|(verified, manifest)| (verified, Some(manifest)))
    };
    match answer {
        Ok((verified, manifest)) => {
            report_good(args, &verified, manifest.as_ref())?;
            Ok(Outcome::Done)
        }
        Err(error) => report_refusal(args, error),
    }
}

fn report_good(args: &Args, verified: &Verified, manifest: Option<&Manifest>) -> anyhow::Result<()> {
    let skill = manifest.map(|manifest| &manifest.skill);
    let ignored: Vec<_> = verified.ignored().iter().map(ToString::to_string).collect();
    if args.json {
        return print_json(&json!({
            "verdict": "good",
            "artifact": verified.artifact(),
            "skill_id": skill.map(|skill| skill.skill_id.as_str()),
            "version": skill.map(|skill| &skill.version),
            "signers": verified.signers(),
            "ignored": ignored,
        }));
    }
    match skill {
        Some(skill) => println!("good: {} {}", skill.skill_id, skill.version),
        None => println!("good signatures; the contents were not checked"),
    }
    println!("artifact   {}", verified.artifact());
    println!("signed by  {}", verified.signers().iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    for reason in ignored {
        println!("ignored    {reason}");
    }
    Ok(())
}

fn report_refusal(args: &Args, error: StoreError) -> anyhow::Result<Outcome> {
    let Some(code) = error.refusal_code() else { return Err(error.into()) };
    if args.json {
        print_json(&json!({"verdict": "refused", "code": code, "reason": error.to_string()}))?;
    } else {
        println!("refused: {error}");
    }
    Ok(Outcome::Refused)
}
