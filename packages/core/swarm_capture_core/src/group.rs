//! Which frames of several cameras belong together: one of each, the nearest in capture time, each in one group only.
//!
//! Vocabulary
//! - *pace*: the camera that groups are made around: the slowest of those that stream, since no camera can be in more groups
//!   than it has frames. Faster cameras have frames in no group; they are counted.
//! - *match*: frames of the pace's and another camera, at most [`GroupSettings::tolerance_ns`] apart. The gain of a match is
//!   tolerance minus distance; for each camera the matches with the greatest sum of gains are taken. "First that fits" locks
//!   one frame off for ever when the phases are near half a period; the greatest sum does not.
//!
//! Flow
//! 1. [`Grouper::frame`] for each stamped frame. The order between cameras does not matter, of one camera it is that of time.
//! 2. A frame of the pace is decided when every streaming camera is past it by the tolerance and one frame more, or when it is
//!    [`GroupSettings::wait_ns`] old: decided is the oldest, with the best matching of all that waits.
//! 3. [`Grouper::next`] gives the groups in the order of time.
//!
//! Bounds: nothing waits for longer than `wait_ns`, and no camera has more than [`GroupSettings::frames`] frames waiting.

use std::collections::VecDeque;

use crate::clock::ClockState;
use crate::frame::HostTime;

/// How frames are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// Frames further apart do not belong together, ns. Half a frame's period of the slowest camera takes every frame.
    pub tolerance_ns: i64,
    /// The longest that a frame waits for those of the other cameras, ns.
    pub wait_ns: i64,
    /// The most frames of one camera that wait; the oldest leaves.
    pub frames: usize,
    /// A camera without a frame for so long is not waited for and not missed, ns.
    pub silent_ns: i64,
}

impl Default for GroupSettings {
    /// For cameras of 25 Hz and more.
    fn default() -> Self {
        Self { tolerance_ns: 20_000_000, wait_ns: 250_000_000, frames: 64, silent_ns: 1_000_000_000 }
    }
}

/// A frame as far as groups are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupFrame {
    /// Of its camera.
    pub sequence: u64,
    pub capture: HostTime,
    pub state: ClockState,
}

/// Frames that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Of the groups since the grouper began.
    pub sequence: u64,
    /// By camera; none where it has no frame here.
    pub frames: Vec<Option<GroupFrame>>,
    /// Middle of the earliest and the latest capture.
    pub stamp: HostTime,
    /// Latest minus earliest capture, ns.
    pub residual_ns: i64,
    /// Whether every camera that streams has a frame here.
    pub complete: bool,
    /// The least that any frame's stamp rests on: with [`ClockState::ArrivalOnly`] the residual is not to be believed.
    pub weakest: ClockState,
}

/// What became of the frames: `frames = grouped + alone + late` once nothing waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    pub frames: u64,
    pub grouped: u64,
    /// Belongs to no group: its camera is faster than the pace, or no frame is near.
    pub alone: u64,
    /// Came when its time was decided already.
    pub late: u64,
    pub groups: u64,
}

/// Puts frames together. See the module.
#[derive(Clone, Debug)]
pub struct Grouper {
    settings: GroupSettings,
    cameras: Vec<Camera>,
    pace: usize,
    /// Groups up to here are decided.
    decided: HostTime,
    groups: VecDeque<Group>,
    counts: GroupCounts,
}

#[derive(Clone, Debug, Default)]
struct Camera {
    waiting: VecDeque<GroupFrame>,
    newest: Option<GroupFrame>,
    /// When the newest came, by the `now` of the calls.
    heard: Option<HostTime>,
    /// Mean time between frames, ns; forgets in about ten frames.
    period_ns: Option<f64>,
}

impl Camera {
    fn streams(&self, now: HostTime, settings: &GroupSettings) -> bool {
        self.heard.is_some_and(|heard| now.since(heard) <= settings.silent_ns)
    }
}

/// A camera takes the pace over when it is slower by a quarter: the rates of equal cameras differ by less.
const SLOWER: f64 = 1.25;

impl Grouper {
    /// For cameras 0 to `cameras` - 1.
    pub fn new(cameras: usize, settings: GroupSettings) -> Self {
        Self {
            settings,
            cameras: vec![Camera::default(); cameras],
            pace: 0,
            decided: HostTime(i64::MIN),
            groups: VecDeque::new(),
            counts: GroupCounts::default(),
        }
    }

    /// A frame was stamped; `now` is the present time by the host clock.
    ///
    /// # Panics
    ///
    /// If `camera` is none of those that the grouper was made for.
    pub fn frame(&mut self, camera: usize, frame: GroupFrame, now: HostTime) {
        self.counts.frames += 1;
        let limit = self.settings.frames;
        let own = &mut self.cameras[camera];
        own.heard = Some(now);
        if let Some(newest) = own.newest {
            let step = frame.capture.since(newest.capture) as f64;
            if step > 0.0 && step < self.settings.silent_ns as f64 {
                own.period_ns = Some(own.period_ns.map_or(step, |period| period + (step - period) / 10.0));
            }
        }
        let back_ns = own.newest.map_or(0, |newest| newest.capture.since(frame.capture));
        if back_ns > self.settings.silent_ns {
            // The host's clock was set back: what waits belongs to another time.
            self.decide_all();
            self.decided = HostTime(i64::MIN);
        } else if frame.capture.plus(self.settings.tolerance_ns) < self.decided
            || own.newest.is_some_and(|newest| frame.capture <= newest.capture)
        {
            self.counts.late += 1;
            if back_ns < 0 {
                own.newest = Some(frame); // it streams, and must not hold the others up
            }
            return;
        }
        let own = &mut self.cameras[camera];
        own.newest = Some(frame);
        own.waiting.push_back(frame);
        if own.waiting.len() > limit {
            own.waiting.pop_front();
            self.counts.alone += 1;
        }
        self.tick(now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: HostTime) {
        self.choose_pace(now);
        while let Some(first) = self.cameras[self.pace].waiting.front().copied() {
            let waited = now.since(first.capture) >= self.settings.wait_ns;
            if !waited && !self.all_are_past(first.capture, now) {
                break;
            }
            self.decide(now);
        }
        // Frames of the others that no frame of the pace can want any more.
        let waits = self.cameras[self.pace].waiting.front();
        let wanted = waits.map_or(now.plus(-self.settings.wait_ns), |first| first.capture);
        self.forget_before(wanted.plus(-self.settings.tolerance_ns));
    }

    /// Decides everything that waits, at the end.
    pub fn decide_all(&mut self) {
        let now = self.cameras.iter().filter_map(|camera| camera.heard).max().unwrap_or(HostTime(0));
        self.choose_pace(now);
        while !self.cameras[self.pace].waiting.is_empty() {
            self.decide(now);
        }
        self.forget_before(HostTime(i64::MAX));
    }

    /// The next group.
    #[allow(clippy::should_implement_trait)] // an iterator could not be fed between two items
    pub fn next(&mut self) -> Option<Group> {
        self.groups.pop_front()
    }

    pub fn counts(&self) -> GroupCounts {
        self.counts
    }

    fn choose_pace(&mut self, now: HostTime) {
        let settings = self.settings;
        // Stamps by arrival are no pace if there are others.
        let rank = |camera: &Camera| {
            let trusted = camera.newest.is_some_and(|frame| frame.state > ClockState::ArrivalOnly);
            (camera.streams(now, &settings), trusted, camera.period_ns.unwrap_or(0.0))
        };
        let (streams, trusted, period) = rank(&self.cameras[self.pace]);
        let better = |(_, camera): &(usize, &Camera)| {
            let other = rank(camera);
            (other.0, other.1) > (streams, trusted)
                || ((other.0, other.1) == (streams, trusted) && period > 0.0 && other.2 > SLOWER * period)
        };
        let best = self.cameras.iter().enumerate().filter(better).max_by(|(_, a), (_, b)| {
            let (a, b) = (rank(a), rank(b));
            (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2))
        });
        if let Some((index, _)) = best {
            self.pace = index;
        }
    }

    /// Whether no frame that is still to come can change what belongs to the frame at `capture`.
    fn all_are_past(&self, capture: HostTime, now: HostTime) -> bool {
        let period = self.cameras[self.pace].period_ns.unwrap_or(0.0) as i64;
        let past = capture.plus(self.settings.tolerance_ns + period);
        self.cameras
            .iter()
            .filter(|camera| camera.streams(now, &self.settings))
            .all(|camera| camera.newest.is_some_and(|newest| newest.capture > past))
    }

    /// Makes the group of the oldest frame of the pace.
    fn decide(&mut self, now: HostTime) {
        let pace: Vec<HostTime> = self.cameras[self.pace].waiting.iter().map(|frame| frame.capture).collect();
        let tolerance = self.settings.tolerance_ns;
        let mut frames = vec![None; self.cameras.len()];
        let mut complete = true;
        for (index, camera) in self.cameras.iter_mut().enumerate() {
            if index == self.pace {
                frames[index] = camera.waiting.pop_front();
                continue;
            }
            let own: Vec<HostTime> = camera.waiting.iter().map(|frame| frame.capture).collect();
            match best_match_of_first(&pace, &own, tolerance) {
                Some(matched) => {
                    // Older ones are in no later group: matches do not cross.
                    self.counts.alone += matched as u64;
                    frames[index] = camera.waiting.drain(..=matched).next_back();
                }
                None => complete &= !camera.streams(now, &self.settings),
            }
        }
        self.decided = self.decided.max(pace[0]);
        let captures = frames.iter().flatten().map(|frame: &GroupFrame| frame.capture.0);
        let (earliest, latest) =
            captures.fold((i64::MAX, i64::MIN), |(low, high), capture| (low.min(capture), high.max(capture)));
        let weakest =
            frames.iter().flatten().map(|frame| frame.state).min().unwrap_or(ClockState::ArrivalOnly);
        self.counts.grouped += frames.iter().flatten().count() as u64;
        self.groups.push_back(Group {
            sequence: self.counts.groups,
            stamp: HostTime(earliest.midpoint(latest)),
            residual_ns: latest.saturating_sub(earliest),
            complete,
            weakest,
            frames,
        });
        self.counts.groups += 1;
    }

    fn forget_before(&mut self, capture: HostTime) {
        for (_, camera) in self.cameras.iter_mut().enumerate().filter(|(index, _)| *index != self.pace) {
            while camera.waiting.front().is_some_and(|frame| frame.capture < capture) {
                camera.waiting.pop_front();
                self.counts.alone += 1;
            }
        }
    }
}

/// Which of `own` the first of `pace` gets in the matching with the greatest sum of gains; both are in the order of time.
///
/// In a best matching no two matches cross (uncrossing two never makes the sum of distances greater), so that it is found
/// by going through both lists from their ends.
fn best_match_of_first(pace: &[HostTime], own: &[HostTime], tolerance_ns: i64) -> Option<usize> {
    let gain = |i: usize, j: usize| tolerance_ns.saturating_sub(pace[i].since(own[j]).saturating_abs());
    let columns = own.len() + 1;
    // best[i * columns + j]: the greatest sum of gains of pace[i..] with own[j..].
    let mut best = vec![0_i64; (pace.len() + 1) * columns];
    for i in (0..pace.len()).rev() {
        for j in (0..own.len()).rev() {
            let skipped = best[(i + 1) * columns + j].max(best[i * columns + j + 1]);
            let matched = gain(i, j).saturating_add(best[(i + 1) * columns + j + 1]);
            best[i * columns + j] = if gain(i, j) >= 0 { skipped.max(matched) } else { skipped };
        }
    }
    let mut j = 0;
    while j < own.len() {
        let here = best[j];
        if here == best[j + 1] {
            j += 1; // own[j] is not needed
        } else if here == best[columns + j] {
            return None; // pace[0] is not needed
        } else {
            return Some(j);
        }
    }
    None
}

#[cfg(test)]
mod tests;
