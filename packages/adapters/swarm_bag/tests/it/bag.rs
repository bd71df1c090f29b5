//! Bags written and read by this crate: promises that need no other reader.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};
use swarm_bag::msg::{Bool, JointState, SafetyStatus};
use swarm_bag::{
    BagError, BagReader, BagWriter, Compression, Filter, Qos, Split, Storage, Topic, WriteOptions,
};

use crate::common::{START, every_type, forms, joint_state, kill_a_writer, write_if_told_to};

type Read = Vec<(String, i64, Vec<u8>)>;

fn read(bag: &mut BagReader) -> Read {
    let names: Vec<String> = bag.topics().iter().map(|topic| topic.name.clone()).collect();
    bag.map(|message| (names[message.topic].clone(), message.stamp.received, message.data)).collect()
}

fn read_all(path: &Path) -> Read {
    let mut bag = BagReader::open(path).unwrap();
    let messages = read(&mut bag);
    assert_eq!(bag.damage(), [""; 0], "{}", path.display());
    messages
}

#[test]
fn what_is_written_is_read_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    for (path, options) in forms(folder.path()) {
        let filled = every_type(&path, options);
        let said = filled.bag.finish().unwrap();
        let mut bag = BagReader::open(&path).unwrap();
        assert_eq!(*bag.metadata(), said, "{}", path.display());
        let topics: Vec<Topic> = said.topics.iter().map(|counted| counted.topic.clone()).collect();
        assert_eq!(bag.topics(), topics);
        let messages: Vec<_> = bag.by_ref().collect();
        assert_eq!(messages.len(), filled.written.len());
        for (message, (topic, nanos, fields)) in messages.iter().zip(&filled.written) {
            assert_eq!((&topics[message.topic].name, message.stamp.received), (topic, *nanos));
            if topic == "/safety_monitor" {
                let status: SafetyStatus = bag.decode(message).unwrap();
                assert_eq!(serde_json::to_value(status).unwrap(), *fields);
            }
        }
    }
}

#[test]
fn a_finished_file_is_alone_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["new/folder/a.db3", "new/folder/b.mcap"] {
        every_type(&folder.path().join(name), WriteOptions::default()).bag.finish().unwrap();
    }
    let mut names: Vec<_> = fs::read_dir(folder.path().join("new/folder"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["a.db3", "b.mcap"]);
}

#[test]
fn a_bag_is_never_written_over_another() {
    let folder = tempfile::tempdir().unwrap();
    for (path, options) in forms(folder.path()) {
        every_type(&path, options).bag.finish().unwrap();
        let before = read_all(&path);
        assert!(matches!(BagWriter::create(&path, options), Err(BagError::Exists { .. })));
        assert_eq!(read_all(&path), before);
    }
}

#[test]
fn a_filter_takes_topics_and_a_half_open_range_of_times() {
    let folder = tempfile::tempdir().unwrap();
    for (path, options) in forms(folder.path()) {
        every_type(&path, options).bag.finish().unwrap();
        let mut bag = BagReader::open(&path).unwrap();
        let all = read(&mut bag);
        let (from, until) = (START + 10_000_000, START + 30_000_003);
        let topics = vec!["/ur/wrench".to_owned(), "/emergency_stop".to_owned()];
        let filter = Filter { topics: Some(topics.clone()), from: Some(from), until: Some(until) };
        bag.rewind(&filter);
        let expected: Read = all
            .into_iter()
            .filter(|(topic, time, _)| topics.contains(topic) && (from..until).contains(time))
            .collect();
        assert_eq!(expected.len(), 4);
        assert_eq!(read(&mut bag), expected, "{}", path.display());
    }
}

#[test]
fn messages_come_out_in_order_of_time_however_they_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let times = [5, 3, 9, 3, 0, 7, 1];
    for (path, options) in forms(folder.path()) {
        let mut bag = BagWriter::create(&path, options).unwrap();
        let stop = bag.add_topic(Topic::of::<Bool>("/emergency_stop", Qos::reliable(1)).unwrap()).unwrap();
        for (index, time) in times.iter().enumerate() {
            bag.write(stop, START + time, &Bool { data: index == 1 }).unwrap();
            bag.sync().unwrap(); // a chunk of its own
        }
        bag.finish().unwrap();
        let read = read_all(&path);
        let found: Vec<i64> = read.iter().map(|(_, time, _)| time - START).collect();
        assert_eq!(found, [0, 1, 3, 3, 5, 7, 9]);
        assert_eq!(read[2].2.last(), Some(&1), "of equal times the first written comes first");
    }
}

#[test]
fn a_directory_is_split_by_duration_and_by_size() {
    let folder = tempfile::tempdir().unwrap();
    for storage in [Storage::Sqlite, Storage::Mcap] {
        for (name, split) in [
            ("duration", Split { duration: Some(Duration::from_millis(10)), size: None }),
            ("size", Split { duration: None, size: Some(600_000) }),
        ] {
            let path = folder.path().join(format!("{name}_{storage:?}"));
            let options = WriteOptions { storage, split, ..WriteOptions::default() };
            let mut bag = BagWriter::create(&path, options).unwrap();
            let joints =
                bag.add_topic(Topic::of::<JointState>("/joint_states", Qos::reliable(1)).unwrap()).unwrap();
            for index in 0..40 {
                let now = START + index * 1_000_000;
                bag.write(joints, now, &joint_state(now, 1000)).unwrap();
            }
            let metadata = bag.finish().unwrap();
            let counts: Vec<u64> = metadata.files.iter().map(|file| file.span.count).collect();
            assert!(metadata.files.len() > 1, "{name}: {counts:?}");
            assert_eq!(counts.iter().sum::<u64>(), 40);
            assert_eq!(metadata.topics[0].count, 40);
            if name == "duration" {
                assert_eq!(counts, [10; 4]);
            }
            assert_eq!(read_all(&path).len(), 40);
            // Each file is a bag by itself.
            let last = metadata.files.last().unwrap();
            assert_eq!(read_all(&path.join(&last.name)).len() as u64, last.span.count);
        }
    }
}

#[test]
fn a_bare_file_cannot_be_split() {
    let folder = tempfile::tempdir().unwrap();
    let options = WriteOptions { split: Split { size: Some(1), duration: None }, ..WriteOptions::default() };
    let path = folder.path().join("a.mcap");
    assert!(matches!(BagWriter::create(&path, options), Err(BagError::SplitNeedsDirectory { .. })));
    assert!(!path.exists());
}

#[test]
fn a_message_of_another_type_than_the_topics_is_refused_and_a_topic_has_one_type() {
    let folder = tempfile::tempdir().unwrap();
    let mut bag = BagWriter::create(folder.path().join("a.mcap"), WriteOptions::default()).unwrap();
    let topic = Topic::of::<Bool>("/emergency_stop", Qos::reliable(1)).unwrap();
    let stop = bag.add_topic(topic.clone()).unwrap();
    assert_eq!(bag.add_topic(topic).unwrap(), stop);
    let error = bag.write(stop, START, &joint_state(START, 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "topic /emergency_stop carries std_msgs/msg/Bool, not sensor_msgs/msg/JointState"
    );
    let other = Topic::of::<JointState>("/emergency_stop", Qos::reliable(1)).unwrap();
    assert!(matches!(bag.add_topic(other), Err(BagError::TopicDiffers { .. })));
    assert!(matches!(bag.write(stop, -1, &Bool::default()), Err(BagError::Time { nanos: -1 })));
    bag.write(stop, START, &Bool::default()).unwrap(); // none of this broke the bag
    bag.finish().unwrap();
    assert_eq!(read_all(&folder.path().join("a.mcap")).len(), 1);
}

#[test]
fn custom_data_stays_with_the_bag_also_in_one_file() {
    let folder = tempfile::tempdir().unwrap();
    for (path, options) in forms(folder.path()) {
        let mut filled = every_type(&path, options);
        filled.bag.set_custom_data("lost", "3 of /joint_states");
        filled.bag.finish().unwrap();
        let bag = BagReader::open(&path).unwrap();
        assert_eq!(bag.metadata().custom["lost"], "3 of /joint_states");
        assert_eq!(bag.metadata().ros_distro, "jazzy");
    }
}

#[test]
fn what_is_no_bag_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| BagReader::open(path).unwrap_err().to_string();
    assert!(error(folder.path()).contains("expected metadata.yaml, .db3 or .mcap files"));
    let text = folder.path().join("a.mcap");
    fs::write(&text, "no bag").unwrap();
    assert!(error(&text).contains("found a file that begins with no bag"));
    fs::write(&text, "").unwrap();
    assert!(error(&text).contains("found an empty file"));
    assert!(error(&folder.path().join("missing.db3")).starts_with("cannot read"));
}

#[test]
fn a_directory_without_its_metadata_is_read_and_a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bag");
    let split = Split { duration: Some(Duration::from_millis(10)), size: None };
    let metadata = every_type(&path, WriteOptions { split, ..WriteOptions::default() }).bag.finish().unwrap();
    let all = read_all(&path);
    fs::remove_file(path.join(&metadata.files[1].name)).unwrap();
    let mut bag = BagReader::open(&path).unwrap();
    assert_eq!(bag.by_ref().count() as u64, 35 - metadata.files[1].span.count);
    assert_eq!(bag.damage().len(), 1);
    fs::remove_file(path.join("metadata.yaml")).unwrap();
    let rest = read_all(&path);
    assert!(!rest.is_empty() && rest.iter().all(|message| all.contains(message)));
}

#[test]
fn metadata_names_each_topic_as_soon_as_it_has_messages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bag");
    let options = WriteOptions { sync_every: Duration::ZERO, ..WriteOptions::default() };
    let mut bag = BagWriter::create(&path, options).unwrap();
    let described = || fs::read_to_string(path.join("metadata.yaml")).unwrap();
    for name in ["/one", "/other"] {
        let topic = bag.add_topic(Topic::of::<Bool>(name, Qos::reliable(1)).unwrap()).unwrap();
        assert!(!described().contains(&format!("name: {name}\n")), "{}", described());
        bag.write(topic, START, &Bool { data: true }).unwrap();
        assert!(described().contains(&format!("name: {name}\n")), "{}", described());
    }
}

#[test]
fn metadata_names_the_topics_also_of_a_bag_that_grows_fast() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bag");
    // Nothing but its size makes this bag sync.
    let options = WriteOptions { sync_every: Duration::from_hours(1), ..WriteOptions::default() };
    let mut bag = BagWriter::create(&path, options).unwrap();
    let topic = bag.add_topic(Topic::of::<JointState>("/joint_states", Qos::reliable(1)).unwrap()).unwrap();
    for time in 0..20 {
        bag.write(topic, START + time, &joint_state(START + time, 60_000)).unwrap();
    }
    let described = fs::read_to_string(path.join("metadata.yaml")).unwrap();
    assert!(described.contains("name: /joint_states\n"), "{described}");
}

#[test]
fn a_bag_that_cannot_be_begun_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // The name fits, that of the file inside does not.
    let path = folder.path().join("b".repeat(250));
    let error = BagWriter::create(&path, WriteOptions::default()).unwrap_err();
    assert!(matches!(error, BagError::Io { action: "create", .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bag");
    let split = Split { duration: Some(Duration::from_millis(10)), size: None };
    let metadata = every_type(&path, WriteOptions { split, ..WriteOptions::default() }).bag.finish().unwrap();
    let file = path.join(&metadata.files[1].name);
    fs::write(&file, "").unwrap();
    let mut bag = BagReader::open(&path).unwrap();
    assert_eq!(bag.by_ref().count() as u64, 35 - metadata.files[1].span.count);
    let empty = format!("{} is no bag", file.display());
    assert!(bag.damage().len() == 1 && bag.damage()[0].starts_with(&empty), "{:?}", bag.damage());
    for file in &metadata.files {
        fs::write(path.join(&file.name), "").unwrap();
    }
    assert!(BagReader::open(&path).unwrap_err().to_string().contains("found an empty file"));
}

/// They are optional in the format, and so are the counts of each.
#[test]
fn an_mcap_whose_summary_repeats_no_channels_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    let options = mcap::WriteOptions::new().profile("ros2").repeat_channels(false).repeat_schemas(false);
    let mut file = options.create(fs::File::create(&path).unwrap()).unwrap();
    let schema = file.add_schema("std_msgs/msg/Bool", "ros2msg", b"bool data").unwrap();
    let channel = file.add_channel(schema, "/emergency_stop", "cdr", &BTreeMap::default()).unwrap();
    let time = START as u64;
    let header =
        mcap::records::MessageHeader { channel_id: channel, sequence: 0, log_time: time, publish_time: time };
    file.write_to_known_channel(&header, &[0, 1, 0, 0, 1]).unwrap();
    file.finish().unwrap();
    drop(file);
    assert_eq!(read_all(&path), [("/emergency_stop".to_owned(), START, vec![0, 1, 0, 0, 1])]);
}

#[test]
fn a_bag_whose_writer_was_killed_opens_with_all_that_was_synced() {
    write_if_told_to();
    let folder = tempfile::tempdir().unwrap();
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for kill in 0..10 {
        for name in ["a.mcap", "a.db3", "a"] {
            let path = folder.path().join(format!("{kill}_{name}"));
            let after = Duration::from_micros(u64::from(rng.next_u32() % 20_000));
            let test = "bag::a_bag_whose_writer_was_killed_opens_with_all_that_was_synced";
            let synced = kill_a_writer(test, &path, kill, after);
            let found = read_all(&path);
            assert!(found.len() >= synced, "{name}: {} of {synced}", found.len());
            assert!((START..).zip(&found).all(|(time, message)| message.1 == time), "{name}");
        }
    }
}

#[test]
fn an_mcap_that_was_cut_gives_every_chunk_before_the_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mcap");
    let all = long_bag(&path, Compression::None);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let mut bag = BagReader::open(&path).unwrap();
    assert!(bag.damage()[0].contains("cut off at byte"), "{:?}", bag.damage());
    let found = read(&mut bag).len();
    assert!((30..60).contains(&found) && found.is_multiple_of(10), "{found} of {}", all.len());
}

#[test]
fn a_db3_that_lost_its_last_bytes_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db3");
    long_bag(&path, Compression::None);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let damage = BagReader::open(&path).unwrap().damage();
    assert!(
        damage[0].contains(&format!("cut off at byte {} of {}", bytes.len() - 1, bytes.len())),
        "{damage:?}"
    );
}

#[test]
fn whoever_reads_a_db3_holds_up_neither_its_syncs_nor_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db3");
    let mut bag = BagWriter::create(&path, WriteOptions::default()).unwrap();
    let stop = bag.add_topic(Topic::of::<Bool>("/emergency_stop", Qos::reliable(1)).unwrap()).unwrap();
    bag.sync().unwrap();
    // A reader in the midst of its work: it has seen an empty bag, and goes on to see that one.
    let mut reader = rusqlite::Connection::open(&path).unwrap();
    let reading = reader.transaction().unwrap();
    let count = |db: &rusqlite::Connection| {
        db.query_row("SELECT COUNT(*) FROM messages", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(count(&reading), 0);

    let (tell, told) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        for at in 0..40 {
            bag.write(stop, START + at, &Bool { data: true }).unwrap();
            bag.sync().unwrap();
        }
        tell.send(()).unwrap();
        bag.finish().unwrap()
    });
    // Forty waits for the reader would be minutes.
    told.recv_timeout(Duration::from_mins(1)).expect("nobody waits for the reader");
    writer.join().unwrap();
    assert_eq!((count(&reading), read_all(&path).len()), (0, 40));
    drop(reading);
    reader.close().unwrap();
    assert_eq!(read_all(&path).len(), 40);
}

/// A finished bag of many chunks, and its messages.
fn long_bag(path: &Path, compression: Compression) -> Read {
    let options = WriteOptions { compression, ..WriteOptions::default() };
    let mut bag = BagWriter::create(path, options).unwrap();
    let joints = bag.add_topic(Topic::of::<JointState>("/joint_states", Qos::reliable(1)).unwrap()).unwrap();
    for index in 0..100 {
        let now = START + index;
        bag.write(joints, now, &joint_state(now, 20)).unwrap();
        if index % 10 == 9 {
            bag.sync().unwrap();
        }
    }
    bag.finish().unwrap();
    read_all(path)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    /// Wherever a file is cut, what is read is a beginning of what was written, and the damage is said. SQLite pads a page
    /// that is there in part, which may show in the messages of a `.db3`.
    #[test]
    fn a_cut_file_gives_a_beginning_of_the_messages(share in 0.0..1.0f64, zstd: bool) {
        let folder = tempfile::tempdir().unwrap();
        let compression = if zstd { Compression::Zstd } else { Compression::None };
        for name in ["a.mcap", "a.db3"] {
            let path = folder.path().join(name);
            let all = long_bag(&path, compression);
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..(bytes.len() as f64 * share) as usize]).unwrap();
            let Ok(mut bag) = BagReader::open(&path) else { continue };
            let found = read(&mut bag);
            let beginning = found.len() <= all.len() && found[..] == all[..found.len()];
            prop_assert!(beginning || name == "a.db3", "{}: {} other messages", name, found.len());
            prop_assert!(!bag.damage().is_empty() || found.len() == all.len() && beginning, "{}", name);
        }
    }

    /// No bytes make the reader panic, hang, or ask for memory without bound.
    #[test]
    fn a_damaged_file_is_survived(at in 0.0..1.0f64, garbage in prop::collection::vec(any::<u8>(), 1..64)) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.mcap", "a.db3"] {
            let path = folder.path().join(name);
            let all = long_bag(&path, Compression::None);
            let mut bytes = fs::read(&path).unwrap();
            let place = (bytes.len() as f64 * at) as usize;
            let end = bytes.len().min(place + garbage.len());
            bytes[place..end].copy_from_slice(&garbage[..end - place]);
            fs::write(&path, &bytes).unwrap();
            if let Ok(mut bag) = BagReader::open(&path) {
                prop_assert!(read(&mut bag).len() <= 2 * all.len());
            }
        }
    }

    /// A message is decoded from any bytes or refused.
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let whole = [&[0, 1, 0, 0], &bytes[..]].concat();
        if let Ok(status) = swarm_bag::cdr::decode::<SafetyStatus>(&whole) {
            prop_assert!(status.robots.len() <= bytes.len());
        }
    }
}
