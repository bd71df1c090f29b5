//! Robots that do otherwise than they are told, and joint states that contradict themselves.

use swarm_kinematics::JointVector;
use swarm_safety_core::{CauseKind, Input, Measures, ResetRefusal, SafetyState, Tolerances, Verdict};

use crate::bench::{Bench, CEILING, LEFT, PANDA_ARM, RIGHT, config_of, joint};

/// Cycles in which the robots' real motion is `act`'s; the monitor sees it with the next sample.
fn cycles_while(bench: &mut Bench, count: usize, mut act: impl FnMut(&mut Bench)) -> Verdict {
    let mut last = None;
    for _ in 0..count {
        let at = bench.q;
        act(bench);
        let qd = bench.qd;
        last = Some(bench.cycle());
        // Positions follow velocities, whoever made them.
        bench.q = std::array::from_fn(|i| at[i] + qd[i] * crate::bench::PERIOD.as_secs_f64());
    }
    last.unwrap()
}

/// As a simulated cell on a busy machine has it, whose patient time-outs tell nothing of how its arms lose time.
fn simulated() -> Tolerances {
    Tolerances { max_joint_state_gap_s: 0.007, ..Tolerances::default() }
}

fn cause(verdict: &Verdict) -> (SafetyState, CauseKind, Option<usize>, Option<usize>) {
    let cause = verdict.cause.expect("a stop has a cause");
    (verdict.state, cause.kind, cause.robot, cause.joint)
}

// SR-15
#[test]
fn a_joint_that_turns_the_other_way_stops_the_cell() {
    let mut bench = Bench::running();
    bench.wish[RIGHT] = Some(joint(1, 0.3));
    bench.cycles(100);
    // The acceleration stays within its limit; the velocity tells.
    let mut speed = 0.3;
    let mut verdict = bench.cycle();
    for _ in 0..100 {
        speed -= 0.01;
        bench.qd[RIGHT] = joint(1, speed);
        verdict = bench.cycle();
        if verdict.state.is_stop() {
            break;
        }
    }
    assert_eq!(cause(&verdict), (SafetyState::Stop1, CauseKind::UnexpectedMotion, Some(RIGHT), Some(1)));
}

#[test]
fn a_robot_that_nobody_commanded_may_not_move_even_while_others_run() {
    let mut bench = Bench::running();
    bench.wish[PANDA_ARM] = Some(JointVector::zeros());
    bench.cycles(200);
    let mut verdict = bench.cycle();
    let mut speed = 0.0;
    while !verdict.state.is_stop() && speed < 0.5 {
        speed += 0.01;
        bench.qd[PANDA_ARM] = joint(2, speed);
        verdict = bench.cycle();
    }
    assert_eq!(cause(&verdict), (SafetyState::Stop1, CauseKind::UnexpectedMotion, Some(PANDA_ARM), Some(2)));
    assert!(verdict.cause.unwrap().value < 0.15);
}

#[test]
fn a_robot_that_is_told_to_move_and_stands_stops_the_cell() {
    let mut bench = Bench::running();
    bench.wish[LEFT] = Some(joint(0, 0.3));
    let mut stopped_after = 0;
    for cycle in 0..600 {
        // What it was told has no effect: the sample is taken of a robot that stands.
        bench.qd[LEFT] = JointVector::zeros();
        let q = bench.q[LEFT];
        let verdict = bench.cycle();
        bench.q[LEFT] = q;
        if verdict.state.is_stop() {
            assert_eq!(cause(&verdict), (SafetyState::Stop1, CauseKind::NotFollowing, Some(LEFT), Some(0)));
            stopped_after = cycle;
            break;
        }
    }
    // Half a second, after the ramp has passed what counts as motion.
    assert!((250..300).contains(&stopped_after), "{stopped_after} cycles");
}

// SR-14
#[test]
fn a_robot_that_moves_on_after_a_stop_deepens_it_until_it_rests() {
    let mut bench = Bench::running();
    bench.wish[LEFT] = Some(joint(0, 0.4));
    bench.cycles(100);
    bench.wish = [None; 3];
    let runs_on = |bench: &mut Bench| bench.qd[LEFT] = joint(0, 0.4);
    let verdict = cycles_while(&mut bench, 30, runs_on);
    assert_eq!(verdict.state, SafetyState::Stop2, "commands ceased");
    let mut states = vec![verdict.state];
    let mut last = verdict;
    for _ in 0..600 {
        last = cycles_while(&mut bench, 1, runs_on);
        if states.last() != Some(&last.state) {
            states.push(last.state);
            assert_eq!(last.cause.unwrap().kind, CauseKind::StopIneffective);
        }
    }
    assert_eq!(states, [SafetyState::Stop2, SafetyState::Stop1, SafetyState::Estop]);
    assert!(last.robots[LEFT].stop_ineffective && !last.robots[RIGHT].stop_ineffective);
    // At rest at last; what a hand does then is no fault.
    bench.cycles(300);
    let verdict = cycles_while(&mut bench, 300, |bench| bench.qd[LEFT] = joint(0, 0.2));
    assert!(!verdict.robots[LEFT].stop_ineffective);
}

// SR-14
#[test]
fn a_robot_that_brakes_through_zero_and_turns_back_deepens_the_stop() {
    let mut bench = Bench::running();
    bench.wish[LEFT] = Some(joint(0, 0.4));
    bench.cycles(100);
    bench.wish = [None; 3];
    let mut speed = 0.4;
    let mut states = vec![bench.state.state()];
    for _ in 0..1000 {
        // 5 rad/s^2: some samples on the way count as rest.
        let turns_back = |bench: &mut Bench| {
            if bench.state.state().is_stop() {
                speed = f64::max(speed - 0.01, -0.4);
            }
            bench.qd[LEFT] = joint(0, speed);
        };
        let verdict = cycles_while(&mut bench, 1, turns_back);
        if states.last() != Some(&verdict.state) {
            states.push(verdict.state);
        }
    }
    let expected = [SafetyState::Run, SafetyState::Stop2, SafetyState::Stop1, SafetyState::Estop];
    assert_eq!(states, expected);
    assert_eq!(bench.state.cause().unwrap().kind, CauseKind::StopIneffective);
}

#[test]
fn one_absurd_velocity_stops_the_cell_and_does_not_refuse_resets_for_ever() {
    let mut bench = Bench::running();
    let verdict = cycles_while(&mut bench, 1, |bench| bench.qd[LEFT] = joint(0, 1e308));
    assert!(verdict.state.is_stop());
    bench.q[LEFT] = crate::bench::home(LEFT);
    bench.wish = [None; 3];
    // Five seconds.
    bench.cycles(2500);
    let verdict = bench.reset();
    assert_eq!(verdict.state, SafetyState::Ready, "{:?}", verdict.reset);
}

#[test]
fn a_robot_that_brakes_as_it_should_deepens_no_stop() {
    let mut bench = Bench::running();
    bench.wish[LEFT] = Some(joint(0, 1.0));
    bench.cycles(100);
    bench.inputs.hear_emergency_stop(true);
    bench.inputs.hear_emergency_stop(false);
    let verdict = bench.cycles(1000);
    assert_eq!((verdict.state, verdict.cause.unwrap().kind), (SafetyState::Estop, CauseKind::EmergencyStop));
    assert!(verdict.robots.iter().all(|robot| !robot.stop_ineffective));
}

// SR-15
#[test]
fn a_position_that_jumps_contradicts_its_velocity() {
    let mut bench = Bench::running();
    bench.q[LEFT][3] += 0.04;
    let verdict = bench.cycle();
    assert_eq!(cause(&verdict), (SafetyState::Stop1, CauseKind::JointInconsistent, Some(LEFT), Some(3)));
}

#[test]
fn a_contradiction_is_not_reset_between_two_joint_states() {
    let mut bench = Bench::running();
    bench.q[LEFT][3] += 0.04;
    bench.cycles(10);
    bench.mute_joints[LEFT] = true;
    let verdict = bench.reset();
    let Some(Err(ResetRefusal::CausePersists(cause))) = verdict.reset else { panic!("{:?}", verdict.reset) };
    assert_eq!((cause.kind, cause.robot), (CauseKind::JointInconsistent, Some(LEFT)));
    // It fades within a second.
    bench.mute_joints[LEFT] = false;
    bench.cycles(1_000);
    assert_eq!(bench.reset().state, SafetyState::Ready);
}

#[test]
fn a_position_that_drifts_contradicts_its_velocity() {
    let mut bench = Bench::running();
    let mut cycles = 0;
    let verdict = loop {
        bench.q[LEFT][3] += 0.0002;
        let verdict = bench.cycle();
        cycles += 1;
        if verdict.state.is_stop() {
            break verdict;
        }
        assert!(cycles < 1000);
    };
    assert_eq!(cause(&verdict), (SafetyState::Stop1, CauseKind::JointInconsistent, Some(LEFT), Some(3)));
    // 0.1 rad/s of drift adds up to the tolerance of 0.03 rad in about 0.35 s.
    assert!((140..220).contains(&cycles), "{cycles}");
}

#[test]
fn after_a_silence_a_robot_may_be_elsewhere() {
    let mut bench = Bench::running();
    bench.wish[LEFT] = Some(joint(0, 0.4));
    bench.cycles(100);
    bench.mute_joints[LEFT] = true;
    let verdict = bench.cycles(500);
    let expected = (SafetyState::Stop1, CauseKind::Timeout(Input::JointState));
    let found = verdict.cause.map(|cause| (verdict.state, cause.kind));
    assert_eq!(found, Some(expected), "what it said last tells nothing of what it does");
    bench.q[LEFT][0] += 0.5;
    bench.mute_joints[LEFT] = false;
    bench.cycle();
    assert_eq!(bench.reset().state, SafetyState::Ready, "{:?}", bench.state.cause());
}

#[test]
fn a_joint_that_speeds_up_while_messages_are_lost_contradicts_nothing() {
    let patient = CEILING.replace("joint_state_s: 0.02", "joint_state_s: 0.5");
    assert_ne!(patient, CEILING);
    let mut bench = Bench::with(config_of(&patient, simulated()));
    bench.cycle();
    assert_eq!(bench.reset().state, SafetyState::Ready);
    bench.wish[LEFT] = Some(joint(5, 0.6));
    bench.mute_joints[LEFT] = true;
    // Up to 0.6 rad/s in less than half of the gap: 0.04 rad farther than a straight line from 0.
    assert_eq!(bench.cycles(100).state, SafetyState::Run);
    bench.mute_joints[LEFT] = false;
    let verdict = bench.cycle();
    assert_eq!(verdict.state, SafetyState::Run, "{:?}", verdict.cause);
}

/// As on a machine that cannot keep up: eight milliseconds pass on the clock, and the arm has not gone on.
#[test]
fn a_simulated_arm_that_loses_time_contradicts_nothing() {
    let patient = CEILING.replace("joint_state_s: 0.02", "joint_state_s: 0.5");
    let mut bench = Bench::with(config_of(&patient, simulated()));
    bench.cycle();
    assert_eq!(bench.reset().state, SafetyState::Ready);
    bench.wish[LEFT] = Some(joint(0, 0.6));
    let lost = 8_000_000 / crate::bench::PERIOD.0;
    for _ in 0..30 {
        bench.cycles(20);
        let at = bench.q[LEFT];
        bench.mute_joints[LEFT] = true;
        bench.cycles(lost as usize);
        bench.q[LEFT] = at;
        bench.mute_joints[LEFT] = false;
        let verdict = bench.cycle();
        assert!(!verdict.state.is_stop(), "{:?}", verdict.cause);
    }
}

#[test]
fn frozen_positions_under_a_moving_velocity_are_a_contradiction() {
    let mut bench = Bench::running();
    bench.wish[RIGHT] = Some(joint(0, 0.5));
    bench.cycles(100);
    let frozen = bench.q[RIGHT];
    let mut verdict = bench.cycle();
    for _ in 0..200 {
        bench.q[RIGHT] = frozen;
        verdict = bench.cycle();
        if verdict.state.is_stop() {
            break;
        }
    }
    assert_eq!(cause(&verdict), (SafetyState::Stop1, CauseKind::JointInconsistent, Some(RIGHT), Some(0)));
}

/// A driver that repeats what it read once, with new stamps, at a fifth of the rate that the gate decides with.
// SR-15
#[test]
fn frozen_values_of_a_slow_broadcaster_are_a_contradiction() {
    let slow = CEILING.replace("joint_state_s: 0.02", "joint_state_s: 0.03");
    let mut bench = Bench::with(config_of(&slow, Tolerances::default()));
    bench.cycle();
    assert_eq!(bench.reset().state, SafetyState::Ready);
    bench.wish[RIGHT] = Some(joint(0, 0.5));
    bench.cycles(100);
    let frozen = bench.q[RIGHT];
    for cycle in 0..100 {
        bench.mute_joints[RIGHT] = cycle % 5 != 0;
        bench.q[RIGHT] = frozen;
        let verdict = bench.cycle();
        if verdict.state.is_stop() {
            let expected = (SafetyState::Stop1, CauseKind::JointInconsistent, Some(RIGHT), Some(0));
            assert_eq!(cause(&verdict), expected);
            // 0.03 rad at 0.5 rad/s.
            assert!(cycle < 50, "in cycle {cycle}");
            return;
        }
    }
    panic!("it is never found");
}

/// A joint that creeps below what a velocity could tell.
// SR-15
#[test]
fn a_joint_that_creeps_away_from_where_it_was_told_to_stand_stops_the_cell() {
    for creep in [0.03, -0.09] {
        let mut bench = Bench::running();
        bench.wish[PANDA_ARM] = Some(JointVector::zeros());
        bench.cycles(200);
        let begin = bench.q[PANDA_ARM][2];
        let mut verdict = bench.cycle();
        for _ in 0..1500 {
            verdict = cycles_while(&mut bench, 1, |bench| bench.qd[PANDA_ARM] = joint(2, creep));
            if verdict.state.is_stop() {
                break;
            }
        }
        assert_eq!(
            cause(&verdict),
            (SafetyState::Stop1, CauseKind::LeftStandstill, Some(PANDA_ARM), Some(2))
        );
        let way = (bench.q[PANDA_ARM][2] - begin).abs();
        assert!((0.05..0.0505).contains(&way), "{way} rad");
    }
}

// SR-14
#[test]
fn a_robot_that_creeps_on_after_a_stop_deepens_it() {
    let mut bench = Bench::running();
    bench.wish[LEFT] = Some(joint(0, 0.4));
    bench.cycles(100);
    bench.wish = [None; 3];
    let creeps = |bench: &mut Bench| bench.qd[LEFT] = joint(0, bench.outputs[LEFT][0].max(0.05));
    let mut states = vec![bench.state.state()];
    for _ in 0..1200 {
        let verdict = cycles_while(&mut bench, 1, creeps);
        if states.last() != Some(&verdict.state) {
            states.push(verdict.state);
        }
    }
    let expected = [SafetyState::Run, SafetyState::Stop2, SafetyState::Stop1, SafetyState::Estop];
    assert_eq!(states, expected);
    assert_eq!(bench.state.cause().unwrap().kind, CauseKind::StopIneffective);
}

/// Noise does not add up in a position, and a contact bends an arm that holds its place.
#[test]
fn a_joint_that_is_pushed_a_little_and_noisy_has_not_left_its_place() {
    let mut bench = Bench::ready();
    let home = bench.q[LEFT];
    for cycle in 0..5000 {
        let noise = if cycle % 2 == 0 { 0.05 } else { -0.05 };
        let pushed = 0.03 * (f64::from(cycle) / 500.0).sin();
        bench.q[LEFT] = home + joint(1, pushed);
        bench.qd[LEFT] = joint(1, noise);
        let verdict = bench.cycle();
        assert_eq!(verdict.state, SafetyState::Ready, "{:?}", verdict.cause);
    }
}

#[test]
fn an_arm_that_was_moved_by_hand_before_a_reset_stands_where_it_is() {
    let mut bench = Bench::running();
    bench.inputs.hear_emergency_stop(true);
    bench.inputs.hear_emergency_stop(false);
    bench.wish = [None; 3];
    bench.cycles(200);
    cycles_while(&mut bench, 200, |bench| bench.qd[LEFT] = joint(4, 0.3));
    bench.cycles(50);
    assert_eq!(bench.reset().state, SafetyState::Ready);
    let verdict = bench.cycles(100);
    assert_eq!(verdict.state, SafetyState::Ready, "{:?}", verdict.cause);
}

// SR-15
#[test]
fn one_joint_that_does_not_follow_stops_the_cell_though_the_others_do() {
    let mut bench = Bench::running();
    bench.wish[LEFT] = Some(joint(3, 0.3) + joint(5, 0.15));
    for cycle in 0..600 {
        bench.qd[LEFT][5] = 0.0;
        let q = bench.q[LEFT][5];
        let verdict = bench.cycle();
        bench.q[LEFT][5] = q;
        if verdict.state.is_stop() {
            assert_eq!(cause(&verdict), (SafetyState::Stop1, CauseKind::NotFollowing, Some(LEFT), Some(5)));
            assert!((250..300).contains(&cycle), "{cycle} cycles");
            return;
        }
    }
    panic!("it is never found");
}

// SR-15
#[test]
fn an_arm_that_stands_while_its_joints_are_told_to_move_in_turns_does_not_follow() {
    let mut bench = Bench::running();
    for cycle in 0..600 {
        // Each for 0.3 s, which alone would be no fault.
        bench.wish[LEFT] = Some(joint(if (cycle / 150) % 2 == 0 { 3 } else { 5 }, 0.3));
        bench.qd[LEFT] = JointVector::zeros();
        let q = bench.q[LEFT];
        let verdict = bench.cycle();
        bench.q[LEFT] = q;
        if verdict.state.is_stop() {
            assert_eq!(cause(&verdict).1, CauseKind::NotFollowing);
            assert!((250..300).contains(&cycle), "{cycle} cycles");
            return;
        }
    }
    panic!("it is never found");
}

#[test]
fn the_status_shows_what_is_measured() {
    let mut bench = Bench::running();
    bench.wish[LEFT] = Some(joint(1, -0.4));
    let verdict = bench.cycles(150);
    let Measures { elbow_speed_m_s, momentum_kg_m_s, self_separation_m, fixture_separation_m, .. } =
        verdict.robots[LEFT].measures;
    assert!(elbow_speed_m_s > 0.01 && momentum_kg_m_s > 0.5, "{elbow_speed_m_s} {momentum_kg_m_s}");
    assert!(self_separation_m.is_finite() && self_separation_m > 0.0);
    assert!(fixture_separation_m > 0.01 && fixture_separation_m < 1.0, "{fixture_separation_m}");
}
