//! Whatever the server sends: it is refused or it is what was signed; what was checked in the fuzzing too.

#[path = "../fuzz/check.rs"]
mod check;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[test]
fn what_fuzzing_found_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/metadata");
    let mut count = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        check::metadata(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 6, "{count} inputs in the corpus");
}

/// A text made of the words that metadata is made of, so that some of it is nearly right.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/metadata");
    let inputs: Vec<Vec<u8>> =
        fs::read_dir(corpus).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6);
    (prop::sample::select(inputs), edits).prop_map(|(mut bytes, edits)| {
        for (at, byte, kind) in edits {
            let i = at.index(bytes.len().max(1));
            match kind {
                0 if i < bytes.len() => bytes[i] = byte,
                1 => bytes.insert(i.min(bytes.len()), byte),
                2 if i < bytes.len() => drop(bytes.remove(i)),
                _ => bytes.truncate(i),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn damaged_metadata_is_refused_or_reads_the_same_twice(bytes in nearly()) {
        check::metadata(&bytes);
    }

    #[test]
    fn a_changed_byte_never_keeps_a_signature(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        check::signature_holds(at.index(usize::MAX), byte);
    }

    #[test]
    fn any_pattern_and_any_path_end(pattern in "[a*?\\[\\]!/-]{0,24}", path in "[a/\\]-]{0,24}") {
        check::pattern(&pattern, &path);
    }
}
