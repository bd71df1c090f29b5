//! What an independent client sees of a served stream: ffprobe, of Debian's ffmpeg.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use swarm_rtsp_server::{Fate, Feed, ServeError, Server, Stream};

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn stream(name: &str) -> Stream {
    Stream { name: name.to_owned(), width: 64, height: 48, rate_hz: 10 }
}

/// A bar that moves, given at the stream's rate until this is dropped.
struct Painter {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Painter {
    fn start(feed: Feed) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let stream = feed.stream().clone();
            let mut count = 0;
            while !ending.load(Ordering::Relaxed) {
                let bar = count % stream.width as usize;
                let pixel =
                    |at: usize| if at % stream.width as usize == bar { [255; 3] } else { [20, 40, 60] };
                let picture: Vec<u8> =
                    (0..stream.width as usize * stream.height as usize).flat_map(pixel).collect();
                feed.give(&picture, Instant::now());
                count += 1;
                std::thread::sleep(Duration::from_millis(1000 / u64::from(stream.rate_hz)));
            }
        });
        Self { ends, thread: Some(thread) }
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
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
