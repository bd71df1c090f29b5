//! From wishes to velocities: which commands are taken, how far they are scaled down, how fast outputs may change.

use swarm_base::Time;
use swarm_kinematics::JointVector;

use crate::cause::{Cause, CauseKind};
use crate::checks::{Findings, age_s};
use crate::config::{ArmConfig, Config};
use crate::inputs::{CommandSample, Input, InputFault, RobotInputs};
use crate::limits::{CellLimits, GripperLimits, RobotLimits, WrenchLimits};
use crate::observed::Observed;
use crate::state::RobotState;
use crate::verdict::{GripperTarget, Refusal};

/// What a step asks of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    pub robot: usize,
    pub epoch: u64,
    /// The cell is READY, RUN or SLOW.
    pub open: bool,
    pub now: Time,
}

/// What became of a robot's commands in one step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    /// A motion or gripper command was accepted.
    pub accepted: bool,
    pub gripper_new: bool,
    pub refusal: Option<Refusal>,
}

/// Takes what is new of a robot's commands.
pub(crate) fn take_commands(
    config: &Config,
    gate: &Gate,
    input: &RobotInputs,
    seen: Option<&Observed>,
    robot: &mut RobotState,
    findings: &mut Findings,
) -> Taken {
    let mut taken = Taken::default();
    if let Some(command) = &input.command {
        take_velocity(config, gate, command, seen, robot, &mut taken, findings);
    }
    if let Some(gripper) = &input.gripper
        && robot.seen_gripper != Some(gripper.arrival)
    {
        robot.seen_gripper = Some(gripper.arrival);
        if !gripper.width_m.is_finite() || !gripper.force_n.is_finite() {
            let kind = CauseKind::Malformed(Input::GripperCommand, InputFault::NotFinite);
            findings.report(Cause::robot(kind, gate.robot, 0.0, 0.0));
        } else if let Some(refusal) = refusal(gate, gripper.epoch, gripper.artifact_matches) {
            taken.refusal.get_or_insert(refusal);
        } else if age_s(gate.now, Some(gripper.arrival)) <= config.in_force().cell.command_timeout_s {
            let limits = &config.in_force().robots[gate.robot].gripper;
            robot.gripper = Some(within(limits, gripper.width_m, gripper.force_n));
            taken.gripper_new = true;
            taken.accepted = true;
        }
    }
    taken
}

fn take_velocity(
    config: &Config,
    gate: &Gate,
    command: &CommandSample,
    seen: Option<&Observed>,
    robot: &mut RobotState,
    taken: &mut Taken,
    findings: &mut Findings,
) {
    let limits = &config.in_force().robots[gate.robot];
    let this = (command.run, command.sequence);
    if robot.seen_command == Some(this) {
        return;
    }
    robot.seen_command = Some(this);
    if command.velocity.iter().any(|value| !value.is_finite()) {
        let kind = CauseKind::Malformed(Input::Command, InputFault::NotFinite);
        findings.report(Cause::robot(kind, gate.robot, 0.0, 0.0));
        return;
    }
    if let Some(refusal) = refusal(gate, command.epoch, command.artifact_matches) {
        taken.refusal = Some(refusal);
        return;
    }
    if let Some((run, sequence)) = robot.last_command {
        if run == command.run && command.sequence < sequence {
            let (value, limit) = (command.sequence as f64, sequence as f64);
            findings.report(Cause::robot(CauseKind::CommandSequence, gate.robot, value, limit));
            return;
        }
        if run != command.run && robot.target.amax() > 0.0 {
            findings.report(Cause::robot(CauseKind::CommandSource, gate.robot, 0.0, 0.0));
            return;
        }
    }
    if age_s(gate.now, Some(command.sent)) > config.in_force().cell.command_timeout_s {
        // It lay in a queue: the time-out of the stream says the rest.
        return;
    }
    let absurd = config.tolerances().absurd_command;
    for (joint, wish) in command.velocity.iter().enumerate() {
        let limit = limits.joints.velocity[joint] * absurd;
        if wish.abs() > limit {
            let kind = CauseKind::JointVelocityCommand;
            findings.report(Cause::joint(kind, gate.robot, joint, *wish, limit));
        }
    }
    if let Some(seen) = seen {
        let (speed, limit) = (seen.tcp_velocity(&command.velocity).norm(), limits.tcp_speed_m_s * absurd);
        if speed > limit {
            findings.report(Cause::robot(CauseKind::TcpSpeedCommand, gate.robot, speed, limit));
        }
    }
    robot.last_command = Some(this);
    robot.target = command.velocity;
    robot.target_since = Some(command.sent);
    taken.accepted = true;
}

fn refusal(gate: &Gate, epoch: u64, artifact_matches: bool) -> Option<Refusal> {
    // SR-12
    if !gate.open {
        Some(Refusal::NotReady)
    } else if epoch != gate.epoch {
        Some(Refusal::OldEpoch { command: epoch, current: gate.epoch })
    } else if !artifact_matches {
        Some(Refusal::OtherArtifact)
    } else {
        None
    }
}

fn within(limits: &GripperLimits, width_m: f64, force_n: f64) -> GripperTarget {
    GripperTarget {
        // Not `clamp`, which panics on limits in the wrong order.
        width_m: width_m.min(limits.max_width_m).max(limits.min_width_m),
        force_n: force_n.min(limits.max_force_n).max(0.0),
    }
}

/// A run whose commands ceased: fine if it had brought the robot to rest, else a finding.
pub(crate) fn check_silence(config: &Config, gate: &Gate, robot: &mut RobotState, findings: &mut Findings) {
    let Some(since) = robot.target_since else { return };
    let (age, limit) = (age_s(gate.now, Some(since)), config.in_force().cell.command_timeout_s);
    if age <= limit {
        return;
    }
    // SR-04
    if robot.target.amax() > 0.0 {
        findings.report(Cause::robot(CauseKind::Timeout(Input::Command), gate.robot, age, limit));
    }
    robot.let_go();
}

/// Share of a command that may be granted, 0..1: the most restrictive of joint velocity, speeds of tool and elbow, momentum, load
/// and distance.
pub(crate) fn scale(
    config: &Config,
    arm: &ArmConfig,
    limits: &RobotLimits,
    seen: &Observed,
    wish: &JointVector,
    separation: f64,
) -> f64 {
    // SR-13
    let slowest = config.tolerances().slowest_scale;
    let share = |limit: f64, value: f64| if value > limit { limit / value } else { 1.0 };
    let mut scale = share(limits.tcp_speed_m_s, seen.tcp_velocity(wish).norm());
    let velocities = arm.model.velocities(&seen.placed.poses, wish);
    scale = scale.min(share(limits.elbow_speed_m_s, velocities.of_body(arm.elbow_joint + 1).norm()));
    let momentum = arm.model.momentum(&seen.placed.poses, &velocities, &arm.payload).norm();
    scale = scale.min(share(limits.momentum_kg_m_s, momentum));
    for (joint, wish) in wish.iter().enumerate() {
        scale = scale.min(share(limits.joints.velocity[joint], wish.abs()));
    }
    let graded = by_load(&limits.wrench, seen.load).min(by_distance(&config.in_force().cell, separation));
    scale.min(slowest + (1.0 - slowest) * graded)
}

/// 1 up to the contact level, 0 at the collision level, straight between.
fn by_load(limits: &WrenchLimits, load: Option<(f64, f64)>) -> f64 {
    // SR-09
    let Some((force, torque)) = load else { return 0.0 };
    let by_force = falling(force, limits.contact_force_n, limits.collision_force_n);
    by_force.min(falling(torque, limits.contact_torque_nm, limits.collision_torque_nm))
}

/// 1 from the slow-down distance on, 0 at the stop distance, straight between.
fn by_distance(limits: &CellLimits, separation: f64) -> f64 {
    1.0 - falling(separation, limits.min_separation_m, limits.slow_separation_m)
}

/// 1 up to `from`, 0 from `to` on, straight between; a step where both are equal.
fn falling(value: f64, from: f64, to: f64) -> f64 {
    if value <= from {
        1.0
    } else if value >= to {
        0.0
    } else {
        (to - value) / (to - from)
    }
}

/// Next output on the straight line in joint space from `output` to `goal`, no joint changing faster than its
/// acceleration (rad/s^2) allows in `dt` (s): a stop keeps the direction.
pub(crate) fn ramp(
    output: &JointVector,
    goal: &JointVector,
    acceleration: &JointVector,
    dt: f64,
) -> JointVector {
    // SR-13
    let change = goal - output;
    let mut share = 1.0_f64;
    for (joint, change) in change.iter().enumerate() {
        let most = acceleration[joint] * dt;
        if change.abs() > most {
            share = share.min(most / change.abs());
        }
    }
    if share >= 1.0 { *goal } else { output + change * share }
}
