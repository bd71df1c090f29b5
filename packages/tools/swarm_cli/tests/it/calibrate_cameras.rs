//! `cell calibrate-cameras`, from a bag and from a table.

use std::fmt::Write as _;
use std::path::Path;

use swarm_bag::msg::{CameraStatus, CaptureStatus, FrameTiming, Header, Time};
use swarm_bag::{BagWriter, Qos, Topic, WriteOptions};
use swarm_capture_core::calibrate::{Biases, Reference};

use crate::common::{cell, text};

const START: i64 = 1_790_000_000_000_000_000;
const PERIOD: i64 = 33_333_333;

/// Truth of the test: latencies of two cameras whose stamps have had 10 ms taken off already, ns.
const LATENCIES: [(&str, &str, i64); 2] = [("cam1", "SN-1", 53_000_000), ("cam2", "SN-2", 91_000_000)];
const TAKEN_OFF: i64 = 10_000_000;

/// Irregular times more than a second apart.
fn flashes() -> Vec<i64> {
    let mut at = START + 1_000_000_000;
    (0..200_u64)
        .map(|k| {
            at += 1_200_000_000 + (k.wrapping_mul(2_654_435_761) % 700_000_000).cast_signed();
            at
        })
        .collect()
}

fn bag(path: &Path) {
    let flashes = flashes();
    let end = flashes.last().unwrap() + 1_000_000_000;
    let mut messages = Vec::new();
    let mut bag = BagWriter::create(path, WriteOptions::default()).unwrap();
    let status =
        bag.add_topic(Topic::of::<CaptureStatus>("/capture/status", Qos::reliable(1)).unwrap()).unwrap();
    let cameras = LATENCIES.map(|(camera, serial, _)| CameraStatus {
        camera: camera.to_owned(),
        serial_number: serial.to_owned(),
        ..CameraStatus::default()
    });
    bag.write(status, START, &CaptureStatus { cameras: cameras.to_vec(), ..CaptureStatus::default() })
        .unwrap();
    for (number, (camera, _, latency)) in (1..).zip(LATENCIES) {
        let name = format!("/{camera}/timing");
        let topic = bag.add_topic(Topic::of::<FrameTiming>(&name, Qos::reliable(10)).unwrap()).unwrap();
        let mut unseen = flashes.iter().peekable();
        let mut shutter = START + number * 7_000_000;
        for k in 0.. {
            shutter += PERIOD;
            if shutter > end {
                break;
            }
            let lit = unseen.next_if(|flash| **flash <= shutter).is_some();
            let key = k % 3_000 == 0;
            let size = if key || lit { 40_000 } else { 3_000 + (k % 11) * 50 };
            let stamp = shutter + latency - TAKEN_OFF;
            let timing = FrameTiming {
                header: Header { stamp: Time::from_nanos(stamp), frame_id: camera.to_owned() },
                size,
                key_frame: key,
                clock_state: 2,
                bias: TAKEN_OFF as f64 * 1e-9,
                ..FrameTiming::default()
            };
            messages.push((stamp, topic, timing));
        }
    }
    messages.sort_by_key(|(stamp, _, _)| *stamp);
    for (stamp, topic, timing) in messages {
        bag.write(topic, stamp, &timing).unwrap();
    }
    bag.finish().unwrap();
}

fn near(biases: &Biases, serial: &str, latency: i64) {
    let found = biases.cameras[serial];
    let off = (found.bias_ns - latency).abs();
    assert!(off < 3 * found.uncertainty_ns && off < 3_000_000, "{serial}: {found:?} and not {latency}");
}

#[test]
fn flashes_in_a_bag_tell_the_latency_of_each_serial_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flashes.mcap");
    bag(&path);
    let times = folder.path().join("times.txt");
    std::fs::write(&times, flashes().iter().fold(String::new(), |text, time| text + &format!("{time}\n")))
        .unwrap();
    let out = folder.path().join("biases.yaml");
    let [path, times, out_text] = [&path, &times, &out].map(|path| path.to_str().unwrap());
    let done = cell(&["calibrate-cameras", path, "--host-times", times, "--out", out_text]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let biases = Biases::parse(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(biases.reference, Reference::Host);
    for (_, serial, latency) in LATENCIES {
        near(&biases, serial, latency);
    }
    let again = cell(&["calibrate-cameras", path, "--out", out_text]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("exists already"), "{}", text(&again.stderr));
    let relative = cell(&["calibrate-cameras", path, "--out", out_text, "--force"]);
    assert!(relative.status.success(), "{}", text(&relative.stderr));
    let biases = Biases::parse(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!((biases.reference, biases.cameras["SN-1"].bias_ns), (Reference::EarliestCamera, 0));
    near(&biases, "SN-2", LATENCIES[1].2 - LATENCIES[0].2);
}

#[test]
fn a_table_tells_the_same_and_a_mistake_in_it_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seen.csv");
    let mut table = "event,camera,stamp_ns,resolution_ns\n".to_owned();
    for (event, flash) in flashes().into_iter().enumerate() {
        let _ = writeln!(table, "{event},host,{flash},0");
        // A counter of LEDs in the picture, read to a millisecond.
        let _ = writeln!(table, "{event},SN-1,{},1000000", flash + 53_000_000 + (flash % 1_000_000));
    }
    std::fs::write(&path, &table).unwrap();
    let done = cell(&["calibrate-cameras", path.to_str().unwrap()]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let biases = Biases::parse(text(&done.stdout)).unwrap();
    assert!((biases.cameras["SN-1"].bias_ns - 53_000_000).abs() < 100_000, "{biases:?}");

    std::fs::write(&path, table.replace("\n3,SN-1,", "\n3,SN-1,x")).unwrap();
    let wrong = cell(&["calibrate-cameras", path.to_str().unwrap()]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("line 9"), "{}", text(&wrong.stderr));
}

#[test]
fn what_is_missing_in_a_bag_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.mcap");
    let mut bag = BagWriter::create(&path, WriteOptions::default()).unwrap();
    let topic = bag.add_topic(Topic::of::<FrameTiming>("/cam1/timing", Qos::reliable(10)).unwrap()).unwrap();
    bag.write(topic, START, &FrameTiming { clock_state: 2, ..FrameTiming::default() }).unwrap();
    bag.finish().unwrap();
    let unknown = cell(&["calibrate-cameras", path.to_str().unwrap()]);
    assert!(text(&unknown.stderr).contains("--serial cam1=SERIAL"), "{}", text(&unknown.stderr));
}
