//! What is recorded: four cameras of 30 Hz and 8 Mbit/s with their timing, and 20 topics of 100 Hz, as an arm cell has them.

use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use swarm_bag::msg::{FrameTiming, Header, JointState, Message, Time};
use swarm_bag::recorder::{Recorder, RecorderOptions, Share};
use swarm_bag::ring::{Ring, RingOptions};
use swarm_bag::video::{Picture, VideoMessage};
use swarm_bag::{Definitions, Item, Kind, Qos, Survives, Topic, TopicId, WriteOptions, cdr};

use crate::{now, reference};

pub(crate) const CAMERAS: usize = 4;
const FRAMES_PER_SECOND: u32 = 30;
const BITS_PER_SECOND: usize = 8_000_000;
const STATES: usize = 20;
const STATE_EVERY: Duration = Duration::from_millis(10);

/// How a recording is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Mcap,
    Sqlite,
    McapUnsynced,
    SqliteUnsynced,
    ReferenceMcap,
    ReferenceSqlite,
}

const WAYS: [(&str, Way); 6] = [
    ("mcap", Way::Mcap),
    ("db3", Way::Sqlite),
    ("mcap-unsynced", Way::McapUnsynced),
    ("db3-unsynced", Way::SqliteUnsynced),
    ("reference-mcap", Way::ReferenceMcap),
    ("reference-db3", Way::ReferenceSqlite),
];

impl Way {
    pub(crate) fn name(self) -> &'static str {
        WAYS.iter().find(|(_, way)| *way == self).map_or("", |(name, _)| name)
    }

    pub(crate) fn is_mcap(self) -> bool {
        matches!(self, Self::Mcap | Self::McapUnsynced | Self::ReferenceMcap)
    }
}

/// Where messages go.
pub(crate) trait Sink: Sync {
    fn offer(&self, topic: usize, item: Item);
}

/// Records until its input ends; says when it began, and what CPU time it has taken by then, in nanoseconds.
pub(crate) fn record(way: &str, path: &Path) -> anyhow::Result<()> {
    let (_, way) = WAYS.iter().find(|(name, _)| *name == way).context("no such way of recording")?;
    match way {
        Way::ReferenceMcap => work(&reference::Mcap::create(path, &topics())?),
        Way::ReferenceSqlite => work(&reference::Sqlite::create(path, &topics())?),
        Way::Mcap | Way::Sqlite => work(&Ours::create(path, Survives::PowerCut)?),
        Way::McapUnsynced | Way::SqliteUnsynced => work(&Ours::create(path, Survives::ProcessEnd)?),
    }
}

/// Recorder and ring side by side, as in the node.
struct Ours {
    recorder: Recorder,
    ring: Ring,
    ids: Vec<(TopicId, TopicId)>,
    /// Time of reception of the newest message, ns.
    newest: Mutex<i64>,
}

impl Ours {
    fn create(path: &Path, survives: Survives) -> anyhow::Result<Self> {
        let bag = WriteOptions { survives, ..WriteOptions::default() };
        let recorder =
            Recorder::start(path, RecorderOptions { bag, disk_reserve: 0, ..RecorderOptions::default() })?;
        let ring = Ring::new(RingOptions { span: Duration::from_secs(5), ..RingOptions::default() });
        let mut ids = Vec::new();
        for (index, topic) in topics().into_iter().enumerate() {
            let share = if index < CAMERAS { Share::Bulk } else { Share::State };
            ids.push((recorder.add_topic(topic.clone(), share)?, ring.add_topic(topic)?));
        }
        Ok(Self { recorder, ring, ids, newest: Mutex::new(0) })
    }
}

impl Sink for Ours {
    /// As the node does it: messages are received in the order in which they go into the bag, whichever thread brings them.
    fn offer(&self, topic: usize, mut item: Item) {
        let (recorded, kept) = self.ids[topic];
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = now().max(*newest);
        item.stamp.received = *newest;
        self.ring.push(kept, item.clone());
        self.recorder.offer(recorded, item);
    }
}

/// Cameras, their timing, states.
pub(crate) fn topics() -> Vec<Topic> {
    let definitions = Definitions::suite();
    let topic = |name: String, of: &str| {
        Topic::new(&name, of, Qos::reliable(10), &definitions).unwrap_or_else(|error| unreachable!("{error}"))
    };
    let cameras = || 1..=CAMERAS;
    let video = VideoMessage::CompressedVideo.type_name();
    cameras()
        .map(|camera| topic(format!("/cam{camera}/video"), video))
        .chain(cameras().map(|camera| topic(format!("/cam{camera}/timing"), FrameTiming::TYPE)))
        .chain((0..STATES).map(|index| topic(format!("/state_{index}"), JointState::TYPE)))
        .collect()
}

fn work(sink: &impl Sink) -> anyhow::Result<()> {
    let over = AtomicBool::new(false);
    println!("begun {}", now());
    std::thread::scope(|scope| -> anyhow::Result<()> {
        for camera in 0..CAMERAS {
            let over = &over;
            scope.spawn(move || film(camera, sink, over));
        }
        scope.spawn(|| tell(sink, &over));
        std::io::stdin().read_to_end(&mut Vec::new())?;
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        over.store(true, Ordering::Relaxed);
        println!("cpu {}", cpu.tv_sec * 1_000_000_000 + cpu.tv_nsec);
        Ok(())
    })
}

/// Frames as an H.264 coder gives them: one key frame a second, eight times as long as the others.
fn film(camera: usize, sink: &impl Sink, over: &AtomicBool) {
    let second = BITS_PER_SECOND / 8;
    let part = second / (FRAMES_PER_SECOND as usize - 1 + 8);
    let mut coded = vec![0x5a_u8; 8 * part];
    // Nothing that compresses.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for byte in &mut coded {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        *byte = (random >> 32) as u8 | 1;
    }
    let frame_id = format!("cam{camera}_optical");
    let every = Duration::from_secs(1) / FRAMES_PER_SECOND;
    for (number, due) in ticks(every, every.mul_f64(camera as f64 / CAMERAS as f64)) {
        if over.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let key_frame = number.is_multiple_of(u64::from(FRAMES_PER_SECOND));
        let size = if key_frame { 8 * part } else { part };
        coded[..5].copy_from_slice(&[0, 0, 0, 1, if key_frame { 0x65 } else { 0x41 }]);
        let captured = now();
        let picture = Picture {
            captured,
            frame_id: &frame_id,
            format: "h264",
            width: 1920,
            height: 1080,
            pts: number,
            key_frame,
            data: &coded[..size],
        };
        let kind = if key_frame { Kind::KeyFrame } else { Kind::DeltaFrame };
        let Ok(bytes) = VideoMessage::CompressedVideo.encode(&picture) else { return };
        sink.offer(camera, Item { stamp: captured.into(), bytes: bytes.into(), kind });
        let header = Header { stamp: Time::from_nanos(captured), frame_id: frame_id.clone() };
        let timing =
            FrameTiming { header, sequence: number, key_frame, size: size as u32, ..FrameTiming::default() };
        let Ok(bytes) = cdr::encode(&timing) else { return };
        sink.offer(
            CAMERAS + camera,
            Item { stamp: captured.into(), bytes: bytes.into(), kind: Kind::Message },
        );
    }
}

/// Joint states of all arms.
fn tell(sink: &impl Sink, over: &AtomicBool) {
    let names: Vec<String> = (1..=7).map(|joint| format!("panda_joint{joint}")).collect();
    for (number, due) in ticks(STATE_EVERY, Duration::ZERO) {
        if over.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let stamp = now();
        for index in 0..STATES {
            let header = Header { stamp: Time::from_nanos(stamp), frame_id: String::new() };
            let position = vec![(number + index as u64) as f64 * 1e-3; 7];
            let state = JointState { header, name: names.clone(), position, ..JointState::default() };
            let Ok(bytes) = cdr::encode(&state) else { return };
            let item = Item { stamp: stamp.into(), bytes: bytes.into(), kind: Kind::Message };
            sink.offer(2 * CAMERAS + index, item);
        }
    }
}

fn ticks(every: Duration, offset: Duration) -> impl Iterator<Item = (u64, Instant)> {
    let begun = Instant::now() + offset;
    (0..).map(move |number| (number, begun + every.mul_f64(number as f64)))
}
