//! LeRobotDataset v3.0, as lerobot 0.4 reads it.
//!
//! | file | holds |
//! |---|---|
//! | `data/chunk-000/file-000.parquet` | a row per slot, many episodes |
//! | `videos/<key>/chunk-000/file-000.mp4` | a sample per slot, the same episodes |
//! | `meta/info.json`, `stats.json`, `tasks.parquet`, `episodes/...` | what lerobot wants to know |
//! | `meta/export.json` | where it comes from, how well it is aligned, what was left out |
//!
//! A *part* is one file of each kind; all of them begin a new file with the same episode. Parts are the units of resuming.
//!
//! An episode's video may begin before its slot 0, since decoding begins at a key frame: lerobot adds `from_timestamp` to a
//! slot's time, and what lies before it is not asked for.

mod data;
mod meta;
mod video;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::ExportError;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::staging::Staging;
use crate::stats::Stats;

/// Files hold at most so much, unless one episode alone is more.
const VIDEO_FILE: u64 = 200 << 20;
const DATA_FILE: u64 = 100 << 20;
const FILES_PER_CHUNK: usize = 1000;

/// One file of each kind.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    index: usize,
    episodes: Range<usize>,
}

/// What is known of a part once it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Written {
    /// Of each episode, of each camera.
    pictures: Vec<Vec<Stats>>,
}

/// Where an episode lies in a camera's video, s.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    from: f64,
    to: f64,
}

pub(crate) fn write(plan: &Plan, staging: &Staging, progress: &mut Progress<'_>) -> Result<(), ExportError> {
    let parts = parts(plan);
    let mut written = Vec::new();
    for part in &parts {
        let unit = format!("part-{}", part.index);
        if let Some(before) = staging.noted(&unit) {
            for episode in &plan.episodes[part.episodes.clone()] {
                progress.add(episode.grid.slots);
            }
            written.push(before);
            continue;
        }
        data::write(plan, part, staging)?;
        let now = Written { pictures: video::write(plan, part, staging, progress)? };
        staging.complete(&unit, &now)?;
        written.push(now);
    }
    meta::write(plan, &parts, &written, staging)
}

impl Part {
    /// The two numbers in the names of its files.
    fn numbers(&self) -> (usize, usize) {
        (self.index / FILES_PER_CHUNK, self.index % FILES_PER_CHUNK)
    }

    fn file(&self, folder: &str, extension: &str) -> String {
        let (chunk, file) = self.numbers();
        format!("{folder}/chunk-{chunk:03}/file-{file:03}.{extension}")
    }

    /// Where its episodes lie in a camera's video.
    fn places(&self, plan: &Plan, camera: usize) -> Vec<Place> {
        let fps = f64::from(plan.options.fps);
        let mut before = 0;
        plan.episodes[self.episodes.clone()]
            .iter()
            .map(|episode| {
                let from = before + episode.cameras[camera].lead;
                before = from + episode.grid.slots;
                Place { from: from as f64 / fps, to: before as f64 / fps }
            })
            .collect()
    }
}

/// Name of a camera's feature.
fn key(camera: &str) -> String {
    format!("observation.images.{camera}")
}

/// Begins a new part where a file would become too large, or where a camera's parameter sets change: a file has one of each.
fn parts(plan: &Plan) -> Vec<Part> {
    let width: usize = plan.features.iter().map(|feature| feature.names.len()).sum();
    let mut parts: Vec<Part> = Vec::new();
    let (mut data, mut video) = (0, vec![]);
    for (at, episode) in plan.episodes.iter().enumerate() {
        let rows = (episode.grid.slots * (width + 5) * 8) as u64;
        let sizes: Vec<u64> = episode.cameras.iter().map(crate::plan::CameraPlan::bytes).collect();
        let full =
            data + rows > DATA_FILE || video.iter().zip(&sizes).any(|(sum, size)| sum + size > VIDEO_FILE);
        let same = at == 0 || {
            let before = plan.episodes[at - 1].cameras.iter();
            before.zip(&episode.cameras).all(|(before, now)| before.sets == now.sets)
        };
        match parts.last_mut() {
            Some(part) if !full && same => part.episodes.end = at + 1,
            _ => {
                parts.push(Part { index: parts.len(), episodes: at..at + 1 });
                (data, video) = (0, vec![0; sizes.len()]);
            }
        }
        data += rows;
        video.iter_mut().zip(&sizes).for_each(|(sum, size)| *sum += size);
    }
    parts
}
