//! Cameras of the simulated cell, served as IP cameras serve theirs: drawn, coded as H.264, over RTSP.
//!
//! Each has a thread with its own copy of the cell, which draws only while somebody is connected. It draws the newest view, skips
//! what it is too slow for and counts that, and yields to the physics: on a machine without a graphics processor a picture
//! takes as long as eight control cycles.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use swarm_base::{ErrorChain, Shutdown};
use swarm_cell::CellConfig;
use swarm_mujoco::{Cell, Look, Options, Renderer, SimError};
use swarm_ros::diagnostics::{Level, Report};
use swarm_rtsp_server::{Feed, ServeError, Server, Stream};

use crate::canvas::Canvas;

/// How much the threads yield to others, as `nice` counts: the physics goes first where processors are few.
const NICENESS: i32 = 15;

/// A camera as the parameter names it: `overview 640x480 15`, which is camera, size, frames per simulated second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraSpec(Stream);

impl FromStr for CameraSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let mut words = text.split_whitespace();
            let (name, size, rate) = (words.next()?, words.next()?, words.next()?);
            let (width, height) = size.split_once('x')?;
            words.next().is_none().then_some(())?;
            Some(Self(Stream {
                name: name.to_owned(),
                width: width.parse().ok()?,
                height: height.parse().ok()?,
                rate_hz: rate.parse().ok()?,
            }))
        };
        read()
            .ok_or_else(|| format!("'{text}' is no camera with size and rate, as in \"overview 640x480 15\""))
    }
}

impl fmt::Display for CameraSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stream { name, width, height, rate_hz } = &self.0;
        write!(f, "{name} {width}x{height} {rate_hz}")
    }
}

/// Why there are no cameras.
#[derive(Debug, thiserror::Error)]
pub enum CamerasError {
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// All cameras. Connections end with it; the threads end with the node.
#[derive(Debug)]
pub struct Cameras {
    server: Server,
    cameras: Vec<(Feed, Canvas, Arc<Counts>)>,
}

#[derive(Debug, Default)]
struct Counts {
    skipped: AtomicU64,
    broken: AtomicBool,
}

impl Cameras {
    /// Serves `specs` of the cell that `config` declares, see [`Cell::new`] for `root`. Port 0 is a free one.
    pub fn start(
        config: &CellConfig,
        root: &Path,
        address: SocketAddr,
        specs: &[CameraSpec],
        shutdown: &Shutdown,
    ) -> Result<Self, CamerasError> {
        let streams: Vec<Stream> = specs.iter().map(|CameraSpec(stream)| stream.clone()).collect();
        // What codes and sends inherits how much this thread yields.
        let serve = || {
            yield_to_physics();
            Server::start(address, &streams)
        };
        let served = std::thread::scope(|scope| scope.spawn(serve).join());
        let (server, feeds) = served.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let mut cameras = Vec::new();
        for feed in feeds {
            let camera = Camera {
                config: config.clone(),
                root: root.to_owned(),
                canvas: Canvas::at(feed.stream().rate_hz),
                counts: Arc::default(),
                shutdown: shutdown.clone(),
                feed,
            };
            cameras.push((camera.feed.clone(), camera.canvas.clone(), Arc::clone(&camera.counts)));
            let name = format!("cam {}", camera.feed.stream().name);
            std::thread::Builder::new()
                .name(name)
                .spawn(move || camera.work())
                .map_err(CamerasError::Thread)?;
        }
        for stream in &streams {
            tracing::info!("the camera {} is served at {}", stream.name, server.url(stream));
        }
        Ok(Self { server, cameras })
    }

    /// What the physics shows its views on.
    pub fn canvases(&self) -> impl Iterator<Item = Canvas> {
        self.cameras.iter().map(|(_, canvas, _)| canvas.clone())
    }

    /// How they do, for diagnostics.
    pub fn report(&self) -> Report {
        let broken = self.cameras.iter().any(|(_, _, counts)| counts.broken.load(Ordering::Relaxed));
        let watched = self.cameras.iter().filter(|(feed, ..)| feed.is_watched()).count();
        let report = match (broken, watched) {
            (true, _) => Report::new(Level::Error, "a camera cannot be drawn"),
            (false, 0) => Report::ok("nobody watches"),
            (false, watched) => Report::ok(format!("{watched} watched")),
        };
        self.cameras.iter().fold(report, |report, (feed, _, counts)| {
            let name = &feed.stream().name;
            report
                .with(format!("{name}_address"), self.server.url(feed.stream()))
                .with(format!("{name}_frames"), feed.coded())
                .with(format!("{name}_skipped"), counts.skipped.load(Ordering::Relaxed) + feed.dropped())
        })
    }
}

/// What the thread of one camera has.
struct Camera {
    config: CellConfig,
    root: PathBuf,
    canvas: Canvas,
    feed: Feed,
    counts: Arc<Counts>,
    shutdown: Shutdown,
}

impl Camera {
    fn work(self) {
        yield_to_physics();
        if let Err(error) = self.draw() {
            self.counts.broken.store(true, Ordering::Relaxed);
            tracing::error!("no pictures of {}: {}", self.feed.stream().name, ErrorChain(&error));
        }
    }

    fn draw(&self) -> Result<(), SimError> {
        // The drawing context belongs to the thread that opens it.
        let options = Options { look: Look::Plain, ..Options::default() };
        let mut cell = Cell::new(&self.config, &self.root, options)?;
        let Stream { name, width, height, .. } = self.feed.stream();
        let mut renderer = Renderer::new(&cell, name, *width, *height)?;
        while !self.shutdown.is_requested() {
            let Some(view) = self.canvas.take(Duration::from_millis(200)) else { continue };
            if self.feed.is_watched() {
                self.counts.skipped.fetch_add(view.skipped, Ordering::Relaxed);
                cell.pose_as(&view.observation);
                // What the coder does not take it has counted.
                let _ = self.feed.give(renderer.draw(&mut cell)?, view.taken);
            }
        }
        Ok(())
    }
}

/// For this thread and those that it starts.
fn yield_to_physics() {
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!("the cameras do not yield to the physics: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_named_with_its_size_and_rate_or_refused_with_an_example() {
        let spec: CameraSpec = "panda_wrist  640x480 15".parse().unwrap();
        assert_eq!(spec.to_string(), "panda_wrist 640x480 15");
        for wrong in [
            "",
            "overview",
            "overview 640 15",
            "overview 640x480",
            "overview 640x480 15 x",
            "overview -1x480 15",
        ] {
            let why = wrong.parse::<CameraSpec>().unwrap_err();
            assert_eq!(
                why,
                format!("'{wrong}' is no camera with size and rate, as in \"overview 640x480 15\"")
            );
        }
    }
}
