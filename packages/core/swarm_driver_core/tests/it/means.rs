//! What a stop asks of the arm, what a reset lets go of, and that nothing is let go of otherwise.

use swarm_base::Duration;
use swarm_driver_core::means::{ANSWER_TIMEOUT, LOWEST_SLIDER, SETTLE, Standing};
use swarm_driver_core::{Act, Doing, Kind, MeansOffered, MonitorState, Said, StopCause};

use crate::bench::{Bench, PERIOD, assert_stands};

const V: [f64; 2] = [0.5, -0.25];

const UR: MeansOffered = MeansOffered {
    slider_fraction: Some(0.8),
    protective_stop: true,
    stop: true,
    error_recovery: false,
    goals: true,
};

fn ur() -> Bench {
    Bench::new(Kind::JointTrajectory { deceleration_rad_s2: 5.0 }, UR)
}

fn franka() -> Bench {
    let means = MeansOffered { error_recovery: true, ..MeansOffered::default() };
    Bench::new(Kind::ForwardVelocity { deceleration_rad_s2: None }, means)
}

fn acts(said: &Said) -> Vec<Act> {
    said.requests.iter().map(|request| request.act).collect()
}

/// Everything that is asked for in the next `cycles`, each answered with success.
fn obliging(bench: &mut Bench, cycles: u32, velocity: [f64; 2]) -> Vec<Act> {
    let mut asked = Vec::new();
    for _ in 0..cycles {
        let said = bench.good(velocity);
        asked.extend(acts(&said));
        for request in said.requests {
            bench.driver.hear_answer(request.number, Ok(()));
        }
    }
    asked
}

#[test]
fn each_stop_asks_for_what_fits_it_and_in_the_same_cycle() {
    let low = Act::Slider(LOWEST_SLIDER);
    let expected = [
        (MonitorState::Deny, vec![low, Act::CancelGoals]),
        (MonitorState::Stop2, vec![low, Act::CancelGoals, Act::ProtectiveStop]),
        (MonitorState::Stop1, vec![low, Act::CancelGoals, Act::Stop]),
        (MonitorState::Estop, vec![low, Act::CancelGoals, Act::Stop]),
    ];
    for (state, wanted) in expected {
        let mut bench = ur().running(V);
        bench.status(state);
        let said = bench.cycle();
        assert_eq!(acts(&said), wanted, "{state:?}");
        assert_stands(&said, StopCause::MonitorStopped);
        bench.status(state);
        assert_eq!(acts(&bench.cycle()), [], "the status is repeated, the acts are not");
    }
}

#[test]
fn a_stop_that_deepens_asks_for_the_rest() {
    let mut bench = ur().running(V);
    bench.status(MonitorState::Stop2);
    bench.cycle();
    bench.status(MonitorState::Estop);
    assert_eq!(acts(&bench.cycle()), [Act::Stop]);
}

#[test]
fn a_monitor_that_falls_silent_has_the_slider_down() {
    let mut bench = ur().running(V);
    bench.now = bench.now + Duration::from_millis(501);
    assert_eq!(acts(&bench.cycle()), [Act::Slider(LOWEST_SLIDER), Act::CancelGoals]);
}

#[test]
fn the_slider_rises_after_a_reset_only_and_after_the_arm_was_told_to_stand() {
    let mut bench = ur().running(V);
    bench.status(MonitorState::Stop1);
    obliging(&mut bench, 1, V);
    // The monitor moves on in the same epoch, as after a release without a person: nothing is let go of.
    assert_eq!(obliging(&mut bench, 500, V), []);
    assert_stands(&bench.good(V), StopCause::NoReset);

    bench.reset();
    let reset_at = bench.now;
    let mut told_to_stand = false;
    loop {
        let said = bench.good([0.0; 2]);
        told_to_stand |= said.output.stands();
        if let [request] = said.requests.as_slice() {
            assert_eq!(request.act, Act::Slider(0.8));
            assert!(told_to_stand && bench.now.since(reset_at) >= SETTLE);
            assert_stands(&bench.good(V), StopCause::ArmNotReady);
            bench.driver.hear_answer(request.number, Ok(()));
            break;
        }
        assert_stands(&said, StopCause::ArmNotReady);
    }
    assert_eq!(bench.good(V).doing, Doing::Following);
}

/// SR-16 AoU-13
#[test]
fn a_protective_stop_that_ends_by_itself_lets_an_arm_without_means_follow_again() {
    for mut bench in [Bench::velocity().running(V), Bench::trajectory().running(V)] {
        bench.status(MonitorState::Stop2);
        bench.cycle();
        let released_at = bench.now;
        assert_stands(&bench.good([0.0; 2]), StopCause::ArmNotReady);
        while bench.good([0.0; 2]).doing != Doing::Following {
            assert!(bench.now.since(released_at).0 <= SETTLE.0 + 2 * PERIOD.0, "{:?}", bench.driver.doing());
        }
    }
}

#[test]
fn a_protective_stop_that_ends_by_itself_lets_go_of_nothing_that_a_person_must_see_to() {
    let none = MeansOffered::default();
    let offers = [
        MeansOffered { slider_fraction: Some(0.8), ..none },
        MeansOffered { protective_stop: true, ..none },
        MeansOffered { error_recovery: true, ..none },
    ];
    for offered in offers {
        let kind = Kind::ForwardVelocity { deceleration_rad_s2: None };
        let mut bench = Bench::new(kind, offered).running(V);
        bench.status(MonitorState::Stop2);
        obliging(&mut bench, 1, V);
        assert_eq!(obliging(&mut bench, 500, V), []);
        assert_stands(&bench.good(V), StopCause::ArmNotReady);
        bench.running(V);
    }
}

#[test]
fn a_stop_after_a_fault_does_not_end_by_itself_for_any_arm() {
    let mut bench = Bench::velocity().running(V);
    bench.status(MonitorState::Stop2);
    bench.cycle();
    bench.status(MonitorState::Stop1);
    bench.cycle();
    assert_eq!(obliging(&mut bench, 500, V), []);
    assert_stands(&bench.good(V), StopCause::NoReset);
}

#[test]
fn a_slider_that_does_not_answer_keeps_the_arm_standing_and_is_asked_again() {
    let mut bench = ur();
    bench.reset();
    let mut asked = 0;
    let cycles = 4 * ANSWER_TIMEOUT.0 / PERIOD.0;
    for _ in 0..cycles {
        let said = bench.good(V);
        assert_stands(&said, StopCause::ArmNotReady);
        asked += said.requests.len();
    }
    assert_eq!(asked, 4);
    let [wish] = bench.driver.means().wishes() else { panic!("one wish") };
    assert!(matches!(&wish.standing, Standing::Failed(why) if why.contains("no answer")), "{wish:?}");
}

#[test]
fn the_answer_to_an_older_request_does_not_release() {
    let mut bench = ur();
    bench.reset();
    let mut older = None;
    while older.is_none() {
        older = bench.good([0.0; 2]).requests.first().copied();
    }
    // A stop and a reset later the first slider request is answered at last.
    bench.status(MonitorState::Stop1);
    bench.cycle();
    bench.reset();
    obliging(&mut bench, 1, [0.0; 2]);
    bench.driver.hear_answer(older.unwrap().number, Ok(()));
    assert_stands(&bench.good(V), StopCause::ArmNotReady);
}

#[test]
fn a_stop_that_nobody_answered_is_not_sent_after_the_reset() {
    let mut bench = ur().running(V);
    bench.status(MonitorState::Estop);
    bench.cycle();
    bench.reset();
    let after = obliging(&mut bench, 2 * (ANSWER_TIMEOUT.0 / PERIOD.0) as u32, [0.0; 2]);
    assert_eq!(after, [Act::Slider(0.8)]);
}

#[test]
fn errors_are_left_once_for_each_reset_and_never_otherwise() {
    let mut bench = franka();
    assert_eq!(obliging(&mut bench, 500, V), []);
    bench.reset();
    assert_eq!(obliging(&mut bench, 500, V), [Act::RecoverFromErrors]);
    assert_eq!(bench.driver.doing(), Doing::Following);
    bench.status(MonitorState::Stop1);
    assert_eq!(acts(&bench.cycle()), []);
    assert_eq!(obliging(&mut bench, 500, V), []);
}

/// A cell that stays READY while somebody pushes its arm into a reflex, and the next artifact is deployed.
#[test]
fn errors_are_not_left_because_limits_are_loaded() {
    let mut bench = franka().running(V);
    bench.load_limits();
    assert_eq!(obliging(&mut bench, 500, V), []);
}

#[test]
fn a_recovery_that_fails_leaves_the_arm_standing_until_another_reset() {
    let mut bench = franka();
    bench.reset();
    let mut asked = Vec::new();
    for _ in 0..1_000 {
        let said = bench.good(V);
        for request in said.requests {
            asked.push(request.act);
            bench.driver.hear_answer(request.number, Err("the robot is not in reflex".to_owned()));
        }
    }
    assert_eq!(asked, [Act::RecoverFromErrors]);
    assert_stands(&bench.good(V), StopCause::ArmNotReady);
    bench.running(V);
}
