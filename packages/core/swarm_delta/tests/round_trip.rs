//! The result is the result, byte for byte, and the delta is small where it should be.

mod common;

use std::io::Cursor;

use common::{applied, bytes, dense_step, onnx, random, sparse_step, tar, weights};
use proptest::prelude::*;
use rand::RngExt;
use swarm_delta::{CHUNK, Limits, apply, encode, encode_if_smaller};

fn check(base: &[u8], result: &[u8]) -> usize {
    let delta = encode(base, result);
    assert!(applied(&delta, base).unwrap() == result, "another result");
    delta.len()
}

#[test]
fn few_changed_weights_take_little_more_than_themselves() {
    let mut random = random(1);
    let base = weights(&mut random, 1 << 20);
    let result = sparse_step(&mut random, &base, 100);
    let size = check(&bytes(&base), &bytes(&result));
    // About 10,500 weights: three bytes of mantissa and most of a byte for each place.
    assert!(size < 60_000, "{size} bytes");
}

#[test]
fn a_small_step_of_every_weight_takes_half() {
    let mut random = random(2);
    let base = weights(&mut random, 1 << 20);
    let result = dense_step(&mut random, &base);
    let size = check(&bytes(&base), &bytes(&result));
    assert!(size < (4 << 20) * 55 / 100, "{size} bytes");
}

#[test]
fn weights_need_not_be_aligned_in_the_file() {
    let mut random = random(3);
    let base = weights(&mut random, 1 << 18);
    let result = sparse_step(&mut random, &base, 100);
    let aligned = check(&bytes(&base), &bytes(&result));
    for front in 1..4 {
        let shifted = |weights: &[f32]| [vec![7; front], bytes(weights)].concat();
        let size = check(&shifted(&base), &shifted(&result));
        assert!(size < aligned + 200, "shifted by {front}: {size} bytes instead of {aligned}");
    }
}

#[test]
fn half_precision_is_seen() {
    let mut random = random(4);
    let base: Vec<u8> = (0..1 << 20).map(|_| random.random()).collect();
    let mut result = base.clone();
    for word in result.as_chunks_mut::<2>().0.iter_mut() {
        if random.random_range(0..100) == 0 {
            *word = [random.random(), random.random()];
        }
    }
    let size = check(&base, &result);
    assert!(size < 5_300 * 3 + 500, "{size} bytes");
}

#[test]
fn the_same_file_is_a_header_and_a_few_places() {
    let mut random = random(5);
    let base = bytes(&weights(&mut random, 1 << 20));
    assert!(check(&base, &base) < 150);
}

#[test]
fn strangers_are_no_larger_than_compressed_alone() {
    let mut random = random(6);
    let (base, result) = (vec![1; 100_000], bytes(&weights(&mut random, 1 << 16)));
    let size = check(&base, &result);
    assert!(size < result.len() + 200, "{size} bytes");
    assert_eq!(encode_if_smaller(&base, &result, 100_000), None);
    assert!(encode_if_smaller(&base, &result, 1 << 20).is_some());
}

#[test]
fn a_layer_that_grew_does_not_spoil_those_behind_it() {
    let mut random = random(7);
    let (head, body) = (weights(&mut random, 20_000), weights(&mut random, 300_000));
    let (new_head, new_body) = (weights(&mut random, 21_000), sparse_step(&mut random, &body, 100));
    let base = onnx("trainer 1.9", &[("head", &head), ("body", &body)]);
    let result = onnx("trainer 1.10", &[("head", &new_head), ("body", &new_body)]);
    let size = check(&base, &result);
    assert!(size < 84_000 + 25_000, "{size} bytes: the new head, and 1 % of the body");

    let turned = onnx("trainer 1.9", &[("body", &new_body), ("head", &head)]);
    let size = check(&base, &turned);
    assert!(size < 25_000, "{size} bytes: 1 % of the body, in another order");

    // And inside of an archive whose text in front has grown.
    let archive = |text: &[u8], model: &[u8]| tar(&[("manifest.yaml", text), ("policies/p.onnx", model)]);
    let size = check(&archive(b"version: 1.0.0", &base), &archive(&[b'x'; 3_000], &result));
    assert!(size < 84_000 + 26_000, "{size} bytes");
}

#[test]
fn insertions_without_names_are_found_from_both_ends() {
    let mut random = random(8);
    let base = bytes(&weights(&mut random, 100_000));
    let result = [&base[..123_457], b"something new", &base[123_457..]].concat();
    let size = check(&base, &result);
    assert!(size < 300, "{size} bytes");
}

#[test]
fn a_base_is_read_wherever_it_stands() {
    let base = bytes(&weights(&mut random(9), 1 << 19));
    let delta = encode(&base, &base[..CHUNK + 5]);
    let mut cursor = Cursor::new(&base);
    cursor.set_position(77);
    let mut output = Vec::new();
    apply(&delta[..], cursor, &mut output, Limits { max_result: 4 << 20 }).unwrap();
    assert!(output == base[..CHUNK + 5]);
}

/// Bases of any kind, and results that come from them by edits.
fn edited() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let base = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3_000),
        (0_usize..8_000, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
    ];
    let edit = (any::<prop::sample::Index>(), 0_u8..5, prop::collection::vec(any::<u8>(), 1..40));
    (base, prop::collection::vec(edit, 0..12)).prop_map(|(base, edits)| {
        let mut result = base.clone();
        for (at, kind, bytes) in edits {
            let at = at.index(result.len() + 1);
            let end = (at + bytes.len()).min(result.len());
            match kind {
                0 => drop(result.splice(at..at, bytes)),
                1 => drop(result.drain(at..end)),
                2 => result.truncate(at),
                3 => result.extend(bytes),
                _ => result[at..end].iter_mut().zip(bytes).for_each(|(old, new)| *old ^= new),
            }
        }
        (base, result)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_edited_comes_out((base, result) in edited()) {
        let delta = encode(&base, &result);
        prop_assert_eq!(applied(&delta, &base).unwrap(), result);
    }

    #[test]
    fn any_two_files_work(base in prop::collection::vec(any::<u8>(), 0..600), result in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert_eq!(applied(&encode(&base, &result), &base).unwrap(), result);
    }
}
