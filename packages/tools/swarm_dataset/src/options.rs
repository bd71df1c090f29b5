//! What the user chooses.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::error::ExportError;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Format {
    /// `LeRobotDataset` v3.0, a folder.
    Lerobot,
    /// robomimic's HDF5, a file.
    Robomimic,
}

/// What of a bag is an episode.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub enum Episodes {
    /// All of it.
    #[default]
    WholeBag,
    /// Each run of a skill, as `/skill_runtime/status` tells them.
    Runs,
    /// These stretches, s from the bag's first message.
    Ranges(Vec<(f64, f64)>),
}

/// What becomes of the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Pictures {
    /// The cameras' own coded frames, bit for bit. `LeRobot` only.
    AsCoded,
    /// Coded anew by ffmpeg, a key frame at least every so many frames. `LeRobot` only.
    CodedAnew { key_every: u32 },
    /// Decoded by ffmpeg into arrays of this width and height. robomimic only.
    Decoded { width: u32, height: u32 },
    /// Left out. robomimic only.
    LeftOut,
}

/// Where a dataset's statistics of pictures come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum PictureStatistics {
    /// Some key frames of each episode, decoded by ffmpeg.
    #[default]
    KeyFrames,
    /// `ImageNet`'s, which lerobot puts in their place anyway unless it is told not to (`use_imagenet_stats`).
    ImageNet,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Options {
    pub format: Format,
    /// Frames per second of the dataset.
    pub fps: u32,
    /// What the episodes show, in words.
    pub task: String,
    /// Cameras by name; `None` means all.
    pub cameras: Option<Vec<String>>,
    /// Topics of actions; `None` means what the arms were commanded behind the gate, or where that is missing, before it.
    pub actions: Option<Vec<String>>,
    pub episodes: Episodes,
    pub pictures: Pictures,
    pub picture_statistics: PictureStatistics,
    /// Longest silence of joints and commands.
    pub max_silence: Duration,
    /// Longest time for which a camera's frame is shown once more.
    pub max_repeat: Duration,
    /// Shortest episode.
    pub min_length: Duration,
    /// Part of the episodes that is for validation.
    pub validation: f64,
    /// Which episodes these are.
    pub seed: u64,
    /// Leave out the episodes that cannot be exported, and say so, instead of exporting none.
    pub skip_refused: bool,
    /// Program that decodes and codes.
    #[serde(skip)]
    pub ffmpeg: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::Lerobot,
            fps: 30,
            task: String::new(),
            cameras: None,
            actions: None,
            episodes: Episodes::WholeBag,
            pictures: Pictures::AsCoded,
            picture_statistics: PictureStatistics::KeyFrames,
            max_silence: Duration::from_millis(100),
            max_repeat: Duration::from_millis(200),
            min_length: Duration::from_secs(1),
            validation: 0.1,
            seed: 0,
            skip_refused: false,
            ffmpeg: "ffmpeg".into(),
        }
    }
}

impl Options {
    /// Says what cannot be meant.
    pub fn check(&self) -> Result<(), ExportError> {
        let wrong = |text: String| Err(ExportError::Options(text));
        if !(1..=1000).contains(&self.fps) {
            return wrong(format!("a dataset of {} frames/s: expected 1 to 1000", self.fps));
        }
        if !(0.0..1.0).contains(&self.validation) {
            return wrong(format!(
                "the part for validation is {}: expected 0 up to below 1",
                self.validation
            ));
        }
        match (self.format, self.pictures) {
            (Format::Lerobot, Pictures::AsCoded | Pictures::CodedAnew { key_every: 1.. })
            | (
                Format::Robomimic,
                Pictures::Decoded { width: 1..=8192, height: 1..=8192 } | Pictures::LeftOut,
            ) => {}
            (format, pictures) => return wrong(format!("{format:?} cannot have pictures as {pictures:?}")),
        }
        if let Episodes::Ranges(ranges) = &self.episodes
            && let Some((from, to)) = ranges.iter().find(|(from, to)| !(0.0 <= *from && from < to))
        {
            return wrong(format!("the range {from}..{to}: expected seconds from the bag's start, rising"));
        }
        if let Episodes::Ranges(ranges) = &self.episodes {
            let mut sorted = ranges.clone();
            sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
            if let Some([(from, to), (next, end)]) = sorted.array_windows().find(|[one, next]| next.0 < one.1)
            {
                return wrong(format!(
                    "the ranges {from}..{to} and {next}..{end} overlap: the same frames could be for training and for \
                     validation; end the first at {next}, or leave one out"
                ));
            }
        }
        Ok(())
    }
}
