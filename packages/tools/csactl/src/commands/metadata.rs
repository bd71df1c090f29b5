//! Signed metadata that is handed in: drafts of several people, the ceremony's first files.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::bail;

use super::keys::publish;
use crate::draft::DraftFile;
use crate::repositories::{Believed, Days};
use crate::{Context, Outcome, files};

/// Add a signature to a draft; shows what is signed.
#[derive(Debug, clap::Args)]
pub(crate) struct Sign {
    /// The draft, as --draft wrote it. It is replaced by the one with the further signature.
    draft: PathBuf,
    /// Private key to sign with (PEM, mode 0600).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

pub(crate) fn sign(args: &Sign, context: &Context) -> anyhow::Result<Outcome> {
    let mut draft = DraftFile::read(&args.draft)?;
    let signed = draft.sign(&files::read_key(&args.key)?)?;
    draft.write(&args.draft)?;
    let progress = draft.progress()?;
    context.output.show(&serde_json::json!({"signed": signed, "files": progress}), || {
        let mut text = String::new();
        for file in &progress {
            let mark = if signed.contains(&file.role) { "signed" } else { "not signed with this key" };
            let _ = writeln!(
                text,
                "{} {} version {}, good until {}: {mark}; {} signatures, {} needed",
                draft.repository.as_str(),
                file.role,
                file.version,
                file.expires,
                file.signatures,
                file.needed
            );
            for line in &file.says {
                let _ = writeln!(text, "    {}", crate::output::plain(line));
            }
        }
        text
    })?;
    Ok(Outcome::Done)
}

/// Hand the files of drafts in. All files of one draft are published together, or none.
#[derive(Debug, clap::Args)]
pub(crate) struct Publish {
    /// The drafts.
    #[arg(required = true)]
    drafts: Vec<PathBuf>,
    /// Folder with what is believed of the update repositories, to remember what is published now.
    #[arg(long, env = "CSACTL_METADATA", value_name = "DIR")]
    metadata: Option<PathBuf>,
}

pub(crate) fn publish_drafts(args: &Publish, context: &Context) -> anyhow::Result<Outcome> {
    let drafts: Vec<DraftFile> =
        args.drafts.iter().map(|path| DraftFile::read(path)).collect::<anyhow::Result<_>>()?;
    let registry = context.registry.open()?;
    let believed = args.metadata.clone().map(|metadata| Believed { metadata, days: Days::default() });
    for draft in &drafts {
        publish(draft, &registry, believed.as_ref(), context.output)?;
    }
    Ok(Outcome::Done)
}

/// Hand the first metadata of a ceremony in: image and director.
#[derive(Debug, clap::Args)]
pub(crate) struct PublishRoot {
    /// The folder `publish` of the ceremony.
    folder: PathBuf,
    /// Folder with what is believed of the update repositories, to remember what is published now.
    #[arg(long, env = "CSACTL_METADATA", value_name = "DIR")]
    metadata: Option<PathBuf>,
}

pub(crate) fn publish_root(args: &PublishRoot, context: &Context) -> anyhow::Result<Outcome> {
    let drafts: Vec<PathBuf> =
        ["image.json", "director.json"].iter().map(|name| args.folder.join(name)).collect();
    if let Some(missing) = drafts.iter().find(|path| !path.exists()) {
        bail!("'{}' is missing; expected the folder `publish` of a ceremony", missing.display());
    }
    publish_drafts(&Publish { drafts, metadata: args.metadata.clone() }, context)
}
