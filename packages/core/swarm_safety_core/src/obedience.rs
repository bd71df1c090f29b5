//! Whether robots do as they are told: in motion, at a standstill, and after a stop.

use swarm_base::Time;
use swarm_kinematics::JointVector;

use crate::MAX_ROBOTS;
use crate::cause::{Cause, CauseKind};
use crate::checks::{Findings, age_s};
use crate::config::Config;
use crate::inputs::JointSample;
use crate::observed::Scene;
use crate::state::{RobotState, State};
use crate::transition::is_open;

/// Takes the newest joint states; gives accelerations, a first-order low-pass over the difference of velocities by the sender's
/// stamps.
pub(crate) fn take_samples(
    config: &Config,
    scene: &Scene,
    next: &mut State,
    findings: &mut Findings,
) -> [JointVector; MAX_ROBOTS] {
    let mut accelerations = [JointVector::zeros(); MAX_ROBOTS];
    let open = is_open(next.safety);
    for (i, robot) in next.robots.iter_mut().enumerate() {
        let Some(seen) = &scene.robots[i] else { continue };
        if let Some(before) = robot.joints.filter(|before| before.sequence != seen.joints.sequence) {
            robot.acceleration = filtered(config, robot, &before, seen.joints);
            robot.told.compare(config, &before, seen.joints);
        }
        // SR-14, SR-15. After a stop, an arm that has come to rest may be moved by hand.
        let brakes = robot.stopping.is_some() && !seen.is_at_rest(config.tolerances().rest_rad_s);
        robot.told.stand(&seen.joints.q, open || brakes);
        if let Some((joint, rad)) = robot.told.contradiction(config) {
            let limit = config.tolerances().consistency_rad;
            findings.report(Cause::joint(CauseKind::JointInconsistent, i, joint, rad, limit));
        }
        robot.joints = Some(*seen.joints);
        accelerations[i] = robot.acceleration;
    }
    accelerations
}

fn filtered(config: &Config, robot: &RobotState, before: &JointSample, after: &JointSample) -> JointVector {
    let dt = after.stamp_ns.saturating_sub(before.stamp_ns) as f64 * 1e-9;
    if dt <= 0.0 {
        return robot.acceleration;
    }
    let share = dt / (config.tolerances().acceleration_filter_s + dt);
    let raw = (after.qd - before.qd) / dt;
    let filtered = robot.acceleration + (raw - robot.acceleration) * share;
    // What is no number would stay in the filter for ever.
    if filtered.iter().all(|value| value.is_finite()) { filtered } else { raw }
}

/// Robots move as they were told: neither otherwise, nor not at all.
pub(crate) fn check_obedience(
    config: &Config,
    scene: &Scene,
    next: &mut State,
    findings: &mut Findings,
    now: Time,
) {
    for (i, seen) in scene.robots.iter().enumerate() {
        let Some(seen) = seen else { continue };
        let robot = &mut next.robots[i];
        // SR-15
        if let Some((joint, velocity, limit)) = robot.told.otherwise(config, seen) {
            findings.report(Cause::joint(CauseKind::UnexpectedMotion, i, joint, velocity, limit));
        }
        if let Some((joint, way)) = robot.told.strayed(config, seen) {
            let limit = config.tolerances().standstill_rad;
            findings.report(Cause::joint(CauseKind::LeftStandstill, i, joint, way, limit));
        }
        let output = robot.output;
        if let Some(cause) = robot.told.not_following(config, i, &output, seen, now) {
            findings.report(cause);
        }
    }
}

/// A robot that still moves otherwise than braking explains, although a stop has been asking it to brake for long enough.
pub(crate) fn goes_on(
    config: &Config,
    scene: &Scene,
    state: &State,
    robot: usize,
    now: Time,
) -> Option<Cause> {
    let known = &state.robots[robot];
    // The span of what it was told covers twice the response time.
    if age_s(now, Some(known.stopping?)) <= 2.0 * config.tolerances().response_s {
        return None;
    }
    let seen = scene.robots[robot].as_ref()?;
    // A silent robot is a fault of its own; what it said last tells nothing of what it does.
    if age_s(now, Some(seen.joints.sent)) > config.in_force().cell.joint_state_timeout_s {
        return None;
    }
    let (joint, velocity, limit) = known.told.otherwise(config, seen).or_else(|| {
        known.told.strayed(config, seen)?;
        let fastest = seen.joints.qd.iamax();
        Some((fastest, seen.joints.qd[fastest], config.tolerances().rest_rad_s))
    })?;
    Some(Cause::joint(CauseKind::StopIneffective, robot, joint, velocity, limit))
}
