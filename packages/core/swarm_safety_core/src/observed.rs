//! The cell as its latest samples show it.

use nalgebra::{Point3, Vector3};
use swarm_base::Time;
use swarm_kinematics::{ArmCapsules, JointVector, Placed, PointJacobian, closest};

use crate::MAX_ROBOTS;
use crate::checks::age_s;
use crate::config::{ArmConfig, Config};
use crate::inputs::{Inputs, JointSample, RobotInputs};

/// One robot as its latest samples show it.
#[derive(Debug)]
pub(crate) struct Observed<'a> {
    pub joints: &'a JointSample,
    /// How old that is, s. At most its time-out: beyond, the silence is a finding by itself.
    pub age_s: f64,
    pub placed: &'a Placed,
    /// Of the tool centre point.
    pub jacobian: PointJacobian,
    /// Speed of the tool centre point as measured, m/s.
    pub tcp_speed: f64,
    /// Speed of the elbow as measured, m/s.
    pub elbow_speed: f64,
    /// Linear momentum of arm and load, kg m/s.
    pub momentum: f64,
    /// Mechanical power, W; 0 without efforts.
    pub power: f64,
    /// Tool centre point in the world, m.
    pub tcp: Point3<f64>,
    /// Load at the flange without the payload's weight, N and N m; `None` before the first wrench.
    pub load: Option<(f64, f64)>,
    /// Distance between own links, m; infinite if no two can meet.
    pub self_gap: f64,
    /// Distance of moving links to the nearest fixture that they must keep away from, m; infinite if there is none.
    pub fixture_gap: f64,
}

/// All robots, and how far apart they are.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub robots: [Option<Observed<'a>>; MAX_ROBOTS],
    /// Distance of each robot to its nearest neighbour, m.
    pub separation: [f64; MAX_ROBOTS],
    /// Distances of the [`PAIRS`], m; infinite where a robot is not seen.
    pub gaps: [f64; PAIRS.len()],
}

/// Robots that could meet.
pub(crate) const PAIRS: [(usize, usize); 3] = [(0, 1), (0, 2), (1, 2)];

impl Observed<'_> {
    /// Velocity of the tool centre point at joint velocity `qd`, m/s.
    pub(crate) fn tcp_velocity(&self, qd: &JointVector) -> Vector3<f64> {
        self.jacobian * qd
    }

    pub(crate) fn is_at_rest(&self, rest_rad_s: f64) -> bool {
        self.joints.qd.amax() <= rest_rad_s
    }
}

/// Where every robot is; `room` is where that is kept.
pub(crate) fn observe<'a>(
    config: &Config,
    inputs: &'a Inputs,
    now: Time,
    room: &'a mut [Placed; MAX_ROBOTS],
) -> Scene<'a> {
    let mut room = room.iter_mut().zip(config.arms()).zip(&inputs.robots);
    let mut scene = Scene {
        robots: std::array::from_fn(|_| {
            let ((placed, arm), input) = room.next()?;
            observe_robot(config, arm, input, now, placed)
        }),
        separation: [f64::INFINITY; MAX_ROBOTS],
        gaps: [f64::INFINITY; PAIRS.len()],
    };
    for ((first, second), gap) in PAIRS.into_iter().zip(&mut scene.gaps) {
        if let (Some(one), Some(two)) = (&scene.robots[first], &scene.robots[second]) {
            *gap = closest(&one.placed.capsules, &two.placed.capsules).distance;
            scene.separation[first] = scene.separation[first].min(*gap);
            scene.separation[second] = scene.separation[second].min(*gap);
        }
    }
    scene
}

fn observe_robot<'a>(
    config: &Config,
    arm: &ArmConfig,
    input: &'a RobotInputs,
    now: Time,
    placed: &'a mut Placed,
) -> Option<Observed<'a>> {
    let joints = input.joints.as_ref().filter(|joints| is_finite(&joints.q) && is_finite(&joints.qd))?;
    let age_s = age_s(now, Some(joints.sent)).min(config.in_force().cell.joint_state_timeout_s);
    arm.model.place(&joints.q, placed);
    let Placed { poses, capsules, .. } = &*placed;
    let flange = arm.model.flange(poses);
    let load = input.wrench.map(|wrench| {
        // What is left without the payload's weight is contact.
        let weight = arm.payload.weight(&flange);
        let (force, torque) = (weight.fixed_rows::<3>(0), weight.fixed_rows::<3>(3));
        ((wrench.force - force).norm(), (wrench.torque - torque).norm())
    });
    let velocities = arm.model.velocities(poses, &joints.qd);
    // A body's origin lies on the axis of its joint.
    let elbow_speed = velocities.of_body(arm.elbow_joint + 1).norm();
    let momentum = arm.model.momentum(poses, &velocities, &arm.payload).norm();
    let power = joints.effort.as_ref().map_or(0.0, |effort| effort.dot(&joints.qd).abs());
    let tcp = Point3::from(arm.model.tool(poses).translation.vector);
    let jacobian = arm.model.point_jacobian(poses, &tcp);
    let self_gap = arm.model.self_distance(capsules).distance;
    let fixture_gap = fixture_gap(config, arm, capsules);
    Some(Observed {
        joints,
        age_s,
        placed,
        jacobian,
        tcp_speed: (jacobian * joints.qd).norm(),
        elbow_speed,
        momentum,
        power,
        tcp,
        load,
        self_gap,
        fixture_gap,
    })
}

pub(crate) fn is_finite(vector: &JointVector) -> bool {
    vector.iter().all(|value| value.is_finite())
}

fn fixture_gap(config: &Config, arm: &ArmConfig, capsules: &ArmCapsules) -> f64 {
    let mut nearest = f64::INFINITY;
    for known in config.in_force().fixtures.as_slice() {
        for (link, capsule) in arm.model.link_capsules().iter().zip(capsules.as_slice()) {
            if link.body > 0 && !(link.of_tool && known.tool_may_touch) {
                nearest = nearest.min(known.obstacle.gap(capsule));
            }
        }
    }
    nearest
}
