//! One unbroken line of RTP time stamps: unwrapped, fitted, and told by the host clock.

use super::envelope::{Envelope, Taken};
use super::reports::Reports;
use super::{Anchor, ClockEvent, ClockSettings, ClockState, Place, Placed, Timing};
use crate::frame::{HostTime, RTP_RATE_HZ, SenderReport};

/// Jitter of a local network before anything was seen of it, s.
const NETWORK_S: f64 = 1e-3;
/// Stamps further back than this are no reordered frames, s.
const REORDER_S: f64 = 1.0;
/// So many frames in a row that come behind the newest stamp, each after the other: the stamps went back for good.
/// Reordered frames (B-frames) are passed by a newer one every few frames.
const BEHIND: u32 = 8;
/// Frames before the stamps are said to stand still.
const STILL: u32 = 3;
/// Frames that are all later than the line by more than [`LATE_S`] are on another line, if the earliest of each
/// [`LATE_FOR_S`] are late by the same in [`LATE_TIMES`] of them, but for [`LATE_SAME_S`]. A camera or network that falls behind, for
/// seconds or a minute, is late by something else each time, and the line is right.
const LATE_S: f64 = 0.1;
const LATE_FOR_S: f64 = 10.0;
const LATE_TIMES: usize = 3;
const LATE_SAME_S: f64 = 0.02;

/// Where a frame's time stamp is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Moved {
    To(f64),
    /// At or behind the newest one: reordered, or wrong.
    Behind,
    /// As the newest one again and again; `first` when this is noticed.
    StandsStill {
        first: bool,
    },
    /// Not on this line: a new segment begins with this frame.
    Jumped {
        by_ns: i64,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Segment {
    origin: HostTime,
    /// Newest time stamp, as sent and unwrapped.
    newest_rtp: u32,
    ticks: i64,
    newest_arrival: HostTime,
    line: Envelope,
    pub(super) reports: Reports,
    still: u32,
    behind: u32,
    last_behind: u32,
    /// There while all frames are late.
    late: Option<Late>,
    /// What stamps have still to be slewed, ns, at `slewed_to`.
    pending_ns: f64,
    slewed_to: Option<(f64, f64)>,
}

/// A run of frames that are all late.
#[derive(Clone, Debug)]
struct Late {
    since: HostTime,
    least_s: f64,
    /// Of the stretches before.
    leasts_s: Vec<f64>,
}

impl Late {
    /// Takes a late frame; by how much all are late, once that is sure.
    fn take(run: &mut Option<Self>, arrival: HostTime, late_s: f64) -> Option<f64> {
        let run = run.get_or_insert(Self { since: arrival, least_s: late_s, leasts_s: Vec::new() });
        run.least_s = run.least_s.min(late_s);
        if arrival.since(run.since) as f64 * 1e-9 <= LATE_FOR_S {
            return None;
        }
        run.leasts_s.push(run.least_s);
        (run.since, run.least_s) = (arrival, late_s);
        let last = &run.leasts_s[run.leasts_s.len().saturating_sub(LATE_TIMES)..];
        let least = last.iter().copied().fold(f64::INFINITY, f64::min);
        let most = last.iter().copied().fold(0.0, f64::max);
        (last.len() == LATE_TIMES && most - least < LATE_SAME_S).then_some(least)
    }
}

fn seconds(ticks: i64) -> f64 {
    ticks as f64 / f64::from(RTP_RATE_HZ)
}

fn nanos(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64
}

impl Segment {
    pub(super) fn new(rtp: u32, arrival: HostTime, before: Option<&Self>) -> Self {
        let mut line = before.map_or_else(|| Envelope::new(NETWORK_S), |before| before.line.begin_again());
        line.push(0.0, 0.0);
        Self {
            origin: arrival,
            newest_rtp: rtp,
            ticks: 0,
            newest_arrival: arrival,
            line,
            reports: Reports::default(),
            still: 0,
            behind: 0,
            last_behind: rtp,
            late: None,
            pending_ns: 0.0,
            slewed_to: None,
        }
    }

    fn y(&self, time: HostTime) -> f64 {
        time.since(self.origin) as f64 * 1e-9
    }

    /// Seconds between RTP and host time, at `x` on the line: the line is fitted to y - x, which is small.
    fn on_line(&self, x: f64) -> f64 {
        x + self.line.fit().map_or(0.0, |fit| fit.at(x))
    }

    /// A frame with this time stamp came.
    pub(super) fn moves(&mut self, rtp: u32, arrival: HostTime) -> Moved {
        let step = i64::from(rtp.wrapping_sub(self.newest_rtp).cast_signed());
        let by_ns = nanos(seconds(step)).saturating_sub(arrival.since(self.newest_arrival));
        if step == 0 {
            self.still += 1;
            if self.still < STILL {
                return Moved::Behind;
            }
            return Moved::StandsStill { first: self.still == STILL };
        }
        let stood = std::mem::take(&mut self.still) >= STILL;
        if step < 0 {
            let forward = rtp.wrapping_sub(self.last_behind).cast_signed() > 0;
            self.behind = if forward || self.behind == 0 { self.behind + 1 } else { 1 };
            self.last_behind = rtp;
            if seconds(-step) > REORDER_S || self.behind >= BEHIND || stood {
                return Moved::Jumped { by_ns };
            }
            return Moved::Behind;
        }
        self.behind = 0;
        let x = seconds(self.ticks + step);
        let y = self.y(arrival);
        let late = y - self.on_line(x);
        if late < -YOUNG_EARLY_S || stood {
            return Moved::Jumped { by_ns };
        }
        if late < LATE_S {
            self.late = None;
        } else if let Some(by_s) = Late::take(&mut self.late, arrival, late) {
            return Moved::Jumped { by_ns: -nanos(by_s) };
        }
        self.ticks += step;
        self.newest_rtp = rtp;
        self.newest_arrival = arrival;
        if self.line.push(x, y - x) == Taken::Restarted {
            self.late = None;
        }
        Moved::To(x)
    }

    /// A report came. It is believed if its time stamp is near that of the frames around it.
    pub(super) fn report(&mut self, report: &SenderReport) -> Vec<ClockEvent> {
        let step = i64::from(report.rtp.wrapping_sub(self.newest_rtp).cast_signed());
        let x = seconds(self.ticks + step);
        let y = self.y(report.arrival);
        let late = y - self.on_line(x);
        self.reports.take(x, y, late, report.camera.0, report.arrival)
    }

    pub(super) fn host_stepped(&mut self, by_ns: i64) {
        self.origin = self.origin.plus(by_ns);
        self.newest_arrival = self.newest_arrival.plus(by_ns);
        if let Some(late) = &mut self.late {
            late.since = late.since.plus(by_ns);
        }
        self.reports.host_stepped(by_ns);
    }

    /// Stamps from here on are moved by so much, at once.
    pub(super) fn stamps_step(&mut self, by_ns: i64) {
        if let Some((_, stamped)) = &mut self.slewed_to {
            *stamped += by_ns as f64;
        }
    }

    pub(super) fn state(&self, now: HostTime, settings: &ClockSettings) -> ClockState {
        if self.still >= STILL {
            return ClockState::ArrivalOnly;
        }
        match self.reports.newest().map(|arrival| now.since(arrival)) {
            None => ClockState::ArrivalOnly,
            Some(age) if age > settings.holdover_ns => ClockState::ArrivalOnly,
            Some(age) if age > settings.fresh_ns || self.reports.contradict() => ClockState::Holdover,
            Some(_) => ClockState::Locked,
        }
    }

    /// Where the stamp of `x` should be, ns since the origin, before slewing.
    fn aim(&self, x: f64, settings: &ClockSettings) -> f64 {
        let latency = match settings.anchor {
            Anchor::Frames => 0.0,
            Anchor::Reports => self.latency().unwrap_or(0.0),
        };
        (self.on_line(x) - latency) * 1e9 - settings.bias_ns as f64
    }

    /// How much later than reports frames are, s.
    fn latency(&self) -> Option<f64> {
        self.reports.earliest(|x| self.on_line(x)).map(|late| -late)
    }

    /// The stamp at `x`, slewed from the ones before, and the step that it makes where that cannot be slewed; `last` is the
    /// newest stamp of the camera.
    pub(super) fn stamp(
        &mut self,
        x: f64,
        settings: &ClockSettings,
        last: Option<HostTime>,
    ) -> (HostTime, Option<i64>) {
        let aim = self.aim(x, settings);
        let mut step = None;
        let stamp = match self.slewed_to {
            None => {
                // The first of this line. A small difference to the line before is slewed, too.
                if let Some(last) = last {
                    let ahead = last.since(self.origin) as f64 - aim;
                    self.pending_ns =
                        if ahead > 0.0 && ahead <= settings.step_ns as f64 { ahead } else { 0.0 };
                }
                aim + self.pending_ns
            }
            Some((before, stamped)) => {
                let dx = (x - before).max(0.0) * 1e9;
                let slope = 1.0 + self.line.fit().map_or(0.0, |fit| fit.slope);
                let expected = stamped + dx * slope;
                let off = aim - expected;
                let most = dx * settings.slew_ppm * 1e-6;
                let stamp = if off.abs() > settings.step_ns as f64 {
                    step = Some(off.round() as i64);
                    aim
                } else {
                    expected + off.clamp(-most, most)
                };
                self.pending_ns = stamp - aim;
                stamp
            }
        };
        self.slewed_to = Some((x, stamp));
        (self.origin.plus(stamp.round() as i64), step)
    }

    /// Fills in how well the stamp at `placed` is known.
    pub(super) fn describe(&self, placed: &Placed, settings: &ClockSettings, timing: &mut Timing) {
        let x = match placed.place {
            Place::On(x) => x,
            Place::Behind | Place::Nowhere => seconds(self.ticks),
        };
        let Some(line) = self.line.fit() else { return };
        let age = self.reports.newest().map(|arrival| placed.arrival.since(arrival));
        timing.report_age_ns = age;
        timing.latency_ns = self.latency().map(nanos);
        timing.uncertainty_ns = (line.sd_at(x) * 1e9).hypot(self.pending_ns);
        if timing.state != ClockState::Locked
            && let Some(age) = age
        {
            timing.uncertainty_ns +=
                age.saturating_sub(settings.fresh_ns).max(0) as f64 * settings.holdover_ppm * 1e-6;
        }
        if let Some(camera) = self.reports.camera_at(x) {
            let host = self.origin.plus(self.aim(x, settings).round() as i64);
            timing.offset_ns = Some(camera.saturating_sub(host.0));
            timing.residual_ns = Some(self.reports.residual_ns());
            timing.drift_ppm = Some(((1.0 + self.reports.slope()) / (1.0 + line.slope) - 1.0) * 1e6);
        }
    }
}

/// A frame cannot come so much before the line says that it was sent, s. Smaller steps the envelope judges.
const YOUNG_EARLY_S: f64 = 0.25;
