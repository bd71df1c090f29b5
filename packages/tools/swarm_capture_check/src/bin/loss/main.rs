//! Evidence `capture-loss`: every frame that cameras sent is in the bag or counted as lost there, exactly.
//!
//!     loss [--short] OUTPUT.json
//!
//! 1. Four cameras of 30 Hz send a million frames in simulated time, as RTP packets with sequence numbers. Bursts of packets are
//!    lost; cameras reboot, with new origins of their time stamps; the disk stands still for some hundred milliseconds again
//!    and again while frames go on coming.
//! 2. Whole frames go the way of production: [`Track`] numbers them and counts what packets took with them, the recorder of
//!    `swarm_bag` writes them or drops and counts them.
//! 3. The bag is read back: messages are counted one by one (`frames_recorded`), and its last reports of loss are added up
//!    (`frames_reported_lost`). With what the cameras sent, the sum must be exact.
//! 4. Beside it (`real_`) two cameras of gst-rtsp-server behind a proxy that loses 1 % of the packets, taken in by
//!    `swarm_rtsp`; frames sent are those that the server wrote down. Needs Debian's GStreamer and python3-gi.
//!
//! What no receiver can know is left out of the simulation: what was lost before the first packet of a session came, or
//! after its last.

#[path = "../sync/live.rs"]
mod live;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use swarm_bag::msg::RecordingLoss;
use swarm_bag::recorder::{LOSS_TOPIC, Offered, Recorder, RecorderOptions, Share, State, Store};
use swarm_bag::video::{Picture, VideoMessage};
use swarm_bag::{
    BagError, BagReader, BagWriter, Definitions, Item, Kind, Metadata, Qos, Stamp, Topic, TopicId,
};
use swarm_camera_bed::proxy::{Proxy, Weather};
use swarm_camera_bed::rtsp::{Cameras, Setup, Stream as Served, read_truth};
use swarm_capture_check::Arguments;
use swarm_capture_core::{Codec, FrameHead, HostTime, Stream, Track, TrackOutput, TrackSettings};

const CAMERAS: usize = 4;
const START_NS: i64 = 1_790_000_000_000_000_000;
const FULL_HD: Stream = Stream { codec: Codec::H264, width: 1920, height: 1080 };
/// What waits for the disk at most, bytes: little, so that stalls cost frames.
const QUEUE_BYTES: usize = 1 << 20;

fn main() -> ExitCode {
    swarm_capture_check::main("loss", run)
}

fn run(Arguments { short, output }: Arguments) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder for the bag")?;
    let frames = if short { 100_000 } else { 1_050_000 };
    let told = simulate(frames, &folder.path().join("loss.mcap"))?;
    println!("simulated: {told:?}");
    let real = real(Duration::from_secs(if short { 8 } else { 120 }), folder.path())?;
    println!("real: {real:?}");
    told.balance().context("simulated cameras")?;
    ensure!(
        told.lost_network > 0 && told.dropped_queue > 0 && told.reboots > 0,
        "not everything went wrong that should have: {told:?}"
    );
    real.balance().context("real cameras")?;
    let report = json!({
        "figures": {
            "frames_sent": told.sent,
            "frames_recorded": told.recorded,
            "frames_reported_lost": told.lost(),
            "lost_network": told.lost_network,
            "dropped_queue": told.dropped_queue,
            "dropped_disk": told.dropped_disk,
            "reboots": told.reboots,
            "disk_stalls": told.stalls,
        },
        "reference": {
            "real_frames_sent": real.sent,
            "real_frames_recorded": real.recorded,
            "real_frames_reported_lost": real.lost(),
        },
    });
    let text = serde_json::to_string_pretty(&report).expect("numbers and names");
    std::fs::write(&output, text).with_context(|| format!("cannot write {}", output.display()))
}

#[derive(Debug, Default)]
struct Told {
    sent: u64,
    recorded: u64,
    lost_network: u64,
    dropped_queue: u64,
    dropped_disk: u64,
    reboots: u64,
    stalls: u64,
}

impl Told {
    fn lost(&self) -> u64 {
        self.lost_network + self.dropped_queue + self.dropped_disk
    }

    fn balance(&self) -> Result<()> {
        ensure!(
            self.sent == self.recorded + self.lost(),
            "{} frames were sent, {} recorded and {} reported lost: {} are not accounted for",
            self.sent,
            self.recorded,
            self.lost(),
            self.sent.cast_signed() - (self.recorded + self.lost()).cast_signed()
        );
        ensure!(self.lost() > 0, "nothing was lost, so that nothing was shown");
        Ok(())
    }
}

/// A bag on a disk that stands still when it is told to.
struct StallingDisk {
    bag: BagWriter,
    stands: Arc<AtomicBool>,
}

impl Store for StallingDisk {
    fn path(&self) -> &Path {
        self.bag.path()
    }

    fn add_topic(&mut self, topic: Topic) -> Result<TopicId, BagError> {
        self.bag.add_topic(topic)
    }

    fn write(&mut self, topic: TopicId, stamp: Stamp, bytes: &[u8]) -> Result<(), BagError> {
        while self.stands.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
        }
        Store::write(&mut self.bag, topic, stamp, bytes)
    }

    fn sync_if_due(&mut self) -> Result<(), BagError> {
        Store::sync_if_due(&mut self.bag)
    }

    fn set_custom_data(&mut self, name: &str, text: &str) {
        Store::set_custom_data(&mut self.bag, name, text);
    }

    fn finish(&mut self) -> Result<Metadata, BagError> {
        Store::finish(&mut self.bag)
    }

    fn metadata(&self) -> Metadata {
        Store::metadata(&self.bag)
    }

    fn disk_free(&self) -> Option<u64> {
        Store::disk_free(&self.bag)
    }
}

/// A camera that sends packets into a network that loses some, and the depacketizer behind it.
struct Camera {
    random: StdRng,
    rtp: u32,
    sent_in_session: u32,
    session: u32,
    /// Packets that the burst under way will still take.
    burst: u32,
    lost_packets: u32,
}

/// What the camera's next frame brought.
enum Sent {
    Whole(FrameHead),
    Broken,
    /// Before this frame the camera has rebooted.
    Rebooted(FrameHead),
}

impl Camera {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let session = random.random_range(500..6_000);
        Self { rtp: random.random(), random, sent_in_session: 0, session, burst: 0, lost_packets: 0 }
    }

    fn send(&mut self, at: HostTime) -> Sent {
        let rebooted = self.sent_in_session == self.session;
        if rebooted {
            self.rtp = self.random.random();
            self.sent_in_session = 0;
            self.session = self.random.random_range(500..6_000);
        }
        self.rtp = self.rtp.wrapping_add(3_000);
        let number = self.sent_in_session;
        self.sent_in_session += 1;
        // A session's ends are nobody's to know; the usual step is known after a few frames.
        let safe = number < 8 || self.sent_in_session == self.session;
        let key = number.is_multiple_of(30);
        let packets = if key { 40 } else { self.random.random_range(1..8) };
        let mut whole = true;
        if safe {
            self.burst = 0;
        }
        for _ in 0..packets {
            if self.burst == 0 && !safe && self.random.random::<f64>() < 2e-4 {
                self.burst = self.random.random_range(1..200);
            }
            if self.burst > 0 {
                self.burst -= 1;
                self.lost_packets += 1;
                whole = false;
            }
        }
        if !whole {
            return Sent::Broken;
        }
        let head = FrameHead {
            rtp: self.rtp,
            first_arrival: at,
            arrival: HostTime(at.0 + 1_000_000),
            lost_packets: std::mem::take(&mut self.lost_packets),
            key,
            size: 200 * packets,
        };
        if rebooted { Sent::Rebooted(head) } else { Sent::Whole(head) }
    }
}

fn simulate(frames: u64, path: &Path) -> Result<Told> {
    let options = RecorderOptions {
        queue_bytes: QUEUE_BYTES,
        reserved_bytes: QUEUE_BYTES / 8,
        disk_reserve: 1,
        ..RecorderOptions::default()
    };
    let stands = Arc::new(AtomicBool::new(false));
    let bag = BagWriter::create(path, options.bag).context("cannot make the bag")?;
    let disk = StallingDisk { bag, stands: Arc::clone(&stands) };
    let recorder = Recorder::over(Box::new(disk), options).context("cannot record")?;
    let message = VideoMessage::CompressedVideo;
    let mut topics = Vec::new();
    for index in 0..CAMERAS {
        let name = format!("/cam{index}/video");
        let topic = Topic::new(&name, message.type_name(), Qos::best_effort(5), &Definitions::suite())?;
        topics.push(recorder.add_topic(topic, Share::Bulk)?);
    }
    let mut told = Told::default();
    let mut random = StdRng::seed_from_u64(5);
    let mut cameras: Vec<Camera> = (0..CAMERAS as u64).map(Camera::new).collect();
    let mut tracks: Vec<Track<()>> = (0..CAMERAS).map(|_| Track::new(TrackSettings::default())).collect();
    for track in &mut tracks {
        track.begin(FULL_HD, HostTime(START_NS));
    }
    let mut reported = [0; CAMERAS];
    let mut stall_left = 0;
    // Fifty, however many frames there are.
    let stall_chance = 50.0 * CAMERAS as f64 / frames as f64;
    for k in 0..frames.div_ceil(CAMERAS as u64) {
        // A disk that stands still; its length is told in frames, since time is simulated.
        if stall_left == 0 && random.random::<f64>() < stall_chance {
            stall_left = random.random_range(1..4_000);
            told.stalls += 1;
            stands.store(true, Ordering::Release);
        } else if stall_left > 0 {
            stall_left -= 1;
            stands.store(stall_left > 0, Ordering::Release);
        }
        // Simulated time runs faster than any disk: it waits for a healthy one, and for one that stands still it does not.
        while stall_left == 0 && recorder.status().waiting_bytes > QUEUE_BYTES / 2 {
            thread::sleep(Duration::from_micros(200));
        }
        let at = HostTime(START_NS + k.cast_signed() * 33_333_333);
        for (index, camera) in cameras.iter_mut().enumerate() {
            let track = &mut tracks[index];
            told.sent += 1;
            match camera.send(at) {
                Sent::Broken => {}
                Sent::Whole(head) => track.frame(head, ()),
                Sent::Rebooted(head) => {
                    told.reboots += 1;
                    track.end();
                    track.begin(FULL_HD, at);
                    track.frame(head, ());
                }
            }
            record(track, &recorder, topics[index], &mut reported[index])?;
        }
    }
    // What is broken at the very end is not known to anybody: the cameras send until all are whole.
    stands.store(false, Ordering::Release);
    for (index, camera) in cameras.iter_mut().enumerate() {
        let track = &mut tracks[index];
        loop {
            told.sent += 1;
            let rest = HostTime(START_NS + frames.cast_signed() * 33_333_333);
            match camera.send(rest) {
                Sent::Broken => continue,
                Sent::Whole(head) => track.frame(head, ()),
                Sent::Rebooted(head) => {
                    told.reboots += 1;
                    track.end();
                    track.begin(FULL_HD, rest);
                    track.frame(head, ());
                }
            }
            break;
        }
        track.end();
        record(track, &recorder, topics[index], &mut reported[index])?;
    }
    recorder.stop().context("cannot finish the bag")?;
    ensure!(recorder.status().state == State::Stopped, "the recording is {:?}", recorder.status().state);
    count_back(path, &mut told)?;
    Ok(told)
}

/// Hands to the recorder what the track gives, and tells it what was lost on the way.
fn record(track: &mut Track<()>, recorder: &Recorder, topic: TopicId, reported: &mut u64) -> Result<()> {
    let lost = track.counts().lost_frames;
    recorder.lost_on_the_way(topic, lost - std::mem::replace(reported, lost));
    while let Some(output) = track.next() {
        let TrackOutput::Frame(frame) = output else { continue };
        let picture = Picture {
            captured: frame.capture.0,
            frame_id: "camera",
            format: "h264",
            width: FULL_HD.width,
            height: FULL_HD.height,
            pts: frame.sequence,
            key_frame: frame.head.key,
            data: &[0; 64],
        };
        let item = Item {
            stamp: Stamp { received: frame.head.arrival.0, published: frame.capture.0 },
            bytes: VideoMessage::CompressedVideo.encode(&picture)?.into(),
            kind: if frame.head.key { Kind::KeyFrame } else { Kind::DeltaFrame },
        };
        ensure!(recorder.offer(topic, item) != Offered::Stopped, "the recorder has stopped");
    }
    Ok(())
}

/// What the file itself says.
fn count_back(path: &Path, told: &mut Told) -> Result<()> {
    let mut bag = BagReader::open(path).context("cannot open the bag")?;
    let names: Vec<String> = bag.topics().iter().map(|topic| topic.name.clone()).collect();
    let mut last: BTreeMap<String, RecordingLoss> = BTreeMap::new();
    while let Some(message) = bag.next() {
        if names[message.topic] == LOSS_TOPIC {
            let loss: RecordingLoss = bag.decode(&message)?;
            last.insert(loss.topic.clone(), loss);
        } else {
            told.recorded += 1;
        }
    }
    ensure!(bag.damage().is_empty(), "the bag is damaged: {:?}", bag.damage());
    ensure!(last.len() == CAMERAS, "the bag reports the losses of {} of {CAMERAS} topics", last.len());
    for loss in last.values() {
        told.lost_network += loss.lost_network;
        told.dropped_queue += loss.dropped_queue;
        told.dropped_disk += loss.dropped_disk;
    }
    Ok(())
}

/// Two real cameras behind a bad cable. Counted from the first frame of each that came to the last.
fn real(time: Duration, folder: &Path) -> Result<Told> {
    let truth = folder.join("truth");
    let streams = vec![Served::live("/cam0"), Served::live("/cam1")];
    let cameras = Cameras::start(Setup { streams, truth: Some(truth.clone()), ..Setup::default() })
        .context("cannot serve cameras")?;
    let proxy = Proxy::start(cameras.address(), None, 11).context("cannot start a proxy")?;
    proxy.set(Weather { loss: 0.01, ..Weather::default() });
    let urls: Vec<String> = (0..2).map(|index| format!("rtsp://{}/cam{index}", proxy.address())).collect();
    let seen = live::follow(&urls, time)?;
    let truth = read_truth(&truth).context("cannot read the truth")?;
    let mut told = Told::default();
    for (stream, seen) in seen.iter().enumerate() {
        let (Some(first), Some(last)) = (seen.frames.first(), seen.frames.last()) else {
            bail!("camera {stream} sent nothing")
        };
        let sent: Vec<u32> =
            truth.iter().filter(|truth| truth.stream == stream).map(|truth| truth.rtp).collect();
        let place = |rtp: u32| sent.iter().position(|sent| *sent == rtp);
        let begin = place(first.head.rtp).context("the first frame is not among those sent")?;
        // The truth of the newest frame is written with the one after it.
        let end = place(last.head.rtp).map_or(sent.len(), |place| place + 1);
        told.sent += (end - begin) as u64;
        for frame in &seen.frames[..seen.frames.len() - usize::from(place(last.head.rtp).is_none())] {
            told.recorded += 1;
            told.lost_network += u64::from(frame.lost_frames);
        }
        told.lost_network -= u64::from(first.lost_frames);
    }
    Ok(told)
}
