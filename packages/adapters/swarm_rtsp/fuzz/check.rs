//! What must hold for every coded frame. Used by the fuzz target and by `tests/fuzz_corpus.rs`.

use swarm_rtsp::fuzzing::{first_slice_is_b, nal_units, reorders};

/// A frame: it is cut into units that hold no start code, lie in it in order, and leave out zeros and start codes alone.
pub(crate) fn bitstream(bytes: &[u8]) {
    let mut end = 0;
    let mut kept = 0;
    for unit in nal_units(bytes) {
        let start = unit.as_ptr() as usize - bytes.as_ptr() as usize;
        assert!(start >= end + 3 && bytes[start - 3..start] == [0, 0, 1], "unit at {start} after {end}");
        assert!(!unit.windows(3).any(|three| three == [0, 0, 1]), "start code in the unit at {start}");
        if kept > 0 {
            assert!(bytes[end..start - 3].iter().all(|&byte| byte == 0), "bytes left out before {start}");
        }
        end = start + unit.len();
        kept += 1;
    }
    if kept > 0 {
        // What is behind the last unit: zeros, and start codes of empty units.
        assert!(bytes[end..].iter().all(|&byte| byte <= 1), "bytes left out at the end");
    }
    // What is around the first slice does not count.
    let slice = nal_units(bytes).find(|unit| matches!(unit[0] & 0x1f, 1 | 2 | 5));
    let alone = slice.is_some_and(|slice| first_slice_is_b(&[&[0, 0, 1], slice].concat()));
    assert_eq!(first_slice_is_b(bytes), alone);
    // Any answer will do, the same one both times.
    assert_eq!(reorders(bytes), reorders(bytes));
}
