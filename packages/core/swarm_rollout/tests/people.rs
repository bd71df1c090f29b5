//! The promises of a roll-out that others interfere with: people who pause, abort and assign by hand, other roll-outs, cells that come
//! and go.

mod common;

use common::{Bench, assigns, digest, name, new, old, plan, share, taken_back};
use swarm_rollout::{Cells, Command, CommandError, Rollout, Standing};

fn reason() -> String {
    "because".to_owned()
}

#[test]
fn a_direct_assignment_takes_a_cell_out() {
    let mut bench = Bench::new(plan(vec![share("canary", 50), share("all", 100)]), 4);
    bench.until_observing(0);
    let holders = bench.assigned_to(&new());
    let pending = bench.assigned_to(&old());
    bench.assign(&holders[0], Some(&digest('c')));
    bench.assign(&pending[0], Some(&digest('c')));
    bench.step();
    assert_eq!(*bench.standing(&holders[0]), Standing::Left { held: true });
    assert_eq!(*bench.standing(&pending[0]), Standing::Left { held: false });
    assert!(bench.notes.iter().any(|note| note.contains(&holders[0]) && note.contains("by others")));

    bench.health(&holders[1]).crashes = 1;
    let back = taken_back(&bench.step());
    assert_eq!(back, [(holders[1].clone(), Some(old()))], "what a person assigned stays");
    assert_eq!(bench.assigned(&holders[0]), Some(digest('c')));
}

#[test]
fn a_canary_that_a_person_takes_out_is_not_replaced_by_another() {
    let mut bench = Bench::new(plan(vec![share("canary", 25), share("all", 100)]), 4);
    bench.until_observing(0);
    let canary = bench.assigned_to(&new()).remove(0);
    bench.assign(&canary, Some(&old()));
    for _ in 0..50 {
        bench.pass(20);
        assert_eq!(assigns(&bench.step()), [] as [String; 0]);
    }
}

#[test]
fn paused_hands_nothing_out_and_guards_on() {
    let mut bench = Bench::new(plan(vec![share("canary", 10), share("all", 100)]), 10);
    bench.until_observing(0);
    bench.command(&Command::Pause { reason: reason() }).unwrap();
    for _ in 0..20 {
        bench.pass(30);
        assert_eq!(bench.step(), []);
    }
    let mut resumed = Bench {
        rollout: bench.rollout.clone(),
        cells: bench.cells.clone(),
        ..Bench::new(bench.rollout.plan.clone(), 0)
    };
    resumed.now = bench.now;
    resumed.command(&Command::Resume).unwrap();
    resumed.until_done();

    let canary = bench.assigned_to(&new()).remove(0);
    bench.health(&canary).safety_violations = 1;
    assert_eq!(taken_back(&bench.step()).len(), 1);
    assert!(bench.has_failed());
}

#[test]
fn after_a_pause_a_stage_is_observed_anew() {
    let mut bench = Bench::new(plan(vec![share("canary", 10), share("all", 100)]), 10);
    bench.until_observing(0);
    bench.pass(20);
    bench.step();
    bench.pass(20);
    bench.step();
    bench.command(&Command::Pause { reason: reason() }).unwrap();
    bench.command(&Command::Resume).unwrap();
    bench.step();
    bench.pass(25);
    bench.step();
    assert_eq!(bench.rollout.state.stage(), Some(0), "40 s from before the pause were counted");
}

#[test]
fn abort_keeps_or_takes_back_as_asked() {
    for (asked, on_new) in [
        (Command::AbortAndKeep { reason: reason() }, 2),
        (Command::AbortAndTakeBack { reason: reason() }, 0),
        (Command::Withdraw { reason: reason() }, 0),
    ] {
        let mut bench = Bench::new(plan(vec![share("canary", 20), share("all", 100)]), 10);
        bench.until_observing(0);
        bench.command(&asked).unwrap();
        assert_eq!(bench.assigned_to(&new()).len(), on_new, "{asked:?}");
        assert_eq!(bench.quarantined.len(), usize::from(matches!(asked, Command::Withdraw { .. })));
        bench.assert_assigns_nothing_more();
        assert_eq!(bench.assigned_to(&new()).len(), on_new, "{asked:?}, later");
    }
}

#[test]
fn commands_that_make_no_sense_now_say_why() {
    let mut bench = Bench::new(plan(vec![share("all", 100)]), 2);
    let error = bench.command(&Command::Resume).unwrap_err();
    assert_eq!(error.to_string(), "cannot resume the roll-out: it is running and not paused");
    bench.command(&Command::Pause { reason: reason() }).unwrap();
    let error = bench.command(&Command::Pause { reason: reason() }).unwrap_err();
    assert_eq!(error, CommandError::AlreadyPaused);
    bench.command(&Command::Resume).unwrap();
    bench.until_done();
    let error = bench.command(&Command::AbortAndTakeBack { reason: reason() }).unwrap_err();
    assert_eq!(error.to_string(), "cannot abort the roll-out: it is done and has ended; begin a new one");
}

#[test]
fn a_successor_goes_back_behind_the_unfinished_one() {
    let mut bench = Bench::new(plan(vec![share("canary", 20), share("all", 100)]), 10);
    bench.until_observing(0);
    let canaries = bench.assigned_to(&new());

    let mut next = plan(vec![share("all", 100)]);
    next.artifact = digest('c');
    let successor = Rollout::begin(next, common::SKILL, "1.1.1", Some(&bench.rollout), bench.now).unwrap();
    bench.command(&Command::Supersede { by: 2 }).unwrap();
    assert_eq!(bench.step(), []);
    bench.rollout = successor;
    bench.until_observing(0);
    assert_eq!(bench.assigned_to(&digest('c')).len(), 10);
    bench.health("cell-03").crashes = 1;
    bench.step();
    assert_eq!(bench.assigned_to(&old()).len(), 10, "{canaries:?} went back to what never passed its gates");
}

#[test]
fn a_second_try_of_the_same_artifact_guards_the_cells_of_the_first() {
    let mut bench = Bench::new(plan(vec![share("canary", 20), share("all", 100)]), 10);
    bench.until_observing(0);
    let canaries = bench.assigned_to(&new());
    let again = plan(vec![share("all", 100)]);
    bench.rollout = Rollout::begin(again, common::SKILL, "1.1.0", Some(&bench.rollout), bench.now).unwrap();
    bench.step();
    bench.health(&canaries[0]).crashes = 1;
    bench.step();
    assert!(bench.has_failed());
    assert_eq!(bench.assigned_to(&old()).len(), 10);
}

#[test]
fn cells_of_other_skills_are_left_alone_unless_named() {
    let mut all = Bench::new(plan(vec![share("all", 100)]), 2);
    all.cell("cell-01").assigned.as_mut().unwrap().skill_name = "palletizing".to_owned();
    assert_eq!(assigns(&all.step()), ["cell-00"]);

    let mut by_name = plan(vec![share("all", 100)]);
    by_name.cells = Cells::Named(vec![name(1)]);
    let mut bench = Bench::new(by_name, 2);
    bench.cell("cell-01").assigned.as_mut().unwrap().skill_name = "palletizing".to_owned();
    assert_eq!(assigns(&bench.step()), ["cell-01"]);
}

#[test]
fn a_cell_without_an_assignment_goes_back_to_what_it_ran() {
    let mut by_name = plan(vec![share("all", 100)]);
    by_name.cells = Cells::Named(vec![name(0), name(1)]);
    let mut bench = Bench::new(by_name, 2);
    bench.assign("cell-00", None);
    bench.assign("cell-01", None);
    bench.report("cell-01").running = None;
    bench.until_observing(0);
    bench.health("cell-00").crashes = 1;
    let back = taken_back(&bench.step());
    assert_eq!(back, [(name(0), Some(old())), (name(1), None)]);
}

#[test]
fn decommissioned_cells_neither_block_a_share_nor_make_room() {
    let mut bench = Bench::new(plan(vec![share("half", 50), share("all", 100)]), 10);
    bench.until_observing(0);
    let holders = bench.assigned_to(&new());
    for site_id in &holders[..3] {
        bench.cells.remove(site_id);
    }
    assert_eq!(assigns(&bench.step()), [] as [String; 0]);
    bench.until_done();
    assert_eq!(bench.assigned_to(&new()).len(), 7);
}

/// A holder that was decommissioned, and that comes back after the roll-out failed, without an assignment.
fn back_after_the_failure() -> (Bench, String) {
    let mut bench = Bench::new(plan(vec![share("half", 50), share("all", 100)]), 4);
    bench.until_observing(0);
    let holders = bench.assigned_to(&new());
    let away = bench.cells.remove(&holders[0]).unwrap();
    bench.health(&holders[1]).crashes = 1;
    assert_eq!(taken_back(&bench.step()), [(holders[1].clone(), Some(old()))]);
    bench.cells.insert(holders[0].clone(), away);
    bench.assign(&holders[0], None);
    (bench, holders[0].clone())
}

#[test]
fn a_decommissioned_cell_that_comes_back_with_a_bad_artifact_goes_back_to_what_it_had_once() {
    let (mut bench, cell) = back_after_the_failure();
    assert_eq!(taken_back(&bench.step()), [(cell, Some(old()))]);
    assert_eq!(bench.step(), []);
}

#[test]
fn a_decommissioned_cell_that_comes_back_with_something_else_is_left_alone() {
    let (mut bench, cell) = back_after_the_failure();
    bench.runs_artifact(&cell, &digest('c'));
    assert_eq!(taken_back(&bench.step()), []);
    assert_eq!(*bench.standing(&cell), Standing::Left { held: true });
}

#[test]
fn a_decommissioned_cell_that_comes_back_in_time_is_watched_on() {
    let mut bench = Bench::new(plan(vec![share("half", 50), share("all", 100)]), 4);
    bench.until_observing(0);
    let holders = bench.assigned_to(&new());
    bench.assign(&holders[0], None);
    bench.health(&holders[0]).crashes = 1;
    let back: Vec<_> = holders.into_iter().map(|holder| (holder, Some(old()))).collect();
    assert_eq!(taken_back(&bench.step()), back);
}

#[test]
fn a_cell_that_comes_into_the_fleet_is_taken_along() {
    let mut bench = Bench::new(plan(vec![share("canary", 10), share("all", 100)]), 15);
    bench.until_observing(0);
    bench.add("new-cell");
    assert_eq!(assigns(&bench.step()), [] as [String; 0], "not by the canary");
    bench.until_done();
    assert_eq!(bench.assigned("new-cell"), Some(new()));
}

#[test]
fn cells_that_have_it_already_are_not_touched_unless_it_turns_out_bad() {
    let mut bench = Bench::new(plan(vec![share("all", 100)]), 2);
    for cell in ["cell-00", "cell-01"] {
        bench.assign(cell, Some(&new()));
    }
    assert_eq!(assigns(&bench.step()), [] as [String; 0]);
    assert_eq!(bench.rollout.state.name(), "done");

    let mut bench = Bench::new(plan(vec![share("all", 100)]), 2);
    bench.assign("cell-00", Some(&new()));
    bench.until_observing(0);
    bench.health("cell-01").crashes = 1;
    assert_eq!(taken_back(&bench.step()), [(name(1), Some(old())), (name(0), None)]);
}
