//! `csactl verify-all`: is every artifact what its digest says, and is it signed by whom we believe?

use std::path::PathBuf;

use anyhow::bail;
use swarm_api::artifact::{Artifact, ArtifactPage};
use swarm_artifact::{ArchiveDigest, Trust};
use swarm_store::read_trust;

use crate::backup::database::Address;
use crate::backup::place::{Missing, Place};
use crate::backup::{artifact_path, runtime};
use crate::connection::Registry;
use crate::transfer::{bar, hash_download};
use crate::verify::{Item, Source, Verdict, verify_all};
use crate::{Context, Outcome};

/// Verify every artifact, quarantined ones too: digest, length, and with --trust the signatures. All processors work.
///
/// Exit codes: 0 all are good, 1 some are not (each is named), 2 could not look.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The trust file: whose signatures make an artifact believed; without it, digests alone.
    #[arg(long, env = "TRUST_PATH", value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Read the artifacts from the registry's store (a folder, or s3://BUCKET/PREFIX) instead of downloading them.
    #[arg(long, value_name = "PLACE")]
    store: Option<String>,
    /// Take the list from the database itself, with no registry running; needs --store.
    #[arg(long, value_name = "URL", requires = "store")]
    database_url: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Outcome> {
    let trust = args.trust.as_deref().map(read_trust).transpose()?;
    let verdict = match &args.store {
        None => verify_downloads(&context.registry.open()?, trust.as_ref())?,
        Some(store) => {
            let runtime = runtime()?;
            let place = Place::open(store, Missing::Refuse)?;
            let items = match &args.database_url {
                Some(url) => runtime.block_on(Address::parse(url)?.contents())?.artifacts,
                None => items(&context.registry.open()?)?,
            };
            let source =
                Store { registry: context.registry.open()?, handle: runtime.handle().clone(), place };
            let bar = bar(items.iter().map(|item| item.size).sum(), "verify");
            verify_all(items, &source, trust.as_ref(), &bar)
        }
    };
    context.output.show(&verdict, || verdict.text())?;
    Ok(if verdict.good() { Outcome::Done } else { Outcome::Refused })
}

/// Everything that the registry lists, downloaded.
pub(crate) fn verify_downloads(registry: &Registry, trust: Option<&Trust>) -> anyhow::Result<Verdict> {
    let items = items(registry)?;
    let bar = bar(items.iter().map(|item| item.size).sum(), "verify");
    Ok(verify_all(items, &Downloads(registry), trust, &bar))
}

fn items(registry: &Registry) -> anyhow::Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut after = None;
    loop {
        let after_query = after.map(|after: i64| format!("&after={after}")).unwrap_or_default();
        let page: ArtifactPage = registry.get(&format!("/api/v1/csa/list?limit=1000{after_query}"))?;
        for artifact in page.items {
            items.push(item(artifact)?);
        }
        match page.next_after {
            // A list that does not go on downwards would never end.
            Some(next) if after.is_none_or(|after| next < after) => after = Some(next),
            Some(next) => bail!("the registry's list goes on at {next} again; it is no list"),
            None => return Ok(items),
        }
    }
}

fn item(artifact: Artifact) -> anyhow::Result<Item> {
    // It becomes part of paths and addresses.
    artifact.digest.parse::<swarm_artifact::ArtifactId>()?;
    let accepted = serde_json::from_value::<swarm_tuf::Moment>(artifact.uploaded_at.clone().into());
    Ok(Item {
        name: format!("{} {}", artifact.skill_name, artifact.version),
        size: artifact.size,
        signature: None,
        accepted_unix: accepted.map_or_else(|_| swarm_store::unix_now(), |moment| moment.0),
        digest: artifact.digest,
    })
}

fn signature(registry: &Registry, digest: &str) -> anyhow::Result<String> {
    Ok(registry.text(&format!("/api/v1/csa/{digest}/signature"))?)
}

struct Downloads<'a>(&'a Registry);

impl Source for Downloads<'_> {
    fn hash(&self, item: &Item) -> anyhow::Result<ArchiveDigest> {
        let (length, id) = hash_download(self.0, item.digest.parse()?, item.size)?;
        Ok(ArchiveDigest { id, length })
    }

    fn signature(&self, item: &Item) -> anyhow::Result<String> {
        signature(self.0, &item.digest)
    }
}

struct Store {
    registry: Registry,
    handle: tokio::runtime::Handle,
    place: Place,
}

impl Source for Store {
    fn hash(&self, item: &Item) -> anyhow::Result<ArchiveDigest> {
        self.handle.block_on(self.place.hash(&artifact_path(&item.digest)))
    }

    fn signature(&self, item: &Item) -> anyhow::Result<String> {
        signature(&self.registry, &item.digest)
    }
}
