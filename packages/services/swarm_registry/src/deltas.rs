//! Deltas: what a cell that has one artifact of a skill needs to make another one of it.
//!
//! Nobody has to believe a delta. What it makes is believed for its digest and signatures, as every artifact is.
//!
//! 1. A delta that is in the artifact store is handed out. It stands there under both digests and never changes; an empty one says that
//!    the whole is the better choice. All of them can be removed at any time: they are made again.
//! 2. Otherwise it is made, on a task of its own. Whoever asks for the same one meanwhile waits for that task; only so many wait to be
//!    made, and one is made at a time, since both archives are unpacked in memory for it.
//! 3. Who has waited for [`PATIENCE`] is told to take the whole artifact, or to ask again. The making goes on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path as Object;
use swarm_artifact::{ArtifactId, Limits};
use swarm_base::ErrorChain;
use swarm_store::{DeltaError, Source, delta_between};
use tokio::sync::{Semaphore, watch};

use crate::blobs::{BlobError, Blobs};
use crate::intake::IntakeError;
use crate::record::Record;
use crate::staging::Staging;

/// How long one who asks waits for a delta that is being made.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Deltas that are made, or wait to be.
const MOST_WAITING: usize = 16;
/// A delta is worth it where it has at most this part of the whole.
const WORTH_PERCENT: u64 = 80;

/// From one artifact to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    from: ArtifactId,
    to: ArtifactId,
}

impl Way {
    fn object(self) -> Object {
        let to = self.to.to_string();
        Object::from(format!("deltas/{}/{to}-{}.delta", &to[..2], self.from))
    }
}

/// What there is for somebody who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Delta(Delta),
    /// The whole is the better choice, and will be.
    NotWorthIt,
    /// It is not made yet.
    NotYet,
}

/// A delta in the artifact store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// In bytes.
    pub size: u64,
    /// Names these bytes and no others.
    pub tag: String,
    object: Object,
}

/// Why a delta could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error("the artifact store has other bytes under {expected}; their digest is {actual}")]
    Damaged { expected: ArtifactId, actual: ArtifactId },
    #[error(transparent)]
    Read(#[from] IntakeError),
    #[error(transparent)]
    Delta(#[from] DeltaError),
    #[error("the task that makes the delta ended early")]
    Ended,
}

type Outcome = Option<Result<(), Arc<MakeError>>>;

/// The deltas of a registry.
#[derive(Clone, Debug)]
pub struct Deltas {
    blobs: Blobs,
    staging: Staging,
    /// Of an unpacked artifact, in bytes; larger ones have no deltas.
    max_bytes: u64,
    place: Arc<Semaphore>,
    making: Arc<Mutex<BTreeMap<Way, watch::Receiver<Outcome>>>>,
}

impl Deltas {
    /// `max_bytes` is the most that one of the two artifacts may have unpacked; about three times as much memory is used.
    pub fn new(blobs: Blobs, staging: Staging, max_bytes: u64) -> Self {
        Self { blobs, staging, max_bytes, place: Arc::new(Semaphore::new(1)), making: Arc::default() }
    }

    /// The delta from one artifact to another, made where it is not there yet.
    pub async fn get(&self, from: &Record, to: &Record, patience: Duration) -> Result<Found, Arc<MakeError>> {
        let way = Way { from: from.digest, to: to.digest };
        // 1.
        if let Some(found) = self.find(way).await? {
            return Ok(found);
        }
        if from.size.max(to.size) > self.max_bytes {
            return Ok(Found::NotWorthIt);
        }
        // 2.
        let Some(mut making) = self.begin(way, from.size, to.size) else { return Ok(Found::NotYet) };
        let outcome = match tokio::time::timeout(patience, making.wait_for(Option::is_some)).await {
            // 3.
            Err(_) => return Ok(Found::NotYet),
            Ok(outcome) => outcome.map_err(|_| MakeError::Ended)?.clone(),
        };
        outcome.unwrap_or(Ok(()))?;
        Ok(self.find(way).await?.unwrap_or(Found::NotYet))
    }

    /// The bytes of a delta, or a part of them (end exclusive).
    pub async fn open(
        &self,
        delta: &Delta,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        self.blobs.get(&delta.object, range).await
    }

    async fn find(&self, way: Way) -> Result<Option<Found>, MakeError> {
        let object = way.object();
        let Some(there) = self.blobs.find(&object).await? else { return Ok(None) };
        if there.size == 0 {
            return Ok(Some(Found::NotWorthIt));
        }
        // A store without tags has one object under this name all the same, as long as nobody removes it.
        let tag = there.e_tag.unwrap_or_else(|| format!("{}-{}-{}", way.from, way.to, there.size));
        let tag = format!("\"{}\"", tag.trim_start_matches("W/").trim_matches('"'));
        Ok(Some(Found::Delta(Delta { size: there.size, tag, object })))
    }

    /// Has a delta made, unless it is being made; `None` where too many wait already.
    fn begin(&self, way: Way, from_bytes: u64, to_bytes: u64) -> Option<watch::Receiver<Outcome>> {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = making.get(&way) {
            return Some(under_way.clone());
        }
        if making.len() >= MOST_WAITING {
            return None;
        }
        let (told, outcome) = watch::channel(None);
        making.insert(way, outcome.clone());
        let this = self.clone();
        // Not with the request, which may be cut off.
        tokio::spawn(async move {
            let entry = Entry { making: Arc::clone(&this.making), way };
            let made = this.make(way, from_bytes, to_bytes).await;
            if let Err(error) = &made {
                tracing::warn!("no delta from {} to {}: {}", way.from, way.to, ErrorChain(error));
            }
            drop(entry);
            told.send_replace(Some(made.map_err(Arc::new)));
        });
        Some(outcome)
    }

    async fn make(&self, way: Way, from_bytes: u64, to_bytes: u64) -> Result<(), MakeError> {
        // The semaphore is never closed.
        let _place = self.place.acquire().await.map_err(|_| MakeError::Ended)?;
        // Another replica may have been faster.
        if self.find(way).await?.is_some() {
            return Ok(());
        }
        let base = self.fetch(way.from, from_bytes).await?;
        let result = self.fetch(way.to, to_bytes).await?;
        let limits = Limits { max_total_bytes: self.max_bytes, ..Limits::default() };
        let making = tokio::task::spawn_blocking(move || {
            let (from, to) = (way.from.to_string(), way.to.to_string());
            delta_between(
                Source { name: Path::new(&from), bytes: base },
                Source { name: Path::new(&to), bytes: result },
                limits,
            )
        });
        let delta = match making.await.map_err(|_| MakeError::Ended)? {
            Err(DeltaError::TooLarge { .. }) => None,
            made => made?,
        };
        let worth = |delta: &Vec<u8>| delta.len() as u64 <= to_bytes.saturating_mul(WORTH_PERCENT) / 100;
        let delta = delta.filter(worth).unwrap_or_default();
        tracing::info!("the delta from {} to {} has {} bytes of {to_bytes}", way.from, way.to, delta.len());
        Ok(self.blobs.put_bytes(&way.object(), delta).await?)
    }

    /// An artifact in a file without a name, from its beginning.
    async fn fetch(&self, artifact: ArtifactId, bytes: u64) -> Result<std::fs::File, MakeError> {
        let stream = self.blobs.get_artifact(artifact, None).await?;
        let staged = self.staging.receive(stream, bytes).await?;
        if let Some(cut) = staged.cut {
            return Err(cut.into());
        }
        if staged.digest.id != artifact {
            return Err(MakeError::Damaged { expected: artifact, actual: staged.digest.id });
        }
        let mut file = staged.file;
        std::io::Seek::rewind(&mut file).map_err(|source| {
            let folder = self.staging.folder.clone();
            IntakeError::Disk { folder, source }
        })?;
        Ok(file)
    }
}

/// What is being made, until it is dropped: also where the task panics.
struct Entry {
    making: Arc<Mutex<BTreeMap<Way, watch::Receiver<Outcome>>>>,
    way: Way,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.making.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.way);
    }
}
