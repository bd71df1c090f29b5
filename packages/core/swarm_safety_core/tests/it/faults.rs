//! Inputs that go silent, late or absurd: the cell stops in the same step.

use nalgebra::Vector3;
use swarm_base::{Duration, Time};
use swarm_safety_core::ingest::{JointStateIngest, Refused, Repeats, Stamp, StampRules};
use swarm_safety_core::{
    CauseKind, Config, EnvelopeFile, Input, InputFault, MAX_ROBOTS, ResetRefusal, SafetyState, Timing,
    Tolerances, Verdict,
};

use crate::bench::{Bench, CEILING, LEFT, PANDA_ARM, RIGHT, arms, joint};

/// Stopped by this cause, permit withdrawn from all, and still so after the fault has gone.
fn assert_stopped(
    bench: &mut Bench,
    verdict: &Verdict,
    state: SafetyState,
    kind: CauseKind,
    robot: Option<usize>,
) {
    let cause = verdict.cause.expect("a stop has a cause");
    assert_eq!((verdict.state, cause.kind, cause.robot), (state, kind, robot));
    assert!(verdict.robots.iter().all(|robot| robot.scale == 0.0), "{:?}", verdict.robots);
    assert_eq!(verdict.cause_cycle, verdict.cycle);
    bench.wish = [None; MAX_ROBOTS];
    bench.mute_joints = [false; MAX_ROBOTS];
    bench.mute_wrench = [false; MAX_ROBOTS];
    let later = bench.cycles(300);
    assert_eq!((later.state, later.cause.map(|cause| cause.kind)), (state, Some(kind)));
    assert_eq!(later.cause_cycle, verdict.cause_cycle);
    assert!(later.robots.iter().all(|robot| robot.velocity.amax() == 0.0));
}

/// Cycles until the state is no longer RUN or SLOW, and the verdict then.
fn cycles_to_stop(bench: &mut Bench) -> (usize, Verdict) {
    for count in 1..=100 {
        let verdict = bench.cycle();
        if !verdict.state.moves() {
            return (count, verdict);
        }
    }
    panic!("the cell did not stop within 100 cycles");
}

// SR-04
#[test]
fn a_joint_state_that_falls_silent_stops_the_cell_when_its_time_is_out() {
    for robot in [LEFT, RIGHT, PANDA_ARM] {
        let mut bench = Bench::running();
        bench.mute_joints[robot] = true;
        let (cycles, verdict) = cycles_to_stop(&mut bench);
        // The last sample is 2 ms old in the first silent cycle; 20 ms are allowed.
        assert_eq!(cycles, 11);
        assert_stopped(
            &mut bench,
            &verdict,
            SafetyState::Stop1,
            CauseKind::Timeout(Input::JointState),
            Some(robot),
        );
    }
}

// SR-04
#[test]
fn joint_states_that_are_always_late_are_old_for_ever() {
    let model = &arms()[LEFT].model;
    let names: Vec<String> = model.joints().iter().map(|joint| joint.name.clone()).collect();
    // Clocks may disagree by 5 ms, so that messages are taken that are up to 25 ms under way.
    let rules = StampRules { future_tolerance_s: 0.005, max_age_s: 0.025, repeats: Repeats::Refused };
    for (milliseconds, expected) in [(18, None), (22, Some(CauseKind::Timeout(Input::JointState)))] {
        let mut bench = Bench::running();
        let mut ingest = JointStateIngest::new(model, rules);
        for _ in 0..50 {
            bench.sample();
            let received_ns = bench.now.0;
            let sent_ns = received_ns - Duration::from_millis(milliseconds).0;
            let (q, qd) = (&bench.q[LEFT].as_slice()[..6], &bench.qd[LEFT].as_slice()[..6]);
            let stamp = Stamp { sent_ns, received_ns, arrival: bench.now };
            bench.inputs.robots[LEFT].joints = ingest.accept(&names, q, qd, &[0.0; 6], &stamp).unwrap();
            bench.step();
        }
        assert_eq!(bench.state.cause().map(|cause| cause.kind), expected, "{milliseconds} ms late");
    }
}

#[test]
fn a_wrench_that_falls_silent_stops_the_cell_when_its_time_is_out() {
    for robot in [LEFT, RIGHT, PANDA_ARM] {
        let mut bench = Bench::running();
        bench.mute_wrench[robot] = true;
        let (cycles, verdict) = cycles_to_stop(&mut bench);
        assert_eq!(cycles, 11);
        assert_stopped(
            &mut bench,
            &verdict,
            SafetyState::Stop1,
            CauseKind::Timeout(Input::Wrench),
            Some(robot),
        );
    }
}

// SR-04
#[test]
fn commands_that_cease_in_motion_stop_the_cell() {
    let mut bench = Bench::running();
    bench.wish[RIGHT] = None;
    let (cycles, verdict) = cycles_to_stop(&mut bench);
    assert_eq!(cycles, 26, "50 ms are allowed");
    assert_stopped(&mut bench, &verdict, SafetyState::Stop2, CauseKind::Timeout(Input::Command), Some(RIGHT));
}

// SR-01
#[test]
fn without_every_input_the_cell_can_not_be_reset() {
    for robot in [LEFT, RIGHT, PANDA_ARM] {
        for wrench in [false, true] {
            let mut bench = Bench::new();
            if wrench {
                bench.mute_wrench[robot] = true;
            } else {
                bench.mute_joints[robot] = true;
            }
            bench.cycle();
            let verdict = bench.reset();
            let cause = verdict.cause.unwrap();
            assert!(matches!(verdict.reset, Some(Err(_))));
            assert_eq!((verdict.state, cause.robot), (SafetyState::Deny, Some(robot)));
            assert_eq!(cause.value, f64::INFINITY);
            let input = if wrench { Input::Wrench } else { Input::JointState };
            assert_eq!(cause.kind, CauseKind::Timeout(input));
        }
    }
}

#[test]
fn an_input_that_falls_silent_takes_the_readiness_away_without_latching_a_fault() {
    let mut bench = Bench::ready();
    bench.mute_joints[PANDA_ARM] = true;
    let verdict = bench.cycles(20);
    assert_eq!(verdict.state, SafetyState::Deny);
    bench.mute_joints[PANDA_ARM] = false;
    assert_eq!(bench.cycles(10).state, SafetyState::Deny, "the way back is a reset");
    assert_eq!(bench.reset().state, SafetyState::Ready);
}

// SR-05
#[test]
fn every_refused_message_stops_the_cell_in_the_same_step() {
    let faults = [
        InputFault::NotFinite,
        InputFault::WrongSize,
        InputFault::MissingJoint,
        InputFault::DuplicateJoint,
        InputFault::UnknownJoint,
        InputFault::WrongRobot,
        InputFault::StampFrozen,
        InputFault::StampBackwards,
        InputFault::StampFuture,
        InputFault::StampOld,
    ];
    for input in [Input::JointState, Input::Wrench, Input::Command, Input::GripperCommand] {
        for fault in faults {
            let mut bench = Bench::running();
            bench.sample();
            bench.inputs.robots[RIGHT].refuse(input, Refused { fault, joint: None, value: 1.0, limit: 2.0 });
            let verdict = bench.step();
            assert_stopped(
                &mut bench,
                &verdict,
                SafetyState::Stop1,
                CauseKind::Malformed(input, fault),
                Some(RIGHT),
            );
        }
    }
}

#[test]
fn numbers_that_are_none_stop_the_cell_even_if_ingest_was_bypassed() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        type Spoil = fn(&mut Bench, f64);
        let spoils: [(Input, Spoil); 5] = [
            (Input::JointState, |bench, bad| bench.inputs.robots[LEFT].joints.as_mut().unwrap().q[2] = bad),
            (Input::JointState, |bench, bad| bench.inputs.robots[LEFT].joints.as_mut().unwrap().qd[2] = bad),
            (Input::Wrench, |bench, bad| bench.inputs.robots[LEFT].wrench.as_mut().unwrap().force.x = bad),
            (Input::Wrench, |bench, bad| bench.inputs.robots[LEFT].wrench.as_mut().unwrap().torque.z = bad),
            (Input::Command, |bench, bad| {
                bench.inputs.robots[LEFT].command.as_mut().unwrap().velocity[0] = bad;
            }),
        ];
        for (input, spoil) in spoils {
            let mut bench = Bench::running();
            bench.sample();
            spoil(&mut bench, bad);
            let verdict = bench.step();
            let kind = CauseKind::Malformed(input, InputFault::NotFinite);
            assert_stopped(&mut bench, &verdict, SafetyState::Stop1, kind, Some(LEFT));
        }
    }
}

#[test]
fn a_clock_that_goes_backwards_stops_the_cell() {
    let mut bench = Bench::running();
    bench.sample();
    bench.now = Time(bench.now.0 - 10_000_000);
    let verdict = bench.step();
    assert_stopped(&mut bench, &verdict, SafetyState::Stop1, CauseKind::ClockBackwards, None);
}

#[test]
fn a_decision_that_comes_too_late_stops_the_cell() {
    let timing = Timing { max_cycle_gap_s: 0.01, ..Timing::default() };
    let ceiling = EnvelopeFile::parse(CEILING).unwrap();
    let config = Config::new(arms(), &ceiling, timing, Tolerances::default()).unwrap();
    let mut bench = Bench::with(config);
    bench.cycle();
    bench.reset();
    bench.wish[LEFT] = Some(crate::bench::slow(LEFT));
    assert_eq!(bench.cycles(10).state, SafetyState::Run);
    bench.now = bench.now + Duration::from_millis(9);
    let verdict = bench.cycle();
    assert_stopped(&mut bench, &verdict, SafetyState::Stop1, CauseKind::CycleOverrun, None);
}

// SR-18
#[test]
fn a_cell_that_loses_its_real_time_stops_until_it_has_it_again() {
    let mut bench = Bench::running();
    bench.inputs.not_real_time = true;
    let verdict = bench.cycle();
    let Some(Err(ResetRefusal::CausePersists(cause))) = bench.reset().reset else { panic!("not refused") };
    assert_eq!(cause.kind, CauseKind::NotRealTime);
    bench.inputs.not_real_time = false;
    assert_stopped(&mut bench, &verdict, SafetyState::Stop1, CauseKind::NotRealTime, None);
}

// SR-22
#[test]
fn a_black_box_that_must_be_written_and_cannot_stops_the_cell() {
    let mut bench = Bench::running();
    bench.inputs.not_recorded = true;
    let verdict = bench.cycle();
    let Some(Err(ResetRefusal::CausePersists(cause))) = bench.reset().reset else { panic!("not refused") };
    assert_eq!(cause.kind, CauseKind::NotRecorded);
    bench.inputs.not_recorded = false;
    assert_stopped(&mut bench, &verdict, SafetyState::Stop2, CauseKind::NotRecorded, None);
}

#[test]
fn a_sequence_that_goes_back_stops_the_cell() {
    let mut bench = Bench::running();
    bench.sample();
    bench.inputs.robots[LEFT].command.as_mut().unwrap().sequence -= 2;
    let verdict = bench.step();
    assert_stopped(&mut bench, &verdict, SafetyState::Stop1, CauseKind::CommandSequence, Some(LEFT));
}

// SR-12
#[test]
fn a_second_run_that_commands_a_moving_robot_stops_the_cell() {
    let mut bench = Bench::running();
    bench.sample();
    bench.inputs.robots[LEFT].command.as_mut().unwrap().run += 1;
    let verdict = bench.step();
    assert_stopped(&mut bench, &verdict, SafetyState::Stop1, CauseKind::CommandSource, Some(LEFT));
}

#[test]
fn a_robot_that_moves_although_nothing_was_commanded_stops_the_cell() {
    let mut bench = Bench::ready();
    bench.qd[PANDA_ARM][3] = 0.2;
    let verdict = bench.cycle();
    assert_stopped(&mut bench, &verdict, SafetyState::Stop1, CauseKind::UnexpectedMotion, Some(PANDA_ARM));
}

// SR-17
#[test]
fn limits_that_are_exchanged_in_motion_stop_the_cell() {
    let mut bench = Bench::running();
    bench.wish[LEFT] = Some(joint(5, -0.3));
    bench.cycles(50);
    bench.config = bench.config.with_envelope(None, &[], 1).unwrap();
    let verdict = bench.cycle();
    assert_stopped(&mut bench, &verdict, SafetyState::Stop1, CauseKind::EnvelopeChange, Some(LEFT));
}

#[test]
fn two_faults_at_once_show_the_worse_one() {
    let mut bench = Bench::running();
    bench.sample();
    let fault = Refused { fault: InputFault::StampOld, joint: None, value: 1.0, limit: 0.02 };
    bench.inputs.robots[LEFT].refuse(Input::Command, fault);
    bench.inputs.hear_emergency_stop(true);
    let verdict = bench.step();
    assert_eq!((verdict.state, verdict.cause.unwrap().kind), (SafetyState::Estop, CauseKind::EmergencyStop));
}

#[test]
fn a_stop_is_deepened_by_a_worse_fault_and_not_by_an_equal_one() {
    let mut bench = Bench::running();
    bench.wish[RIGHT] = None;
    let (_, verdict) = cycles_to_stop(&mut bench);
    assert_eq!(verdict.state, SafetyState::Stop2);
    bench.mute_wrench[LEFT] = true;
    let verdict = bench.cycles(20);
    let first = (verdict.state, verdict.cause.unwrap().kind);
    assert_eq!(first, (SafetyState::Stop1, CauseKind::Timeout(Input::Wrench)));
    bench.mute_wrench[LEFT] = false;
    bench.contact[PANDA_ARM].0 = Vector3::new(500.0, 0.0, 0.0);
    let verdict = bench.cycle();
    assert_eq!((verdict.state, verdict.cause.unwrap().kind), first, "the first of equal causes stays");
    bench.sample();
    bench.inputs.hear_emergency_stop(true);
    assert_eq!(bench.step().state, SafetyState::Estop);
}
