//! A backup back into an empty place. Numbers as in the flow:
//!
//! 1. Nothing is overwritten: a database that is there ends it.
//! 2. The database of the backup, held against its digest.
//! 3. Every artifact, hashed on the way. One that is there already must have its digest; others are left alone.
//! 4. The database in its place, last: what was cut off before is no registry. What it says of bytes that no backup has, and that are not
//!    there, is forgotten: uploads that were under way, and bags. Their senders begin anew.
//! 5. What is there now, held against the manifest: rows, the chain of the audit log, every artifact and its signatures.

use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use swarm_artifact::{ArchiveDigest, Trust};

use super::artifact_path;
use super::database::{Address, Contents};
use super::manifest::{Manifest, Restored, stamp};
use super::place::Place;
use crate::verify::{Item, Source, Verdict, verify_all};

const AT_ONCE: usize = 4;
/// Tables of what backups leave out.
const LEFT_OUT: [&str; 3] = ["uploads", "upload_parts", "bags"];

/// How it ended.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) id: String,
    pub(crate) seconds: f64,
    /// Rows that the backup had and the restored database has not, but for [`LEFT_OUT`].
    pub(crate) rows_lost: i64,
    /// Artifacts that the restored database names and that are not there, or not good.
    pub(crate) artifacts_lost: usize,
    pub(crate) rows: i64,
    pub(crate) audit_head: String,
    pub(crate) verdict: Verdict,
}

impl Report {
    pub(crate) fn good(&self) -> bool {
        self.rows_lost == 0 && self.verdict.good()
    }
}

/// Restores; `runtime` carries the asynchronous parts.
pub(crate) fn restore(
    runtime: &tokio::runtime::Runtime,
    from: &Place,
    id: &str,
    database: &Address,
    artifacts: &Place,
    trust: Option<&Trust>,
) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let manifest = runtime.block_on(Manifest::read(from, id))?;
    ensure!(
        manifest.database.kind == database.kind(),
        "backup {id} is of a {} database and cannot be restored into {}",
        manifest.database.kind,
        database.shown()
    );
    runtime.block_on(put_back(&manifest, from, database, artifacts))?;
    // 5.
    let contents = runtime.block_on(database.contents())?;
    let verdict = verify_store(runtime, contents.artifacts.clone(), artifacts, trust);
    let report = held_against(&manifest, &contents, verdict, begun.elapsed().as_secs_f64())?;
    if report.good() {
        let at_unix = swarm_store::unix_now();
        let note = serde_json::to_vec(&Restored { at_unix, seconds: report.seconds })?;
        runtime.block_on(from.write(&format!("backups/{id}/restored_{}.json", stamp(at_unix)?), note))?;
    }
    Ok(report)
}

async fn put_back(
    manifest: &Manifest,
    from: &Place,
    database: &Address,
    artifacts: &Place,
) -> anyhow::Result<()> {
    // 1.
    database.refuse_if_there().await?;
    // 2.
    let folder = database.beside()?;
    let file = folder.path().join(&manifest.database.file);
    let path = manifest.database_path();
    let found = from.get_file(&path, &file).await?;
    if found.id.to_string() != manifest.database.sha256 || found.length != manifest.database.length {
        bail!(
            "'{path}' in '{}' has {} bytes and the digest {}, and its manifest says {} and {}; the backup was damaged, take \
             another one",
            from.name,
            found.length,
            found.id,
            manifest.database.length,
            manifest.database.sha256
        );
    }
    // 3.
    let copies = futures::stream::iter(manifest.artifacts.clone()).map(|artifact| {
        let (from, to) = (from.clone(), artifacts.clone());
        async move {
            let task = tokio::spawn(async move { put_artifact(&from, &to, &artifact.digest).await });
            task.await.context("a copy broke off")?
        }
    });
    copies.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    // 4.
    database.restore(&file, artifacts).await
}

async fn put_artifact(from: &Place, to: &Place, digest: &str) -> anyhow::Result<()> {
    digest
        .parse::<swarm_artifact::ArtifactId>()
        .context("the manifest names an artifact without a proper digest")?;
    let path = artifact_path(digest);
    if to.size(&path).await?.is_some() {
        let there = to.hash(&path).await?.id.to_string();
        ensure!(
            there == digest,
            "'{path}' in '{}' is there already with the digest {there}; it is not overwritten, move it away",
            to.name
        );
        return Ok(());
    }
    to.copy(from, &format!("artifacts/{path}"), &path, digest).await.map(|_| ())
}

fn held_against(
    manifest: &Manifest,
    contents: &Contents,
    verdict: Verdict,
    seconds: f64,
) -> anyhow::Result<Report> {
    ensure!(
        contents.audit_entries == manifest.audit_entries
            && contents.audit_head.to_string() == manifest.audit_head,
        "the restored audit log ends with entry {} ({}), and the backup's with {} ({})",
        contents.audit_entries,
        contents.audit_head,
        manifest.audit_entries,
        manifest.audit_head
    );
    let lost =
        |(table, count): (&String, &i64)| (count - contents.rows.get(table).copied().unwrap_or(0)).max(0);
    let named = |artifact: &&super::manifest::ArtifactFile| {
        contents.artifacts.iter().any(|item| item.digest == artifact.digest)
    };
    let forgotten = manifest.artifacts.len() - manifest.artifacts.iter().filter(named).count();
    Ok(Report {
        id: manifest.id.clone(),
        seconds,
        rows_lost: manifest
            .rows
            .iter()
            .filter(|(table, _)| !LEFT_OUT.contains(&table.as_str()))
            .map(lost)
            .sum(),
        artifacts_lost: forgotten + verdict.bad.len(),
        rows: contents.rows.values().sum(),
        audit_head: contents.audit_head.to_string(),
        verdict,
    })
}

struct Store<'a> {
    handle: tokio::runtime::Handle,
    place: &'a Place,
}

impl Source for Store<'_> {
    fn hash(&self, item: &Item) -> anyhow::Result<ArchiveDigest> {
        self.handle.block_on(self.place.hash(&artifact_path(&item.digest)))
    }

    fn signature(&self, item: &Item) -> anyhow::Result<String> {
        bail!("no signature is listed for {}", item.digest)
    }
}

/// Verifies artifacts that are in a store.
pub(crate) fn verify_store(
    runtime: &tokio::runtime::Runtime,
    items: Vec<Item>,
    place: &Place,
    trust: Option<&Trust>,
) -> Verdict {
    let bar = crate::transfer::bar(items.iter().map(|item| item.size).sum(), "verify");
    verify_all(items, &Store { handle: runtime.handle().clone(), place }, trust, &bar)
}
