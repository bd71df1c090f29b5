//! The two update repositories (`swarm_tuf`): *image* says what exists and who made it, *director* which cell runs what.
//!
//! The registry holds one key. It signs snapshot and timestamp of both, and the director's targets; all the rest is signed by
//! people and handed in. So whoever takes the registry over can send a cell to another artifact of the image repository, and
//! to nothing else.
//!
//! How something is published
//! 1. The repository's head is locked: two who publish at once come one after the other, on whichever replica they are.
//! 2. What is stored is read and believed again, as a cell would (whoever changed the database gets no signature for it).
//! 3. [`next`] makes the next state from it, or says what is wrong.
//! 4. Files, head and the entry of the audit log are written in the same transaction: readers see all of it or nothing.
//! 5. Those who wait ([`Updates::wait`]) are woken; other replicas see it within [`LOOK`].

mod feed;
mod keys;
mod next;
mod store;

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Any, Transaction};
use swarm_api::update::{Publish, Versions, Which};
use swarm_base::ErrorChain;
use swarm_tuf::repository::{PublishError, Stored};
use swarm_tuf::{Moment, Refusal};

use crate::catalogue::append;
use crate::current::Current;
use crate::database::{Database, DatabaseError};
use feed::Feed;
use swarm_audit::Event;

pub use keys::UpdateKeys;
pub(crate) use next::{Next, Order, Say, direct, open};
pub(crate) use store::lock;

/// How often a replica looks for what others published.
pub const LOOK: Duration = Duration::from_millis(500);
/// How often it looks whether something is to be signed anew.
const CHORES: Duration = Duration::from_mins(1);

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    #[error("this registry has no update key, so that it can sign no metadata")]
    NoKey,
    #[error("the {} repository is empty; its first file has to be a root", .which.as_str())]
    Empty { which: Which },
    #[error("version {offered} of {role} was handed in; the next one is {expected}")]
    NotTheNextVersion { role: String, expected: u64, offered: u64 },
    #[error("{role} of the {} repository is signed by the registry itself", .which.as_str())]
    OwnRole { which: Which, role: String },
    #[error("{role} was handed in twice")]
    Twice { role: String },
    #[error("the root of the {} repository has no consistent snapshots (consistent_snapshot: true), which this registry needs", .which.as_str())]
    NotConsistent { which: Which },
    #[error(transparent)]
    NotBelieved(#[from] PublishError),
    #[error("the stored {} repository is not what was written: {source}", .which.as_str())]
    Changed {
        which: Which,
        #[source]
        source: Refusal,
    },
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// When a role's newest metadata expires, seconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    pub which: Which,
    pub role: String,
    pub expires_unix: i64,
}

/// Both repositories.
#[derive(Clone, Debug)]
pub struct Updates {
    database: Database,
    keys: Current<Option<UpdateKeys>>,
    feed: Feed,
}

impl Updates {
    pub fn new(database: Database, keys: Current<Option<UpdateKeys>>) -> Self {
        Self { database, keys, feed: Feed::new() }
    }

    /// Whether this registry signs metadata at all.
    pub fn keys(&self) -> Result<Arc<UpdateKeys>, UpdateError> {
        self.keys.get().as_ref().clone().map(Arc::new).ok_or(UpdateError::NoKey)
    }

    /// A file of metadata as it was published, by its name on the wire.
    pub async fn file(&self, which: Which, name: &str) -> Result<Option<String>, DatabaseError> {
        store::file(self.database.pool(), which, name).await
    }

    /// How far both repositories are.
    pub async fn heads(&self) -> Result<(Versions, Versions), DatabaseError> {
        let (mut image, mut director) = (Versions::default(), Versions::default());
        for (which, versions) in store::heads(self.database.pool()).await? {
            match which {
                Which::Image => image = versions,
                Which::Director => director = versions,
            }
        }
        Ok((image, director))
    }

    pub async fn versions(&self, which: Which) -> Result<Versions, DatabaseError> {
        let (image, director) = self.heads().await?;
        Ok(match which {
            Which::Image => image,
            Which::Director => director,
        })
    }

    /// The versions, as soon as the timestamp's is greater than `newer_than`, at the latest after `longest`.
    pub async fn wait(
        &self,
        which: Which,
        newer_than: u64,
        longest: Duration,
    ) -> Result<Versions, DatabaseError> {
        let versions = self.versions(which).await?;
        if versions.timestamp > newer_than || longest.is_zero() {
            return Ok(versions);
        }
        self.feed.wait(which, newer_than, longest).await;
        self.versions(which).await
    }

    /// When the newest metadata of each role expires. People renew what they signed, and have to hear of it in time.
    pub async fn expiries(&self) -> Result<Vec<Expiry>, DatabaseError> {
        store::expiries(self.database.pool()).await
    }

    /// How many requests wait for something new on this replica.
    pub fn waiting(&self) -> usize {
        self.feed.waiting()
    }

    /// Publishes what people signed, all files or none; `event` is written beside it.
    pub async fn publish(
        &self,
        which: Which,
        publish: Publish,
        event: Event,
    ) -> Result<Versions, UpdateError> {
        let mut transaction = self.database.begin().await?;
        let versions = self.publish_in(&mut transaction, which, publish, event).await?;
        transaction.commit().await.map_err(DatabaseError::query("publish metadata"))?;
        self.published(which, versions);
        Ok(versions)
    }

    /// The same as a part of something larger; the caller commits, and says so with [`Self::published`].
    pub(crate) async fn publish_in(
        &self,
        transaction: &mut Transaction<'static, Any>,
        which: Which,
        publish: Publish,
        event: Event,
    ) -> Result<Versions, UpdateError> {
        let keys = self.keys()?;
        lock(transaction, which).await?;
        let stored = store::newest(&mut **transaction, which).await?;
        let now = Moment(event.at_unix);
        let next = compute(move || next::hand_in(which, stored.as_ref(), &publish.files, &keys, now)).await?;
        store::save(transaction, which, &next).await?;
        append(transaction, event).await?;
        Ok(next.versions)
    }

    /// Has the director say something else of some cells; the caller holds its lock, commits, and says so.
    pub(crate) async fn direct_in(
        &self,
        transaction: &mut Transaction<'static, Any>,
        orders: Vec<Order>,
        now: Moment,
    ) -> Result<Versions, UpdateError> {
        let keys = self.keys()?;
        let stored = store::newest(&mut **transaction, Which::Director).await?;
        let stored = stored.ok_or(UpdateError::Empty { which: Which::Director })?;
        let next = compute(move || direct(&stored, &orders, &keys, now)).await?;
        store::save(transaction, Which::Director, &next).await?;
        Ok(next.versions)
    }

    /// The newest files of a repository, as the transaction sees them.
    pub(crate) async fn stored_in(
        &self,
        transaction: &mut Transaction<'static, Any>,
        which: Which,
    ) -> Result<Option<Stored>, DatabaseError> {
        store::newest(&mut **transaction, which).await
    }

    /// What was committed may be seen.
    pub(crate) fn published(&self, which: Which, versions: Versions) {
        self.feed.tell(which, versions);
    }

    /// Signs anew what would expire. Of several replicas one finds something to do, and the others find it done.
    pub async fn renew(&self, which: Which, now_unix: i64) -> Result<Option<Versions>, UpdateError> {
        let keys = self.keys()?;
        let mut transaction = self.database.begin().await?;
        lock(&mut transaction, which).await?;
        let Some(stored) = store::newest(&mut **transaction, which).await? else { return Ok(None) };
        let next = compute(move || next::renew(which, &stored, &keys, Moment(now_unix))).await?;
        let Some(next) = next else { return Ok(None) };
        store::save(&mut transaction, which, &next).await?;
        transaction.commit().await.map_err(DatabaseError::query("sign metadata anew"))?;
        self.published(which, next.versions);
        Ok(Some(next.versions))
    }

    /// Until the program ends: looks for what other replicas published, and signs anew what would expire.
    pub async fn follow(self, now_unix: fn() -> i64) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut chores: Option<tokio::time::Instant> = None;
        loop {
            look.tick().await;
            match store::heads(self.database.pool()).await {
                Ok(heads) => heads.into_iter().for_each(|(which, versions)| self.feed.tell(which, versions)),
                // Requests say the same, louder.
                Err(error) => {
                    tracing::debug!("cannot look for new metadata: {}", ErrorChain(&error));
                    continue;
                }
            }
            if self.keys.get().is_none() || chores.is_some_and(|done| done.elapsed() < CHORES) {
                continue;
            }
            chores = Some(tokio::time::Instant::now());
            for which in Which::ALL {
                match self.renew(which, now_unix()).await {
                    Ok(None) => {}
                    Ok(Some(versions)) => tracing::info!(
                        repository = which.as_str(),
                        timestamp = versions.timestamp,
                        "signed anew what would have expired"
                    ),
                    Err(error) => tracing::error!(
                        repository = which.as_str(),
                        "cannot sign anew what expires soon: {}",
                        ErrorChain(&error)
                    ),
                }
            }
        }
    }

    /// Nobody is kept waiting any more; the program ends.
    pub fn close(&self) {
        self.feed.close();
    }
}

/// Signatures are computed beside the tasks that serve others.
async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UpdateError> + Send + 'static,
) -> Result<T, UpdateError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
