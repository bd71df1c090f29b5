//! What every back end promises, each test on each of them, against a camera that behaves to the byte as the test wants.
//! The same promises against servers that nobody here wrote are in `packages/tools/swarm_camera_bed/tests/streams.rs`.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use common::{B_FRAMES, Fake, Film, H265, H265_B_FRAMES, LARGE, Parameters, SDP_AUDIO, SMALL, Script, Then};
use common::{sdp_h264, sdp_h265, units};
use swarm_capture_core::{CameraTime, FrameHead, SenderReport};
use swarm_rtsp::{Backend, Camera, Codec, Credentials, Event, Ingest, Source, StreamError, StreamInfo, open};
use tokio::time::{sleep, timeout};

#[cfg(not(feature = "gstreamer"))]
const BACKENDS: [Backend; 1] = [Backend::Retina];
#[cfg(feature = "gstreamer")]
const BACKENDS: [Backend; 2] = [Backend::Retina, Backend::Gstreamer];

/// Nothing here takes so long, on whatever computer.
const FOREVER: Duration = Duration::from_secs(30);

fn source(backend: Backend, camera: &Fake) -> Source {
    let mut source = Source::new(camera.url().parse().unwrap());
    source.backend = backend;
    source
}

async fn next(stream: &mut Box<dyn Ingest>) -> Result<Event, StreamError> {
    timeout(FOREVER, stream.next()).await.expect("an event")
}

/// Events until `frames` frames have come.
async fn take(stream: &mut Box<dyn Ingest>, frames: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.iter().filter(|event| matches!(event, Event::Frame { .. })).count() < frames {
        events.push(next(stream).await.unwrap());
    }
    events
}

fn frames(events: &[Event]) -> Vec<(FrameHead, Bytes)> {
    let frame = |event: &Event| match event {
        Event::Frame { head, data } => Some((*head, data.clone())),
        _ => None,
    };
    events.iter().filter_map(frame).collect()
}

/// The error that a connection ends with, at once or after some events.
async fn error(source: &Source) -> StreamError {
    let mut stream = match timeout(FOREVER, open(source)).await.expect("an answer") {
        Ok(stream) => stream,
        Err(error) => return error,
    };
    loop {
        if let Err(error) = next(&mut stream).await {
            return error;
        }
    }
}

const SMALL_INFO: StreamInfo = StreamInfo { codec: Codec::H264, width: 64, height: 48 };

/// NAL units of a frame but for parameter sets and delimiters, as in [`Film::frames`].
fn pictures(data: &[u8], codec: Codec) -> Vec<Vec<u8>> {
    let dull = |unit: &Vec<u8>| match codec {
        Codec::H264 => matches!(unit[0] & 0x1f, 7..=9),
        _ => matches!(unit[0] >> 1, 32..=35),
    };
    units(data).into_iter().filter(|unit| !dull(unit)).collect()
}

#[tokio::test]
async fn frames_come_in_order_whole_and_with_parameter_sets_before_each_key_frame() {
    let h264 = || Film::new().h264(SMALL, Parameters::InStream).h264(SMALL, Parameters::InStream);
    let out_of_band = || Film::new().h264(SMALL, Parameters::Nowhere).h264(SMALL, Parameters::Nowhere);
    for backend in BACKENDS {
        for (film, sdp, codec) in [
            (h264(), sdp_h264(Some(SMALL)), Codec::H264),
            (h264(), sdp_h264(None), Codec::H264),
            (out_of_band(), sdp_h264(Some(SMALL)), Codec::H264),
            (Film::new().h265(H265).h265(H265), sdp_h265(), Codec::H265),
        ] {
            let camera = Fake::start(vec![Script::film(&film, sdp)]);
            let mut stream = open(&source(backend, &camera)).await.unwrap();
            // The end of the last frame is known by its marker to some, and by the next frame to others.
            let expected = &film.frames[..film.frames.len() - 1];
            let events = take(&mut stream, expected.len()).await;
            assert_eq!(events[0], Event::Started(StreamInfo { codec, ..SMALL_INFO }), "{backend:?}");
            assert!(!events[1..].iter().any(|event| matches!(event, Event::Started(_) | Event::Changed(_))));
            for ((head, data), (rtp, key, kept)) in frames(&events).iter().zip(expected) {
                assert_eq!((head.rtp, head.key, head.lost_packets), (*rtp, *key, 0), "{backend:?}");
                assert_eq!(head.size as usize, data.len());
                assert_eq!(&pictures(data, codec), kept, "{backend:?} {codec:?} at {rtp}");
                let kinds: Vec<u8> = units(data).iter().map(|unit| unit[0]).collect();
                let sets: &[u8] = if codec == Codec::H264 { &[0x67, 0x68] } else { &[0x40, 0x42, 0x44] };
                assert_eq!(sets.iter().all(|set| kinds.contains(set)), *key, "{backend:?} {kinds:x?}");
            }
        }
    }
}

#[tokio::test]
async fn reports_come_with_both_clocks_and_none_is_made_up() {
    const SINCE_1900: u64 = 2_208_988_800 + 1_767_225_600;
    for backend in BACKENDS {
        let film = Film::new().report(0).h264(SMALL, Parameters::InStream);
        let at = film.rtp;
        let film = film.report(SINCE_1900 << 32 | 1 << 30).h264(SMALL, Parameters::InStream);
        let camera = Fake::start(vec![Script::film(&film, sdp_h264(Some(SMALL)))]);
        let mut stream = open(&source(backend, &camera)).await.unwrap();
        let events = take(&mut stream, film.frames.len() - 1).await;
        let reports: Vec<SenderReport> = events
            .iter()
            .filter_map(|e| if let Event::Report(report) = e { Some(*report) } else { None })
            .collect();
        let [report] = reports[..] else { panic!("{backend:?}: {reports:?}") };
        assert_eq!((report.camera, report.rtp), (CameraTime(1_767_225_600_250_000_000), at), "{backend:?}");
        let arrivals: Vec<_> = frames(&events).iter().map(|(head, _)| head.arrival).collect();
        assert!(frames(&events).iter().all(|(head, _)| head.first_arrival <= head.arrival));
        assert!(arrivals.is_sorted() && arrivals[0].0 > 1_700_000_000_000_000_000, "{backend:?}");
    }
}

#[tokio::test]
async fn time_stamps_that_jump_or_stand_still_are_passed_on_as_they_are() {
    for backend in BACKENDS {
        let mut film = Film::new().h264(SMALL, Parameters::InStream);
        film.rtp = film.rtp.wrapping_add(90_000 * 3600);
        film = film.h264(SMALL, Parameters::InStream);
        film.rtp = film.rtp.wrapping_sub(90_000 * 7000);
        film = film.h264(SMALL, Parameters::InStream);
        let camera = Fake::start(vec![Script::film(&film, sdp_h264(Some(SMALL)))]);
        let mut stream = open(&source(backend, &camera)).await.unwrap();
        let got: Vec<_> = frames(&take(&mut stream, film.frames.len() - 1).await)
            .iter()
            .map(|(head, _)| head.rtp)
            .collect();
        let sent: Vec<_> = film.frames.iter().map(|frame| frame.0).collect();
        assert_eq!(got, sent[..sent.len() - 1], "{backend:?}");
    }
}

#[tokio::test]
async fn packets_that_are_lost_are_counted_to_the_packet() {
    for backend in BACKENDS {
        let mut film = Film::new().h264(SMALL, Parameters::InStream).h264(SMALL, Parameters::InStream);
        let before: BTreeMap<u32, _> =
            film.frames.iter().map(|(rtp, _, kept)| (*rtp, kept.clone())).collect();
        // A whole frame, the beginning of one, the middle of one; never the first nor the last.
        let packets_of = |film: &Film, frame: usize| -> Vec<usize> {
            let rtp = film.frames[frame].0.to_be_bytes();
            (0..film.packets.len()).filter(|&i| film.packets[i].bytes[4..8] == rtp).collect()
        };
        let mut lost = packets_of(&film, 2);
        lost.push(packets_of(&film, 5)[0]);
        lost.push(packets_of(&film, 10)[2]);
        assert!(packets_of(&film, 10).len() > 3, "a frame to lose the middle of");
        let hurt: Vec<u32> = [2, 5, 10].map(|frame| film.frames[frame].0).to_vec();
        let mut index = 0;
        film.packets.retain(|_| (!lost.contains(&index), index += 1).0);

        let camera = Fake::start(vec![Script::film(&film, sdp_h264(Some(SMALL)))]);
        let mut stream = open(&source(backend, &camera)).await.unwrap();
        let last = film.frames[film.frames.len() - 2].0;
        let mut counted = 0;
        loop {
            let Event::Frame { head, data } = next(&mut stream).await.unwrap() else { continue };
            counted += head.lost_packets as usize;
            if !hurt.contains(&head.rtp) {
                assert_eq!(pictures(&data, Codec::H264), before[&head.rtp], "{backend:?}");
            }
            if head.rtp == last {
                break;
            }
        }
        assert_eq!(counted, lost.len(), "{backend:?}");
    }
}

#[tokio::test]
async fn packets_out_of_order_never_make_a_wrong_frame() {
    for backend in BACKENDS {
        let mut film = Film::new().h264(SMALL, Parameters::InStream).h264(SMALL, Parameters::InStream);
        let right: BTreeMap<u32, _> = film.frames.iter().map(|(rtp, _, kept)| (*rtp, kept.clone())).collect();
        let middle = film.packets.len() / 2;
        film.packets.swap(middle, middle + 1);
        let script = Script::Play { sdp: sdp_h264(Some(SMALL)), packets: film.packets, then: Then::Close };
        let camera = Fake::start(vec![script]);
        let mut stream = open(&source(backend, &camera)).await.unwrap();
        let mut got = 0;
        let end = loop {
            match next(&mut stream).await {
                Ok(Event::Frame { head, data }) => {
                    got += 1;
                    assert_eq!(pictures(&data, Codec::H264), right[&head.rtp], "{backend:?}");
                }
                Ok(_) => {}
                Err(end) => break end,
            }
        };
        assert!(got >= 5, "{backend:?}: {got} frames, then {end}");
        assert!(matches!(end, StreamError::Broken { .. } | StreamError::Closed { .. }), "{backend:?}: {end}");
    }
}

#[tokio::test]
async fn another_resolution_is_told_before_its_first_frame() {
    for backend in BACKENDS {
        let film = Film::new().h264(SMALL, Parameters::InStream).h264(LARGE, Parameters::InStream);
        let from = film.frames[10].0;
        let camera = Fake::start(vec![Script::film(&film, sdp_h264(Some(SMALL)))]);
        let mut stream = open(&source(backend, &camera)).await.unwrap();
        let events = take(&mut stream, film.frames.len() - 1).await;
        let changed = events.iter().position(|event| matches!(event, Event::Changed(_))).expect("a change");
        let large = StreamInfo { width: 96, height: 64, ..SMALL_INFO };
        assert_eq!((&events[0], &events[changed]), (&Event::Started(SMALL_INFO), &Event::Changed(large)));
        assert_eq!(frames(&events[changed..])[0].0.rtp, from, "{backend:?}");
    }
}

#[tokio::test]
async fn a_stream_without_parameter_sets_is_an_error_and_no_stream() {
    for backend in BACKENDS {
        let film = Film::new().h264(SMALL, Parameters::Nowhere).h264(SMALL, Parameters::Nowhere);
        let script = Script::Play { sdp: sdp_h264(None), packets: film.packets, then: Then::Hold };
        let camera = Fake::start(vec![script]);
        let error = error(&source(backend, &camera)).await;
        assert!(
            matches!(error, StreamError::NoParameterSets { codec: Codec::H264, .. }),
            "{backend:?}: {error}"
        );
    }
}

#[tokio::test]
async fn b_frames_are_an_error_that_says_what_to_set() {
    for backend in BACKENDS {
        for (film, sdp) in [
            (Film::new().h264(B_FRAMES, Parameters::InStream), sdp_h264(Some(B_FRAMES))),
            (Film::new().h265(H265_B_FRAMES), sdp_h265()),
        ] {
            let camera = Fake::start(vec![Script::film(&film, sdp)]);
            let error = error(&source(backend, &camera)).await;
            assert!(matches!(error, StreamError::BFrames { .. }), "{backend:?}: {error}");
            assert!(error.to_string().contains("Baseline"));
        }
    }
}

#[tokio::test]
async fn a_camera_without_video_says_what_it_has() {
    for backend in BACKENDS {
        let script = Script::Play { sdp: SDP_AUDIO.to_owned(), packets: vec![], then: Then::Hold };
        let camera = Fake::start(vec![script]);
        let error = error(&source(backend, &camera)).await;
        let StreamError::NoVideo { offered, .. } = &error else { panic!("{backend:?}: {error}") };
        assert!(offered.starts_with("audio/pcmu"), "{backend:?}: {offered}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_an_error_of_its_own_and_shown_nowhere() {
    for backend in BACKENDS {
        let camera = Fake::start(vec![Script::Refuse(401)]);
        let mut source = source(backend, &camera);
        let without = error(&source).await;
        let StreamError::Unauthorized { with_credentials: false, .. } = without else { panic!("{without}") };
        source.credentials = Some(Credentials { user: "admin".into(), password: "xyzzy".into() });
        let with = error(&source).await;
        let StreamError::Unauthorized { with_credentials: true, .. } = with else {
            panic!("{backend:?}: {with}")
        };
        assert!(!format!("{with} {with:?} {source:?}").contains("xyzzy"));
        let tried = camera.requests().iter().any(|request| request.contains("Authorization: Digest"));
        assert!(tried, "{backend:?} has never used the password: {:?}", camera.requests());
    }
}

#[tokio::test]
async fn a_path_that_is_not_there_is_told_apart_from_other_refusals() {
    for backend in BACKENDS {
        let camera = Fake::start(vec![Script::Refuse(404)]);
        let missing = error(&source(backend, &camera)).await;
        assert!(matches!(missing, StreamError::NotFound { .. }), "{backend:?}: {missing}");
        let camera = Fake::start(vec![Script::Refuse(503)]);
        let busy = error(&source(backend, &camera)).await;
        assert!(busy.to_string().contains("503"), "{backend:?}: {busy}");
    }
}

#[tokio::test]
async fn what_is_no_camera_is_an_error_soon() {
    const HTML: &[u8] =
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>";
    for backend in BACKENDS {
        for bytes in [HTML, b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"RTSP/1.0", &[0; 4096], &[0xff; 9000]] {
            let camera = Fake::start(vec![Script::Bytes(bytes)]);
            let mut source = source(backend, &camera);
            source.answer = Duration::from_secs(2);
            let error = error(&source).await;
            let expected = matches!(error, StreamError::NotRtsp { .. } | StreamError::NoAnswer { .. });
            assert!(
                expected,
                "{backend:?} {}: {error:?}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(20)])
            );
            assert!(error.to_string().contains(&camera.url()), "{error}");
        }
    }
}

#[tokio::test]
async fn a_camera_that_never_answers_is_left() {
    for backend in BACKENDS {
        let camera = Fake::start(vec![Script::Mute]);
        let mut source = source(backend, &camera);
        source.answer = Duration::from_millis(300);
        let error = error(&source).await;
        assert!(matches!(error, StreamError::NoAnswer { .. }), "{backend:?}: {error}");
    }
}

#[tokio::test]
async fn asking_for_the_next_event_can_be_given_up_without_losing_one() {
    for backend in BACKENDS {
        let film = Film::new().h264(SMALL, Parameters::InStream).h264(SMALL, Parameters::InStream);
        let camera = Fake::start(vec![Script::film(&film, sdp_h264(Some(SMALL)))]);
        let mut camera = Camera::new(source(backend, &camera));
        let mut got = Vec::new();
        while got.len() < film.frames.len() - 1 {
            tokio::select! {
                biased;
                event = camera.next() => if let Event::Frame { head, .. } = event.unwrap() { got.push(head.rtp) },
                () = tokio::task::yield_now() => {}
            }
        }
        let sent: Vec<_> = film.frames.iter().map(|frame| frame.0).collect();
        assert_eq!(got, sent[..got.len()], "{backend:?}");
    }
}

#[tokio::test]
async fn a_camera_that_reboots_is_told_once_and_comes_back() {
    for backend in BACKENDS {
        let film = Film::new().h264(SMALL, Parameters::InStream);
        let other = Film::new().h264(LARGE, Parameters::InStream);
        let fake = Fake::start(vec![Script::film(&film, sdp_h264(Some(SMALL)))]);
        let mut camera = Camera::new(source(backend, &fake));
        let mut next = async || timeout(FOREVER, camera.next()).await.expect("an event");
        assert_eq!(next().await.unwrap(), Event::Started(SMALL_INFO));
        for _ in 1..film.frames.len() {
            next().await.unwrap();
        }
        let address = fake.address;
        drop(fake);
        let mut news = Vec::new();
        while !matches!(news.last(), Some(StreamError::Refused { .. })) {
            match next().await {
                Ok(event) => assert!(
                    matches!(event, Event::Frame { .. }),
                    "the last frame, and nothing else: {event:?}"
                ),
                Err(error) => news.push(error),
            }
        }
        assert!(news.len() <= 2, "{backend:?}: {news:?}");

        // What goes on is not told again, and the camera is there as soon as its port answers.
        let quiet = timeout(Duration::from_millis(1500), next()).await;
        assert!(quiet.is_err(), "{backend:?}: {quiet:?}");
        let fake = Fake::start_on(address, vec![Script::film(&other, sdp_h264(Some(LARGE)))]);
        let started =
            timeout(Duration::from_secs(2), next()).await.expect("back within 2 s of its port answering");
        assert_eq!(started.unwrap(), Event::Started(StreamInfo { width: 96, height: 64, ..SMALL_INFO }));
        drop(fake);
    }
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_connected_anew() {
    for backend in BACKENDS {
        let film = Film::new().h264(SMALL, Parameters::InStream);
        let fake = Fake::start(vec![Script::film(&film, sdp_h264(Some(SMALL)))]);
        let mut source = source(backend, &fake);
        source.silence = Duration::from_millis(400);
        let mut camera = Camera::new(source);
        let mut starts = 0;
        let mut news = Vec::new();
        while starts < 2 {
            match timeout(FOREVER, camera.next()).await.expect("an event") {
                Ok(Event::Started(_)) => starts += 1,
                Ok(_) => {}
                Err(error) => news.push(error),
            }
        }
        assert!(matches!(news[..], [StreamError::Silent { .. }]), "{backend:?}: {news:?}");
        assert_eq!(fake.played.load(Ordering::SeqCst), 2, "{backend:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_not_tried_again_soon() {
    for backend in BACKENDS {
        let fake = Fake::start(vec![Script::Refuse(401)]);
        let mut source = source(backend, &fake);
        source.credentials = Some(Credentials { user: "admin".into(), password: "xyzzy".into() });
        let mut camera = Camera::new(source);
        let error = timeout(FOREVER, camera.next()).await.expect("an answer").unwrap_err();
        assert!(matches!(error, StreamError::Unauthorized { .. }), "{backend:?}: {error}");
        let asked = fake.requests().len();
        assert!(timeout(Duration::from_secs(2), camera.next()).await.is_err());
        assert_eq!(fake.requests().len(), asked, "{backend:?} asks a camera that locks accounts");
    }
}

#[tokio::test]
async fn two_may_watch_one_camera() {
    for backend in BACKENDS {
        let film = Film::new().h264(SMALL, Parameters::InStream);
        let camera = Fake::start(vec![Script::film(&film, sdp_h264(Some(SMALL)))]);
        let source = source(backend, &camera);
        let (mut one, mut two) = (open(&source).await.unwrap(), open(&source).await.unwrap());
        let (one, two) = (take(&mut one, 9).await, take(&mut two, 9).await);
        let bytes = |events: &[Event]| frames(events).into_iter().map(|(_, data)| data).collect::<Vec<_>>();
        assert_eq!(bytes(&one), bytes(&two), "{backend:?}");
    }
}

#[test]
fn a_camera_may_be_dropped_after_its_runtime() {
    for backend in BACKENDS {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (camera, fake) = runtime.block_on(async {
            let film = Film::new().h264(SMALL, Parameters::InStream);
            let fake = Fake::start(vec![Script::film(&film, sdp_h264(Some(SMALL)))]);
            let mut camera = Camera::new(source(backend, &fake));
            timeout(FOREVER, camera.next()).await.expect("an event").unwrap();
            (camera, fake)
        });
        drop(runtime);
        drop(camera);
        drop(fake);
    }
}

#[tokio::test]
async fn dropping_a_camera_ends_its_session() {
    for backend in BACKENDS {
        let film = Film::new().h264(SMALL, Parameters::InStream);
        let fake = Fake::start(vec![Script::film(&film, sdp_h264(Some(SMALL)))]);
        let mut camera = Camera::new(source(backend, &fake));
        timeout(FOREVER, camera.next()).await.expect("an event").unwrap();
        drop(camera);
        let torn_down = async {
            while !fake.requests().iter().any(|request| request.starts_with("TEARDOWN")) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(FOREVER, torn_down).await.unwrap_or_else(|_| panic!("{backend:?}: {:?}", fake.requests()));
    }
}

#[cfg(not(feature = "gstreamer"))]
#[tokio::test]
async fn what_needs_gstreamer_says_so() {
    let fake = Fake::start(vec![Script::Mute]);
    let mut source = source(Backend::Gstreamer, &fake);
    assert!(matches!(error(&source).await, StreamError::BuiltWithoutGstreamer));
    source.backend = Backend::Retina;
    source.transport = swarm_rtsp::Transport::Udp { reorder: Duration::from_millis(50) };
    assert!(matches!(error(&source).await, StreamError::UdpNeedsGstreamer));
}
