//! Functions that give the same bits on every machine.
//!
//! Those of the standard library are the platform's: the last bit of a sine depends on the version of the C library, and on whether
//! the processor fuses products and sums. A run that was recorded on one machine could not be replayed bit for bit on another.
//! These are compiled from Rust. Sums, products, quotients and roots are the same everywhere as they are (IEEE 754).

use nalgebra::{Matrix3, Rotation3};

/// Sine and cosine of an angle, rad. Within one unit of the last place.
#[inline]
pub fn sin_cos(angle: f64) -> (f64, f64) {
    libm::sincos(angle)
}

/// e to the power of `x`. Within one unit of the last place.
#[inline]
pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// Turns about the fixed axes x, y and z, in this order, rad: `rpy` of URDF.
pub fn rotation_from_rpy(roll: f64, pitch: f64, yaw: f64) -> Rotation3<f64> {
    let ((sr, cr), (sp, cp), (sy, cy)) = (sin_cos(roll), sin_cos(pitch), sin_cos(yaw));
    #[rustfmt::skip]
    let matrix = Matrix3::new(
        cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr,
        sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr,
        -sp,     cp * sr,                cp * cr,
    );
    Rotation3::from_matrix_unchecked(matrix)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use proptest::prelude::*;

    use super::*;

    // SR-21
    /// The C library gives others for some of these angles.
    #[test]
    fn the_bits_are_those_of_every_other_machine() {
        let mut digest = 0xcbf2_9ce4_8422_2325_u64;
        for i in -2_000..2_000 {
            let (sin, cos) = sin_cos(f64::from(i) * 0.003_141);
            for bits in [sin.to_bits(), cos.to_bits(), exp(f64::from(i) * -0.01).to_bits()] {
                digest = (digest ^ bits).wrapping_mul(0x0100_0000_01b3);
            }
        }
        assert_eq!(digest, 16_740_947_246_908_881_439);
    }

    proptest! {
        #[test]
        fn they_are_what_the_platform_has_but_for_the_last_bit(x in -20.0..20.0_f64) {
            let ((sin, cos), (other_sin, other_cos)) = (sin_cos(x), x.sin_cos());
            prop_assert!((sin - other_sin).abs() < 3e-16 && (cos - other_cos).abs() < 3e-16);
            prop_assert!((exp(x) - x.exp()).abs() <= x.exp() * 5e-16);
        }

        #[test]
        fn rpy_turns_as_nalgebra_has_it(roll in -PI..PI, pitch in -PI..PI, yaw in -PI..PI) {
            let difference = rotation_from_rpy(roll, pitch, yaw).into_inner()
                - Rotation3::from_euler_angles(roll, pitch, yaw).into_inner();
            prop_assert!(difference.amax() < 1e-15, "{difference}");
        }
    }
}
