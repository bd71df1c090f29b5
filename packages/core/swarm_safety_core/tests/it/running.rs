//! The way a cell is meant to go: denied, reset, ready, running, at rest again.

use swarm_kinematics::JointVector;
use swarm_safety_core::{CauseKind, MAX_ROBOTS, SafetyState};

use crate::bench::{Bench, LEFT, slow};

// SR-01
#[test]
fn a_cell_that_has_just_started_denies_motion_and_says_that_it_waits_for_a_reset() {
    let mut bench = Bench::new();
    let verdict = bench.cycle();
    assert_eq!(verdict.state, SafetyState::Deny);
    assert_eq!(verdict.cause.unwrap().kind, CauseKind::StartUp);
    bench.wish[LEFT] = Some(slow(LEFT));
    let verdict = bench.cycles(100);
    assert_eq!(verdict.state, SafetyState::Deny);
    assert!(verdict.robots.iter().all(|robot| robot.velocity.amax() == 0.0 && robot.scale == 0.0));
}

// SR-02
#[test]
fn a_reset_leads_to_ready_and_begins_an_epoch_and_a_command_leads_to_run() {
    let mut bench = Bench::new();
    bench.cycle();
    let before = bench.state.epoch();
    let verdict = bench.reset();
    assert_eq!((verdict.state, verdict.reset), (SafetyState::Ready, Some(Ok(before + 1))));
    assert_eq!(verdict.robots[LEFT].scale, 0.0);
    bench.wish[LEFT] = Some(slow(LEFT));
    let verdict = bench.cycle();
    assert_eq!(verdict.state, SafetyState::Run);
    assert_eq!(verdict.robots[LEFT].scale, 1.0);
}

#[test]
fn a_command_passes_unchanged_once_ramped() {
    let mut bench = Bench::running();
    let verdict = bench.cycle();
    for robot in 0..MAX_ROBOTS {
        assert_eq!(verdict.robots[robot].velocity, slow(robot));
    }
}

#[test]
fn a_run_that_ends_at_standstill_leaves_the_cell_ready() {
    let mut bench = Bench::running();
    bench.wish = [Some(JointVector::zeros()); MAX_ROBOTS];
    bench.cycles(20);
    bench.wish = [None; MAX_ROBOTS];
    assert_eq!(bench.cycles(50).state, SafetyState::Ready);
}

// SR-02
#[test]
fn what_was_ready_or_ran_is_denied_after_the_gate_was_left() {
    for begin in [Bench::ready, Bench::running] {
        let mut bench = begin();
        let before = bench.state.epoch();
        bench.state = bench.state.left();
        assert_eq!((bench.state.state(), bench.state.epoch()), (SafetyState::Deny, before + 1));
        bench.wish[LEFT] = Some(slow(LEFT));
        bench.qd = [JointVector::zeros(); MAX_ROBOTS];
        let verdict = bench.cycle();
        assert_eq!((verdict.state, verdict.robots[LEFT].scale), (SafetyState::Deny, 0.0));
        assert_eq!(verdict.robots[LEFT].velocity, JointVector::zeros());
        bench.wish = [None; MAX_ROBOTS];
        assert_eq!(bench.reset().state, SafetyState::Ready);
    }
}

// SR-03
#[test]
fn a_stop_stays_one_when_the_gate_is_left() {
    let mut bench = Bench::running();
    bench.inputs.hear_emergency_stop(true);
    bench.cycle();
    bench.state = bench.state.left();
    assert_eq!(bench.state.state(), SafetyState::Estop);
    // An arm that somebody moves by hand then goes on after no stop.
    bench.qd[LEFT] = slow(LEFT) * 0.5;
    assert!(!bench.cycle().robots[LEFT].stop_ineffective);
}
