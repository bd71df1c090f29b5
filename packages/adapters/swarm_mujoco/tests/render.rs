//! Drawing without a display. Only with the feature `render`.
#![cfg(feature = "render")]

use std::path::Path;

use swarm_cell::CellConfig;
use swarm_mujoco::{Cell, Look, Options, Renderer};

fn cell(look: Look) -> Cell {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let config = CellConfig::parse(&std::fs::read_to_string(root.join("config/cell.yaml")).unwrap()).unwrap();
    Cell::new(&config, &root, Options { look, ..Options::default() }).unwrap()
}

/// Each camera sees something of its own, and no pixel is too many or too few.
#[test]
fn overview_and_wrist_cameras_draw_different_pictures() {
    let mut cell = cell(Look::Plain);
    let mut pictures = Vec::new();
    for camera in ["overview", "ur5e_left_wrist", "ur5e_right_wrist", "panda_wrist"] {
        let mut renderer = Renderer::new(&cell, camera, 160, 120).unwrap();
        let picture = renderer.draw(&mut cell).unwrap().to_vec();
        assert_eq!(picture.len(), 160 * 120 * 3);
        let colours: std::collections::BTreeSet<&[u8]> = picture.chunks(3).collect();
        assert!(colours.len() > 50, "{camera} sees {} colours", colours.len());
        assert!(!pictures.contains(&picture), "{camera} sees what another does");
        pictures.push(picture);
    }
    let error = Renderer::new(&cell, "ceiling", 160, 120).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot draw the scene as the camera 'ceiling' sees it: there are overview, ur5e_left_wrist, ur5e_right_wrist, panda_wrist"
    );
}

/// A picture shows something: it is a PNG of the size asked for, and too rich to be one colour.
#[test]
fn a_picture_of_the_cell_is_drawn() {
    let mut cell = cell(Look::Fine);
    let mut renderer = Renderer::new(&cell, "overview", 640, 360).unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cell.png");
    renderer.save_png(&mut cell, &file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(bytes[..8], *b"\x89PNG\r\n\x1a\n");
    let size = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((size(16), size(20)), (640, 360));
    assert!(bytes.len() > 20_000, "{} bytes: an empty picture compresses to less", bytes.len());
}
