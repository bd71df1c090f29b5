//! Observations of the physics as messages. Plain conversions, no decision.

use nalgebra::Isometry3;
use r2r::builtin_interfaces::msg::Time as Stamp;
use r2r::geometry_msgs::msg::{
    Point, Pose, Quaternion, Transform, TransformStamped, Vector3, Wrench, WrenchStamped,
};
use r2r::sensor_msgs::msg::JointState;
use r2r::std_msgs::msg::Header;
use r2r::swarm_msgs::msg::{GripperState, PartPose, PartPoses, SimDriver, SimReport};
use swarm_mujoco::driver::{Drive, StopCause};
use swarm_mujoco::urdf::{RobotLinks, Scene};
use swarm_mujoco::{Observation, Parts, RobotState};

use crate::pace::Pace;
use crate::report::{DriverWatch, Watch};

/// Name of the world frame.
pub const WORLD: &str = "world";

/// One sigma per axis of the simulated camera: 0.5 mm of noise, and up to 0.7 mm (uniform) that stays for a run.
const CAMERA_POSITION_STD_M: f64 = 0.000_65;
/// Likewise 0.3 degrees of noise and up to 0.3 degrees that stay.
const CAMERA_ORIENTATION_STD_RAD: f64 = 0.006;

fn header(stamp: &Stamp, frame_id: &str) -> Header {
    Header { stamp: stamp.clone(), frame_id: frame_id.to_owned() }
}

/// The arm joints of all robots; the order is the declaration's.
pub fn arm_states(scene: &Scene, observation: &Observation, stamp: &Stamp) -> JointState {
    let mut message = JointState { header: header(stamp, ""), ..JointState::default() };
    for (links, state) in scene.robots.iter().zip(&observation.robots) {
        message.name.extend(links.arm_joints.iter().cloned());
        message.position.extend(&state.position_rad);
        message.velocity.extend(&state.velocity_rad_s);
        message.effort.extend(&state.effort_nm);
    }
    message
}

/// The finger joints of all grippers, which robot_state_publisher needs to place the fingers.
pub fn finger_states(scene: &Scene, observation: &Observation, stamp: &Stamp) -> JointState {
    let mut message = JointState { header: header(stamp, ""), ..JointState::default() };
    for (links, state) in scene.robots.iter().zip(&observation.robots) {
        for (joint, (position, velocity)) in links.finger_joints.iter().zip(state.fingers) {
            message.name.push(joint.clone());
            message.position.push(position);
            message.velocity.push(velocity);
        }
    }
    message
}

/// Raw wrench in the flange frame.
pub fn wrench(links: &RobotLinks, state: &RobotState, stamp: &Stamp) -> WrenchStamped {
    let [fx, fy, fz, tx, ty, tz] = state.wrench;
    WrenchStamped {
        header: header(stamp, &links.flange),
        wrench: Wrench { force: Vector3 { x: fx, y: fy, z: fz }, torque: Vector3 { x: tx, y: ty, z: tz } },
    }
}

pub fn gripper_state(links: &RobotLinks, state: &RobotState, stamp: &Stamp) -> GripperState {
    GripperState {
        header: header(stamp, &links.gripper),
        robot: links.name.clone(),
        width: state.gripper.width_m,
        force: state.gripper.force_n,
        holding: state.gripper.holding,
    }
}

/// The parts as the simulated camera sees them.
pub fn part_poses(parts: &Parts, stamp: &Stamp) -> PartPoses {
    let part = |name: &str, pose: &Isometry3<f64>| PartPose {
        part: name.to_owned(),
        pose: pose_msg(pose),
        position_std: CAMERA_POSITION_STD_M,
        orientation_std: CAMERA_ORIENTATION_STD_RAD,
    };
    PartPoses {
        header: header(stamp, WORLD),
        parts: vec![part("part_a", &parts.pocket_in_world), part("part_b", &parts.tip_in_world)],
    }
}

/// A frame of the tree, or of a part, in its parent.
pub fn transform(parent: &str, child: &str, pose: &Isometry3<f64>, stamp: &Stamp) -> TransformStamped {
    let (p, q) = (pose.translation, pose.rotation);
    TransformStamped {
        header: header(stamp, parent),
        child_frame_id: child.to_owned(),
        transform: Transform {
            translation: Vector3 { x: p.x, y: p.y, z: p.z },
            rotation: Quaternion { x: q.i, y: q.j, z: q.k, w: q.w },
        },
    }
}

pub fn report(
    scene: &Scene,
    observation: &Observation,
    watch: &Watch,
    pace: &Pace,
    stamp: &Stamp,
) -> SimReport {
    let drivers = scene.robots.iter().zip(&observation.robots).zip(&watch.drivers);
    SimReport {
        header: header(stamp, WORLD),
        cycle: observation.cycle,
        sim_time: observation.time.as_secs_f64(),
        lag: pace.lag().as_secs_f64(),
        lost_time: pace.lost().as_secs_f64(),
        drivers: drivers.map(|((links, state), watch)| driver(&links.name, state, watch)).collect(),
        emergency_stop_cycles: count(watch.stop.latest()),
        mated: observation.mating.mated,
        mating_depth: observation.mating.depth_m,
        mating_lateral: observation.mating.lateral_m,
        mating_contact: observation.mating.contact_n,
        pocket: pose_msg(&observation.parts.pocket_in_world),
        tip: pose_msg(&observation.parts.tip_in_world),
    }
}

/// -1 stands for none.
fn count(cycles: Option<u64>) -> i64 {
    cycles.and_then(|cycles| i64::try_from(cycles).ok()).unwrap_or(-1)
}

fn driver(robot: &str, state: &RobotState, watch: &DriverWatch) -> SimDriver {
    SimDriver {
        robot: robot.to_owned(),
        drive: drive_word(state.drive).to_owned(),
        standing: watch.standing(),
        permit_age_cycles: watch.permit_age,
        stops: state.counters.stops,
        stop_permit_age_cycles: watch.stop_permit_age,
        cycles_since_stop: state.counters.cycles_since_stop,
        cycles_to_stand: count(state.counters.cycles_to_stand),
        reference_speed: state.reference_rad_s.iter().fold(0.0, |largest, v| v.abs().max(largest)),
        permits_refused: state.counters.permits_refused,
        commands_refused: state.counters.commands_refused,
    }
}

/// The words of `swarm_msgs/msg/SimDriver`.
pub fn drive_word(drive: Drive) -> &'static str {
    match drive {
        Drive::Following => "following",
        Drive::Stopping(StopCause::NoPermit) => "no_permit",
        Drive::Stopping(StopCause::PermitOld) => "permit_old",
        Drive::Stopping(StopCause::PermitZero) => "permit_zero",
        Drive::Stopping(StopCause::PermitBackwards) => "permit_backwards",
        Drive::Stopping(StopCause::NoCommand) => "no_command",
        Drive::Stopping(StopCause::CommandOld) => "command_old",
        Drive::Stopping(StopCause::CommandRefused) => "command_refused",
    }
}

fn pose_msg(pose: &Isometry3<f64>) -> Pose {
    let (p, q) = (pose.translation, pose.rotation);
    Pose {
        position: Point { x: p.x, y: p.y, z: p.z },
        orientation: Quaternion { x: q.i, y: q.j, z: q.k, w: q.w },
    }
}
