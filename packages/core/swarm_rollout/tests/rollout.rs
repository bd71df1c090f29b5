//! The promises of a roll-out that is left alone, one by one.

mod common;

use common::{Bench, assigns, name, named, new, old, plan, share, taken_back};
use swarm_api::cell::Progress;
use swarm_rollout::{Action, Standing, State, waits_for};

#[test]
fn a_healthy_fleet_gets_it_stage_by_stage() {
    let mut bench = Bench::new(plan(vec![share("canary", 5), share("half", 50), share("all", 100)]), 20);

    bench.step();
    assert_eq!(bench.assigned_to(&new()).len(), 1, "5 % of 20 cells");
    bench.until_observing(0);
    assert_eq!(bench.assigned_to(&new()).len(), 1, "nothing goes further before the canary has passed");
    bench.until_observing(1);
    assert_eq!(bench.assigned_to(&new()).len(), 10);
    bench.until_done();
    assert_eq!(bench.assigned_to(&new()).len(), 20);
    assert!(bench.quarantined.is_empty());
    assert_eq!(bench.rollout.summary().taken, 20);
}

#[test]
fn a_share_is_rounded_up_so_that_every_fleet_has_a_canary() {
    let mut bench = Bench::new(plan(vec![share("canary", 1), share("all", 100)]), 3);
    assert_eq!(assigns(&bench.step()).len(), 1);
}

#[test]
fn the_seed_draws_who_comes_first_whoever_else_is_there() {
    let first = |seed: u64, count: usize| {
        let mut plan = plan(vec![share("canary", 20)]);
        plan.seed = seed;
        assigns(&Bench::new(plan, count).step())
    };
    assert_eq!(first(3, 20), first(3, 20));
    let draws: std::collections::BTreeSet<_> = (0..20).map(|seed| first(seed, 20)).collect();
    assert!(draws.len() > 15, "{draws:?}");
    assert!(!draws.contains(&(0..4).map(name).collect::<Vec<_>>()), "the first by name were drawn");

    // Cells that are there both times keep their order: of two draws among them, one is the beginning of the other.
    let (few, more) = (first(3, 20), first(3, 40));
    let of_the_old: Vec<&String> =
        more.iter().filter(|site_id| (0..20).any(|i| name(i) == **site_id)).collect();
    let kept = few.iter().filter(|site_id| of_the_old.contains(site_id)).count();
    assert_eq!(kept, few.len().min(of_the_old.len()), "{few:?}, and among more cells {more:?}");
}

#[test]
fn a_failed_gate_takes_everything_back_in_one_step_and_withdraws_the_artifact() {
    let mut bench = Bench::new(plan(vec![share("canary", 20), share("half", 50), share("all", 100)]), 20);
    bench.until_observing(1);
    let holders = bench.assigned_to(&new());
    assert_eq!(holders.len(), 10);

    bench.health(&holders[4]).safety_violations = 1;
    let actions = bench.step();

    let back: Vec<String> = taken_back(&actions).into_iter().map(|(site_id, _)| site_id).collect();
    assert_eq!(back, holders, "healthy holders go back too");
    assert!(taken_back(&actions).iter().all(|(_, to)| *to == Some(old())));
    assert_eq!(bench.assigned_to(&old()).len(), 20);
    assert_eq!(bench.quarantined, [new()]);
    let State::Failed { reason, .. } = &bench.rollout.state else { panic!("{:?}", bench.rollout.state) };
    assert_eq!(reason, "1 safety violations, and the plan allows 0");
    bench.assert_assigns_nothing_more();
}

#[test]
fn quarantine_can_be_left_to_people() {
    let mut plan = plan(vec![share("all", 100)]);
    plan.quarantine_on_failure = false;
    let mut bench = Bench::new(plan, 2);
    bench.until_observing(0);
    bench.health("cell-01").crashes = 1;
    bench.step();
    assert!(bench.has_failed() && bench.quarantined.is_empty());
}

#[test]
fn each_gate_fails_above_its_limit_and_holds_at_it() {
    type Fault = fn(&mut Bench, &str);
    let faults: [(&str, Fault); 3] = [
        ("safety violations", |bench, cell| bench.health(cell).safety_violations = 1),
        ("crashes", |bench, cell| bench.health(cell).crashes = 1),
        ("refused", |bench, cell| {
            bench.runs_artifact(cell, &old());
            bench.says(cell, &new(), Progress::Refused, "the envelope is looser than the cell's");
        }),
    ];
    for (what, fault) in faults {
        let mut plan = plan(vec![share("all", 100)]);
        plan.gates.max_safety_violations = 2;
        plan.gates.max_crashes = 2;
        plan.gates.max_refused = 2;
        let mut bench = Bench::new(plan, 6);
        bench.until_observing(0);
        for i in 0..3 {
            assert!(!bench.has_failed(), "{what}: failed at {i}");
            fault(&mut bench, &name(i));
            bench.step();
        }
        let State::Failed { reason, .. } = &bench.rollout.state else { panic!("{what}: did not fail") };
        assert!(reason.contains(what) && reason.contains('3'), "{reason}");
    }
}

#[test]
fn too_few_successes_fail_as_soon_as_they_can_no_longer_be_made_up() {
    let mut plan = plan(vec![share("all", 100)]);
    plan.gates.min_runs = 20;
    plan.gates.min_success_rate = 0.9;
    let mut bench = Bench::new(plan, 4);
    bench.until_observing(0);

    bench.health("cell-00").runs_failed = 2;
    bench.step();
    assert!(!bench.has_failed(), "18 of 20 would be enough");
    bench.health("cell-01").runs_failed = 1;
    bench.step();
    let State::Failed { reason, .. } = &bench.rollout.state else { panic!("{:?}", bench.rollout.state) };
    assert_eq!(reason, "3 of 3 runs failed, and the plan asks for 90 % of at least 20 to succeed");
}

#[test]
fn a_stage_passes_with_its_own_runs_and_not_with_those_of_the_stage_before() {
    let mut plan = plan(vec![share("canary", 50), share("all", 100)]);
    plan.gates.min_runs = 10;
    let mut bench = Bench::new(plan, 2);
    bench.until_observing(0);
    let canary = bench.assigned_to(&new()).remove(0);
    bench.pass(30);
    bench.step();
    bench.pass(30);
    bench.step();
    assert_eq!(bench.rollout.state.stage(), Some(0), "observed for long enough, but without runs");
    bench.health(&canary).runs_succeeded = 10;
    bench.until_observing(1);
    for _ in 0..50 {
        bench.pass(20);
        bench.step();
    }
    assert_eq!(bench.rollout.state.name(), "observing", "the canary's ten runs were counted twice");
    bench.health(&canary).runs_succeeded = 20;
    bench.step();
    assert_eq!(bench.rollout.state.name(), "done");
}

#[test]
fn a_cell_that_is_away_holds_nobody_up_and_gets_it_with_its_first_report() {
    let mut bench = Bench::new(plan(vec![share("canary", 20), share("all", 100)]), 10);
    let away: Vec<String> = (0..5).map(name).collect();
    for cell in &away {
        bench.goes_silent(cell);
    }
    bench.until_observing(1);
    assert_eq!(bench.assigned_to(&new()).len(), 5, "those that can be reached");
    assert!(away.iter().all(|cell| *bench.standing(cell) == Standing::Pending));

    bench.comes_back(&away[0]);
    assert_eq!(assigns(&bench.step()), [away[0].clone()]);
    bench.until_done();
    assert_eq!(bench.assigned_to(&new()).len(), 10, "what has passed is there for those who are still away");
}

#[test]
fn whoever_comes_back_after_a_failure_is_never_given_the_bad_artifact() {
    let mut bench = Bench::new(plan(vec![share("all", 100)]), 4);
    bench.goes_silent("cell-02");
    bench.until_observing(0);
    // One was away all the time, and one goes away with the bad artifact.
    bench.goes_silent("cell-01");
    bench.health("cell-00").crashes = 1;
    let actions = bench.step();
    assert_eq!(taken_back(&actions).len(), 3, "from the silent one too");
    for cell in ["cell-01", "cell-02"] {
        bench.comes_back(cell);
        assert_eq!(bench.step(), []);
        assert_eq!(bench.assigned(cell), Some(old()), "{cell}");
    }
}

#[test]
fn cells_that_fall_silent_with_the_artifact_are_not_replaced_by_others() {
    let mut bench = Bench::new(plan(vec![share("canary", 20), share("all", 100)]), 10);
    let canaries = assigns(&bench.step());
    assert_eq!(canaries.len(), 2);
    for cell in &canaries {
        bench.goes_silent(cell);
    }
    for _ in 0..100 {
        bench.pass(60);
        assert_eq!(assigns(&bench.step()), [] as [String; 0], "it goes on to the next victim");
    }
    let cells: Vec<_> = bench.cells.values().cloned().collect();
    let waits = waits_for(&bench.rollout, &cells, bench.now).join("; ");
    assert!(waits.contains("no cell that has the artifact can be heard"), "{waits}");
}

#[test]
fn silence_is_not_observed_time() {
    let mut bench = Bench::new(plan(vec![share("canary", 10), share("all", 100)]), 10);
    bench.until_observing(0);
    let canary = bench.assigned_to(&new()).remove(0);
    bench.goes_silent(&canary);
    for _ in 0..100 {
        bench.pass(20);
        bench.step();
    }
    assert_eq!(bench.rollout.state.name(), "observing");
    assert_eq!(bench.rollout.state.stage(), Some(0));
    bench.comes_back(&canary);
    bench.until_done();
}

#[test]
fn a_registry_that_was_away_or_whose_clock_jumps_has_not_observed_anything() {
    for jump in [86_400, -86_400] {
        let mut bench = Bench::new(plan(vec![share("canary", 10), share("all", 100)]), 10);
        bench.until_observing(0);
        bench.now += jump;
        bench.take_up_all();
        for cell in bench.cells.keys().cloned().collect::<Vec<_>>() {
            bench.comes_back(&cell);
        }
        bench.step();
        assert_eq!(bench.rollout.state.stage(), Some(0), "a jump by {jump} s ended the stage");
        bench.until_done();
    }
}

#[test]
fn counts_that_begin_anew_take_nothing_away_and_lose_nothing() {
    let mut plan = plan(vec![share("all", 100)]);
    plan.gates.max_crashes = 2;
    plan.gates.min_runs = 1_000;
    let mut bench = Bench::new(plan, 1);
    bench.until_observing(0);
    let cell = "cell-00";
    *bench.health(cell) = health(10, 1, 0, 1);
    bench.step();
    assert_eq!(bench.rollout.counts, health(10, 1, 0, 1));
    bench.step();
    assert_eq!(bench.rollout.counts, health(10, 1, 0, 1), "the same report counts once");

    // The bridge starts again, and the first report that gets through is from after a second crash.
    bench.report(cell).started_unix += 500;
    *bench.health(cell) = health(10, 1, 0, 1);
    bench.step();
    assert_eq!(bench.rollout.counts, health(20, 2, 0, 2));
    // The artifact is deployed again in the same run of the bridge.
    *bench.health(cell) = health(1, 0, 0, 0);
    bench.step();
    assert_eq!(bench.rollout.counts, health(21, 2, 0, 2));
    *bench.health(cell) = health(1, 0, 0, 1);
    bench.step();
    assert!(bench.has_failed(), "the third crash");
}

fn health(ok: u64, failed: u64, violations: u64, crashes: u64) -> swarm_api::cell::Health {
    swarm_api::cell::Health {
        runs_succeeded: ok,
        runs_failed: failed,
        safety_violations: violations,
        crashes,
    }
}

#[test]
fn what_a_cell_did_before_it_was_assigned_does_not_count() {
    let mut bench = Bench::new(plan(vec![share("all", 100)]), 1);
    bench.runs_artifact("cell-00", &new());
    bench.health("cell-00").crashes = 3;
    bench.step();
    bench.step();
    assert!(!bench.has_failed(), "it ran it by hand before the roll-out");
    bench.health("cell-00").crashes = 4;
    bench.step();
    assert!(bench.has_failed());
}

#[test]
fn a_cell_that_refuses_or_leaves_it_gets_back_what_it_had() {
    let mut plan = plan(vec![share("canary", 20), share("all", 100)]);
    plan.gates.max_refused = 2;
    let mut bench = Bench::new(plan, 10);
    let canaries = assigns(&bench.step());
    bench.says(&canaries[0], &new(), Progress::Refused, "signed by nobody it trusts");
    let actions = bench.step();
    assert_eq!(taken_back(&actions), [(canaries[0].clone(), Some(old()))]);
    assert_eq!(assigns(&actions).len(), 1, "another one takes its place in the canary");

    bench.take_up(&canaries[1]);
    bench.step();
    bench.runs_artifact(&canaries[1], &old());
    assert_eq!(taken_back(&bench.step()), [(canaries[1].clone(), Some(old()))]);
    assert_eq!((bench.rollout.refused, bench.has_failed()), (2, false));
    bench.until_done();
    assert_eq!(bench.assigned_to(&new()).len(), 8);
}

#[test]
fn when_every_cell_refuses_it_has_failed() {
    let mut plan = plan(vec![share("all", 100)]);
    plan.gates.max_refused = 9;
    let mut bench = Bench::new(plan, 2);
    bench.step();
    for cell in ["cell-00", "cell-01"] {
        bench.says(cell, &new(), Progress::Refused, "no");
    }
    bench.step();
    assert!(bench.has_failed(), "{:?}", bench.rollout.state);
}

#[test]
fn named_cells_come_in_their_stage_and_not_before() {
    let stages = vec![
        named("bench", &["cell-05"]),
        share("canary", 30),
        named("line", &["cell-00", "cell-01"]),
        share("all", 100),
    ];
    for seed in 0..20 {
        let mut plan = plan(stages.clone());
        plan.seed = seed;
        let mut bench = Bench::new(plan, 10);
        assert_eq!(assigns(&bench.step()), ["cell-05"]);
        bench.until_observing(1);
        let early = bench.assigned_to(&new());
        assert_eq!(early.len(), 3, "the bench's cell is one of the 30 %");
        assert!(!early.contains(&name(0)) && !early.contains(&name(1)), "seed {seed}: {early:?}");
        bench.until_observing(2);
        assert_eq!(bench.assigned_to(&new()).len(), 5);
        bench.until_done();
    }
}

#[test]
fn a_cell_that_waits_for_its_window_delays_a_stage_only_for_its_time() {
    let mut bench = Bench::new(plan(vec![share("canary", 20), share("all", 100)]), 10);
    let canaries = assigns(&bench.step());
    bench.take_up(&canaries[0]);
    bench.says(&canaries[1], &new(), Progress::Waiting, "its window opens at 22:00");
    bench.step();
    let cells: Vec<_> = bench.cells.values().cloned().collect();
    let waits = waits_for(&bench.rollout, &cells, bench.now);
    assert_eq!(waits, [format!("{} has it and waits: its window opens at 22:00", canaries[1])]);
    bench.pass(500);
    bench.step();
    assert_eq!(bench.rollout.state.name(), "running");
    bench.pass(101);
    bench.step();
    assert_eq!(bench.rollout.state.name(), "observing");
}

#[test]
fn a_rollout_without_known_cells_waits_and_says_so() {
    let mut bench = Bench::new(plan(vec![share("all", 100)]), 0);
    bench.step();
    assert_eq!(bench.rollout.state.name(), "running");
    assert_eq!(
        waits_for(&bench.rollout, &[], bench.now),
        ["the registry knows none of the roll-out's cells"]
    );
    bench.add("cell-00");
    bench.until_done();
}

#[test]
fn a_step_with_nothing_to_do_changes_nothing() {
    let mut bench = Bench::new(plan(vec![share("canary", 20), share("all", 100)]), 10);
    bench.step();
    let before = bench.rollout.clone();
    assert_eq!(bench.step(), []);
    assert_eq!(bench.rollout, before);
    bench.until_done();
    let before = bench.rollout.clone();
    bench.pass(1_000);
    assert_eq!(bench.step(), [] as [Action; 0]);
    assert_eq!(bench.rollout, before);
}
