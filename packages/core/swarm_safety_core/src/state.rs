//! What one step hands to the next.

use swarm_base::Time;
use swarm_kinematics::JointVector;

use crate::MAX_ROBOTS;
use crate::cause::{Cause, CauseKind};
use crate::config::Config;
use crate::inputs::JointSample;
use crate::told::Told;
use crate::verdict::GripperTarget;

/// State of the cell's safety function. Only RUN and SLOW let motion pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SafetyState {
    /// Start-up, or an input is missing: waits for a reset.
    Deny,
    /// Reset done, every input fresh, robots at rest: the next valid command leads to RUN.
    Ready,
    /// Motion passes.
    Run,
    /// Motion passes, scaled down.
    Slow,
    /// Protective stop: the robots did as told, but must not go on.
    Stop2,
    /// Stop after a fault.
    Stop1,
    /// Stopped by `/emergency_stop`.
    Estop,
}

impl SafetyState {
    /// Every state, in the order of the numbers of `swarm_msgs/SafetyStatus`.
    pub const ALL: [Self; 7] =
        [Self::Deny, Self::Ready, Self::Run, Self::Slow, Self::Stop2, Self::Stop1, Self::Estop];

    /// Motion passes.
    pub const fn moves(self) -> bool {
        matches!(self, Self::Run | Self::Slow)
    }

    /// Held until a reset (a protective stop may be configured to release itself).
    pub const fn is_stop(self) -> bool {
        matches!(self, Self::Stop2 | Self::Stop1 | Self::Estop)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Deny => "DENY",
            Self::Ready => "READY",
            Self::Run => "RUN",
            Self::Slow => "SLOW",
            Self::Stop2 => "STOP2",
            Self::Stop1 => "STOP1",
            Self::Estop => "ESTOP",
        }
    }
}

/// State between two steps. Plain data: copy it, compare it, store it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    pub(crate) safety: SafetyState,
    pub(crate) epoch: u64,
    pub(crate) cycle: u64,
    pub(crate) cause: Option<Cause>,
    pub(crate) cause_cycle: u64,
    pub(crate) last_step: Option<Time>,
    pub(crate) generation: u64,
    /// Since when nothing has been wrong in a protective stop.
    pub(crate) clear_since: Option<Time>,
    pub(crate) robots: [RobotState; MAX_ROBOTS],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RobotState {
    /// Velocity last sent to the robot, rad/s.
    pub output: JointVector,
    /// Last accepted wish, rad/s; zero when no run moves the robot.
    pub target: JointVector,
    /// When that wish was sent; `None` when no run moves the robot.
    pub target_since: Option<Time>,
    /// Run and sequence of the newest command seen, accepted or not.
    pub seen_command: Option<(u64, u64)>,
    /// Run and sequence of the newest command accepted.
    pub last_command: Option<(u64, u64)>,
    /// Arrival of the newest gripper command seen; their messages name no run.
    pub seen_gripper: Option<Time>,
    /// What the gripper was told last; kept through every stop.
    pub gripper: Option<GripperTarget>,
    /// Joint state of the last step.
    pub joints: Option<JointSample>,
    /// Filtered measured acceleration, rad/s^2.
    pub acceleration: JointVector,
    pub told: Told,
    /// Since when the present stop has been asking it to brake; `None` once it has come to rest and stayed so.
    pub stopping: Option<Time>,
    /// Since when it has been at rest in the present stop.
    pub resting: Option<Time>,
}

impl RobotState {
    const INITIAL: Self = Self {
        output: JointVector::from_array_storage(nalgebra::ArrayStorage([[0.0; 7]])),
        target: JointVector::from_array_storage(nalgebra::ArrayStorage([[0.0; 7]])),
        target_since: None,
        last_command: None,
        seen_gripper: None,
        seen_command: None,
        gripper: None,
        joints: None,
        acceleration: JointVector::from_array_storage(nalgebra::ArrayStorage([[0.0; 7]])),
        told: Told::NOTHING,
        stopping: None,
        resting: None,
    };

    /// Whatever stop there is, the robot is not held to braking any more.
    pub(crate) fn end_braking(&mut self) {
        (self.stopping, self.resting) = (None, None);
    }

    /// No run moves the robot any more.
    pub(crate) fn let_go(&mut self) {
        self.target = JointVector::zeros();
        self.target_since = None;
    }
}

impl State {
    /// Denies everything. `epoch` must be above every epoch used before a restart, so that no command from then is
    /// taken: the wall clock in milliseconds will do.
    pub fn new(config: &Config, epoch: u64) -> Self {
        Self {
            safety: SafetyState::Deny,
            epoch,
            cycle: 0,
            cause: Some(Cause::cell(CauseKind::StartUp, 0.0, 0.0)),
            cause_cycle: 0,
            last_step: None,
            generation: config.generation(),
            clear_since: None,
            robots: [RobotState::INITIAL; MAX_ROBOTS],
        }
    }

    /// The state in which the gate goes on after it was inactive: nobody watched the cell meanwhile, so that what was ready is denied,
    /// in a new epoch. A stop stays a stop.
    #[must_use]
    pub fn left(&self) -> Self {
        let mut next = *self;
        // SR-02
        next.epoch += 1;
        next.clear_since = None;
        for robot in &mut next.robots {
            robot.let_go();
            // What it was told and where it stood is not known any more.
            robot.end_braking();
            robot.output = JointVector::zeros();
            robot.told = Told::NOTHING;
            robot.acceleration = JointVector::zeros();
            robot.joints = None;
        }
        if !self.safety.is_stop() {
            next.safety = SafetyState::Deny;
            next.cause = Some(Cause::cell(CauseKind::StartUp, 0.0, 0.0));
            next.cause_cycle = self.cycle;
        }
        next
    }

    pub fn state(&self) -> SafetyState {
        self.safety
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// Of the limits that the last step was made under.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }
}
