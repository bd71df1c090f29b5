//! The answer of a step.

use swarm_kinematics::JointVector;

use crate::MAX_ROBOTS;
use crate::cause::Cause;
use crate::config::Config;
use crate::state::SafetyState;

/// What to do, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    pub state: SafetyState,
    /// Why the state is not READY or RUN; `None` in READY, RUN and SLOW.
    pub cause: Option<Cause>,
    /// Cycle in which the cause was first seen.
    pub cause_cycle: u64,
    /// Epoch in force after this step.
    pub epoch: u64,
    pub cycle: u64,
    /// State or cause differ from the last step's: publish at once.
    pub changed: bool,
    /// Answer to the reset request of this step: the epoch that it began.
    pub reset: Option<Result<u64, ResetRefusal>>,
    /// Robots in the order of the cell's declaration; entries beyond its robots stand still.
    pub robots: [RobotVerdict; MAX_ROBOTS],
}

/// What one robot is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RobotVerdict {
    /// Velocity to send now, rad/s, base to flange: scaled, ramped, within every limit.
    pub velocity: JointVector,
    /// Share of the commanded speed that is granted, 0 (stand still) to 1; 0 unless the state is RUN or SLOW.
    pub scale: f64,
    /// What the gripper was told last; `None` before the first command.
    pub gripper: Option<GripperTarget>,
    /// The gripper's target changed in this step.
    pub gripper_new: bool,
    /// A new command arrived in this step and was not taken.
    pub refusal: Option<Refusal>,
    /// The robot goes on moving after the stop, faster than braking explains: what the state asks for has no effect.
    pub stop_ineffective: bool,
    pub measures: Measures,
}

/// Width and force for a parallel gripper, within its limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GripperTarget {
    pub width_m: f64,
    pub force_n: f64,
}

/// How near a robot is to its limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measures {
    /// Speed of the tool centre point, m/s.
    pub tcp_speed_m_s: f64,
    pub tcp_speed_limit_m_s: f64,
    /// Speed of the elbow, m/s.
    pub elbow_speed_m_s: f64,
    pub elbow_speed_limit_m_s: f64,
    /// Linear momentum of arm and load, kg m/s.
    pub momentum_kg_m_s: f64,
    /// Infinite if not monitored.
    pub momentum_limit_kg_m_s: f64,
    /// Mechanical power of the joints, W; 0 without efforts.
    pub power_w: f64,
    /// Infinite if not monitored.
    pub power_limit_w: f64,
    /// Force after payload compensation, N.
    pub contact_force_n: f64,
    /// Collision level, N.
    pub contact_force_limit_n: f64,
    /// Distance to the nearest link of another robot, m; infinite if it is alone.
    pub separation_m: f64,
    pub separation_limit_m: f64,
    /// Distance between own links, m.
    pub self_separation_m: f64,
    /// Distance to the nearest fixture, m; infinite if there is none.
    pub fixture_separation_m: f64,
    /// Least distance at which a person may be by now, from what the sensors said, m; infinite if nobody is looked for or in range.
    pub human_separation_m: f64,
    /// Largest |velocity| / limit over the joints.
    pub joint_velocity_ratio: f64,
    /// Age of the older of joint state and wrench, s; infinite if one never came.
    pub input_age_s: f64,
}

/// Why a well-formed command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The cell is not ready: reset it first.
    NotReady,
    /// Meant for an epoch that a reset has ended.
    OldEpoch { command: u64, current: u64 },
    /// From another artifact than that whose envelope is loaded.
    OtherArtifact,
}

/// Why a reset was refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResetRefusal {
    /// The caller has not seen the latest status.
    WrongEpoch { request: u64, current: u64 },
    /// Robots are allowed to move: nothing to reset.
    Running,
    /// The last message on `/emergency_stop` is still true.
    EmergencyStopHeld,
    /// Something is still wrong.
    CausePersists(Cause),
    /// A robot has not come to rest, rad/s.
    Moving { robot: usize, velocity: f64 },
}

impl Verdict {
    /// The epoch that a reset began in this step. One that was granted in READY had nothing to do and began none.
    pub fn reset_began(&self) -> Option<u64> {
        let left_a_stop = self.changed && self.state == SafetyState::Ready;
        self.reset?.ok().filter(|_| left_a_stop)
    }

    /// Nothing moves.
    pub(crate) const UNDECIDED: Self = Self {
        state: SafetyState::Deny,
        cause: None,
        cause_cycle: 0,
        epoch: 0,
        cycle: 0,
        changed: false,
        reset: None,
        robots: [RobotVerdict::STILL; MAX_ROBOTS],
    };
}

impl RobotVerdict {
    pub(crate) const STILL: Self = Self {
        velocity: JointVector::from_array_storage(nalgebra::ArrayStorage([[0.0; 7]])),
        scale: 0.0,
        gripper: None,
        gripper_new: false,
        refusal: None,
        stop_ineffective: false,
        measures: Measures::NONE,
    };
}

impl Measures {
    pub(crate) const NONE: Self = Self {
        tcp_speed_m_s: 0.0,
        tcp_speed_limit_m_s: 0.0,
        elbow_speed_m_s: 0.0,
        elbow_speed_limit_m_s: 0.0,
        momentum_kg_m_s: 0.0,
        momentum_limit_kg_m_s: f64::INFINITY,
        power_w: 0.0,
        power_limit_w: f64::INFINITY,
        contact_force_n: 0.0,
        contact_force_limit_n: 0.0,
        separation_m: f64::INFINITY,
        separation_limit_m: 0.0,
        self_separation_m: f64::INFINITY,
        fixture_separation_m: f64::INFINITY,
        human_separation_m: f64::INFINITY,
        joint_velocity_ratio: 0.0,
        input_age_s: f64::INFINITY,
    };

    /// Every figure with its name, for whoever writes them out.
    pub fn figures(&self) -> [(&'static str, f64); 17] {
        macro_rules! figures {
            ($($name:ident),*) => {{
                let Self { $($name),* } = *self;
                [$((stringify!($name), $name)),*]
            }};
        }
        figures!(
            tcp_speed_m_s,
            tcp_speed_limit_m_s,
            elbow_speed_m_s,
            elbow_speed_limit_m_s,
            momentum_kg_m_s,
            momentum_limit_kg_m_s,
            power_w,
            power_limit_w,
            contact_force_n,
            contact_force_limit_n,
            separation_m,
            separation_limit_m,
            self_separation_m,
            fixture_separation_m,
            human_separation_m,
            joint_velocity_ratio,
            input_age_s
        )
    }
}

impl Refusal {
    /// Stable name for counters and logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotReady => "not_ready",
            Self::OldEpoch { .. } => "old_epoch",
            Self::OtherArtifact => "other_artifact",
        }
    }
}

impl ResetRefusal {
    /// Why, and what to do. Allocates: not for the loop.
    pub fn detail(&self, config: &Config) -> String {
        match self {
            Self::WrongEpoch { request, current } => format!(
                "reset was asked for epoch {request}, the cell is in epoch {current}: read the latest safety status and ask again"
            ),
            Self::Running => "the cell runs: there is nothing to reset".to_owned(),
            Self::EmergencyStopHeld => {
                "the last message on /emergency_stop is true: publish false there, then reset".to_owned()
            }
            Self::CausePersists(cause) => format!("{} persists: {}", cause.kind.code(), cause.detail(config)),
            Self::Moving { robot, velocity } => {
                let name = config.arms().get(*robot).map_or("", |arm| arm.name.as_str());
                format!("{name} still moves at {velocity:.3} rad/s: wait until it is at rest, then reset")
            }
        }
    }
}
