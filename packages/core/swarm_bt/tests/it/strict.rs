//! Where strict mode and the original part, in the order of the table in the crate's documentation: what each of them does.

use crate::common::Bench;
use swarm_bt::{Loader, Mode, NodeStatus, Registry};

/// The same tree by the rules of the original, and strictly.
fn both(body: &str, leaves: &[(&str, &str)]) -> (Bench, Bench) {
    (Bench::new(body, leaves), Bench::strict(body, leaves))
}

fn set(b: &mut Bench, key: &str, value: impl Into<swarm_bt::Value>) {
    let slot = b.tree.slot(key).expect("the tree mentions it");
    b.state.set(&b.tree, slot, value).expect("fits");
}

#[test]
fn a_parallel_that_cannot_have_its_successes_any_more_fails() {
    let body = r#"<Parallel success_count="2"><A/><B _skipIf="true"/></Parallel>"#;
    let (mut theirs, mut ours) = both(body, &[("A", "RS"), ("B", "S")]);
    assert_eq!(theirs.ticks(6), "RRRRRR");
    assert_eq!(ours.ticks(2), "RF", "as long as A runs, B may still be wanted");
    let body = r#"<Parallel><A/><B _skipIf="true"/></Parallel>"#;
    let (mut theirs, mut ours) = both(body, &[("A", "S"), ("B", "S")]);
    assert_eq!((theirs.tick(), ours.tick()), ('S', 'S'), "a negative threshold counts skipped children");
}

#[test]
fn a_skipped_condition_skips_the_node() {
    for tag in ["IfThenElse", "WhileDoElse"] {
        let body = format!(r#"<{tag}><A _skipIf="true"/><B/><C/></{tag}>"#);
        let (mut theirs, mut ours) = both(&body, &[("A", "S"), ("B", "S"), ("C", "S")]);
        let error = theirs.try_tick().unwrap_err().to_string();
        assert!(error.contains(&format!("the condition of {tag} was skipped")), "{error}");
        assert_eq!((ours.tick(), ours.calls().as_str()), ('K', ""));
    }
}

#[test]
fn a_while_do_else_asks_its_condition_anew_in_every_tick() {
    // Whatever it is: an action repeats its answer as long as nobody resets it, and only an idle node is skipped.
    let (mut theirs, mut ours) = both("<WhileDoElse><A/><B/></WhileDoElse>", &[("A", "SF"), ("B", "R")]);
    assert_eq!((theirs.ticks(3), theirs.calls()), ("RRR".into(), "s2 s3 r3 r3".into()));
    assert_eq!((ours.ticks(2), ours.calls()), ("RF".into(), "s2 s3 s2 h3".into()));

    let body = r#"<WhileDoElse><A _skipIf="x == 1"/><B/></WhileDoElse>"#;
    let (mut theirs, mut ours) = both(body, &[("A", "S"), ("B", "R")]);
    for (b, then, calls) in [(&mut theirs, 'R', "s2 s3 r3"), (&mut ours, 'K', "s2 s3 h3")] {
        set(b, "x", 0_i64);
        b.tick();
        set(b, "x", 1_i64);
        assert_eq!((b.tick(), b.calls().as_str()), (then, calls));
    }
}

#[test]
fn a_condition_that_failed_is_asked_again() {
    let body = "<IfThenElse><A/><B/></IfThenElse>";
    let (mut theirs, mut ours) = both(body, &[("A", "FS"), ("B", "S")]);
    assert_eq!((theirs.ticks(3), theirs.calls()), ("FFF".into(), "s2".into()), "an action stays failed");
    assert_eq!((ours.ticks(2), ours.calls()), ("FS".into(), "s2 s2 s3".into()));
}

#[test]
fn a_node_that_answers_skipped_is_idle() {
    let body = "<Fallback><Inverter><A/></Inverter><B/></Fallback>";
    let (mut theirs, mut ours) = both(body, &[("A", "K"), ("B", "R")]);
    assert_eq!((theirs.tick(), ours.tick()), ('R', 'R'));
    assert_eq!(theirs.state.status(2), Some(NodeStatus::Running));
    assert_eq!(ours.state.status(2), Some(NodeStatus::Idle));

    // The same at the root: its pre-conditions are looked at in the next tick.
    let body = r#"<Inverter _successIf="x == 1"><A/></Inverter>"#;
    let (mut theirs, mut ours) = both(body, &[("A", "K")]);
    let mut answers = Vec::new();
    for b in [&mut theirs, &mut ours] {
        set(b, "x", 0_i64);
        b.tick();
        set(b, "x", 1_i64);
        answers.push(b.tick());
    }
    assert_eq!(answers, ['K', 'S']);
}

#[test]
fn an_action_that_answers_skipped_is_started_anew() {
    let (mut theirs, mut ours) = both("<A/>", &[("A", "RKRS")]);
    assert_eq!((theirs.ticks(3), theirs.calls()), ("RKR".into(), "s1 r1 r1".into()));
    assert_eq!((ours.ticks(3), ours.calls()), ("RKR".into(), "s1 r1 s1".into()));
}

#[test]
fn a_delay_whose_child_is_skipped_delays_the_next_time() {
    let (mut theirs, mut ours) = both(r#"<Delay delay_msec="100"><A/></Delay>"#, &[("A", "KS")]);
    for (b, answers) in [(&mut theirs, "RKS"), (&mut ours, "RKR")] {
        let mut seen = b.ticks(1);
        b.pass_ms(100);
        seen += &b.ticks(2);
        assert_eq!(seen, answers);
    }
}

#[test]
fn a_precondition_is_looked_at_again_after_a_halt_and_after_a_skip() {
    let body = r#"<Precondition if="x == 0" else="FAILURE"><A/></Precondition>"#;
    for (answers, after) in [("R", "halt"), ("K", "skip")] {
        let (mut theirs, mut ours) = both(body, &[("A", answers)]);
        let mut then = Vec::new();
        for b in [&mut theirs, &mut ours] {
            set(b, "x", 0_i64);
            b.tick();
            if after == "halt" {
                b.halt();
            }
            set(b, "x", 1_i64);
            then.push(b.tick());
        }
        assert_eq!(then[1], 'F', "after a {after}");
        assert_ne!(then[0], 'F', "the original has the condition hold for ever, after a {after}");
    }
}

#[test]
fn an_entry_that_was_removed_and_written_again_is_updated() {
    let body = r#"<Sequence><Script code="x := 1"/><ForceSuccess><WasEntryUpdated entry="x"/></ForceSuccess><UnsetBlackboard key="x"/><Script code="x := 2"/><WasEntryUpdated entry="x"/></Sequence>"#;
    let (mut theirs, mut ours) = both(body, &[]);
    // Each node that looks has a memory of its own, so that the second run is the one that tells.
    assert_eq!((theirs.ticks(2), ours.ticks(2)), ("SF".into(), "SS".into()));
}

#[test]
fn an_entry_is_removed_through_a_remapping() {
    let xml = |mode: &str| {
        format!(
            r#"<root BTCPP_format="4" mode="{mode}" main_tree_to_execute="T">
                <BehaviorTree ID="T"><Sequence><Script code="x := 1"/><SubTree ID="S" y="{{x}}"/></Sequence></BehaviorTree>
                <BehaviorTree ID="S"><UnsetBlackboard key="y"/></BehaviorTree></root>"#
        )
    };
    for (mode, left) in [("compat", "1"), ("strict", "-")] {
        let mut b = Bench::document(&xml(mode), &[]);
        assert_eq!(b.tick(), 'S');
        assert_eq!(b.entry("x"), left, "{mode}");
    }
}

#[test]
fn a_halt_tells_only_what_was_running_and_once() {
    let body =
        r#"<Sequence><Script code="n := 0; m := 0" _onHalted="m += 1"/><A _onHalted="n += 1"/></Sequence>"#;
    let (mut theirs, mut ours) = both(body, &[("A", "R")]);
    for (b, running, idle) in [(&mut theirs, "2", "1"), (&mut ours, "1", "0")] {
        b.tick();
        b.halt();
        assert_eq!((b.entry("n").as_str(), b.entry("m").as_str()), (running, idle));
    }
}

#[test]
fn the_document_says_its_mode_and_else_the_loader_does() {
    let registry = Registry::new();
    let mode = |attribute: &str, loader: Option<Mode>| {
        let xml = format!(
            r#"<root BTCPP_format="4"{attribute}><BehaviorTree ID="T"><AlwaysSuccess/></BehaviorTree></root>"#
        );
        let with = Loader::new(&registry).document("t.xml", &xml);
        let with = match loader {
            Some(mode) => with.mode(mode),
            None => with,
        };
        with.load().map(|tree| tree.mode()).map_err(|errors| errors.to_string())
    };
    assert_eq!(mode("", None), Ok(Mode::Strict));
    assert_eq!(mode("", Some(Mode::Compat)), Ok(Mode::Compat));
    assert_eq!(mode(r#" mode="compat""#, None), Ok(Mode::Compat));
    assert_eq!(mode(r#" mode="strict""#, Some(Mode::Compat)), Ok(Mode::Strict));
    let error = mode(r#" mode="lax""#, None).unwrap_err();
    assert_eq!(error, r#"t.xml:1:1: mode="lax" is not compat or strict"#);
}
