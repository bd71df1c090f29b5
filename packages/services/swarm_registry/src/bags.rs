//! Bags that cells hand in: rosbag2 recordings, each as one tar archive that is kept as it came. They are no artifacts: nobody signs
//! them, and no cell ever gets one.
//!
//! - Bytes first, then the row, and the other way round when a bag goes: a crash in between leaves bytes that nothing refers to, and
//!   never a bag without bytes.
//! - Each bag has an object of its own, so that one that goes takes nothing of another that is the same and just comes.
//! - Bags are kept for [`Keeping::days`]; those that are older go when another one comes. What would not fit is refused before it is
//!   sent, because a cell keeps it until there is room.

use object_store::path::Path;
use sqlx::Row;
use sqlx::any::AnyRow;
use swarm_artifact::ArtifactId;
use swarm_audit::Event;

use crate::blobs::{BlobError, Blobs};
use crate::catalogue::{append, one_more};
use crate::database::{Database, DatabaseError};

use crate::record::Page;
use crate::staging::Staged;

const DAY_S: i64 = 86_400;
/// Bags that go at a time.
const SWEEP: usize = 16;

/// How many bags are kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Of one bag; 0: no bags are taken.
    pub max_bytes: u64,
    /// Of all of them.
    pub quota_bytes: u64,
    /// 0: until somebody removes them.
    pub days: u32,
}

/// A bag that was handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bag {
    pub id: i64,
    pub name: String,
    /// SHA-256 of the archive.
    pub digest: ArtifactId,
    /// In bytes.
    pub size: u64,
    pub site: String,
    pub uploaded_unix: i64,
    pub(crate) object: Path,
}

/// Why a bag is not taken, or not handed out.
#[derive(Debug, thiserror::Error)]
pub enum BagError {
    #[error("this registry takes no bags (MAX_BAG_BYTES is 0)")]
    NotHere,
    #[error("the bag has {size} bytes, and at most {limit} are taken")]
    TooLarge { size: u64, limit: u64 },
    #[error("the bags that are here have {used} bytes, and this one {size}; {quota} is the limit of all")]
    Full { used: u64, size: u64, quota: u64 },
    #[error("bag {id}, whose bytes were gone, was changed while they came again")]
    Changed { id: i64 },
    #[error("the bag that arrived has the digest {actual}, its sender announced {expected}")]
    OtherDigest { expected: ArtifactId, actual: ArtifactId },
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// What is said of a bag that comes.
#[derive(Clone, Debug)]
pub struct NewBag {
    pub name: String,
    pub site: String,
    pub expected: ArtifactId,
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, name, digest, size, site, object, uploaded_unix FROM bags ", $rest)
    };
}

#[derive(Clone, Debug)]
pub struct Bags {
    database: Database,
    blobs: Blobs,
    keeping: Keeping,
}

impl Bags {
    pub const fn new(database: Database, blobs: Blobs, keeping: Keeping) -> Self {
        Self { database, blobs, keeping }
    }

    /// Whether a bag of this size would be taken now.
    pub async fn has_room(&self, size: u64, now_unix: i64) -> Result<(), BagError> {
        let Keeping { max_bytes: limit, quota_bytes: quota, .. } = self.keeping;
        if limit == 0 {
            return Err(BagError::NotHere);
        }
        if size > limit {
            return Err(BagError::TooLarge { size, limit });
        }
        self.remove_old(now_unix).await?;
        let failed = || DatabaseError::query("count bags");
        let row = sqlx::query("SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM bags")
            .fetch_one(self.database.pool())
            .await
            .map_err(failed())?;
        let used = row.try_get::<i64, _>(0).map_err(failed())?.unsigned_abs();
        if used.saturating_add(size) > quota { Err(BagError::Full { used, size, quota }) } else { Ok(()) }
    }

    /// Keeps a bag whose bytes have come; the same one again gives what is here.
    pub async fn accept(&self, staged: Staged, bag: NewBag, now_unix: i64) -> Result<(Bag, bool), BagError> {
        const WHAT: &str = "record a bag";
        let failed = || DatabaseError::query(WHAT);
        let (actual, size) = (staged.digest.id, staged.digest.length);
        if actual != bag.expected {
            return Err(BagError::OtherDigest { expected: bag.expected, actual });
        }
        if let Some(same) = self.find_digest(actual).await? {
            return Ok((self.with_bytes(same, staged).await?, false));
        }
        self.has_room(size, now_unix).await?;
        let digest = actual.to_string();
        let object = new_object(actual);
        self.blobs.put(&object, staged.file).await?;
        let mut transaction = self.database.begin().await?;
        let inserted = sqlx::query(
            "INSERT INTO bags (name, digest, size, site, object, uploaded_unix) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(bag.name.as_str())
        .bind(digest.as_str())
        .bind(i64::try_from(size).unwrap_or(i64::MAX))
        .bind(bag.site.as_str())
        .bind(object.to_string())
        .bind(now_unix)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed())?;
        let Some(row) = inserted else {
            drop(transaction);
            self.blobs.delete(&object).await?;
            let same = self.find_digest(actual).await?;
            let corrupt = |found: &str| DatabaseError::Corrupt {
                what: "the conflict",
                subject: digest.clone(),
                found: found.to_owned(),
            };
            return Ok((same.ok_or_else(|| corrupt("gone"))?, false));
        };
        let id = row.try_get(0).map_err(failed())?;
        let event = Event {
            at_unix: now_unix,
            who: bag.site.clone(),
            action: "upload_bag".to_owned(),
            subject: digest,
            detail: format!("{}, {size} bytes", bag.name),
        };
        append(&mut transaction, event).await?;
        transaction.commit().await.map_err(failed())?;
        let NewBag { name, site, .. } = bag;
        Ok((Bag { id, name, digest: actual, size, site, uploaded_unix: now_unix, object }, true))
    }

    /// The bag as it is here, with the bytes that came where its own are gone: its sender removes them after this.
    async fn with_bytes(&self, bag: Bag, staged: Staged) -> Result<Bag, BagError> {
        let found = self.blobs.find(&bag.object).await?;
        if found.is_some_and(|found| found.size == bag.size) {
            return Ok(bag);
        }
        let object = new_object(bag.digest);
        self.blobs.put(&object, staged.file).await?;
        let moved = sqlx::query("UPDATE bags SET object = $1 WHERE id = $2 AND object = $3")
            .bind(object.to_string())
            .bind(bag.id)
            .bind(bag.object.to_string())
            .execute(self.database.pool())
            .await
            .map_err(DatabaseError::query("note where a bag's bytes are"))?;
        if moved.rows_affected() > 0 {
            return Ok(Bag { object, ..bag });
        }
        // Somebody else was faster, or removed it: nothing is said of a bag that may have no bytes.
        self.blobs.delete(&object).await?;
        Err(BagError::Changed { id: bag.id })
    }

    pub async fn find(&self, id: i64) -> Result<Option<Bag>, DatabaseError> {
        let row = sqlx::query(select!("WHERE id = $1")).bind(id).fetch_optional(self.database.pool()).await;
        row.map_err(DatabaseError::query("find a bag"))?.as_ref().map(read).transpose()
    }

    async fn find_digest(&self, digest: ArtifactId) -> Result<Option<Bag>, DatabaseError> {
        let row = sqlx::query(select!("WHERE digest = $1"))
            .bind(digest.to_string())
            .fetch_optional(self.database.pool())
            .await;
        row.map_err(DatabaseError::query("find a bag"))?.as_ref().map(read).transpose()
    }

    /// A page of at most `limit` bags, newest first, older than number `after`.
    pub async fn list(&self, after: Option<i64>, limit: usize) -> Result<Page<Bag>, DatabaseError> {
        let rows = sqlx::query(select!("WHERE id < $1 ORDER BY id DESC LIMIT $2"))
            .bind(after.unwrap_or(i64::MAX))
            .bind(one_more(limit))
            .fetch_all(self.database.pool())
            .await;
        let rows = rows.map_err(DatabaseError::query("list bags"))?;
        let bags = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(bags, limit, |bag| bag.id))
    }

    /// Removes a bag, in somebody's name; `false` where somebody else was faster.
    pub async fn remove(&self, bag: &Bag, who: &str, why: &str, now_unix: i64) -> Result<bool, BagError> {
        let failed = || DatabaseError::query("remove a bag");
        let mut transaction = self.database.begin().await?;
        let removed = sqlx::query("DELETE FROM bags WHERE id = $1")
            .bind(bag.id)
            .execute(&mut **transaction)
            .await
            .map_err(failed())?;
        if removed.rows_affected() == 0 {
            return Ok(false);
        }
        let event = Event {
            at_unix: now_unix,
            who: who.to_owned(),
            action: "remove_bag".to_owned(),
            subject: bag.digest.to_string(),
            detail: format!("{} of {}: {why}", bag.name, bag.site),
        };
        append(&mut transaction, event).await?;
        transaction.commit().await.map_err(failed())?;
        self.blobs.delete(&bag.object).await?;
        Ok(true)
    }

    async fn remove_old(&self, now_unix: i64) -> Result<(), BagError> {
        if self.keeping.days == 0 {
            return Ok(());
        }
        let rows = sqlx::query(select!("WHERE uploaded_unix < $1 ORDER BY uploaded_unix LIMIT $2"))
            .bind(now_unix - i64::from(self.keeping.days) * DAY_S)
            .bind(i64::try_from(SWEEP).unwrap_or(i64::MAX))
            .fetch_all(self.database.pool())
            .await;
        for row in rows.map_err(DatabaseError::query("find old bags"))? {
            let why = format!("older than {} days", self.keeping.days);
            self.remove(&read(&row)?, "registry", &why, now_unix).await?;
        }
        Ok(())
    }
}

fn new_object(digest: ArtifactId) -> Path {
    let digest = digest.to_string();
    Path::from(format!("bags/{}/{digest}-{:016x}.tar", &digest[..2], rand::random::<u64>()))
}

fn read(row: &AnyRow) -> Result<Bag, DatabaseError> {
    let failed = || DatabaseError::query("read a bag");
    let number = |at: usize| row.try_get::<i64, _>(at).map_err(failed());
    let text = |at: usize| row.try_get::<String, _>(at).map_err(failed());
    let id = number(0)?;
    let digest = text(2)?;
    Ok(Bag {
        id,
        name: text(1)?,
        digest: digest.parse().map_err(|_| DatabaseError::Corrupt {
            what: "the digest",
            subject: format!("bag {id}"),
            found: digest,
        })?,
        size: number(3)?.unsigned_abs(),
        site: text(4)?,
        object: Path::from(text(5)?),
        uploaded_unix: number(6)?,
    })
}
