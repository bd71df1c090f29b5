//! The last seconds in memory: what is kept, what goes, and what a snapshot holds.

use std::path::Path;
use std::time::Duration;

use swarm_bag::msg::{Bool, Text};
use swarm_bag::ring::{Ring, RingOptions};
use swarm_bag::video::VideoMessage;
use swarm_bag::{
    BagError, BagReader, BagWriter, Compression, Cut, Definitions, Item, Kind, LATCHED_MESSAGES, Qos, Topic,
    TopicId, WriteOptions, cdr, cut,
};

use crate::common::START;

const MS: i64 = 1_000_000;

fn camera(ring: &Ring, name: &str) -> TopicId {
    let message = VideoMessage::CompressedVideo;
    ring.add_topic(Topic::new(name, message.type_name(), Qos::best_effort(5), &Definitions::suite()).unwrap())
        .unwrap()
}

fn stop(ring: &Ring) -> TopicId {
    ring.add_topic(Topic::of::<Bool>("/emergency_stop", Qos::reliable(5)).unwrap()).unwrap()
}

fn description(ring: &Ring) -> TopicId {
    let qos = Qos::reliable(1).transient_local();
    ring.add_topic(Topic::of::<Text>("/robot_description", qos).unwrap()).unwrap()
}

fn item(ms: i64, kind: Kind, size: usize) -> Item {
    Item { stamp: (START + ms * MS).into(), bytes: vec![7; size].into(), kind }
}

/// A camera of 10 pictures a second with a key frame at every full second, from and up to these milliseconds.
fn film(ring: &Ring, camera: TopicId, ms: std::ops::Range<i64>, size: usize) {
    for ms in ms.step_by(100) {
        let kind = if ms % 1000 == 0 { Kind::KeyFrame } else { Kind::DeltaFrame };
        ring.push(camera, item(ms, kind, size));
    }
}

/// Topics and times, in milliseconds, of a bag.
fn read(path: &Path) -> Vec<(String, i64)> {
    let mut bag = BagReader::open(path).unwrap();
    let messages: Vec<_> = bag.by_ref().collect();
    assert_eq!(bag.damage(), [""; 0]);
    let named =
        |m: &swarm_bag::BagMessage| (bag.topics()[m.topic].name.clone(), (m.stamp.received - START) / MS);
    messages.iter().map(named).collect()
}

fn write(ring: &Ring, last: Option<Duration>, path: &Path) -> Vec<(String, i64)> {
    let written = ring.cut(last).write(path, WriteOptions::default()).unwrap();
    let before = read(path);
    assert_eq!(written.metadata().span().count as usize, before.len());
    written.make_durable().unwrap();
    assert_eq!(read(path), before);
    before
}

#[test]
fn a_snapshot_begins_each_camera_at_the_key_frame_before_and_other_topics_at_the_time_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Ring::new(RingOptions::default());
    let (one, two, stop) = (camera(&ring, "/cam1/video"), camera(&ring, "/cam2/video"), stop(&ring));
    film(&ring, one, 0..10_000, 50);
    for ms in (0..10_000).step_by(700) {
        // key frames at 0, 2100, ...
        ring.push(two, item(ms, if ms % 2100 == 0 { Kind::KeyFrame } else { Kind::DeltaFrame }, 50));
    }
    for ms in (0..10_000).step_by(50) {
        ring.push(stop, item(ms, Kind::Message, 5));
    }
    for name in ["a.mcap", "a.db3", "a"] {
        // The newest message is of 9950 ms.
        let read = write(&ring, Some(Duration::from_millis(2650)), &folder.path().join(name));
        let of = |topic: &str| -> Vec<i64> {
            read.iter().filter(|(name, _)| name == topic).map(|(_, ms)| *ms).collect()
        };
        assert!(of("/cam1/video").into_iter().eq((7000..10_000).step_by(100)), "{name}");
        assert_eq!(of("/cam2/video"), [6300, 7000, 7700, 8400, 9100, 9800]);
        assert!(of("/emergency_stop").into_iter().eq((7300..10_000).step_by(50)));
    }
    let all = write(&ring, None, &folder.path().join("all.mcap"));
    assert_eq!(all.len(), 100 + 15 + 200);
}

#[test]
fn what_is_older_than_the_span_goes_group_by_group() {
    let ring = Ring::new(RingOptions { span: Duration::from_secs(3), ..RingOptions::default() });
    let (camera, stop) = (camera(&ring, "/cam1/video"), stop(&ring));
    for ms in 0..20_000 {
        film(&ring, camera, ms..ms + i64::from(ms % 100 == 0), 50);
        ring.push(stop, item(ms, Kind::Message, 5));
    }
    let status = ring.status();
    // From 16 s on, since the picture of 16.999 s needs its key frame; of the other topic 3 s and the message at their end.
    assert_eq!(status.messages, 40 + 3001);
    assert_eq!(status.span, Duration::from_millis(3999));
    assert_eq!(status.crowded_out, 0);
}

#[test]
fn bytes_are_bounded_and_the_oldest_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Ring::new(RingOptions { span: Duration::from_secs(100), bytes: 1_000_000 });
    let (one, two) = (camera(&ring, "/cam1/video"), camera(&ring, "/cam2/video"));
    for second in 0..60 {
        film(&ring, one, second * 1000..second * 1000 + 1000, 10_000);
        film(&ring, two, second * 1000..second * 1000 + 1000, 1000);
        assert!(ring.status().bytes <= 1_000_000);
    }
    let status = ring.status();
    assert!(status.bytes > 800_000, "{status:?}");
    assert_eq!(status.crowded_out + status.messages, 1200);
    let read = write(&ring, None, &folder.path().join("a.mcap"));
    assert_eq!(read[0].1 % 1000, 0, "whole groups went: {:?}", read[0]);
    for camera in ["/cam1/video", "/cam2/video"] {
        let times: Vec<i64> = read.iter().filter(|(name, _)| name == camera).map(|(_, ms)| *ms).collect();
        assert!(times.iter().copied().eq((times[0]..60_000).step_by(100)), "{camera} has no gap");
    }
}

#[test]
fn a_group_larger_than_all_memory_goes_and_the_next_key_frame_begins_anew() {
    let ring = Ring::new(RingOptions { span: Duration::from_secs(100), bytes: 100_000 });
    let camera = camera(&ring, "/cam1/video");
    ring.push(camera, item(0, Kind::KeyFrame, 1000));
    for ms in 1..500 {
        ring.push(camera, item(ms, Kind::DeltaFrame, 1000));
        assert!(ring.status().bytes <= 100_000);
    }
    assert_eq!(ring.status().messages, 0, "nothing that could be decoded");
    ring.push(camera, item(500, Kind::KeyFrame, 1000));
    assert_eq!(ring.status().messages, 1);
}

#[test]
fn latched_topics_stay_whatever_goes_and_stand_at_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Ring::new(RingOptions { span: Duration::from_secs(2), bytes: 60_000 });
    let (camera, latched) = (camera(&ring, "/cam1/video"), description(&ring));
    let text = |data: &str| cdr::encode(&Text { data: data.to_owned() }).unwrap().into();
    let tell = |ms: i64, data: &str| {
        ring.push(latched, Item { stamp: (START + ms * MS).into(), bytes: text(data), kind: Kind::Message });
    };
    tell(0, "<robot/>");
    tell(0, "<other/>");
    tell(1, "<robot/>"); // once more, as another subscription hears it
    film(&ring, camera, 3_600_000..3_610_000, 1000);
    let path = folder.path().join("a.mcap");
    let read = write(&ring, Some(Duration::from_secs(1)), &path);
    // The newest picture is of 3609.9 s; that of 3608.9 s needs the key frame of 3608 s.
    let of_latched: Vec<i64> =
        read.iter().filter(|(name, _)| name == "/robot_description").map(|(_, ms)| *ms).collect();
    assert_eq!(of_latched, [3_608_000, 3_608_000]);
    let mut bag = BagReader::open(&path).unwrap();
    let messages: Vec<_> = bag.by_ref().collect();
    let texts: Vec<String> =
        messages.iter().filter_map(|m| bag.decode::<Text>(m).ok()).map(|text| text.data).collect();
    assert_eq!(texts, ["<other/>", "<robot/>"], "each once, the newest last");
    let sent = messages.iter().find(|m| bag.decode::<Text>(m).is_ok()).unwrap().stamp.published;
    assert_eq!(sent, START, "when it was sent stays");

    assert_eq!(ring.latched().len(), 2);
    for index in 0..1000 {
        tell(index, &format!("<robot{index}/>"));
    }
    assert_eq!(ring.latched().len(), LATCHED_MESSAGES);
}

#[test]
fn of_a_latched_topic_that_goes_on_talking_nothing_is_missing_either() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Ring::new(RingOptions { span: Duration::from_secs(30), ..RingOptions::default() });
    let status = description(&ring);
    for ms in (0..60_000).step_by(20) {
        let bytes = cdr::encode(&Text { data: format!("cycle {ms}") }).unwrap().into();
        ring.push(status, Item { stamp: (START + ms * MS).into(), bytes, kind: Kind::Message });
    }
    let times: Vec<i64> = write(&ring, Some(Duration::from_secs(10)), &folder.path().join("a.mcap"))
        .into_iter()
        .map(|(_, ms)| ms)
        .collect();
    // What was said before stands at the beginning, and then all of the ten seconds.
    let before = vec![49_980; LATCHED_MESSAGES];
    let expected: Vec<i64> = before.into_iter().chain((49_980..60_000).step_by(20)).collect();
    assert_eq!(times, expected);
}

#[test]
fn a_cut_remembers_of_a_latched_topic_what_a_late_listener_would_hear() {
    let folder = tempfile::tempdir().unwrap();
    let (long, part) = (folder.path().join("long.mcap"), folder.path().join("part.mcap"));
    let mut bag = BagWriter::create(&long, WriteOptions::default()).unwrap();
    let qos = Qos::reliable(10).transient_local();
    let status = bag.add_topic(Topic::of::<Text>("/safety_monitor", qos).unwrap()).unwrap();
    for ms in (0..20_000).step_by(20) {
        let bytes = cdr::encode(&Text { data: format!("cycle {ms}") }).unwrap();
        bag.write_bytes(status, START + ms * MS, &bytes).unwrap();
    }
    bag.finish().unwrap();
    let wanted = Cut { from: Some(START + 19_000 * MS), ..Cut::default() };
    cut(&mut BagReader::open(&long).unwrap(), &wanted, &part, WriteOptions::default()).unwrap();
    assert_eq!(read(&part).len(), LATCHED_MESSAGES + 50);
}

#[test]
fn a_clock_that_is_set_back_begins_the_ring_anew() {
    let ring = Ring::new(RingOptions { span: Duration::from_secs(10), ..RingOptions::default() });
    let stop = stop(&ring);
    ring.push(stop, item(1_000_000, Kind::Message, 5));
    ring.push(stop, item(995_000, Kind::Message, 5)); // late, and within the span
    assert_eq!(ring.status().messages, 2);
    ring.push(stop, item(500_000, Kind::Message, 5));
    assert_eq!(ring.status().messages, 1);
    ring.push(stop, item(500_100, Kind::Message, 5));
    assert_eq!(ring.status().span, Duration::from_millis(100));
}

#[test]
fn a_snapshot_is_as_it_was_cut_while_the_ring_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Ring::new(RingOptions { span: Duration::from_secs(2), ..RingOptions::default() });
    let camera = camera(&ring, "/cam1/video");
    film(&ring, camera, 0..5000, 50);
    let cut = ring.cut(None);
    film(&ring, camera, 5000..50_000, 50);
    let path = folder.path().join("a.mcap");
    let options = WriteOptions { compression: Compression::Zstd, ..WriteOptions::default() };
    cut.write(&path, options).unwrap().make_durable().unwrap();
    let times: Vec<i64> = read(&path).into_iter().map(|(_, ms)| ms).collect();
    assert!(times.into_iter().eq((2000..5000).step_by(100)));
}

#[test]
fn an_empty_ring_makes_an_empty_bag() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Ring::new(RingOptions::default());
    camera(&ring, "/cam1/video");
    for name in ["a.mcap", "a.db3", "a"] {
        assert_eq!(write(&ring, Some(Duration::from_secs(30)), &folder.path().join(name)), []);
        assert_eq!(BagReader::open(folder.path().join(name)).unwrap().topics().len(), 1);
    }
}

#[test]
fn a_snapshot_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Ring::new(RingOptions::default());
    film(&ring, camera(&ring, "/cam1/video"), 0..1000, 50);
    let path = folder.path().join("a.mcap");
    std::fs::write(&path, "mine").unwrap();
    let error = ring.cut(None).write(&path, WriteOptions::default()).unwrap_err();
    assert!(matches!(error, BagError::Exists { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}
