//! The leaf `FollowPolicy` in a tree of one role, against networks that are scripted: what it does with chunks that come in time, late,
//! never, or with something wrong in them.

mod arm;
mod deployed;

use arm::{Arm, BESIDE_ROUNDS, CHUNK, Script, answer_with, policy, steady};
use swarm_artifact::ActionKind;
use swarm_base::Duration;
use swarm_skill_core::{Outcome, PolicyError, runner_contract};

/// What a run that fails says, without the node that every failure of the leaf ends with.
fn reason(outcome: Outcome) -> String {
    let Outcome::Aborted(reason) = outcome else { panic!("it ended with {outcome:?}") };
    let (reason, node) = reason.split_once(" (node ").expect("the reason names the node");
    assert_eq!(node, "follow)");
    reason.strip_prefix("leader: FollowPolicy 'follow': ").expect("the reason names role and leaf").to_owned()
}

#[test]
fn the_scripted_network_keeps_the_contract_of_runners() {
    let policy = policy(ActionKind::JointVelocity, 4, steady(0.2));
    runner_contract::check(&mut **policy.runner.lock().unwrap(), || {});
}

#[test]
fn chunks_of_velocities_are_followed_for_the_time_given() {
    let mut arm = Arm::new(policy(ActionKind::JointVelocity, 2, steady(0.2)));
    assert_eq!(arm.run_to_end(), Outcome::Succeeded);
    // A second at 0.2 rad/s, less what the start takes: answer, blend, and the joint's acceleration.
    let moved = arm.moved(0);
    assert!((0.15..0.2).contains(&moved), "moved {moved} rad");
    assert!(arm.moved(1).abs() < 1e-9, "joint 1 was told to stand");
}

#[test]
fn chunks_of_positions_lead_the_arm_to_where_they_end() {
    let start = Arm::home(0);
    let to = answer_with(move |step, joint, seen| {
        // From where the joint was seen, at 0.5 rad/s, to 0.2 rad beyond the start.
        let goal = if joint == 0 { (start + 0.2) as f32 } else { seen };
        seen + (goal - seen).clamp(-0.05 * step as f32, 0.05 * step as f32)
    });
    let mut arm = Arm::new(policy(ActionKind::JointPosition, 2, to));
    assert_eq!(arm.run_to_end(), Outcome::Succeeded);
    assert!((arm.moved(0) - 0.2).abs() < 0.01, "moved {} rad", arm.moved(0));
}

#[test]
fn after_a_late_tick_an_arm_goes_on_as_fast_as_its_chunk_says() {
    let ramp = answer_with(|step, joint, seen| if joint == 0 { seen + 0.02 * step as f32 } else { seen });
    let mut arm = Arm::new(policy(ActionKind::JointPosition, 2, ramp));
    arm.run_for(22);
    let before = arm.velocities[21][0];
    assert!((0.15..0.25).contains(&before), "{before} rad/s before it, the chunk says 0.2");
    arm.miss(Duration::from_millis(140));
    arm.run_for(1);
    let after = arm.velocities[22][0];
    assert!((0.15..0.25).contains(&after), "{after} rad/s after it, the chunk says 0.2");
}

/// An answer after 25 ticks is in time, but the chunk before it is over by then: the arm waits for it, and goes on from rest.
#[test]
fn a_chunk_that_comes_late_means_hold_and_never_a_jump() {
    let mut arm = Arm::new(policy(ActionKind::JointVelocity, 25, steady(0.2)));
    assert_eq!(arm.run_to_end(), Outcome::Succeeded);
    let moving: Vec<bool> = arm.velocities.iter().map(|qd| qd[0].abs() > 1e-6).collect();
    let starts = moving.windows(2).filter(|pair| !pair[0] && pair[1]).count();
    assert!(starts >= 2, "the arm did not wait between two chunks: {moving:?}");
    assert!(arm.largest_change_share <= 1.0 + 1e-9, "acceleration {} of its limit", arm.largest_change_share);
    assert!(arm.largest_velocity_share <= 1.0 + 1e-9);
}

#[test]
fn the_same_answers_in_the_same_ticks_give_the_same_run() {
    let run = || {
        let mut arm = Arm::new(policy(
            ActionKind::JointVelocity,
            7,
            answer_with(|step, _, seen| seen.sin() * step as f32 * 0.1),
        ));
        arm.run_to_end();
        arm.velocities
    };
    assert_eq!(run(), run());
}

/// A version beside a run answers in the ticks in which the run's own policy did, however long that one thinks; also through the first
/// ticks, in which that one still thinks about the question of a run before.
#[test]
fn a_shadow_with_the_same_policy_does_the_same_and_with_another_one_parts_from_it() {
    let waves = |scale: f32| answer_with(move |step, _, seen| seen.sin() * step as f32 * scale);
    for delay in [0, 1, 7, 12] {
        let policy_of = |delay, scale| policy(ActionKind::JointVelocity, delay, waves(scale));
        let slow = policy_of(delay, 0.1);
        Arm::new(slow.clone()).run_for(4);
        let mut arm = Arm::new(slow);
        assert_eq!(arm.run_to_end(), Outcome::Succeeded);
        assert_eq!(arm.difference(policy_of(0, 0.1)), None, "a delay of {delay} ticks");
        let parted = arm.difference(policy_of(0, 0.11)).expect("it is another network");
        let first = arm.velocities.iter().position(|qd| qd.amax() > 0.0).expect("it has moved");
        assert_eq!(parted.tick, first as u64 + 1, "{parted}");
    }
}

#[test]
fn a_policy_is_followed_alike_however_often_the_tree_is_ticked_until_it_settles() {
    let at_a_speed: fn() -> Script = || steady(0.2);
    let onwards: fn() -> Script = || answer_with(|step, _, seen| seen + 0.01 * step as f32);
    for (kind, script) in [(ActionKind::JointVelocity, at_a_speed), (ActionKind::JointPosition, onwards)] {
        let mut alone = Arm::new(policy(kind, 7, script()));
        let mut beside = Arm::in_tree(BESIDE_ROUNDS, policy(kind, 7, script()));
        assert_eq!((alone.run_to_end(), beside.run_to_end()), (Outcome::Succeeded, Outcome::Succeeded));
        assert_eq!(alone.velocities, beside.velocities);
        assert_eq!(alone.policies(), beside.policies(), "whoever follows the run is told the same");
        assert_eq!(beside.difference(policy(kind, 0, script())), None);
    }
}

#[test]
fn an_observation_is_scored_by_its_largest_deviation_whether_it_is_refused_or_not() {
    let mut arm = Arm::new(policy(ActionKind::JointVelocity, 2, steady(0.5)));
    arm.run_to_end();
    let scores = arm.scores();
    // The mean is the home position, a standard deviation 0.01 rad, 30 are allowed. The part is at its mean but for w = 1 of its turn.
    assert!((scores[0] - 1.0).abs() < 1e-6, "{scores:?}");
    assert!(scores.is_sorted(), "the arm moves away: {scores:?}");
    let (refused, before) = scores.split_last().expect("there was an observation");
    assert!(*refused > 30.0 && before.iter().all(|score| *score <= 30.0), "{scores:?}");
}

#[test]
fn a_policy_that_does_not_answer_by_its_deadline_fails_the_leaf() {
    let mut arm = Arm::new(policy(ActionKind::JointVelocity, 1_000, steady(0.2)));
    assert_eq!(reason(arm.run_to_end()), "inference took 310000 us, its deadline is 300000 us");
    assert_eq!(arm.moved(0), 0.0);
}

#[test]
fn an_answer_with_something_wrong_in_it_fails_the_leaf() {
    for (answer, message) in [
        (Ok(vec![0.0; CHUNK - 1]), format!("the answer has {} values, the policy's has {CHUNK}", CHUNK - 1)),
        (
            Ok((0..CHUNK).map(|at| if at == 8 { f32::NAN } else { 0.0 }).collect()),
            "value 2 of action 1 of the policy's answer is not finite".into(),
        ),
        (Err(PolicyError::Failed("out of memory".into())), "inference failed: out of memory".into()),
    ] {
        let mut arm = Arm::new(policy(ActionKind::JointVelocity, 2, Box::new(move |_| answer.clone())));
        assert_eq!(reason(arm.run_to_end()), message);
    }
}

#[test]
fn an_observation_unlike_the_training_data_fails_the_leaf_with_its_features() {
    let mut arm = Arm::new(policy(ActionKind::JointVelocity, 2, steady(0.5)));
    // The statistics' mean is the home position, and ten standard deviations are 0.1 rad.
    let reason = reason(arm.run_to_end());
    assert!(
        reason
            .starts_with("the observation is none that the policy was trained for: observation.state[0] is "),
        "{reason}"
    );
    assert!(reason.ends_with("; at most 30.0 are allowed"), "{reason}");
}

#[test]
fn a_part_that_the_policy_needs_and_nobody_sees_is_named() {
    let mut arm = Arm::new(policy(ActionKind::JointVelocity, 2, steady(0.2)));
    arm.hide_parts = true;
    assert_eq!(
        reason(arm.run_to_end()),
        "input 'observation.environment_state' has no pose_of part_a: it has not been measured yet"
    );
}

/// The network still thinks about the question of a run that was canceled: the next one waits, and does not take the answer for its own.
#[test]
fn a_question_of_an_earlier_run_is_not_answered_to_the_next_one() {
    let policy =
        policy(ActionKind::JointVelocity, 12, answer_with(|_, joint, _| if joint == 0 { 0.2 } else { 0.0 }));
    let mut first = Arm::new(policy.clone());
    first.run_for(3);
    let mut second = Arm::new(policy);
    assert_eq!(second.run_to_end(), Outcome::Succeeded);
    let waited = second.velocities.iter().take_while(|qd| qd[0] == 0.0).count();
    // Ten ticks until the first run's answer, twelve until its own.
    assert!(waited >= 20, "moves after {waited} ticks, on the answer to another question");
}
