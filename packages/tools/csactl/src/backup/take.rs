//! Taking a backup. Numbers as in the flow:
//!
//! 1. The database as it is at one moment.
//! 2. Every artifact that it names and that the place does not have yet, hashed on the way.
//! 3. The manifest, which makes it a backup.
//! 4. Backups that are older than they are kept for go, their manifest first; the newest whole one never does.

use std::path::Path;

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use super::artifact_path;
use super::database::Address;
use super::manifest::{ArtifactFile, DatabaseFile, Listed, Manifest, id_of, list};
use super::place::Place;

/// Copies at a time.
const AT_ONCE: usize = 4;
const DAY_S: i64 = 86_400;

/// What was done.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Taken {
    pub(crate) id: String,
    pub(crate) database_bytes: u64,
    pub(crate) artifacts: usize,
    pub(crate) copied: usize,
    pub(crate) copied_bytes: u64,
    /// Backups that were removed because of their age.
    pub(crate) removed: Vec<String>,
}

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) now_unix: i64,
    /// Read the artifacts again that the place has already.
    pub(crate) reread: bool,
    pub(crate) retention_days: Option<u32>,
}

pub(crate) async fn take(
    database: &Address,
    artifacts: &Place,
    to: &Place,
    options: Options,
) -> anyhow::Result<Taken> {
    let id = id_of(options.now_unix)?;
    if !to.list(&format!("backups/{id}")).await?.is_empty() {
        bail!("'{}' has a backup {id} already; try again in a second", to.name);
    }
    // 1.
    let folder = tempfile::tempdir().context("cannot make a folder for the database")?;
    let file = folder.path().join(database.file());
    let contents = database.snapshot(&file).await?;
    let stored = to.put_file(&file, &format!("backups/{id}/{}", database.file())).await?;
    // 2.
    let copies = futures::stream::iter(contents.artifacts.clone()).map(|item| {
        let (from, to) = (artifacts.clone(), to.clone());
        async move {
            let task =
                tokio::spawn(async move { keep(&from, &to, &item.digest, item.size, options.reread).await });
            task.await.context("a copy broke off")?
        }
    });
    let copied: Vec<u64> = copies.buffer_unordered(AT_ONCE).try_collect().await?;
    // 3.
    let manifest = Manifest {
        format: Manifest::format(),
        id: id.clone(),
        made_unix: options.now_unix,
        csactl: env!("CARGO_PKG_VERSION").to_owned(),
        database: DatabaseFile {
            kind: database.kind().to_owned(),
            file: database.file().to_owned(),
            length: stored.length,
            sha256: stored.id.to_string(),
        },
        rows: contents.rows,
        audit_entries: contents.audit_entries,
        audit_head: contents.audit_head.to_string(),
        artifacts: contents
            .artifacts
            .iter()
            .map(|item| ArtifactFile { digest: item.digest.clone(), length: item.size })
            .collect(),
    };
    to.write(&format!("backups/{id}/manifest.json"), serde_json::to_vec_pretty(&manifest)?).await?;
    // 4.
    let removed = match options.retention_days {
        Some(days) => prune(to, options.now_unix, days).await?,
        None => Vec::new(),
    };
    Ok(Taken {
        id,
        database_bytes: stored.length,
        artifacts: manifest.artifacts.len(),
        copied: copied.iter().filter(|bytes| **bytes > 0).count(),
        copied_bytes: copied.iter().sum(),
        removed,
    })
}

/// Makes sure that the place has an artifact; gives the bytes that were copied.
async fn keep(from: &Place, to: &Place, digest: &str, size: u64, reread: bool) -> anyhow::Result<u64> {
    let source = artifact_path(digest);
    let path = format!("artifacts/{source}");
    if to.size(&path).await? == Some(size) && (!reread || to.hash(&path).await?.id.to_string() == digest) {
        return Ok(0);
    }
    let missing = || {
        let from = &from.name;
        format!(
            "the database names artifact {digest}, which the store '{from}' does not give whole; there is no backup without it"
        )
    };
    to.copy(from, &source, &path, digest).await.with_context(missing)
}

/// Removes what is older than it is kept for; whole backups and those that were cut off alike.
async fn prune(place: &Place, now_unix: i64, days: u32) -> anyhow::Result<Vec<String>> {
    let outdated = outdated(&list(place).await?, now_unix, days);
    for id in &outdated {
        // Without a manifest it is no backup any more, whatever happens next.
        place.delete(&format!("backups/{id}/manifest.json")).await?;
        for path in place.list(&format!("backups/{id}")).await? {
            place.delete(&path).await?;
        }
        if !place.name.starts_with("s3://") {
            // The folder is empty now, unless somebody else put something there.
            let _ = std::fs::remove_dir(Path::new(&place.name).join("backups").join(id));
        }
    }
    Ok(outdated)
}

fn outdated(listed: &[Listed], now_unix: i64, days: u32) -> Vec<String> {
    let newest_whole = listed.iter().rfind(|backup| backup.problem.is_none()).map(|backup| backup.id.clone());
    let oldest = now_unix - i64::from(days) * DAY_S;
    let outdated =
        listed.iter().filter(|backup| backup.made_unix < oldest && Some(&backup.id) != newest_whole.as_ref());
    outdated.map(|backup| backup.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_backups_go_but_never_the_newest_whole_one() {
        let backup = |days: i64, whole: bool| Listed {
            id: id_of(1_800_000_000 + days * DAY_S).unwrap(),
            made_unix: 1_800_000_000 + days * DAY_S,
            problem: (!whole).then(|| "cut off".to_owned()),
            manifest: None,
            restored: None,
        };
        let listed = [backup(0, true), backup(1, true), backup(2, false), backup(40, false)];
        let after = |days: i64| outdated(&listed, 1_800_000_000 + days * DAY_S, 30);
        assert_eq!(after(30), Vec::<String>::new());
        assert_eq!(after(31), [listed[0].id.clone()]);
        assert_eq!(after(99), [0, 2, 3].map(|at: usize| listed[at].id.clone()));
    }
}
