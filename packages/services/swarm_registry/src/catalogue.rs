//! The tables of artifacts and of the audit log. What changes an artifact and the entry about it are one transaction.

mod log;

use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row, Transaction};
use swarm_api::update::Which;
use swarm_artifact::ArtifactId;

use crate::database::{Database, DatabaseError};
use crate::record::{Filter, Page, Provenance, Record, Reference, Status};
use crate::update::lock;
use swarm_audit::Event;

pub(crate) use log::append;

/// What was accepted, or was there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    New(Record),
    /// The same bytes were accepted before.
    Known(Record),
    /// The skill has this version already, with other bytes.
    VersionTaken(Record),
}

/// A record that has no number yet.
pub type NewRecord = Record;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, digest, skill_name, version, size, signature, signers, base_version, parent, training_data, notes, ",
            "uploaded_by, uploader, uploaded_unix, status, status_reason, status_by, status_unix FROM csa_artifacts ",
            $rest
        )
    };
}

/// Artifacts and audit log.
#[derive(Clone, Debug)]
pub struct Catalogue {
    database: Database,
}

/// Rows to ask for, so that a page knows whether another follows.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

impl Catalogue {
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Adds an artifact that was verified, with the entry of the audit log. Its number in `record` is not used.
    pub async fn add(&self, record: &NewRecord) -> Result<Added, DatabaseError> {
        const WHAT: &str = "record an artifact";
        let failed = || DatabaseError::query(WHAT);
        let mut transaction = self.database.begin().await?;
        let inserted = sqlx::query(
            "INSERT INTO csa_artifacts (digest, skill_name, version, size, signature, signers, base_version, parent, \
             training_data, notes, uploaded_by, uploader, uploaded_unix, status) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'active') ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(record.digest.to_string())
        .bind(record.skill_name.as_str())
        .bind(record.version.as_str())
        .bind(i64::try_from(record.size).unwrap_or(i64::MAX))
        .bind(record.signature.as_str())
        .bind(json(&record.signers))
        .bind(record.provenance.base_version.clone())
        .bind(record.provenance.parent.map(|parent| parent.to_string()))
        .bind(record.provenance.training_data.clone())
        .bind(json(&record.provenance.notes))
        .bind(record.provenance.uploaded_by.as_str())
        .bind(record.provenance.uploader.as_str())
        .bind(record.uploaded_unix)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed())?;
        let Some(row) = inserted else {
            drop(transaction);
            return self.known(record).await;
        };
        let id = row.try_get(0).map_err(failed())?;
        let event = Event {
            at_unix: record.uploaded_unix,
            who: record.provenance.uploader.clone(),
            action: "upload".to_owned(),
            subject: record.digest.to_string(),
            detail: format!(
                "{} {} signed by {}",
                record.skill_name,
                record.version,
                record.signers.join(", ")
            ),
        };
        append(&mut transaction, event).await?;
        transaction.commit().await.map_err(failed())?;
        Ok(Added::New(Record { id, ..record.clone() }))
    }

    async fn known(&self, record: &NewRecord) -> Result<Added, DatabaseError> {
        if let Some(same) = self.find(Reference::Digest(record.digest)).await? {
            return Ok(Added::Known(same));
        }
        match self.find_version(&record.skill_name, &record.version).await? {
            Some(other) => Ok(Added::VersionTaken(other)),
            None => Err(DatabaseError::Corrupt {
                what: "the conflict",
                subject: record.digest.to_string(),
                found: "gone".to_owned(),
            }),
        }
    }

    pub async fn find(&self, reference: Reference) -> Result<Option<Record>, DatabaseError> {
        find_in(self.database.pool(), reference).await
    }

    pub async fn find_version(
        &self,
        skill_name: &str,
        version: &str,
    ) -> Result<Option<Record>, DatabaseError> {
        let row = sqlx::query(select!("WHERE skill_name = $1 AND version = $2"))
            .bind(skill_name)
            .bind(version)
            .fetch_optional(self.database.pool())
            .await;
        row.map_err(DatabaseError::query("find a version"))?.as_ref().map(read).transpose()
    }

    /// A page of at most `limit` artifacts, newest first, older than number `after`.
    pub async fn list(
        &self,
        filter: &Filter,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Page<Record>, DatabaseError> {
        let query = match (&filter.skill_name, &filter.status) {
            (None, None) => sqlx::query(select!("WHERE id < $1 ORDER BY id DESC LIMIT $2")),
            (Some(_), None) => {
                sqlx::query(select!("WHERE id < $1 AND skill_name = $3 ORDER BY id DESC LIMIT $2"))
            }
            (None, Some(_)) => {
                sqlx::query(select!("WHERE id < $1 AND status = $3 ORDER BY id DESC LIMIT $2"))
            }
            (Some(_), Some(_)) => sqlx::query(select!(
                "WHERE id < $1 AND skill_name = $3 AND status = $4 ORDER BY id DESC LIMIT $2"
            )),
        };
        let mut query = query.bind(after.unwrap_or(i64::MAX)).bind(one_more(limit));
        for value in [&filter.skill_name, &filter.status].into_iter().flatten() {
            query = query.bind(value.as_str());
        }
        let rows = query.fetch_all(self.database.pool()).await;
        let rows = rows.map_err(DatabaseError::query("list artifacts"))?;
        let records = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(records, limit, |record| record.id))
    }

    /// What was made from an artifact directly, oldest first; at most `limit`.
    pub async fn children(&self, parent: ArtifactId, limit: usize) -> Result<Vec<Record>, DatabaseError> {
        let rows = sqlx::query(select!("WHERE parent = $1 ORDER BY id LIMIT $2"))
            .bind(parent.to_string())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(self.database.pool())
            .await;
        rows.map_err(DatabaseError::query("list what was made from an artifact"))?.iter().map(read).collect()
    }

    /// Quarantines an artifact, or lifts its quarantine; `false` where that is its status already.
    pub async fn set_status(&self, id: i64, status: &Status, event: Event) -> Result<bool, DatabaseError> {
        const WHAT: &str = "change the status of an artifact";
        let failed = || DatabaseError::query(WHAT);
        let (reason, by, since) = match status {
            Status::Active => (None, None, None),
            Status::Quarantined { reason, by, since_unix } => {
                (Some(reason.clone()), Some(by.clone()), Some(*since_unix))
            }
        };
        let mut transaction = self.database.begin().await?;
        // An artifact is never assigned after its quarantine: who assigns holds this lock.
        lock(&mut transaction, Which::Director).await?;
        let changed = sqlx::query(
            "UPDATE csa_artifacts SET status = $1, status_reason = $2, status_by = $3, status_unix = $4 \
             WHERE id = $5 AND status <> $1",
        )
        .bind(status.as_str())
        .bind(reason)
        .bind(by)
        .bind(since)
        .bind(id)
        .execute(&mut **transaction)
        .await
        .map_err(failed())?;
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        append(&mut transaction, event).await?;
        transaction.commit().await.map_err(failed())?;
        Ok(true)
    }

    /// How many artifacts there are, and their bytes.
    pub async fn totals(&self) -> Result<Totals, DatabaseError> {
        let failed = || DatabaseError::query("count artifacts");
        let row = sqlx::query(
            "SELECT CAST(COUNT(*) AS BIGINT), CAST(COALESCE(SUM(size), 0) AS BIGINT), \
             CAST(COALESCE(SUM(CASE WHEN status = 'quarantined' THEN 1 ELSE 0 END), 0) AS BIGINT) FROM csa_artifacts",
        )
        .fetch_one(self.database.pool())
        .await
        .map_err(failed())?;
        let number = |at: usize| row.try_get::<i64, _>(at).map(i64::unsigned_abs).map_err(failed());
        Ok(Totals { artifacts: number(0)?, bytes: number(1)?, quarantined: number(2)? })
    }
}

/// Quarantines an artifact that is active, as a part of something larger; the caller holds the director's lock.
pub(crate) async fn quarantine_in(
    transaction: &mut Transaction<'static, Any>,
    artifact: ArtifactId,
    reason: &str,
    by: &str,
    now_unix: i64,
) -> Result<(), DatabaseError> {
    let changed = sqlx::query(
        "UPDATE csa_artifacts SET status = 'quarantined', status_reason = $1, status_by = $2, status_unix = $3 \
         WHERE digest = $4 AND status = 'active'",
    )
    .bind(reason)
    .bind(by)
    .bind(now_unix)
    .bind(artifact.to_string())
    .execute(&mut **transaction)
    .await
    .map_err(DatabaseError::query("quarantine an artifact"))?;
    if changed.rows_affected() == 0 {
        return Ok(());
    }
    let event = Event {
        at_unix: now_unix,
        who: by.to_owned(),
        action: "quarantine".to_owned(),
        subject: artifact.to_string(),
        detail: reason.to_owned(),
    };
    append(transaction, event).await
}

/// An artifact, as a transaction or a connection sees it.
pub(crate) async fn find_in(
    executor: impl Executor<'_, Database = Any>,
    reference: Reference,
) -> Result<Option<Record>, DatabaseError> {
    let query = match reference {
        Reference::Number(id) => sqlx::query(select!("WHERE id = $1")).bind(id),
        Reference::Digest(digest) => sqlx::query(select!("WHERE digest = $1")).bind(digest.to_string()),
    };
    let row = query.fetch_optional(executor).await;
    row.map_err(DatabaseError::query("find an artifact"))?.as_ref().map(read).transpose()
}

/// Of all artifacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    pub artifacts: u64,
    pub bytes: u64,
    pub quarantined: u64,
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("lists and maps of texts are JSON")
}

fn read(row: &AnyRow) -> Result<Record, DatabaseError> {
    let failed = || DatabaseError::query("read an artifact");
    let number = |at: usize| row.try_get::<i64, _>(at).map_err(failed());
    let text = |at: usize| row.try_get::<String, _>(at).map_err(failed());
    let maybe = |at: usize| row.try_get::<Option<String>, _>(at).map_err(failed());
    let id = number(0)?;
    let corrupt = |what, found: &str| DatabaseError::Corrupt {
        what,
        subject: format!("artifact {id}"),
        found: found.to_owned(),
    };
    let digest = |what, text: String| text.parse::<ArtifactId>().map_err(|_| corrupt(what, &text));
    let (signers, notes, status) = (text(6)?, text(10)?, text(14)?);
    let status = match status.as_str() {
        Status::ACTIVE => Status::Active,
        Status::QUARANTINED => Status::Quarantined {
            reason: maybe(15)?.unwrap_or_default(),
            by: maybe(16)?.unwrap_or_default(),
            since_unix: row.try_get::<Option<i64>, _>(17).map_err(failed())?.unwrap_or_default(),
        },
        _ => return Err(corrupt("the status", &status)),
    };
    Ok(Record {
        id,
        digest: digest("the digest", text(1)?)?,
        skill_name: text(2)?,
        version: text(3)?,
        size: number(4)?.unsigned_abs(),
        signature: text(5)?,
        signers: serde_json::from_str(&signers).map_err(|_| corrupt("the list of signers", &signers))?,
        provenance: Provenance {
            base_version: maybe(7)?,
            parent: maybe(8)?.map(|text| digest("the parent", text)).transpose()?,
            training_data: maybe(9)?,
            notes: serde_json::from_str(&notes).map_err(|_| corrupt("the notes", &notes))?,
            uploaded_by: text(11)?,
            uploader: text(12)?,
        },
        uploaded_unix: number(13)?,
        status,
    })
}
