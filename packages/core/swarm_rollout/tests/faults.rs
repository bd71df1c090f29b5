//! Faults that a cell cannot report as counts, and cells that had the artifact before.

mod common;

use common::{Bench, name, new, plan, share, taken_back};
use swarm_rollout::{Action, Standing, State, waits_for};

const CANARY: &str = "cell-00";

/// One cell that runs the artifact and is observed.
fn observed() -> Bench {
    let mut bench = Bench::new(plan(vec![share("canary", 100)]), 1);
    bench.until_observing(0);
    bench
}

#[test]
fn time_in_which_the_runtime_is_silent_is_not_observed() {
    let mut bench = observed();
    bench.report(CANARY).running = None;
    for _ in 0..10 {
        bench.pass(10);
        bench.step();
    }
    let State::Observing { observed_s, .. } = bench.rollout.state else {
        panic!("{:?}", bench.rollout.state)
    };
    assert_eq!(observed_s, 0, "the bridge was heard, the runtime was not");
    let cells: Vec<_> = bench.cells.values().cloned().collect();
    let waits = waits_for(&bench.rollout, &cells, bench.now);
    assert!(waits[0].contains("no cell that has the artifact can be heard"), "{waits:?}");
    bench.runs_artifact(CANARY, &new());
    bench.step();
    bench.pass(20);
    bench.step();
    let State::Observing { observed_s, .. } = bench.rollout.state else {
        panic!("{:?}", bench.rollout.state)
    };
    assert_eq!(observed_s, 20, "and goes on where it was");
}

#[test]
fn a_runtime_that_stays_silent_counts_as_a_crash() {
    let mut bench = observed();
    bench.report(CANARY).running = None;
    bench.step();
    for _ in 0..12 {
        bench.pass(10);
        bench.step();
        assert!(!bench.has_failed(), "it may be on its way back");
    }
    bench.pass(10);
    bench.step();
    let State::Failed { reason, .. } = &bench.rollout.state else { panic!("{:?}", bench.rollout.state) };
    assert!(reason.contains("1 crashes"), "{reason}");
}

#[test]
fn a_bridge_that_is_silent_says_nothing_of_its_runtime() {
    let mut bench = observed();
    bench.report(CANARY).running = None;
    bench.step();
    bench.pass(10);
    bench.step();
    bench.goes_silent(CANARY);
    for _ in 0..100 {
        bench.pass(10);
        bench.step();
    }
    assert!(!bench.has_failed());
}

/// Three cells that were given the artifact by hand, before its roll-out to all.
fn with_some_that_had_it() -> Bench {
    let mut bench = Bench::new(plan(vec![share("canary", 1), share("all", 100)]), 6);
    for i in 0..3 {
        bench.assign(&name(i), Some(&new()));
        bench.runs_artifact(&name(i), &new());
        bench.health(&name(i)).crashes = 5;
    }
    bench.until_observing(0);
    assert_eq!(*bench.standing("cell-00"), Standing::Already);
    bench
}

#[test]
fn faults_of_cells_that_had_the_artifact_before_count_from_the_beginning_of_the_roll_out_on() {
    let mut bench = with_some_that_had_it();
    assert!(!bench.has_failed(), "what happened before is not the roll-out's");
    bench.health("cell-01").safety_violations = 1;
    bench.step();
    let State::Failed { reason, .. } = &bench.rollout.state else { panic!("{:?}", bench.rollout.state) };
    assert!(reason.contains("1 safety violations"), "{reason}");
}

#[test]
fn cells_that_had_a_bad_artifact_before_are_sent_away_from_it_too() {
    let mut bench = with_some_that_had_it();
    bench.assign("cell-02", Some(&common::digest('c')));
    let canary = bench.assigned_to(&new()).into_iter().find(|site_id| *site_id > name(2)).unwrap();
    bench.health(&canary).crashes = 1;
    let actions = bench.step();
    let away: Vec<_> = taken_back(&actions).into_iter().filter(|(_, to)| to.is_none()).collect();
    assert_eq!(
        away,
        [("cell-00".to_owned(), None), ("cell-01".to_owned(), None)],
        "cell-02 is somebody else's now"
    );
    assert_eq!(bench.assigned_to(&new()), [""; 0]);
    assert!(!bench.step().iter().any(|action| matches!(action, Action::TakeBack { .. })), "once");
}

#[test]
fn where_people_decide_on_quarantine_they_decide_on_cells_that_had_it_too() {
    let mut bench = with_some_that_had_it();
    bench.rollout.plan.quarantine_on_failure = false;
    bench.health("cell-01").safety_violations = 1;
    bench.step();
    assert!(bench.has_failed());
    assert_eq!(bench.assigned_to(&new()), [name(0), name(1), name(2)]);
}
