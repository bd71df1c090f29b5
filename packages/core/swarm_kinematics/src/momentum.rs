//! Velocities of points, and the momentum of an arm.

use nalgebra::{Point3, Vector3};

use crate::load::Load;
use crate::model::{ArmModel, BodyPoses, JointKind};
use crate::{JointVector, MAX_JOINTS};

/// Velocity of every body at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BodyVelocities {
    /// rad/s, world axes.
    angular: [Vector3<f64>; MAX_JOINTS + 1],
    /// Of the body's origin, m/s, world axes.
    linear: [Vector3<f64>; MAX_JOINTS + 1],
}

impl ArmModel {
    /// Velocities of the bodies at joint velocity `qd` (rad/s or m/s), base to flange.
    pub fn velocities(&self, poses: &BodyPoses, qd: &JointVector) -> BodyVelocities {
        let mut all = BodyVelocities {
            angular: [Vector3::zeros(); MAX_JOINTS + 1],
            linear: [Vector3::zeros(); MAX_JOINTS + 1],
        };
        for joint in 0..self.dof() {
            let (axis, origin) = Self::axis_in_world(poses, joint);
            let arm = origin - poses.in_world[joint].translation.vector;
            let (turn, slide) = match self.kind(joint) {
                JointKind::Revolute => (axis * qd[joint], Vector3::zeros()),
                JointKind::Prismatic => (Vector3::zeros(), axis * qd[joint]),
            };
            all.linear[joint + 1] = all.linear[joint] + all.angular[joint].cross(&arm) + slide;
            all.angular[joint + 1] = all.angular[joint] + turn;
        }
        all
    }

    /// Linear momentum of the arm with `load` on its flange, kg m/s, world axes. Masses and centres of mass are those of the
    /// URDF up to the flange; what the URDF mounts on the flange counts as load.
    pub fn momentum(&self, poses: &BodyPoses, velocities: &BodyVelocities, load: &Load) -> Vector3<f64> {
        let mut momentum = Vector3::zeros();
        for (body, mass) in self.masses.iter().enumerate() {
            let centre = poses.in_world[body] * Point3::from(mass.com_m);
            momentum += velocities.of_point(poses, body, &centre) * mass.mass_kg;
        }
        let centre = self.flange(poses) * Point3::from(load.com_m);
        momentum + velocities.of_point(poses, self.dof(), &centre) * load.mass_kg
    }
}

impl BodyVelocities {
    /// Velocity of a point that moves with `body` (0 is the base), m/s, world axes.
    pub fn of_point(&self, poses: &BodyPoses, body: usize, point: &Point3<f64>) -> Vector3<f64> {
        let body = body.min(MAX_JOINTS);
        self.linear[body]
            + self.angular[body].cross(&(point.coords - poses.in_world[body].translation.vector))
    }

    /// Velocity of a body's origin, m/s, world axes: of body `i` it lies on the axis of joint `i`, for a revolute joint.
    pub fn of_body(&self, body: usize) -> Vector3<f64> {
        self.linear[body.min(MAX_JOINTS)]
    }
}
