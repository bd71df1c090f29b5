//! Drawing without a display. Only with the feature `render`.
#![cfg(feature = "render")]

use std::path::Path;

use swarm_cell::CellConfig;
use swarm_mujoco::{Cell, Options, Renderer};

/// A picture shows something: it is a PNG of the size asked for, and too rich to be one colour.
#[test]
fn a_picture_of_the_cell_is_drawn() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let config = CellConfig::parse(&std::fs::read_to_string(root.join("config/cell.yaml")).unwrap()).unwrap();
    let mut cell = Cell::new(&config, &root, Options::default()).unwrap();
    let mut renderer = Renderer::new(&cell, "overview", 640, 360).unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cell.png");
    renderer.save_png(&mut cell, &file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(bytes[..8], *b"\x89PNG\r\n\x1a\n");
    let size = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((size(16), size(20)), (640, 360));
    assert!(bytes.len() > 20_000, "{} bytes: an empty picture compresses to less", bytes.len());
}
