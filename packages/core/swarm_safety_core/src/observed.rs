//! The cell as its latest samples show it.

use nalgebra::{Point3, Vector3};
use swarm_kinematics::{
    ArmCapsules, BodyPoses, BodyVelocities, CapsuleLevers, Jacobian, JointVector, closest,
};

use crate::MAX_ROBOTS;
use crate::config::{ArmConfig, Config};
use crate::inputs::{Inputs, JointSample, RobotInputs};

/// One robot as its latest samples show it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed {
    pub joints: JointSample,
    pub poses: BodyPoses,
    pub capsules: ArmCapsules,
    pub levers: CapsuleLevers,
    pub jacobian: Jacobian,
    pub velocities: BodyVelocities,
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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub robots: [Option<Observed>; MAX_ROBOTS],
    /// Distance of each robot to its nearest neighbour, m.
    pub separation: [f64; MAX_ROBOTS],
    /// Distances of the [`PAIRS`], m; infinite where a robot is not seen.
    pub gaps: [f64; PAIRS.len()],
}

/// Robots that could meet.
pub(crate) const PAIRS: [(usize, usize); 3] = [(0, 1), (0, 2), (1, 2)];

impl Observed {
    /// Speed of the tool centre point at joint velocity `qd`, m/s.
    pub(crate) fn tcp_speed(&self, qd: &JointVector) -> f64 {
        self.tcp_velocity(qd).norm()
    }

    pub(crate) fn tcp_velocity(&self, qd: &JointVector) -> Vector3<f64> {
        (self.jacobian * qd).fixed_rows::<3>(0).into_owned()
    }

    /// Speed of the elbow as measured, m/s.
    pub(crate) fn elbow_speed(&self, arm: &ArmConfig) -> f64 {
        // A body's origin lies on the axis of its joint.
        self.velocities.of_body(arm.elbow_joint + 1).norm()
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
        *seen = observe_robot(config, arm, input);
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

fn observe_robot(config: &Config, arm: &ArmConfig, input: &RobotInputs) -> Option<Observed> {
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
    let velocities = arm.model.velocities(&poses, &joints.qd);
    let momentum = arm.model.momentum(&poses, &velocities, &arm.payload).norm();
    let power = joints.effort.map_or(0.0, |effort| effort.dot(&joints.qd).abs());
    let tcp = Point3::from(arm.model.tool(&poses).translation.vector);
    let capsules = arm.model.capsules(&poses);
    let levers = arm.model.capsule_levers(&poses, &capsules);
    let self_gap = arm.model.self_distance(&capsules).distance;
    let fixture_gap = fixture_gap(config, arm, &capsules);
    Some(Observed {
        joints,
        poses,
        capsules,
        levers,
        jacobian,
        velocities,
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
