//! What hangs on a flange, and what it weighs there.

use nalgebra::Vector3;

use crate::{Pose, Wrench};

/// Standard gravity, m/s^2, by definition (CGPM 1901).
pub const STANDARD_GRAVITY: f64 = 9.806_65;

/// A mass and where it is: what hangs on a flange at all times (gripper, camera, tool, held part), or a body of an arm.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    pub mass_kg: f64,
    /// Centre of mass in the frame of what carries it: the flange, for a load; m.
    pub com_m: Vector3<f64>,
}

impl Load {
    /// Both as one body.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mass_kg = self.mass_kg + other.mass_kg;
        let moment = self.com_m * self.mass_kg + other.com_m * other.mass_kg;
        Self { mass_kg, com_m: if mass_kg > 0.0 { moment / mass_kg } else { Vector3::zeros() } }
    }

    /// What the weight alone puts on the flange at rest, along the flange's axes, the torque about its origin.
    pub fn weight(&self, flange_in_world: &Pose) -> Wrench {
        let down = Vector3::new(0.0, 0.0, -STANDARD_GRAVITY * self.mass_kg);
        let force = flange_in_world.rotation.inverse() * down;
        let torque = self.com_m.cross(&force);
        Wrench::new(force.x, force.y, force.z, torque.x, torque.y, torque.z)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(mass_kg: f64, z: f64) -> Load {
        Load { mass_kg, com_m: Vector3::new(0.0, 0.0, z) }
    }

    #[test]
    fn two_loads_weigh_together_at_their_common_centre() {
        let both = load(0.9, 0.05).and(load(0.1, 0.15));
        assert!((both.mass_kg - 1.0).abs() < 1e-12 && (both.com_m.z - 0.06).abs() < 1e-12);
        assert_eq!(Load::default().and(Load::default()), Load::default());
    }

    #[test]
    fn a_flange_turned_on_its_side_carries_the_weight_across() {
        let quarter = nalgebra::Rotation3::from_axis_angle(&Vector3::x_axis(), std::f64::consts::FRAC_PI_2);
        let flange = Pose::from_parts(nalgebra::Translation3::identity(), quarter);
        let newtons = 2.0 * STANDARD_GRAVITY;
        let expected = Wrench::new(0.0, -newtons, 0.0, newtons * 0.1, 0.0, 0.0);
        let weight = load(2.0, 0.1).weight(&flange);
        assert!((weight - expected).norm() < 1e-12, "{weight}");
    }
}
