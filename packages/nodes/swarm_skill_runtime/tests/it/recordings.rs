//! Every run is recorded, one file per role, and each is carried out again bit for bit; nothing that befalls a recording befalls the run.

use std::fs;
use std::path::Path;

use crate::common::cell::Cell;
use crate::common::{Bench, SkillFolder};
use swarm_bt_log::{Recording, Replay, Tail};
use swarm_bt_log_file::Options;
use swarm_skill_core::Outcome;
use swarm_skill_runtime::recordings::Recordings;

const ROLES: [&str; 3] = ["leader", "follower", "spotter"];

fn recorded_in(folder: &Path) -> Cell {
    // With scripts, and a subtree from another file, there is more to be told than what the leaves answer.
    let files = SkillFolder {
        leader: r#"<root BTCPP_format="4"><include path="lib/home.xml"/><BehaviorTree ID="Leader"><Sequence>
             <Script code="times := 2"/><EnterPhase phase="home"/>
             <Repeat num_cycles="{times}"><SubTree ID="Home"/></Repeat>
           </Sequence></BehaviorTree></root>"#
            .into(),
        library: Some(
            r#"<root BTCPP_format="4"><BehaviorTree ID="Home"><Sequence><Sleep msec="30"/><MoveJoints/></Sequence>
               </BehaviorTree></root>"#
                .into(),
        ),
        ..SkillFolder::default()
    };
    let mut cell = Cell::of(&Bench::new(), "1.0.0", &files);
    cell.engine.record(Some(Recordings::start(folder.to_owned(), Options::default()).unwrap()));
    cell
}

/// Carries a recording out again and compares every bit; gives how many steps it has, and how it ends.
fn replayed(file: &Path) -> (usize, Tail) {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let recording = Recording::read(bytes).unwrap();
    let mut replay = Replay::new(&recording).unwrap();
    replay.seek(recording.len()).unwrap_or_else(|parted| panic!("{}: {parted}", file.display()));
    (recording.len(), recording.tail)
}

#[test]
fn a_run_is_replayed_bit_for_bit_from_what_was_recorded_of_each_role() {
    let folder = tempfile::tempdir().unwrap();
    let mut cell = recorded_in(folder.path());
    let goal = cell.ask(None);
    assert_eq!(cell.result(&goal).0.outcome, Outcome::Succeeded);
    cell.engine.record(None);
    for role in ROLES {
        let (steps, tail) = replayed(&folder.path().join(format!("t1/{role}.run")));
        assert_eq!(tail, Tail::Closed, "{role}");
        assert!(steps > 30, "{role}: {steps}");
    }
}

/// What a killed runtime leaves behind: here the run is just not ended.
#[test]
fn what_was_recorded_of_a_run_without_an_end_is_replayed_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let mut cell = recorded_in(folder.path());
    let _goal = cell.ask(None);
    while cell.turn().commands.is_empty() {}
    for _ in 0..19 {
        cell.turn();
    }
    cell.engine.record(None);
    for role in ROLES {
        let (steps, tail) = replayed(&folder.path().join(format!("t1/{role}.run")));
        assert_eq!(tail, Tail::Open, "{role}");
        // One step a turn, and further ones where the tree wants to be ticked again at once.
        assert!(steps >= 20, "{role}: {steps}");
    }
}

#[test]
fn every_run_has_a_recording_of_its_own_and_a_canceled_one_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let mut cell = recorded_in(folder.path());
    let goal = cell.ask(None);
    while cell.turn().commands.is_empty() {}
    cell.engine.cancel(None, "enough");
    assert_eq!(cell.result(&goal).0.outcome, Outcome::Canceled("enough".into()));
    let goal = cell.ask(None);
    assert_eq!(cell.result(&goal).0.outcome, Outcome::Succeeded);
    cell.engine.record(None);
    let steps = ["t1", "t1-2"].map(|run| {
        let (steps, tail) = replayed(&folder.path().join(run).join("leader.run"));
        assert_eq!(tail, Tail::Closed, "{run}");
        steps
    });
    assert!(steps[0] < steps[1], "{steps:?}");
}

#[test]
fn a_run_that_cannot_be_recorded_is_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("a_file");
    fs::write(&nowhere, "no folder").unwrap();
    let outcomes = [folder.path(), &nowhere].map(|place| {
        let mut cell = recorded_in(place);
        let goal = cell.ask(None);
        let (finished, last) = cell.result(&goal);
        (finished, last.commands.iter().map(|command| command.wish).collect::<Vec<_>>(), cell.q.clone())
    });
    assert_eq!(outcomes[0], outcomes[1]);
}

#[test]
fn that_a_run_is_not_recorded_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("a_file");
    fs::write(&nowhere, "no folder").unwrap();
    let recordings = Recordings::start(nowhere.join("recordings"), Options::default()).unwrap();
    let health = recordings.health();
    let mut cell = Cell::new();
    cell.engine.record(Some(recordings));
    let goal = cell.ask(None);
    assert_eq!(cell.result(&goal).0.outcome, Outcome::Succeeded);
    cell.engine.record(None);
    let status = health.status();
    assert_eq!(status.given_up, 1);
    let trouble = status.trouble.unwrap();
    assert!(trouble.starts_with("run t1 is not recorded: cannot make the folder "), "{trouble}");
}
