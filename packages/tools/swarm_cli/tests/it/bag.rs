//! `cell bag` as a user or a script sees it: what it says of good bags and of bad ones, and what it exits with.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use swarm_bag::msg::{Bool, Header, JointState, Text, Time};
use swarm_bag::recorder::{Recorder, RecorderOptions, Share};
use swarm_bag::video::{Picture, VideoMessage};
use swarm_bag::{
    BagReader, BagWriter, Definitions, Item, Kind, Qos, Split, Storage, Topic, WriteOptions, cdr,
};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

/// 2026-01-01 UTC, nanoseconds since the epoch.
const START: i64 = 1_767_225_600_000_000_000;
const MS: i64 = 1_000_000;

struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Exit code, standard output, standard error; paths are relative to the bench.
    fn cell(&self, line: &str) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cell"));
        let output = command.current_dir(self.0.path()).args(line.split_whitespace()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn json(&self, line: &str) -> Value {
        let (_, out, err) = self.cell(&format!("{line} --json"));
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"))
    }

    /// A good bag of two seconds, recorded: joint states of 100 Hz, a camera of 10 Hz with a key frame each half second, and
    /// a latched description.
    fn record(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let options = RecorderOptions { disk_reserve: 0, ..RecorderOptions::default() };
        let recorder = Recorder::start(&path, options).unwrap();
        let add = |topic, share| recorder.add_topic(topic, share).unwrap();
        let described = Topic::of::<Text>("/robot_description", Qos::reliable(1).transient_local()).unwrap();
        let (described, joints) = (add(described, Share::State), add(joints(), Share::State));
        let camera = add(camera(), Share::Bulk);
        let item = |ms: i64, bytes: Vec<u8>| Item {
            stamp: (START + ms * MS).into(),
            bytes: bytes.into(),
            kind: Kind::Message,
        };
        recorder.offer(described, item(0, cdr::encode(&Text { data: "<robot/>".into() }).unwrap()));
        for ms in (0..2000).step_by(10) {
            recorder.offer(joints, item(ms, joint_state(ms)));
            if ms % 100 == 0 {
                recorder.offer(camera, item(ms, picture(ms)));
            }
        }
        recorder.stop().unwrap();
        path
    }
}

fn joints() -> Topic {
    Topic::of::<JointState>("/joint_states", Qos::best_effort(5)).unwrap()
}

fn camera() -> Topic {
    let name = VideoMessage::CompressedVideo.type_name();
    Topic::new("/cam1/video", name, Qos::best_effort(5), &Definitions::suite()).unwrap()
}

fn joint_state(ms: i64) -> Vec<u8> {
    let header = Header { stamp: Time::from_nanos(START + ms * MS), frame_id: String::new() };
    cdr::encode(&JointState { header, position: vec![ms as f64], ..JointState::default() }).unwrap()
}

fn picture(ms: i64) -> Vec<u8> {
    let key_frame = ms % 500 == 0;
    let data = [0, 0, 0, 1, if key_frame { 0x65 } else { 0x41 }, 9];
    let picture = Picture {
        captured: START + ms * MS,
        frame_id: "cam1",
        format: "h264",
        width: 64,
        height: 48,
        pts: 0,
        key_frame,
        data: &data,
    };
    VideoMessage::CompressedVideo.encode(&picture).unwrap()
}

/// Topics and times, ms after the start.
fn read(path: &Path) -> Vec<(String, i64)> {
    let mut bag = BagReader::open(path).unwrap();
    let messages: Vec<_> = bag.by_ref().collect();
    messages.iter().map(|m| (bag.topics()[m.topic].name.clone(), (m.stamp.received - START) / MS)).collect()
}

fn of(read: &[(String, i64)], topic: &str) -> Vec<i64> {
    read.iter().filter(|(name, _)| name == topic).map(|(_, ms)| *ms).collect()
}

/// Problems as `kind: subject`.
fn problems(report: &Value) -> Vec<String> {
    let problems = report["problems"].as_array().unwrap().iter();
    problems.map(|p| format!("{}: {}", p["kind"].as_str().unwrap(), p["subject"].as_str().unwrap())).collect()
}

#[test]
fn info_shows_what_ros2_bag_info_shows() {
    let bench = Bench::new();
    let mut bag = BagWriter::create(bench.path("a.mcap"), WriteOptions::default()).unwrap();
    let joints = bag.add_topic(joints()).unwrap();
    for ms in [0, 10, 1500] {
        bag.write_bytes(joints, START + ms * MS, &joint_state(ms)).unwrap();
    }
    bag.set_custom_data("cell", "demo");
    bag.finish().unwrap();
    let (code, out, err) = bench.cell("bag info a.mcap");
    assert_eq!((code, err.as_str()), (0, ""));
    let size = out.lines().nth(1).unwrap();
    assert!(size.starts_with("Bag size:          ") && size.ends_with(" KiB"), "{size}");
    let rest: Vec<&str> = out.lines().filter(|line| *line != size).collect();
    assert_eq!(
        rest.join("\n"),
        "Files:             a.mcap\n\
         Storage id:        mcap\n\
         ROS Distro:        jazzy\n\
         Duration:          1.500 s\n\
         Start:             2026-01-01 00:00:00.000 UTC (1767225600.000)\n\
         End:               2026-01-01 00:00:01.500 UTC (1767225601.500)\n\
         Messages:          3\n\
         Topic information: Topic: /joint_states | Type: sensor_msgs/msg/JointState | Count: 3 | Serialization Format: cdr\n\
         Custom data:       cell: demo"
    );
    let said = bench.json("bag info a.mcap");
    assert_eq!(
        (&said["messages"], &said["start"], &said["storage"]),
        (&json!(3), &json!(START), &json!("mcap"))
    );
}

#[test]
fn a_good_bag_is_good_in_every_form() {
    let bench = Bench::new();
    for name in ["a.mcap", "a.db3", "a"] {
        bench.record(name);
        let (code, out, err) = bench.cell(&format!("bag check {name}"));
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(
            out.contains(
                "/joint_states (sensor_msgs/msg/JointState): 200 messages, 100.0 Hz, longest gap 0.010 s\n"
            ),
            "{out}"
        );
        assert!(out.ends_with("\ngood\n"), "{out}");
        let said = bench.json(&format!("bag check {name}"));
        assert_eq!(
            (&said["good"], &said["finished"], &said["notes"]),
            (&json!(true), &json!(true), &json!([]))
        );
        let video =
            said["topics"].as_array().unwrap().iter().find(|topic| topic["name"] == "/cam1/video").unwrap();
        assert_eq!(
            video["loss"],
            json!({"received": 20, "recorded": 20, "dropped_queue": 0, "dropped_disk": 0, "lost_network": 0})
        );
    }
}

#[test]
fn gaps_and_times_that_go_back_or_stand_still_are_named() {
    let bench = Bench::new();
    let mut bag = BagWriter::create(bench.path("a.mcap"), WriteOptions::default()).unwrap();
    let (joints, camera) = (bag.add_topic(joints()).unwrap(), bag.add_topic(camera()).unwrap());
    for ms in (0..1000).step_by(10).chain((1500..2000).step_by(10)) {
        // One that is stamped 70 ms too early, one picture that stands still.
        bag.write_bytes(joints, START + ms * MS, &joint_state(if ms == 700 { 630 } else { ms })).unwrap();
        if ms % 100 == 0 {
            bag.write_bytes(camera, START + ms * MS, &picture(if ms == 300 { 200 } else { ms })).unwrap();
        }
    }
    bag.finish().unwrap();
    let (code, out, _) = bench.cell("bag check a.mcap");
    assert_eq!(code, 1);
    let found: Vec<&str> =
        out.lines().filter(|line| line.starts_with("note") || line.starts_with("PROBLEM")).collect();
    assert_eq!(
        found,
        [
            "note: no /capture/loss in the bag: its recorder did not say what it lost",
            "PROBLEM: time: /joint_states: expected stamps in the order of reception, found 1 that go back, by up to 0.060 s, \
             first 0.700 s after the topic's first message",
            "PROBLEM: gap: /joint_states: expected no gap over 0.050 s (5 intervals of 0.010 s), found 1, the longest 0.510 s \
             from 0.990 s after the topic's first message",
            "PROBLEM: time: /cam1/video: expected a time of its own for each picture, found 1 with the time of the one before",
            "PROBLEM: gap: /cam1/video: expected no gap over 0.500 s (5 intervals of 0.100 s), found 1, the longest 0.600 s from \
             0.900 s after the topic's first message",
        ]
    );
    assert!(out.ends_with("not good\n"));
    let (code, out, _) = bench.cell("bag check a.mcap --max-gap 1");
    assert!(code == 1 && !out.contains("gap:"), "{out}");
}

#[test]
fn counts_that_differ_from_what_the_recorder_said_are_named() {
    let bench = Bench::new();
    bench.record("a.db3");
    let db = rusqlite::Connection::open(bench.path("a.db3")).unwrap();
    let topic = "SELECT id FROM topics WHERE name = '/joint_states'";
    db.execute(&format!("DELETE FROM messages WHERE topic_id = ({topic}) AND timestamp % 100000000 = 0"), [])
        .unwrap();
    drop(db);
    let (code, out, _) = bench.cell("bag check a.db3");
    assert_eq!(code, 1);
    let files = out.lines().find(|line| line.contains("as the file says of itself")).unwrap();
    assert!(files.starts_with("PROBLEM: count: a.db3: expected "), "{files}");
    assert!(
        out.contains("PROBLEM: loss: /joint_states: expected 200 messages, as the recorder said on /capture/loss, found 180 messages\n"),
        "{out}"
    );
}

#[test]
fn metadata_that_differs_from_the_storage_is_named() {
    let bench = Bench::new();
    let path = bench.record("a").join("metadata.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let check = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let (code, out, _) = bench.cell("bag check a");
        assert_eq!(code, 1, "{out}");
        let problem = out.lines().find(|line| line.starts_with("PROBLEM")).unwrap();
        problem.strip_prefix("PROBLEM: ").unwrap().to_owned()
    };
    assert_eq!(
        check("durability: transient_local", "durability: volatile"),
        "qos: /robot_description: expected QoS reliable volatile keep_last 1 in the storage, as metadata.yaml says, found reliable \
         transient_local keep_last 1; some readers give no message of it"
    );
    assert_eq!(
        check("      message_count: 200\n", "      message_count: 199\n"),
        "count: /joint_states: expected 199 messages, as metadata.yaml says, found 200 messages"
    );
    assert_eq!(
        check("type: sensor_msgs/msg/JointState", "type: sensor_msgs/msg/Joy"),
        "topic: /joint_states: expected sensor_msgs/msg/Joy in the storage, as metadata.yaml says, found sensor_msgs/msg/JointState"
    );
    assert_eq!(
        check("name: /cam1/video", "name: /cam2/video"),
        "topic: /cam2/video: expected foxglove_msgs/msg/CompressedVideo in the storage, as metadata.yaml says, found no such topic"
    );
}

#[test]
fn a_bag_that_was_cut_off_is_shown_as_far_as_it_goes() {
    let bench = Bench::new();
    let whole = fs::read(bench.record("a.mcap")).unwrap();
    fs::write(bench.path("cut.mcap"), &whole[..whole.len() * 2 / 3]).unwrap();
    let (code, out, _) = bench.cell("bag info cut.mcap");
    assert_eq!(code, 0);
    assert!(out.contains("\nDamage:            cut.mcap: cut off at byte "), "{out}");
    let said = bench.json("bag check cut.mcap");
    assert_eq!((&said["good"], &said["finished"]), (&json!(false), &json!(false)));
    assert_eq!(problems(&said)[..2], ["damage: the bag", "damage: the bag"]);
    assert_eq!(
        said["problems"][1]["actual"],
        "one that was cut off or is still being recorded; it ends at the last sync"
    );

    let whole = fs::read(bench.record("a.db3")).unwrap();
    fs::write(bench.path("cut.db3"), &whole[..whole.len() - 1]).unwrap();
    let (code, out, err) = bench.cell("bag check cut.db3");
    let said = format!("cut.db3: cut off at byte {} of {};", whole.len() - 1, whole.len());
    assert!(
        code == 1 && out.contains("PROBLEM: damage: the bag: ") && out.contains(&said),
        "{code} {out}{err}"
    );
    // Without its later pages a database has lost its tables; there is nothing to go by.
    fs::write(bench.path("half.db3"), &whole[..whole.len() / 2]).unwrap();
    let (code, _, err) = bench.cell("bag check half.db3");
    assert!(
        code == 2 && err.starts_with("error: cannot open half.db3: database disk image is malformed"),
        "{code} {err}"
    );
}

#[test]
fn a_bag_in_pieces_says_which_piece_is_missing() {
    let bench = Bench::new();
    let split = Split { duration: Some(Duration::from_millis(500)), size: None };
    let mut bag =
        BagWriter::create(bench.path("a"), WriteOptions { split, ..WriteOptions::default() }).unwrap();
    let joints = bag.add_topic(joints()).unwrap();
    for ms in (0..2000).step_by(10) {
        bag.write_bytes(joints, START + ms * MS, &joint_state(ms)).unwrap();
    }
    bag.finish().unwrap();
    let (code, out, _) = bench.cell("bag check a");
    assert_eq!(code, 0, "{out}");
    fs::remove_file(bench.path("a/a_1.mcap")).unwrap();
    let (code, out, _) = bench.cell("bag check a");
    assert_eq!(code, 1);
    assert!(out.contains("a_1.mcap, which metadata.yaml names, is not there\n"), "{out}");
    assert!(
        out.contains(
            "PROBLEM: count: the bag: expected 200 messages, as metadata.yaml says, found 150 messages\n"
        ),
        "{out}"
    );
}

#[test]
fn what_is_no_bag_is_refused_with_what_was_expected() {
    let bench = Bench::new();
    fs::write(bench.path("a.mcap"), "hello").unwrap();
    fs::create_dir(bench.path("folder")).unwrap();
    for (line, said) in [
        (
            "bag info a.mcap",
            "error: a.mcap is no bag: expected an SQLite database or an MCAP file, found a file that begins with hello\n",
        ),
        (
            "bag check folder",
            "error: folder is no bag: expected metadata.yaml, .db3 or .mcap files in it, found none of them\n",
        ),
        ("bag play missing.db3", "error: cannot read missing.db3: No such file or directory (os error 2)\n"),
        (
            "bag cut missing.db3 b.mcap",
            "error: cannot read missing.db3: No such file or directory (os error 2)\n",
        ),
    ] {
        assert_eq!(bench.cell(line), (2, String::new(), said.to_owned()), "{line}");
    }
}

/// As rosbag2 of Humble writes it: metadata version 5, schema 3 without definitions and hashes, QoS as a text of numbers.
fn humble(folder: &Path, version: u32) {
    fs::create_dir(folder).unwrap();
    let db = rusqlite::Connection::open(folder.join("h_0.db3")).unwrap();
    let qos = "- history: 3\n  depth: 0\n  reliability: 1\n  durability: 2\n  deadline:\n    sec: 9223372036\n    nsec: 854775807\n  \
               lifespan:\n    sec: 9223372036\n    nsec: 854775807\n  liveliness: 1\n  liveliness_lease_duration:\n    sec: \
               9223372036\n    nsec: 854775807\n  avoid_ros_namespace_conventions: false";
    db.execute_batch(
        "CREATE TABLE schema(schema_version INTEGER PRIMARY KEY,ros_distro TEXT NOT NULL);
         CREATE TABLE metadata(id INTEGER PRIMARY KEY,metadata_version INTEGER NOT NULL,metadata TEXT NOT NULL);
         CREATE TABLE topics(id INTEGER PRIMARY KEY,name TEXT NOT NULL,type TEXT NOT NULL,serialization_format TEXT NOT NULL,offered_qos_profiles TEXT NOT NULL);
         CREATE TABLE messages(id INTEGER PRIMARY KEY,topic_id INTEGER NOT NULL,timestamp INTEGER NOT NULL, data BLOB NOT NULL);
         CREATE INDEX timestamp_idx ON messages (timestamp ASC);
         INSERT INTO schema VALUES (3, 'humble');",
    )
    .unwrap();
    db.execute(
        "INSERT INTO topics VALUES (1, '/joint_states', 'sensor_msgs/msg/JointState', 'cdr', ?)",
        [qos],
    )
    .unwrap();
    db.execute("INSERT INTO topics VALUES (2, '/weather', 'weather_msgs/msg/Weather', 'cdr', ?)", [qos])
        .unwrap();
    for ms in (0..1000).step_by(10) {
        let row = rusqlite::params![START + ms * MS, joint_state(ms)];
        db.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (1, ?, ?)", row).unwrap();
    }
    db.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (2, ?, x'00010000aabb')", [START])
        .unwrap();
    let quoted = qos.replace('\n', "\\n");
    let topic = |name: &str, of: &str, count: u32| {
        format!(
            "    - topic_metadata:\n        name: {name}\n        type: {of}\n        serialization_format: cdr\n        \
             offered_qos_profiles: \"{quoted}\"\n      message_count: {count}\n"
        )
    };
    let bare = format!(
        "version: {version}\nstorage_identifier: sqlite3\nduration:\n  nanoseconds: 990000000\nstarting_time:\n  \
         nanoseconds_since_epoch: {START}\nmessage_count: 101\n"
    );
    let indented = format!("  {}\n", bare.trim_end().replace('\n', "\n  "));
    let yaml = format!(
        "rosbag2_bagfile_information:\n{indented}  topics_with_message_count:\n{}{}  compression_format: \"\"\n  \
         compression_mode: \"\"\n  relative_file_paths:\n    - h_0.db3\n  files:\n    - path: h_0.db3\n      starting_time:\n        \
         nanoseconds_since_epoch: {START}\n      duration:\n        nanoseconds: 990000000\n      message_count: 101\n",
        topic("/joint_states", "sensor_msgs/msg/JointState", 100),
        topic("/weather", "weather_msgs/msg/Weather", 1),
    );
    db.execute(
        "INSERT INTO metadata (metadata_version, metadata) VALUES (?, ?)",
        rusqlite::params![version, bare],
    )
    .unwrap();
    fs::write(folder.join("metadata.yaml"), yaml).unwrap();
}

#[test]
fn a_bag_of_another_ros_with_topics_that_nobody_knows_is_good_and_can_be_cut() {
    let bench = Bench::new();
    humble(&bench.path("h"), 5);
    let (code, out, err) = bench.cell("bag check h");
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("/weather (weather_msgs/msg/Weather): 1 messages\n"), "{out}");
    let (code, out, err) = bench.cell("bag cut --to 0.5 h new");
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(out, "new: 51 messages, 0.490 s\n");
    let (code, out, _) = bench.cell("bag check new");
    assert_eq!(code, 0, "{out}");
    let metadata = fs::read_to_string(bench.path("new/metadata.yaml")).unwrap();
    assert!(
        metadata.contains(
            "          - history: unknown\n            depth: 0\n            reliability: reliable\n"
        ),
        "{metadata}"
    );
}

#[test]
fn a_bag_of_a_newer_rosbag2_is_read_and_its_version_is_noted() {
    let bench = Bench::new();
    humble(&bench.path("h"), 12);
    let (code, out, _) = bench.cell("bag check h");
    assert_eq!(code, 0, "{out}");
    let note = "note: metadata.yaml has version 12, newer than 9, which is the newest known here; messages are read from the storage\n";
    assert!(out.contains(note), "{out}");
}

#[test]
fn a_cut_begins_video_at_the_key_frame_before_and_keeps_what_is_latched() {
    let bench = Bench::new();
    for (name, out) in [("a.mcap", "b.mcap"), ("a.db3", "b.db3"), ("a", "b")] {
        bench.record(name);
        let (code, said, err) = bench.cell(&format!("bag cut --from 0.725 --to 1.5 {name} {out}"));
        assert_eq!((code, err.as_str()), (0, ""));
        assert_eq!(said, format!("{out}: 88 messages, 0.990 s\n"), "{name}");
        let read = read(&bench.path(out));
        assert!(of(&read, "/cam1/video").into_iter().eq((500..1500).step_by(100)));
        assert!(of(&read, "/joint_states").into_iter().eq((730..1500).step_by(10)));
        assert_eq!(of(&read, "/robot_description"), [500]);
        let (code, said, _) = bench.cell(&format!("bag check {out}"));
        assert_eq!(code, 0, "{said}");
    }
    // The same by the clock, and from the end.
    for (index, times) in
        ["--from @1767225600.725 --to 2026-01-01T00:00:01.5Z", "--from -1.265 --to -0.49"].iter().enumerate()
    {
        let (code, said, _) = bench.cell(&format!("bag cut {times} a.mcap c{index}.mcap"));
        assert_eq!((code, said), (0, format!("c{index}.mcap: 88 messages, 0.990 s\n")));
    }
    let (code, said, _) =
        bench.cell("bag cut --topics /cam1/video,/robot_description --from 1 a.mcap d.mcap");
    assert_eq!((code, said.as_str()), (0, "d.mcap: 11 messages, 0.900 s\n"));
}

#[test]
fn a_cut_that_cannot_be_says_why_and_replaces_nothing() {
    let bench = Bench::new();
    bench.record("a.mcap");
    fs::write(bench.path("mine.mcap"), "mine").unwrap();
    for (line, said) in [
        (
            "bag cut a.mcap mine.mcap",
            "error: mine.mcap exists; a bag is never written over another: name a new one, or remove it\n",
        ),
        (
            "bag cut a.mcap a.mcap",
            "error: a.mcap exists; a bag is never written over another: name a new one, or remove it\n",
        ),
        (
            "bag cut --from 1 --to 0.5 a.mcap b.mcap",
            "error: nothing lies between --from 2026-01-01 00:00:01.000 UTC (1767225601.000) and --to 2026-01-01 00:00:00.500 UTC \
             (1767225600.500)\n",
        ),
        (
            "bag cut --from 5 a.mcap b.mcap",
            "error: 'a.mcap' goes from 2026-01-01 00:00:00.000 UTC (1767225600.000) to 2026-01-01 00:00:01.990 UTC \
             (1767225601.990): nothing of it was asked for\n",
        ),
        (
            "bag cut --topics /x a.mcap b.mcap",
            "error: a.mcap has no topic /x; `cell bag info` lists those it has\n",
        ),
    ] {
        assert_eq!(bench.cell(line), (2, String::new(), said.to_owned()), "{line}");
    }
    assert_eq!(fs::read(bench.path("mine.mcap")).unwrap(), b"mine");
    assert!(!bench.path("b.mcap").exists());
    let (code, _, err) = bench.cell("bag cut --from yesterday a.mcap b.mcap");
    assert!(code == 2 && err.contains("expected seconds from the beginning (12.5)"), "{err}");
}

/// `cell bag play`, until the test is over.
struct Playing(Child, String);

impl Playing {
    fn start(bench: &Bench, line: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cell"))
            .current_dir(bench.0.path())
            .args(line.split_whitespace())
            .args(["--at", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        Self(child, said)
    }

    fn connect(&self) -> Viewer {
        let url = self.1.split_whitespace().next().unwrap();
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "foxglove.sdk.v1".parse().unwrap());
        let stream = TcpStream::connect(url.strip_prefix("ws://").unwrap()).unwrap();
        // Only so that a broken server fails a test instead of hanging it.
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        Viewer(tungstenite::client(request, stream).unwrap().0)
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Viewer(WebSocket<TcpStream>);

impl Viewer {
    fn channels(&mut self, count: usize) -> BTreeMap<String, Value> {
        let mut found = BTreeMap::new();
        while found.len() < count {
            if let Message::Text(text) = self.0.read().unwrap() {
                let message: Value = serde_json::from_str(&text).unwrap();
                for channel in message["channels"].as_array().into_iter().flatten() {
                    found.insert(channel["topic"].as_str().unwrap().to_owned(), channel.clone());
                }
            }
        }
        found
    }

    fn subscribe(&mut self, id: u32, channel: &Value) {
        let order = json!({"op": "subscribe", "subscriptions": [{"id": id, "channelId": channel["id"]}]});
        self.0.send(Message::text(order.to_string())).unwrap();
    }

    /// Subscription, time in ms after the start, and bytes of the next message; none at the end.
    fn message(&mut self) -> Option<(u32, i64, Vec<u8>)> {
        loop {
            match self.0.read() {
                Ok(Message::Binary(bytes)) if bytes[0] == 1 => {
                    let id = u32::from_le_bytes(bytes[1..5].try_into().unwrap());
                    let time = i64::from_le_bytes(bytes[5..13].try_into().unwrap());
                    return Some((id, (time - START) / MS, bytes[13..].to_vec()));
                }
                Ok(Message::Close(_)) => return None,
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() != ErrorKind::ConnectionReset => {
                    panic!("{error}")
                }
                Err(_) => return None,
            }
        }
    }
}

#[test]
fn a_viewer_is_played_the_bag_as_it_was_recorded_with_what_is_latched() {
    let bench = Bench::new();
    let path = bench.record("a.mcap");
    // So that a viewer is told of each topic only.
    let topics = "--topics /joint_states,/cam1/video,/robot_description";
    let playing = Playing::start(&bench, &format!("bag play a.mcap --start 1 --rate 20 --loop {topics}"));
    assert!(playing.1.contains(" plays a.mcap ("), "{}", playing.1);
    let mut viewer = playing.connect();
    let channels = viewer.channels(3);
    let joints = &channels["/joint_states"];
    assert_eq!(
        (&joints["encoding"], &joints["schemaName"]),
        (&"cdr".into(), &"sensor_msgs/msg/JointState".into())
    );
    assert_eq!(joints["schemaEncoding"], "ros2msg");
    let definition = Definitions::suite().describe("sensor_msgs/msg/JointState").unwrap();
    assert_eq!(joints["schema"], definition.text);
    viewer.subscribe(1, joints);
    viewer.subscribe(2, &channels["/robot_description"]);
    let (mut described, mut whole) = (0, Vec::new());
    // From the first beginning that is seen whole; the two subscriptions may begin on both sides of it.
    while whole.len() < 100 || described == 0 {
        let (id, ms, bytes) = viewer.message().unwrap();
        if id == 2 {
            described += 1;
            assert_eq!(cdr::decode::<Text>(&bytes).unwrap().data, "<robot/>");
            continue;
        }
        if ms == 1000 || !whole.is_empty() {
            assert_eq!(bytes, joint_state(ms));
            whole.push(ms);
        }
    }
    assert!(whole.into_iter().take(100).eq((1000..2000).step_by(10)));
    assert_eq!(read(&path).len(), BagReader::open(&path).unwrap().metadata().span().count as usize);
}

#[test]
fn a_viewer_that_comes_late_is_shown_what_is_latched() {
    let bench = Bench::new();
    bench.record("a.mcap");
    let topics = "--topics /joint_states,/robot_description";
    let playing = Playing::start(&bench, &format!("bag play a.mcap --start 0.45 --rate 0.05 {topics}"));
    let mut first = playing.connect();
    let channels = first.channels(2);
    first.subscribe(1, &channels["/joint_states"]);
    // The description is of 500 ms.
    while first.message().unwrap().1 <= 500 {}
    let mut late = playing.connect();
    let channels = late.channels(2);
    late.subscribe(2, &channels["/robot_description"]);
    let (id, _, bytes) = late.message().unwrap();
    assert_eq!((id, cdr::decode::<Text>(&bytes).unwrap().data.as_str()), (2, "<robot/>"));
}

#[test]
fn playing_ends_with_the_bag_and_takes_the_port_that_it_is_given() {
    let bench = Bench::new();
    bench.record("a.db3");
    let mut playing = Playing::start(&bench, "bag play a.db3 --rate 1000");
    assert!(playing.0.wait().unwrap().success());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let (code, _, err) = bench.cell(&format!("bag play a.db3 --at {at}"));
    assert_eq!(code, 2);
    let said =
        format!("error: cannot serve on {at}; if another program is there, choose another port (--at): ");
    assert!(err.starts_with(&said), "{err}");
    let (code, _, err) = bench.cell("bag play a.db3 --topics /x");
    assert_eq!(
        (code, err.as_str()),
        (2, "error: 'a.db3' has no topic /x; `cell bag info` lists those it has\n")
    );
}

#[test]
fn a_recording_that_goes_on_can_be_looked_at() {
    let bench = Bench::new();
    let options = WriteOptions { storage: Storage::Mcap, ..WriteOptions::default() };
    let mut bag = BagWriter::create(bench.path("a"), options).unwrap();
    let stop = bag.add_topic(Topic::of::<Bool>("/emergency_stop", Qos::reliable(1)).unwrap()).unwrap();
    bag.write(stop, START, &Bool { data: true }).unwrap();
    bag.sync().unwrap();
    let said = bench.json("bag check a");
    assert_eq!((&said["finished"], &said["topics"][0]["messages"]), (&json!(false), &json!(1)));
    assert_eq!(problems(&said), ["damage: the bag"]);
}
