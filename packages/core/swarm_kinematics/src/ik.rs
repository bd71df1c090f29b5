//! From tool to joints: one step of a servo loop, and a joint position for a pose.

use nalgebra::{Cholesky, Matrix6, UnitQuaternion};

use crate::model::ArmModel;
use crate::{Jacobian, JointVector, MAX_JOINTS, Pose, Twist};

/// How [`ArmModel::differential_ik`] trades accuracy for calm joints.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServoOptions {
    /// Position limits, rad or m.
    pub lower: JointVector,
    pub upper: JointVector,
    /// Velocity limits, rad/s or m/s; the whole motion is scaled down uniformly to keep within them.
    pub velocity: JointVector,
    /// Deceleration with which a joint may approach its position limit, rad/s^2 or m/s^2.
    pub deceleration: JointVector,
    /// Below this manipulability sqrt(det(J J^T)) damping sets in (m^3 rad^3 for a six-joint arm).
    pub manipulability_threshold: f64,
    /// Damping factor at a singularity.
    pub max_damping: f64,
    /// Posture that an arm with more than six joints is drawn to without moving the tool, and the gain in 1/s.
    pub posture: Option<(JointVector, f64)>,
}

/// Result of one servo step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DifferentialIk {
    /// Joint velocities, within every limit, rad/s or m/s.
    pub qd: JointVector,
    /// Share of the joint motion for the wanted twist that the velocity limits allowed, 0..1.
    pub scale: f64,
    /// sqrt(det(J J^T)) of the joints that were free to move.
    pub manipulability: f64,
    /// Number of joints held back by their position limits; the tool may then deviate from the wanted twist.
    pub held_joints: usize,
}

/// Accuracy and effort of [`ArmModel::solve_ik`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IkOptions {
    pub position_tolerance_m: f64,
    pub rotation_tolerance_rad: f64,
    /// Iterations per start.
    pub iterations: usize,
    /// Starts from positions spread over the joint ranges, after the seed has failed.
    pub restarts: usize,
}

impl Default for IkOptions {
    fn default() -> Self {
        Self { position_tolerance_m: 1e-6, rotation_tolerance_rad: 1e-6, iterations: 100, restarts: 10 }
    }
}

/// A joint position for a pose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IkSolution {
    pub q: JointVector,
    /// Iterations over all starts.
    pub iterations: usize,
    /// True if it was reached from the seed itself, so that it lies in the seed's neighbourhood.
    pub from_seed: bool,
}

/// No joint position was found that brings the tool to the pose.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "no joint position within the limits brings the tool to the target: nearest after {iterations} iterations is {position_error_m:.6} m and {rotation_error_rad:.6} rad away"
)]
pub struct IkError {
    pub iterations: usize,
    pub position_error_m: f64,
    pub rotation_error_rad: f64,
}

impl ArmModel {
    /// Options with the URDF's limits and no posture. A URDF knows no deceleration: the caller names it.
    pub fn servo_options(&self, deceleration: JointVector) -> ServoOptions {
        ServoOptions {
            lower: self.lower_limits(),
            upper: self.upper_limits(),
            velocity: self.velocity_limits(),
            deceleration,
            manipulability_threshold: 0.02,
            max_damping: 0.1,
            posture: None,
        }
    }

    /// Joint velocities that move the tool with `twist`, as far as limits and singularities allow.
    ///
    /// 1. Damped least squares, qd = J^T (J J^T + k^2 I)^-1 v, with k growing as the manipulability w falls below its
    ///    threshold w0: k^2 = `k_max`^2 (1 - w/w0)^2 (Nakamura, Hanafusa 1986).
    /// 2. With more than six joints, (I - J# J) draws the arm towards the posture.
    /// 3. A joint that would come closer to its position limit than it can brake (v^2 > 2 a d) is held to that speed, and
    ///    the others are solved again for what is left of the twist.
    /// 4. All velocities are scaled by one factor into the velocity limits, so that the tool keeps its direction.
    pub fn differential_ik(&self, q: &JointVector, twist: &Twist, options: &ServoOptions) -> DifferentialIk {
        let jacobian = self.jacobian(&self.forward(q));
        let mut held = [None::<f64>; MAX_JOINTS];
        let mut qd = JointVector::zeros();
        let mut manipulability = 0.0;
        // Each round holds at least one joint more.
        for _ in 0..=self.dof() {
            (qd, manipulability) = self.damped(&jacobian, q, twist, options, &held);
            let mut more = false;
            for i in 0..self.dof() {
                let bound = braking_bound(q[i], qd[i], options, i);
                if held[i].is_none() && qd[i].abs() > bound {
                    held[i] = Some(bound.copysign(qd[i]));
                    more = true;
                }
            }
            if !more {
                break;
            }
        }
        let scale = (0..self.dof())
            .filter(|&i| qd[i].abs() > options.velocity[i])
            .map(|i| options.velocity[i].max(0.0) / qd[i].abs())
            .fold(1.0, f64::min);
        let held_joints = held.iter().filter(|value| value.is_some()).count();
        DifferentialIk { qd: qd * scale, scale, manipulability, held_joints }
    }

    /// Steps 1 and 2 with some joints held at a velocity.
    fn damped(
        &self,
        jacobian: &Jacobian,
        q: &JointVector,
        twist: &Twist,
        options: &ServoOptions,
        held: &[Option<f64>; MAX_JOINTS],
    ) -> (JointVector, f64) {
        let mut free = *jacobian;
        let mut rest = *twist;
        let mut qd = JointVector::zeros();
        for (i, velocity) in held.iter().enumerate() {
            if let Some(velocity) = velocity {
                rest -= jacobian.column(i) * *velocity;
                free.column_mut(i).fill(0.0);
                qd[i] = *velocity;
            }
        }
        let gram = free * free.transpose();
        let manipulability = gram.determinant().max(0.0).sqrt();
        let lack = (1.0 - manipulability / options.manipulability_threshold.max(f64::MIN_POSITIVE)).max(0.0);
        // The floor keeps the factorisation defined where nothing can move.
        let damping = (options.max_damping * lack).powi(2).max(1e-12);
        let Some(solver) = Cholesky::new(gram + Matrix6::identity() * damping) else {
            return (JointVector::zeros(), manipulability);
        };
        qd += free.transpose() * solver.solve(&rest);
        if let Some((posture, gain)) = options.posture
            && self.dof() > 6
        {
            let mut pull = (posture - q) * gain;
            for (i, velocity) in held.iter().enumerate() {
                if velocity.is_some() || i >= self.dof() {
                    pull[i] = 0.0;
                }
            }
            qd += pull - free.transpose() * solver.solve(&(free * pull));
        }
        (qd, manipulability)
    }

    /// A joint position within the URDF's limits that brings the tool to `tool_in_world`: from `seed`, else from positions
    /// spread over the joint ranges, always in the same order.
    ///
    /// Levenberg-Marquardt with damping proportional to the squared error (Sugihara 2011, doi 10.1109/TRO.2011.2148230).
    pub fn solve_ik(
        &self,
        tool_in_world: &Pose,
        seed: &JointVector,
        options: &IkOptions,
    ) -> Result<IkSolution, IkError> {
        let mut iterations = 0;
        let mut nearest = (f64::INFINITY, f64::INFINITY);
        for start in 0..=options.restarts {
            let mut q = if start == 0 { self.clamped(seed) } else { self.spread_position(start as u64) };
            for _ in 0..=options.iterations {
                let poses = self.forward(&q);
                let error = pose_error(&self.tool(&poses), tool_in_world);
                let (position, rotation) = (error.fixed_rows::<3>(0).norm(), error.fixed_rows::<3>(3).norm());
                if position + rotation < nearest.0 + nearest.1 {
                    nearest = (position, rotation);
                }
                if position <= options.position_tolerance_m && rotation <= options.rotation_tolerance_rad {
                    return Ok(IkSolution { q, iterations, from_seed: start == 0 });
                }
                iterations += 1;
                let jacobian = self.jacobian(&poses);
                let damping = 0.5 * error.norm_squared() * 1e-2 + 1e-9;
                let gram = jacobian * jacobian.transpose() + Matrix6::identity() * damping;
                let Some(solver) = Cholesky::new(gram) else { break };
                let step = jacobian.transpose() * solver.solve(&error);
                // Half a radian per iteration: beyond that the linearisation says nothing.
                let shrink = (0.5 / step.amax().max(f64::MIN_POSITIVE)).min(1.0);
                q = self.clamped(&(q + step * shrink));
            }
        }
        Err(IkError { iterations, position_error_m: nearest.0, rotation_error_rad: nearest.1 })
    }

    fn clamped(&self, q: &JointVector) -> JointVector {
        JointVector::from_fn(|i, _| {
            self.joints().get(i).map_or(0.0, |joint| q[i].clamp(joint.lower, joint.upper))
        })
    }

    /// Position `index` of a Halton sequence over the joint ranges (a turn either way for a joint without limits).
    pub(crate) fn spread_position(&self, index: u64) -> JointVector {
        const PRIMES: [u64; MAX_JOINTS] = [2, 3, 5, 7, 11, 13, 17];
        JointVector::from_fn(|i, _| {
            let Some(joint) = self.joints().get(i) else { return 0.0 };
            let lower = joint.lower.max(-std::f64::consts::PI);
            let upper = joint.upper.min(std::f64::consts::PI).max(lower);
            lower + (upper - lower) * halton(index + 1, PRIMES[i])
        })
    }
}

/// Highest speed in the direction of `qd` from which the joint still stops before its limit: sqrt(2 a d).
fn braking_bound(q: f64, qd: f64, options: &ServoOptions, i: usize) -> f64 {
    let room = if qd > 0.0 { options.upper[i] - q } else { q - options.lower[i] };
    (2.0 * options.deceleration[i].max(0.0) * room.max(0.0)).sqrt()
}

/// Motion from `from` to `to`: difference of the origins (m), rotation vector (rad), world axes.
fn pose_error(from: &Pose, to: &Pose) -> Twist {
    let translation = to.translation.vector - from.translation.vector;
    // Through a quaternion: the angle from a rotation matrix' trace is only good to 1e-8 near zero.
    let rotation =
        UnitQuaternion::from_rotation_matrix(&(to.rotation * from.rotation.inverse())).scaled_axis();
    Twist::new(translation.x, translation.y, translation.z, rotation.x, rotation.y, rotation.z)
}

fn halton(mut index: u64, base: u64) -> f64 {
    let (mut result, mut share) = (0.0, 1.0);
    while index > 0 {
        share /= base as f64;
        result += share * (index % base) as f64;
        index /= base;
    }
    result
}
