//! What will be written, worked out from what the bags hold, before anything is written.
//!
//! Flow
//! 1. Each bag is read once ([`Recording`]), and cut into stretches of time.
//! 2. A stretch becomes an episode ([`episode`]), or is refused with a reason.
//! 3. Episodes that are not like the first one are refused: other joints, cameras, sizes of pictures.
//! 4. Seed and fraction say which are for validation ([`split`]); those come last, since LeRobot's splits are ranges.

mod episode;
mod split;
mod track;

use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::ExportError;
use crate::grid::{Grid, Shown};
use crate::h264::ParameterSets;
use crate::options::{Episodes, Format, Options, Pictures};
use crate::recording::{Recording, Run};

pub use split::Split;

/// Everything that a dataset is made of, but for the pictures' bytes.
#[derive(Debug)]
pub struct Plan {
    pub options: Options,
    pub bags: Vec<Bag>,
    /// In the dataset's order: those for training, then those for validation.
    pub episodes: Vec<Episode>,
    /// What is left out, and why.
    pub refused: Vec<Refusal>,
    pub features: Vec<Feature>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bag {
    pub path: PathBuf,
    pub files: Vec<(String, u64)>,
    /// Of its first message, nanoseconds since the epoch.
    pub start: i64,
    /// What of it could not be read: a bag that was cut is exported up to there.
    pub damage: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    pub bag: usize,
    pub episode: String,
    pub reason: String,
}

/// A column of the dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Feature {
    pub name: String,
    pub kind: Kind,
    /// Of its dimensions.
    pub names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Kind {
    Float,
    Integer,
}

/// Values of a feature, slot after slot.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    Float(Vec<f32>),
    Integer(Vec<i64>),
}

impl Values {
    /// As numbers for statistics.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Self::Float(values) => values.iter().map(|value| f64::from(*value)).collect(),
            Self::Integer(values) => values.iter().map(|value| *value as f64).collect(),
        }
    }
}

#[derive(Debug)]
pub struct Episode {
    pub bag: usize,
    pub name: String,
    pub split: Split,
    pub grid: Grid,
    /// In the order of [`Plan::features`].
    pub columns: Vec<Values>,
    pub cameras: Vec<CameraPlan>,
    /// How much of the stretch is not in it, because something had not begun or had ended, s.
    pub trimmed: (f64, f64),
}

/// One camera's part in an episode.
#[derive(Debug)]
pub struct CameraPlan {
    pub name: String,
    pub topic: String,
    pub width: u32,
    pub height: u32,
    pub(crate) sets: ParameterSets,
    /// The stream from the key frame at or before slot 0 to the last frame that is shown.
    pub(crate) frames: Vec<CodedFrame>,
    /// Indices into `frames`.
    pub shown: Vec<Shown>,
    /// The samples of the video, in order; only where pictures stay as they are coded.
    pub(crate) samples: Vec<Sample>,
    /// Frames of the stretch before the first of `frames`.
    pub(crate) skipped: usize,
    /// Frames that a video as coded shows before slot 0, so that decoding can begin at a key frame.
    pub lead: usize,
}

/// A frame as it will be found in the bag again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CodedFrame {
    pub capture: i64,
    pub received: i64,
    pub size: usize,
    pub key: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    /// A frame, by its index into [`CameraPlan::frames`].
    Frame(usize),
    /// The frame before once more: a NAL unit.
    Repeat(Vec<u8>),
}

impl CameraPlan {
    /// Bytes of its video, about.
    pub fn bytes(&self) -> u64 {
        self.frames.iter().map(|frame| frame.size as u64).sum()
    }
}

impl Plan {
    /// Reads the bags and works the plan out. `progress` hears which bag is read and how far, 0 to 1.
    pub fn make(
        bags: &[PathBuf],
        options: &Options,
        progress: &mut dyn FnMut(&Path, f64),
    ) -> Result<Self, ExportError> {
        options.check()?;
        if bags.is_empty() {
            return Err(ExportError::NoBags);
        }
        if matches!(options.episodes, Episodes::Ranges(_)) && bags.len() > 1 {
            return Err(ExportError::Options("ranges are of one bag, and several are given".to_owned()));
        }
        refuse_twice(bags)?;
        let mut plan = Self {
            options: options.clone(),
            bags: vec![],
            episodes: vec![],
            refused: vec![],
            features: vec![],
        };
        let mut known = Vec::new();
        for path in bags {
            let recording = Recording::read(path, &mut |part| progress(path, part))?;
            known.extend(recording.actions.keys().chain(recording.gripper_actions.keys()).cloned());
            plan.add(&recording);
        }
        plan.check_actions(&mut known)?;
        let total = plan.episodes.len() + plan.refused.len();
        if plan.episodes.is_empty() || !(plan.refused.is_empty() || options.skip_refused) {
            let shown = |refusal: &Refusal| {
                let bag = plan.bags[refusal.bag].path.display();
                let episode =
                    if refusal.episode.is_empty() { String::new() } else { format!(" {}", refusal.episode) };
                format!("{bag}{episode}: {}", refusal.reason)
            };
            return Err(ExportError::Refused { total, refused: plan.refused.iter().map(shown).collect() });
        }
        split::mark(&mut plan);
        Ok(plan)
    }

    /// Bytes of the dataset, about; an estimate from below for what is coded anew.
    pub fn bytes(&self) -> u64 {
        let slots: u64 = self.episodes.iter().map(|episode| episode.grid.slots as u64).sum();
        let width: usize = self.features.iter().map(|feature| feature.names.len()).sum();
        let pictures = match self.options.pictures {
            Pictures::AsCoded => {
                self.episodes.iter().flat_map(|episode| &episode.cameras).map(CameraPlan::bytes).sum()
            }
            Pictures::Decoded { width, height } => {
                let cameras = self.episodes.first().map_or(0, |episode| episode.cameras.len());
                // Now and in the next slot.
                slots * cameras as u64 * u64::from(width) * u64::from(height) * 3 * 2
            }
            Pictures::CodedAnew { .. } | Pictures::LeftOut => 0,
        };
        pictures + slots * width as u64 * 4
    }

    /// What a resumed export must agree with, to the bit.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let about = (&self.options, &self.bags, &self.features, &self.refused);
        hash.update(serde_json::to_vec(&about).unwrap_or_default());
        for episode in &self.episodes {
            let about = format!("{} {} {:?} {:?}", episode.bag, episode.name, episode.split, episode.grid);
            hash.update(about);
            for values in &episode.columns {
                match values {
                    Values::Float(values) => {
                        for value in values {
                            hash.update(value.to_le_bytes());
                        }
                    }
                    Values::Integer(values) => {
                        for value in values {
                            hash.update(value.to_le_bytes());
                        }
                    }
                }
            }
            for camera in &episode.cameras {
                hash.update(format!("{} {:?} {:?}", camera.name, camera.samples, camera.shown));
                hash.update(&camera.sets.sps);
                camera.sets.pps.iter().for_each(|pps| hash.update(pps));
            }
        }
        hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    fn add(&mut self, recording: &Recording) {
        let bag = self.bags.len();
        self.bags.push(Bag {
            path: recording.path.clone(),
            files: recording.files.clone(),
            start: recording.first,
            damage: recording.damage.clone(),
        });
        for run in stretches(recording, &self.options.episodes) {
            let made = run.and_then(|run| {
                let name = run.name.clone();
                episode::make(recording, &run, bag, &self.options).map_err(|reason| (name, reason))
            });
            let made = made.and_then(|(episode, features)| match self.differs(&episode, &features) {
                Some(reason) => Err((episode.name, reason)),
                None => Ok((episode, features)),
            });
            match made {
                Ok((episode, features)) => {
                    self.features = features;
                    self.episodes.push(episode);
                }
                Err((episode, reason)) => self.refused.push(Refusal { bag, episode, reason }),
            }
        }
    }

    /// How an episode is unlike the first one.
    fn differs(&self, episode: &Episode, features: &[Feature]) -> Option<String> {
        let first = self.episodes.first()?;
        let of_first = self.bags[first.bag].path.display();
        for (here, there) in features.iter().zip(&self.features) {
            if here != there {
                return Some(format!(
                    "{} is [{}], and [{}] in {of_first}",
                    here.name,
                    here.names.join(", "),
                    there.names.join(", ")
                ));
            }
        }
        if features.len() != self.features.len() {
            let name = |features: &[Feature]| {
                features.iter().map(|feature| feature.name.clone()).collect::<Vec<_>>().join(", ")
            };
            return Some(format!("it has {}, and {of_first} has {}", name(features), name(&self.features)));
        }
        if self.options.format == Format::Robomimic {
            return None; // pictures are brought to one size
        }
        let other = |(here, there): (&CameraPlan, &CameraPlan)| {
            (here.width, here.height) != (there.width, there.height)
        };
        let (here, there) =
            episode.cameras.iter().zip(&first.cameras).find(|(here, there)| other((here, there)))?;
        Some(format!(
            "camera {} has {}x{} pixels, and {}x{} in {of_first}",
            here.name, here.width, here.height, there.width, there.height
        ))
    }

    fn check_actions(&self, known: &mut Vec<String>) -> Result<(), ExportError> {
        known.sort();
        known.dedup();
        let wanted = self.options.actions.iter().flatten();
        let unknown = wanted.filter(|topic| !known.contains(topic)).cloned().collect::<Vec<_>>();
        if unknown.is_empty() {
            return Ok(());
        }
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(ExportError::Options(format!(
            "no bag has the action {}; topics that can be actions: {known}",
            unknown.join(", ")
        )))
    }
}

/// A bag that is given twice, or with one of its files, would be in training and in validation.
fn refuse_twice(bags: &[PathBuf]) -> Result<(), ExportError> {
    // What is not there is told when it is read.
    let real: Vec<PathBuf> =
        bags.iter().map(|bag| bag.canonicalize().unwrap_or_else(|_| bag.clone())).collect();
    for (at, bag) in real.iter().enumerate() {
        if let Some(other) =
            real[..at].iter().position(|other| bag.starts_with(other) || other.starts_with(bag))
        {
            let [bag, other] = [at, other].map(|at| bags[at].display());
            return Err(ExportError::Options(format!(
                "{bag} is the bag {other}, or of it: the same episode could be for training and for validation; name it once"
            )));
        }
    }
    Ok(())
}

/// The stretches of a recording; the error names one that is none.
fn stretches(recording: &Recording, episodes: &Episodes) -> Vec<Result<Run, (String, String)>> {
    let (first, last) = (recording.first, recording.last);
    match episodes {
        Episodes::WholeBag => vec![Ok(Run { name: String::new(), start: first, end: last })],
        Episodes::Runs if recording.runs.is_empty() => {
            vec![Err((String::new(), "no skill ran in it (/skill_runtime/status)".to_owned()))]
        }
        Episodes::Runs => recording.runs.iter().cloned().map(Ok).collect(),
        Episodes::Ranges(ranges) => {
            let moment = |seconds: f64| first.saturating_add((seconds * 1e9) as i64);
            let range = |(from, to): &(f64, f64)| {
                let run = Run { name: format!("{from}..{to}"), start: moment(*from), end: moment(*to) };
                if run.end <= last.saturating_add(1_000_000_000) && run.start < last {
                    return Ok(run);
                }
                let length = (last - first) as f64 / 1e9;
                Err((run.name, format!("the range is not in the bag, which is {length:.1} s long")))
            };
            ranges.iter().map(range).collect()
        }
    }
}
