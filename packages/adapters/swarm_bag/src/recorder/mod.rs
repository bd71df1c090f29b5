//! Recording while others work: a bag written by a thread of its own, behind a bounded queue.
//!
//! Who offers a message never waits for the disk. What the disk does not take in time is dropped, counted, and said in the
//! bag itself: for each topic, [`RecordingLoss`] on [`LOSS_TOPIC`] once in [`RecorderOptions::report_every`] and as its last
//! message, with `received = recorded + dropped_queue + dropped_disk`, exactly.
//!
//! Flow
//! 1. [`Recorder::start`] makes the bag, or says why it cannot.
//! 2. [`Recorder::add_topic`] for each topic, before or while recording.
//! 3. [`Recorder::offer`] from any thread. Messages should come in the order of their stamps, about.
//! 4. [`Recorder::status`] for whoever shows progress.
//! 5. [`Recorder::stop`] writes what waits and the last counts, and finishes the bag. Dropping the recorder does the same.
//!
//! What is dropped first
//! - *Slow disk*: messages wait, up to [`RecorderOptions::queue_bytes`]. [`Share::Bulk`] may not use the last
//!   [`RecorderOptions::reserved_bytes`] of them, so that video cannot push out joint states.
//! - *Video*: once a picture was dropped, all up to the next key frame are. They are differences to one that is missing; a
//!   decoder would make pictures of them that no camera saw, and nothing in the bag would mark those. A gap is honest.
//! - *Full disk*: when less than [`RecorderOptions::disk_reserve`] is free the recording ends in peace: what waits is written,
//!   the bag says why ([`ENDED`]) and is finished, and later offers are counted as `dropped_disk`, in [`Recorder::losses`] alone.
//! - *Refused write* (EIO; ENOSPC when others filled the disk faster): the recording ends where the last sync was. The bag
//!   stays readable, what came after counts as `dropped_disk`, and [`State::Failed`] says what the system said.

mod queue;
mod store;
mod thread;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::BagError;
use crate::item::Item;
use crate::metadata::{Metadata, Span};
use crate::msg::RecordingLoss;
use crate::topic::Topic;
use crate::write::{BagWriter, TopicId, WriteOptions};

use queue::Queue;
pub use store::Store;
pub(crate) use store::refuse_full;

/// Where the bag says what became of its topics' messages.
pub const LOSS_TOPIC: &str = "/capture/loss";

/// Name of the custom data in which a bag says why its recording ended by itself.
pub const ENDED: &str = "ended";

/// How is recorded.
#[derive(Clone, Copy, Debug)]
pub struct RecorderOptions {
    pub bag: WriteOptions,
    /// Most that waits for the disk, bytes. At 4 MB/s the default is 16 s of a disk that stands still.
    pub queue_bytes: usize,
    /// The share of it that [`Share::Bulk`] leaves free, bytes.
    pub reserved_bytes: usize,
    /// What stays free where the bag is written, bytes. It must hold a full queue and the index of the bag.
    pub disk_reserve: u64,
    /// How often the counts go into the bag.
    pub report_every: Duration,
}

impl Default for RecorderOptions {
    fn default() -> Self {
        Self {
            bag: WriteOptions::default(),
            queue_bytes: 64 << 20,
            reserved_bytes: 4 << 20,
            disk_reserve: 512 << 20,
            report_every: Duration::from_secs(1),
        }
    }
}

/// What part of the queue a topic may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All of it: small messages that must be in the bag, states of arms, commands, timing.
    State,
    /// All but the reserve: video, pictures, point clouds.
    Bulk,
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is in the queue.
    Taken,
    /// It is not in the bag, and counted.
    Dropped(Dropped),
    /// The recording was stopped; not counted.
    Stopped,
}

/// Why a message is not in the bag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The queue is full.
    Queue,
    /// A picture that needs one that was dropped.
    UntilKeyFrame,
    /// The disk was full or refused; the recording has ended.
    Disk,
}

/// How a recording is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Recording,
    /// It was stopped; the bag is finished.
    Stopped,
    /// It ended by itself; the bag is finished. The text says how much was free.
    DiskFull(String),
    /// It ended by itself, at the last sync. The bag can be read; the text says what failed.
    Failed(String),
}

/// Progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub path: PathBuf,
    pub state: State,
    /// In the bag, with those of [`LOSS_TOPIC`], and their times.
    pub span: Span,
    /// Bytes of the messages in the bag.
    pub bytes: u64,
    /// Bytes that wait in the queue.
    pub waiting_bytes: usize,
    /// Free where the bag is written, bytes; none where the system does not tell.
    pub disk_free: Option<u64>,
}

/// A recording. Share it between threads by reference or in an `Arc`.
#[derive(Debug)]
pub struct Recorder {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Recorder {
    /// Begins a bag as [`BagWriter::create`] does. Where less than [`RecorderOptions::disk_reserve`] is free, there is no bag
    /// and [`BagError::DiskFull`] says so.
    pub fn start(path: impl AsRef<Path>, options: RecorderOptions) -> Result<Self, BagError> {
        refuse_full(path.as_ref(), options.disk_reserve)?;
        let bag = BagWriter::create(path, options.bag)?;
        Self::over(Box::new(bag), options)
    }

    /// Records into any store: a [`BagWriter`], or one behind faults that a test makes.
    pub fn over(store: Box<dyn Store>, options: RecorderOptions) -> Result<Self, BagError> {
        let queue = Arc::new(Queue::new(store.path().to_owned(), &options));
        let thread = thread::spawn(store, Arc::clone(&queue), options)?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Adds a topic; one that is there already with the same type and QoS is found again. Returns at once.
    pub fn add_topic(&self, topic: Topic, share: Share) -> Result<TopicId, BagError> {
        self.queue.add_topic(topic, share)
    }

    /// Hands a message to the recording. Never waits for the disk.
    pub fn offer(&self, topic: TopicId, item: Item) -> Offered {
        self.queue.offer(topic, item)
    }

    /// Counts frames of a topic that never came whole. They are reported beside those that came, and not among them.
    pub fn lost_on_the_way(&self, topic: TopicId, frames: u64) {
        self.queue.lost_on_the_way(topic, frames);
    }

    pub fn status(&self) -> Status {
        self.queue.status()
    }

    /// Counts of every topic, as of now: in sum those that were offered, but for those that wait.
    pub fn losses(&self) -> Vec<RecordingLoss> {
        self.queue.losses()
    }

    /// A text for the bag's metadata, see [`BagWriter::set_custom_data`].
    pub fn set_custom_data(&self, name: &str, text: &str) {
        self.queue.set_custom_data(name, text);
    }

    /// Ends the recording and waits until the bag is finished. Also of a recording that ended by itself: then the state in
    /// [`Self::status`] says why. An error is what kept the bag from being finished; what was synced can be read.
    pub fn stop(&self) -> Result<Metadata, BagError> {
        self.queue.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            self.queue.fail("the writing thread panicked".to_owned());
        }
        self.queue.outcome()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
