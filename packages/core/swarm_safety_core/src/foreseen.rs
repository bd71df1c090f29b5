//! Whether the cell could still stop in time.

use nalgebra::Point3;
use swarm_kinematics::{ArmCapsules, CapsuleTravel, JointVector, closest_after_travel};

use crate::MAX_ROBOTS;
use crate::cause::{Cause, CauseKind, Other};
use crate::checks::Findings;
use crate::config::{ArmConfig, Config};
use crate::limits::{JointLimits, RobotLimits};
use crate::observed::{Observed, PAIRS, Scene};

/// Could every robot still stop in time, moving as measured, or as it is about to be told (`outputs`)?
///
/// A stop keeps the direction in joint space and takes the time that the slowest joint needs, so that joint `i` travels
/// `|v_i| (age + reaction + stop / 2)`, with `stop = max |v_j| / a_j` and `age` that of the joint state: it has gone on since.
pub(crate) fn check(
    config: &Config,
    scene: &Scene,
    outputs: &[JointVector; MAX_ROBOTS],
    findings: &mut Findings,
) {
    let mut travel = [JointVector::zeros(); MAX_ROBOTS];
    for (i, arm) in config.arms().iter().enumerate().take(MAX_ROBOTS) {
        let (Some(seen), limits) = (&scene.robots[i], &config.in_force().robots[i]) else { continue };
        for velocity in [&seen.joints.qd, &outputs[i]] {
            let time = stopping_time_s(config, &limits.joints, seen, velocity, arm.model.dof());
            check_joint_range(i, arm, limits, seen, velocity, time, findings);
            let end = seen.tcp + seen.tcp_velocity(velocity) * time;
            check_place(i, limits, &end, findings);
            travel[i] = travel[i].zip_map(velocity, |most, v| f64::max(most, v.abs() * time));
        }
        check_place(i, limits, &seen.tcp, findings);
    }
    // SR-10
    let mut ways = [None; MAX_ROBOTS];
    for (i, arm) in config.arms().iter().enumerate().take(MAX_ROBOTS) {
        let Some(seen) = &scene.robots[i] else { continue };
        let way = seen.placed.levers.travel(&travel[i]);
        // Far apart, the longest way settles it, whichever link it belongs to.
        let cell = &config.in_force().cell;
        if seen.self_gap - way.longest() < cell.self_separation_m {
            check_self(config, i, arm, seen, &way, findings);
        }
        if seen.fixture_gap - way.longest() < cell.fixture_separation_m {
            check_fixtures(config, i, arm, &seen.placed.capsules, &way, findings);
        }
        ways[i] = Some(way);
    }
    check_separation(config, scene, &ways, findings);
}

/// The gap that is left between links of one robot when it has stopped.
fn check_self(
    config: &Config,
    robot: usize,
    arm: &ArmConfig,
    seen: &Observed,
    way: &CapsuleTravel,
    findings: &mut Findings,
) {
    let least = config.in_force().cell.self_separation_m;
    let left = arm.model.self_distance_after_travel(&seen.placed.capsules, &seen.placed.levers, way, least);
    if let Some(left) = left {
        let (first, second) = left.pair;
        findings.report(Cause {
            other: Some(Other::Own { first, second }),
            ..Cause::robot(CauseKind::SelfSeparation, robot, left.distance, least)
        });
    }
}

/// The gaps that are left between links that move and what stands in the cell.
fn check_fixtures(
    config: &Config,
    robot: usize,
    arm: &ArmConfig,
    capsules: &ArmCapsules,
    way: &CapsuleTravel,
    findings: &mut Findings,
) {
    let least = config.in_force().cell.fixture_separation_m;
    for (fixture, known) in config.in_force().fixtures.as_slice().iter().enumerate() {
        let links = arm.model.link_capsules().iter().zip(capsules.as_slice()).zip(way.as_slice());
        for (own, ((link, capsule), way)) in links.enumerate() {
            if link.body == 0 || (link.of_tool && known.tool_may_touch) {
                continue;
            }
            let left = known.obstacle.gap(capsule) - way;
            let apart = left >= least;
            if !apart {
                findings.report(Cause {
                    other: Some(Other::Fixture { fixture, own }),
                    ..Cause::robot(CauseKind::FixtureSeparation, robot, left, least)
                });
            }
        }
    }
}

/// The gap that is left between two robots when both have stopped; `ways` is how far their capsules still travel.
fn check_separation(
    config: &Config,
    scene: &Scene,
    ways: &[Option<CapsuleTravel>; MAX_ROBOTS],
    findings: &mut Findings,
) {
    let least = config.in_force().cell.min_separation_m;
    for ((first, second), gap) in PAIRS.into_iter().zip(scene.gaps) {
        let (Some(one), Some(two)) = (&scene.robots[first], &scene.robots[second]) else { continue };
        let (Some(way), Some(other_way)) = (&ways[first], &ways[second]) else { continue };
        // Far apart, the longest ways of both settle it, whichever links they belong to.
        if gap - way.longest() - other_way.longest() >= least {
            continue;
        }
        if let Some(left) =
            closest_after_travel((&one.placed.capsules, way), (&two.placed.capsules, other_way), least)
        {
            findings.report(Cause {
                other: Some(Other::Robot { robot: second, own: left.pair.0, theirs: left.pair.1 }),
                ..Cause::robot(CauseKind::Separation, first, left.distance, least)
            });
        }
    }
}

/// Longest time that any joint needs to brake from `velocity`, s.
pub(crate) fn braking_time_s(limits: &JointLimits, velocity: &JointVector, dof: usize) -> f64 {
    (0..dof)
        .filter(|joint| velocity[*joint] != 0.0)
        .map(|joint| velocity[joint].abs() / limits.acceleration[joint])
        .fold(0.0, f64::max)
}

/// Time at full velocity that covers the same way as what has passed since the joint state, reaction and braking, s.
fn stopping_time_s(
    config: &Config,
    limits: &JointLimits,
    seen: &Observed,
    velocity: &JointVector,
    dof: usize,
) -> f64 {
    seen.age_s + config.timing().reaction_s + braking_time_s(limits, velocity, dof) / 2.0
}

fn check_joint_range(
    robot: usize,
    arm: &ArmConfig,
    limits: &RobotLimits,
    seen: &Observed,
    velocity: &JointVector,
    time: f64,
    findings: &mut Findings,
) {
    // SR-06
    for joint in 0..arm.model.dof() {
        let (q, end) = (seen.joints.q[joint], seen.joints.q[joint] + velocity[joint] * time);
        let (lower, upper) = (limits.joints.lower[joint], limits.joints.upper[joint]);
        let mut report = |value, limit| {
            findings.report(Cause::joint(CauseKind::JointPosition, robot, joint, value, limit));
        };
        let below = q.min(end);
        let above = q.max(end);
        if below < lower {
            report(below, lower);
        } else if above > upper {
            report(above, upper);
        }
    }
}

fn check_place(robot: usize, limits: &RobotLimits, point: &Point3<f64>, findings: &mut Findings) {
    // SR-08
    let inside = limits.workspace.depth(point);
    if inside < 0.0 {
        findings.report(Cause::robot(CauseKind::Workspace, robot, inside, 0.0));
    }
    let behind = limits.planes.depth(point);
    if behind < 0.0 {
        findings.report(Cause::robot(CauseKind::Workspace, robot, behind, 0.0));
    }
    let intrusion = limits.keep_out.depth(point);
    if intrusion > 0.0 {
        findings.report(Cause::robot(CauseKind::KeepOut, robot, -intrusion, 0.0));
    }
}
