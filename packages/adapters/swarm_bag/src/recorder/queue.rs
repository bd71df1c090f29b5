//! Between those who offer and the thread that writes: what waits, what was dropped, and the counts.
//!
//! One lock, held for a few instructions by either side. The bytes that wait are those of messages that were not yet written,
//! also while the writing thread has them in its hands.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Dropped, LOSS_TOPIC, Offered, RecorderOptions, Share, State, Status};
use crate::error::BagError;
use crate::item::{Item, Kind};
use crate::metadata::{Metadata, Span};
use crate::msg::RecordingLoss;
use crate::topic::Topic;
use crate::write::{TopicId, same_topic};

/// What a message takes beside its bytes, so that empty ones are bounded too.
const ITEM: usize = 128;

/// What the writing thread is handed, in order.
#[derive(Debug)]
pub(super) enum Entry {
    Topic(Topic),
    Message(TopicId, Item),
    Custom(String, String),
}

#[derive(Debug)]
pub(super) struct Queue {
    path: PathBuf,
    limit: usize,
    reserved: usize,
    waiting: AtomicUsize,
    inner: Mutex<Inner>,
    wake: Condvar,
}

#[derive(Debug)]
struct Inner {
    entries: VecDeque<Entry>,
    topics: Vec<Offering>,
    ids: BTreeMap<String, TopicId>,
    state: State,
    stopping: bool,
    progress: Progress,
    outcome: Option<Result<Metadata, BagError>>,
}

/// A topic as those who offer see it.
#[derive(Debug)]
struct Offering {
    topic: Topic,
    share: Share,
    /// A picture was dropped, and no key frame came since.
    gap: bool,
    offered: u64,
    dropped_queue: u64,
    dropped_disk: u64,
    recorded: u64,
    lost: u64,
}

/// What the writing thread tells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    pub(super) span: Span,
    pub(super) bytes: u64,
    pub(super) disk_free: Option<u64>,
}

impl Queue {
    pub(super) fn new(path: PathBuf, options: &RecorderOptions) -> Self {
        let inner = Inner {
            entries: VecDeque::new(),
            topics: Vec::new(),
            ids: BTreeMap::new(),
            state: State::Recording,
            stopping: false,
            progress: Progress::default(),
            outcome: None,
        };
        Self {
            path,
            limit: options.queue_bytes,
            reserved: options.reserved_bytes.min(options.queue_bytes),
            waiting: AtomicUsize::new(0),
            inner: Mutex::new(inner),
            wake: Condvar::new(),
        }
    }

    pub(super) fn add_topic(&self, topic: Topic, share: Share) -> Result<TopicId, BagError> {
        let mut inner = self.lock();
        if let Some(id) = inner.ids.get(&topic.name).copied() {
            same_topic(&inner.topics[id.index()].topic, &topic)?;
            return Ok(id);
        }
        if topic.name == LOSS_TOPIC {
            let (present, wanted) = ("the recorder's own".to_owned(), topic.type_name);
            return Err(BagError::TopicDiffers { topic: topic.name, present, wanted });
        }
        // The bag has one more, LOSS_TOPIC.
        let id = u16::try_from(inner.topics.len() + 1)
            .ok()
            .filter(|number| *number < u16::MAX)
            .map(TopicId)
            .ok_or_else(|| BagError::TooManyTopics { path: self.path.clone() })?;
        inner.ids.insert(topic.name.clone(), id);
        inner.entries.push_back(Entry::Topic(topic.clone()));
        inner.topics.push(Offering {
            topic,
            share,
            gap: false,
            offered: 0,
            dropped_queue: 0,
            dropped_disk: 0,
            recorded: 0,
            lost: 0,
        });
        Ok(id)
    }

    pub(super) fn offer(&self, topic: TopicId, item: Item) -> Offered {
        let mut guard = self.lock();
        let inner = &mut *guard;
        if inner.stopping {
            return Offered::Stopped;
        }
        let topic_state = &mut inner.topics[topic.index()];
        topic_state.offered += 1;
        if inner.state != State::Recording {
            topic_state.dropped_disk += 1;
            return Offered::Dropped(Dropped::Disk);
        }
        if item.kind == Kind::DeltaFrame && topic_state.gap {
            topic_state.dropped_queue += 1;
            return Offered::Dropped(Dropped::UntilKeyFrame);
        }
        let limit = match topic_state.share {
            Share::State => self.limit,
            Share::Bulk => self.limit - self.reserved,
        };
        let (cost, waiting) = (cost(&item), self.waiting.load(Ordering::Relaxed));
        // One message is taken however long it is.
        if waiting > 0 && waiting + cost > limit {
            topic_state.dropped_queue += 1;
            topic_state.gap = item.kind != Kind::Message;
            return Offered::Dropped(Dropped::Queue);
        }
        topic_state.gap = false;
        self.waiting.fetch_add(cost, Ordering::Relaxed);
        inner.entries.push_back(Entry::Message(topic, item));
        drop(guard);
        // The thread looks by itself soon enough, unless much comes at once.
        let much = self.limit / 8;
        if waiting < much && waiting + cost >= much {
            self.wake.notify_one();
        }
        Offered::Taken
    }

    pub(super) fn lost_on_the_way(&self, topic: TopicId, frames: u64) {
        self.lock().topics[topic.index()].lost += frames;
    }

    pub(super) fn set_custom_data(&self, name: &str, text: &str) {
        self.lock().entries.push_back(Entry::Custom(name.to_owned(), text.to_owned()));
    }

    pub(super) fn status(&self) -> Status {
        let inner = self.lock();
        Status {
            path: self.path.clone(),
            state: inner.state.clone(),
            span: inner.progress.span,
            bytes: inner.progress.bytes,
            waiting_bytes: self.waiting.load(Ordering::Relaxed),
            disk_free: inner.progress.disk_free,
        }
    }

    /// Received are those whose fate is known, so that the sum is exact at any time.
    pub(super) fn losses(&self) -> Vec<RecordingLoss> {
        let loss = |of: &Offering| RecordingLoss {
            topic: of.topic.name.clone(),
            received: of.recorded + of.dropped_queue + of.dropped_disk,
            recorded: of.recorded,
            dropped_queue: of.dropped_queue,
            dropped_disk: of.dropped_disk,
            lost_network: of.lost,
        };
        self.lock().topics.iter().map(loss).collect()
    }

    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.wake.notify_one();
    }

    /// What waits; after `patience`, at a stop, or as soon as there is much. And whether it is the last.
    pub(super) fn take(&self, patience: Duration) -> (VecDeque<Entry>, bool) {
        let inner = self.lock();
        let little = || self.waiting.load(Ordering::Relaxed) < self.limit / 8;
        let idle = |inner: &mut Inner| !inner.stopping && little();
        let (mut inner, _) =
            self.wake.wait_timeout_while(inner, patience, idle).unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut inner.entries), inner.stopping)
    }

    /// Ends the recording from within: what is offered from here on is dropped. Returns what waits.
    pub(super) fn end(&self, why: State) -> VecDeque<Entry> {
        let mut inner = self.lock();
        inner.state = why;
        std::mem::take(&mut inner.entries)
    }

    /// The thread has written one message.
    pub(super) fn wrote(&self, item: &Item) {
        self.waiting.fetch_sub(cost(item), Ordering::Relaxed);
    }

    /// Messages of each topic, in the order of their ids, that are in the bag.
    pub(super) fn recorded(&self, counts: &[u64], progress: Progress) {
        let mut inner = self.lock();
        for (topic, count) in inner.topics.iter_mut().zip(counts) {
            topic.recorded = *count;
        }
        inner.progress = progress;
    }

    pub(super) fn finished(&self, metadata: Metadata) {
        let mut inner = self.lock();
        if inner.state == State::Recording {
            inner.state = State::Stopped;
        }
        inner.outcome = Some(Ok(metadata));
    }

    /// After an error: what is not among `counts` is lost.
    pub(super) fn failed(&self, counts: &[u64], error: BagError) {
        let mut inner = self.lock();
        inner.state = State::Failed(error.to_string());
        inner.outcome = Some(Err(error));
        inner.entries.clear();
        for (index, topic) in inner.topics.iter_mut().enumerate() {
            topic.recorded = counts.get(index).copied().unwrap_or(0);
            topic.dropped_disk = topic.offered - topic.dropped_queue - topic.recorded;
        }
        self.waiting.store(0, Ordering::Relaxed);
    }

    /// Of a thread that is gone without a word.
    pub(super) fn fail(&self, why: String) {
        self.lock().state = State::Failed(why);
    }

    /// How the recording ended; an error is told once.
    pub(super) fn outcome(&self) -> Result<Metadata, BagError> {
        let mut inner = self.lock();
        match inner.outcome.take() {
            Some(Ok(metadata)) => {
                inner.outcome = Some(Ok(metadata.clone()));
                Ok(metadata)
            }
            Some(Err(error)) => Err(error),
            None => Err(BagError::Failed { path: self.path.clone() }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(item: &Item) -> usize {
    item.bytes.len() + ITEM
}
