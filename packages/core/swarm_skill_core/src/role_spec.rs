//! What a role of a run is made from, and how it says that it is doing.

use std::fmt;
use std::sync::Arc;

use swarm_base::{Duration, Role, Time};
use swarm_bt::Tree;
use swarm_kinematics::{ArmModel, JointVector, Load};

use crate::cooperation::{Phase, Timing};
use crate::motion::MotionLimits;
use crate::policy::NamedPolicy;
use crate::role_io::RoleInputs;

/// What a role is: made when a skill is deployed, used for every run of it.
#[derive(Clone, Debug)]
pub struct RoleSpec {
    pub role: Role,
    /// The robot that plays the role.
    pub robot: String,
    pub arm: Arc<ArmModel>,
    pub tool: Load,
    /// Rest posture, rad: goal of `MoveJoints` without a position, and what a redundant arm is drawn to.
    pub home: JointVector,
    pub limits: MotionLimits,
    /// Age from which measurements of the robot are none: the run is aborted. [`INPUT_TIMEOUT`] or longer.
    pub input_timeout: Duration,
    /// Loaded with [`crate::registry`].
    pub tree: Arc<Tree>,
    pub policy: Option<NamedPolicy>,
}

impl RoleSpec {
    /// The measurement that is too old to move by, in words; `None` if none is.
    pub fn stale_input(&self, inputs: &RoleInputs, now: Time) -> Option<String> {
        let measured = [("joint state", inputs.joints.at), ("wrench", inputs.wrench.at)];
        measured.into_iter().find_map(|(what, at)| {
            stale(format_args!("the {what} of {}", self.robot), now.since(at), self.input_timeout)
        })
    }
}

/// That something measured is too old, in words; `None` if it is not.
pub(crate) fn stale(what: impl fmt::Display, age: Duration, limit: Duration) -> Option<String> {
    if age <= limit {
        return None;
    }
    let (age, limit) = (age.as_micros() / 1_000, limit.as_micros() / 1_000);
    Some(format!("{what} is {age} ms old, at most {limit} ms are allowed"))
}

/// How a role is doing, in the words of `swarm_msgs/RoleState`.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleState {
    pub role: Role,
    pub robot: String,
    /// The phase entered last; empty before the first.
    pub phase: String,
    /// 0..1.
    pub progress: f64,
    pub activity: Activity,
    /// Why, when holding or ended.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    Idle,
    /// Waits for the other roles to be started.
    Joining,
    Running,
    Holding,
    Succeeded,
    Aborted,
    Canceled,
}

/// Measurements older than this are none, unless the cell allows the safety gate's own to be older still (on a machine without
/// real-time scheduling).
pub const INPUT_TIMEOUT: Duration = Duration::from_millis(100);

/// What the executors that one process makes for a run have in common.
#[derive(Clone, Debug)]
pub struct RunIdentity {
    /// Trace id.
    pub run: String,
    pub epoch: u64,
    /// Tells them from every other executor of the same roles, in another process or an earlier one: two that have the same number are
    /// one to everybody else.
    pub instance: u64,
    pub roles: Vec<Role>,
    pub phases: Vec<Phase>,
    pub timing: Timing,
}
