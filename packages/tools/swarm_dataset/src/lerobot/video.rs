//! Frames from the bags into MP4 files, as the plan says.

use super::{Part, key};
use crate::error::ExportError;
use crate::ffmpeg;
use crate::h264::{ParameterSets, Stream, belongs_in_sample, frames, nal_units};
use crate::mp4::Mp4Writer;
use crate::options::{PictureStatistics, Pictures};
use crate::plan::{CameraPlan, Episode, Plan, Sample};
use crate::progress::Progress;
use crate::source::coded_frames;
use crate::staging::Staging;
use crate::stats::Stats;

/// At most so many of a camera's key frames make an episode's statistics of pictures.
const PICTURES: usize = 16;

/// Writes a part's videos; gives the statistics of each episode's pictures, of each camera.
pub(super) fn write(
    plan: &Plan,
    part: &Part,
    staging: &Staging,
    progress: &mut Progress<'_>,
) -> Result<Vec<Vec<Stats>>, ExportError> {
    let cameras = &plan.episodes[part.episodes.start].cameras;
    let mut files = Vec::new();
    for camera in cameras {
        let path = staging.place(&part.file(&format!("videos/{}", key(&camera.name)), "mp4"))?;
        files.push(Mp4Writer::create(&path, plan.options.fps)?);
    }
    let mut sets: Vec<ParameterSets> = cameras.iter().map(|camera| camera.sets.clone()).collect();
    let mut statistics = Vec::new();
    for (number, episode) in plan.episodes[part.episodes.clone()].iter().enumerate() {
        let pictures = match plan.options.pictures {
            Pictures::CodedAnew { key_every } => {
                let coded = code_anew(plan, episode, key_every, &mut files, progress)?;
                if number == 0 {
                    sets = coded.iter().map(|(sets, _)| sets.clone()).collect();
                }
                if coded.iter().zip(&sets).any(|((now, _), first)| now != first) {
                    return Err(ExportError::Ffmpeg("it gave episodes other parameter sets".to_owned()));
                }
                coded.into_iter().map(|(_, pictures)| pictures).collect()
            }
            _ => copy(plan, episode, &mut files, progress)?,
        };
        statistics.push(match plan.options.picture_statistics {
            PictureStatistics::ImageNet => vec![imagenet(); cameras.len()],
            PictureStatistics::KeyFrames => {
                ffmpeg::statistics(&plan.options.ffmpeg, &episode.cameras, &pictures)?
            }
        });
    }
    for (file, sets) in files.into_iter().zip(&sets) {
        file.finish(sets)?;
    }
    Ok(statistics)
}

/// Decodes an episode's frames and codes what each slot shows. Gives each camera's parameter sets and some of its key frames.
fn code_anew(
    plan: &Plan,
    episode: &Episode,
    key_every: u32,
    files: &mut [Mp4Writer],
    progress: &mut Progress<'_>,
) -> Result<Vec<(ParameterSets, Vec<u8>)>, ExportError> {
    let mut done = Vec::new();
    for (at, (camera, file)) in episode.cameras.iter().zip(files).enumerate() {
        let stream = ffmpeg::code_anew(plan, episode, camera, key_every)?;
        let (mut parser, mut keys) = (Stream::default(), Vec::new());
        let mut count = 0;
        for frame in frames(&stream) {
            let picture = parser.frame(&frame).map_err(|error| ExportError::Ffmpeg(error.to_string()))?;
            let units = nal_units(&frame).filter(|unit| belongs_in_sample(unit));
            file.sample(units, picture.key)?;
            count += 1;
            if picture.key {
                keys.push(frame.clone());
            }
            if at == 0 {
                progress.add(1);
            }
        }
        let sets =
            parser.parameter_sets().filter(|_| count == episode.grid.slots).cloned().ok_or_else(|| {
                let (name, slots) = (&camera.name, episode.grid.slots);
                ExportError::Ffmpeg(format!("camera {name}: it coded {count} of {slots} pictures"))
            })?;
        let step = keys.len().div_ceil(PICTURES).max(1);
        done.push((sets, keys.into_iter().step_by(step).flatten().collect()));
    }
    Ok(done)
}

/// One camera of the episode that is being copied.
struct Copying<'a> {
    camera: &'a CameraPlan,
    next_sample: usize,
    /// Which frames the statistics want, and those that came, as a stream.
    wanted: Vec<usize>,
    pictures: Vec<u8>,
}

/// Copies an episode's frames. Gives some of each camera's key frames, as streams.
fn copy(
    plan: &Plan,
    episode: &Episode,
    files: &mut [Mp4Writer],
    progress: &mut Progress<'_>,
) -> Result<Vec<Vec<u8>>, ExportError> {
    let cameras: Vec<&CameraPlan> = episode.cameras.iter().collect();
    let mut copying: Vec<Copying<'_>> = cameras.iter().map(|camera| Copying::new(camera)).collect();
    let mut told = 0;
    coded_frames(plan, episode, &cameras, |at, frame, data| {
        copying[at].take(frame, data, &mut files[at])?;
        if at == 0 && frame >= cameras[0].lead && told < episode.grid.slots {
            told += 1;
            progress.add(1);
        }
        Ok(())
    })?;
    progress.add(episode.grid.slots - told);
    Ok(copying.into_iter().map(|copying| copying.pictures).collect())
}

impl<'a> Copying<'a> {
    fn new(camera: &'a CameraPlan) -> Self {
        let keys = (0..camera.frames.len()).filter(|at| camera.frames[*at].key && *at >= camera.lead);
        let keys: Vec<usize> = keys.collect();
        // The stream's first key frame may lie before the episode; without any other it has to do.
        let keys = if keys.is_empty() { vec![0] } else { keys };
        let step = keys.len().div_ceil(PICTURES);
        let wanted = keys.into_iter().step_by(step).collect();
        Self { camera, next_sample: 0, wanted, pictures: Vec::new() }
    }

    fn take(&mut self, frame: usize, annex_b: &[u8], file: &mut Mp4Writer) -> Result<(), ExportError> {
        if self.wanted.binary_search(&frame).is_ok() {
            self.pictures.extend_from_slice(annex_b);
        }
        if self.camera.samples.get(self.next_sample) != Some(&Sample::Frame(frame)) {
            return Ok(()); // no slot shows it, and nothing that is shown refers to it
        }
        let units = nal_units(annex_b).filter(|unit| belongs_in_sample(unit));
        file.sample(units, self.camera.frames[frame].key)?;
        self.next_sample += 1;
        while let Some(Sample::Repeat(unit)) = self.camera.samples.get(self.next_sample) {
            file.sample(std::iter::once(unit.as_slice()), false)?;
            self.next_sample += 1;
        }
        Ok(())
    }
}

/// Means and deviations that networks trained on `ImageNet` expect, and the range of all pictures.
fn imagenet() -> Stats {
    Stats {
        min: vec![0.0; 3],
        max: vec![1.0; 3],
        mean: vec![0.485, 0.456, 0.406],
        std: vec![0.229, 0.224, 0.225],
        count: 1,
        quantiles: None,
    }
}
