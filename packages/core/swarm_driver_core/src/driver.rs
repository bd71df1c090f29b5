//! One robot's shell: what arrives, and what each cycle makes of it.

use swarm_base::{Duration, Time};

use crate::effect::{Effect, EffectWatch, MEASURED_FRESH};
use crate::leave::{Leave, LeaveRules, MonitorState, News, PermitHeard, StatusHeard};
use crate::means::{Means, MeansOffered, Request};
use crate::motion::{Kind, Measured, Motion, Output};

/// How much faster than its limit a joint may be commanded before the command is called absurd: rounding, and no more.
const LIMIT_SLACK: f64 = 1.0 + 1e-6;

/// Why the arm is told to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopCause {
    /// The node is not active.
    Inactive,
    NoPermit,
    PermitOld,
    PermitZero,
    /// Epoch or sequence of a permit went back.
    PermitBackwards,
    /// A scale outside 0..1 or no number, lists of unlike length, or a robot named twice.
    PermitMalformed,
    PermitNamesOthers,
    /// The stamp is not of this moment.
    PermitStamp,
    NoStatus,
    StatusOld,
    /// The monitor's state does not move.
    MonitorStopped,
    /// Permit and status name different epochs.
    EpochDiffers,
    /// No reset was seen since the start, or since the monitor stopped.
    NoReset,
    /// The arm's means have not let go yet.
    ArmNotReady,
    NoCommand,
    CommandOld,
    /// Wrong length, no number, or beyond a joint's highest speed.
    CommandRefused,
    /// Nobody says where the arm is, and a trajectory starts there.
    NotMeasured,
    /// The arm lags far behind the trajectory; a reset is needed.
    NotFollowing,
}

impl StopCause {
    /// Stable word for diagnostics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::NoPermit => "no_permit",
            Self::PermitOld => "permit_old",
            Self::PermitZero => "permit_zero",
            Self::PermitBackwards => "permit_backwards",
            Self::PermitMalformed => "permit_malformed",
            Self::PermitNamesOthers => "permit_names_others",
            Self::PermitStamp => "permit_stamp",
            Self::NoStatus => "no_status",
            Self::StatusOld => "status_old",
            Self::MonitorStopped => "monitor_stopped",
            Self::EpochDiffers => "epoch_differs",
            Self::NoReset => "no_reset",
            Self::ArmNotReady => "arm_not_ready",
            Self::NoCommand => "no_command",
            Self::CommandOld => "command_old",
            Self::CommandRefused => "command_refused",
            Self::NotMeasured => "not_measured",
            Self::NotFollowing => "not_following",
        }
    }
}

/// What the arm is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Following,
    Standing(StopCause),
}

/// What a shell is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub robot: String,
    pub kind: Kind,
    /// Time between two cycles.
    pub period: Duration,
    /// Highest speed of each joint, rad/s, base to flange.
    pub velocity_limits_rad_s: Vec<f64>,
    /// Age from which a command counts no more.
    pub command_timeout: Duration,
    pub leave: LeaveRules,
    pub means: MeansOffered,
}

/// What one cycle comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub output: Output,
    pub requests: Vec<Request>,
    pub doing: Doing,
}

#[derive(Clone, Debug)]
struct Command {
    arrival: Time,
    velocity_rad_s: Vec<f64>,
}

/// One robot's shell.
#[derive(Clone, Debug)]
pub struct Driver {
    options: Options,
    active: bool,
    leave: Leave,
    means: Means,
    motion: Motion,
    command: Option<Command>,
    command_refused: bool,
    measured: Option<Measured>,
    effect: EffectWatch,
    doing: Doing,
    last_cycle: Option<Time>,
    lost_track: bool,
    commands_refused: u64,
}

impl Driver {
    pub fn new(options: Options) -> Self {
        let joints = options.velocity_limits_rad_s.len();
        Self {
            active: false,
            leave: Leave::new(options.robot.clone(), options.leave),
            means: Means::new(options.means),
            motion: Motion::new(options.kind, joints, options.period),
            command: None,
            command_refused: false,
            measured: None,
            effect: EffectWatch::default(),
            doing: Doing::Standing(StopCause::Inactive),
            last_cycle: None,
            lost_track: false,
            commands_refused: 0,
            options,
        }
    }

    /// Begins or ends to act; motion needs a reset after either.
    pub fn set_active(&mut self, active: bool) {
        self.active = active;
        self.leave.disarm();
    }

    pub fn hear_permit(&mut self, permit: &PermitHeard<'_>) {
        self.leave.hear_permit(permit);
    }

    pub fn hear_status(&mut self, status: StatusHeard) {
        let news = self.leave.hear_status(status);
        if news == News::Reset {
            // What was commanded before the reset is over.
            self.command = None;
            self.lost_track = false;
        }
        if self.means.hear(news, status.arrival) {
            self.motion.forget_stand();
        }
    }

    /// Joint velocities from the gate, rad/s.
    pub fn hear_command(&mut self, velocity: &[f64], arrival: Time) {
        let limits = &self.options.velocity_limits_rad_s;
        // What is no number is not below any limit.
        let sane = velocity.len() == limits.len()
            && velocity.iter().zip(limits).all(|(v, limit)| v.abs() <= limit * LIMIT_SLACK);
        self.command_refused = !sane;
        if sane {
            self.command = Some(Command { arrival, velocity_rad_s: velocity.to_vec() });
        } else {
            self.commands_refused += 1;
        }
    }

    /// Where the joints are. What is no number, or of another arm, is no measurement.
    pub fn hear_measured(&mut self, measured: Measured) {
        let joints = self.options.velocity_limits_rad_s.len();
        let sane = |values: &[f64]| values.len() == joints && values.iter().all(|value| value.is_finite());
        if sane(&measured.position_rad) && sane(&measured.velocity_rad_s) {
            self.measured = Some(measured);
        }
    }

    /// The answer to a request of [`Said`].
    pub fn hear_answer(&mut self, number: u64, answer: Result<(), String>) {
        self.means.answered(number, answer);
    }

    /// One cycle. Whatever way it ends, the controller has been told what to do.
    pub fn cycle(&mut self, now: Time) -> Said {
        let elapsed = self.last_cycle.map_or(self.options.period, |last| now.since(last));
        self.last_cycle = Some(now);
        if self.leave.status_silent(now) {
            self.means.stop(MonitorState::Deny);
            self.leave.disarm();
        }
        let (output, doing) = match self.decide(now) {
            Ok(velocity) => {
                (self.motion.follow(&velocity, self.measured.as_ref(), elapsed), Doing::Following)
            }
            Err(cause) => {
                self.lost_track |= cause == StopCause::NotFollowing;
                (self.motion.stand(self.measured.as_ref(), elapsed, now), Doing::Standing(cause))
            }
        };
        self.doing = doing;
        self.effect.told(output.stands(), now);
        Said { output, requests: self.means.due(now), doing }
    }

    /// Whether the arm follows what it may follow no more: the next cycle should not wait for its turn.
    pub fn stop_is_due(&self, now: Time) -> bool {
        self.doing == Doing::Following && self.decide(now).is_err()
    }

    /// When the next cycle is due: at its `turn`, or before it when what the arm follows counts no more.
    pub fn next_due(&self, turn: Time) -> Time {
        self.follows_until().map_or(turn, |end| end.min(turn))
    }

    /// When silence alone ends what the arm follows; `None` while it stands.
    pub fn follows_until(&self) -> Option<Time> {
        if self.doing != Doing::Following {
            return None;
        }
        let end = self.leave.expires_at()?.min(self.command_ends(self.command.as_ref()?));
        if !self.motion.needs_measured() {
            return Some(end);
        }
        Some(end.min(measured_ends(self.measured.as_ref()?)))
    }

    /// What the last cycle came to.
    pub fn doing(&self) -> Doing {
        self.doing
    }

    pub fn effect(&self, now: Time) -> Effect {
        self.effect.look(self.measured.as_ref(), now)
    }

    pub fn means(&self) -> &Means {
        &self.means
    }

    /// Permits and commands that did not count so far.
    pub fn refused(&self) -> (u64, u64) {
        (self.leave.permits_refused(), self.commands_refused)
    }

    /// The velocities to follow now, or why the arm stands.
    fn decide(&self, now: Time) -> Result<Vec<f64>, StopCause> {
        if !self.active {
            return Err(StopCause::Inactive);
        }
        let scale = self.leave.scale_at(now)?;
        if self.lost_track {
            return Err(StopCause::NotFollowing);
        }
        if !self.means.ready() {
            return Err(StopCause::ArmNotReady);
        }
        if self.command_refused {
            return Err(StopCause::CommandRefused);
        }
        let command = self.command.as_ref().ok_or(StopCause::NoCommand)?;
        if now >= self.command_ends(command) {
            return Err(StopCause::CommandOld);
        }
        if self.motion.needs_measured() {
            let fresh = self.measured.as_ref().filter(|measured| now < measured_ends(measured));
            let measured = fresh.ok_or(StopCause::NotMeasured)?;
            if self.motion.lags(measured) {
                return Err(StopCause::NotFollowing);
            }
        }
        Ok(bounded(&command.velocity_rad_s, &self.options.velocity_limits_rad_s, scale))
    }

    fn command_ends(&self, command: &Command) -> Time {
        command.arrival + self.options.command_timeout
    }
}

fn measured_ends(measured: &Measured) -> Time {
    measured.arrival + MEASURED_FRESH
}

/// `velocity`, slowed down as a whole until no joint exceeds `scale` of its limit. The gate has scaled already; this is a bound.
fn bounded(velocity: &[f64], limits: &[f64], scale: f64) -> Vec<f64> {
    let excess = velocity.iter().zip(limits).map(|(v, limit)| v.abs() / (limit * scale)).fold(1.0, f64::max);
    velocity.iter().map(|v| v / excess).collect()
}
