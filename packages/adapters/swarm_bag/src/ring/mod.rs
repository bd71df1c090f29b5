//! The last seconds of all topics in memory, to be written into a bag of their own when something happened.
//!
//! - Messages are shared, not copied: with the recording that may go on beside, and with a snapshot while it is written.
//! - Bounded by time and by bytes, whichever is reached first. What goes, goes in whole: of video, a key frame with all that
//!   need it, so that each camera begins at a key frame. Of the time that was asked for, nothing is missing: the key frame
//!   *before* it begins is kept.
//! - What a *latched* topic (transient-local QoS: /tf_static, /robot_description) said before the ring begins is remembered
//!   beside it, as [`Latched`] says.
//!
//! [`Latched`]: crate::Latched
//!
//! ```
//! # use std::time::Duration;
//! # use swarm_bag::msg::Bool;
//! # use swarm_bag::ring::{Ring, RingOptions};
//! # use swarm_bag::{BagReader, Item, Kind, Qos, Topic, WriteOptions, cdr};
//! # let folder = tempfile::tempdir()?;
//! let ring = Ring::new(RingOptions::default());
//! let stop = ring.add_topic(Topic::of::<Bool>("/emergency_stop", Qos::reliable(1))?)?;
//! let bytes = cdr::encode(&Bool { data: true })?.into();
//! ring.push(stop, Item { stamp: 1_767_225_600_000_000_000.into(), bytes, kind: Kind::Message });
//!
//! let path = folder.path().join("incident.mcap");
//! let written = ring.cut(Some(Duration::from_secs(30))).write(&path, WriteOptions::default())?;
//! assert_eq!(BagReader::open(&path)?.count(), 1); // readable as soon as `write` is back
//! written.make_durable()?; // and safe from the plug a moment later
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod kept;
mod snapshot;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::BagError;
use crate::item::Item;
use crate::topic::Topic;
use crate::write::TopicId;

use kept::Kept;
pub use snapshot::{Snapshot, Written};

/// Bounds of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingOptions {
    /// How far back it goes. A snapshot may ask for less.
    pub span: Duration,
    /// Most bytes of messages. Where they do not hold the span, the oldest goes, and [`RingStatus::span`] shows it.
    pub bytes: usize,
}

impl Default for RingOptions {
    fn default() -> Self {
        Self { span: Duration::from_secs(30), bytes: 256 << 20 }
    }
}

/// What a ring holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingStatus {
    pub messages: u64,
    pub bytes: usize,
    /// From the oldest message to the newest; what latched topics said before aside.
    pub span: Duration,
    /// Messages that went before their time because of the bound in bytes.
    pub crowded_out: u64,
}

/// The ring. Share it between threads by reference or in an `Arc`; nothing here takes long.
#[derive(Debug)]
pub struct Ring(Mutex<Kept>);

impl Ring {
    pub fn new(options: RingOptions) -> Self {
        Self(Mutex::new(Kept::new(options)))
    }

    /// Adds a topic; one that is there already with the same type and QoS is found again.
    pub fn add_topic(&self, topic: Topic) -> Result<TopicId, BagError> {
        self.kept().add_topic(topic)
    }

    /// Keeps a message, and lets go of what has become too old. Times are those of reception: they should not go back. When
    /// the clock was set back by more than the span, the ring begins anew.
    pub fn push(&self, topic: TopicId, item: Item) {
        self.kept().push(topic, item);
    }

    /// Lets go of all messages, but for the last of latched topics: the clock was set back, and times of reception begin anew.
    pub fn forget(&self) {
        self.kept().forget();
    }

    /// What latched topics have said so far, for a recording that begins later.
    pub fn latched(&self) -> Vec<(TopicId, Item)> {
        self.kept().latched()
    }

    pub fn status(&self) -> RingStatus {
        self.kept().status()
    }

    /// The last part of the ring, or all of it. Copies no message: a ring of a hundred thousand is cut within milliseconds.
    pub fn cut(&self, last: Option<Duration>) -> Snapshot {
        let cut = self.kept().cut(last); // the ring is free again before anything is sorted
        Snapshot::new(cut)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
