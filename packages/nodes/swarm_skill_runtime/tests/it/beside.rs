//! A version that waits for a run to end is compared with it: the same inputs, the first difference, and nothing moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::common::cell::Cell;
use crate::common::{Around, Bench, SkillFolder};
use swarm_skill_core::{ArmAtRest, Outcome};
use swarm_skill_runtime::beside::{self, Beside, Telling};
use swarm_skill_runtime::deployer::ActiveSkill;

/// Version 1.1.0, checked and not running.
fn candidate(bench: &Bench, files: &SkillFolder) -> Arc<ActiveSkill> {
    bench.deployer().carry_out(&bench.order("1.1.0", files), &Around::default()).unwrap()
}

/// Runs version 1.0.0 to its end; the candidate joins after `late` turns and looks every third turn.
fn beside_a_run(files: &SkillFolder, late: usize) -> String {
    let bench = Bench::new();
    let mut cell = Cell::of(&bench, "1.0.0", &SkillFolder::default());
    let candidate = candidate(&bench, files);
    let goal = cell.ask(None);
    for _ in 0..late {
        cell.turn();
    }
    let mut beside = Beside::new(&candidate.skill, cell.engine.telling().expect("a run is in progress"));
    while cell.engine.run_in_progress().is_some() {
        cell.turn();
        cell.turn();
        cell.turn();
        beside.follow();
    }
    let (finished, _) = cell.result(&goal);
    assert_eq!(finished.outcome, Outcome::Succeeded, "the run itself has not noticed");
    beside.summary()
}

fn leader(inside: &str) -> SkillFolder {
    let leader = format!(
        r#"<root BTCPP_format="4"><BehaviorTree ID="Leader"><Sequence>
             <EnterPhase phase="home"/>{inside}</Sequence></BehaviorTree></root>"#
    );
    SkillFolder { leader, ..SkillFolder::default() }
}

#[test]
fn the_same_trees_do_the_same_whenever_they_join() {
    let from_the_start = beside_a_run(&SkillFolder::default(), 5);
    assert!(from_the_start.starts_with("beside run t1 it did the same for all "), "{from_the_start}");
    // What it missed is given to it first.
    assert_eq!(beside_a_run(&SkillFolder::default(), 60), from_the_start);
}

#[test]
fn the_first_difference_is_named_with_its_tick_role_phase_and_values() {
    let waits = beside_a_run(&leader(r#"<Sleep msec="100"/><MoveJoints/>"#), 5);
    assert!(waits.starts_with("beside run t1 it first parted at tick "), "{waits}");
    assert!(waits.contains(": leader in phase 'home' wants 0.000000 rad/s of joint 0, the run -"), "{waits}");
    assert_eq!(beside_a_run(&leader(r#"<Sleep msec="100"/><MoveJoints/>"#), 60), waits);

    let grips = beside_a_run(&leader(r#"<Release width="0.05"/><MoveJoints/>"#), 5);
    assert!(grips.contains("leader in phase 'home' wants 0.0500 m at"), "{grips}");
    assert!(grips.ends_with("of its gripper, the run nothing"), "{grips}");
}

#[test]
fn a_version_that_gives_up_is_seen_to() {
    let fails = beside_a_run(&leader(r#"<Timeout msec="50"><MoveJoints/></Timeout>"#), 5);
    assert!(fails.contains("it first parted at tick "), "{fails}");
}

#[test]
fn a_tighter_envelope_shows_at_the_first_motion_that_it_slows() {
    let envelope = "schema: 1\nrobots:\n  leader: {joints: {velocity_rad_s: 0.1}}\n".into();
    let slower = beside_a_run(&SkillFolder { envelope, ..SkillFolder::default() }, 5);
    assert!(slower.contains("leader in phase 'home' wants "), "{slower}");
}

/// One arm, which is heard of for the first time at a certain look.
struct Starting {
    looks: AtomicU32,
    heard_at: u32,
    rad_per_s: f64,
}

impl beside::Cell for Starting {
    fn motion(&self) -> (Option<String>, Vec<ArmAtRest>) {
        let heard = self.looks.fetch_add(1, Ordering::SeqCst) >= self.heard_at;
        let joints = heard.then_some((swarm_base::Duration::ZERO, self.rad_per_s));
        (None, vec![ArmAtRest { robot: "panda".into(), joints }])
    }

    fn telling(&self) -> Option<Arc<Telling>> {
        None
    }

    fn given_up(&self) -> Option<String> {
        (self.looks.load(Ordering::SeqCst) > 100).then(|| "the runtime was deactivated".into())
    }
}

#[test]
fn an_order_without_patience_still_waits_for_the_first_word_of_an_arm() {
    let ends = |heard_at, rad_per_s| {
        let cell = Starting { looks: AtomicU32::new(0), heard_at, rad_per_s };
        beside::await_rest(&cell, &|| Err("nothing runs".into()), Duration::ZERO)
    };
    assert_eq!(ends(50, 0.0), Ok(None));
    let moves = "panda moves at 0.500 rad/s; deploying needs every arm at rest (at most 0.01 rad/s)";
    assert_eq!(ends(50, 0.5), Err(moves.into()));
    assert_eq!(ends(u32::MAX, 0.0), Err("the runtime was deactivated".into()));
}
