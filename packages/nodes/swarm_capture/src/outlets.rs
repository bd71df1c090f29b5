//! Where a message goes: to whoever subscribes, into the ring for snapshots, into the recording if there is one. It is encoded
//! once, and all of them share its bytes.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use r2r::PublisherUntyped;
use swarm_bag::msg::{Message, RecordingLoss};
use swarm_bag::recorder::{Recorder, RecorderOptions, Share, Status};
use swarm_bag::ring::{Ring, RingOptions};
use swarm_bag::{BagError, CdrError, Item, Kind, Metadata, Stamp, Topic, TopicId, WriteOptions, cdr};
use swarm_capture_core::{HostTime, ReceptionClock};

use crate::{now, steady};

/// One of the [`Outlets`]' topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlet(usize);

/// All topics of the node that are kept or recorded. Shared by all threads; nothing here waits for a disk but
/// [`Outlets::close`] and [`Outlets::snapshot`].
#[derive(Debug)]
pub struct Outlets {
    ring: Ring,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    channels: Vec<Channel>,
    recorder: Option<Arc<Recorder>>,
    /// Whether messages go into it.
    recording: bool,
    published: Published,
    reception: ReceptionClock,
}

/// What became of publishing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    pub messages: u64,
    pub failures: u64,
}

struct Channel {
    topic: Topic,
    share: Share,
    kept: TopicId,
    /// In the recording's bag.
    recorded: Option<TopicId>,
    publisher: Option<Arc<Mutex<PublisherUntyped>>>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("topic", &self.topic.name).finish_non_exhaustive()
    }
}

impl Outlets {
    pub fn new(ring: RingOptions) -> Self {
        Self { ring: Ring::new(ring), inner: Mutex::default() }
    }

    /// Adds a topic, before the first recording.
    pub fn add(
        &self,
        topic: Topic,
        share: Share,
        publisher: Option<PublisherUntyped>,
    ) -> Result<Outlet, BagError> {
        let kept = self.ring.add_topic(topic.clone())?;
        let publisher = publisher.map(|publisher| Arc::new(Mutex::new(publisher)));
        let mut inner = self.inner();
        inner.channels.push(Channel { topic, share, kept, recorded: None, publisher });
        Ok(Outlet(inner.channels.len() - 1))
    }

    /// Hands a message on. One that came from another node's topic is not published again: its outlet has no publisher.
    ///
    /// It is received now: messages stand in a bag in the order of their times of reception, which readers of a bag that was
    /// cut off rely on. When a frame was captured, and when it came, is in the messages themselves.
    pub fn give(&self, outlet: Outlet, captured: HostTime, bytes: Bytes, kind: Kind) {
        let (publisher, item) = {
            let mut inner = self.inner();
            let received = self.received(&mut inner);
            let item = Item { stamp: Stamp { received, published: captured.0 }, bytes, kind };
            let channel = &inner.channels[outlet.0];
            if let (true, Some(recorder), Some(id)) = (inner.recording, &inner.recorder, channel.recorded) {
                recorder.offer(id, item.clone()); // what it does not take it counts
            }
            // Before the lock is let go of: a recording that begins now has it from the ring, or from here.
            self.ring.push(channel.kept, item.clone());
            (channel.publisher.clone(), item)
        };
        if let Some(publisher) = publisher {
            let publisher = publisher.lock().unwrap_or_else(PoisonError::into_inner);
            if publisher.get_inter_process_subscription_count().unwrap_or(0) > 0 {
                let failed = publisher.publish_raw(&item.bytes).is_err();
                let published = &mut self.inner().published;
                published.messages += 1;
                published.failures += u64::from(failed);
            }
        }
    }

    /// Encodes a message of the node's own and hands it on.
    pub fn say<M: Message>(&self, outlet: Outlet, captured: HostTime, message: &M) -> Result<(), CdrError> {
        self.give(outlet, captured, cdr::encode(message)?.into(), Kind::Message);
        Ok(())
    }

    /// Frames of a topic that never came, for the recording's account.
    pub fn lost(&self, outlet: Outlet, frames: u64) {
        let inner = self.inner();
        if let (true, Some(recorder), Some(id)) =
            (inner.recording, &inner.recorder, inner.channels[outlet.0].recorded)
        {
            recorder.lost_on_the_way(id, frames);
        }
    }

    /// Makes the bag of a recording, with all topics. Nothing goes into it before [`Outlets::record`].
    pub fn open(&self, path: &Path, options: RecorderOptions) -> Result<(), BagError> {
        let recorder = Recorder::start(path, options)?;
        let mut inner = self.inner();
        for channel in &mut inner.channels {
            channel.recorded = Some(recorder.add_topic(channel.topic.clone(), channel.share)?);
        }
        inner.recorder = Some(Arc::new(recorder));
        Ok(())
    }

    /// Messages go into the bag from here on. Its beginning is what latched topics have said before, as received now: the bag
    /// begins now, and times of reception do not go back in it.
    pub fn record(&self) {
        let mut inner = self.inner();
        let latched = self.ring.latched();
        let received = self.received(&mut inner);
        if let Some(recorder) = &inner.recorder {
            for (kept, item) in latched {
                let channel = inner.channels.iter().find(|channel| channel.kept == kept);
                if let Some(id) = channel.and_then(|channel| channel.recorded) {
                    recorder.offer(id, Item { stamp: Stamp { received, ..item.stamp }, ..item });
                }
            }
        }
        inner.recording = true;
    }

    /// No message goes into the bag any more.
    pub fn cease(&self) {
        self.inner().recording = false;
    }

    /// Finishes the bag.
    pub fn close(&self) -> Result<Option<Metadata>, BagError> {
        let Some(recorder) = self.inner().recorder.take() else { return Ok(None) };
        recorder.stop().map(Some) // without the lock: frames go on to whoever subscribes
    }

    /// Puts a text into the recording.
    pub fn note(&self, name: &str, text: &str) {
        if let Some(recorder) = &self.inner().recorder {
            recorder.set_custom_data(name, text);
        }
    }

    /// The recording under way, with the counts of each topic.
    pub fn recording(&self) -> Option<(Status, Vec<RecordingLoss>)> {
        let recorder = self.inner().recorder.clone()?;
        Some((recorder.status(), recorder.losses()))
    }

    /// Writes the last seconds, or all that is kept, into a bag of their own.
    pub fn snapshot(
        &self,
        path: &Path,
        last: Option<Duration>,
        options: WriteOptions,
    ) -> Result<Metadata, BagError> {
        self.ring.cut(last).write(path, options)?.make_durable()
    }

    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    pub fn published(&self) -> Published {
        self.inner().published
    }

    /// Time of reception of what comes now, ns. A bag has one time from its beginning to its end; between two recordings a system
    /// clock that was set back is followed, and the ring begins anew.
    fn received(&self, inner: &mut Inner) -> i64 {
        if inner.recorder.is_none() && inner.reception.is_ahead() {
            inner.reception.restart();
            self.ring.forget();
        }
        inner.reception.read(steady(), now(), steady()).0
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use swarm_bag::msg::{Bool, Text};
    use swarm_bag::{BagReader, Qos};

    use super::*;

    #[test]
    fn a_recording_begins_now_with_what_latched_topics_said_before() {
        let folder = tempfile::tempdir().unwrap();
        let outlets = Outlets::new(RingOptions::default());
        let latched = |name| Topic::of::<Text>(name, Qos::reliable(1).transient_local()).unwrap();
        let [tf_static, description] = ["/tf_static", "/robot_description"]
            .map(|name| outlets.add(latched(name), Share::State, None).unwrap());
        let stop = Topic::of::<Bool>("/emergency_stop", Qos::reliable(5)).unwrap();
        let stop = outlets.add(stop, Share::State, None).unwrap();
        let sent = now();
        for outlet in [description, tf_static] {
            outlets.say(outlet, sent, &Text { data: "as of the start".to_owned() }).unwrap();
        }
        outlets.say(stop, now(), &Bool { data: false }).unwrap();

        let path = folder.path().join("late.mcap");
        outlets.open(&path, RecorderOptions::default()).unwrap();
        let asked = now().0;
        outlets.record();
        outlets.say(stop, now(), &Bool { data: true }).unwrap();
        outlets.close().unwrap();

        let mut bag = BagReader::open(&path).unwrap();
        let messages: Vec<_> = bag.by_ref().collect();
        let received: Vec<i64> = messages.iter().map(|message| message.stamp.received).collect();
        assert!(received.len() >= 3 && received.iter().all(|at| *at >= asked), "{asked}: {received:?}");
        assert!(received.is_sorted());
        assert_eq!(
            messages.iter().filter(|message| message.stamp.published == sent.0).count(),
            2,
            "sent when they were sent"
        );
    }
}
