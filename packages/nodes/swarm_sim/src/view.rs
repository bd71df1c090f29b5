//! Pictures of the run, as files. Drawing takes many times longer than a control cycle, so it has its own thread, its own copy of
//! the cell and leave to skip pictures; the physics never waits for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use swarm_base::{ErrorChain, Shutdown};
use swarm_cell::CellConfig;
use swarm_mujoco::{Cell, Options, Renderer, SimError};

use crate::canvas::Canvas;

const RATE_HZ: u32 = 10;
const WIDTH: u32 = 960;
const HEIGHT: u32 = 540;

/// Starts drawing into `folder`, one file `frame_<cycle>.png` per picture, until shutdown.
pub fn start(
    config: CellConfig,
    root: PathBuf,
    folder: PathBuf,
    shutdown: Shutdown,
) -> std::io::Result<Canvas> {
    std::fs::create_dir_all(&folder)?;
    let canvas = Canvas::at(RATE_HZ);
    let shown = canvas.clone();
    std::thread::Builder::new().name("view".to_owned()).spawn(move || {
        if let Err(error) = draw(&config, &root, &folder, &shown, &shutdown) {
            tracing::error!("no pictures: {}", ErrorChain(&error));
        }
    })?;
    Ok(canvas)
}

fn draw(
    config: &CellConfig,
    root: &Path,
    folder: &Path,
    shown: &Canvas,
    shutdown: &Shutdown,
) -> Result<(), SimError> {
    // The drawing context belongs to the thread that opens it.
    let mut cell = Cell::new(config, root, Options::default())?;
    let mut renderer = Renderer::new(&cell, "overview", WIDTH, HEIGHT)?;
    while !shutdown.is_requested() {
        if let Some(view) = shown.take(Duration::from_millis(200)) {
            cell.pose_as(&view.observation);
            let file = format!("frame_{:07}.png", view.observation.cycle);
            renderer.save_png(&mut cell, &folder.join(file))?;
        }
    }
    Ok(())
}
