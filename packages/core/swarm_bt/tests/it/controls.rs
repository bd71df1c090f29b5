//! What each control node promises. Uids count in XML order from 1; `s3` starts leaf 3, `r3` ticks it on, `h3` halts it.

use crate::common::Bench;
use swarm_bt::Value;

#[test]
fn sequence_succeeds_when_all_children_have_succeeded_in_order() {
    let mut b = Bench::new("<Sequence><A/><B/></Sequence>", &[("A", "S"), ("B", "RS")]);
    assert_eq!(b.ticks(2), "RS");
    assert_eq!(b.calls(), "s2 s3 r3");
    assert_eq!(b.trace(), "1R 2S 3R 3S 2I 3I 1S 1I");
}

#[test]
fn sequence_fails_with_its_first_failing_child_and_starts_over() {
    let mut b = Bench::new("<Sequence><A/><B/><A/></Sequence>", &[("A", "S"), ("B", "FS")]);
    assert_eq!(b.ticks(2), "FS");
    assert_eq!(b.calls(), "s2 s3 s2 s3 s4");
}

#[test]
fn sequence_does_not_tick_again_what_has_succeeded() {
    let mut b = Bench::new("<Sequence><A/><B/></Sequence>", &[("A", "S"), ("B", "RRR")]);
    assert_eq!(b.ticks(3), "RRR");
    assert_eq!(b.calls(), "s2 s3 r3 r3");
}

#[test]
fn sequence_passes_over_skipped_children_and_is_skipped_if_all_are() {
    let mut b = Bench::new(r#"<Sequence><A _skipIf="true"/><B/></Sequence>"#, &[("A", "F"), ("B", "S")]);
    assert_eq!(b.ticks(1), "S");
    let mut b = Bench::new(r#"<Sequence><A _skipIf="true"/></Sequence>"#, &[("A", "F")]);
    assert_eq!(b.ticks(2), "KK");
    assert_eq!(b.calls(), "");
}

#[test]
fn children_skipped_in_a_failed_run_do_not_count_in_the_next() {
    let mut b = Bench::new(r#"<Sequence><A _skipIf="true"/><B/></Sequence>"#, &[("A", "S"), ("B", "FS")]);
    assert_eq!(b.ticks(2), "FS");
    let mut b = Bench::new(r#"<Fallback><A _skipIf="true"/><B/></Fallback>"#, &[("A", "S"), ("B", "SF")]);
    assert_eq!(b.ticks(2), "SF");
    let xml = r#"<SequenceWithMemory><A _skipIf="true"/><B/></SequenceWithMemory>"#;
    assert_eq!(Bench::new(xml, &[("A", "S"), ("B", "FS")]).ticks(2), "FS");
}

#[test]
fn sequence_with_memory_goes_on_after_a_failure_where_it_was() {
    let mut b = Bench::new("<SequenceWithMemory><A/><B/></SequenceWithMemory>", &[("A", "RS"), ("B", "FRS")]);
    assert_eq!(b.ticks(4), "RFRS");
    assert_eq!(b.calls(), "s2 r2 s3 s3 r3");
}

#[test]
fn sequence_with_memory_keeps_its_place_over_a_halt() {
    let mut b = Bench::new("<SequenceWithMemory><A/><B/></SequenceWithMemory>", &[("A", "RS"), ("B", "RS")]);
    assert_eq!(b.ticks(2), "RR");
    b.halt();
    assert_eq!(b.ticks(1), "S");
    assert_eq!(b.calls(), "s2 r2 s3 h3 s3");
}

#[test]
fn fallback_succeeds_with_its_first_successful_child() {
    let mut b = Bench::new("<Fallback><A/><B/><C/></Fallback>", &[("A", "F"), ("B", "RS"), ("C", "S")]);
    assert_eq!(b.ticks(2), "RS");
    assert_eq!(b.calls(), "s2 s3 r3");
}

#[test]
fn fallback_fails_when_all_children_have_failed_and_is_skipped_when_all_are() {
    let mut b = Bench::new("<Fallback><A/><A/></Fallback>", &[("A", "F")]);
    assert_eq!(b.ticks(1), "F");
    let mut b = Bench::new(r#"<Fallback><A _while="false"/></Fallback>"#, &[("A", "S")]);
    assert_eq!(b.ticks(1), "K");
}

#[test]
fn async_forms_yield_after_each_child_that_completed_at_once() {
    let mut b = Bench::new("<AsyncSequence><A/><A/><A/></AsyncSequence>", &[("A", "S")]);
    assert_eq!(b.ticks(3), "RRS");
    let mut b = Bench::new("<AsyncFallback><A/><A/></AsyncFallback>", &[("A", "F")]);
    assert_eq!(b.ticks(2), "RF");
}

#[test]
fn a_node_that_yields_asks_for_another_tick_and_can_be_ticked_until_it_settles() {
    let mut b = Bench::new(
        "<Sequence><AsyncSequence><A/><A/><A/></AsyncSequence><B/></Sequence>",
        &[("A", "S"), ("B", "R")],
    );
    assert_eq!(b.tick(), 'R');
    assert!(b.state.wants_tick());
    let settled = swarm_bt::tick_until_settled(&b.tree, &mut b.state, b.now, &mut b.leaves, &mut (), 10);
    assert_eq!(settled, Ok(swarm_bt::Status::Running));
    assert!(!b.state.wants_tick(), "it now waits for leaf B, and a tick more would not help");
    assert_eq!(b.calls(), "s3 s4 s5 s6");
}

#[test]
fn settling_is_bounded_where_a_loop_would_yield_for_ever() {
    let mut b = Bench::new(r#"<Repeat num_cycles="-1"><A/></Repeat>"#, &[("A", "S")]);
    let settled = swarm_bt::tick_until_settled(&b.tree, &mut b.state, b.now, &mut b.leaves, &mut (), 7);
    assert_eq!(settled, Ok(swarm_bt::Status::Running));
    assert_eq!(b.state.tick_count(), 7);
}

#[test]
fn reactive_sequence_ticks_from_the_first_child_and_halts_what_a_failure_interrupts() {
    let mut b = Bench::new("<ReactiveSequence><C/><A/></ReactiveSequence>", &[("C", "SSF"), ("A", "R")]);
    assert_eq!(b.ticks(3), "RRF");
    assert_eq!(b.calls(), "s2 s3 s2 r3 s2 h3");
}

#[test]
fn reactive_sequence_halts_a_running_child_when_an_earlier_one_starts_to_run() {
    let mut b = Bench::new("<ReactiveSequence><A/><B/></ReactiveSequence>", &[("A", "SR"), ("B", "R")]);
    assert_eq!(b.ticks(2), "RR");
    assert_eq!(b.calls(), "s2 s3 s2 h3");
}

#[test]
fn reactive_fallback_halts_a_running_child_when_an_earlier_one_succeeds() {
    let mut b = Bench::new("<ReactiveFallback><C/><A/></ReactiveFallback>", &[("C", "FFS"), ("A", "R")]);
    assert_eq!(b.ticks(3), "RRS");
    assert_eq!(b.calls(), "s2 s3 s2 r3 s2 h3");
}

#[test]
fn parallel_waits_for_all_by_default_and_fails_with_the_first_failure() {
    let mut b = Bench::new("<Parallel><A/><B/></Parallel>", &[("A", "S"), ("B", "RS")]);
    assert_eq!(b.ticks(2), "RS");
    assert_eq!(b.calls(), "s2 s3 r3", "a child that is done is not ticked again");
    let mut b = Bench::new("<Parallel><A/><B/></Parallel>", &[("A", "R"), ("B", "F")]);
    assert_eq!(b.ticks(1), "F");
    assert_eq!(b.calls(), "s2 s3 h2");
}

#[test]
fn parallel_thresholds_count_from_the_end_when_negative() {
    let children = "<A/><B/><C/>";
    let leaves = [("A", "S"), ("B", "S"), ("C", "F")];
    for (success, failure, answer) in [(2, 1, 'S'), (-2, 1, 'S'), (3, 1, 'F'), (-1, 2, 'F'), (0, 1, 'S')] {
        let xml =
            format!(r#"<Parallel success_count="{success}" failure_count="{failure}">{children}</Parallel>"#);
        assert_eq!(Bench::new(&xml, &leaves).tick(), answer, "success {success}, failure {failure}");
    }
}

#[test]
fn parallel_counts_skipped_children_as_done_only_for_negative_thresholds() {
    let xml = |n| format!(r#"<Parallel success_count="{n}"><A/><B _skipIf="true"/></Parallel>"#);
    assert_eq!(Bench::new(&xml(-1), &[("A", "S"), ("B", "S")]).ticks(1), "S");
    // As in the original: two can never be had, and it goes on for ever.
    assert_eq!(Bench::new(&xml(2), &[("A", "S"), ("B", "S")]).ticks(4), "RRRR");
}

#[test]
fn parallel_remembers_more_than_64_children() {
    let children = "<A/>".repeat(100);
    let xml = format!("<Parallel>{children}<B/></Parallel>");
    let mut b = Bench::new(&xml, &[("A", "S"), ("B", "RRS")]);
    assert_eq!(b.ticks(3), "RRS");
    assert_eq!(b.calls().split(' ').count(), 100 + 3);
}

#[test]
fn parallel_with_a_threshold_from_the_blackboard_that_cannot_be_reached_is_an_error_with_its_line() {
    let xml =
        "<Sequence><Script code=\"n := 3\"/>\n<Parallel success_count=\"{n}\"><A/></Parallel></Sequence>";
    let mut b = Bench::new(xml, &[("A", "S")]);
    let error = b.try_tick().unwrap_err().to_string();
    assert_eq!(
        error,
        "node Parallel::3 (test.xml:2): Parallel needs 3 children for its success_count but has 1"
    );
}

#[test]
fn halting_the_tree_halts_every_running_leaf_once_and_leaves_all_idle() {
    let mut b = Bench::new(
        "<Parallel><A/><Inverter><B/></Inverter><Sequence><C/><A/></Sequence></Parallel>",
        &[("A", "R"), ("B", "R"), ("C", "S")],
    );
    b.tick();
    b.calls();
    b.halt();
    assert_eq!(b.calls(), "h2 h4 h7");
    assert!((1..=7).all(|uid| b.state.status(uid) == Some(swarm_bt::NodeStatus::Idle)));
    b.halt();
    assert_eq!(b.calls(), "", "nothing is left to halt");
}

#[test]
fn an_action_may_answer_skipped_and_a_condition_may_not_run() {
    let mut b = Bench::new("<Fallback><A/><B/></Fallback>", &[("A", "K"), ("B", "S")]);
    assert_eq!(b.tick(), 'S');
    let mut b = Bench::new("<Sequence><A/><C/></Sequence>", &[("A", "S"), ("C", "R")]);
    let error = b.try_tick().unwrap_err().to_string();
    assert_eq!(error, "node C::3 (test.xml:1): a condition answered RUNNING; only an action may");
}

#[test]
fn a_switch_compares_numbers_and_texts_and_enums() {
    let body = r#"<Switch4 variable="{x}" case_1="2" case_2="word" case_3="{y}" case_4="0.5"><A/><B/><C/><D/><E/></Switch4>"#;
    let leaves = [("A", "S"), ("B", "S"), ("C", "S"), ("D", "S"), ("E", "S")];
    let cases = [
        (Value::from(2_i64), "s2"),
        (Value::from(2.0), "s2"),
        (Value::from("2.0"), "s2"),
        (Value::from("+2"), "s6"),
        (Value::from(2.25), "s6"),
        (Value::from("word"), "s3"),
        (Value::from("words"), "s6"),
        (Value::from(7_i64), "s4"),
        (Value::from("7"), "s4"),
        (Value::from(true), "s6"),
        (Value::from(0.5), "s5"),
        // Floats are compared as text with six decimals, which is how the original reads a port as string.
        (Value::from(0.500_000_4), "s5"),
        (Value::from(0.500_001), "s6"),
        (Value::from(f64::NAN), "s6"),
        (Value::from(1e300), "s6"),
        (Value::from(vec![2.0]), "s6"),
    ];
    for (value, call) in cases {
        let mut b = Bench::new(body, &leaves);
        for (key, value) in [("x", value.clone()), ("y", Value::from(7.0))] {
            let slot = b.tree.slot(key).expect("mentioned");
            b.state.set(&b.tree, slot, value).expect("any value");
        }
        assert_eq!((b.tick(), b.calls().as_str()), ('S', call), "{value:?}");
    }
}

#[test]
fn a_switch_halts_the_case_that_no_longer_equals_and_is_skipped_with_the_one_that_does() {
    let body = r#"<Switch2 variable="{x}" case_1="1" case_2="2"><A/><B _skipIf="true"/><C/></Switch2>"#;
    let mut b = Bench::new(body, &[("A", "R"), ("B", "S"), ("C", "S")]);
    let x = b.tree.slot("x").expect("mentioned");
    for (value, answer, calls) in [(1_i64, 'R', "s2"), (2, 'K', "h2"), (3, 'S', "s4")] {
        b.state.set(&b.tree, x, value).expect("any value");
        assert_eq!((b.tick(), b.calls().as_str()), (answer, calls));
    }
    // It never becomes RUNNING before its child does, as every other control node would.
    assert_eq!(b.trace(), "2R 1R 2I 4S 4I 1S 1I");
}

#[test]
fn a_try_catch_catches_in_the_same_tick() {
    let mut b = Bench::new("<TryCatch><A/><B/><C/></TryCatch>", &[("A", "S"), ("B", "F"), ("C", "S")]);
    assert_eq!(b.tick(), 'F');
    assert_eq!(b.trace(), "1R 2S 3F 2I 3I 4S 4I 1F 1I");
    let body = r#"<TryCatch><A _skipIf="true"/><B/></TryCatch>"#;
    assert_eq!(Bench::new(body, &[("A", "S"), ("B", "S")]).tick(), 'K');
}

#[test]
fn parallel_all_waits_for_every_child_and_then_counts_failures() {
    let body = r#"<ParallelAll max_failures="2"><A/><B/><D _skipIf="true"/></ParallelAll>"#;
    let mut b = Bench::new(body, &[("A", "F"), ("B", "RS"), ("D", "S")]);
    assert_eq!(b.ticks(2), "RS");
    assert_eq!(b.trace(), "1R 2F 3R 3S 2I 3I 1S 1I");
    let mut b = Bench::new(body, &[("A", "F"), ("B", "RF"), ("D", "S")]);
    assert_eq!(b.ticks(2), "RF");
    let error = Bench::new(r#"<ParallelAll max_failures="{n}"><A/></ParallelAll>"#, &[("A", "S")]).try_tick();
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("max_failures reads blackboard entry 'n', which holds nothing")
    );
}

#[test]
fn a_tick_visits_no_more_nodes_than_the_tree_says() {
    // Three nodes, of which two may be halted after they have been ticked.
    let visits = |body: &str| Bench::new(body, &[("A", "RS"), ("B", "R")]).tree.max_visits();
    assert_eq!(visits("<A/>"), 1);
    assert_eq!(visits("<Sequence><A/><B/></Sequence>"), 1 + 2 + 2);
    assert_eq!(visits(r#"<Repeat num_cycles="9"><A/></Repeat>"#), 1 + 2 + 1);
    // A round that was under way ends, and another one begins: in one tick the leaf is called twice.
    let mut b = Bench::new(r#"<Repeat num_cycles="9"><A/></Repeat>"#, &[("A", "RSR")]);
    assert_eq!((b.ticks(2), b.calls()), ("RR".into(), "s2 r2 s2".into()));
    // Nesting multiplies, and a number too large to count is the largest there is.
    let nested = |depth| {
        let (open, close) = (r#"<Repeat num_cycles="2">"#.repeat(depth), "</Repeat>".repeat(depth));
        visits(&format!("{open}<A/>{close}"))
    };
    assert!(nested(10) > 1 << 10 && nested(10) < 1 << 12, "{}", nested(10));
    assert_eq!(nested(200), u64::MAX);
    // What is halted may tick something.
    let caught = visits(r#"<Parallel><B/><TryCatch catch_on_halt="true"><A/><B/></TryCatch></Parallel>"#);
    assert_eq!(caught, 1 + 1 + (1 + 2 + 2) + 1 + (1 + 2 + 1));
}
