//! The first byte says where the rest is cut in two; the pieces have to be the same as of the whole.
#![no_main]

use swarm_camera_bed::proxy::interleaved::{Piece, Splitter, rtp_time};

fn pieces(parts: &[&[u8]]) -> (Vec<Piece>, Vec<u8>) {
    let mut splitter = Splitter::default();
    let mut all = Vec::new();
    for part in parts {
        splitter.push(part);
        all.extend(splitter.by_ref());
    }
    (all, splitter.rest().to_vec())
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&cut, stream)) = bytes.split_first() else { return };
    let (one, two) = stream.split_at(usize::from(cut).min(stream.len()));
    let (whole, rest) = pieces(&[stream]);
    assert_eq!(pieces(&[one, two]), (whole.clone(), rest.clone()));
    let again: Vec<u8> = whole.iter().flat_map(Piece::bytes).chain(&rest).copied().collect();
    assert_eq!(again, stream);
    for piece in &whole {
        rtp_time(piece.bytes());
    }
});
