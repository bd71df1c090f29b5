//! Joint servo of one arm: computed torque about the driver's reference, inside the torque limits of the URDF.
//!
//! `tau = M (kp (q_ref - q) + kd (qd_ref - qd)) + bias`, where `bias` holds gravity, Coriolis and centrifugal terms of the arm with
//! its gripper (and camera): what a controller compensates that knows its payload. A grasped part is not in it.

use nalgebra::{DMatrix, DVector};

/// Bandwidth of the position loop, rad/s; critically damped.
const BANDWIDTH_RAD_S: f64 = 120.0;
/// The reference never runs further ahead of the joint than this, rad: an arm that is held up pushes, but does not wind up.
const MAX_LEAD_RAD: f64 = 0.02;

#[derive(Clone, Debug)]
pub(crate) struct Servo {
    reference_rad: DVector<f64>,
    effort_limit_nm: Vec<f64>,
}

impl Servo {
    pub(crate) fn new(position_rad: &[f64], effort_limit_nm: Vec<f64>) -> Self {
        Self { reference_rad: DVector::from_column_slice(position_rad), effort_limit_nm }
    }

    /// Torque of each joint, N m. `inertia` is the arm's joint-space inertia matrix.
    pub(crate) fn torque(
        &mut self,
        position_rad: &DVector<f64>,
        velocity_rad_s: &DVector<f64>,
        reference_rad_s: &[f64],
        inertia: &DMatrix<f64>,
        bias_nm: &DVector<f64>,
        dt_s: f64,
    ) -> DVector<f64> {
        let speed = DVector::from_column_slice(reference_rad_s);
        self.reference_rad += &speed * dt_s;
        let lead = (&self.reference_rad - position_rad).map(|e| e.clamp(-MAX_LEAD_RAD, MAX_LEAD_RAD));
        self.reference_rad = position_rad + &lead;
        let (kp, kd) = (BANDWIDTH_RAD_S * BANDWIDTH_RAD_S, 2.0 * BANDWIDTH_RAD_S);
        let acceleration = lead * kp + (speed - velocity_rad_s) * kd;
        let mut torque = inertia * acceleration + bias_nm;
        for (torque, limit) in torque.iter_mut().zip(&self.effort_limit_nm) {
            *torque = torque.clamp(-limit, *limit);
        }
        torque
    }
}
