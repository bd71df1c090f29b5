//! Velocity level: the Jacobian is the derivative of the pose; servo steps keep every limit; IK undoes FK.

use crate::common;
use nalgebra::UnitQuaternion;
use proptest::prelude::*;
use swarm_kinematics::{ArmModel, IkOptions, JointVector, Pose, ServoOptions, Twist};

/// A position within the joint limits from one share (0..1) per joint.
fn position(arm: &ArmModel, shares: &[f64; 7]) -> JointVector {
    JointVector::from_fn(|i, _| {
        arm.joints().get(i).map_or(0.0, |j| j.lower + (j.upper - j.lower) * shares[i])
    })
}

fn shares() -> impl Strategy<Value = [f64; 7]> {
    prop::array::uniform7(0.0..=1.0f64)
}

fn options(arm: &ArmModel) -> ServoOptions {
    arm.servo_options(JointVector::repeat(5.0))
}

fn difference(from: &Pose, to: &Pose) -> Twist {
    let linear = to.translation.vector - from.translation.vector;
    let turn = UnitQuaternion::from_rotation_matrix(&(to.rotation * from.rotation.inverse())).scaled_axis();
    Twist::new(linear.x, linear.y, linear.z, turn.x, turn.y, turn.z)
}

proptest! {
    #[test]
    fn the_jacobian_is_the_derivative_of_the_tool_pose(shares in shares()) {
        const STEP: f64 = 1e-5;
        for arm in common::both() {
            let q = position(&arm, &shares);
            let jacobian = arm.jacobian(&arm.forward(&q));
            for i in 0..arm.dof() {
                let mut step = JointVector::zeros();
                step[i] = STEP;
                let before = arm.tool(&arm.forward(&(q - step)));
                let after = arm.tool(&arm.forward(&(q + step)));
                let slope = difference(&before, &after) / (2.0 * STEP);
                let error = (slope - jacobian.column(i)).amax();
                prop_assert!(error < 1e-8, "column {i} is off by {error:e}");
            }
        }
    }

    #[test]
    fn a_servo_step_keeps_every_limit(
        shares in shares(), linear in prop::array::uniform3(-2.0..2.0f64), angular in prop::array::uniform3(-3.0..3.0f64),
    ) {
        let twist = Twist::new(linear[0], linear[1], linear[2], angular[0], angular[1], angular[2]);
        for arm in common::both() {
            let q = position(&arm, &shares);
            let mut options = options(&arm);
            options.posture = Some((JointVector::zeros(), 2.0));
            let step = arm.differential_ik(&q, &twist, &options);
            prop_assert!((0.0..=1.0).contains(&step.scale));
            for (i, joint) in arm.joints().iter().enumerate() {
                let qd = step.qd[i];
                prop_assert!(qd.abs() <= joint.velocity * (1.0 + 1e-12), "{} moves at {qd}", joint.name);
                // Braking at 5 rad/s^2 from here, the joint still stops at its limit.
                let stop = q[i] + qd * qd.abs() / (2.0 * 5.0);
                prop_assert!(
                    stop <= joint.upper.max(q[i]) + 1e-9 && stop >= joint.lower.min(q[i]) - 1e-9,
                    "{} at {} moves at {qd} and stops at {stop}, limits {} {}", joint.name, q[i], joint.lower, joint.upper
                );
            }
            for i in arm.dof()..7 {
                prop_assert_eq!(step.qd[i], 0.0);
            }
        }
    }

    #[test]
    fn away_from_limits_and_singularities_the_tool_moves_as_wanted(
        shares in prop::array::uniform7(0.25..0.75f64), linear in prop::array::uniform3(-0.1..0.1f64),
        angular in prop::array::uniform3(-0.2..0.2f64),
    ) {
        let twist = Twist::new(linear[0], linear[1], linear[2], angular[0], angular[1], angular[2]);
        for arm in common::both() {
            let q = position(&arm, &shares);
            let mut options = options(&arm);
            // The pull towards the posture must not move the tool.
            options.posture = Some((q.map(|value| value * 0.9), 0.5));
            let step = arm.differential_ik(&q, &twist, &options);
            if step.manipulability < options.manipulability_threshold || step.held_joints > 0 {
                continue;
            }
            let moved = arm.tool_twist(&arm.forward(&q), &step.qd);
            let error = (moved - twist * step.scale).norm();
            // The posture's share is scaled with the rest, hence the twist too.
            prop_assert!(error < 1e-6, "tool moves with {moved}, wanted {twist} scaled by {}", step.scale);
        }
    }

    #[test]
    fn inverse_kinematics_undoes_forward_kinematics(
        shares in prop::array::uniform7(0.02..0.98f64), off in prop::array::uniform7(-0.3..0.3f64),
    ) {
        for arm in common::both() {
            let q = position(&arm, &shares);
            let options = options(&arm);
            let at_rest = arm.differential_ik(&q, &Twist::zeros(), &options);
            if at_rest.manipulability < options.manipulability_threshold {
                // Next to a singularity beside a joint limit the way in can be too narrow; nothing is promised there.
                continue;
            }
            let target = arm.tool(&arm.forward(&q));
            let seed = JointVector::from_fn(|i, _| if i < arm.dof() { q[i] + off[i] } else { 0.0 });
            let found = arm.solve_ik(&target, &seed, &IkOptions { restarts: 30, ..IkOptions::default() });
            let found = found.map_err(|error| TestCaseError::fail(error.to_string()))?;
            let error = difference(&arm.tool(&arm.forward(&found.q)), &target);
            prop_assert!(error.fixed_rows::<3>(0).norm() <= 1e-6 && error.fixed_rows::<3>(3).norm() <= 1e-6);
            for (i, joint) in arm.joints().iter().enumerate() {
                prop_assert!(found.q[i] >= joint.lower && found.q[i] <= joint.upper, "{} at {}", joint.name, found.q[i]);
            }
        }
    }
}

#[test]
fn near_a_singularity_the_joints_stay_calm() {
    // UR5e with its arm stretched out: pulling outwards has no solution, undamped velocities would be unbounded.
    let arm = common::ur5e(Pose::identity());
    let q = arm.joint_vector(&[0.0, -0.8, 1e-4, -1.0, -1.57, 0.0]).unwrap();
    let outwards = arm.tool(&arm.forward(&q)).translation.vector.normalize() * 0.1;
    let twist = Twist::new(outwards.x, outwards.y, outwards.z, 0.0, 0.0, 0.0);
    let mut options = options(&arm);
    options.velocity = JointVector::repeat(f64::INFINITY);
    let damped = arm.differential_ik(&q, &twist, &options);
    assert!(damped.manipulability < options.manipulability_threshold, "{damped:?}");
    assert!(damped.qd.amax() < 1.5, "{damped:?}");
    options.max_damping = 0.0;
    assert!(arm.differential_ik(&q, &twist, &options).qd.amax() > 10.0 * damped.qd.amax());
}

#[test]
fn the_null_space_draws_a_seven_joint_arm_to_its_posture_without_moving_the_tool() {
    let arm = common::panda(Pose::identity());
    let mut q = arm.joint_vector(&[0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785]).unwrap();
    let start = arm.tool(&arm.forward(&q));
    // Another posture with the same tool pose: the elbow swung aside.
    let mut aside = q;
    aside[0] += 0.5;
    let posture = arm.solve_ik(&start, &aside, &IkOptions::default()).unwrap().q;
    let mut options = options(&arm);
    options.posture = Some((posture, 1.0));
    let before = (posture - q).norm();
    for _ in 0..2000 {
        q += arm.differential_ik(&q, &Twist::zeros(), &options).qd * 1e-3;
    }
    let after = (posture - q).norm();
    assert!(before > 0.3 && after < 0.3 * before, "distance {before} then {after}");
    let moved = difference(&start, &arm.tool(&arm.forward(&q)));
    assert!(moved.norm() < 2e-3, "the tool moved by {moved}");
}

#[test]
fn a_pose_out_of_reach_says_how_near_it_came() {
    let arm = common::ur5e(Pose::identity());
    let error = arm
        .solve_ik(&Pose::translation(3.0, 0.0, 0.0), &JointVector::zeros(), &IkOptions::default())
        .unwrap_err();
    assert!(error.position_error_m > 1.5, "{error}");
    assert!(
        error.to_string().starts_with("no joint position within the limits brings the tool to the target")
    );
}
