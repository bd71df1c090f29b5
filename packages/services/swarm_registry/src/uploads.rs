//! Uploads in parts, which go on after a cut: the protocol's state is in the database and the parts are in the artifact store,
//! so that any replica can take the next part.
//!
//! 1. An upload is begun with its length.
//! 2. Each part says at which byte it begins. It counts only when that is the first byte that is missing; of two senders at the
//!    same byte one wins, and the other learns where to go on. A replica takes one part of an upload at a time, and puts its parts together
//!    once at a time: so no more bytes are on its disk than were announced.
//! 3. The upload is completed with the signature: the parts are put together and go the way of every artifact.
//!
//! An upload that nobody touched for [`MAX_IDLE_S`] is removed when the next one begins.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use sqlx::Row;
use tokio::sync::watch;

use crate::blobs::{BlobError, Blobs};
use crate::database::{Database, DatabaseError};
use crate::intake::Staged;

pub const MAX_IDLE_S: i64 = 24 * 3600;
/// Uploads that one caller may have under way.
pub const MAX_OPEN: i64 = 64;
/// Bytes that the uploads of one caller may be announced with together, and those of all. One alone is bounded by what an artifact or a
/// recording may have.
pub const MAX_OPEN_BYTES: u64 = 64 << 30;
pub const MAX_ALL_BYTES: u64 = 512 << 30;

/// So long a request waits for the one before it, which may be at its end: its sender was cut off and is here again.
const PATIENCE: Duration = Duration::from_secs(2);

/// An upload that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub id: String,
    pub owner: String,
    /// Bytes of the whole.
    pub length: u64,
    /// Bytes that are here.
    pub received: u64,
}

/// Why an upload cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("the part begins at byte {stated}, the upload has {received} bytes")]
    WrongOffset { stated: u64, received: u64 },
    #[error("the part ends at byte {end}, the upload was announced with {length} bytes")]
    TooLong { end: u64, length: u64 },
    #[error("the upload has {received} of {length} bytes")]
    Incomplete { received: u64, length: u64 },
    #[error("another request sends a part of this upload, or completes it")]
    Busy,
    #[error("{open} uploads of this caller are under way, which is the limit")]
    TooMany { open: i64 },
    #[error(
        "uploads of {open} bytes are under way ({whose}), and {length} more would be over the limit of {limit}"
    )]
    TooManyBytes { whose: &'static str, open: u64, length: u64, limit: u64 },
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// One part in the artifact store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub start: u64,
    pub length: u64,
    pub object: String,
}

#[derive(Clone, Debug)]
pub struct Uploads {
    database: Database,
    blobs: Blobs,
    /// Uploads that a request is at on this replica.
    busy: Arc<watch::Sender<BTreeSet<String>>>,
}

/// Until this is dropped, no other request of this replica is at the upload.
#[derive(Debug)]
pub struct Turn {
    id: String,
    busy: Arc<watch::Sender<BTreeSet<String>>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.busy.send_if_modified(|busy| busy.remove(&self.id));
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Uploads {
    pub fn new(database: Database, blobs: Blobs) -> Self {
        Self { database, blobs, busy: Arc::default() }
    }

    /// 1.
    pub async fn begin(&self, owner: &str, length: u64, now_unix: i64) -> Result<Upload, UploadError> {
        self.remove_idle(now_unix).await?;
        let failed = || DatabaseError::query("begin an upload");
        let mut transaction = self.database.begin().await?;
        // Of two that count at once both would find room. This row is the lock of all replicas.
        sqlx::query("UPDATE audit_head SET seq = seq").execute(&mut **transaction).await.map_err(failed())?;
        let row = sqlx::query(
            "SELECT CAST(COALESCE(SUM(CASE WHEN owner = $1 THEN 1 ELSE 0 END), 0) AS BIGINT), \
             CAST(COALESCE(SUM(CASE WHEN owner = $1 THEN length ELSE 0 END), 0) AS BIGINT), \
             CAST(COALESCE(SUM(length), 0) AS BIGINT) FROM uploads",
        )
        .bind(owner)
        .fetch_one(&mut **transaction)
        .await
        .map_err(failed())?;
        let number = |at: usize| row.try_get::<i64, _>(at).map_err(failed());
        let (open, own, all) = (number(0)?, number(1)?.unsigned_abs(), number(2)?.unsigned_abs());
        if open >= MAX_OPEN {
            return Err(UploadError::TooMany { open });
        }
        for (whose, open, limit) in
            [("this caller's", own, MAX_OPEN_BYTES), ("all callers'", all, MAX_ALL_BYTES)]
        {
            if open > 0 && open.saturating_add(length) > limit {
                return Err(UploadError::TooManyBytes { whose, open, length, limit });
            }
        }
        let id = format!("{:032x}", rand::random::<u128>());
        sqlx::query(
            "INSERT INTO uploads (id, owner, length, received, updated_unix) VALUES ($1, $2, $3, 0, $4)",
        )
        .bind(id.as_str())
        .bind(owner)
        .bind(signed(length))
        .bind(now_unix)
        .execute(&mut **transaction)
        .await
        .map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
        Ok(Upload { id, owner: owner.to_owned(), length, received: 0 })
    }

    /// An upload of this caller.
    pub async fn find(&self, id: &str, owner: &str) -> Result<Option<Upload>, DatabaseError> {
        let failed = || DatabaseError::query("find an upload");
        let row = sqlx::query("SELECT length, received FROM uploads WHERE id = $1 AND owner = $2")
            .bind(id)
            .bind(owner)
            .fetch_optional(self.database.pool())
            .await
            .map_err(failed())?;
        let Some(row) = row else { return Ok(None) };
        let number = |at: usize| row.try_get::<i64, _>(at).map(i64::unsigned_abs).map_err(failed());
        Ok(Some(Upload {
            id: id.to_owned(),
            owner: owner.to_owned(),
            length: number(0)?,
            received: number(1)?,
        }))
    }

    /// 2. Gives how many bytes are here now.
    pub async fn add_part(
        &self,
        upload: &Upload,
        start: u64,
        staged: Staged,
        now_unix: i64,
    ) -> Result<u64, UploadError> {
        let length = staged.digest.length;
        if length == 0 {
            return Ok(upload.received);
        }
        let object = self.blobs.put_part(&upload.id, start, staged.file).await?;
        if self.record_part(upload, start, length, &object, now_unix).await? {
            return Ok(start + length);
        }
        self.blobs.delete_part(&object).await?;
        let received = self.find(&upload.id, &upload.owner).await?.map_or(0, |now| now.received);
        Err(UploadError::WrongOffset { stated: start, received })
    }

    async fn record_part(
        &self,
        upload: &Upload,
        start: u64,
        length: u64,
        object: &str,
        now_unix: i64,
    ) -> Result<bool, DatabaseError> {
        let failed = || DatabaseError::query("record a part of an upload");
        let mut transaction = self.database.begin().await?;
        let moved = sqlx::query(
            "UPDATE uploads SET received = received + $1, updated_unix = $2 WHERE id = $3 AND received = $4",
        )
        .bind(signed(length))
        .bind(now_unix)
        .bind(upload.id.as_str())
        .bind(signed(start))
        .execute(&mut **transaction)
        .await
        .map_err(failed())?;
        if moved.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("INSERT INTO upload_parts (upload_id, start, length, object) VALUES ($1, $2, $3, $4)")
            .bind(upload.id.as_str())
            .bind(signed(start))
            .bind(signed(length))
            .bind(object)
            .execute(&mut **transaction)
            .await
            .map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
        Ok(true)
    }

    /// Waits until no other request of this replica is at the upload, but not for long.
    pub async fn turn(&self, upload: &Upload) -> Result<Turn, UploadError> {
        let mut told = self.busy.subscribe();
        let taken = async {
            while !self.busy.send_if_modified(|busy| busy.insert(upload.id.clone())) {
                // The sender lives as long as this.
                let _ = told.wait_for(|busy| !busy.contains(&upload.id)).await;
            }
        };
        tokio::time::timeout(PATIENCE, taken).await.map_err(|_| UploadError::Busy)?;
        Ok(Turn { id: upload.id.clone(), busy: Arc::clone(&self.busy) })
    }

    /// 3. The parts in their order.
    pub async fn parts(&self, upload: &Upload) -> Result<Vec<Part>, UploadError> {
        if upload.received != upload.length {
            return Err(UploadError::Incomplete { received: upload.received, length: upload.length });
        }
        Ok(self.stored_parts(&upload.id).await?)
    }

    /// The bytes of these parts, one after the other.
    pub fn whole(&self, parts: Vec<Part>) -> BoxStream<'static, Result<Bytes, BlobError>> {
        let blobs = self.blobs.clone();
        futures::stream::iter(parts)
            .then(move |part| {
                let blobs = blobs.clone();
                async move { blobs.get_part(&part.object).await }
            })
            .try_flatten()
            .boxed()
    }

    /// Whether the artifact store has lost parts of an upload, as after a restore: backups leave them out. The upload is forgotten then, so
    /// that its sender begins anew.
    pub async fn forget_if_lost(&self, upload: &Upload) -> Result<bool, UploadError> {
        for part in self.stored_parts(&upload.id).await? {
            if self.blobs.find(&part.object.into()).await?.is_none() {
                self.remove(&upload.id).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn stored_parts(&self, id: &str) -> Result<Vec<Part>, DatabaseError> {
        let failed = || DatabaseError::query("list the parts of an upload");
        let rows =
            sqlx::query("SELECT start, length, object FROM upload_parts WHERE upload_id = $1 ORDER BY start")
                .bind(id)
                .fetch_all(self.database.pool())
                .await
                .map_err(failed())?;
        let part = |row: &sqlx::any::AnyRow| {
            let number = |at: usize| row.try_get::<i64, _>(at).map(i64::unsigned_abs);
            Ok(Part { start: number(0)?, length: number(1)?, object: row.try_get(2)? })
        };
        rows.iter().map(part).collect::<Result<_, _>>().map_err(failed())
    }

    /// Forgets an upload and its parts.
    pub async fn remove(&self, id: &str) -> Result<(), UploadError> {
        let failed = || DatabaseError::query("remove an upload");
        // From here on it is nobody's, and idle: nobody goes on with an upload whose bytes are half gone.
        sqlx::query("UPDATE uploads SET owner = '', updated_unix = 0 WHERE id = $1")
            .bind(id)
            .execute(self.database.pool())
            .await
            .map_err(failed())?;
        // Bytes before rows: a crash in between leaves rows, by which the rest is found again. Of a part whose bytes came and whose row
        // did not, only the bytes' place tells.
        for part in self.blobs.parts(id).await? {
            self.blobs.delete_part(&part).await?;
        }
        let mut transaction = self.database.begin().await?;
        for statement in
            ["DELETE FROM upload_parts WHERE upload_id = $1", "DELETE FROM uploads WHERE id = $1"]
        {
            sqlx::query(statement).bind(id).execute(&mut **transaction).await.map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())?;
        Ok(())
    }

    async fn remove_idle(&self, now_unix: i64) -> Result<(), UploadError> {
        let failed = || DatabaseError::query("find idle uploads");
        let rows =
            sqlx::query("SELECT id FROM uploads WHERE updated_unix < $1 ORDER BY updated_unix LIMIT 16")
                .bind(now_unix - MAX_IDLE_S)
                .fetch_all(self.database.pool())
                .await
                .map_err(failed())?;
        for row in rows {
            let id: String = row.try_get(0).map_err(failed())?;
            self.remove(&id).await?;
        }
        Ok(())
    }
}
