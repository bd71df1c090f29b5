//! Stops are held until a deliberate reset, and a reset permits motion without starting it.

use nalgebra::Vector3;
use swarm_kinematics::JointVector;
use swarm_safety_core::{
    CauseKind, EmergencyStop, EnvelopeFile, GripperSample, MAX_ROBOTS, Refusal, ResetRefusal, ResetRequest,
    SafetyState, Tolerances,
};

use crate::bench::{Bench, CEILING, LEFT, RIGHT, config, config_of, joint, slow};

fn stopped_by_emergency_stop() -> Bench {
    let mut bench = Bench::running();
    bench.sample();
    bench.inputs.hear_emergency_stop(true);
    let verdict = bench.step();
    assert_eq!((verdict.state, verdict.cause.unwrap().kind), (SafetyState::Estop, CauseKind::EmergencyStop));
    assert!(verdict.changed);
    bench
}

// SR-03
#[test]
fn an_emergency_stop_stops_in_the_same_step_from_every_state() {
    stopped_by_emergency_stop();
    for start in [Bench::new, Bench::ready] {
        let mut bench = start();
        bench.sample();
        bench.inputs.hear_emergency_stop(true);
        assert_eq!(bench.step().state, SafetyState::Estop);
    }
}

#[test]
fn a_press_that_is_taken_back_before_the_next_step_still_stops() {
    let mut bench = Bench::running();
    bench.sample();
    bench.inputs.hear_emergency_stop(true);
    bench.inputs.hear_emergency_stop(false);
    assert_eq!(bench.inputs.emergency_stop, EmergencyStop { held: false, pressed: true });
    assert_eq!(bench.step().state, SafetyState::Estop);
}

// SR-03
#[test]
fn false_on_emergency_stop_releases_nothing() {
    let mut bench = stopped_by_emergency_stop();
    bench.wish = [None; MAX_ROBOTS];
    bench.sample();
    bench.inputs.hear_emergency_stop(false);
    assert_eq!(bench.step().state, SafetyState::Estop);
    assert_eq!(bench.cycles(500).state, SafetyState::Estop);
}

#[test]
fn a_reset_is_refused_while_the_emergency_stop_is_held() {
    let mut bench = stopped_by_emergency_stop();
    bench.cycles(300);
    let verdict = bench.reset();
    assert_eq!(
        (verdict.state, verdict.reset),
        (SafetyState::Estop, Some(Err(ResetRefusal::EmergencyStopHeld)))
    );
    bench.inputs.hear_emergency_stop(false);
    assert_eq!(bench.reset().state, SafetyState::Ready);
}

#[test]
fn a_press_in_the_same_step_as_a_reset_wins() {
    let mut bench = stopped_by_emergency_stop();
    bench.inputs.hear_emergency_stop(false);
    bench.cycles(300);
    bench.inputs.hear_emergency_stop(true);
    bench.inputs.hear_emergency_stop(false);
    let verdict = bench.reset();
    assert_eq!(
        (verdict.state, verdict.reset),
        (SafetyState::Estop, Some(Err(ResetRefusal::EmergencyStopHeld)))
    );
}

// SR-02
#[test]
fn a_reset_of_another_epoch_is_refused() {
    let mut bench = stopped_by_emergency_stop();
    bench.inputs.hear_emergency_stop(false);
    bench.cycles(300);
    let current = bench.state.epoch();
    for request in [0, current - 1, current + 1, u64::MAX] {
        bench.inputs.reset = Some(ResetRequest { epoch: request });
        let verdict = bench.cycle();
        assert_eq!(verdict.reset, Some(Err(ResetRefusal::WrongEpoch { request, current })));
        assert_eq!(verdict.state, SafetyState::Estop);
    }
}

#[test]
fn a_reset_is_refused_while_a_robot_has_not_come_to_rest() {
    let mut bench = Bench::ready();
    bench.wish[LEFT] = Some(joint(5, 1.0));
    bench.cycles(100);
    bench.sample();
    bench.inputs.hear_emergency_stop(true);
    bench.step();
    bench.inputs.hear_emergency_stop(false);
    let verdict = bench.reset();
    let Some(Err(ResetRefusal::Moving { robot, velocity })) = verdict.reset else {
        panic!("{:?}", verdict.reset)
    };
    assert!(robot == LEFT && velocity > 0.5);
    assert_eq!(verdict.state, SafetyState::Estop);
}

#[test]
fn a_reset_is_refused_while_the_cause_persists() {
    let mut bench = Bench::running();
    bench.contact[RIGHT].0 = Vector3::new(200.0, 0.0, 0.0);
    bench.cycles(300);
    let verdict = bench.reset();
    let Some(Err(ResetRefusal::CausePersists(cause))) = verdict.reset else { panic!("{:?}", verdict.reset) };
    assert_eq!((cause.kind, cause.robot), (CauseKind::CollisionForce, Some(RIGHT)));
    assert!(
        verdict.reset.unwrap().unwrap_err().detail(&bench.config).starts_with("collision_force persists: ")
    );
    bench.contact[RIGHT].0 = Vector3::zeros();
    assert_eq!(bench.reset().state, SafetyState::Ready);
}

#[test]
fn a_running_cell_can_not_be_reset() {
    let mut bench = Bench::running();
    let epoch = bench.state.epoch();
    let verdict = bench.reset();
    assert_eq!((verdict.state, verdict.reset), (SafetyState::Run, Some(Err(ResetRefusal::Running))));
    assert_eq!(verdict.epoch, epoch);
}

#[test]
fn a_reset_of_a_ready_cell_changes_nothing() {
    let mut bench = Bench::ready();
    let epoch = bench.state.epoch();
    let verdict = bench.reset();
    assert_eq!((verdict.state, verdict.reset, verdict.epoch), (SafetyState::Ready, Some(Ok(epoch)), epoch));
    assert_eq!(verdict.reset_began(), None);
    // Not even where the first command comes with it.
    bench.wish[LEFT] = Some(slow(LEFT));
    let verdict = bench.reset();
    assert_eq!((verdict.state, verdict.reset_began()), (SafetyState::Run, None));
}

#[test]
fn a_reset_that_leaves_a_stop_says_which_epoch_it_began() {
    let mut bench = stopped_by_emergency_stop();
    bench.cycles(300);
    assert_eq!(bench.reset().reset_began(), None, "refused");
    bench.inputs.hear_emergency_stop(false);
    let verdict = bench.reset();
    assert_eq!((verdict.state, verdict.reset_began()), (SafetyState::Ready, Some(verdict.epoch)));
    assert_eq!(bench.cycle().reset_began(), None, "told once");
}

// SR-02 SR-12
#[test]
fn a_run_that_was_stopped_can_not_go_on_after_the_reset() {
    let mut bench = stopped_by_emergency_stop();
    bench.inputs.hear_emergency_stop(false);
    bench.wish = [None; MAX_ROBOTS];
    bench.cycles(300);
    let old = bench.state.epoch();
    assert_eq!(bench.reset().state, SafetyState::Ready);
    // The stopped run still sends, under the epoch in which it was started.
    for _ in 0..50 {
        bench.wish[LEFT] = Some(slow(LEFT));
        bench.sample();
        bench.inputs.robots[LEFT].command.as_mut().unwrap().epoch = old;
        let verdict = bench.step();
        assert_eq!(verdict.state, SafetyState::Ready);
        let refusal = Refusal::OldEpoch { command: old, current: old + 1 };
        assert_eq!(verdict.robots[LEFT].refusal, Some(refusal));
        assert_eq!(verdict.robots[LEFT].velocity, JointVector::zeros());
    }
}

#[test]
fn a_reset_that_is_held_down_does_not_run_through_a_new_stop() {
    let mut bench = Bench::running();
    let epoch = bench.state.epoch();
    bench.sample();
    bench.inputs.hear_emergency_stop(true);
    bench.step();
    bench.inputs.hear_emergency_stop(false);
    bench.wish = [None; MAX_ROBOTS];
    bench.cycles(300);
    // The same request again and again: the first one ends the stop and its epoch, the next is out of date.
    bench.inputs.reset = Some(ResetRequest { epoch });
    assert_eq!(bench.cycle().state, SafetyState::Ready);
    bench.sample();
    bench.inputs.hear_emergency_stop(true);
    bench.step();
    bench.inputs.hear_emergency_stop(false);
    bench.inputs.reset = Some(ResetRequest { epoch });
    assert_eq!(bench.cycle().state, SafetyState::Estop);
}

#[test]
fn every_stop_brakes_at_once_as_hard_as_allowed_and_on_the_way_it_was_on() {
    let mut bench = Bench::ready();
    let wish = joint(5, 1.0) + joint(4, -0.5);
    bench.wish[LEFT] = Some(wish);
    bench.cycles(150);
    bench.sample();
    bench.inputs.hear_emergency_stop(true);
    let mut before = wish;
    let mut verdict = bench.step();
    let mut cycles = 1;
    while verdict.robots[LEFT].velocity.amax() > 0.0 {
        let velocity = verdict.robots[LEFT].velocity;
        let braking = (before - velocity) / 0.002;
        // Joint 5 brakes with its full 8 rad/s^2, joint 4 half as hard: the direction is kept.
        assert!((braking[5] - 8.0).abs() < 1e-6 && (braking[4] + 4.0).abs() < 1e-6, "{braking}");
        before = velocity;
        verdict = bench.cycle();
        cycles += 1;
    }
    // 1 rad/s at 8 rad/s^2 in steps of 2 ms.
    assert_eq!(cycles, 63);
}

#[test]
fn a_stop_never_opens_a_gripper() {
    let mut bench = Bench::running();
    let closed = |bench: &Bench, width_m| GripperSample {
        width_m,
        force_n: 20.0,
        epoch: bench.state.epoch(),
        artifact_matches: true,
        arrival: bench.now,
    };
    bench.sample();
    bench.inputs.robots[LEFT].gripper = Some(closed(&bench, 0.01));
    let verdict = bench.step();
    assert!(verdict.robots[LEFT].gripper_new);
    bench.sample();
    // Stop and wish to open in the same step.
    bench.inputs.robots[LEFT].gripper = Some(closed(&bench, 0.08));
    bench.inputs.hear_emergency_stop(true);
    let mut verdict = bench.step();
    for _ in 0..50 {
        let gripper = verdict.robots[LEFT].gripper.unwrap();
        assert_eq!((gripper.width_m, gripper.force_n, verdict.robots[LEFT].gripper_new), (0.01, 20.0, false));
        bench.sample();
        bench.inputs.robots[LEFT].gripper = Some(closed(&bench, 0.08));
        verdict = bench.step();
        assert_eq!(verdict.robots[LEFT].refusal, Some(Refusal::NotReady));
    }
}

/// A ceiling under which a protective stop ends by itself.
fn releasing_after(seconds: &str) -> String {
    let stop = format!("cell:\n  protective_stop: {{provenance: test, release_after_s: {seconds}}}");
    CEILING.replacen("cell:", &stop, 1)
}

#[test]
fn a_protective_stop_releases_itself_only_where_it_is_configured_so_and_then_to_ready() {
    for (ceiling, expected) in
        [(CEILING.to_owned(), SafetyState::Stop2), (releasing_after("0.5"), SafetyState::Ready)]
    {
        let mut bench = Bench::with(config_of(&ceiling, Tolerances::default()));
        bench.cycle();
        bench.reset();
        bench.wish[LEFT] = Some(slow(LEFT));
        bench.cycles(50);
        bench.wish[LEFT] = None;
        assert_eq!(bench.cycles(30).state, SafetyState::Stop2);
        assert_eq!(bench.cycles(200).state, SafetyState::Stop2, "too early");
        assert_eq!(bench.cycles(300).state, expected);
    }
}

// SR-02
#[test]
fn a_reset_in_the_step_in_which_a_protective_stop_ends_by_itself_begins_a_new_epoch() {
    let stopped = || {
        let mut bench = Bench::with(config_of(&releasing_after("0.5"), Tolerances::default()));
        bench.cycle();
        bench.reset();
        bench.wish[LEFT] = Some(slow(LEFT));
        bench.cycles(50);
        bench.wish[LEFT] = None;
        assert_eq!(bench.cycles(30).state, SafetyState::Stop2);
        bench
    };
    let mut bench = stopped();
    let cycles = (1..600).find(|_| bench.cycle().state == SafetyState::Ready).unwrap();
    let mut bench = stopped();
    bench.cycles(cycles - 1);
    let epoch = bench.state.epoch();
    bench.inputs.reset = Some(ResetRequest { epoch });
    let verdict = bench.cycle();
    assert_eq!(
        (verdict.state, verdict.epoch, verdict.reset),
        (SafetyState::Ready, epoch + 1, Some(Ok(epoch + 1)))
    );
}

#[test]
fn a_protective_stop_is_not_released_while_its_cause_is_there() {
    let mut bench = Bench::with(config_of(&releasing_after("0.5"), Tolerances::default()));
    bench.cycle();
    bench.reset();
    bench.wish[LEFT] = Some(slow(LEFT));
    bench.cycles(50);
    bench.inputs.not_recorded = true;
    for cycle in 0..800 {
        assert_eq!(bench.cycle().state, SafetyState::Stop2, "in cycle {cycle}");
    }
    // The time begins when nothing is wrong any more.
    bench.inputs.not_recorded = false;
    bench.wish[LEFT] = None;
    assert_eq!(bench.cycles(240).state, SafetyState::Stop2, "too early");
    assert_eq!(bench.cycles(20).state, SafetyState::Ready);
}

#[test]
fn no_other_stop_releases_itself() {
    let mut bench = Bench::with(config_of(&releasing_after("0.0"), Tolerances::default()));
    bench.cycle();
    bench.reset();
    bench.contact[LEFT].0 = Vector3::new(200.0, 0.0, 0.0);
    assert_eq!(bench.cycle().state, SafetyState::Stop1);
    bench.contact[LEFT].0 = Vector3::zeros();
    assert_eq!(bench.cycles(1000).state, SafetyState::Stop1);
}

#[test]
fn new_limits_at_rest_begin_an_epoch_and_leave_the_cell_ready() {
    let mut bench = Bench::ready();
    let epoch = bench.state.epoch();
    let file = EnvelopeFile::parse("schema: 1\nrobots: {ur5e_left: {tcp: {speed_m_s: 0.2}}}").unwrap();
    bench.config = config().with_envelope(Some(&file), &[], 1).unwrap();
    let verdict = bench.cycle();
    assert_eq!((verdict.state, verdict.epoch), (SafetyState::Ready, epoch + 1));
    assert_eq!(verdict.robots[LEFT].measures.tcp_speed_limit_m_s, 0.2);
}
