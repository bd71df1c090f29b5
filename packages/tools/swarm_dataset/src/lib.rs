//! Datasets for training from bags: LeRobotDataset v3 and robomimic HDF5.
//!
//! Vocabulary
//! - *grid*, *slot*: a dataset has a constant rate; slot k of an episode is at k / fps. See [`grid`].
//! - *episode*: a bag, a run of a skill, or a stretch that somebody named.
//! - *as coded*: a camera's frames go into the dataset bit for bit. Nothing is decoded, so an export takes about as long as
//!   copying the files does.
//!
//! Flow
//! 1. [`Plan::make`] reads the bags and says what will be written, or why it cannot be. Nothing is written by then.
//! 2. [`export`] writes it, beside its name until it is whole. Killed and begun again, it goes on, and the result is the same
//!    to the byte.
//!
//! What is missing is never made up. A slot without a frame shows the one before and says so in a column; a stretch in which a
//! camera or an arm is silent for longer than allowed is refused, with camera, place and length.
//!
//! ```no_run
//! use swarm_dataset::{Options, Plan, export};
//!
//! let options = Options { task: "insert the peg".into(), ..Options::default() };
//! let plan = Plan::make(&["/data/demo_001.mcap".into()], &options, &mut |_, _| {})?;
//! export(&plan, "/data/peg".as_ref(), &mut |_, _| {})?;
//! # Ok::<(), swarm_dataset::ExportError>(())
//! ```
//!
//! Deliberately absent: recording, and decoding of video, which ffmpeg does as a child process where it is asked for.

mod error;
mod ffmpeg;
pub mod grid;
mod h264;
mod lerobot;
pub mod messages;
mod mp4;
mod options;
pub mod plan;
mod progress;
mod recording;
mod report;
mod robomimic;
pub mod series;
mod source;
mod staging;
pub mod stats;
pub mod synthetic;

use std::path::Path;

pub use error::ExportError;
pub use options::{Episodes, Format, Options, PictureStatistics, Pictures};
pub use plan::Plan;
pub use report::{Alignment, Report};

/// Writes the dataset. `progress` hears how many slots of how many are done.
pub fn export(plan: &Plan, target: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), ExportError> {
    let staging = staging::Staging::open(target, &plan.digest(), plan.bytes())?;
    let slots = plan.episodes.iter().map(|episode| episode.grid.slots as u64).sum();
    let mut progress = progress::Progress::new(slots, progress);
    match plan.options.format {
        Format::Lerobot => lerobot::write(plan, &staging, &mut progress)?,
        Format::Robomimic => robomimic::write(plan, &staging, &mut progress)?,
    }
    staging.publish()
}
