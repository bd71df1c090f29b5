//! The table of the audit log: its entries form a chain, of which the head is kept apart.

use futures::TryStreamExt;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};
use swarm_artifact::Sha256Sum;
use swarm_audit::{ChainError, Entry, Event, Verifier};

use super::{Catalogue, one_more};
use crate::database::DatabaseError;
use crate::record::Page;

impl Catalogue {
    /// A page of the audit log, oldest first, after entry `after`.
    pub async fn audit(&self, after: i64, limit: usize) -> Result<Page<Entry>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT seq, at_unix, who, action, subject, detail, previous, hash FROM audit_log \
             WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(after)
        .bind(one_more(limit))
        .fetch_all(self.database.pool())
        .await
        .map_err(DatabaseError::query("read the audit log"))?;
        let entries = rows.iter().map(read_entry).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(entries, limit, |entry| entry.seq))
    }

    /// Follows the audit log from its beginning; gives the number of entries and the last hash.
    pub async fn verify_audit(&self) -> Result<Result<(i64, Sha256Sum), ChainError>, DatabaseError> {
        let failed = || DatabaseError::query("read the audit log");
        // The head first: entries that are added meanwhile lie behind it and are left out.
        let head = sqlx::query("SELECT seq, hash FROM audit_head").fetch_one(self.database.pool()).await;
        let head = head.map_err(failed())?;
        let seq: i64 = head.try_get(0).map_err(failed())?;
        let hash = sum(&head, 1, "the hash", "the audit log's head")?;
        let mut rows = sqlx::query(
            "SELECT seq, at_unix, who, action, subject, detail, previous, hash FROM audit_log WHERE seq <= $1 ORDER BY seq",
        )
        .bind(seq)
        .fetch(self.database.pool());
        let mut verifier = Verifier::default();
        while let Some(row) = rows.try_next().await.map_err(failed())? {
            if let Err(error) = verifier.next(&read_entry(&row)?) {
                return Ok(Err(error));
            }
        }
        Ok(verifier.finish(seq, hash))
    }
}

/// Adds an entry. The update of the head comes first: it is the lock under which numbers and hashes follow one another.
pub(crate) async fn append(
    transaction: &mut Transaction<'static, Any>,
    event: Event,
) -> Result<(), DatabaseError> {
    let failed = || DatabaseError::query("write the audit log");
    let head = sqlx::query("UPDATE audit_head SET seq = seq + 1 WHERE one = 1 RETURNING seq, hash")
        .fetch_one(&mut **transaction)
        .await
        .map_err(failed())?;
    let seq: i64 = head.try_get(0).map_err(failed())?;
    let entry = Entry::after(sum(&head, 1, "the hash", "the audit log's head")?, seq, event);
    sqlx::query(
        "INSERT INTO audit_log (seq, at_unix, who, action, subject, detail, previous, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(entry.seq)
    .bind(entry.event.at_unix)
    .bind(entry.event.who.as_str())
    .bind(entry.event.action.as_str())
    .bind(entry.event.subject.as_str())
    .bind(entry.event.detail.as_str())
    .bind(entry.previous.to_string())
    .bind(entry.hash.to_string())
    .execute(&mut **transaction)
    .await
    .map_err(failed())?;
    sqlx::query("UPDATE audit_head SET hash = $1 WHERE one = 1")
        .bind(entry.hash.to_string())
        .execute(&mut **transaction)
        .await
        .map_err(failed())?;
    Ok(())
}

fn sum(row: &AnyRow, at: usize, what: &'static str, subject: &str) -> Result<Sha256Sum, DatabaseError> {
    let text: String = row.try_get(at).map_err(DatabaseError::query("read a hash"))?;
    text.parse().map_err(|_| DatabaseError::Corrupt { what, subject: subject.to_owned(), found: text })
}

fn read_entry(row: &AnyRow) -> Result<Entry, DatabaseError> {
    let failed = || DatabaseError::query("read an entry of the audit log");
    let text = |at: usize| row.try_get::<String, _>(at).map_err(failed());
    let seq: i64 = row.try_get(0).map_err(failed())?;
    let subject = format!("entry {seq} of the audit log");
    Ok(Entry {
        seq,
        event: Event {
            at_unix: row.try_get(1).map_err(failed())?,
            who: text(2)?,
            action: text(3)?,
            subject: text(4)?,
            detail: text(5)?,
        },
        previous: sum(row, 6, "the hash before", &subject)?,
        hash: sum(row, 7, "the hash", &subject)?,
    })
}
