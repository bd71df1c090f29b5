//! The corpus of the fuzz targets, and mutations of it and of bags that are written here, through the same functions.

#[path = "../../fuzz/check.rs"]
mod check;

use std::path::Path;

use proptest::prelude::*;
use swarm_bag::msg::{JointState, Message as _};
use swarm_bag::{Compression, Storage, WriteOptions, cdr};

use crate::common::{every_type, joint_state, safety_status};

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Small bags of both storages, with and without compression, one of them not finished.
fn bags() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let mut bags = Vec::new();
    for (name, compression) in
        [("a.mcap", Compression::None), ("b.mcap", Compression::Zstd), ("a.db3", Compression::None)]
    {
        let path = folder.path().join(name);
        let options = WriteOptions { compression, storage: Storage::Mcap, ..WriteOptions::default() };
        let mut filled = every_type(&path, options);
        if name == "b.mcap" {
            filled.bag.sync().unwrap();
            // Without the room ahead of the frontier, of which a mutation would only find zeros.
            let bytes = std::fs::read(&path).unwrap();
            let used = bytes.iter().take(1 << 20).rposition(|byte| *byte != 0).unwrap_or(0);
            bags.push(bytes[..=used].to_vec());
        }
        filled.bag.finish().unwrap();
        bags.push(std::fs::read(&path).unwrap());
    }
    bags
}

/// What happens to a file: bytes change, go, come twice, or a number in it becomes absurd.
#[derive(Clone, Debug)]
enum Change {
    Flip(f64, u8),
    Drop(f64, usize),
    Repeat(f64, usize),
    Number(f64, u64),
    End(f64),
}

fn change() -> impl Strategy<Value = Change> {
    let place = || 0.0..1.0f64;
    prop_oneof![
        (place(), 1..=255u8).prop_map(|(at, bits)| Change::Flip(at, bits)),
        (place(), 1..200usize).prop_map(|(at, length)| Change::Drop(at, length)),
        (place(), 1..200usize).prop_map(|(at, length)| Change::Repeat(at, length)),
        (place(), prop_oneof![Just(u64::MAX), Just(0), Just(1 << 31), Just(1 << 40), any::<u64>()])
            .prop_map(|(at, number)| Change::Number(at, number)),
        place().prop_map(Change::End),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let place = |at: f64| (bytes.len() as f64 * at) as usize;
    match *change {
        _ if bytes.is_empty() => {}
        Change::Flip(at, bits) => {
            let at = place(at);
            bytes[at] ^= bits;
        }
        Change::Drop(at, length) => {
            let at = place(at);
            bytes.drain(at..(at + length).min(bytes.len()));
        }
        Change::Repeat(at, length) => {
            let at = place(at);
            let copy = bytes[at..(at + length).min(bytes.len())].to_vec();
            bytes.splice(at..at, copy);
        }
        Change::Number(at, number) => {
            let at = place(at);
            for (byte, new) in bytes[at..].iter_mut().zip(number.to_le_bytes()) {
                *byte = new;
            }
        }
        Change::End(at) => bytes.truncate(place(at)),
    }
}

#[test]
fn the_corpus_is_survived() {
    for bytes in &corpus("bag") {
        check::bag(bytes);
    }
    for bytes in &corpus("metadata") {
        check::metadata(bytes);
    }
    for bytes in &corpus("message") {
        check::message(bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn a_bag_that_was_changed_anywhere_is_survived(which: prop::sample::Index, changes in prop::collection::vec(change(), 1..6)) {
        let mut bags = bags();
        let bag = which.index(bags.len());
        for change in &changes {
            apply(&mut bags[bag], change);
        }
        check::bag(&bags[bag]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn metadata_that_was_changed_anywhere_is_survived(which: prop::sample::Index, changes in prop::collection::vec(change(), 1..6)) {
        let mut texts = corpus("metadata");
        let text = which.index(texts.len());
        for change in &changes {
            apply(&mut texts[text], change);
        }
        check::metadata(String::from_utf8_lossy(&texts[text]).as_bytes());
    }

    #[test]
    fn a_message_that_was_changed_anywhere_is_survived(which: prop::sample::Index, changes in prop::collection::vec(change(), 1..6)) {
        let mut messages = corpus("message");
        messages.push(cdr::encode(&joint_state(1, 3)).unwrap());
        messages.push(cdr::encode(&safety_status(1, 2)).unwrap());
        let message = which.index(messages.len());
        for change in &changes {
            apply(&mut messages[message], change);
        }
        check::message(&messages[message]);
    }
}

#[test]
fn the_bags_that_are_mutated_are_read_when_they_are_not() {
    let folder = tempfile::tempdir().unwrap();
    for bytes in bags() {
        check::bag(&bytes);
        let path = folder.path().join("a");
        std::fs::write(&path, &bytes).unwrap();
        let bag = swarm_bag::BagReader::open(&path).unwrap();
        assert_eq!(bag.metadata().span().count, 35);
        assert!(bag.topics().iter().any(|topic| topic.type_name == JointState::TYPE));
    }
}
