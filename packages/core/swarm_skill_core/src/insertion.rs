//! The last centimetre: what the insertion policy sees, what its answer means, and when it is over.
//!
//! One function builds the observation. The runtime, the simulator's training recipe and the tests all use this one, so what a
//! policy was trained on is what it gets.
//!
//! # Frames
//!
//! - *P*, "pocket": centre of the pocket's mouth, z up out of the pocket.
//! - *T*, "tip": centre of the peg's lower face, z up along the peg. The peg is square, so T's yaw is folded to a quarter turn.
//! - *flange*: where the wrist force is measured. A wrench is what the tool and everything beyond it exert on the flange; a tared
//!   wrench therefore is what the environment exerts on the tool.
//!
//! # Flow
//!
//! 1. Before the policy starts, at rest, [`Mean`]s estimate the pocket in the world, the tip in the tool and the tare; then they are frozen.
//! 2. Every tick: [`observe`], infer, [`clip_action`], [`tcp_twist_in_world`], differential inverse kinematics.
//! 3. [`InsertionWatch`] says when it is over; the network does not.

use nalgebra::{Isometry3, Quaternion, Rotation3, Translation3, UnitQuaternion, Vector3};
use swarm_base::{Duration, Time};
use swarm_kinematics::Twist;

/// Values of an observation: tip position (3, m), tip rotation vector (3, rad), force (3, N) and torque about the tip (3, N m) by
/// the environment, previous action (6); all in P axes.
pub const OBSERVATION_LEN: usize = 18;

/// Values of an action: velocity of the tip (3, m/s) and angular velocity (3, rad/s), in P axes.
pub const ACTION_LEN: usize = 6;

/// Largest action, per axis.
pub const MAX_LINEAR_M_PER_S: f64 = 0.02;
pub const MAX_ANGULAR_RAD_PER_S: f64 = 0.15;

/// Forces and torques are clipped to this before a policy sees them.
const MAX_FORCE_N: f64 = 50.0;
const MAX_TORQUE_NM: f64 = 5.0;

/// What an observation is made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InsertionInputs {
    pub tip_in_world: Isometry3<f64>,
    pub pocket_in_world: Isometry3<f64>,
    pub flange_in_world: Isometry3<f64>,
    /// Force (N) and torque (N m) on the flange, in and about the flange frame, as measured.
    pub wrench_flange: [f64; 6],
    /// The same at rest, before the insertion.
    pub wrench_tare: [f64; 6],
    /// The previous answer after clipping; zeros at first.
    pub previous_action: [f64; ACTION_LEN],
}

/// Builds the observation. It may hold values that are not finite if the inputs do; see [`is_finite`].
pub fn observe(inputs: &InsertionInputs) -> [f32; OBSERVATION_LEN] {
    let tip = tip_in_pocket(&inputs.pocket_in_world, &inputs.tip_in_world);
    let flange_axes_to_p = inputs.pocket_in_world.rotation.inverse() * inputs.flange_in_world.rotation;
    let tared = |i: usize| inputs.wrench_flange[i] - inputs.wrench_tare[i];
    let force = flange_axes_to_p * Vector3::new(tared(0), tared(1), tared(2));
    let torque_about_flange = flange_axes_to_p * Vector3::new(tared(3), tared(4), tared(5));
    let tip_to_flange = inputs.pocket_in_world.rotation.inverse_transform_vector(
        &(inputs.flange_in_world.translation.vector - inputs.tip_in_world.translation.vector),
    );
    let torque_about_tip = torque_about_flange + tip_to_flange.cross(&force);

    let position = tip.translation.vector;
    let rotation = tip.rotation.scaled_axis();
    let force = force.map(|value| clip(value, MAX_FORCE_N));
    let torque = torque_about_tip.map(|value| clip(value, MAX_TORQUE_NM));
    let mut observation = [0.0; OBSERVATION_LEN];
    let values = position.iter().chain(&rotation).chain(&force).chain(&torque).chain(&inputs.previous_action);
    for (slot, value) in observation.iter_mut().zip(values) {
        *slot = *value as f32;
    }
    observation
}

/// The tip in the pocket's frame, turned by quarter turns about its own axis until its yaw is in (-45°, +45°].
pub fn tip_in_pocket(pocket_in_world: &Isometry3<f64>, tip_in_world: &Isometry3<f64>) -> Isometry3<f64> {
    let tip = pocket_in_world.inverse() * tip_in_world;
    let matrix = tip.rotation.to_rotation_matrix();
    let yaw = matrix[(1, 0)].atan2(matrix[(0, 0)]);
    let quarter_turns = (yaw / std::f64::consts::FRAC_PI_2 - 0.5).ceil();
    let unturn = Rotation3::from_axis_angle(&Vector3::z_axis(), -quarter_turns * std::f64::consts::FRAC_PI_2);
    Isometry3::from_parts(tip.translation, UnitQuaternion::from_rotation_matrix(&(matrix * unturn)))
}

/// Whether a policy may see these values.
pub fn is_finite(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_finite())
}

/// A policy's answer within the limits; `None` if any of its values is not finite.
pub fn clip_action(action: &[f32; ACTION_LEN]) -> Option<[f64; ACTION_LEN]> {
    if !is_finite(action) {
        return None;
    }
    let mut clipped = action.map(f64::from);
    for (index, value) in clipped.iter_mut().enumerate() {
        *value = clip(*value, if index < 3 { MAX_LINEAR_M_PER_S } else { MAX_ANGULAR_RAD_PER_S });
    }
    Some(clipped)
}

/// The tool's twist that moves the tip as the action says: `v_tcp = v_tip + w x (p_tcp - p_tip)`.
pub fn tcp_twist_in_world(
    action: &[f64; ACTION_LEN],
    pocket_in_world: &Isometry3<f64>,
    tip_in_world: &Isometry3<f64>,
    tcp_in_world: &Isometry3<f64>,
) -> Twist {
    let tip_velocity = pocket_in_world.rotation * Vector3::new(action[0], action[1], action[2]);
    let angular = pocket_in_world.rotation * Vector3::new(action[3], action[4], action[5]);
    let tip_to_tcp = tcp_in_world.translation.vector - tip_in_world.translation.vector;
    let linear = tip_velocity + angular.cross(&tip_to_tcp);
    Twist::new(linear.x, linear.y, linear.z, angular.x, angular.y, angular.z)
}

/// State of an insertion after a tick.
#[derive(Clone, Debug, PartialEq)]
pub enum Insertion {
    Going,
    /// The peg is home; its depth below the mouth, m.
    Seated {
        depth_m: f64,
    },
    Failed(InsertionFailure),
}

/// Why an insertion was given up.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum InsertionFailure {
    #[error("not seated after {after_s:.1} s, tip at z {z_m:.4} m of the pocket")]
    TooSlow { after_s: f64, z_m: f64 },
    #[error("contact force {force_n:.1} N, more than 40 N for 50 ms")]
    TooHard { force_n: f64 },
    #[error("tip {offset_m:.4} m beside the pocket, more than 0.008 m")]
    OffTrack { offset_m: f64 },
}

/// Decides when an insertion is over.
#[derive(Clone, Copy, Debug)]
pub struct InsertionWatch {
    started: Time,
    hard_since: Option<Time>,
    bottom_since: Option<Time>,
}

const TIME_LIMIT: Duration = Duration::from_millis(8_000);
const SEATED_Z_M: f64 = -0.027;
/// With the bottom felt, less depth will do: the estimate of z has a bias of its own.
const BOTTOM_Z_M: f64 = -0.024;
const BOTTOM_FORCE_N: f64 = 8.0;
const BOTTOM_FOR: Duration = Duration::from_millis(100);
const HARD_FORCE_N: f64 = 40.0;
const HARD_FOR: Duration = Duration::from_millis(50);
const TRACK_M: f64 = 0.008;

impl InsertionWatch {
    pub fn start(now: Time) -> Self {
        Self { started: now, hard_since: None, bottom_since: None }
    }

    /// Judges an observation of [`observe`].
    pub fn judge(&mut self, observation: &[f32; OBSERVATION_LEN], now: Time) -> Insertion {
        let value = |index: usize| f64::from(observation[index]);
        let (x, y, z) = (value(0), value(1), value(2));
        let force = Vector3::new(value(6), value(7), value(8));

        let at_bottom = z <= BOTTOM_Z_M && force.z > BOTTOM_FORCE_N;
        if z <= SEATED_Z_M || lasts(&mut self.bottom_since, at_bottom, BOTTOM_FOR, now) {
            return Insertion::Seated { depth_m: -z };
        }
        if lasts(&mut self.hard_since, force.norm() > HARD_FORCE_N, HARD_FOR, now) {
            return Insertion::Failed(InsertionFailure::TooHard { force_n: force.norm() });
        }
        if x.hypot(y) > TRACK_M {
            return Insertion::Failed(InsertionFailure::OffTrack { offset_m: x.hypot(y) });
        }
        let spent = now.since(self.started);
        if spent >= TIME_LIMIT {
            return Insertion::Failed(InsertionFailure::TooSlow { after_s: spent.as_secs_f64(), z_m: z });
        }
        Insertion::Going
    }
}

/// Mean of poses that lie close together, such as repeated sightings of a part at rest.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanPose {
    count: u32,
    position: Vector3<f64>,
    /// Sum of quaternions on one side of the sphere; its direction is the mean rotation for small spreads
    /// (Markley et al., "Averaging Quaternions", 2007).
    rotation: Option<Quaternion<f64>>,
}

impl MeanPose {
    pub fn add(&mut self, pose: &Isometry3<f64>) {
        self.count += 1;
        self.position += pose.translation.vector;
        let next = pose.rotation.into_inner();
        self.rotation = Some(match self.rotation {
            None => next,
            Some(sum) if sum.dot(&next) < 0.0 => sum - next,
            Some(sum) => sum + next,
        });
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    /// `None` before the first pose.
    pub fn get(&self) -> Option<Isometry3<f64>> {
        let rotation = UnitQuaternion::from_quaternion(self.rotation?);
        Some(Isometry3::from_parts(Translation3::from(self.position / f64::from(self.count)), rotation))
    }
}

/// Mean of wrenches, the tare.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanWrench {
    count: u32,
    sum: [f64; 6],
}

impl MeanWrench {
    pub fn add(&mut self, wrench: &[f64; 6]) {
        self.count += 1;
        for (sum, value) in self.sum.iter_mut().zip(wrench) {
            *sum += value;
        }
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    /// `None` before the first wrench.
    pub fn get(&self) -> Option<[f64; 6]> {
        (self.count > 0).then(|| self.sum.map(|sum| sum / f64::from(self.count)))
    }
}

/// Clips to `-limit..=limit`; a value that is not a number stays one, to be found by [`is_finite`].
fn clip(value: f64, limit: f64) -> f64 {
    value.clamp(-limit, limit)
}

/// Whether `condition` has held for `span` up to now.
fn lasts(since: &mut Option<Time>, condition: bool, span: Duration, now: Time) -> bool {
    if !condition {
        *since = None;
        return false;
    }
    now.since(*since.get_or_insert(now)) >= span
}

#[cfg(test)]
mod tests {
    use nalgebra::Point3;
    use proptest::prelude::*;

    use super::*;

    fn pose(x: f64, y: f64, z: f64, roll: f64, pitch: f64, yaw: f64) -> Isometry3<f64> {
        Isometry3::from_parts(Translation3::new(x, y, z), UnitQuaternion::from_euler_angles(roll, pitch, yaw))
    }

    fn at_rest(tip: Isometry3<f64>) -> InsertionInputs {
        InsertionInputs {
            tip_in_world: tip,
            pocket_in_world: pose(0.1, -0.2, 0.15, 0.0, 0.0, 0.4),
            flange_in_world: tip * pose(0.0, 0.0, 0.2, std::f64::consts::PI, 0.0, 0.0),
            wrench_flange: [0.0; 6],
            wrench_tare: [0.0; 6],
            previous_action: [0.01, 0.0, -0.01, 0.0, 0.0, 0.1],
        }
    }

    #[track_caller]
    fn assert_near(actual: &[f32], expected: &[f64]) {
        assert_eq!(actual.len(), expected.len());
        for (actual, expected) in actual.iter().zip(expected) {
            assert!((f64::from(*actual) - expected).abs() < 1e-6, "{actual} is not {expected}");
        }
    }

    #[test]
    fn the_tip_is_seen_in_the_pockets_frame() {
        let inputs = at_rest(pose(0.0, 0.0, 0.0, 0.0, 0.0, 0.0));
        let inputs = InsertionInputs {
            tip_in_world: inputs.pocket_in_world * pose(0.001, -0.002, 0.015, 0.0, 0.0, 0.03),
            ..inputs
        };
        let seen = observe(&inputs);
        assert_near(&seen[..6], &[0.001, -0.002, 0.015, 0.0, 0.0, 0.03]);
        assert_near(&seen[12..], &inputs.previous_action);
    }

    #[test]
    fn a_push_at_the_tip_is_a_force_without_torque_about_the_tip() {
        let mut inputs = at_rest(pose(0.1, -0.2, 0.16, 0.02, -0.01, 1.0));
        let push_in_p = Vector3::new(3.0, -2.0, 9.0);
        let push_in_world = inputs.pocket_in_world.rotation * push_in_p;
        // What a sensor at the flange feels of it: the same force, and its moment about the flange.
        let arm = inputs.tip_in_world.translation.vector - inputs.flange_in_world.translation.vector;
        let to_flange = inputs.flange_in_world.rotation.inverse();
        let (force, torque) = (to_flange * push_in_world, to_flange * arm.cross(&push_in_world));
        inputs.wrench_tare = [0.0, 0.0, 8.8, 0.1, 0.0, 0.0];
        for i in 0..3 {
            inputs.wrench_flange[i] = force[i] + inputs.wrench_tare[i];
            inputs.wrench_flange[i + 3] = torque[i] + inputs.wrench_tare[i + 3];
        }
        assert_near(&observe(&inputs)[6..12], &[3.0, -2.0, 9.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn forces_are_clipped_and_a_value_that_is_not_a_number_is_found() {
        let mut inputs = at_rest(Isometry3::identity());
        inputs.wrench_flange[2] = -1e9;
        let seen = observe(&inputs);
        assert!(seen[6..9].iter().all(|force| force.abs() <= 50.0) && is_finite(&seen));
        inputs.wrench_flange[2] = f64::NAN;
        assert!(!is_finite(&observe(&inputs)));
    }

    #[test]
    fn an_answer_is_clipped_per_axis_and_refused_when_it_is_not_finite() {
        assert_eq!(
            clip_action(&[1.0, -1.0, 0.0, 1.0, -1.0, 0.0]),
            Some([0.02, -0.02, 0.0, 0.15, -0.15, 0.0])
        );
        assert_eq!(clip_action(&[0.0, 0.0, f32::NAN, 0.0, 0.0, 0.0]), None);
        assert_eq!(clip_action(&[0.0, f32::INFINITY, 0.0, 0.0, 0.0, 0.0]), None);
    }

    proptest! {
        /// Moving the tool by the twist for a moment moves the tip as the action says.
        #[test]
        fn the_twist_moves_the_tip_as_the_action_says(
            action in prop::array::uniform6(-0.1_f64..0.1), yaw in -3.0_f64..3.0, tilt in -0.2_f64..0.2
        ) {
            let pocket = pose(0.1, 0.2, 0.3, tilt, 0.0, yaw);
            let tip = pose(0.1, 0.21, 0.31, 0.0, tilt, -yaw);
            let tcp = tip * pose(0.01, 0.0, 0.06, std::f64::consts::PI, 0.0, 0.0);
            let twist = tcp_twist_in_world(&action, &pocket, &tip, &tcp);
            let dt = 1e-6;
            let tip_in_tcp = tcp.inverse() * tip;
            let moved_tcp = Isometry3::from_parts(
                Translation3::from(tcp.translation.vector + twist.fixed_rows::<3>(0) * dt),
                UnitQuaternion::from_scaled_axis(twist.fixed_rows::<3>(3) * dt) * tcp.rotation,
            );
            let moved = (moved_tcp * tip_in_tcp) * Point3::origin() - tip * Point3::origin();
            let in_p = pocket.rotation.inverse() * (moved / dt);
            prop_assert!((in_p - Vector3::new(action[0], action[1], action[2])).norm() < 1e-5);
        }

        /// A quarter turn of a square peg changes nothing that the policy sees of its pose.
        #[test]
        fn a_quarter_turn_is_not_seen(yaw in -0.7_f64..0.7, turns in -3_i32..4) {
            let pocket = pose(0.0, 0.0, 0.15, 0.0, 0.0, 0.3);
            let straight = pocket * pose(0.0, 0.0, 0.01, 0.0, 0.0, yaw);
            let turned = straight * pose(0.0, 0.0, 0.0, 0.0, 0.0, f64::from(turns) * std::f64::consts::FRAC_PI_2);
            let (a, b) = (tip_in_pocket(&pocket, &straight), tip_in_pocket(&pocket, &turned));
            prop_assert!((a.rotation.scaled_axis() - b.rotation.scaled_axis()).norm() < 1e-9);
            prop_assert!((a.rotation.scaled_axis().z - yaw).abs() < 1e-9);
        }
    }

    fn seen(x: f32, z: f32, force_z: f32) -> [f32; OBSERVATION_LEN] {
        let mut seen = [0.0; OBSERVATION_LEN];
        (seen[0], seen[2], seen[8]) = (x, z, force_z);
        seen
    }

    #[test]
    fn depth_alone_or_the_felt_bottom_ends_an_insertion() {
        let mut watch = InsertionWatch::start(Time::ZERO);
        assert_eq!(watch.judge(&seen(0.0, -0.026, 3.0), Time::from_millis(10)), Insertion::Going);
        assert!(matches!(
            watch.judge(&seen(0.0, -0.0271, 0.0), Time::from_millis(20)),
            Insertion::Seated { .. }
        ));

        let mut watch = InsertionWatch::start(Time::ZERO);
        assert_eq!(watch.judge(&seen(0.0, -0.0245, 9.0), Time::from_millis(10)), Insertion::Going);
        assert_eq!(
            watch.judge(&seen(0.0, -0.0245, 7.0), Time::from_millis(60)),
            Insertion::Going,
            "the bottom is lost"
        );
        assert_eq!(watch.judge(&seen(0.0, -0.0245, 9.0), Time::from_millis(100)), Insertion::Going);
        assert!(matches!(
            watch.judge(&seen(0.0, -0.0245, 9.0), Time::from_millis(200)),
            Insertion::Seated { .. }
        ));
    }

    #[test]
    fn an_insertion_is_given_up_with_its_reason() {
        let mut watch = InsertionWatch::start(Time::ZERO);
        watch.judge(&seen(0.0, 0.0, 45.0), Time::from_millis(0));
        assert_eq!(watch.judge(&seen(0.0, 0.0, 45.0), Time::from_millis(40)), Insertion::Going);
        let Insertion::Failed(failure) = watch.judge(&seen(0.0, 0.0, 45.0), Time::from_millis(50)) else {
            panic!()
        };
        assert_eq!(failure.to_string(), "contact force 45.0 N, more than 40 N for 50 ms");

        let mut watch = InsertionWatch::start(Time::ZERO);
        let Insertion::Failed(failure) = watch.judge(&seen(0.009, 0.0, 0.0), Time::ZERO) else { panic!() };
        assert_eq!(failure.to_string(), "tip 0.0090 m beside the pocket, more than 0.008 m");
        let Insertion::Failed(failure) = watch.judge(&seen(0.0, 0.001, 0.0), Time::from_millis(8_000)) else {
            panic!()
        };
        assert_eq!(failure.to_string(), "not seated after 8.0 s, tip at z 0.0010 m of the pocket");
    }

    #[test]
    fn the_mean_of_poses_is_between_them() {
        let mut mean = MeanPose::default();
        assert_eq!(mean.get(), None);
        mean.add(&pose(0.0, 0.0, 1.0, 0.0, 0.0, 3.1));
        mean.add(&pose(0.0, 0.0, 3.0, 0.0, 0.0, -3.1));
        let mean = mean.get().unwrap();
        assert!((mean.translation.z - 2.0).abs() < 1e-12);
        assert!(
            mean.rotation.angle_to(&UnitQuaternion::from_euler_angles(0.0, 0.0, std::f64::consts::PI)) < 1e-9
        );
    }
}
