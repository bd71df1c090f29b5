//! Which commands pass, and how they are scaled and ramped.

use swarm_kinematics::JointVector;
use swarm_safety_core::{CauseKind, EnvelopeFile, GripperSample, MAX_ROBOTS, Refusal, SafetyState};

use crate::bench::{Bench, LEFT, PANDA_ARM, RIGHT, config, joint, slow};

// SR-12
#[test]
fn a_command_of_another_artifact_is_refused() {
    let mut bench = Bench::ready();
    for _ in 0..20 {
        bench.wish[LEFT] = Some(slow(LEFT));
        bench.sample();
        bench.inputs.robots[LEFT].command.as_mut().unwrap().artifact_matches = false;
        let verdict = bench.step();
        assert_eq!(verdict.state, SafetyState::Ready);
        assert_eq!(verdict.robots[LEFT].refusal, Some(Refusal::OtherArtifact));
        assert_eq!(verdict.robots[LEFT].velocity, JointVector::zeros());
    }
}

#[test]
fn a_refusal_is_said_once_per_command() {
    let mut bench = Bench::new();
    bench.wish[LEFT] = Some(slow(LEFT));
    bench.sample();
    assert_eq!(bench.step().robots[LEFT].refusal, Some(Refusal::NotReady));
    bench.wish[LEFT] = None;
    assert_eq!(bench.cycle().robots[LEFT].refusal, None);
}

// SR-13
#[test]
fn a_command_above_a_joint_limit_is_scaled_down_in_its_direction() {
    let mut bench = Bench::ready();
    bench.wish[LEFT] = Some(joint(5, 2.0) + joint(4, 1.0));
    let verdict = bench.cycles(150);
    assert_eq!(verdict.state, SafetyState::Slow, "{:?}", verdict.cause);
    assert!((verdict.robots[LEFT].scale - 1.57 / 2.0).abs() < 1e-12);
    let velocity = verdict.robots[LEFT].velocity;
    assert!((velocity[5] - 1.57).abs() < 1e-12 && (velocity[4] - 0.785).abs() < 1e-12, "{velocity}");
}

#[test]
fn a_command_above_the_tool_speed_is_scaled_down() {
    let file = EnvelopeFile::parse("schema: 1\nrobots: {panda: {tcp: {speed_m_s: 0.1}}}").unwrap();
    let mut bench = Bench::with(config().with_envelope(Some(&file), &[], 1).unwrap());
    bench.cycle();
    bench.reset();
    bench.wish[PANDA_ARM] = Some(joint(0, 0.5));
    for _ in 0..100 {
        let verdict = bench.cycle();
        assert!(verdict.robots[PANDA_ARM].measures.tcp_speed_m_s <= 0.1 + 1e-6);
    }
    let verdict = bench.cycle();
    assert_eq!(verdict.state, SafetyState::Slow);
    assert!(verdict.robots[PANDA_ARM].measures.tcp_speed_m_s > 0.099);
}

#[test]
fn an_absurd_command_stops_the_cell_before_anything_moves() {
    // A skill that thinks in degrees.
    let mut bench = Bench::ready();
    bench.wish[RIGHT] = Some(joint(2, 5.73));
    let verdict = bench.cycle();
    let cause = verdict.cause.unwrap();
    assert_eq!((verdict.state, cause.kind), (SafetyState::Stop1, CauseKind::JointVelocityCommand));
    assert_eq!((cause.robot, cause.joint), (Some(RIGHT), Some(2)));
    assert_eq!(verdict.robots[RIGHT].velocity, JointVector::zeros());
    // The same by the tool's speed: 1.3 rad/s about the base of an arm that reaches 0.5 m.
    let file = EnvelopeFile::parse("schema: 1\nrobots: {ur5e_left: {tcp: {speed_m_s: 0.1}}}").unwrap();
    let mut bench = Bench::with(config().with_envelope(Some(&file), &[], 1).unwrap());
    bench.cycle();
    bench.reset();
    bench.wish[LEFT] = Some(joint(0, 1.3));
    assert_eq!(bench.cycle().cause.unwrap().kind, CauseKind::TcpSpeedCommand);
}

// SR-13
#[test]
fn outputs_change_no_faster_than_the_acceleration_limit() {
    let mut bench = Bench::ready();
    let mut before = JointVector::zeros();
    for cycle in 0..400 {
        let sign = if cycle % 100 < 50 { 1.0 } else { -1.0 };
        bench.wish[LEFT] = Some(joint(5, sign) + joint(4, 0.3));
        let velocity = bench.cycle().robots[LEFT].velocity;
        let change = (velocity - before).amax();
        assert!(change <= 8.0 * 0.002 + 1e-12, "cycle {cycle}: {change} rad/s in one step");
        before = velocity;
    }
}

#[test]
fn a_late_step_ramps_at_most_two_periods_far() {
    let mut bench = Bench::ready();
    bench.wish[LEFT] = Some(joint(5, 1.0));
    bench.cycle();
    bench.now = bench.now + swarm_base::Duration::from_millis(15);
    let before = bench.qd[LEFT][5];
    let velocity = bench.cycle().robots[LEFT].velocity[5];
    assert!((velocity - before - 8.0 * 0.004).abs() < 1e-12, "{before} to {velocity}");
}

#[test]
fn a_repeated_command_is_not_a_new_one() {
    let mut bench = Bench::running();
    bench.sample();
    let frozen = bench.inputs.robots[LEFT].command;
    let mut last = SafetyState::Run;
    for _ in 0..40 {
        bench.sample();
        let mut repeated = frozen.unwrap();
        repeated.sent = bench.now;
        bench.inputs.robots[LEFT].command = Some(repeated);
        last = bench.step().state;
    }
    assert_eq!(last, SafetyState::Stop2, "a sender that hangs counts as silent");
}

#[test]
fn a_command_that_lay_in_a_queue_is_not_taken() {
    let mut bench = Bench::ready();
    bench.wish[LEFT] = Some(slow(LEFT));
    bench.sample();
    let old = bench.inputs.robots[LEFT].command.as_mut().unwrap();
    old.sent = swarm_base::Time(0);
    bench.now = swarm_base::Time::from_millis(500);
    bench.wish[LEFT] = None;
    let verdict = bench.cycle();
    assert_eq!((verdict.state, verdict.robots[LEFT].velocity), (SafetyState::Ready, JointVector::zeros()));
}

#[test]
fn a_new_run_may_follow_one_that_ended_at_standstill_and_count_from_one() {
    let mut bench = Bench::running();
    bench.wish = [Some(JointVector::zeros()); MAX_ROBOTS];
    bench.cycles(20);
    for sequence in 1..50 {
        bench.wish[LEFT] = Some(slow(LEFT));
        bench.sample();
        let command = bench.inputs.robots[LEFT].command.as_mut().unwrap();
        command.run += 1;
        command.sequence = sequence;
        assert_eq!(bench.step().state, SafetyState::Run);
    }
    assert_eq!(bench.qd[LEFT], slow(LEFT));
}

#[test]
fn gripper_commands_are_held_within_their_limits() {
    let mut bench = Bench::running();
    for (width_m, force_n, expected) in
        [(0.2, 500.0, (0.085, 40.0)), (-1.0, -5.0, (0.0, 0.0)), (0.03, 12.0, (0.03, 12.0))]
    {
        bench.sample();
        let (epoch, arrival) = (bench.state.epoch(), bench.now);
        bench.inputs.robots[RIGHT].gripper =
            Some(GripperSample { width_m, force_n, epoch, artifact_matches: true, arrival });
        let gripper = bench.step().robots[RIGHT].gripper.unwrap();
        assert_eq!((gripper.width_m, gripper.force_n), expected);
    }
}

#[test]
fn a_gripper_command_needs_the_present_epoch_and_artifact() {
    let mut bench = Bench::running();
    for (wrong_epoch, artifact_matches) in [(1, true), (0, false)] {
        bench.sample();
        let (epoch, arrival) = (bench.state.epoch() - wrong_epoch, bench.now);
        bench.inputs.robots[RIGHT].gripper =
            Some(GripperSample { width_m: 0.05, force_n: 10.0, epoch, artifact_matches, arrival });
        let robot = bench.step().robots[RIGHT];
        assert!(robot.refusal.is_some() && robot.gripper.is_none() && !robot.gripper_new);
    }
}
