//! `csactl upload`: an artifact into the registry, part by part, so that a weak link needs no second beginning.
//!
//! The number of an upload that is under way is kept beside the archive (`ARTIFACT.upload`) until the upload has ended; the
//! same command goes on with it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use swarm_artifact::ArtifactId;
use swarm_registry_client::Submission;
use swarm_store::{read_signatures, signature_path};

use super::artifacts::describe;
use crate::transfer::{PART_KIB, upload};
use crate::{Context, Outcome, files};

/// Hand a signed artifact in. Cut off, the same command goes on where the registry has it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive (.tar.gz).
    artifact: PathBuf,
    /// The signature file [default: ARTIFACT.sig].
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Who hands it in, for people who read the list.
    #[arg(long, env = "USER", value_name = "NAME", default_value = "csactl")]
    uploaded_by: String,
    /// Digest of the artifact that it was made from.
    #[arg(long, value_name = "SHA256")]
    parent: Option<ArtifactId>,
    /// What it was trained on.
    #[arg(long, value_name = "TEXT")]
    training_data: Option<String>,
    /// Size of one part: what is sent again after a cut, at most.
    #[arg(long, value_name = "KIB", default_value_t = PART_KIB, value_parser = clap::value_parser!(u64).range(1..=262_144))]
    part_kib: u64,
}

/// An upload that is under way.
#[derive(Debug, Serialize, Deserialize)]
struct UnderWay {
    registry: String,
    upload_id: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    let signature = args.signature.clone().unwrap_or_else(|| signature_path(&args.artifact));
    // Read as such before megabytes are sent.
    read_signatures(&signature)?;
    let submission = Submission {
        signature: files::read(&signature)?,
        uploaded_by: args.uploaded_by.clone(),
        parent: args.parent.map(|parent| parent.to_string()),
        training_data: args.training_data.clone(),
    };
    let note = note_path(&args.artifact);
    let begun = read_note(&note, context.registry.address())?;
    let part = args.part_kib * 1024;
    let accepted = upload(&registry, &args.artifact, submission, part, begun.as_deref(), |upload_id| {
        let under_way =
            UnderWay { registry: context.registry.address().to_owned(), upload_id: upload_id.to_owned() };
        files::replace(&note, serde_json::to_string(&under_way)?.as_bytes())
    })?;
    fs::remove_file(&note).with_context(|| format!("cannot remove '{}'", note.display()))?;
    context.output.show(&accepted, || describe(&accepted))?;
    Ok(Outcome::Done)
}

fn note_path(artifact: &Path) -> PathBuf {
    let mut name = artifact.as_os_str().to_owned();
    name.push(".upload");
    name.into()
}

fn read_note(path: &Path, registry: &str) -> anyhow::Result<Option<String>> {
    match fs::read(path) {
        // A note that cannot be read costs a new beginning and nothing else.
        Ok(bytes) => Ok(serde_json::from_slice::<UnderWay>(&bytes)
            .ok()
            .filter(|under_way| under_way.registry == registry)
            .map(|under_way| under_way.upload_id)
            .filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read '{}'", path.display())),
    }
}
