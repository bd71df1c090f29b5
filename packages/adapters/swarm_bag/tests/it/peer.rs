//! Bags and messages against readers and a writer that nobody here wrote; see `peer.py`.
//!
//! Needs the feature `peer-tests`, and Python with `rosbags`, `mcap`, `mcap-ros2-support`, rclpy and our messages;
//! `SWARM_TEST_PYTHON` names the interpreter. And Node.js with the packages of `tests/mcap_js`, whose `node_modules`
//! `SWARM_TEST_NODE_MODULES` names.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};
use swarm_bag::msg::{JointState, Message, WrenchStamped};
use swarm_bag::recorder::{Recorder, RecorderOptions, Share};
use swarm_bag::video::VideoMessage;
use swarm_bag::{BagReader, Compression, Definitions, Item, Kind, Qos, Split, Topic, WriteOptions};

use crate::common::{START, every_type, forms, joint_state, kill_a_writer, write_if_told_to};

fn peer<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Value {
    let mut command = Command::new(std::env::var_os("SWARM_TEST_PYTHON").unwrap_or_else(|| "python3".into()));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peer.py")).args(arguments);
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What npm's `@mcap/core` finds in a bag that is made of `.mcap` files.
fn mcap_core(path: &Path) -> Option<Value> {
    let holds_mcap = |folder: std::fs::ReadDir| {
        folder.flatten().any(|entry| entry.path().extension().is_some_and(|end| end == "mcap"))
    };
    let is_mcap = path.extension().is_some_and(|end| end == "mcap");
    if !is_mcap && !std::fs::read_dir(path).is_ok_and(holds_mcap) {
        return None;
    }
    let modules = std::env::var_os("SWARM_TEST_NODE_MODULES")
        .expect("SWARM_TEST_NODE_MODULES names the packages of tests/mcap_js, as `npm ci` installs them");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/mcap_js/read.cjs");
    let mut command = Command::new("node");
    command.env("NODE_PATH", modules).arg(program).arg(path);
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn digest(data: &[u8]) -> u64 {
    Sha256::digest(data).iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// What our reader finds, in the form of `peer.py read`.
fn ours(path: &Path) -> Vec<(String, i64, u64)> {
    let mut bag = BagReader::open(path).unwrap();
    let names: Vec<String> = bag.topics().iter().map(|topic| topic.name.clone()).collect();
    let messages =
        bag.by_ref().map(|m| (names[m.topic].clone(), m.stamp.received, digest(&m.data))).collect();
    assert_eq!(bag.damage(), [""; 0]);
    messages
}

/// Every reader finds the same messages as ours; returns how many, and the readers.
fn agree(path: &Path) -> (usize, Vec<String>) {
    compare(path, &["read", path.to_str().unwrap()])
}

fn compare(path: &Path, command: &[&str]) -> (usize, Vec<String>) {
    let ours = ours(path);
    let mut readers: BTreeMap<String, Value> = serde_json::from_value(peer(command.iter().copied())).unwrap();
    readers.extend(mcap_core(path).map(|found| ("@mcap/core".to_owned(), found)));
    for (reader, found) in &readers {
        let theirs: Vec<(String, i64, u64)> = serde_json::from_value(found["messages"].clone()).unwrap();
        assert_eq!(theirs.len(), ours.len(), "{reader} on {}", path.display());
        assert!(theirs == ours, "{reader} reads other messages in {}", path.display());
    }
    (ours.len(), readers.into_keys().collect())
}

#[test]
fn every_reader_finds_every_message_of_every_form() {
    let folder = tempfile::tempdir().unwrap();
    for (path, options) in forms(folder.path()) {
        every_type(&path, options).bag.finish().unwrap();
        let (count, readers) = agree(&path);
        assert_eq!(count, 35);
        let expected: &[&str] = if path.to_str().unwrap().contains("mcap") {
            &["@mcap/core", "mcap", "rosbags"]
        } else {
            &["rosbags"]
        };
        assert_eq!(readers, expected);
        if let Some(found) = mcap_core(&path) {
            assert_eq!(found["indexed"], true, "a finished bag has an index: {}", path.display());
        }
        let read = peer(["read", path.to_str().unwrap()]);
        assert_eq!(read["rosbags"]["topics"]["/safety_monitor"], "swarm_msgs/msg/SafetyStatus");
        let never = 9_223_372_036u64;
        assert_eq!(
            read["rosbags"]["qos"]["/ur/wrench"],
            serde_json::json!([["BEST_EFFORT", "VOLATILE", 10, never]])
        );
    }
}

#[test]
fn ros_decodes_every_type_to_the_fields_that_were_written() {
    let folder = tempfile::tempdir().unwrap();
    for (path, options) in forms(folder.path()) {
        let filled = every_type(&path, options);
        filled.bag.finish().unwrap();
        let decoded: Vec<(String, Value)> =
            serde_json::from_value(peer(["decode", path.to_str().unwrap()])).unwrap();
        let written: Vec<(String, Value)> =
            filled.written.into_iter().map(|(topic, _, fields)| (topic, fields)).collect();
        assert_eq!(decoded, written);
    }
}

#[test]
fn type_hashes_are_those_that_rosidl_computes() {
    let definitions = Definitions::suite();
    let theirs: BTreeMap<String, String> =
        serde_json::from_value(peer(["hashes"].into_iter().chain(definitions.known()))).unwrap();
    for name in definitions.known() {
        assert_eq!(definitions.describe(name).unwrap().type_hash, theirs[name], "{name}");
    }
}

#[test]
fn a_bag_that_others_wrote_is_read_to_the_same_fields() {
    let folder = tempfile::tempdir().unwrap();
    for storage in ["SQLITE3", "MCAP"] {
        let path = folder.path().join(storage);
        let written: Vec<(String, Value)> =
            serde_json::from_value(peer(["write", path.to_str().unwrap(), storage])).unwrap();
        assert_eq!(agree(&path).0, written.len());
        let mut bag = BagReader::open(&path).unwrap();
        let messages: Vec<_> = bag.by_ref().collect();
        for (message, (topic, fields)) in messages.iter().zip(&written) {
            let topic_read = &bag.topics()[message.topic];
            assert_eq!(topic_read.name, *topic);
            let read = match topic_read.type_name.as_str() {
                JointState::TYPE => serde_json::to_value(bag.decode::<JointState>(message).unwrap()),
                _ => serde_json::to_value(bag.decode::<WrenchStamped>(message).unwrap()),
            };
            assert_eq!(read.unwrap(), *fields);
        }
    }
}

#[test]
fn a_bag_in_many_files_and_a_compressed_one_are_read_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let split = Split { duration: Some(Duration::from_millis(25)), size: None };
    for (path, options) in &forms(folder.path())[2..] {
        let options = WriteOptions { split, compression: Compression::Zstd, ..*options };
        let metadata = every_type(path, options).bag.finish().unwrap();
        assert_eq!(metadata.files.len(), 2);
        assert_eq!(agree(path).0, 35);
    }
}

#[test]
fn a_recording_of_video_beside_compressed_states_is_found_by_every_reader() {
    let folder = tempfile::tempdir().unwrap();
    for (path, options) in forms(folder.path()) {
        let bag = WriteOptions { compression: Compression::Zstd, ..options };
        let options = RecorderOptions { bag, disk_reserve: 0, ..RecorderOptions::default() };
        let recorder = Recorder::start(&path, options).unwrap();
        let video = VideoMessage::CompressedVideo.type_name();
        let video = Topic::new("/cam1/video", video, Qos::best_effort(5), &Definitions::suite()).unwrap();
        let video = recorder.add_topic(video, Share::Bulk).unwrap();
        let joints = Topic::of::<JointState>("/joint_states", Qos::best_effort(5)).unwrap();
        let joints = recorder.add_topic(joints, Share::State).unwrap();
        for index in 0..200 {
            let now = START + index * 1_000_000;
            let stamp = now.into();
            let bytes = vec![index as u8; 20_000].into();
            recorder.offer(video, Item { stamp, bytes, kind: Kind::KeyFrame });
            let bytes = swarm_bag::cdr::encode(&joint_state(index, 6)).unwrap().into();
            recorder.offer(joints, Item { stamp: (now + 1).into(), bytes, kind: Kind::Message });
        }
        recorder.stop().unwrap();
        assert!(agree(&path).0 >= 402, "with a last word on each topic");
    }
}

#[test]
fn a_bag_that_is_still_being_written_opens_everywhere_and_ends_at_the_last_sync() {
    let folder = tempfile::tempdir().unwrap();
    for (path, options) in forms(folder.path()) {
        let options = WriteOptions { sync_every: Duration::from_hours(1), ..options };
        let mut filled = every_type(&path, options);
        let mut expected = 0;
        for round in 0..3 {
            filled.bag.sync().unwrap();
            expected = filled.written.len();
            assert_eq!(agree(&path).0, expected, "{}", path.display());
            for index in 0..[1000, 10, 10][round as usize] {
                // 20 MB in the first round: beyond the room that an .mcap begins with
                let now = START + 1_000_000_000 * (round + 1) + index;
                filled.put("/joint_states", now, &joint_state(now, 600));
            }
        }
        assert!(expected > 1000);
        let total = filled.written.len();
        filled.bag.finish().unwrap();
        assert_eq!(agree(&path).0, total);
    }
}

#[test]
fn an_mcap_whose_writer_was_killed_opens_everywhere_with_all_that_was_synced() {
    write_if_told_to();
    let folder = tempfile::tempdir().unwrap();
    for kill in 0..6 {
        for name in ["file.mcap", "directory"] {
            let path = folder.path().join(format!("{kill}_{name}"));
            let after = Duration::from_micros(1 << (2 * kill));
            let test = "peer::an_mcap_whose_writer_was_killed_opens_everywhere_with_all_that_was_synced";
            let synced = kill_a_writer(test, &path, kill, after);
            let (found, readers) = compare(&path, &["read", path.to_str().unwrap(), "killed"]);
            assert!(found >= synced, "{found} of {synced}");
            assert_eq!(readers, ["@mcap/core", "mcap", "rosbags"]);
        }
    }
}
