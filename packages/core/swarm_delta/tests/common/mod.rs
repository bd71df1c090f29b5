//! Weights as training leaves them, and the smallest files that hold them.
#![allow(dead_code)] // each test file uses a part

use std::io::Cursor;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use swarm_delta::{ApplyError, Limits, apply};

pub(crate) fn random(seed: u64) -> StdRng {
    println!("seed {seed}");
    StdRng::seed_from_u64(seed)
}

/// Weights between -0.1 and 0.1.
pub(crate) fn weights(random: &mut StdRng, count: usize) -> Vec<f32> {
    (0..count).map(|_| random.random_range(-0.1_f32..0.1)).collect()
}

pub(crate) fn bytes(weights: &[f32]) -> Vec<u8> {
    weights.iter().flat_map(|weight| weight.to_le_bytes()).collect()
}

/// A small step of every weight.
pub(crate) fn dense_step(random: &mut StdRng, weights: &[f32]) -> Vec<f32> {
    weights.iter().map(|weight| weight + random.random_range(-1e-5_f32..1e-5)).collect()
}

/// Other values at one place in `every`.
pub(crate) fn sparse_step(random: &mut StdRng, weights: &[f32], every: usize) -> Vec<f32> {
    let change = |weight: &f32| {
        if random.random_range(0..every) == 0 { random.random_range(-0.1_f32..0.1) } else { *weight }
    };
    weights.iter().map(change).collect()
}

pub(crate) fn applied(delta: &[u8], base: &[u8]) -> Result<Vec<u8>, ApplyError> {
    let mut output = Vec::new();
    let limits = Limits { max_result: 64 << 20 };
    apply(delta, Cursor::new(base), &mut output, limits).map(|_| output)
}

/// A protobuf field that has a length.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(bytes);
    field
}

/// An ONNX model with these tensors; `producer` shifts everything behind it.
pub(crate) fn onnx(producer: &str, tensors: &[(&str, &[f32])]) -> Vec<u8> {
    let mut graph = Vec::new();
    for (name, weights) in tensors {
        let tensor = [field(8, name.as_bytes()), field(9, &bytes(weights))].concat();
        graph.extend(field(5, &tensor));
    }
    [field(2, producer.as_bytes()), field(7, &graph)].concat()
}

/// A tar archive as artifacts are.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, *bytes).unwrap();
    }
    archive.into_inner().unwrap()
}
