//! When a camera's frames were captured, by the host clock.
//!
//! What can be known. A frame's RTP time stamp r is the camera's word for when it was captured, on a clock of unknown rate and
//! origin. Its first packet arrives at `host(r) + latency + delay`: `latency` is what encoder and wire take at least, constant
//! for a camera and its settings; `delay >= 0` is load and jitter. So the lower envelope of (r, arrival) over all frames is
//! `host(r) + latency`, thirty points a second and not one per report. Reports (RTCP, every 1 to 6 s) tie r to the camera's own
//! clock; they arrive too late and too rarely to place r on the host clock by themselves (six reports in 30 s through 20 ms
//! of jitter: 3 ms at best), so they do not move stamps unless [`Anchor::Reports`] is asked for.
//!
//! Error budget of a stamp, camera against camera
//! 1. Spread of the envelope, [`Timing::uncertainty_ns`]. Without jitter a few microseconds after a few seconds. Jitter that is
//!    even up to J costs about J / frames in the middle of what was seen, and three times that at its newest end, where the
//!    slope is still being learned. From 30 s on at 30 Hz through 20 ms, a cold start is 0.3 ms off between two cameras at the 99th
//!    percentile, and 50 us after five minutes; no estimator gets more out of 900 arrivals. What was learned on a quiet network
//!    before is held through jitter and load, to 100 us for minutes.
//! 2. Difference of the cameras' constant latencies: zero for equal cameras and settings; otherwise what is left after the
//!    calibrated bias is taken off ([`crate::calibrate`]).
//! 3. Resolution of RTP, 11 us, and whatever the camera does to its stamps: nominal stamps (exactly 1/30 s apart whatever the
//!    sensor did) are as good as the camera's word.
//! 4. Steps and slews of the host clock are common to all cameras and do not part them.
//!
//! What cannot be known from outside: the latency itself. [`Anchor::Reports`] measures it where reports leave the camera at
//! once; else a calibration with a flash does.
//!
//! Steps. A new fit does not make stamps jump: the difference is slewed off at [`ClockSettings::slew_ppm`], so that between two
//! frames `dt` apart the stamp moves by `dt (1 + drift) +- dt slew`. A difference beyond [`ClockSettings::step_ns`] is not slewed: stamps
//! make one step, the base's number grows, and a [`ClockEvent::NewBase`] says why. Within a base stamps grow strictly.
//!
//! | happens | what follows |
//! |---|---|
//! | no report yet | ARRIVAL_ONLY; the stamp is on the envelope all the same, so that the first report makes no step |
//! | reports stop | HOLDOVER, uncertainty grows by [`ClockSettings::holdover_ppm`]; ARRIVAL_ONLY after [`ClockSettings::holdover_ns`] |
//! | stamps jump or go back for good, a new origin after a reboot | a new line with the old drift as its guess; ARRIVAL_ONLY until a report confirms it |
//! | a single stamp goes back, or is early | it gets the next possible stamp; the line does not take it |
//! | stamps stand still | ARRIVAL_ONLY, stamped by arrival, until they move |
//! | a report contradicts the frames | it is counted and not used; three in a row end LOCKED |
//! | the camera's clock is set | the offset follows, stamps do not move |
//! | the host's clock is set | told by [`CameraClock::host_stepped`]; a new base |
//! | the bias becomes known, or another camera comes | told by [`CameraClock::set_bias`], [`CameraClock::other_camera`]; a new base |

mod envelope;
mod reports;
mod segment;

pub use envelope::{Envelope, Fit};

use crate::frame::{FrameHead, HostTime, SenderReport};
use segment::{Moved, Segment};

/// What the stamps' constant part rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anchor {
    /// The earliest frames: equal cameras agree within the envelope's spread, and all are late by their latency, which the
    /// calibrated bias takes off.
    #[default]
    Frames,
    /// The earliest reports: for different cameras without calibration on a quiet network. The latency between them and the frames
    /// is taken off; it is known to the jitter of the network divided by the number of reports.
    Reports,
}

/// How a camera's clock is followed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockSettings {
    pub anchor: Anchor,
    /// Constant lateness of this camera's stamps, to be taken off, ns; see [`crate::calibrate`].
    pub bias_ns: i64,
    /// Without a report for so long LOCKED becomes HOLDOVER, ns. Cameras report every 1 to 6 s.
    pub fresh_ns: i64,
    /// Without a report for so long HOLDOVER becomes `ARRIVAL_ONLY`, ns.
    pub holdover_ns: i64,
    /// By how much the uncertainty grows in HOLDOVER, parts per million of the time since the last report.
    pub holdover_ppm: f64,
    /// How fast stamps follow a new fit at most, parts per million.
    pub slew_ppm: f64,
    /// Differences beyond make a step and a new base, ns.
    pub step_ns: i64,
}

impl Default for ClockSettings {
    fn default() -> Self {
        Self {
            anchor: Anchor::Frames,
            bias_ns: 0,
            fresh_ns: 15_000_000_000,
            holdover_ns: 300_000_000_000,
            holdover_ppm: 10.0,
            slew_ppm: 1_000.0,
            step_ns: 50_000_000,
        }
    }
}

/// What a stamp rests on; the numbers are those of `swarm_msgs/FrameTiming`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ClockState {
    /// Arrivals alone: no report confirms the time stamps, or they are useless.
    ArrivalOnly = 0,
    /// Reports have stopped.
    Holdover = 1,
    /// A fit that fresh reports agree with.
    Locked = 2,
}

/// How well a stamp is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    pub state: ClockState,
    /// Camera's clock minus this host's, ns; none before the first report.
    pub offset_ns: Option<i64>,
    /// How much faster the camera's clock runs than the host's, parts per million.
    pub drift_ppm: Option<f64>,
    /// Root mean square of the reports around the fit of the camera's clock, ns.
    pub residual_ns: Option<f64>,
    /// Since the newest report that was believed, ns.
    pub report_age_ns: Option<i64>,
    /// How much later than a report a frame comes at least, ns: the latency of the encoder, as far as the reports tell.
    pub latency_ns: Option<i64>,
    /// Standard deviation of the stamp against those of an equal camera, ns.
    pub uncertainty_ns: f64,
    /// Calibrated lateness that was taken off, ns.
    pub bias_ns: i64,
    /// Number of the time base.
    pub base: u32,
}

/// When a frame was captured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stamp {
    pub capture: HostTime,
    pub timing: Timing,
}

/// A frame's place on the camera's RTP line, to be stamped now or when more is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed {
    place: Place,
    segment: u32,
    arrival: HostTime,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// Seconds of RTP time since the segment's first frame.
    On(f64),
    /// Not after the newest time stamp.
    Behind,
    /// Its time stamp is useless.
    Nowhere,
}

/// Why stamps made a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseChange {
    /// The camera's time stamps jumped, or a new session began, and the new line is elsewhere.
    Stamps,
    /// The host's clock was set.
    HostStepped { by_ns: i64 },
    /// How late the camera's stamps are became known.
    Calibrated,
    /// Another camera took the place of the one before.
    OtherCamera,
}

/// What a person should hear of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClockEvent {
    /// The state changed.
    State { from: ClockState, to: ClockState },
    /// Stamps from here on are in base `base`; the step is of `step_ns`.
    NewBase { base: u32, step_ns: i64, why: BaseChange },
    /// RTP time stamps moved by `by_ns` against arrivals.
    StampsJumped { by_ns: i64 },
    /// Several frames have one time stamp.
    StampsStandStill,
    /// The camera's clock was set, by about so much.
    CameraStepped { by_ns: i64 },
    /// Reports say a time stamp that no frame near them has.
    ReportsContradict,
}

/// The clock of one camera. See the module.
#[derive(Clone, Debug)]
pub struct CameraClock {
    settings: ClockSettings,
    segment: Option<Segment>,
    /// For frames that were placed before the present segment began.
    before: Option<Segment>,
    segments: u32,
    /// A report that came before the first frame.
    early_report: Option<SenderReport>,
    base: u32,
    last: Option<HostTime>,
    state: ClockState,
    events: Vec<ClockEvent>,
}

/// Stamps of one camera are at least so far apart.
const LEAST_STEP_NS: i64 = 1_000;

impl CameraClock {
    pub fn new(settings: ClockSettings) -> Self {
        Self {
            settings,
            segment: None,
            before: None,
            segments: 0,
            early_report: None,
            base: 0,
            last: None,
            state: ClockState::ArrivalOnly,
            events: Vec::new(),
        }
    }

    /// A new session: time stamps have a new origin. The drift that was learned is the guess for the new line.
    pub fn begin_session(&mut self) {
        self.early_report = None;
        self.retire();
    }

    fn retire(&mut self) {
        if self.segment.is_some() {
            self.before = self.segment.take();
        }
    }

    /// A frame came: learns from its arrival, and says where on the RTP line it is.
    pub fn place(&mut self, head: &FrameHead) -> Placed {
        let arrival = head.first_arrival;
        let moved = self.segment.as_mut().map(|segment| segment.moves(head.rtp, arrival));
        let place = match moved {
            Some(Moved::To(x)) => Place::On(x),
            Some(Moved::Behind) => Place::Behind,
            Some(Moved::StandsStill { first }) => {
                if first {
                    self.events.push(ClockEvent::StampsStandStill);
                }
                Place::Nowhere
            }
            Some(Moved::Jumped { by_ns }) => {
                self.events.push(ClockEvent::StampsJumped { by_ns });
                self.retire();
                self.begin_segment(head)
            }
            None => self.begin_segment(head),
        };
        Placed { place, segment: self.segments, arrival }
    }

    fn begin_segment(&mut self, head: &FrameHead) -> Place {
        self.segments += 1;
        let mut segment = Segment::new(head.rtp, head.first_arrival, self.before.as_ref());
        if let Some(report) = self.early_report.take() {
            segment.report(&report);
        }
        self.segment = Some(segment);
        Place::On(0.0)
    }

    /// A sender report came.
    pub fn report(&mut self, report: &SenderReport) {
        match &mut self.segment {
            None => self.early_report = Some(*report),
            Some(segment) => self.events.extend(segment.report(report)),
        }
        self.notice_state(report.arrival);
    }

    /// The host's clock was set forward by `by_ns` (negative: back). Arrivals from here on are told by the new time; see
    /// [`crate::HostStep::told_anew`] for those of packets that came before.
    pub fn host_stepped(&mut self, by_ns: i64) {
        for segment in [&mut self.segment, &mut self.before].into_iter().flatten() {
            segment.host_stepped(by_ns);
        }
        if let Some(report) = &mut self.early_report {
            report.arrival = report.arrival.plus(by_ns);
        }
        self.last = None;
        self.base += 1;
        self.events.push(ClockEvent::NewBase {
            base: self.base,
            step_ns: by_ns,
            why: BaseChange::HostStepped { by_ns },
        });
    }

    /// Stamps are late by `bias_ns`, which was not known before.
    pub fn set_bias(&mut self, bias_ns: i64) {
        if bias_ns != self.settings.bias_ns {
            self.begin_base(bias_ns, BaseChange::Calibrated);
        }
    }

    /// Another camera's frames come from here on, in a new session; their stamps are late by `bias_ns`. Nothing that was learned
    /// of the one before holds.
    pub fn other_camera(&mut self, bias_ns: i64) {
        (self.segment, self.before, self.early_report) = (None, None, None);
        self.begin_base(bias_ns, BaseChange::OtherCamera);
    }

    fn begin_base(&mut self, bias_ns: i64, why: BaseChange) {
        let step_ns = self.settings.bias_ns.saturating_sub(bias_ns);
        self.settings.bias_ns = bias_ns;
        for segment in [&mut self.segment, &mut self.before].into_iter().flatten() {
            segment.stamps_step(step_ns);
        }
        // Without a stamp before there is no step.
        if self.last.take().is_some() {
            self.base += 1;
            self.events.push(ClockEvent::NewBase { base: self.base, step_ns, why });
        }
    }

    /// Whether a report has confirmed the present time stamps.
    pub fn confirmed(&self) -> bool {
        self.segment.as_ref().is_some_and(|segment| segment.reports.newest().is_some())
    }

    /// Stamps a placed frame. Frames are stamped in the order in which they were placed.
    pub fn stamp(&mut self, placed: &Placed) -> Stamp {
        let settings = self.settings;
        self.notice_state(placed.arrival);
        // Those that waited through two jumps have no line any more.
        let older = self.segments - placed.segment.min(self.segments);
        let segment = match (&mut self.segment, &mut self.before) {
            (Some(segment), _) if older == 0 => Some(segment),
            (Some(_), Some(before)) if older == 1 => Some(before),
            (None, Some(before)) if older == 0 => Some(before),
            _ => None,
        };
        let mut step = None;
        let mut timing = Timing {
            state: ClockState::ArrivalOnly,
            offset_ns: None,
            drift_ppm: None,
            residual_ns: None,
            report_age_ns: None,
            latency_ns: None,
            uncertainty_ns: f64::INFINITY,
            bias_ns: settings.bias_ns,
            base: self.base,
        };
        let mut capture = placed.arrival.plus(-settings.bias_ns);
        if let Some(segment) = segment {
            timing.state = segment.state(placed.arrival, &settings);
            segment.describe(placed, &settings, &mut timing);
            match (placed.place, self.last) {
                (Place::On(x), last) => (capture, step) = segment.stamp(x, &settings, last),
                (Place::Behind, Some(last)) => capture = last.plus(LEAST_STEP_NS),
                (Place::Behind | Place::Nowhere, _) => {
                    timing.state = ClockState::ArrivalOnly;
                    timing.uncertainty_ns = f64::INFINITY;
                }
            }
        }
        if let Some(last) = self.last {
            let behind = last.plus(LEAST_STEP_NS).since(capture);
            if behind > settings.step_ns {
                // Only a new line can be so far back; growing strictly would hold all its frames at one instant.
                step = step.or(Some(-behind));
            } else if behind > 0 {
                capture = capture.plus(behind);
            }
            if let Some(step_ns) = step {
                self.base += 1;
                timing.base = self.base;
                self.events.push(ClockEvent::NewBase { base: self.base, step_ns, why: BaseChange::Stamps });
            }
        }
        self.last = Some(capture);
        Stamp { capture, timing }
    }

    /// The present state; `now` tells the age of the newest report.
    pub fn state(&self, now: HostTime) -> ClockState {
        self.segment.as_ref().map_or(ClockState::ArrivalOnly, |segment| segment.state(now, &self.settings))
    }

    /// Notes a change of state.
    pub fn notice_state(&mut self, now: HostTime) {
        let to = self.state(now);
        if to != self.state {
            self.events.push(ClockEvent::State { from: self.state, to });
            self.state = to;
        }
    }

    /// What happened since the last call, oldest first.
    pub fn take_events(&mut self) -> Vec<ClockEvent> {
        std::mem::take(&mut self.events)
    }
}

#[cfg(test)]
mod tests;
