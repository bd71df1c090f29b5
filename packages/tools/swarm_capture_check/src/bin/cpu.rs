//! Evidence `capture-cpu`: what it costs to record cameras, beside GStreamer taking the same streams and doing nothing with
//! them. Needs Debian's GStreamer, gst-rtsp-server and python3-gi.
//!
//!     cpu [--short] [--node PROGRAM] OUTPUT.json
//!
//! 1. A clip of 1080p30 H.264 (8 Mbit/s) is coded once, and served as 64 cameras by gst-rtsp-server, in another process.
//! 2. For 1, 4, 16 and 64 of them: this process connects, waits until all play, records them into a bag for a while, and
//!    reads its own CPU clock before and after. It may use one core alone, so that "64 on one core" is what is measured.
//! 3. GStreamer's passthrough (`rtspsrc ! depay ! parse ! fakesink`) of 4 streams runs in the same minutes, its CPU read
//!    from /proc.
//! 4. Lost is every frame that the RTP time stamps skip, every packet that sequence numbers miss, every message that the
//!    recorder dropped, and every interruption: all from the first frame of each camera to its last.
//!
//! `PROGRAM` of `--node` is the capture node. It records and publishes 4 streams for a subscriber in another process (rclpy of
//! `SWARM_TEST_PYTHON`), in the ROS environment that this program was started in. Without it there is no figure with ROS.
//!
//! The short form has small pictures and few streams, and does not mind a computer on which cameras stumble.

use std::cell::Cell;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::TryStreamExt as _;
use futures::stream::FuturesUnordered;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};
use swarm_bag::msg::CompressedVideo;
use swarm_bag::recorder::{Offered, Recorder, RecorderOptions, Share};
use swarm_bag::video::{self, VideoMessage};
use swarm_bag::{Item, Kind, Qos, Stamp, Topic, TopicId};
use swarm_camera_bed::rtsp::{Cameras, Picture, Setup, Stream, encode};
use swarm_rtsp::{Camera, Event, Source};

/// Streams of a cell: what GStreamer and the node are measured with, and what `pct_core_per_stream` is.
const CELL: usize = 4;
const FPS: u32 = 30;
/// How much is measured.
struct Extent {
    /// Of streams.
    counts: &'static [usize],
    measured: Duration,
    /// What has piled up while all began is gone after that.
    settle: Duration,
    size: (u32, u32),
    kbit_per_s: u32,
    /// How far the number of frames may be from what was to come.
    tolerance: f64,
}

const FULL: Extent = Extent {
    counts: &[1, 4, 16, 64],
    measured: Duration::from_secs(30),
    settle: Duration::from_secs(5),
    size: (1920, 1080),
    kbit_per_s: 8000,
    tolerance: 0.1,
};
const SHORT: Extent = Extent {
    counts: &[1, 4],
    measured: Duration::from_secs(3),
    settle: Duration::from_secs(1),
    size: (640, 360),
    kbit_per_s: 1000,
    tolerance: 0.9,
};
const FRAME_TICKS: u32 = swarm_capture_core::RTP_RATE_HZ / FPS;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cpu: {error:#}");
            ExitCode::FAILURE
        }
    }
}

struct Arguments {
    short: bool,
    node: Option<PathBuf>,
    output: PathBuf,
}

impl Arguments {
    fn read() -> Result<Self> {
        let usage = "expected: cpu [--short] [--node PROGRAM] OUTPUT.json";
        let (mut short, mut node, mut output) = (false, None, None);
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--short" => short = true,
                "--node" => node = Some(words.next().context(usage)?.into()),
                _ if word.starts_with('-') || output.is_some() => bail!("{word} is not known; {usage}"),
                _ => output = Some(word.into()),
            }
        }
        Ok(Self { short, node, output: output.context(usage)? })
    }
}

fn run() -> Result<()> {
    let arguments = Arguments::read()?;
    let extent = if arguments.short { SHORT } else { FULL };
    let Extent { counts, measured, .. } = extent;
    let most = *counts.last().expect("some counts");
    let folder = tempfile::tempdir().context("cannot make a folder for the clip and the bags")?;

    let cameras = serve(&extent, most, folder.path())?;
    let urls: Vec<String> = (0..most).map(|index| cameras.url(index)).collect();

    let mut figures = Map::new();
    let mut frames_lost = 0;
    let mut streams_max = 0;
    let mut ours = 0.0;
    for &count in counts {
        let bag = folder.path().join(format!("cameras_{count}.mcap"));
        let load = record(&urls[..count], &bag, &extent)?;
        println!(
            "{count:3} streams: {:.3} % of a core each, {:.1} % in all, {} frames in {:.1} s, {} lost, {:.0} MB resident",
            load.percent_each(),
            load.percent(),
            load.frames,
            load.wall.as_secs_f64(),
            load.lost,
            load.resident_mb
        );
        figures.insert(format!("pct_core_per_stream_{count}"), json!(load.percent_each()));
        figures.insert(format!("rss_mb_{count}"), json!(load.resident_mb));
        frames_lost += load.lost;
        if load.lost == 0 && load.percent() <= 100.0 {
            streams_max = streams_max.max(count);
        }
        if count == CELL {
            ours = load.percent_each();
        }
        fs::remove_file(&bag).with_context(|| format!("cannot remove {}", bag.display()))?;
    }
    let gstreamer = passthrough(&urls[..CELL], measured)?;
    println!("  {CELL} streams through GStreamer into nothing: {gstreamer:.3} % of a core each");
    figures.insert("pct_core_per_stream".to_owned(), json!(ours));
    figures.insert("streams_max".to_owned(), json!(streams_max));
    figures.insert("frames_lost".to_owned(), json!(frames_lost));
    if let Some(node) = &arguments.node {
        let with_ros = node_load(node, &urls[..CELL], measured, &folder.path().join("node.mcap"))?;
        println!("  {CELL} streams recorded and published: {with_ros:.3} % of a core each");
        figures.insert("pct_core_per_stream_ros".to_owned(), json!(with_ros));
    }
    let report = json!({
        "figures": Value::Object(figures),
        "reference": { "pct_core_per_stream_gstreamer": gstreamer },
        "ratios": { "ratio_gstreamer": gstreamer / ours },
    });
    let text = serde_json::to_string_pretty(&report).expect("numbers and names");
    fs::write(&arguments.output, text).with_context(|| format!("cannot write {}", arguments.output.display()))
}

/// `count` cameras of 30 Hz.
fn serve(extent: &Extent, count: usize, folder: &Path) -> Result<Cameras> {
    let clip = folder.join("clip.h264");
    let picture = Picture::Noise; // of anything else an encoder makes less than 8 Mbit/s
    let (width, height) = extent.size;
    let size = Stream { width, height, ..Stream::live("/") };
    let stream = Stream { picture, fps: FPS, gop: FPS, kbit_per_s: extent.kbit_per_s, ..size };
    encode(&stream, 4, &clip).context("cannot code the clip")?;
    let camera = |index| Stream { path: format!("/cam{index}"), file: Some(clip.clone()), ..stream.clone() };
    let setup = Setup { streams: (0..count).map(camera).collect(), ..Setup::default() };
    Cameras::start(setup).context("cannot serve the cameras")
}

/// What a recording took.
struct Load {
    streams: usize,
    cpu: Duration,
    wall: Duration,
    frames: u64,
    lost: u64,
    resident_mb: f64,
}

impl Load {
    /// Of one core.
    fn percent(&self) -> f64 {
        100.0 * self.cpu.as_secs_f64() / self.wall.as_secs_f64()
    }

    fn percent_each(&self) -> f64 {
        self.percent() / self.streams as f64
    }
}

/// Records in threads that may use one core alone.
fn record(urls: &[String], bag: &Path, extent: &Extent) -> Result<Load> {
    thread::scope(|scope| {
        let recording = scope.spawn(|| {
            let allowed = sched_getaffinity(None).context("cannot ask for the allowed cores")?;
            let core =
                (0..CpuSet::MAX_CPU).rfind(|core| allowed.is_set(*core)).context("no core is allowed")?;
            let mut one = CpuSet::new();
            one.set(core);
            sched_setaffinity(None, &one).context("cannot keep to one core")?; // threads that it starts inherit it
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(record_here(urls, bag, extent))
        });
        recording.join().expect("recording does not panic")
    })
}

/// One camera on its way into the bag.
struct Lane {
    camera: Camera,
    topic: TopicId,
    name: String,
    last_rtp: Option<u32>,
    frames: u64,
    lost: u64,
}

async fn record_here(urls: &[String], bag: &Path, extent: &Extent) -> Result<Load> {
    let (measured, settle, tolerance) = (extent.measured, extent.settle, extent.tolerance);
    let recorder = Recorder::start(bag, RecorderOptions::default())?;
    let mut lanes = Vec::new();
    for (index, url) in urls.iter().enumerate() {
        let topic = Topic::of::<CompressedVideo>(&format!("/cam{index}/video"), Qos::reliable(30))?;
        let topic = recorder.add_topic(topic, Share::Bulk)?;
        let camera = Camera::new(Source::new(url.parse()?));
        lanes.push(Lane { camera, topic, name: format!("cam{index}"), last_rtp: None, frames: 0, lost: 0 });
    }
    // All play before anything is measured, and none is left to wait meanwhile; then every camera is carried to the end.
    let playing = Cell::new(0);
    // Only the camera that has something is woken, as where each is followed in a task of its own.
    let lanes: Vec<Lane> = lanes
        .into_iter()
        .map(|mut lane| {
            let (playing, recorder) = (&playing, &recorder);
            async move {
                let mut settled = None;
                while settled.is_none_or(|since: Instant| since.elapsed() < settle) {
                    if playing.get() == urls.len() {
                        settled.get_or_insert_with(Instant::now);
                    }
                    let before = lane.frames;
                    lane.step(recorder).await?;
                    playing.set(playing.get() + usize::from(before == 0 && lane.frames == 1));
                }
                anyhow::Ok(lane)
            }
        })
        .collect::<FuturesUnordered<_>>()
        .try_collect()
        .await?;
    let (began, cpu) = (Instant::now(), process_cpu());
    let end = tokio::time::Instant::now() + measured;
    let lanes: Vec<Lane> = lanes
        .into_iter()
        .map(|mut lane| {
            let recorder = &recorder;
            async move {
                (lane.frames, lane.lost) = (0, 0);
                let steps = async {
                    loop {
                        lane.step(recorder).await?;
                    }
                };
                match tokio::time::timeout_at(end, steps).await {
                    Ok(ended) => ended,
                    Err(_) => anyhow::Ok(lane),
                }
            }
        })
        .collect::<FuturesUnordered<_>>()
        .try_collect()
        .await?;
    let (wall, cpu) = (began.elapsed(), process_cpu().saturating_sub(cpu));
    let resident_mb = resident_mb()?;
    drop(recorder.stop()?);
    let dropped: u64 = recorder.losses().iter().map(|loss| loss.received - loss.recorded).sum();
    let frames: u64 = lanes.iter().map(|lane| lane.frames).sum();
    let expected = urls.len() as f64 * wall.as_secs_f64() * f64::from(FPS);
    ensure!(
        (frames as f64 - expected).abs() < tolerance * expected,
        "{frames} frames came where {expected:.0} were to be expected: the cameras do not keep up on this computer"
    );
    let lost = dropped + lanes.iter().map(|lane| lane.lost).sum::<u64>();
    Ok(Load { streams: urls.len(), cpu, wall, frames, lost, resident_mb })
}

impl Lane {
    /// Takes one event, and records it where it is a frame.
    async fn step(&mut self, recorder: &Recorder) -> Result<()> {
        let (head, data) = match self.camera.next().await {
            Ok(Event::Frame { head, data }) => (head, data),
            Ok(_) => return Ok(()),
            Err(news) => {
                println!("{news}");
                self.lost += 1;
                self.last_rtp = None;
                return Ok(());
            }
        };
        if let Some(last) = self.last_rtp.replace(head.rtp) {
            let steps = (head.rtp.wrapping_sub(last) + FRAME_TICKS / 2) / FRAME_TICKS;
            let skipped = u64::from(steps).saturating_sub(1);
            self.lost += skipped.max(u64::from(head.lost_packets > 0));
        }
        self.frames += 1;
        let picture = video::Picture {
            captured: head.arrival.0,
            frame_id: &self.name,
            format: "h264",
            width: 1920,
            height: 1080,
            pts: u64::from(head.rtp),
            key_frame: head.key,
            data: &data,
        };
        let bytes = VideoMessage::CompressedVideo.encode(&picture)?.into();
        let kind = if head.key { Kind::KeyFrame } else { Kind::DeltaFrame };
        let offered = recorder.offer(self.topic, Item { stamp: Stamp::from(head.arrival.0), bytes, kind });
        ensure!(offered != Offered::Stopped, "the recording has ended: {:?}", recorder.status().state);
        Ok(())
    }
}

/// GStreamer takes the streams and does nothing with them; percent of a core for each.
fn passthrough(urls: &[String], measured: Duration) -> Result<f64> {
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "--no-position"]);
    for url in urls {
        let line = format!(
            "rtspsrc location={url} protocols=tcp latency=0 ! rtph264depay ! h264parse config-interval=-1"
        );
        command.args(line.split(' '));
        command.args([
            "!",
            "video/x-h264,stream-format=byte-stream,alignment=au",
            "!",
            "fakesink",
            "sync=false",
        ]);
    }
    command.stdin(Stdio::null());
    let child = Running(command.spawn().context("cannot start gst-launch-1.0")?);
    thread::sleep(Duration::from_secs(3)); // as long as it takes until all play
    child.share(urls.len(), measured)
}

/// Counts what it hears on the topics that it is told, until its input ends.
const SUBSCRIBER: &str = include_str!("subscriber.py");

/// The node records and publishes the streams, somebody hears them; percent of a core for each.
fn node_load(node: &Path, urls: &[String], measured: Duration, bag: &Path) -> Result<f64> {
    let list = urls.iter().map(|url| format!("'{url}'")).collect::<Vec<_>>().join(",");
    let mut command = Command::new(node);
    command.arg("--ros-args");
    for parameter in [
        &format!("camera_ips:=[{list}]"),
        &format!("output_bag:={}", bag.display()),
        "topics:=['/joint_states']",
        "raw_images:=false",
        "progress:=false",
        "reserve_mb:=1",
    ] {
        command.arg("-p").arg(parameter);
    }
    command.stdin(Stdio::null());
    let python = std::env::var_os("SWARM_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let mut listening = Command::new(&python);
    listening.args(["-c", SUBSCRIBER]).args((1..=urls.len()).map(|camera| format!("/cam{camera}/video")));
    listening.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut listening =
        Running(listening.spawn().with_context(|| format!("cannot start {}", python.display()))?);
    let child = Running(command.spawn().with_context(|| format!("cannot start {}", node.display()))?);
    thread::sleep(Duration::from_secs(10)); // discovery of ROS among it
    let share = child.share(urls.len(), measured)?;
    drop(listening.0.stdin.take());
    let mut heard = String::new();
    listening.0.stdout.take().context("no output")?.read_to_string(&mut heard)?;
    let heard: f64 = heard.trim().parse().with_context(|| format!("the subscriber said '{heard}'"))?;
    let expected = measured.as_secs_f64() * f64::from(FPS) * urls.len() as f64;
    ensure!(
        heard > 0.8 * expected,
        "{heard} frames were heard of {expected} at least that were to be published"
    );
    Ok(share)
}

/// A child that ends with its value.
struct Running(Child);

impl Running {
    /// Percent of a core for each of `streams`, over the time that is `measured` from now.
    fn share(mut self, streams: usize, measured: Duration) -> Result<f64> {
        let (began, cpu) = (Instant::now(), cpu_of(self.0.id())?);
        thread::sleep(measured);
        if let Some(status) = self.0.try_wait()? {
            bail!("a program that was to be measured has ended ({status})");
        }
        let used = cpu_of(self.0.id())?.saturating_sub(cpu);
        Ok(100.0 * used.as_secs_f64() / began.elapsed().as_secs_f64() / streams as f64)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill(); // fails only for one that has ended
        let _ = self.0.wait();
    }
}

/// CPU time of all threads of a process that live. The threads of GStreamer and of a node live as long as it does.
fn cpu_of(process: u32) -> Result<Duration> {
    let tasks = format!("/proc/{process}/task");
    let mut nanos = 0;
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue }; // it has just ended
        nanos += text
            .split(' ')
            .next()
            .and_then(|first| first.parse::<u64>().ok())
            .context("schedstat is no number")?;
    }
    Ok(Duration::from_nanos(nanos))
}

fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn resident_mb() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/statm").context("cannot read /proc/self/statm")?;
    let pages: f64 =
        text.split(' ').nth(1).and_then(|word| word.parse().ok()).context("statm is no number")?;
    Ok(pages * rustix::param::page_size() as f64 / 1e6)
}
