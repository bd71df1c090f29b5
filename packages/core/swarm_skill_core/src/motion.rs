//! Motions as pure state machines: a reference that runs ahead with limited speed and acceleration, and a feedback that keeps the
//! arm at it. What leaves a role goes through [`Slew`] last, so that no leaf, halt or hold can make a joint jump.

use nalgebra::{UnitQuaternion, Vector3};
use swarm_kinematics::{ArmModel, DifferentialIk, JointVector, MAX_JOINTS, Pose, ServoOptions, Twist};

/// How fast a role may move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MotionLimits {
    /// Speed of the tool centre point, m/s, and its change, m/s^2.
    pub linear_m_per_s: f64,
    pub linear_m_per_s2: f64,
    /// Turning of the tool, rad/s and rad/s^2.
    pub angular_rad_per_s: f64,
    pub angular_rad_per_s2: f64,
    /// Per joint, rad/s and rad/s^2.
    pub joint_rad_per_s: JointVector,
    pub joint_rad_per_s2: JointVector,
}

impl MotionLimits {
    /// Limits that leave a margin to those of a safety envelope: a tool speed (m/s), and joint velocities and accelerations.
    ///
    /// The margin of a fifth is for what the gate sees and a role does not plan: noise of the measured velocity, and the joints' own
    /// way of following a command. The tool is at its speed after half a second.
    pub fn within(
        tcp_speed_m_per_s: f64,
        joint_rad_per_s: &JointVector,
        joint_rad_per_s2: &JointVector,
    ) -> Self {
        const SHARE: f64 = 0.8;
        let slowest =
            joint_rad_per_s.iter().copied().filter(|limit| *limit > 0.0).fold(f64::INFINITY, f64::min);
        let (linear, angular) = (tcp_speed_m_per_s * SHARE, slowest.min(2.0) * SHARE * 0.5);
        Self {
            linear_m_per_s: linear,
            linear_m_per_s2: linear * 2.0,
            angular_rad_per_s: angular,
            angular_rad_per_s2: angular * 2.0,
            joint_rad_per_s: joint_rad_per_s * SHARE,
            joint_rad_per_s2: joint_rad_per_s2 * SHARE * 0.75,
        }
    }
}

/// The arm of a role with what moving it needs.
#[derive(Clone, Debug)]
pub(crate) struct Mover {
    pub(crate) servo: ServoOptions,
    pub(crate) limits: MotionLimits,
}

impl Mover {
    pub(crate) fn new(arm: &ArmModel, limits: MotionLimits, home: JointVector) -> Self {
        let mut servo = arm.servo_options(limits.joint_rad_per_s2);
        servo.velocity = limits.joint_rad_per_s.zip_map(&servo.velocity, f64::min);
        servo.posture = (arm.dof() > 6).then_some((home, POSTURE_GAIN));
        Self { servo, limits }
    }

    /// Joint velocities for a twist of the tool, whose direction is kept where a limit binds.
    pub(crate) fn servo(&self, arm: &ArmModel, q: &JointVector, twist: &Twist) -> DifferentialIk {
        arm.differential_ik(q, twist, &self.servo)
    }
}

/// Pull of a redundant arm to its rest posture, 1/s.
const POSTURE_GAIN: f64 = 0.5;

/// Feedback on the distance between reference and arm, 1/s: time constant 0.25 s, far below the bandwidth of a velocity drive.
pub(crate) const FEEDBACK: f64 = 4.0;

/// The reference waits for an arm that is this far behind (a gate that slows down, a contact), m or rad.
const LAG_M: f64 = 0.03;
const LAG_RAD: f64 = 0.15;

/// What a motion wants in a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step<T> {
    Go(T),
    Arrived,
}

/// Progress from 0 to 1 with limited speed and acceleration (trapezoidal profile).
#[derive(Clone, Copy, Debug)]
struct Progress {
    at: f64,
    speed: f64,
    max_speed: f64,
    acceleration: f64,
}

impl Progress {
    fn new(max_speed: f64, acceleration: f64) -> Self {
        Self { at: 0.0, speed: 0.0, max_speed, acceleration }
    }

    /// Moves on for `dt` seconds; `share` of the speed only, 0 to stand still.
    fn advance(&mut self, dt: f64, share: f64) {
        let remaining = (1.0 - self.at).max(0.0);
        let braking = (2.0 * self.acceleration * remaining).sqrt();
        self.speed = (self.speed + self.acceleration * dt).min(self.max_speed * share).min(braking);
        self.at += self.speed * dt;
        if self.at >= 1.0 - 1e-4 {
            (self.at, self.speed) = (1.0, 0.0);
        }
    }
}

/// The tool on a straight line, turning at the same time.
#[derive(Clone, Debug)]
pub(crate) struct LineMove {
    from: Pose,
    translation: Vector3<f64>,
    /// Rotation vector from start to goal, world axes.
    rotation: Vector3<f64>,
    progress: Progress,
    limits: MotionLimits,
}

impl LineMove {
    /// From where the tool is to `to`, with `share` of the limits' speeds.
    pub(crate) fn new(from: Pose, to: &Pose, limits: &MotionLimits, share: f64) -> Self {
        let error = pose_error(&from, to);
        let (translation, rotation) =
            (error.fixed_rows::<3>(0).into_owned(), error.fixed_rows::<3>(3).into_owned());
        // A motion of nothing takes no time: its rates are bounded by a length of a tenth of a millimetre.
        let (length, angle) = (translation.norm().max(1e-4), rotation.norm().max(1e-3));
        let speed = (limits.linear_m_per_s / length).min(limits.angular_rad_per_s / angle) * share;
        let acceleration = (limits.linear_m_per_s2 / length).min(limits.angular_rad_per_s2 / angle);
        Self { from, translation, rotation, progress: Progress::new(speed, acceleration), limits: *limits }
    }

    /// The tool's twist for the next `dt` seconds. `give` is added to the reference velocity, for a motion that yields to contact.
    pub(crate) fn step(&mut self, tool: &Pose, dt: f64, tolerance: Tolerance, give: &Twist) -> Step<Twist> {
        let error = pose_error(tool, &self.reference());
        let (linear, angular) = (error.fixed_rows::<3>(0).norm(), error.fixed_rows::<3>(3).norm());
        if self.progress.at >= 1.0 && linear <= tolerance.linear_m && angular <= tolerance.angular_rad {
            return Step::Arrived;
        }
        let lag = (linear / LAG_M).max(angular / LAG_RAD);
        self.progress.advance(dt, (1.0 - lag).clamp(0.0, 1.0));
        let rate = self.progress.speed;
        let feed =
            Twist::from_iterator(self.translation.iter().chain(&self.rotation).map(|span| span * rate));
        let error = pose_error(tool, &self.reference());
        Step::Go(limited(&(feed + error * FEEDBACK + give), &self.limits))
    }

    fn reference(&self) -> Pose {
        let turn = UnitQuaternion::from_scaled_axis(self.rotation * self.progress.at).to_rotation_matrix();
        let at = self.from.translation.vector + self.translation * self.progress.at;
        Pose::from_parts(at.into(), turn * self.from.rotation)
    }
}

/// All joints from one position to another, in the same time.
#[derive(Clone, Debug)]
pub(crate) struct JointMove {
    from: JointVector,
    span: JointVector,
    progress: Progress,
}

impl JointMove {
    pub(crate) fn new(from: JointVector, to: &JointVector, limits: &MotionLimits, share: f64) -> Self {
        let span = to - from;
        // A joint that does not move sets no pace; one that hardly moves does not set an absurd one.
        let slowest = |limit: &JointVector| {
            let pace = |(span, limit): (&f64, &f64)| {
                if *span == 0.0 { f64::INFINITY } else { limit / span.abs().max(1e-3) }
            };
            span.iter().zip(limit).map(pace).fold(1e3, f64::min)
        };
        // Half the speed that the joints can do: a tool on a long arm is fast.
        let progress = Progress::new(
            slowest(&limits.joint_rad_per_s) * share * 0.5,
            slowest(&limits.joint_rad_per_s2) * 0.5,
        );
        Self { from, span, progress }
    }

    pub(crate) fn step(&mut self, q: &JointVector, dt: f64, tolerance_rad: f64) -> Step<JointVector> {
        let error = self.from + self.span * self.progress.at - q;
        if self.progress.at >= 1.0 && error.amax() <= tolerance_rad {
            return Step::Arrived;
        }
        self.progress.advance(dt, (1.0 - error.amax() / LAG_RAD).clamp(0.0, 1.0));
        let error = self.from + self.span * self.progress.at - q;
        Step::Go(self.span * self.progress.speed + error * FEEDBACK)
    }
}

/// When a motion has arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tolerance {
    pub(crate) linear_m: f64,
    pub(crate) angular_rad: f64,
}

/// Limits speed and change of speed of all joints, keeping the direction of the motion and of its change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slew {
    current: JointVector,
}

impl Slew {
    pub(crate) fn at_rest() -> Self {
        Self { current: JointVector::zeros() }
    }

    pub(crate) fn follow(&mut self, wanted: &JointVector, limits: &MotionLimits, dt: f64) -> JointVector {
        let wanted =
            if wanted.iter().all(|value| value.is_finite()) { *wanted } else { JointVector::zeros() };
        let target = wanted * share_within(&wanted, &limits.joint_rad_per_s, 1.0);
        let change = target - self.current;
        self.current += change * share_within(&change, &limits.joint_rad_per_s2, dt);
        self.current
    }
}

/// The largest share, up to 1, of `values` that is within `limits * times`.
fn share_within(values: &JointVector, limits: &JointVector, times: f64) -> f64 {
    (0..MAX_JOINTS)
        .filter(|&i| values[i].abs() > limits[i] * times)
        .fold(1.0, |share: f64, i| share.min((limits[i] * times / values[i].abs()).max(0.0)))
}

/// A twist scaled into the limits, direction kept.
pub(crate) fn limited(twist: &Twist, limits: &MotionLimits) -> Twist {
    let (linear, angular) = (twist.fixed_rows::<3>(0).norm(), twist.fixed_rows::<3>(3).norm());
    let scale = (limits.linear_m_per_s / linear.max(1e-12))
        .min(limits.angular_rad_per_s / angular.max(1e-12))
        .min(1.0);
    twist * scale
}

/// Difference of the origins (m) and rotation vector (rad) that bring `from` to `to`, world axes.
pub(crate) fn pose_error(from: &Pose, to: &Pose) -> Twist {
    let translation = to.translation.vector - from.translation.vector;
    let rotation =
        UnitQuaternion::from_rotation_matrix(&(to.rotation * from.rotation.inverse())).scaled_axis();
    Twist::from_iterator(translation.iter().chain(&rotation).copied())
}
