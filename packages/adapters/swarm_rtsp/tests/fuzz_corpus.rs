//! The recorded streams, cut and changed at every place, through the check of the fuzz target, without any tool.

#[path = "../fuzz/check.rs"]
mod check;

use std::fs;
use std::path::Path;

#[test]
fn recorded_streams_and_their_mutations_are_read_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut seen = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            continue;
        }
        let stream = fs::read(&path).unwrap();
        check::bitstream(&stream);
        // Parameter sets and the first slice: behind them are macroblocks, which nobody reads here.
        let head = &stream[..stream.len().min(300)];
        for at in 0..head.len() {
            check::bitstream(&head[..at]);
            for change in [0x00, 0x01, 0x03, 0x80, 0xff] {
                let mut changed = head.to_vec();
                changed[at] = change;
                check::bitstream(&changed);
                changed[at] = head[at] ^ change;
                check::bitstream(&changed);
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 5);
}
