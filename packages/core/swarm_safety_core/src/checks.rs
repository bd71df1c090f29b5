//! What is wrong: age of inputs, measured motion and load, and whether the cell could still stop in time.

use nalgebra::{Point3, Vector3};
use swarm_base::Time;
use swarm_kinematics::{ArmCapsules, BodyPoses, Jacobian, JointVector, closest, closest_after_travel};

use crate::MAX_ROBOTS;
use crate::cause::{Cause, CauseKind};
use crate::config::{ArmConfig, Config};
use crate::inputs::{Input, InputFault, Inputs, JointSample, RobotInputs};
use crate::limits::{JointLimits, RobotLimits};

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
    fn report_above(&mut self, kind: CauseKind, robot: usize, value: f64, limit: f64) {
        let fine = value <= limit;
        if !fine {
            self.report(Cause::robot(kind, robot, value, limit));
        }
    }

    pub(crate) fn worst(&self) -> Option<Cause> {
        self.worst
    }
}

/// One robot as its latest samples show it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed {
    pub joints: JointSample,
    pub poses: BodyPoses,
    pub capsules: ArmCapsules,
    pub jacobian: Jacobian,
    /// Tool centre point in the world, m.
    pub tcp: Point3<f64>,
    /// Load at the flange without the payload's weight, N and N m; `None` before the first wrench.
    pub load: Option<(f64, f64)>,
}

/// All robots, and how far apart they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub robots: [Option<Observed>; MAX_ROBOTS],
    /// Distance of each robot to its nearest neighbour, m.
    pub separation: [f64; MAX_ROBOTS],
    /// Distances of the [`PAIRS`], m; infinite where a robot is not seen.
    gaps: [f64; PAIRS.len()],
}

/// Robots that could meet.
const PAIRS: [(usize, usize); 3] = [(0, 1), (0, 2), (1, 2)];

impl Observed {
    /// Speed of the tool centre point at joint velocity `qd`, m/s.
    pub(crate) fn tcp_speed(&self, qd: &JointVector) -> f64 {
        self.tcp_velocity(qd).norm()
    }

    fn tcp_velocity(&self, qd: &JointVector) -> Vector3<f64> {
        (self.jacobian * qd).fixed_rows::<3>(0).into_owned()
    }

    pub(crate) fn is_at_rest(&self, rest_rad_s: f64) -> bool {
        self.joints.qd.amax() <= rest_rad_s
    }
}

/// Where every robot is.
pub(crate) fn observe(config: &Config, inputs: &Inputs) -> Scene {
    let mut scene = Scene {
        robots: [None; MAX_ROBOTS],
        separation: [f64::INFINITY; MAX_ROBOTS],
        gaps: [f64::INFINITY; PAIRS.len()],
    };
    for ((seen, arm), input) in scene.robots.iter_mut().zip(config.arms()).zip(&inputs.robots) {
        *seen = observe_robot(arm, input);
    }
    for ((first, second), gap) in PAIRS.into_iter().zip(&mut scene.gaps) {
        if let (Some(one), Some(two)) = (&scene.robots[first], &scene.robots[second]) {
            *gap = closest(&one.capsules, &two.capsules).distance;
            scene.separation[first] = scene.separation[first].min(*gap);
            scene.separation[second] = scene.separation[second].min(*gap);
        }
    }
    scene
}

fn observe_robot(arm: &ArmConfig, input: &RobotInputs) -> Option<Observed> {
    let joints = input.joints.filter(|joints| is_finite(&joints.q) && is_finite(&joints.qd))?;
    let poses = arm.model.forward(&joints.q);
    let flange = arm.model.flange(&poses);
    let load = input.wrench.map(|wrench| {
        // What is left without the payload's weight is contact.
        let weight = arm.payload.weight(&flange);
        let (force, torque) = (weight.fixed_rows::<3>(0), weight.fixed_rows::<3>(3));
        ((wrench.force - force).norm(), (wrench.torque - torque).norm())
    });
    let jacobian = arm.model.jacobian(&poses);
    let tcp = Point3::from(arm.model.tool(&poses).translation.vector);
    let capsules = arm.model.capsules(&poses);
    Some(Observed { joints, poses, capsules, jacobian, tcp, load })
}

fn is_finite(vector: &JointVector) -> bool {
    vector.iter().all(|value| value.is_finite())
}

/// Age of every input that must be there always, refused messages, and numbers that are none.
pub(crate) fn check_inputs(config: &Config, inputs: &Inputs, now: Time, findings: &mut Findings) {
    let cell = &config.in_force().cell;
    for (i, input) in inputs.robots.iter().enumerate().take(config.arms().len()) {
        if let Some((which, refused)) = &input.refused {
            findings.report(Cause {
                joint: refused.joint,
                ..Cause::robot(CauseKind::Malformed(*which, refused.fault), i, refused.value, refused.limit)
            });
        }
        let not_finite =
            |which| Cause::robot(CauseKind::Malformed(which, InputFault::NotFinite), i, 0.0, 0.0);
        if input.joints.is_some_and(|joints| !is_finite(&joints.q) || !is_finite(&joints.qd)) {
            findings.report(not_finite(Input::JointState));
        }
        if input.wrench.is_some_and(|w| w.force.iter().chain(&w.torque).any(|value| !value.is_finite())) {
            findings.report(not_finite(Input::Wrench));
        }
        let age = age_s(now, input.joints.map(|joints| joints.arrival));
        findings.report_above(CauseKind::Timeout(Input::JointState), i, age, cell.joint_state_timeout_s);
        let age = age_s(now, input.wrench.map(|wrench| wrench.arrival));
        findings.report_above(CauseKind::Timeout(Input::Wrench), i, age, cell.wrench_timeout_s);
    }
}

/// Seconds since an arrival; infinite if there was none.
pub(crate) fn age_s(now: Time, arrival: Option<Time>) -> f64 {
    arrival.map_or(f64::INFINITY, |arrival| now.since(arrival).as_secs_f64())
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
        }
        let speed_limit = limits.tcp_speed_m_s * tolerances.measured_speed;
        findings.report_above(CauseKind::TcpSpeed, i, seen.tcp_speed(&seen.joints.qd), speed_limit);
        if let Some((force, torque)) = seen.load {
            findings.report_above(CauseKind::CollisionForce, i, force, limits.wrench.collision_force_n);
            findings.report_above(CauseKind::CollisionTorque, i, torque, limits.wrench.collision_torque_nm);
        }
    }
}

/// Could every robot still stop in time, moving as measured, or as it is about to be told (`outputs`)?
///
/// A stop keeps the direction in joint space and takes the time that the slowest joint needs, so that joint `i` travels
/// `|v_i| (reaction + stop / 2)`, with `stop = max |v_j| / a_j`.
pub(crate) fn check_foreseen(
    config: &Config,
    scene: &Scene,
    outputs: &[JointVector; MAX_ROBOTS],
    findings: &mut Findings,
) {
    let mut travel = [JointVector::zeros(); MAX_ROBOTS];
    for (i, arm) in config.arms().iter().enumerate().take(MAX_ROBOTS) {
        let (Some(seen), limits) = (&scene.robots[i], &config.in_force().robots[i]) else { continue };
        for velocity in [&seen.joints.qd, &outputs[i]] {
            let time = stopping_time_s(config, &limits.joints, velocity, arm.model.dof());
            check_joint_range(i, arm, limits, seen, velocity, time, findings);
            let end = seen.tcp + seen.tcp_velocity(velocity) * time;
            check_place(i, limits, &end, findings);
            travel[i] = travel[i].zip_map(velocity, |most, v| f64::max(most, v.abs() * time));
        }
        check_place(i, limits, &seen.tcp, findings);
    }
    check_separation(config, scene, &travel, findings);
}

/// The gap that is left between two robots when both have stopped; joint `i` of a robot still travels `travel[i]`.
fn check_separation(
    config: &Config,
    scene: &Scene,
    travel: &[JointVector; MAX_ROBOTS],
    findings: &mut Findings,
) {
    let least = config.in_force().cell.min_separation_m;
    let mut ways = [None; MAX_ROBOTS];
    for (i, arm) in config.arms().iter().enumerate().take(MAX_ROBOTS) {
        let seen = scene.robots[i].as_ref();
        ways[i] = seen.map(|seen| arm.model.capsule_travel(&seen.poses, &seen.capsules, &travel[i]));
    }
    for ((first, second), gap) in PAIRS.into_iter().zip(scene.gaps) {
        let (Some(one), Some(two)) = (&scene.robots[first], &scene.robots[second]) else { continue };
        let (Some(way), Some(other_way)) = (&ways[first], &ways[second]) else { continue };
        // Far apart, the longest ways of both settle it, whichever links they belong to.
        if gap - way.longest() - other_way.longest() >= least {
            continue;
        }
        let left = closest_after_travel((&one.capsules, way), (&two.capsules, other_way));
        let apart = left.distance >= least;
        if !apart {
            findings.report(Cause {
                other: Some((second, left.pair.0, left.pair.1)),
                ..Cause::robot(CauseKind::Separation, first, left.distance, least)
            });
        }
    }
}

/// Time at full velocity that covers the same way as reaction and braking, s.
fn stopping_time_s(config: &Config, limits: &JointLimits, velocity: &JointVector, dof: usize) -> f64 {
    let braking = (0..dof)
        .filter(|joint| velocity[*joint] != 0.0)
        .map(|joint| velocity[joint].abs() / limits.acceleration[joint])
        .fold(0.0, f64::max);
    config.timing().reaction_s + braking / 2.0
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
    let inside = limits.workspace.depth(point);
    if inside < 0.0 {
        findings.report(Cause::robot(CauseKind::Workspace, robot, inside, 0.0));
    }
    let intrusion = limits.keep_out.depth(point);
    if intrusion > 0.0 {
        findings.report(Cause::robot(CauseKind::KeepOut, robot, -intrusion, 0.0));
    }
}
