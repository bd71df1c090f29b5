//! The promises of `swarm_rtsp`, on each of its back ends, against servers that nobody here wrote: gst-rtsp-server, ffmpeg's
//! decoder as judge, and a bad cable between. Needs the feature `peer-tests`, and what [`swarm_camera_bed::rtsp`] needs.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use swarm_camera_bed::proxy::{Cable, Proxy, Weather};
use swarm_camera_bed::rtsp::{Cameras, Clock, Coding, Setup, Stream, encode, read_truth};
use swarm_capture_core::{FrameHead, SenderReport};
use swarm_rtsp::{Backend, Camera, Codec, Credentials, Event, Source, StreamError, StreamInfo};
use tokio::time::timeout;

#[cfg(not(feature = "gstreamer"))]
const BACKENDS: [Backend; 1] = [Backend::Retina];
#[cfg(feature = "gstreamer")]
const BACKENDS: [Backend; 2] = [Backend::Retina, Backend::Gstreamer];

/// Nothing here takes so long, on whatever computer.
const FOREVER: Duration = Duration::from_mins(1);

fn source(backend: Backend, url: &str) -> Source {
    let mut source = Source::new(url.parse().unwrap());
    source.backend = backend;
    source
}

/// What came: how streams began and changed, frames, reports, errors.
#[derive(Default)]
struct Got {
    infos: Vec<StreamInfo>,
    frames: Vec<(FrameHead, Bytes)>,
    reports: Vec<SenderReport>,
    news: Vec<StreamError>,
}

impl Got {
    fn add(&mut self, event: Result<Event, StreamError>) {
        match event {
            Ok(Event::Started(info) | Event::Changed(info)) => self.infos.push(info),
            Ok(Event::Frame { head, data }) => self.frames.push((head, data)),
            Ok(Event::Report(report)) => self.reports.push(report),
            Err(error) => self.news.push(error),
        }
    }

    /// Takes events until `enough`.
    async fn until(&mut self, camera: &mut Camera, enough: impl Fn(&Self) -> bool) {
        let all = async {
            while !enough(self) {
                let event = camera.next().await;
                self.add(event);
            }
        };
        let in_time = timeout(FOREVER, all).await;
        let (frames, reports) = (self.frames.len(), self.reports.len());
        assert!(in_time.is_ok(), "{frames} frames, {reports} reports, {:?}, {:?}", self.infos, self.news);
    }

    fn data(&self) -> Vec<u8> {
        self.frames.iter().flat_map(|(_, data)| data).copied().collect()
    }
}

/// Frames that ffmpeg decodes out of `data`; any complaint is an error.
fn decoded(data: &[u8], format: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream");
    std::fs::write(&path, data).unwrap();
    let mut command = Command::new("ffprobe");
    command.args([
        "-v",
        "error",
        "-count_frames",
        "-show_entries",
        "stream=nb_read_frames",
        "-of",
        "csv=p=0",
    ]);
    let output = command.args(["-f", format]).arg(&path).stdin(Stdio::null()).output().expect("ffprobe");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "ffprobe on {} bytes of {format}", data.len());
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

/// One small camera for each codec.
fn one_each() -> Cameras {
    let stream =
        |path: &str, coding| Stream { coding, width: 192, height: 128, gop: 10, ..Stream::live(path) };
    let streams =
        vec![stream("/h264", Coding::H264), stream("/h265", Coding::H265), stream("/jpeg", Coding::Mjpeg)];
    Cameras::start(Setup { streams, ..Setup::default() }).unwrap()
}

#[tokio::test]
async fn each_codec_comes_whole_and_decodes() {
    let cameras = one_each();
    for backend in BACKENDS {
        for (index, codec, format) in
            [(0, Codec::H264, "h264"), (1, Codec::H265, "hevc"), (2, Codec::Mjpeg, "mjpeg")]
        {
            let mut camera = Camera::new(source(backend, &cameras.url(index)));
            let mut got = Got::default();
            got.until(&mut camera, |got| got.frames.len() >= 40).await;
            let first = got.frames.iter().position(|(head, _)| head.key).expect("a key frame");
            got.frames.drain(..first);
            assert_eq!(got.infos, [StreamInfo { codec, width: 192, height: 128 }], "{backend:?}");
            assert!(got.news.is_empty(), "{backend:?}: {:?}", got.news);
            assert!(
                got.frames
                    .iter()
                    .all(|(head, data)| head.lost_packets == 0 && head.size as usize == data.len())
            );
            let steps: BTreeSet<u32> =
                got.frames.windows(2).map(|two| two[1].0.rtp.wrapping_sub(two[0].0.rtp)).collect();
            assert!(
                steps.iter().all(|step| (2990..=3010).contains(step)),
                "{backend:?} {codec:?}: {steps:?}"
            );
            let keys: Vec<usize> = (0..got.frames.len()).filter(|&i| got.frames[i].0.key).collect();
            let every = if codec == Codec::Mjpeg { 1 } else { 10 };
            assert!(keys.windows(2).all(|two| two[1] - two[0] == every), "{backend:?} {codec:?}: {keys:?}");
            assert_eq!(decoded(&got.data(), format), got.frames.len(), "{backend:?} {codec:?}");
        }
    }
}

/// What the clock fit lives on: capture times from reports are as wrong as the camera's clock, and no more.
#[tokio::test]
async fn reports_tell_the_cameras_clock_however_wrong_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for backend in BACKENDS {
        let truth = folder.path().join(format!("{backend:?}"));
        let clock = Clock { offset_s: 2.5, drift_ppm: 100.0 };
        let setup = Setup { clock, truth: Some(truth.clone()), ..Setup::default() };
        let cameras = Cameras::start(setup).unwrap();
        let mut camera = Camera::new(source(backend, &cameras.url(0)));
        let mut got = Got::default();
        got.until(&mut camera, |got| !got.reports.is_empty() && got.frames.len() > 60).await;
        let captured: BTreeMap<u32, i64> =
            read_truth(&truth).unwrap().into_iter().map(|frame| (frame.rtp, frame.captured_ns)).collect();
        let report = got.reports[0];
        let mut compared = 0;
        for (head, _) in &got.frames {
            let Some(true_ns) = captured.get(&head.rtp) else { continue };
            let ticks = i64::from(head.rtp.wrapping_sub(report.rtp).cast_signed());
            let error_ms = (report.camera.0 + ticks * 100_000 / 9 - true_ns) as f64 / 1e6;
            // 2500 ms, some more for the way through the encoder, and the drift of a few seconds.
            assert!((2499.0..2800.0).contains(&error_ms), "{backend:?}: {error_ms} ms");
            compared += 1;
        }
        assert!(compared > 30, "{backend:?}: {compared} of {} frames are in the truth", got.frames.len());
    }
}

#[tokio::test]
async fn a_camera_without_reports_is_recorded_all_the_same() {
    let cameras = Cameras::start(Setup { sender_reports: false, ..Setup::default() }).unwrap();
    for backend in BACKENDS {
        let mut camera = Camera::new(source(backend, &cameras.url(0)));
        let mut got = Got::default();
        got.until(&mut camera, |got| got.frames.len() >= 100).await;
        assert!(
            got.reports.is_empty() && got.news.is_empty(),
            "{backend:?}: {:?} {:?}",
            got.reports,
            got.news
        );
    }
}

#[tokio::test]
async fn the_password_is_asked_for_and_the_path_too() {
    let credentials = Some(("admin".to_owned(), "right".to_owned()));
    let cameras = Cameras::start(Setup { credentials, ..Setup::default() }).unwrap();
    for backend in BACKENDS {
        let mut source = source(backend, &cameras.url(0));
        let first = async |source: &Source| {
            timeout(FOREVER, Camera::new(source.clone()).next()).await.expect("an answer")
        };
        let without = first(&source).await;
        let Err(StreamError::Unauthorized { with_credentials: false, .. }) = without else {
            panic!("{backend:?}: {without:?}")
        };
        source.credentials = Some(Credentials { user: "admin".into(), password: "wrong".into() });
        let wrong = first(&source).await;
        let Err(StreamError::Unauthorized { with_credentials: true, .. }) = wrong else {
            panic!("{backend:?}: {wrong:?}")
        };
        source.credentials = Some(Credentials { user: "admin".into(), password: "right".into() });
        let right = first(&source).await;
        assert!(matches!(right, Ok(Event::Started(_))), "{backend:?}: {right:?}");
        source.address = format!("rtsp://{}/nothing", cameras.address()).parse().unwrap();
        let missing = first(&source).await;
        assert!(matches!(missing, Err(StreamError::NotFound { .. })), "{backend:?}: {missing:?}");
    }
}

#[tokio::test]
async fn a_camera_comes_back_after_a_reboot_with_another_codec_and_size() {
    for backend in BACKENDS {
        let mut cameras = Cameras::start(Setup::default()).unwrap();
        let mut camera = Camera::new(source(backend, &cameras.url(0)));
        let mut got = Got::default();
        got.until(&mut camera, |got| got.frames.len() >= 10).await;
        cameras.stop();
        let refused = |got: &Got| got.news.iter().any(|error| matches!(error, StreamError::Refused { .. }));
        got.until(&mut camera, refused).await;
        let changed = Stream { coding: Coding::H265, width: 256, height: 192, ..Stream::live("/cam0") };
        cameras.streams_mut()[0] = changed;
        cameras.start_again().unwrap();
        let (before, answering) = (got.frames.len(), Instant::now());
        got.until(&mut camera, |got| got.frames.len() > before).await;
        println!("{backend:?}: the first frame came {:?} after the port answered", answering.elapsed());
        assert_eq!(got.infos[1], StreamInfo { codec: Codec::H265, width: 256, height: 192 }, "{backend:?}");
        assert!(got.news.len() <= 3, "{backend:?}: {:?}", got.news);
    }
}

#[tokio::test]
async fn another_size_in_the_same_connection_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("both.h264");
    let small = Stream { gop: 10, ..Stream::live("/cam0") };
    let large = Stream { width: 640, height: 480, ..small.clone() };
    let parts = [&small, &large].map(|stream| {
        let part = folder.path().join("part.h264");
        encode(stream, 1, &part).unwrap();
        std::fs::read(part).unwrap()
    });
    std::fs::write(&file, parts.concat()).unwrap();
    let streams = vec![Stream { file: Some(file), ..small }];
    let cameras = Cameras::start(Setup { streams, ..Setup::default() }).unwrap();
    for backend in BACKENDS {
        let mut camera = Camera::new(source(backend, &cameras.url(0)));
        let mut got = Got::default();
        got.until(&mut camera, |got| got.infos.len() >= 3).await;
        assert!(got.infos.windows(2).all(|two| two[0].width != two[1].width), "{backend:?}: {:?}", got.infos);
        assert!(got.news.is_empty(), "{backend:?}: {:?}", got.news);
    }
}

#[tokio::test]
async fn b_frames_are_refused() {
    let stream = Stream { b_frames: 2, ..Stream::live("/cam0") };
    let cameras = Cameras::start(Setup { streams: vec![stream], ..Setup::default() }).unwrap();
    for backend in BACKENDS {
        let mut camera = Camera::new(source(backend, &cameras.url(0)));
        let mut got = Got::default();
        got.until(&mut camera, |got| !got.news.is_empty()).await;
        assert!(matches!(got.news[..], [StreamError::BFrames { .. }]), "{backend:?}: {:?}", got.news);
    }
}

#[tokio::test]
async fn a_pulled_cable_is_noticed_and_the_camera_is_back_when_it_is_plugged_in() {
    for backend in BACKENDS {
        let cameras = Cameras::start(Setup::default()).unwrap();
        let proxy = Proxy::start(cameras.address(), None, 1).unwrap();
        let mut source = source(backend, &format!("rtsp://{}/cam0", proxy.address()));
        source.silence = Duration::from_secs(1);
        source.answer = Duration::from_secs(2);
        let mut camera = Camera::new(source);
        let mut got = Got::default();
        got.until(&mut camera, |got| got.frames.len() >= 10).await;
        proxy.set(Weather { cable: Cable::Pulled, ..Weather::default() });
        got.until(&mut camera, |got| !got.news.is_empty()).await;
        assert!(matches!(got.news[..], [StreamError::Silent { .. }]), "{backend:?}: {:?}", got.news);
        proxy.set(Weather::default());
        let before = got.frames.len();
        got.until(&mut camera, |got| got.frames.len() >= before + 30).await;
        assert_eq!(got.infos.len(), 2, "{backend:?}: {:?} {:?}", got.infos, got.news);
    }
}

#[tokio::test]
async fn two_take_one_camera_at_once() {
    let cameras = Cameras::start(Setup::default()).unwrap();
    for backend in BACKENDS {
        let source = source(backend, &cameras.url(0));
        let (mut one, mut two) = (Camera::new(source.clone()), Camera::new(source));
        let (mut first, mut second) = (Got::default(), Got::default());
        let enough = |got: &Got| got.frames.len() >= 60;
        tokio::join!(first.until(&mut one, enough), second.until(&mut two, enough));
        let both: BTreeMap<u32, &Bytes> = first.frames.iter().map(|(head, data)| (head.rtp, data)).collect();
        let same = second.frames.iter().filter(|(head, data)| both.get(&head.rtp) == Some(&data)).count();
        assert!(same > 20, "{backend:?}: {same} frames in common");
        assert!(first.news.is_empty() && second.news.is_empty());
    }
}

#[cfg(feature = "gstreamer")]
#[tokio::test]
async fn datagrams_come_in_order_too() {
    let cameras = Cameras::start(Setup::default()).unwrap();
    let mut source = source(Backend::Gstreamer, &cameras.url(0));
    source.transport = swarm_rtsp::Transport::Udp { reorder: Duration::from_millis(50) };
    let mut camera = Camera::new(source);
    let mut got = Got::default();
    got.until(&mut camera, |got| got.frames.len() >= 90 && !got.reports.is_empty()).await;
    let first = got.frames.iter().position(|(head, _)| head.key).expect("a key frame");
    got.frames.drain(..first);
    assert!(got.news.is_empty(), "{:?}", got.news);
    assert_eq!(decoded(&got.data(), "h264"), got.frames.len());
}

#[cfg(feature = "gstreamer")]
#[tokio::test]
async fn what_is_recorded_can_be_looked_at() {
    use swarm_rtsp::{Decoder, PixelFormat};
    let cameras = one_each();
    for (index, codec) in [(0, Codec::H264), (1, Codec::H265), (2, Codec::Mjpeg)] {
        let mut camera = Camera::new(source(Backend::Retina, &cameras.url(index)));
        let mut got = Got::default();
        got.until(&mut camera, |got| got.frames.len() >= 20).await;
        for format in [PixelFormat::Rgb8, PixelFormat::Bgr8, PixelFormat::Mono8] {
            let mut decoder = Decoder::new(codec, format).unwrap();
            let frames: Vec<_> = got.frames.iter().skip_while(|(head, _)| !head.key).take(8).collect();
            for (number, (_, data)) in frames.iter().enumerate() {
                decoder.push(data, 1000 + number as u64).unwrap();
            }
            let pictures = decoder.finish().unwrap();
            assert_eq!(pictures.len(), frames.len(), "{codec:?}");
            for (number, picture) in pictures.iter().enumerate() {
                assert_eq!((picture.width, picture.height, picture.stamp), (192, 128, 1000 + number as u64));
                assert_eq!(picture.data.len() as u32, 192 * 128 * format.bytes_per_pixel());
                // A white ball on black.
                assert!(
                    picture.data.iter().any(|&byte| byte > 200) && picture.data.iter().any(|&byte| byte < 50)
                );
            }
        }
    }
}
