//! Recording beside others' work: what a recorder promises of a disk that is fast, slow, full or broken.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use swarm_bag::msg::{Bool, RecordingLoss};
use swarm_bag::recorder::{
    Dropped, ENDED, LOSS_TOPIC, Offered, Recorder, RecorderOptions, Share, State, Store,
};
use swarm_bag::video::VideoMessage;
use swarm_bag::{
    BagError, BagReader, BagWriter, Definitions, Item, Kind, Metadata, Qos, Stamp, Topic, TopicId,
    WriteOptions, cdr,
};

use crate::common::START;

/// A bag behind a disk that stands still, fills up or fails when told to.
#[derive(Clone, Debug, Default)]
struct Faults {
    stands: Arc<(Mutex<bool>, Condvar)>,
    /// Set once the writing thread stands at the gate.
    reached: Arc<AtomicBool>,
    /// Free bytes; 0 stands for plenty.
    free: Arc<AtomicU64>,
    /// Writes until one fails; 0 stands for never.
    writes_left: Arc<AtomicUsize>,
}

impl Faults {
    fn stand(&self, still: bool) {
        *self.stands.0.lock().unwrap() = still;
        self.stands.1.notify_all();
    }
}

struct FaultyBag(BagWriter, Faults);

impl Store for FaultyBag {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn add_topic(&mut self, topic: Topic) -> Result<TopicId, BagError> {
        self.0.add_topic(topic)
    }

    fn write(&mut self, topic: TopicId, stamp: Stamp, bytes: &[u8]) -> Result<(), BagError> {
        let Faults { stands, reached, writes_left, .. } = &self.1;
        let mut still = stands.0.lock().unwrap();
        while *still {
            reached.store(true, Ordering::SeqCst);
            still = stands.1.wait(still).unwrap();
        }
        drop(still);
        if writes_left.load(Ordering::SeqCst) > 0 && writes_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(BagError::Io { action: "write to", path: self.0.path().to_owned(), source });
        }
        Store::write(&mut self.0, topic, stamp, bytes)
    }

    fn sync_if_due(&mut self) -> Result<(), BagError> {
        Store::sync_if_due(&mut self.0)
    }

    fn set_custom_data(&mut self, name: &str, text: &str) {
        Store::set_custom_data(&mut self.0, name, text);
    }

    fn finish(&mut self) -> Result<Metadata, BagError> {
        Store::finish(&mut self.0)
    }

    fn metadata(&self) -> Metadata {
        Store::metadata(&self.0)
    }

    fn disk_free(&self) -> Option<u64> {
        match self.1.free.load(Ordering::SeqCst) {
            0 => Some(u64::MAX),
            free => Some(free),
        }
    }
}

fn options() -> RecorderOptions {
    RecorderOptions {
        queue_bytes: 100_000,
        reserved_bytes: 20_000,
        disk_reserve: 1,
        report_every: Duration::from_millis(20),
        bag: WriteOptions { sync_every: Duration::from_millis(30), ..WriteOptions::default() },
    }
}

fn over_faults(path: &Path, faults: &Faults) -> Recorder {
    let bag = BagWriter::create(path, options().bag).unwrap();
    Recorder::over(Box::new(FaultyBag(bag, faults.clone())), options()).unwrap()
}

fn video_topic(name: &str) -> Topic {
    let message = VideoMessage::CompressedVideo;
    Topic::new(name, message.type_name(), Qos::best_effort(5), &Definitions::suite()).unwrap()
}

fn state_topic() -> Topic {
    Topic::of::<Bool>("/emergency_stop", Qos::reliable(5)).unwrap()
}

fn state(nanos: i64) -> Item {
    let bytes = cdr::encode(&Bool { data: true }).unwrap().into();
    Item { stamp: nanos.into(), bytes, kind: Kind::Message }
}

fn frame(nanos: i64, kind: Kind, size: usize) -> Item {
    Item { stamp: nanos.into(), bytes: vec![7; size].into(), kind }
}

/// What the bag itself says of each topic at its end, and how many messages it has.
fn check(path: &Path) -> BTreeMap<String, (RecordingLoss, u64)> {
    let mut bag = BagReader::open(path).unwrap();
    let mut said = BTreeMap::new();
    let mut found = BTreeMap::<String, u64>::new();
    while let Some(message) = bag.next() {
        let name = bag.topics()[message.topic].name.clone();
        if name == LOSS_TOPIC {
            let loss: RecordingLoss = bag.decode(&message).unwrap();
            assert_eq!(loss.received, loss.recorded + loss.dropped_queue + loss.dropped_disk, "{loss:?}");
            said.insert(loss.topic.clone(), loss);
        }
        *found.entry(name).or_default() += 1;
    }
    assert_eq!(bag.damage(), [""; 0]);
    said.into_iter()
        .map(|(name, loss)| (name.clone(), (loss, found.get(&name).copied().unwrap_or(0))))
        .collect()
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn all_that_is_offered_is_in_the_bag_and_the_bag_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.mcap", "a.db3", "a"] {
        let path = folder.path().join(name);
        let recorder = Recorder::start(&path, RecorderOptions { disk_reserve: 1, ..options() }).unwrap();
        recorder.set_custom_data("cell", "test");
        let camera = recorder.add_topic(video_topic("/cam1/video"), Share::Bulk).unwrap();
        let stop = recorder.add_topic(state_topic(), Share::State).unwrap();
        assert_eq!(recorder.add_topic(state_topic(), Share::State).unwrap(), stop);
        for index in 0..30 {
            let now = START + index;
            assert_eq!(recorder.offer(camera, frame(now, Kind::KeyFrame, 1000)), Offered::Taken);
            assert_eq!(recorder.offer(stop, state(now)), Offered::Taken);
        }
        recorder.lost_on_the_way(camera, 4);
        let metadata = recorder.stop().unwrap();
        assert_eq!(recorder.stop().unwrap(), metadata, "once more is no harm");
        assert_eq!(recorder.offer(stop, state(START)), Offered::Stopped);
        assert_eq!(recorder.status().state, State::Stopped);
        assert_eq!(recorder.status().span, metadata.span());
        assert_eq!(metadata.custom["cell"], "test");
        let said = check(&path);
        let expected = |topic: &str, lost_network| {
            let topic = topic.to_owned();
            (RecordingLoss { topic, received: 30, recorded: 30, lost_network, ..Default::default() }, 30)
        };
        assert_eq!(said["/cam1/video"], expected("/cam1/video", 4), "{name}");
        assert_eq!(said["/emergency_stop"], expected("/emergency_stop", 0));
        let losses: Vec<RecordingLoss> = said.into_values().map(|(loss, _)| loss).collect();
        assert_eq!(recorder.losses(), losses);
    }
}

#[test]
fn a_disk_that_stands_still_stops_nobody_and_video_cannot_push_out_states() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    let faults = Faults::default();
    let recorder = over_faults(&path, &faults);
    let camera = recorder.add_topic(video_topic("/cam1/video"), Share::Bulk).unwrap();
    let stop = recorder.add_topic(state_topic(), Share::State).unwrap();
    faults.stand(true);
    let mut taken = 0;
    for index in 0..50 {
        let kind = if index % 10 == 0 { Kind::KeyFrame } else { Kind::DeltaFrame };
        match recorder.offer(camera, frame(START + index, kind, 5000)) {
            Offered::Taken => taken += 1,
            Offered::Dropped(Dropped::Queue) => assert!(taken >= 15, "dropped after {taken}"),
            Offered::Dropped(Dropped::UntilKeyFrame) => assert_eq!(kind, Kind::DeltaFrame),
            other => panic!("{other:?}"),
        }
        assert_eq!(recorder.offer(stop, state(START + index)), Offered::Taken, "{index}");
    }
    assert_eq!(taken, 15, "as many as the queue without its reserve holds");
    faults.stand(false);
    wait_for("the queue is written", || recorder.status().waiting_bytes == 0);
    assert_eq!(
        recorder.offer(camera, frame(START + 50, Kind::DeltaFrame, 10)),
        Offered::Dropped(Dropped::UntilKeyFrame),
        "what it is the difference to is missing"
    );
    assert_eq!(recorder.offer(camera, frame(START + 51, Kind::KeyFrame, 10)), Offered::Taken);
    assert_eq!(recorder.offer(camera, frame(START + 52, Kind::DeltaFrame, 10)), Offered::Taken);
    recorder.stop().unwrap();
    let said = check(&path);
    let (video, found) = &said["/cam1/video"];
    assert_eq!((video.received, video.recorded, video.dropped_queue), (53, 17, 36));
    assert_eq!(*found, 17);
    assert_eq!(said["/emergency_stop"].1, 50);
}

#[test]
fn a_message_longer_than_the_queue_is_taken_when_nothing_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    let recorder = over_faults(&path, &Faults::default());
    let camera = recorder.add_topic(video_topic("/cam1/video"), Share::Bulk).unwrap();
    assert_eq!(recorder.offer(camera, frame(START, Kind::KeyFrame, 1_000_000)), Offered::Taken);
    recorder.stop().unwrap();
    assert_eq!(check(&path)["/cam1/video"].1, 1);
}

#[test]
fn before_the_disk_is_full_the_recording_ends_whole() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.mcap", "a.db3", "a"] {
        let path = folder.path().join(name);
        let faults = Faults::default();
        let bag = BagWriter::create(&path, options().bag).unwrap();
        let options = RecorderOptions { disk_reserve: 1000, ..options() };
        let recorder = Recorder::over(Box::new(FaultyBag(bag, faults.clone())), options).unwrap();
        let stop = recorder.add_topic(state_topic(), Share::State).unwrap();
        recorder.offer(stop, state(START));
        faults.free.store(999, Ordering::SeqCst);
        wait_for("the recording ends", || recorder.status().state != State::Recording);
        assert_eq!(recorder.offer(stop, state(START + 1)), Offered::Dropped(Dropped::Disk));
        let metadata = recorder.stop().unwrap();
        let expected =
            format!("the disk is full: 999 bytes are free at {} and 1000 must stay so", path.display());
        assert_eq!(recorder.status().state, State::DiskFull(expected.clone()));
        assert_eq!(metadata.custom[ENDED], expected);
        assert_eq!(check(&path)["/emergency_stop"].1, 1);
        assert_eq!(*BagReader::open(&path).unwrap().metadata(), metadata);
        let loss = &recorder.losses()[0];
        assert_eq!((loss.received, loss.recorded, loss.dropped_disk), (2, 1, 1));
    }
}

#[test]
fn a_write_that_is_refused_ends_the_recording_at_the_last_sync_with_exact_counts() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.mcap", "a.db3", "a"] {
        let path = folder.path().join(name);
        let faults = Faults::default();
        let recorder = over_faults(&path, &faults);
        let stop = recorder.add_topic(state_topic(), Share::State).unwrap();
        for index in 0..20 {
            recorder.offer(stop, state(START + index));
        }
        wait_for("20 are synced", || {
            BagReader::open(&path).is_ok_and(|bag| bag.metadata().span().count >= 20)
        });
        faults.writes_left.store(5, Ordering::SeqCst);
        for index in 20..40 {
            recorder.offer(stop, state(START + index));
        }
        wait_for("the recording ends", || recorder.status().state != State::Recording);
        let after = recorder.offer(stop, state(START + 40));
        assert_eq!(after, Offered::Dropped(Dropped::Disk));
        let State::Failed(why) = recorder.status().state else { panic!("{:?}", recorder.status()) };
        assert_eq!(why, format!("cannot write to {}: no storage space", path.display()));
        assert!(recorder.stop().is_err());
        let bag = BagReader::open(&path).unwrap();
        let of_topic = |topic: &&swarm_bag::TopicCount| topic.topic.name == "/emergency_stop";
        let found = bag.metadata().topics.iter().find(of_topic).unwrap().count;
        let loss = &recorder.losses()[0];
        assert_eq!((loss.received, loss.recorded, loss.dropped_disk), (41, found, 41 - found), "{name}");
        assert!(found >= 20);
    }
}

#[test]
fn what_cannot_begin_says_why_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path, reserve| {
        let options = RecorderOptions { disk_reserve: reserve, ..options() };
        Recorder::start(path, options).unwrap_err().to_string()
    };
    let there = folder.path().join("a.mcap");
    std::fs::write(&there, "").unwrap();
    assert_eq!(
        error(&there, 1),
        format!(
            "{} exists; a bag is never written over another: name a new one, or remove it",
            there.display()
        )
    );
    let below_a_file = there.join("b.mcap");
    let expected = format!("cannot create {}: ", there.display());
    assert!(error(&below_a_file, 1).starts_with(&expected), "{}", error(&below_a_file, 1));
    let full = folder.path().join("full.mcap");
    let said = error(&full, u64::MAX);
    assert!(said.starts_with(&format!("too little room for {}: ", full.display())), "{said}");
    assert!(said.ends_with(
        "bytes are free there and 18446744073709551615 must stay so; remove something, or record elsewhere"
    ));
    assert!(!full.exists());
}

#[test]
fn the_topic_of_losses_is_the_recorders_own() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = over_faults(&folder.path().join("a.mcap"), &Faults::default());
    let topic = Topic::of::<RecordingLoss>(LOSS_TOPIC, Qos::reliable(1)).unwrap();
    assert!(matches!(recorder.add_topic(topic, Share::State), Err(BagError::TopicDiffers { .. })));
}

#[test]
fn a_bag_that_is_being_recorded_can_be_opened_and_holds_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.mcap", "a.db3"] {
        let path = folder.path().join(name);
        let recorder = over_faults(&path, &Faults::default());
        let stop = recorder.add_topic(state_topic(), Share::State).unwrap();
        let mut now = START;
        let mut reports = 0;
        while reports < 3 {
            now += 1;
            recorder.offer(stop, state(now));
            std::thread::yield_now();
            let mut bag = BagReader::open(&path).unwrap();
            let messages: Vec<_> = bag.by_ref().collect();
            let name = |index: usize| bag.topics()[index].name.as_str();
            let losses: Vec<RecordingLoss> = messages
                .iter()
                .filter(|m| name(m.topic) == LOSS_TOPIC)
                .map(|m| bag.decode(m).unwrap())
                .collect();
            let found = messages.iter().filter(|m| name(m.topic) == "/emergency_stop").count() as u64;
            assert!(losses.iter().all(|loss| loss.recorded <= found), "{found} messages and {losses:?}");
            reports = losses.len();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    /// However offers, stalls and failures fall together, each message is in the bag or counted, and no picture is in the
    /// bag without the one before it.
    #[test]
    fn every_message_is_accounted_for(
        steps in prop::collection::vec((0..3usize, 0..8usize, 1..20_000usize), 1..200),
        fails in prop::option::of(1..100usize),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mcap");
        let faults = Faults::default();
        faults.writes_left.store(fails.unwrap_or(0), Ordering::SeqCst);
        let recorder = over_faults(&path, &faults);
        let cameras = ["/cam1/video", "/cam2/video"].map(|name| recorder.add_topic(video_topic(name), Share::Bulk).unwrap());
        let stop = recorder.add_topic(state_topic(), Share::State).unwrap();
        let mut offered = [0u64; 3];
        let mut numbers = [0u32; 2];
        for (index, (topic, what, size)) in steps.into_iter().enumerate() {
            let now = START + (index as u64).cast_signed();
            faults.stand(what == 7);
            offered[topic] += 1;
            if topic == 2 {
                recorder.offer(stop, state(now));
            } else {
                let kind = if what == 0 { Kind::KeyFrame } else { Kind::DeltaFrame };
                // A picture carries its number, and that of its key frame is 0.
                numbers[topic] = if what == 0 { 0 } else { numbers[topic] + 1 };
                let mut bytes = vec![0; size.max(4)];
                bytes[..4].copy_from_slice(&numbers[topic].to_le_bytes());
                recorder.offer(cameras[topic], Item { stamp: now.into(), bytes: bytes.into(), kind });
            }
        }
        faults.stand(false);
        let ended = recorder.stop();
        let losses = recorder.losses();
        let mut bag = BagReader::open(&path).unwrap();
        for (loss, offered) in losses.iter().zip(offered) {
            let count = bag.metadata().topics.iter().find(|counted| counted.topic.name == loss.topic).map_or(0, |counted| counted.count);
            prop_assert_eq!(loss.received, offered, "{:?}", loss);
            prop_assert_eq!(loss.recorded, count);
            prop_assert_eq!(loss.recorded + loss.dropped_queue + loss.dropped_disk, offered);
        }
        let mut next: BTreeMap<usize, u32> = BTreeMap::new();
        for message in bag.by_ref().collect::<Vec<_>>() {
            if bag.topics()[message.topic].name.ends_with("video") {
                let number = u32::from_le_bytes(message.data[..4].try_into().unwrap());
                let expected = next.entry(message.topic).or_insert(number);
                prop_assert!(number == 0 || number == *expected, "{} after {}", number, *expected);
                *expected = number + 1;
            }
        }
        if ended.is_ok() {
            for (loss, _) in check(&path).into_values() {
                prop_assert!(losses.contains(&loss), "{:?} is not the last word: {:?}", loss, losses);
            }
        }
    }
}
