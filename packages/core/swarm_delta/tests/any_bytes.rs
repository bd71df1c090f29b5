//! Whatever comes as a delta: an error that says what is wrong, or the promised result. Never more memory or output than allowed.

#[path = "../fuzz/check.rs"]
mod check;
mod common;

use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;

use common::{applied, bytes, random, weights};
use proptest::prelude::*;
use swarm_delta::{ApplyError, CHUNK, Limits, apply, encode};

const HEADER: usize = 85;

#[test]
fn what_fuzzing_found_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/delta");
    let inputs: Vec<_> =
        fs::read_dir(corpus).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(inputs.len() >= 3, "{} inputs in the corpus", inputs.len());
    for input in inputs {
        check::delta(&input);
    }
}

/// A delta of one record, made by hand.
fn by_hand(base: &[u8], result_length: u64, record: &[u8]) -> Vec<u8> {
    let mut delta = encode(base, b"");
    delta.truncate(HEADER);
    delta[13..21].copy_from_slice(&result_length.to_le_bytes());
    delta.extend(record);
    delta
}

fn refusal(delta: &[u8], base: &[u8]) -> String {
    let error = applied(delta, base).unwrap_err();
    assert_eq!(error.code(), "malformed", "{error}");
    error.to_string()
}

#[test]
fn another_base_is_named_as_the_reason() {
    let mut random = random(1);
    let (base, other) = (weights(&mut random, 10_000), weights(&mut random, 10_000));
    let delta = encode(&bytes(&base), &bytes(&other));
    let error = applied(&delta, &bytes(&base[1..])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the delta is for a base of 40000 bytes, and this one has 39996; download the whole"
    );
    let mut wrong = bytes(&base);
    wrong[20_000] ^= 1;
    let error = applied(&delta, &wrong).unwrap_err();
    assert!(matches!(error, ApplyError::WrongBase { .. }), "{error}");
}

#[test]
fn a_delta_that_is_cut_off_says_so_wherever_it_is_cut() {
    let (delta, _) = check::honest();
    let base = check::base();
    for length in 0..delta.len() {
        let error = applied(&delta[..length], &base).unwrap_err();
        assert!(matches!(error, ApplyError::Truncated { .. }), "cut at {length}: {error}");
    }
}

#[test]
fn what_follows_the_end_is_refused() {
    let (mut delta, _) = check::honest();
    delta.push(0);
    assert!(refusal(&delta, &check::base()).contains("the result is complete, and more follows"));
}

#[test]
fn other_files_and_formats_are_told_apart() {
    let error = applied(b"PK\x03\x04 and so on", b"").unwrap_err();
    assert!(error.to_string().contains("this is no delta: it begins with [50, 4b, 03, 04]"), "{error}");
    let (mut delta, _) = check::honest();
    delta[4] = 9;
    let error = applied(&delta, &check::base()).unwrap_err();
    assert!(error.to_string().contains("of format 9, and format 1 is known here"), "{error}");
}

#[test]
fn a_result_beyond_the_limit_is_refused_before_anything_is_made() {
    let delta = by_hand(b"base", u64::MAX, &[]);
    let mut output = Vec::new();
    let limits = Limits { max_result: 1_000 };
    let error = apply(&delta[..], Cursor::new(b"base"), &mut output, limits).unwrap_err();
    let text = format!("the delta's result would have {} bytes, and 1000 are allowed", u64::MAX);
    assert_eq!(error.to_string(), text);
    assert!(output.is_empty());
}

#[test]
fn lengths_that_lie_are_refused() {
    let base = vec![0; 1_000];
    let record = |kind: u8, length: u32, rest: &[&[u8]]| {
        let front = [vec![kind], length.to_le_bytes().to_vec()].concat();
        by_hand(&base, 500, &[front, rest.concat()].concat())
    };
    let place = |at: u64| at.to_le_bytes();
    let count = |n: u32| n.to_le_bytes();
    let cases: [(&str, Vec<u8>); 12] = [
        ("makes 0 bytes", record(0, 0, &[])),
        ("makes 501 bytes, of 500", record(0, 501, &[])),
        ("no record has the kind 4", record(4, 500, &[])),
        ("wants 500 bytes at 501", record(1, 500, &[&place(501)])),
        ("wants 500 bytes at 18446744073709551615", record(1, 500, &[&place(u64::MAX)])),
        ("a part of 500 bytes takes 501", record(0, 500, &[&count(501)])),
        ("does not decompress", record(0, 500, &[&count(3), b"abc"])),
        ("no word of 4 bytes begins at byte 4", record(2, 500, &[&place(0), &[4]])),
        ("no word has 3 bytes", record(3, 500, &[&place(0), &[3, 0]])),
        ("126 changed words", record(3, 500, &[&place(0), &[4, 0], &count(126), &count(126)])),
        ("1000 bytes of gaps", record(3, 500, &[&place(0), &[4, 0], &count(1), &count(1_000)])),
        (
            "behind the end of the chunk",
            record(
                3,
                500,
                &[&place(0), &[1, 0], &count(1), &count(2), &count(2), &[255, 254], &count(1), &[1]],
            ),
        ),
    ];
    for (expected, delta) in cases {
        let text = refusal(&delta, &base);
        assert!(text.contains(expected), "'{expected}' is not in: {text}");
    }
}

#[test]
fn gaps_must_be_as_many_as_changes() {
    let base = vec![0; 100];
    let sparse = |gaps: &[u8]| {
        let mut record = vec![3, 100, 0, 0, 0];
        record.extend([0; 8]);
        record.extend([1, 0]);
        record.extend(1_u32.to_le_bytes());
        record.extend((gaps.len() as u32).to_le_bytes());
        record.extend((gaps.len() as u32).to_le_bytes());
        record.extend(gaps);
        record.extend(1_u32.to_le_bytes());
        record.push(9);
        by_hand(&base, 100, &record)
    };
    assert!(matches!(applied(&sparse(&[5]), &base).unwrap_err(), ApplyError::Digest { .. }));
    assert!(refusal(&sparse(&[255]), &base).contains("fewer gaps"));
}

/// A part that announces 500 bytes, and is a zstd bomb of 64 MB.
#[test]
fn a_bomb_gets_no_more_room_than_it_announced() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).unwrap();
    assert!(bomb.len() < CHUNK, "{} bytes", bomb.len());
    let mut record = vec![0];
    record.extend((CHUNK as u32).to_le_bytes());
    record.extend((bomb.len() as u32).to_le_bytes());
    record.extend(&bomb);
    let text = refusal(&by_hand(b"", CHUNK as u64, &record), b"");
    assert!(text.contains("does not decompress"), "{text}");
    // And one that gives less.
    let small = zstd::bulk::compress(&[0; 100], 3).unwrap();
    let mut record = vec![0];
    record.extend(500_u32.to_le_bytes());
    record.extend((small.len() as u32).to_le_bytes());
    record.extend(&small);
    let text = refusal(&by_hand(b"", 500, &record), b"");
    assert!(text.contains("a part of 500 bytes decompresses to 100"), "{text}");
}

/// Gives bytes one at a time, and then an error that is not its end.
struct Failing<'b>(&'b [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else {
            return Err(std::io::Error::other("the cable was pulled"));
        };
        buffer[0] = *first;
        self.0 = rest;
        Ok(1)
    }
}

#[test]
fn a_source_that_fails_is_named() {
    let (delta, _) = check::honest();
    let cut = Failing(&delta[..delta.len() - 1]);
    let limits = Limits { max_result: 1 << 20 };
    let error = apply(cut, Cursor::new(check::base()), std::io::sink(), limits).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.code()), ("cannot read the delta", "io"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_seen(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..6)
    ) {
        let (mut delta, result) = check::honest();
        for (at, byte, kind) in edits {
            let i = at.index(delta.len().max(1));
            match kind {
                0 if i < delta.len() => delta[i] = byte,
                1 => delta.insert(i.min(delta.len()), byte),
                2 if i < delta.len() => drop(delta.remove(i)),
                _ => delta.truncate(i),
            }
        }
        if let Err(error) = check::damaged(&delta, &result) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        check::delta(&bytes);
        let header = &check::honest().0[..HEADER];
        check::delta(&[header, &bytes].concat());
    }
}
