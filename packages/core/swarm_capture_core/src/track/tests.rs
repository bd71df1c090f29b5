//! Promises of a track.

use proptest::prelude::*;

use super::*;
use crate::{BaseChange, CameraTime};

const FULL_HD: Stream = Stream { codec: Codec::H264, width: 1920, height: 1080 };

fn host(ms: i64) -> HostTime {
    HostTime(1_790_000_000_000_000_000 + ms * 1_000_000)
}

/// Frame `k` of a camera of 30 Hz.
fn frame(k: u32, lost_packets: u32) -> FrameHead {
    let at = host(i64::from(k) * 1000 / 30);
    FrameHead {
        rtp: k.wrapping_mul(3_000),
        first_arrival: at,
        arrival: at,
        lost_packets,
        key: k.is_multiple_of(30),
        size: 1_000,
    }
}

fn report(k: u32) -> SenderReport {
    let at = host(i64::from(k) * 1000 / 30);
    SenderReport { camera: CameraTime(at.0 + 77), rtp: k.wrapping_mul(3_000), arrival: at }
}

fn begun() -> Track<u32> {
    let mut track = Track::new(TrackSettings::default());
    track.begin(FULL_HD, host(0));
    track
}

fn drain<T>(track: &mut Track<T>) -> (Vec<StampedFrame<T>>, Vec<TrackEvent>) {
    let (mut frames, mut events) = (Vec::new(), Vec::new());
    while let Some(output) = track.next() {
        match output {
            TrackOutput::Frame(frame) => frames.push(frame),
            TrackOutput::Event(event) => events.push(event),
        }
    }
    (frames, events)
}

#[test]
fn frames_wait_for_the_first_report_and_come_out_in_one_time_base() {
    let mut track = begun();
    for k in 0..45 {
        track.frame(frame(k, 0), k);
    }
    assert_eq!(drain(&mut track).0, [], "nothing is stamped before a report");
    track.report(report(45));
    let (frames, _) = drain(&mut track);
    assert_eq!(frames.iter().map(|frame| frame.payload).collect::<Vec<_>>(), (0..45).collect::<Vec<_>>());
    for frame in &frames {
        assert_eq!(frame.timing.base, 0);
        let off = frame.capture.0 - frame.head.arrival.0;
        assert!(off.abs() < 2_000_000, "{off}");
    }
    track.frame(frame(46, 0), 46);
    let (after, _) = drain(&mut track);
    assert_eq!(after[0].timing.state, ClockState::Locked);
}

#[test]
fn the_wait_ends_by_number_bytes_and_time() {
    let limits = [
        WaitLimits { frames: 10, ..WaitLimits::default() },
        WaitLimits { bytes: 10_000, ..WaitLimits::default() },
        WaitLimits { time_ns: 300_000_000, ..WaitLimits::default() },
    ];
    for wait in limits {
        let mut track: Track<u32> = Track::new(TrackSettings { wait, ..TrackSettings::default() });
        track.begin(FULL_HD, host(0));
        for k in 0..9 {
            track.frame(frame(k, 0), k);
        }
        assert_eq!(drain(&mut track).0, [], "{wait:?}");
        track.frame(frame(9, 0), 9);
        let (frames, events) = drain(&mut track);
        assert_eq!(frames.len(), 10, "{wait:?}");
        assert!(frames.iter().all(|frame| frame.timing.state == ClockState::ArrivalOnly));
        assert!(events.contains(&TrackEvent::NoReport { waited: 10 }), "never silently: {events:?}");
        // The report that comes after all makes no step.
        track.report(report(10));
        track.frame(frame(11, 0), 11);
        let (after, _) = drain(&mut track);
        assert_eq!((after[0].timing.state, after[0].timing.base), (ClockState::Locked, 0));
    }
}

#[test]
fn time_alone_ends_the_wait_when_frames_stop() {
    let mut track = begun();
    track.frame(frame(0, 0), 0);
    track.tick(host(5_999));
    assert_eq!(drain(&mut track).0, []);
    track.tick(host(6_000));
    assert_eq!(drain(&mut track).0.len(), 1);
}

#[test]
fn lost_frames_are_told_by_the_step_where_packets_are_missing_and_nowhere_else() {
    let mut track = begun();
    track.report(report(0));
    for k in 0..40 {
        track.frame(frame(k, 0), k);
    }
    track.frame(frame(43, 70), 43); // 40, 41, 42 are gone
    track.frame(frame(47, 0), 47); // the camera left 44, 45, 46 out
    track.frame(frame(48, 2), 48); // damaged, none gone
    let (frames, _) = drain(&mut track);
    let told: Vec<(u64, u32, LossEstimate)> =
        frames[39..].iter().map(|frame| (frame.sequence, frame.lost_frames, frame.loss)).collect();
    assert_eq!(told[0], (39, 0, LossEstimate::Exact));
    assert_eq!(told[1], (43, 3, LossEstimate::Exact));
    assert_eq!(told[2], (44, 0, LossEstimate::Exact));
    assert_eq!((told[3].0, told[3].1), (45, 0));
    assert_eq!(
        track.counts(),
        FrameCounts { received: 43, lost_frames: 3, guessed: 0, lost_packets: 72, sessions: 1 }
    );
}

#[test]
fn no_more_frames_are_lost_than_packets_and_a_step_between_is_a_guess() {
    let mut track = begun();
    for k in 0..20 {
        track.frame(frame(k, 0), k);
    }
    track.frame(frame(30, 2), 30);
    let mut odd = frame(33, 9);
    odd.rtp += 1_500;
    track.frame(odd, 33);
    track.end();
    let (frames, _) = drain(&mut track);
    assert_eq!((frames[20].lost_frames, frames[20].loss), (2, LossEstimate::Guess));
    assert_eq!(frames[21].loss, LossEstimate::Guess);
}

#[test]
fn a_long_gap_of_a_camera_whose_steps_alternate_is_still_exact() {
    // 29.97 Hz in ticks of 90 kHz is 3003; 24 Hz cameras that stamp in milliseconds alternate between 3690 and 3780.
    let mut track = begun();
    let rtp = |k: u32| (f64::from(k) * 1000.0 / 24.0).floor() as u32 * 90;
    for k in 0..100 {
        track.frame(FrameHead { rtp: rtp(k), ..frame(k, 0) }, k);
    }
    track.frame(FrameHead { rtp: rtp(400), ..frame(400, 5_000) }, 400);
    track.end();
    let (frames, _) = drain(&mut track);
    assert_eq!((frames[100].lost_frames, frames[100].loss), (300, LossEstimate::Exact));
}

#[test]
fn a_new_session_counts_on_and_says_how_long_nothing_came() {
    let mut track = begun();
    for k in 0..30 {
        track.frame(frame(k, 0), k);
    }
    track.end();
    track.begin(FULL_HD, host(5_000));
    let mut again = frame(150, 0);
    again.rtp = 17;
    track.frame(again, 150);
    track.end();
    let (frames, events) = drain(&mut track);
    assert_eq!(frames[30].sequence, 30, "what is not known to be lost does not count");
    assert_eq!(events[0], TrackEvent::Began { stream: FULL_HD, gap_ns: None });
    let gap_ns = 5_000_000_000 - 966_000_000;
    assert!(events.contains(&TrackEvent::Began { stream: FULL_HD, gap_ns: Some(gap_ns) }), "{events:?}");
    assert_eq!(events.last(), Some(&TrackEvent::Ended));
}

/// Plays 60 frames with a report among them, from frame `from` on.
fn play(track: &mut Track<u32>, from: u32) -> Vec<StampedFrame<u32>> {
    track.report(report(from));
    (from..from + 60).for_each(|k| track.frame(frame(k, 0), k));
    drain(track).0
}

#[test]
fn a_bias_that_is_learned_late_is_taken_off_at_once_in_a_new_base() {
    let mut track = begun();
    let before = play(&mut track, 0);
    track.set_bias(20_000_000);
    track.set_bias(20_000_000);
    let after = play(&mut track, 60);
    for (frames, base, bias_ns) in [(before, 0, 0), (after, 1, 20_000_000)] {
        for frame in frames {
            assert_eq!((frame.timing.base, frame.timing.bias_ns), (base, bias_ns));
            let early_ns = frame.head.arrival.since(frame.capture);
            assert!((early_ns - bias_ns).abs() < 2_000_000, "{early_ns} of {bias_ns}");
            assert_eq!(frame.sequence, u64::from(frame.payload));
        }
    }
}

#[test]
fn a_bias_that_is_known_before_the_first_stamp_makes_no_step() {
    let mut track = begun();
    (0..10).for_each(|k| track.frame(frame(k, 0), k));
    track.set_bias(20_000_000);
    let frames = play(&mut track, 10);
    assert_eq!(frames.len(), 70, "those that waited, too");
    assert!(frames.iter().all(|frame| (frame.timing.base, frame.timing.bias_ns) == (0, 20_000_000)));
}

#[test]
fn another_camera_in_the_same_place_is_counted_on_in_a_base_of_its_own() {
    let mut track = begun();
    let mut frames = play(&mut track, 0);
    track.end();
    track.other_camera(5_000_000);
    track.begin(FULL_HD, host(10_000));
    let (_, events) = drain(&mut track);
    assert!(events.iter().any(|e| matches!(e, TrackEvent::Began { gap_ns: Some(_), .. })), "{events:?}");
    let step = |e: &TrackEvent| {
        matches!(e, TrackEvent::Clock(ClockEvent::NewBase { base: 1, why: BaseChange::OtherCamera, .. }))
    };
    assert_eq!(events.iter().filter(|event| step(event)).count(), 1, "{events:?}");
    frames.extend(play(&mut track, 300));
    assert_eq!(frames.len(), 120);
    assert!(frames.iter().map(|frame| frame.sequence).eq(0..120));
    assert!(frames[60..].iter().all(|frame| (frame.timing.base, frame.timing.bias_ns) == (1, 5_000_000)));
    assert_eq!((track.counts().received, track.counts().sessions), (120, 2));
}

#[test]
fn a_change_of_the_stream_stands_between_the_frames_it_parts() {
    let mut track = begun();
    track.frame(frame(0, 0), 0);
    let smaller = Stream { width: 640, height: 480, ..FULL_HD };
    track.stream(FULL_HD);
    track.stream(smaller);
    track.frame(frame(1, 0), 1);
    track.end();
    let mut order = Vec::new();
    while let Some(output) = track.next() {
        match output {
            TrackOutput::Frame(frame) => order.push(format!("frame {}", frame.payload)),
            TrackOutput::Event(TrackEvent::Changed { from, to }) => {
                order.push(format!("{} to {}", from.width, to.width));
            }
            TrackOutput::Event(_) => {}
        }
    }
    assert_eq!(order, ["frame 0", "1920 to 640", "frame 1"]);
}

#[test]
fn frames_that_are_on_the_wire_when_the_hosts_clock_is_set_are_told_by_it_as_it_is_now() {
    let period_ns = 1_000_000_000 / 30;
    let received = |k: u32, by_ns: i64| host(0).plus(i64::from(k) * period_ns + by_ns);
    let head = |k: u32, first_by_ns, by_ns| FrameHead {
        first_arrival: received(k, first_by_ns),
        arrival: received(k, by_ns),
        ..frame(k, 0)
    };
    for by_ns in [2_000_000_000, -2_000_000_000, 300_000_000] {
        let mut track = begun();
        track.report(report(0));
        (0..900).for_each(|k| track.frame(head(k, 0, 0), k));
        drain(&mut track);
        // Set while frames 900 and 901 are on their way: one whole, and still to be handed on; of one the first packet.
        track.host_stepped(HostStep { by_ns, since: received(901, by_ns + period_ns / 4) });
        track.frame(head(900, 0, 0), 900);
        track.report(SenderReport { arrival: received(900, 0), ..report(900) });
        track.frame(head(901, 0, by_ns + period_ns / 2), 901);
        (902..2_000).for_each(|k| track.frame(head(k, by_ns, by_ns), k));
        let (frames, events) = drain(&mut track);
        assert_eq!(frames.len(), 1_100);
        for frame in frames {
            let late_ns = frame.capture.since(received(frame.payload, by_ns));
            assert!(late_ns.abs() < 1_000_000, "{by_ns}: frame {} is {late_ns} ns late", frame.payload);
            assert_eq!(frame.timing.base, 1);
        }
        let bases = events.iter().filter(|e| matches!(e, TrackEvent::Clock(ClockEvent::NewBase { .. })));
        assert_eq!(bases.count(), 1, "{events:?}");
    }
}

proptest! {
    /// Frames sent = received + lost, whatever is lost between two frames that came.
    #[test]
    fn sent_is_received_plus_lost(lost in proptest::collection::vec(any::<bool>(), 20..400), origin: u32) {
        let mut track: Track<u32> = Track::new(TrackSettings::default());
        track.begin(FULL_HD, host(0));
        let (mut missing, mut last) = (0, 0);
        // The usual step has to be seen once.
        for k in 0..5 + lost.len() as u32 {
            if k >= 5 && lost[k as usize - 5] {
                missing += 3;
                continue;
            }
            let mut head = frame(k, std::mem::take(&mut missing));
            head.rtp = head.rtp.wrapping_add(origin);
            track.frame(head, k);
            last = k;
        }
        track.end();
        let counts = track.counts();
        prop_assert_eq!(counts.received + counts.lost_frames, u64::from(last) + 1);
        prop_assert_eq!(counts.guessed, 0);
        let (frames, _) = drain(&mut track);
        for frame in frames {
            prop_assert_eq!(frame.sequence, u64::from(frame.payload));
        }
    }

    /// Nothing is invented or lost inside, whatever comes in.
    #[test]
    fn every_frame_comes_out_once_in_order(calls in proptest::collection::vec((0..7_u8, any::<u32>(), any::<i64>()), 0..200)) {
        let mut track: Track<usize> = Track::new(TrackSettings::default());
        let mut put = 0;
        for (call, rtp, time) in calls {
            let at = HostTime(time / 4);
            match call {
                0..=2 => {
                    let head = FrameHead { rtp, first_arrival: at, arrival: at, lost_packets: rtp % 3, key: false, size: rtp % 9_000 };
                    track.frame(head, put);
                    put += 1;
                }
                3 => track.report(SenderReport { camera: CameraTime(time), rtp, arrival: at }),
                4 => track.tick(at),
                5 if rtp % 2 == 0 => track.set_bias(time % 1_000_000_000),
                5 => track.other_camera(time % 1_000_000_000),
                _ if rtp % 2 == 0 => track.host_stepped(HostStep { by_ns: time % 1_000_000_000_000, since: HostTime(time) }),
                _ => track.begin(FULL_HD, at),
            }
        }
        track.end();
        let (frames, _) = drain(&mut track);
        prop_assert_eq!(frames.iter().map(|frame| frame.payload).collect::<Vec<_>>(), (0..put).collect::<Vec<_>>());
        for pair in frames.windows(2) {
            prop_assert!(pair[0].sequence < pair[1].sequence);
            prop_assert!(pair[0].timing.base < pair[1].timing.base || pair[0].capture < pair[1].capture);
        }
    }
}
