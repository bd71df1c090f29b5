//! Cameras that speak RTSP, by a server that nobody here wrote: gst-rtsp-server, run by Debian's Python in a child process
//! that ends with its [`Cameras`]. Needs python3-gi, gir1.2-gst-rtsp-server-1.0 and GStreamer's plugins.
//!
//! A [`Clock`] other than the host's is libfaketime's, under the child's wall clock alone: pictures come in true time, and
//! sender reports lie by offset and drift, as those of a camera that nobody set.
//!
//! ```no_run
//! use swarm_camera_bed::rtsp::{Cameras, Clock, Setup, Stream};
//!
//! let clock = Clock { offset_s: 2.5, drift_ppm: 100.0 };
//! let mut cameras = Cameras::start(Setup { streams: vec![Stream::live("/cam1")], clock, ..Setup::default() })?;
//! println!("{}", cameras.url(0));
//! cameras.stop(); // the plug is pulled, and put in again: the same port, another session
//! cameras.start_again()?;
//! # Ok::<(), swarm_camera_bed::rtsp::CamerasError>(())
//! ```

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

const PROGRAM: &str = include_str!("rtsp.py");
/// Debian's: the bindings of another Python know nothing of GStreamer.
const PYTHON: &str = "/usr/bin/python3";

/// What one server offers.
#[derive(Clone, Debug)]
pub struct Setup {
    /// One camera each, as the recorder sees it; 1 to 64 of them have been tried.
    pub streams: Vec<Stream>,
    /// Port 0 takes a free one.
    pub address: SocketAddr,
    /// Network namespace to listen in; none is that of the caller.
    pub namespace: Option<String>,
    pub clock: Clock,
    /// User and password, asked for with the digest method.
    pub credentials: Option<(String, String)>,
    pub sender_reports: bool,
    /// File that a line per frame is added to, see [`read_truth`]. Costs a few percent of a core per stream.
    pub truth: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            streams: vec![Stream::live("/cam0")],
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            namespace: None,
            clock: Clock::default(),
            credentials: None,
            sender_reports: true,
            truth: None,
        }
    }
}

/// How wrong the cameras' clock is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clock {
    /// Ahead of the host at the start, seconds.
    pub offset_s: f64,
    /// Faster than the host, parts per million.
    pub drift_ppm: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    H264,
    H265,
    Mjpeg,
}

/// What a camera sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// A white ball that moves on black: cheap, and next to nothing to send.
    Ball,
    /// Noise, which takes all of the bits that the encoder may spend.
    Noise,
}

/// One camera's stream.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Of the URL, with its slash.
    pub path: String,
    pub coding: Coding,
    pub picture: Picture,
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    /// Frames from one key frame to the next.
    pub gop: u32,
    pub kbit_per_s: u32,
    /// B-frames between two others; the recorder has to refuse them.
    pub b_frames: u32,
    /// A file of [`encode`] to repeat without end, in place of encoding as it goes.
    pub file: Option<PathBuf>,
}

impl Stream {
    /// A small test picture, encoded as it goes: 320x240, 30 frames/s, a key frame each second.
    pub fn live(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            coding: Coding::H264,
            picture: Picture::Ball,
            width: 320,
            height: 240,
            fps: 30,
            gop: 30,
            kbit_per_s: 1000,
            b_frames: 0,
            file: None,
        }
    }

    fn source(&self) -> String {
        let pattern = match self.picture {
            Picture::Ball => "ball",
            Picture::Noise => "snow",
        };
        format!(
            "pattern={pattern} ! video/x-raw,format=I420,width={},height={},framerate={}/1",
            self.width, self.height, self.fps
        )
    }

    fn encoder(&self) -> String {
        let Self { gop, kbit_per_s, b_frames, .. } = self;
        match self.coding {
            Coding::H264 if *b_frames > 0 => format!(
                "x264enc speed-preset=ultrafast key-int-max={gop} bitrate={kbit_per_s} bframes={b_frames} \
                 b-adapt=false rc-lookahead=1 sync-lookahead=0 ! video/x-h264,profile=main ! h264parse"
            ),
            Coding::H264 => format!(
                "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate={kbit_per_s} threads=1 \
                 ! video/x-h264,profile=baseline ! h264parse"
            ),
            Coding::H265 => format!(
                "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate={kbit_per_s} option-string=aud=1 \
                 ! h265parse"
            ),
            Coding::Mjpeg => "jpegenc".to_owned(),
        }
    }

    fn payloader(&self) -> &'static str {
        match self.coding {
            Coding::H264 => "rtph264pay name=pay0 pt=96 config-interval=-1",
            Coding::H265 => "rtph265pay name=pay0 pt=96 config-interval=-1",
            Coding::Mjpeg => "rtpjpegpay name=pay0 pt=26",
        }
    }

    /// As the server takes it.
    fn wish(&self) -> serde_json::Value {
        json!({
            "path": self.path,
            "launch": self.launch(),
            "file": self.file,
            "frame_start": self.frame_start(),
            "fps": self.fps,
        })
    }

    /// As `gst-launch-1.0` takes it.
    fn launch(&self) -> String {
        let pay = self.payloader();
        if self.file.is_none() {
            let (source, encoder) = (self.source(), self.encoder());
            return format!("( videotestsrc is-live=true {source} ! {encoder} ! {pay} )");
        }
        let caps = match self.coding {
            Coding::H264 => "video/x-h264,stream-format=byte-stream,alignment=au",
            Coding::H265 => "video/x-h265,stream-format=byte-stream,alignment=au",
            Coding::Mjpeg => "image/jpeg",
        };
        let parse = match self.coding {
            Coding::H264 => "h264parse ! ",
            Coding::H265 => "h265parse ! ",
            Coding::Mjpeg => "",
        };
        format!(
            "( appsrc name=frames is-live=true format=time caps=\"{caps},framerate={}/1\" ! {parse}identity sync=true \
             ! {pay} )",
            self.fps
        )
    }

    /// What each frame of a [`file`](Self::file) begins with: a delimiter in Annex B, a marker in JPEG.
    fn frame_start(&self) -> &'static [u8] {
        match self.coding {
            Coding::H264 => &[0, 0, 0, 1, 9],
            Coding::H265 => &[0, 0, 0, 1, 0x46, 1],
            Coding::Mjpeg => &[0xff, 0xd8, 0xff],
        }
    }
}

/// Writes `seconds` of a test picture to `path`, coded as `stream` says, for [`Stream::file`].
pub fn encode(stream: &Stream, seconds: u32, path: &Path) -> Result<(), CamerasError> {
    let frames = seconds * stream.fps;
    let format = match stream.coding {
        Coding::H264 => " ! video/x-h264,stream-format=byte-stream,alignment=au",
        Coding::H265 => " ! video/x-h265,stream-format=byte-stream,alignment=au",
        Coding::Mjpeg => "",
    };
    let line = format!(
        "videotestsrc num-buffers={frames} {} ! {}{format} ! filesink location=\"{}\"",
        stream.source(),
        stream.encoder(),
        path.display()
    );
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "--no-position"]).args(line.split_whitespace().map(|word| word.replace('"', "")));
    let output = command.output().map_err(|source| CamerasError::Start { what: "gst-launch-1.0", source })?;
    if output.status.success() && fs::metadata(path).is_ok_and(|file| file.len() > 0) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(CamerasError::Ended { what: "gst-launch-1.0 (encoding a test picture)", said })
}

/// A running server; its end is the server's.
#[derive(Debug)]
pub struct Cameras {
    setup: Setup,
    child: Option<Child>,
}

impl Cameras {
    /// Returns once it takes connections.
    pub fn start(setup: Setup) -> Result<Self, CamerasError> {
        let mut cameras = Self { setup, child: None };
        cameras.start_again()?;
        Ok(cameras)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.setup.address
    }

    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// What the next [`start_again`](Self::start_again) offers: another resolution, say. The address stays as it is.
    pub fn streams_mut(&mut self) -> &mut Vec<Stream> {
        &mut self.setup.streams
    }

    /// Of stream `index`, without credentials.
    pub fn url(&self, index: usize) -> String {
        format!("rtsp://{}{}", self.setup.address, self.setup.streams[index].path)
    }

    /// Of the server's process while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Kills the server; its connections end at once.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill(); // fails only for one that has ended
            let _ = child.wait();
        }
    }

    /// Starts it anew on the same port, after stopping it where it runs.
    pub fn start_again(&mut self) -> Result<(), CamerasError> {
        self.stop();
        let mut command = self.command()?;
        let mut errors = tempfile::tempfile().map_err(CamerasError::Scratch)?;
        let copy = errors.try_clone().map_err(CamerasError::Scratch)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(copy);
        let mut child = command.spawn().map_err(|source| CamerasError::Start { what: PYTHON, source })?;
        let mut line = String::new();
        let output = child.stdout.take().expect("piped above");
        let read = BufReader::new(output).read_line(&mut line);
        let port = line.trim().strip_prefix("ready ").and_then(|port| port.parse().ok());
        self.child = Some(child);
        if let (Ok(_), Some(port)) = (read, port) {
            self.setup.address.set_port(port);
            return Ok(());
        }
        self.stop();
        let mut said = String::new();
        let _ = errors.rewind().and_then(|()| errors.read_to_string(&mut said));
        Err(CamerasError::Ended { what: "the RTSP server", said: said.trim().to_owned() })
    }

    fn command(&self) -> Result<Command, CamerasError> {
        let Setup { streams, address, namespace, clock, credentials, sender_reports, truth } = &self.setup;
        let streams: Vec<_> = streams.iter().map(Stream::wish).collect();
        let (user, password) = credentials.clone().unzip();
        let wish = json!({
            "address": address.ip().to_string(),
            "port": address.port(),
            "streams": streams,
            "user": user,
            "password": password,
            "sender_reports": sender_reports,
            "truth": truth,
            "host_minus_monotonic_ns": host_minus_monotonic_ns(),
        });
        let mut command = match namespace {
            None => Command::new(PYTHON),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, PYTHON]);
                command
            }
        };
        command.args(["-c", PROGRAM, &wish.to_string()]);
        if *clock != Clock::default() {
            let rate = 1.0 + clock.drift_ppm * 1e-6;
            command
                .env("LD_PRELOAD", faketime()?)
                // With the monotonic clock faked too, GStreamer's pipelines stand still.
                .env("DONT_FAKE_MONOTONIC", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("FAKETIME", format!("{:+.9}s x{rate:.9}", clock.offset_s));
        }
        Ok(command)
    }
}

impl Drop for Cameras {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One frame as the camera knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Index of its stream in [`Setup::streams`].
    pub stream: usize,
    pub rtp: u32,
    /// When it was taken, nanoseconds of the host's clock since the epoch: not of the camera's, however wrong that is.
    pub captured_ns: i64,
}

/// Reads what a server with [`Setup::truth`] has written so far. A line under way at the end is left out.
pub fn read_truth(path: &Path) -> Result<Vec<Truth>, CamerasError> {
    let bad = |line: usize, source| CamerasError::Truth { path: path.to_owned(), line, source };
    let file = File::open(path).map_err(|error| bad(0, error))?;
    let mut reader = BufReader::new(file);
    let mut all = Vec::new();
    let mut line = String::new();
    while reader.read_line(&mut line).map_err(|error| bad(all.len() + 1, error))? > 0 && line.ends_with('\n')
    {
        let mut words = line.split_whitespace();
        let mut number = || words.next().and_then(|word| word.parse::<i64>().ok());
        let (Some(stream), Some(rtp), Some(captured_ns)) = (number(), number(), number()) else {
            return Err(bad(all.len() + 1, io::Error::new(io::ErrorKind::InvalidData, line)));
        };
        all.push(Truth { stream: stream as usize, rtp: rtp as u32, captured_ns });
        line.clear();
    }
    Ok(all)
}

fn host_minus_monotonic_ns() -> i64 {
    use rustix::time::{ClockId, clock_gettime};
    let ns = |clock| {
        let now = clock_gettime(clock);
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    };
    // The tightest of a few pairs: the thread may be put aside between two readings.
    (0..16)
        .map(|_| {
            let (before, host, after) =
                (ns(ClockId::Monotonic), ns(ClockId::Realtime), ns(ClockId::Monotonic));
            (after - before, host - i64::midpoint(before, after))
        })
        .min()
        .map_or(0, |(_, difference)| difference)
}

/// The library of the faketime package that is meant for programs with threads.
fn faketime() -> Result<PathBuf, CamerasError> {
    fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten()
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file())
        .ok_or(CamerasError::NoFaketime)
}

#[derive(Debug, thiserror::Error)]
pub enum CamerasError {
    #[error(
        "cannot start {what}; the packages are python3-gi, gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-tools"
    )]
    Start { what: &'static str, source: io::Error },
    #[error("cannot make a file for what the server says")]
    Scratch(#[source] io::Error),
    #[error("{what} ended instead of working; it said:\n{said}")]
    Ended { what: &'static str, said: String },
    #[error("no libfaketimeMT.so.1 in /usr/lib/*/faketime: install the package faketime")]
    NoFaketime,
    #[error("cannot read line {line} of {path}")]
    Truth { path: PathBuf, line: usize, source: io::Error },
}
