//! How long it takes from a trigger to a bag of the last 30 s that can be read, and how much memory the process has at most.
//!
//! Four cameras of 30 Hz and 8 Mbit/s with their timing, and 20 topics of 100 Hz, go into a ring and into a recording beside
//! it, as in the node. Each trigger cuts the ring and writes an `.mcap`; the time ends when the bag has been opened again and
//! its first message read. The bag is then compared with what went in, by a process of its own. Memory is the process' peak
//! (VmHWM), which holds ring, recorder's queue, and snapshot.
//!
//!     snapshot [--short] OUT.json
//!
//! With `--short` the cameras' time runs five times as fast.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail, ensure};
use serde_json::json;
use swarm_bag::msg::{FrameTiming, Header, JointState, Message, Text, Time};
use swarm_bag::recorder::{Recorder, RecorderOptions, Share};
use swarm_bag::ring::{Ring, RingOptions};
use swarm_bag::video::{Picture, VideoMessage};
use swarm_bag::{BagReader, Definitions, Item, Kind, Qos, Topic, TopicId, WriteOptions, cdr};

const CAMERAS: usize = 4;
const STATES: usize = 20;
const FRAMES_PER_SECOND: i64 = 30;
const BYTES_PER_SECOND: usize = 1_000_000;
/// Of a frame; key frames are eight times as long.
const PART: usize = BYTES_PER_SECOND / (FRAMES_PER_SECOND as usize - 1 + 8);
const SPAN: Duration = Duration::from_secs(30);
/// A step of the work: the states' period.
const STEP: i64 = 10_000_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--short", out] => measure(5.0, 3, Path::new(out)),
        ["--compare", bag] => compare(Path::new(bag)),
        [out] if !out.starts_with('-') => measure(1.0, 10, Path::new(out)),
        _ => Err(anyhow::anyhow!("expected: snapshot [--short] OUT.json")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("snapshot: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(speed: f64, triggers: usize, out: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(".")?; // a disk, which /tmp may not be
    let mut work = Work::begin(&folder.path().join("recording.mcap"), speed)?;
    let (ring, recorder) = (Arc::clone(&work.ring), Arc::clone(&work.recorder));
    let over = AtomicBool::new(false);
    // The cell goes on while a snapshot is written, as it does in the node.
    let times = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                work.run(Duration::from_millis(100));
            }
        });
        let between = Duration::from_secs(1).div_f64(speed);
        while ring.status().span < SPAN {
            thread::sleep(between);
        }
        let times: anyhow::Result<Vec<f64>> = (0..triggers)
            .map(|trigger| {
                thread::sleep(between);
                pull(&ring, &folder.path().join(format!("snapshot_{trigger}.mcap")))
            })
            .collect();
        over.store(true, Ordering::Relaxed);
        times
    })?;
    let status = recorder.status();
    recorder.stop()?;
    let dropped: u64 = recorder.losses().iter().map(|loss| loss.received - loss.recorded).sum();
    println!("recorded beside: {} messages, {dropped} dropped", status.span.count);
    ensure!(dropped == 0, "the recording lost {dropped} messages beside the snapshots");
    let worst = times.iter().copied().fold(0.0, f64::max);
    let figures = json!({
        "figures": {"ready_ms": worst, "rss_mb": peak_memory()?},
        "reference": {},
        "ratios": {},
    });
    println!("{figures}");
    std::fs::write(out, figures.to_string()).with_context(|| format!("cannot write {}", out.display()))
}

/// The trigger is pulled; how long it takes until somebody reads, ms.
fn pull(ring: &Ring, path: &Path) -> anyhow::Result<f64> {
    let pressed = Instant::now();
    let written = ring.cut(Some(SPAN)).write(path, WriteOptions::default())?;
    let mut bag = BagReader::open(path)?;
    let first = bag.next().context("the snapshot is empty")?;
    let ready = pressed.elapsed().as_secs_f64() * 1e3;
    drop((first, bag));
    let bytes = path.metadata()?.len();
    let begun = Instant::now();
    written.make_durable()?;
    let durable = begun.elapsed().as_secs_f64() * 1e3;
    let compared = Command::new(std::env::current_exe()?).arg("--compare").arg(path).status()?;
    ensure!(compared.success(), "{} is not what went in", path.display());
    std::fs::remove_file(path)?;
    println!(
        "{:.1} MB: readable after {ready:.1} ms, on the disk {durable:.1} ms later",
        bytes as f64 * 1e-6
    );
    Ok(ready)
}

/// Each camera has its 30 s from a key frame on without a gap, and what is latched is there.
fn compare(path: &Path) -> anyhow::Result<()> {
    let mut bag = BagReader::open(path)?;
    let mut frames: BTreeMap<usize, Vec<(i64, bool)>> = BTreeMap::new();
    let mut latched = 0;
    while let Some(message) = bag.next() {
        match bag.topics()[message.topic].type_name.as_str() {
            "foxglove_msgs/msg/CompressedVideo" => {
                let picture = VideoMessage::CompressedVideo.decode(&message.data)?;
                frames.entry(message.topic).or_default().push((picture.captured, picture.key_frame));
            }
            Text::TYPE => latched += 1,
            _ => {}
        }
    }
    ensure!(bag.damage().is_empty(), "{:?}", bag.damage());
    ensure!(frames.len() == CAMERAS && latched == 1, "{} cameras, {latched} latched messages", frames.len());
    for frames in frames.values() {
        let span = frames[frames.len() - 1].0 - frames[0].0;
        let frames_of_span = SPAN.as_secs().cast_signed() * FRAMES_PER_SECOND;
        ensure!(frames[0].1, "a camera begins between two key frames");
        ensure!((frames.len() as u64).cast_signed() >= frames_of_span, "{} frames, {span} ns", frames.len());
        let longest = frames.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap_or(0);
        ensure!(longest <= 1_000_000_000 / FRAMES_PER_SECOND + STEP, "a gap of {longest} ns");
    }
    Ok(())
}

/// What goes on in the cell.
struct Work {
    ring: Arc<Ring>,
    recorder: Arc<Recorder>,
    topics: Vec<(TopicId, TopicId)>,
    coded: Vec<u8>,
    speed: f64,
    begun: Instant,
    start: i64,
    /// Time of the cell that has passed, ns.
    passed: i64,
    frames: [i64; CAMERAS],
}

impl Work {
    fn begin(path: &Path, speed: f64) -> anyhow::Result<Self> {
        // The ring holds what is asked for and a key frame's worth more.
        let ring = Ring::new(RingOptions { span: SPAN, bytes: 140 << 20 });
        let options =
            RecorderOptions { disk_reserve: 0, queue_bytes: 16 << 20, ..RecorderOptions::default() };
        let recorder = Recorder::start(path, options)?;
        let definitions = Definitions::suite();
        let mut topics = Vec::new();
        let mut add = |name: String, of: &str, qos: Qos, share: Share| -> anyhow::Result<()> {
            let topic = Topic::new(&name, of, qos, &definitions)?;
            topics.push((recorder.add_topic(topic.clone(), share)?, ring.add_topic(topic)?));
            Ok(())
        };
        let qos = Qos::reliable(10);
        for camera in 0..CAMERAS {
            let video = VideoMessage::CompressedVideo.type_name();
            add(format!("/cam{camera}/video"), video, qos, Share::Bulk)?;
        }
        for camera in 0..CAMERAS {
            add(format!("/cam{camera}/timing"), FrameTiming::TYPE, qos, Share::State)?;
        }
        for state in 0..STATES {
            add(format!("/state_{state}"), JointState::TYPE, qos, Share::State)?;
        }
        add("/robot_description".to_owned(), Text::TYPE, qos.transient_local(), Share::State)?;
        let coded = (0..8 * PART as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8 | 1);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let mut work = Self {
            ring: Arc::new(ring),
            recorder: Arc::new(recorder),
            topics,
            coded: coded.collect(),
            speed,
            begun: Instant::now(),
            start: i64::try_from(since.as_nanos())?,
            passed: 0,
            frames: [0; CAMERAS],
        };
        let text = cdr::encode(&Text { data: "<robot/>".repeat(1000) })?;
        work.offer(2 * CAMERAS + STATES, text, Kind::Message);
        Ok(work)
    }

    fn offer(&mut self, topic: usize, bytes: Vec<u8>, kind: Kind) {
        let (recorded, kept) = self.topics[topic];
        let item = Item { stamp: (self.start + self.passed).into(), bytes: bytes.into(), kind };
        self.ring.push(kept, item.clone());
        self.recorder.offer(recorded, item);
    }

    /// Lets so much of the cell's time pass.
    fn run(&mut self, length: Duration) {
        let end = self.passed + i64::try_from(length.as_nanos()).unwrap_or(i64::MAX);
        while self.passed < end {
            let due = self.begun + Duration::from_nanos(self.passed.unsigned_abs()).div_f64(self.speed);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if let Err(error) = self.step() {
                eprintln!("snapshot: {error:#}");
            }
            self.passed += STEP;
        }
    }

    fn step(&mut self) -> anyhow::Result<()> {
        let stamp = Time::from_nanos(self.start + self.passed);
        let header = Header { stamp, frame_id: "frame".to_owned() };
        for camera in 0..CAMERAS {
            let number = self.passed * FRAMES_PER_SECOND / 1_000_000_000;
            if number < self.frames[camera] {
                continue;
            }
            self.frames[camera] = number + 1;
            // Key frames of the cameras do not fall together.
            let key_frame =
                (number + (camera as u64).cast_signed() * 7) % FRAMES_PER_SECOND == 0 || number == 0;
            let size = if key_frame { 8 * PART } else { PART };
            self.coded[..5].copy_from_slice(&[0, 0, 0, 1, if key_frame { 0x65 } else { 0x41 }]);
            let picture = Picture {
                captured: self.start + self.passed,
                frame_id: "frame",
                format: "h264",
                width: 1920,
                height: 1080,
                pts: 0,
                key_frame,
                data: &self.coded[..size],
            };
            let bytes = VideoMessage::CompressedVideo.encode(&picture)?;
            self.offer(camera, bytes, if key_frame { Kind::KeyFrame } else { Kind::DeltaFrame });
            let timing = FrameTiming { header: header.clone(), size: size as u32, ..FrameTiming::default() };
            self.offer(CAMERAS + camera, cdr::encode(&timing)?, Kind::Message);
        }
        let state = JointState { header, position: vec![0.5; 7], ..JointState::default() };
        for index in 0..STATES {
            self.offer(2 * CAMERAS + index, cdr::encode(&state)?, Kind::Message);
        }
        Ok(())
    }
}

/// The most memory that the process has had, MB.
fn peak_memory() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    for line in status.lines() {
        if let Some(size) = line.strip_prefix("VmHWM:") {
            let kib: f64 = size.trim().trim_end_matches(" kB").parse()?;
            return Ok(kib * 1024.0 * 1e-6);
        }
    }
    bail!("the system does not tell how much memory a process has had")
}
