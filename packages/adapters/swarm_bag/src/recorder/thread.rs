//! The thread that writes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use super::queue::{Entry, Progress, Queue};
use super::store::Store;
use super::{ENDED, LOSS_TOPIC, RecorderOptions, State};
use crate::cdr;
use crate::error::{At, BagError};
use crate::metadata::Metadata;
use crate::msg::{Message, RecordingLoss};
use crate::qos::Qos;
use crate::topic::Topic;
use crate::write::{Stamp, TopicId};

/// How long messages gather before they are written: the thread wakes for many of them at once.
const GATHER: Duration = Duration::from_millis(50);
const LOOK_AT_DISK_EVERY: Duration = Duration::from_millis(500);

pub(super) fn spawn(
    store: Box<dyn Store>,
    queue: Arc<Queue>,
    options: RecorderOptions,
) -> Result<JoinHandle<()>, BagError> {
    let path = store.path().to_owned();
    let writing = Writing {
        store,
        queue,
        options,
        loss: None,
        ids: Vec::new(),
        counts: Vec::new(),
        progress: Progress::default(),
        reported: Vec::new(),
    };
    Builder::new().name("bag".to_owned()).spawn(move || writing.run()).at("start a thread for", &path)
}

struct Writing {
    store: Box<dyn Store>,
    queue: Arc<Queue>,
    options: RecorderOptions,
    /// [`LOSS_TOPIC`] in the bag.
    loss: Option<TopicId>,
    /// The topics in the bag, and how many messages of each were written, in the order in which they were added.
    ids: Vec<TopicId>,
    counts: Vec<u64>,
    progress: Progress,
    /// What the bag says of each topic so far.
    reported: Vec<RecordingLoss>,
}

impl Writing {
    fn run(mut self) {
        match self.record() {
            Ok(metadata) => self.queue.finished(metadata),
            Err(error) => {
                let found = self.store.metadata();
                let count = |id: &TopicId| found.topics.get(id.index()).map_or(0, |topic| topic.count);
                let counts: Vec<u64> = self.ids.iter().map(count).collect();
                self.queue.failed(&counts, error);
            }
        }
    }

    fn record(&mut self) -> Result<Metadata, BagError> {
        let losses = Topic::of::<RecordingLoss>(LOSS_TOPIC, Qos::reliable(100))?;
        self.loss = Some(self.store.add_topic(losses)?);
        self.progress.disk_free = self.store.disk_free();
        let (mut reported, mut looked) = (Instant::now(), Instant::now());
        loop {
            let (entries, last) = self.queue.take(GATHER);
            self.write_all(entries)?;
            if last {
                break;
            }
            if reported.elapsed() >= self.options.report_every {
                reported = Instant::now();
                self.report(Report::Changed)?;
            }
            self.store.sync_if_due()?;
            if looked.elapsed() >= LOOK_AT_DISK_EVERY {
                looked = Instant::now();
                self.progress.disk_free = self.store.disk_free();
                if let Some(why) = self.disk_is_full() {
                    self.store.set_custom_data(ENDED, &why);
                    let rest = self.queue.end(State::DiskFull(why));
                    self.write_all(rest)?;
                    break;
                }
            }
        }
        self.report(Report::Every)?;
        let metadata = self.store.finish()?;
        self.tell();
        Ok(metadata)
    }

    fn disk_is_full(&self) -> Option<String> {
        let (free, reserve) = (self.progress.disk_free?, self.options.disk_reserve);
        (free < reserve).then(|| {
            format!(
                "the disk is full: {free} bytes are free at {} and {reserve} must stay so",
                self.store.path().display()
            )
        })
    }

    fn write_all(&mut self, entries: VecDeque<Entry>) -> Result<(), BagError> {
        for entry in entries {
            match entry {
                Entry::Topic(topic) => {
                    let id = self.store.add_topic(topic)?;
                    self.ids.push(id);
                    self.counts.push(0);
                }
                Entry::Custom(name, text) => self.store.set_custom_data(&name, &text),
                Entry::Message(topic, item) => {
                    self.write(self.ids[topic.index()], item.stamp, &item.bytes)?;
                    self.counts[topic.index()] += 1;
                    self.queue.wrote(&item);
                }
            }
        }
        self.tell();
        Ok(())
    }

    fn write(&mut self, topic: TopicId, stamp: Stamp, bytes: &[u8]) -> Result<(), BagError> {
        // A clock that stood before 1970 must not end a recording.
        let stamp = Stamp { received: stamp.received.max(0), published: stamp.published.max(0) };
        self.store.write(topic, stamp, bytes)?;
        self.progress.span.add(stamp.received);
        self.progress.bytes += bytes.len() as u64;
        Ok(())
    }

    fn tell(&self) {
        self.queue.recorded(&self.counts, self.progress);
    }

    /// Says in the bag what became of the messages, at the time of the newest of them.
    fn report(&mut self, which: Report) -> Result<(), BagError> {
        let Some(topic) = self.loss else { return Ok(()) };
        let losses = self.queue.losses();
        let time = if self.progress.span.count > 0 { self.progress.span.last } else { now() };
        for (index, loss) in losses.iter().enumerate() {
            if which == Report::Changed && self.reported.get(index) == Some(loss) {
                continue;
            }
            let encoded = cdr::encode(loss);
            let bytes =
                encoded.map_err(|source| BagError::Cdr { topic: RecordingLoss::TYPE.to_owned(), source })?;
            self.write(topic, time.into(), &bytes)?;
        }
        self.reported = losses;
        self.tell();
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Report {
    Changed,
    Every,
}

/// Nanoseconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
