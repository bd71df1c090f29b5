//! What an independent client sees of a served stream: ffprobe, of Debian's ffmpeg.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use swarm_rtsp_server::{Fate, Feed, ServeError, Server, Stream};

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn stream(name: &str) -> Stream {
    Stream { name: name.to_owned(), width: 64, height: 48, rate_hz: 10 }
}

/// A bar that moves, given at the stream's rate until this is dropped.
struct Painter {
    ends: Arc<AtomicBool>,
    given: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Painter {
    fn start(feed: Feed) -> Self {
        Self::start_late(feed, Duration::ZERO)
    }

    /// Each picture is given so long after it was taken.
    fn start_late(feed: Feed, age: Duration) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&ends);
        let given = Arc::new(AtomicUsize::new(0));
        let giving = Arc::clone(&given);
        let thread = std::thread::spawn(move || {
            let stream = feed.stream().clone();
            while !ending.load(Ordering::Relaxed) {
                let bar = giving.fetch_add(1, Ordering::Relaxed) % stream.width as usize;
                let pixel =
                    |at: usize| if at % stream.width as usize == bar { [255; 3] } else { [20, 40, 60] };
                let picture: Vec<u8> =
                    (0..stream.width as usize * stream.height as usize).flat_map(pixel).collect();
                feed.give(&picture, Instant::now().checked_sub(age).unwrap());
                std::thread::sleep(Duration::from_millis(1000 / u64::from(stream.rate_hz)));
            }
        });
        Self { ends, given, thread: Some(thread) }
    }

    fn wait_for(&self, more: usize) {
        let until = self.given.load(Ordering::Relaxed) + more;
        while self.given.load(Ordering::Relaxed) < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A viewer that takes its time.
struct Viewer(BufReader<TcpStream>);

impl Viewer {
    fn connect(server: &Server) -> Self {
        let connection = TcpStream::connect(server.address()).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(BufReader::new(connection))
    }

    fn describe(&mut self, url: &str) {
        self.ask(&format!("DESCRIBE {url}"), "Accept: application/sdp\r\n");
    }

    fn play(&mut self, url: &str) {
        let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
        let answer = self.ask(&format!("SETUP {url}/stream=0"), transport);
        let session = answer.iter().find(|line| line.starts_with("Session: ")).unwrap();
        let session = session.split(';').next().unwrap();
        self.ask(&format!("PLAY {url}"), &format!("{session}\r\n"));
    }

    /// Sends a request; gives the lines of its answer.
    fn ask(&mut self, request: &str, headers: &str) -> Vec<String> {
        write!(self.0.get_mut(), "{request} RTSP/1.0\r\nCSeq: 1\r\n{headers}\r\n").unwrap();
        let mut lines = Vec::new();
        let mut body = 0;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            if line == "\r\n" {
                break;
            }
            body =
                line.strip_prefix("Content-Length: ").map_or(body, |length| length.trim().parse().unwrap());
            lines.push(line.trim_end().to_owned());
        }
        self.0.read_exact(&mut vec![0; body]).unwrap();
        assert_eq!(lines[0], "RTSP/1.0 200 OK", "{request}: {lines:?}");
        lines
    }

    /// The next packet and its channel: 0 for RTP, 1 for RTCP.
    fn next(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 4];
        self.0.read_exact(&mut head).unwrap();
        assert_eq!(head[0], b'$');
        let mut packet = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
        self.0.read_exact(&mut packet).unwrap();
        (head[1], packet)
    }

    /// Time stamp of the next RTP packet, 90 kHz.
    fn next_stamp(&mut self) -> u32 {
        loop {
            if let (0, packet) = self.next() {
                return word(&packet, 4);
            }
        }
    }

    /// The next sender report (RFC 3550, 6.4.1): seconds since 1970, and the RTP time stamp of that moment.
    fn next_report(&mut self) -> (f64, u32) {
        loop {
            if let (1, packet) = self.next()
                && packet[1] == 200
            {
                let since_1900 = f64::from(word(&packet, 8)) + f64::from(word(&packet, 12)) / 2_f64.powi(32);
                return (since_1900 - 2_208_988_800.0, word(&packet, 16));
            }
        }
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn ffprobe(url: &str, seconds: u32) -> Child {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-rtsp_transport", "tcp", "-read_intervals", &format!("%+{seconds}")]);
    command.args(["-show_streams", "-show_frames", "-print_format", "json", url]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.spawn().expect("ffprobe is in the package ffmpeg")
}

fn seen_by(probe: Child) -> Value {
    let output = probe.wait_with_output().unwrap();
    assert!(output.status.success(), "ffprobe ended with {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn ffprobe_decodes_each_stream_from_a_key_frame_with_one_a_second_and_no_b_frames() {
    let (server, feeds) = Server::start(ANYWHERE, &[stream("left"), stream("right")]).unwrap();
    let _painters: Vec<Painter> = feeds.iter().cloned().map(Painter::start).collect();
    for feed in &feeds {
        let seen = seen_by(ffprobe(&server.url(feed.stream()), 3));
        let video = &seen["streams"][0];
        assert_eq!(
            (&video["codec_name"], &video["width"], &video["height"], &video["has_b_frames"]),
            (&"h264".into(), &64.into(), &48.into(), &0.into())
        );
        let frames = seen["frames"].as_array().unwrap();
        let keys: Vec<usize> = (0..frames.len()).filter(|&index| frames[index]["key_frame"] == 1).collect();
        assert!(frames.len() >= 15 && keys.len() >= 2, "{} frames, keys {keys:?}", frames.len());
        assert!(keys.windows(2).all(|pair| pair[1] - pair[0] <= 10), "{keys:?}");
        assert!(frames.iter().all(|frame| frame["pict_type"] != "B"));
    }
}

/// The pictures of DESCRIBE would be old by then, and look like a clock that jumps.
#[test]
fn a_viewer_that_plays_late_gets_no_picture_from_before() {
    let (server, feeds) = Server::start(ANYWHERE, &[stream("one")]).unwrap();
    let painter = Painter::start(feeds[0].clone());
    let url = server.url(feeds[0].stream());
    let mut viewer = Viewer::connect(&server);
    viewer.describe(&url);
    painter.wait_for(20);
    viewer.play(&url);
    let stamps: Vec<u32> = (0..40).map(|_| viewer.next_stamp()).collect();
    let steps: Vec<u32> = stamps.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert!(steps.iter().all(|&step| step < 90_000), "a step of a second or more: {steps:?}");
}

/// Drawing and coding take their time, which is no part of the stamp.
#[test]
fn sender_reports_tell_when_a_picture_was_taken_and_not_when_it_was_sent() {
    const AGE: Duration = Duration::from_millis(700);
    let (server, feeds) = Server::start(ANYWHERE, &[stream("one")]).unwrap();
    let _painter = Painter::start_late(feeds[0].clone(), AGE);
    let url = server.url(feeds[0].stream());
    let mut viewer = Viewer::connect(&server);
    viewer.describe(&url);
    viewer.play(&url);
    let (reported_s, reported_rtp) = viewer.next_report();
    let later = viewer.next_stamp().wrapping_sub(reported_rtp).cast_signed();
    let taken_s = reported_s + f64::from(later) / 90_000.0;
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(now_s - taken_s > 0.95 * AGE.as_secs_f64(), "taken {} s ago, they say", now_s - taken_s);
}

#[test]
fn nothing_is_wanted_before_somebody_watches_nor_after() {
    let (server, feeds) = Server::start(ANYWHERE, &[stream("one")]).unwrap();
    let feed = &feeds[0];
    let picture = vec![0; feed.stream().picture_bytes()];
    assert_eq!(feed.give(&picture, Instant::now()), Fate::Unwatched);
    assert_eq!(feed.give(&picture[1..], Instant::now()), Fate::WrongSize);
    let painter = Painter::start(feed.clone());
    seen_by(ffprobe(&server.url(feed.stream()), 1));
    assert!(feed.coded() > 0);
    let deadline = Instant::now() + Duration::from_secs(30);
    while feed.is_watched() {
        assert!(Instant::now() < deadline, "the viewer has left and the stream is still coded");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(painter);
    assert_eq!(feed.give(&picture, Instant::now()), Fate::Unwatched);
}

#[test]
fn what_cannot_be_served_is_refused_with_the_reason() {
    let start = |streams: &[Stream]| Server::start(ANYWHERE, streams).unwrap_err().to_string();
    let odd = Stream { width: 65, ..stream("odd") };
    assert!(start(&[odd]).starts_with("the stream 'odd' cannot be 65x48 at 10 Hz: "));
    assert!(start(&[stream("a/b")]).starts_with("the stream 'a/b' cannot be "));
    assert_eq!(start(&[stream("a"), stream("b"), stream("a")]), "two streams are called 'a'");

    let taken = TcpListener::bind(ANYWHERE).unwrap();
    let address = taken.local_addr().unwrap();
    let error = Server::start(address, &[stream("a")]).unwrap_err();
    assert!(matches!(error, ServeError::Listen { address: named, .. } if named == address), "{error}");
}
