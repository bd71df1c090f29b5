//! Messages to values and back.

use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion};
use r2r::geometry_msgs::msg::{Pose, Wrench};
use r2r::swarm_msgs::msg::{RobotSafety, RoleState as RoleStateMsg, SafetyStatus};
use swarm_skill_core::{Activity, Outcome, RoleState};
use swarm_view::{Against, RobotView, SafetyView};

use crate::world::Safety;

pub fn wrench(message: &Wrench) -> [f64; 6] {
    let (f, m) = (&message.force, &message.torque);
    [f.x, f.y, f.z, m.x, m.y, m.z]
}

/// `None` for a pose with values that are not finite or a quaternion that is none.
pub fn pose(message: &Pose) -> Option<Isometry3<f64>> {
    let (p, o) = (&message.position, &message.orientation);
    let quaternion = Quaternion::new(o.w, o.x, o.y, o.z);
    let usable = [p.x, p.y, p.z, o.w, o.x, o.y, o.z].iter().all(|value| value.is_finite());
    (usable && (quaternion.norm() - 1.0).abs() < 1e-3).then(|| {
        Isometry3::from_parts(Translation3::new(p.x, p.y, p.z), UnitQuaternion::from_quaternion(quaternion))
    })
}

pub fn safety(message: &SafetyStatus) -> Safety {
    let name = safety_state_name(message.state);
    let state = match (message.cause.as_str(), message.detail.as_str()) {
        ("", _) => name.to_owned(),
        (cause, "") => format!("{name}: {cause}"),
        (cause, detail) => format!("{name}: {cause} ({detail})"),
    };
    Safety {
        epoch: message.epoch,
        permits_motion: matches!(name, "READY" | "RUN" | "SLOW"),
        state,
        artifact: message.artifact.clone(),
        view: safety_view(message, name),
    }
}

fn safety_view(message: &SafetyStatus, state: &str) -> SafetyView {
    let robot = |robot: &RobotSafety| RobotView {
        robot: robot.robot.clone(),
        speed_scale: robot.speed_scale,
        tcp_speed: Against::new(robot.tcp_speed, robot.tcp_speed_limit),
        contact_force: Against::new(robot.contact_force, robot.contact_force_limit),
        separation: Against::new(robot.separation, robot.separation_limit),
        joint_velocity_ratio: robot.joint_velocity_ratio.is_finite().then_some(robot.joint_velocity_ratio),
    };
    SafetyView {
        state: state.to_owned(),
        cause: message.cause.clone(),
        detail: message.detail.clone(),
        epoch: message.epoch,
        age_s: None,
        robots: message.robots.iter().map(robot).collect(),
    }
}

pub fn safety_state_name(state: u8) -> &'static str {
    ["DENY", "READY", "RUN", "SLOW", "STOP2", "STOP1", "ESTOP"].get(usize::from(state)).unwrap_or(&"unknown")
}

pub fn role_state(state: &RoleState) -> RoleStateMsg {
    RoleStateMsg {
        role: state.role.to_string(),
        robot: state.robot.clone(),
        phase: state.phase.clone(),
        progress: state.progress,
        state: activity_constant(state.activity),
        message: state.message.clone(),
    }
}

/// The outcome's constant of `ExecuteSkill.action`, and its message.
pub fn outcome(outcome: &Outcome) -> (u8, String) {
    match outcome {
        Outcome::Succeeded => (0, String::new()),
        Outcome::Aborted(reason) => (1, reason.clone()),
        Outcome::Canceled(reason) => (2, reason.clone()),
    }
}

fn activity_constant(activity: Activity) -> u8 {
    match activity {
        Activity::Idle => 0,
        Activity::Joining => 1,
        Activity::Running => 2,
        Activity::Holding => 3,
        Activity::Succeeded => 4,
        Activity::Aborted => 5,
        Activity::Canceled => 6,
    }
}
