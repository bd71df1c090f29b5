//! One camera's stream in a recording: the heads of its frames.

use std::collections::BTreeMap;

use swarm_bag::video::VideoMessage;

use super::{Group, Timings};
use crate::grid::rate;
use crate::h264::{ParameterSets, Picture, PictureError, Stream};

/// One coded frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Frame {
    /// Nanoseconds since the epoch.
    pub capture: i64,
    /// As the bag has it.
    pub received: i64,
    /// Of the coded frame, bytes.
    pub size: usize,
    /// `None` if it cannot be decoded: the key frame before it did not come.
    pub picture: Option<Picture>,
    /// Index into [`Camera::sets`].
    pub sets: usize,
    /// As in FrameTiming; `None` where the bag does not say it.
    pub clock_state: Option<u8>,
    /// Something it builds upon was lost.
    pub damaged: bool,
    /// Number of the group that the recording puts it in; `None` where it says nothing.
    pub group: Option<u64>,
    /// What decides on its slot: the group's stamp, which is the same for all of the group, else its own capture. In order.
    pub moment: i64,
}

/// One camera's stream.
#[derive(Debug)]
pub(crate) struct Camera {
    pub topic: String,
    pub video: VideoMessage,
    pub format: String,
    pub frames: Vec<Frame>,
    /// All that were in force, in order.
    pub sets: Vec<ParameterSets>,
    /// The first thing that makes it unusable as H.264.
    pub problem: Option<String>,
    stream: Stream,
}

impl Camera {
    pub(super) fn new(topic: &str, video: VideoMessage) -> Self {
        Self {
            topic: topic.to_owned(),
            video,
            format: String::new(),
            frames: Vec::new(),
            sets: Vec::new(),
            problem: None,
            stream: Stream::default(),
        }
    }

    pub(super) fn take(&mut self, received: i64, message: &[u8]) {
        let number = self.frames.len();
        let problem = match self.video.decode(message) {
            Err(problem) => Some(problem.to_string()),
            Ok(video) => {
                let format = video.format.split([';', ',']).next().unwrap_or_default().trim().to_owned();
                let mut problem = None;
                if self.format.is_empty() {
                    self.format = format;
                } else if self.format != format {
                    problem = Some(format!("the codec changes from {} to {format}", self.format));
                }
                let picture = if self.format == "h264" { self.picture(video.data) } else { Ok(None) };
                let picture = picture.unwrap_or_else(|wrong| {
                    problem.get_or_insert(wrong);
                    None
                });
                self.frames.push(Frame {
                    capture: video.captured,
                    received,
                    size: video.data.len(),
                    picture,
                    sets: self.sets.len().saturating_sub(1),
                    clock_state: None,
                    damaged: false,
                    group: None,
                    moment: video.captured,
                });
                problem
            }
        };
        if let (None, Some(problem)) = (&self.problem, problem) {
            self.problem = Some(format!("frame {number}: {problem}"));
        }
    }

    /// `None` for a frame that nothing can be made of yet: no parameter sets came.
    fn picture(&mut self, data: &[u8]) -> Result<Option<Picture>, String> {
        match self.stream.frame(data) {
            Ok(picture) => {
                let current = self.stream.parameter_sets();
                if let Some(sets) = current.filter(|sets| self.sets.last() != Some(sets)) {
                    self.sets.push(sets.clone());
                }
                Ok(Some(picture))
            }
            Err(PictureError::NoParameterSets) if self.sets.is_empty() => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Groups by the capture of this camera's frame in them.
    pub(super) fn mark_groups(&mut self, groups: &BTreeMap<i64, Group>) {
        let mut before = i64::MIN;
        for frame in &mut self.frames {
            if let Some(group) = groups.get(&frame.capture) {
                frame.group = Some(group.number);
                frame.moment = group.stamp;
            }
            frame.moment = frame.moment.max(before);
            before = frame.moment;
        }
    }

    /// A frame is damaged from a loss to the next key frame; a loss is said by the timing, or by a gap in the frame numbers.
    ///
    /// Where more numbers are missing than frames by the time between, a key frame was among those that are lost. What follows up
    /// to the next one refers to pictures of another group: it is no picture, and decoders leave some of it out (libav does).
    pub(super) fn mark_damage(&mut self, timings: &Timings) {
        let captures: Vec<i64> = self.frames.iter().map(|frame| frame.capture).collect();
        let rate = rate(&captures);
        let (mut damaged, mut foreign) = (false, false);
        // The number that is due, and when the frame before was captured.
        let mut due: Option<(u32, i64)> = None;
        for frame in &mut self.frames {
            let timing = timings.get(&frame.capture);
            frame.clock_state = timing.map(|(state, _)| *state);
            let Some(picture) = frame.picture else { continue };
            let max =
                self.sets.get(frame.sets).map_or(16, |sets| 1u32 << sets.parsed_sps.log2_max_frame_num());
            let missing = due.map_or(0, |(due, _)| picture.frame_num.wrapping_sub(due) & (max - 1));
            let by_time = due.zip(rate).map_or(0.0, |((_, before), rate)| {
                ((frame.capture - before) as f64 / 1e9 * rate).round() - 1.0
            });
            if picture.key {
                (damaged, foreign) = (false, false);
            } else {
                damaged |= missing > 0 || timing.is_some_and(|(_, lost)| *lost);
                foreign |= f64::from(missing) > by_time.max(0.0);
            }
            frame.damaged = damaged;
            if foreign {
                frame.picture = None;
            }
            // The number of a picture that is no reference is the next reference's too.
            due = Some(((picture.frame_num + u32::from(picture.reference)) & (max - 1), frame.capture));
        }
    }
}
