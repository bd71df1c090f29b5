//! What is wrong now: age of inputs, measured motion and load.

use swarm_base::Time;
use swarm_kinematics::JointVector;

use crate::MAX_ROBOTS;
use crate::cause::{Cause, CauseKind};
use crate::config::Config;
use crate::inputs::{Input, InputFault, Inputs};
use crate::observed::{Scene, is_finite};

/// The worst finding of a step; of equally bad ones the first.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    worst: Option<Cause>,
}

impl Findings {
    pub(crate) fn report(&mut self, cause: Cause) {
        if self.worst.is_none_or(|worst| cause.kind.severity() > worst.kind.severity()) {
            self.worst = Some(cause);
        }
    }

    /// Reports `kind` unless `value <= limit`; a value that is not a number is reported too.
    pub(crate) fn report_above(&mut self, kind: CauseKind, robot: usize, value: f64, limit: f64) {
        let fine = value <= limit;
        if !fine {
            self.report(Cause::robot(kind, robot, value, limit));
        }
    }

    pub(crate) fn worst(&self) -> Option<Cause> {
        self.worst
    }
}

/// Age of every input that must be there always, refused messages, and numbers that are none.
pub(crate) fn check_inputs(config: &Config, inputs: &Inputs, now: Time, findings: &mut Findings) {
    let cell = &config.in_force().cell;
    for (i, input) in inputs.robots.iter().enumerate().take(config.arms().len()) {
        // SR-05
        if let Some((which, refused)) = &input.refused {
            findings.report(Cause {
                joint: refused.joint,
                ..Cause::robot(CauseKind::Malformed(*which, refused.fault), i, refused.value, refused.limit)
            });
        }
        let not_finite =
            |which| Cause::robot(CauseKind::Malformed(which, InputFault::NotFinite), i, 0.0, 0.0);
        if input.joints.as_ref().is_some_and(|joints| !is_finite(&joints.q) || !is_finite(&joints.qd)) {
            findings.report(not_finite(Input::JointState));
        }
        if input
            .wrench
            .as_ref()
            .is_some_and(|w| w.force.iter().chain(&w.torque).any(|value| !value.is_finite()))
        {
            findings.report(not_finite(Input::Wrench));
        }
        let efforts = input.joints.as_ref().and_then(|joints| joints.effort.as_ref());
        if efforts.is_some_and(|efforts| !is_finite(efforts)) {
            findings.report(not_finite(Input::JointState));
        }
        let needs_effort = config.in_force().robots[i].needs_effort();
        if needs_effort && input.joints.is_some() && efforts.is_none() {
            let kind = CauseKind::Malformed(Input::JointState, InputFault::NoEffort);
            findings.report(Cause::robot(kind, i, 0.0, 0.0));
        }
        // SR-04
        let age = age_s(now, input.joints.as_ref().map(|joints| joints.sent));
        findings.report_above(CauseKind::Timeout(Input::JointState), i, age, cell.joint_state_timeout_s);
        let age = age_s(now, input.wrench.as_ref().map(|wrench| wrench.sent));
        findings.report_above(CauseKind::Timeout(Input::Wrench), i, age, cell.wrench_timeout_s);
    }
}

/// Seconds since then; infinite if there was no such time.
pub(crate) fn age_s(now: Time, since: Option<Time>) -> f64 {
    since.map_or(f64::INFINITY, |since| now.since(since).as_secs_f64())
}

/// Speeds, accelerations and loads as measured. `accelerations` are filtered, rad/s^2.
pub(crate) fn check_measured(
    config: &Config,
    scene: &Scene,
    accelerations: &[JointVector; MAX_ROBOTS],
    findings: &mut Findings,
) {
    let tolerances = config.tolerances();
    for (i, arm) in config.arms().iter().enumerate().take(MAX_ROBOTS) {
        let (Some(seen), limits) = (&scene.robots[i], &config.in_force().robots[i]) else { continue };
        // SR-06
        for (joint, acceleration) in accelerations[i].iter().enumerate().take(arm.model.dof()) {
            let mut above = |kind, value: f64, limit: f64| {
                let fine = value.abs() <= limit;
                if !fine {
                    findings.report(Cause::joint(kind, i, joint, value, limit));
                }
            };
            let limit = limits.joints.velocity[joint] * tolerances.measured_speed;
            above(CauseKind::JointVelocity, seen.joints.qd[joint], limit);
            let limit = limits.joints.acceleration[joint] * tolerances.measured_acceleration;
            above(CauseKind::JointAcceleration, *acceleration, limit);
            if let Some(effort) = &seen.joints.effort {
                above(CauseKind::JointEffort, effort[joint], limits.joints.effort[joint]);
            }
        }
        // SR-07
        let speed_limit = limits.tcp_speed_m_s * tolerances.measured_speed;
        findings.report_above(CauseKind::TcpSpeed, i, seen.tcp_speed, speed_limit);
        let speed_limit = limits.elbow_speed_m_s * tolerances.measured_speed;
        findings.report_above(CauseKind::ElbowSpeed, i, seen.elbow_speed, speed_limit);
        let momentum_limit = limits.momentum_kg_m_s * tolerances.measured_speed;
        findings.report_above(CauseKind::Momentum, i, seen.momentum, momentum_limit);
        findings.report_above(CauseKind::Power, i, seen.power, limits.power_w);
        // SR-09
        if let Some((force, torque)) = seen.load {
            findings.report_above(CauseKind::CollisionForce, i, force, limits.wrench.collision_force_n);
            findings.report_above(CauseKind::CollisionTorque, i, torque, limits.wrench.collision_torque_nm);
        }
    }
}
