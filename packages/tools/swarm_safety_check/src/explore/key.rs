//! When two worlds count as the same.
//!
//! Times, positions and epochs grow without bound, and no decision looks at them as such. What it looks at is kept here:
//! - the safety state and the kind of cause, the limits in force;
//! - ages in whole periods, up to the first one beyond the longest time that is compared with them;
//! - velocities as none, rest, motion or full speed, and whose sign they have; whether a filter or a sum is beyond its limit;
//! - whether what was heard last is a number, too fast, out of range, a contact or a collision;
//! - which commands would be new, and whose run was accepted last.
//!
//! Epochs are no part of it: commands and resets name them relative to the present one. Nor is the place of an arm: it stays
//! within a few degrees of its rest pose. Of all worlds with one key the first that is met is explored: a *representative*.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use swarm_base::Time;
use swarm_kinematics::JointVector;
use swarm_safety_core::{CauseKind, Input, InputFault, inspect};

use super::world::{PERIOD, SPEED, World};

/// Filtered accelerations beyond this many rad/s^2 count as one: above the tolerance of every joint.
const ACCELERATION: f64 = 30.0;
const RESIDUAL: f64 = 0.03;
/// As the tolerance on standstill.
const STANDSTILL: f64 = 0.05;

/// The key of a world.
pub(super) fn of(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    let (state, now) = (&world.state, world.now);
    (state.state(), world.limits).hash(&mut hasher);
    state.cause().map(|cause| (index(cause.kind), cause.robot)).hash(&mut hasher);
    age(now, inspect::clear_since(state), 4).hash(&mut hasher);
    world.inputs.emergency_stop.held.hash(&mut hasher);
    let presence = world.inputs.presence[0];
    presence
        .map(|sample| (age(now, Some(sample.sent), 5), sample.range_m == f64::INFINITY))
        .hash(&mut hasher);
    for (i, robot) in inspect::robots(state).iter().enumerate() {
        let input = &world.inputs.robots[i];
        input
            .joints
            .map(|joints| (age(now, Some(joints.sent), 4), class(&joints.q, &joints.qd)))
            .hash(&mut hasher);
        let wrench = input.wrench.map(|wrench| (age(now, Some(wrench.sent), 4), load(wrench.force.norm())));
        wrench.hash(&mut hasher);
        (input.command.map(|command| (command.run, command.sequence)) == robot.seen_command())
            .hash(&mut hasher);
        robot.last_command().map(|(run, _)| World::is_of_run(run)).hash(&mut hasher);
        (level(robot.output()), level(robot.target()), age(now, robot.target_since(), 5)).hash(&mut hasher);
        (robot.gripper().is_some(), robot.acceleration().amax() > ACCELERATION).hash(&mut hasher);
        (robot.residual().amax() > RESIDUAL).hash(&mut hasher);
        input.joints.map(|joints| (joints.q - robot.stood()).amax() > STANDSTILL).hash(&mut hasher);
        for (low, high) in robot.told() {
            (level(low), level(high)).hash(&mut hasher);
        }
        (
            age(now, robot.told_since(), 4),
            age(now, robot.followed().iter().min().copied(), 6),
            age(now, robot.stopping(), 6),
            age(now, robot.resting(), 6),
        )
            .hash(&mut hasher);
        level(&world.qd[i]).hash(&mut hasher);
    }
    hasher.finish()
}

/// Periods since; negative times, which a clock that went back leaves, count as one.
fn age(now: Time, since: Option<Time>, most: i64) -> Option<i64> {
    since
        .map(|since| ((now.0.cast_signed() - since.0.cast_signed()) / PERIOD.0.cast_signed()).clamp(-1, most))
}

/// None, rest, motion or full speed.
fn level(velocity: &JointVector) -> u8 {
    match velocity.amax() {
        0.0 => 0,
        v if v <= 0.02 => 1,
        v if v < SPEED * 0.99 => 2,
        _ => 3,
    }
}

fn class(q: &JointVector, qd: &JointVector) -> u8 {
    if !qd.iter().all(|value| value.is_finite()) {
        4
    } else if q.amax() > 3.6 {
        5
    } else if qd.amax() > 1.0 {
        6
    } else {
        level(qd)
    }
}

fn load(force: f64) -> u8 {
    match force {
        f if f.is_nan() => 0,
        f if f < 25.0 => 1,
        f if f < 80.0 => 2,
        _ => 3,
    }
}

/// One of each that [`index`] tells apart and that the alphabet can bring about.
pub(super) const CAUSES: [CauseKind; 23] = [
    CauseKind::StartUp,
    CauseKind::EmergencyStop,
    CauseKind::Timeout(Input::JointState),
    CauseKind::Timeout(Input::Wrench),
    CauseKind::Timeout(Input::Command),
    CauseKind::Timeout(Input::HumanPresence),
    CauseKind::Malformed(Input::JointState, InputFault::NotFinite),
    CauseKind::Malformed(Input::JointState, InputFault::StampBackwards),
    CauseKind::JointPosition,
    CauseKind::JointVelocity,
    CauseKind::JointVelocityCommand,
    CauseKind::CollisionForce,
    CauseKind::HumanSeparation,
    CauseKind::UnexpectedMotion,
    CauseKind::NotFollowing,
    CauseKind::StopIneffective,
    CauseKind::CommandSequence,
    CauseKind::CommandSource,
    CauseKind::JointAcceleration,
    CauseKind::JointInconsistent,
    CauseKind::EnvelopeChange,
    CauseKind::ClockBackwards,
    CauseKind::CycleOverrun,
];

/// A small number for each cause.
pub(super) fn index(kind: CauseKind) -> u8 {
    use CauseKind as K;
    match kind {
        K::StartUp => 0,
        K::EmergencyStop => 1,
        K::Timeout(Input::JointState) => 2,
        K::Timeout(Input::Wrench) => 3,
        K::Timeout(Input::Command) => 4,
        K::Timeout(Input::GripperCommand) => 5,
        K::Timeout(Input::HumanPresence) => 6,
        K::Malformed(_, InputFault::NotFinite) => 7,
        K::Malformed(..) => 8,
        K::JointPosition => 9,
        K::JointVelocity => 10,
        K::JointVelocityCommand => 11,
        K::JointAcceleration => 12,
        K::JointEffort => 13,
        K::ElbowSpeed => 14,
        K::Momentum => 15,
        K::Power => 16,
        K::TcpSpeed => 17,
        K::TcpSpeedCommand => 18,
        K::Workspace => 19,
        K::KeepOut => 20,
        K::CollisionForce => 21,
        K::CollisionTorque => 22,
        K::Separation => 23,
        K::SelfSeparation => 24,
        K::FixtureSeparation => 25,
        K::HumanSeparation => 26,
        K::UnexpectedMotion => 27,
        K::NotFollowing => 28,
        K::StopIneffective => 29,
        K::JointInconsistent => 30,
        K::CommandSequence => 31,
        K::CommandSource => 32,
        K::EnvelopeChange => 33,
        K::ClockBackwards => 34,
        K::CycleOverrun => 35,
        K::NotRecorded => 36,
        K::LeftStandstill => 37,
        K::NotRealTime => 38,
    }
}
