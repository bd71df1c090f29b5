//! What a camera-based pose estimator would report of a part: late by nothing, but off by a constant and by noise.

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};

use crate::noise::Noise;

/// Rate of the estimator, Hz.
pub(crate) const RATE_HZ: u64 = 30;

// A calibrated camera at 0.5 m: some tenths of a millimetre of noise, up to a millimetre of error that stays.
const SIGMA_M: f64 = 0.000_5;
const SIGMA_RAD: f64 = 0.3 * std::f64::consts::PI / 180.0;
const BIAS_XY_M: f64 = 0.000_7;
const BIAS_Z_M: f64 = 0.000_5;
const BIAS_RAD: f64 = 0.3 * std::f64::consts::PI / 180.0;

/// Error of the estimates of one part during one run.
#[derive(Clone, Debug)]
pub(crate) struct PoseNoise {
    bias: Isometry3<f64>,
    noise: Noise,
}

impl PoseNoise {
    pub(crate) fn new(mut noise: Noise) -> Self {
        let shift =
            Translation3::new(noise.within(BIAS_XY_M), noise.within(BIAS_XY_M), noise.within(BIAS_Z_M));
        let turn = Vector3::from_fn(|_, _| noise.within(BIAS_RAD));
        Self { bias: Isometry3::from_parts(shift, UnitQuaternion::from_scaled_axis(turn)), noise }
    }

    /// One estimate of `truth`; position errors along world axes.
    pub(crate) fn look(&mut self, truth: &Isometry3<f64>) -> Isometry3<f64> {
        let shift = Vector3::from_fn(|_, _| self.noise.normal(SIGMA_M)) + self.bias.translation.vector;
        let turn = Vector3::from_fn(|_, _| self.noise.normal(SIGMA_RAD));
        Isometry3::from_parts(
            Translation3::from(truth.translation.vector + shift),
            truth.rotation * self.bias.rotation * UnitQuaternion::from_scaled_axis(turn),
        )
    }
}
