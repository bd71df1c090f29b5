//! Pictures of the run. Drawing takes many times longer than a control cycle, so it has its own thread, its own copy of the cell
//! and leave to skip pictures; the physics never waits for it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use swarm_base::{ErrorChain, Shutdown};
use swarm_cell::CellConfig;
use swarm_mujoco::{Cell, Observation, Options, Renderer, SimError};

/// Control cycles between two pictures: 10 per simulated second.
const PICTURE_CYCLES: u64 = 50;
const WIDTH: u32 = 960;
const HEIGHT: u32 = 540;

/// Where the physics thread leaves what is to be drawn. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Canvas {
    latest: Arc<(Mutex<Option<Observation>>, Condvar)>,
}

impl Canvas {
    /// Leaves an observation if a picture is due; one that was not drawn yet is replaced.
    pub fn show(&self, observation: &Observation) {
        if observation.cycle.is_multiple_of(PICTURE_CYCLES) {
            let (latest, changed) = &*self.latest;
            *latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(observation.clone());
            changed.notify_one();
        }
    }

    fn take(&self, wait: std::time::Duration) -> Option<Observation> {
        let (latest, changed) = &*self.latest;
        let waiting = latest.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut latest, _) = changed
            .wait_timeout_while(waiting, wait, |latest| latest.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        latest.take()
    }
}

/// Starts drawing into `folder`, one file `frame_<cycle>.png` per picture, until shutdown.
pub fn start(
    config: CellConfig,
    root: PathBuf,
    folder: PathBuf,
    shutdown: Shutdown,
) -> std::io::Result<Canvas> {
    std::fs::create_dir_all(&folder)?;
    let canvas = Canvas::default();
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
    let mut renderer = Renderer::new(&cell, WIDTH, HEIGHT)?;
    while !shutdown.is_requested() {
        if let Some(observation) = shown.take(std::time::Duration::from_millis(200)) {
            cell.pose_as(&observation);
            renderer.save_png(&mut cell, &folder.join(format!("frame_{:07}.png", observation.cycle)))?;
        }
    }
    Ok(())
}
