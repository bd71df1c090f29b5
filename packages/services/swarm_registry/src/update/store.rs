//! The tables of the two update repositories. A repository changes only under the lock of its head.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row, Transaction};
use swarm_api::update::{Versions, Which};
use swarm_tuf::repository::{File, Stored};
use swarm_tuf::{Delegations, Moment, ROOT, SNAPSHOT, TARGETS, TIMESTAMP};

use super::{Expiry, Next};
use crate::database::DatabaseError;

/// How many versions of a file stay for readers that are between two files. Roots stay for ever: cells follow them one by one.
const KEPT: u64 = 256;

/// Waits until nobody else changes this repository, and keeps others waiting until the transaction ends.
pub(crate) async fn lock(
    transaction: &mut Transaction<'static, Any>,
    which: Which,
) -> Result<Versions, DatabaseError> {
    let row = sqlx::query(
        "UPDATE update_heads SET root_version = root_version WHERE repository = $1 \
         RETURNING root_version, timestamp_version, snapshot_version, targets_version",
    )
    .bind(which.as_str())
    .fetch_one(&mut **transaction)
    .await
    .map_err(DatabaseError::query("lock an update repository"))?;
    versions(&row, 0)
}

fn versions(row: &AnyRow, first: usize) -> Result<Versions, DatabaseError> {
    let number = |at: usize| {
        row.try_get::<i64, _>(first + at)
            .map(i64::unsigned_abs)
            .map_err(DatabaseError::query("read the head of an update repository"))
    };
    Ok(Versions { root: number(0)?, timestamp: number(1)?, snapshot: number(2)?, targets: number(3)? })
}

/// Of both repositories.
pub(super) async fn heads(
    executor: impl Executor<'_, Database = Any>,
) -> Result<Vec<(Which, Versions)>, DatabaseError> {
    let failed = || DatabaseError::query("read the heads of the update repositories");
    let rows = sqlx::query(
        "SELECT repository, root_version, timestamp_version, snapshot_version, targets_version FROM update_heads",
    )
    .fetch_all(executor)
    .await
    .map_err(failed())?;
    let mut heads = Vec::new();
    for row in &rows {
        let name: String = row.try_get(0).map_err(failed())?;
        if let Some(which) = Which::ALL.into_iter().find(|which| which.as_str() == name) {
            heads.push((which, versions(row, 1)?));
        }
    }
    Ok(heads)
}

/// The newest file of each role; `None` before the first root.
pub(super) async fn newest(
    executor: impl Executor<'_, Database = Any>,
    which: Which,
) -> Result<Option<Stored>, DatabaseError> {
    let failed = || DatabaseError::query("read an update repository");
    let rows = sqlx::query(
        "SELECT role, content FROM update_files file WHERE repository = $1 AND version = \
         (SELECT MAX(version) FROM update_files newer WHERE newer.repository = file.repository AND newer.role = file.role)",
    )
    .bind(which.as_str())
    .fetch_all(executor)
    .await
    .map_err(failed())?;
    let mut stored = Stored::default();
    for row in &rows {
        let role: String = row.try_get(0).map_err(failed())?;
        let content: String = row.try_get(1).map_err(failed())?;
        match role.as_str() {
            ROOT => stored.root = content.into_bytes(),
            TIMESTAMP => stored.timestamp = content.into_bytes(),
            SNAPSHOT => stored.snapshot = content.into_bytes(),
            _ => drop(stored.roles.insert(role, content.into_bytes())),
        }
    }
    Ok((!rows.is_empty()).then_some(stored))
}

/// What is read of a file to tell when it expires.
#[derive(serde::Deserialize)]
struct Dated {
    signed: Signed,
}

#[derive(serde::Deserialize)]
struct Signed {
    expires: Moment,
    delegations: Option<Delegations>,
}

/// When the newest file of each role expires that somebody may still sign.
pub(super) async fn expiries(
    executor: impl Executor<'_, Database = Any>,
) -> Result<Vec<Expiry>, DatabaseError> {
    let failed = || DatabaseError::query("look when metadata expires");
    let rows = sqlx::query(
        "SELECT repository, role, content FROM update_files file WHERE version = (SELECT MAX(version) FROM update_files newer \
         WHERE newer.repository = file.repository AND newer.role = file.role)",
    )
    .fetch_all(executor)
    .await
    .map_err(failed())?;
    let mut files: BTreeMap<Which, BTreeMap<String, Signed>> = BTreeMap::new();
    for row in &rows {
        let text = |at: usize| row.try_get::<String, _>(at).map_err(failed());
        let (repository, role, content) = (text(0)?, text(1)?, text(2)?);
        let which = Which::ALL.into_iter().find(|which| which.as_str() == repository);
        // What cannot be read is told by those who believe it.
        if let (Some(which), Ok(file)) = (which, serde_json::from_str::<Dated>(&content)) {
            files.entry(which).or_default().insert(role, file.signed);
        }
    }
    Ok(files.iter().flat_map(|(which, files)| reached(*which, files)).collect())
}

/// A role that nobody delegates to any more stays in the table, as it does in the snapshot.
fn reached(which: Which, files: &BTreeMap<String, Signed>) -> Vec<Expiry> {
    let mut reached = BTreeSet::from([ROOT, TIMESTAMP, SNAPSHOT, TARGETS]);
    let mut next = vec![TARGETS];
    while let Some(role) = next.pop() {
        let delegations = files.get(role).and_then(|file| file.delegations.as_ref());
        for role in delegations.iter().flat_map(|all| all.roles.iter().flatten()) {
            if reached.insert(&role.name) {
                next.push(&role.name);
            }
        }
    }
    let expiry =
        |role: &str| Some(Expiry { which, role: role.to_owned(), expires_unix: files.get(role)?.expires.0 });
    reached.into_iter().filter_map(expiry).collect()
}

/// One file, as it is on the wire.
pub(super) async fn file(
    executor: impl Executor<'_, Database = Any>,
    which: Which,
    name: &str,
) -> Result<Option<String>, DatabaseError> {
    let failed = || DatabaseError::query("read a file of an update repository");
    let row = sqlx::query("SELECT content FROM update_files WHERE repository = $1 AND name = $2")
        .bind(which.as_str())
        .bind(name)
        .fetch_optional(executor)
        .await
        .map_err(failed())?;
    row.map(|row| row.try_get(0)).transpose().map_err(failed())
}

/// Writes what was signed; the caller holds the lock.
pub(super) async fn save(
    transaction: &mut Transaction<'static, Any>,
    which: Which,
    next: &Next,
) -> Result<(), DatabaseError> {
    let failed = || DatabaseError::query("write an update repository");
    for File { name, bytes } in &next.files {
        let corrupt = |found: &str| DatabaseError::Corrupt {
            what: "a file",
            subject: format!("the {} repository", which.as_str()),
            found: found.to_owned(),
        };
        let (role, version) = role_and_version(name, next.versions).ok_or_else(|| corrupt(name))?;
        // JSON is text, so that this is no loss.
        let content = std::str::from_utf8(bytes).map_err(|_| corrupt(name))?;
        sqlx::query(
            "INSERT INTO update_files (repository, name, role, version, content) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (repository, name) DO UPDATE SET version = excluded.version, content = excluded.content",
        )
        .bind(which.as_str())
        .bind(name.as_str())
        .bind(role)
        .bind(signed(version))
        .bind(content)
        .execute(&mut **transaction)
        .await
        .map_err(failed())?;
        if role != ROOT {
            sqlx::query("DELETE FROM update_files WHERE repository = $1 AND role = $2 AND version < $3")
                .bind(which.as_str())
                .bind(role)
                .bind(signed(version) - signed(KEPT))
                .execute(&mut **transaction)
                .await
                .map_err(failed())?;
        }
    }
    sqlx::query(
        "UPDATE update_heads SET root_version = $1, timestamp_version = $2, snapshot_version = $3, targets_version = $4 \
         WHERE repository = $5",
    )
    .bind(signed(next.versions.root))
    .bind(signed(next.versions.timestamp))
    .bind(signed(next.versions.snapshot))
    .bind(signed(next.versions.targets))
    .bind(which.as_str())
    .execute(&mut **transaction)
    .await
    .map_err(failed())?;
    Ok(())
}

fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// `3.targets.json` is version 3 of targets; the timestamp's name never has one.
fn role_and_version(name: &str, versions: Versions) -> Option<(&str, u64)> {
    let stem = name.strip_suffix(".json")?;
    if stem == TIMESTAMP {
        return Some((TIMESTAMP, versions.timestamp));
    }
    let (version, role) = stem.split_once('.')?;
    Some((role, version.parse().ok()?))
}
