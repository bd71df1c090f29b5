//! One camera in one stretch of a recording: its frames, and what of them an episode shows.

use crate::grid::{Candidate, Grid, Needed, Shown, assign, error, rate};
use crate::h264::{NoRepeat, repeats};
use crate::options::{Options, Pictures};
use crate::recording::{Camera, Frame, Recording, Run};

use super::{CameraPlan, CodedFrame, Sample};

/// How far a camera's rate may be from the grid's where its frames stay as they are.
const RATE_TOLERANCE: f64 = 0.02;
/// How far off its slot such a frame may be, periods. More comes of groups that are long for how fast the camera is.
const MOST_OFF: f64 = 1.5;

/// A camera's frames in a stretch, from a key frame on; only those that can be decoded.
pub(super) struct Track<'a> {
    pub name: &'a str,
    camera: &'a Camera,
    pub frames: Vec<Frame>,
}

pub(super) fn cameras<'a>(
    recording: &'a Recording,
    run: &Run,
    options: &Options,
) -> Result<Vec<Track<'a>>, String> {
    if options.pictures == Pictures::LeftOut && options.cameras.is_none() {
        return Ok(Vec::new());
    }
    if recording.cameras.is_empty() {
        let topics =
            if recording.topics.is_empty() { "none".to_owned() } else { recording.topics.join(", ") };
        return Err(format!(
            "it has no camera's topic (CompressedVideo, CompressedImage, FFMPEGPacket): {topics}"
        ));
    }
    let known = || recording.cameras.keys().cloned().collect::<Vec<_>>().join(", ");
    let names: Vec<&str> = match &options.cameras {
        None => recording.cameras.keys().map(String::as_str).collect(),
        Some(names) => names.iter().map(String::as_str).collect(),
    };
    let track = |name: &'a str, camera: &'a Camera| -> Result<Track<'a>, String> {
        let wrong = |what: String| format!("camera {name}: {what}");
        if camera.frames.is_empty() && camera.problem.is_none() {
            return Err(wrong("it has no frames".to_owned()));
        }
        if camera.format != "h264" && !camera.format.is_empty() {
            return Err(wrong(format!("its frames are {}, and only h264 is exported", camera.format)));
        }
        if let Some(problem) = &camera.problem {
            return Err(wrong(problem.clone()));
        }
        if camera.sets.is_empty() {
            let count = camera.frames.len();
            return Err(wrong(format!("none of its {count} frames comes with parameter sets (SPS, PPS)")));
        }
        if let Some(at) = camera.frames.windows(2).position(|pair| pair[1].capture < pair[0].capture) {
            let back = (camera.frames[at].capture - camera.frames[at + 1].capture) as f64 / 1e6;
            return Err(wrong(format!("frame {}: the capture times go back by {back:.1} ms", at + 1)));
        }
        if let Some(at) =
            camera.frames.iter().position(|frame| frame.picture.is_some_and(|picture| picture.bidirectional))
        {
            return Err(wrong(format!(
                "frame {at}: it is a B-frame, whose order in the stream is not that of its time; set the camera up without"
            )));
        }
        let is_key = |frame: &Frame| frame.picture.is_some_and(|picture| picture.key);
        let until = camera.frames.partition_point(|frame| frame.capture <= run.end);
        let from = camera.frames[..until].partition_point(|frame| frame.capture < run.start);
        let key = camera.frames[..from.min(until)].iter().rposition(is_key);
        let key = key.or_else(|| camera.frames[from..until].iter().position(is_key).map(|at| from + at));
        let key = key.ok_or_else(|| wrong("it has no key frame (IDR) in this time".to_owned()))?;
        let frames =
            camera.frames[key..until].iter().filter(|frame| frame.picture.is_some()).copied().collect();
        Ok(Track { name, camera, frames })
    };
    names
        .into_iter()
        .map(|name| match recording.cameras.get_key_value(name) {
            Some((name, camera)) => track(name, camera),
            None => Err(format!("it has no camera {name}; it has {}", known())),
        })
        .collect()
}

/// The middle of one frame of each camera, which lie as close together as they do anywhere within a period around `from`; not more
/// than half a period before it. Frames of one group lie at one moment.
pub(super) fn start(cameras: &[Track<'_>], from: i64, period: i64) -> Option<i64> {
    let near = |track: &&Track<'_>| {
        let first = track.frames.partition_point(|frame| frame.moment < from - period);
        let near = track.frames[first..].iter().map(|frame| frame.moment);
        near.take_while(|capture| *capture <= from + period).collect::<Vec<_>>()
    };
    let near: Vec<Vec<i64>> = cameras.iter().map(|track| near(&track)).collect();
    let latest = |earliest: i64| {
        let next = |frames: &Vec<i64>| frames.iter().find(|capture| **capture >= earliest).copied();
        near.iter().map(next).try_fold(earliest, |latest, capture| Some(latest.max(capture?)))
    };
    let sets = near.iter().flatten().filter_map(|earliest| Some((*earliest, latest(*earliest)?)));
    let sets = sets.map(|(earliest, latest)| (latest - earliest, earliest + (latest - earliest) / 2));
    sets.filter(|(_, middle)| *middle >= from - period / 2).min().map(|(_, middle)| middle)
}

impl Track<'_> {
    fn wrong(&self, what: &str) -> String {
        format!("camera {}: {what}", self.name)
    }

    pub(super) fn plan(&self, grid: &Grid, options: &Options) -> Result<CameraPlan, String> {
        let captures: Vec<i64> = self.frames.iter().map(|frame| frame.capture).collect();
        let as_coded = options.pictures == Pictures::AsCoded;
        if as_coded {
            self.check_rate(&captures, grid)?;
        }
        let shown: Vec<Shown> = assign(grid, &self.candidates(as_coded))
            .into_iter()
            .collect::<Option<_>>()
            .ok_or_else(|| self.wrong("it has no frame at the episode's start"))?;
        self.check_repeats(grid, &shown, options)?;
        let (first, last) = (shown[0].frame(), shown[shown.len() - 1].frame());
        // Decoding begins at the key frame at or before slot 0.
        let key = self.frames[..=first].iter().rposition(is_key).unwrap_or(0);
        let frames = &self.frames[key..=last];
        let sets = &self.camera.sets[frames[0].sets];
        if let Some(at) = frames.iter().position(|frame| frame.sets != frames[0].sets) {
            let other = &self.camera.sets[frames[at].sets];
            let time = (frames[at].capture - grid.start) as f64 / 1e9;
            return Err(self.wrong(&format!(
                "its parameter sets change {time:.2} s into the episode, from {}x{} to {}x{} pixels; end the episode before (--range)",
                sets.width, sets.height, other.width, other.height
            )));
        }
        let shift = |shown: &Shown| match shown {
            Shown::Fresh(frame) => Shown::Fresh(frame - key),
            Shown::Repeated(frame) => Shown::Repeated(frame - key),
        };
        let mut plan = CameraPlan {
            name: self.name.to_owned(),
            topic: self.camera.topic.clone(),
            width: sets.width,
            height: sets.height,
            sets: sets.clone(),
            frames: frames.iter().map(coded).collect(),
            shown: shown.iter().map(shift).collect(),
            samples: Vec::new(),
            skipped: key,
            lead: if as_coded { first - key } else { 0 },
        };
        if as_coded {
            plan.samples = self.samples(&plan, frames, grid)?;
        }
        Ok(plan)
    }

    /// A frame that is decoded anyway can be left out anywhere.
    fn candidates(&self, as_coded: bool) -> Vec<Candidate> {
        let needed = |frame: &Frame| match frame.picture {
            _ if !as_coded => Needed::Never,
            Some(picture) if picture.key => Needed::Key,
            Some(picture) if !picture.reference => Needed::Never,
            _ => Needed::InGroup,
        };
        self.frames.iter().map(|frame| Candidate { moment: frame.moment, needed: needed(frame) }).collect()
    }

    fn check_rate(&self, captures: &[i64], grid: &Grid) -> Result<(), String> {
        let own = rate(captures).ok_or_else(|| self.wrong("its capture times stand still"))?;
        let fps = f64::from(grid.fps);
        if (own - fps).abs() <= fps * RATE_TOLERANCE {
            return Ok(());
        }
        Err(self.wrong(&format!(
            "it has {own:.2} frames/s and the dataset {fps}; frames that stay as they are coded must fit: --fps {}, or --reencode",
            own.round()
        )))
    }

    fn check_repeats(&self, grid: &Grid, shown: &[Shown], options: &Options) -> Result<(), String> {
        let most = (options.max_repeat.as_secs_f64() * f64::from(grid.fps)).floor() as usize;
        let mut repeated = 0;
        for (slot, shown) in shown.iter().enumerate() {
            repeated = if shown.is_fresh() { 0 } else { repeated + 1 };
            if repeated > most {
                let time = (slot + 1 - repeated) as f64 / f64::from(grid.fps);
                let longest = options.max_repeat.as_millis();
                return Err(self.wrong(&format!(
                    "it has no frame for more than {longest} ms, {time:.2} s into the episode (--max-repeat)"
                )));
            }
        }
        Ok(())
    }

    /// The video's samples, where frames stay as they are coded. Frames that no slot shows are needed by none that is shown.
    fn samples(&self, plan: &CameraPlan, frames: &[Frame], grid: &Grid) -> Result<Vec<Sample>, String> {
        let mut samples: Vec<Sample> = (0..plan.lead).map(Sample::Frame).collect();
        let seconds = |slot: usize| slot as f64 / f64::from(grid.fps);
        let mut slots = plan.shown.iter().enumerate().peekable();
        while let Some((slot, shown)) = slots.next() {
            let frame = shown.frame();
            let off = error(grid, slot, frames[frame].capture);
            if off.abs() > MOST_OFF {
                return Err(self.wrong(&format!(
                    "its frame is {:.0} ms off its slot {:.2} s into the episode, and can slip only at a key frame: --reencode",
                    off * 1e3 / f64::from(grid.fps),
                    seconds(slot)
                )));
            }
            samples.push(Sample::Frame(frame));
            let mut count = 0;
            while slots.next_if(|(_, shown)| !shown.is_fresh()).is_some() {
                count += 1;
            }
            if count == 0 {
                continue;
            }
            let next = slots.peek().map(|(_, shown)| &frames[shown.frame()]);
            let (before, after) =
                (frames[frame].picture.as_ref(), next.and_then(|frame| frame.picture.as_ref()));
            let copies = before
                .map_or(Err(NoRepeat::NotReference), |before| repeats(&plan.sets, before, after, count));
            let copies = copies.map_err(|why| {
                let time = seconds(slot);
                self.wrong(&format!(
                    "it has no frame for slots behind {time:.2} s, and the one before cannot be shown again as it is coded, since {why}: --reencode"
                ))
            })?;
            samples.extend(copies.into_iter().map(Sample::Repeat));
        }
        Ok(samples)
    }
}

fn is_key(frame: &Frame) -> bool {
    frame.picture.is_some_and(|picture| picture.key)
}

fn coded(frame: &Frame) -> CodedFrame {
    CodedFrame { capture: frame.capture, received: frame.received, size: frame.size, key: is_key(frame) }
}
