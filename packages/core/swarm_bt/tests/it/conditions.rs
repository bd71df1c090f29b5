//! Pre- and post-conditions, and what is left after an error.

use crate::common::Bench;
use swarm_bt::NodeStatus;

/// A tree whose leaf A has `attribute` and whose blackboard holds `x`, written from outside.
fn with_x(attribute: &str, answers: &str, x: i64) -> Bench {
    let mut b = Bench::new(&format!("<A {attribute}/>"), &[("A", answers)]);
    set_x(&mut b, x);
    b
}

fn set_x(b: &mut Bench, x: i64) {
    let slot = b.tree.slot("x").expect("the condition mentions x");
    b.state.set(&b.tree, slot, x).expect("any number fits");
}

#[test]
fn conditions_decide_before_the_node_is_ticked() {
    let cases = [
        (r#"_failureIf="x == 1""#, 'F'),
        (r#"_successIf="x == 1""#, 'S'),
        (r#"_skipIf="x == 1""#, 'K'),
        (r#"_while="x != 1""#, 'K'),
    ];
    for (attribute, answer) in cases {
        let mut holds = with_x(attribute, "R", 1);
        assert_eq!(holds.tick(), answer, "{attribute}");
        assert_eq!(holds.calls(), "");
        assert_eq!(with_x(attribute, "R", 0).tick(), 'R', "{attribute} with another x");
    }
}

#[test]
fn conditions_are_looked_at_in_a_fixed_order() {
    let all = r#"_while="false" _skipIf="true" _successIf="true" _failureIf="true""#;
    assert_eq!(Bench::new(&format!("<A {all}/>"), &[("A", "R")]).tick(), 'F');
    let three = r#"_while="false" _skipIf="true" _successIf="true""#;
    assert_eq!(Bench::new(&format!("<A {three}/>"), &[("A", "R")]).tick(), 'S');
}

#[test]
fn only_while_is_looked_at_while_the_node_runs_and_halts_it() {
    for attribute in [r#"_failureIf="x == 1""#, r#"_successIf="x == 1""#, r#"_skipIf="x == 1""#] {
        let mut b = with_x(attribute, "R", 0);
        b.tick();
        set_x(&mut b, 1);
        assert_eq!(b.tick(), 'R', "{attribute}");
    }
    let mut b = with_x(r#"_while="x == 0""#, "R", 0);
    b.tick();
    set_x(&mut b, 1);
    assert_eq!(b.tick(), 'K');
    assert_eq!(b.calls(), "s1 h1");
    assert_eq!(b.trace(), "1R 1I");
}

#[test]
fn post_conditions_run_by_outcome_and_then_always() {
    let post = r#"_onSuccess="log = log + 's'" _onFailure="log = log + 'f'" _post="log = log + 'p'""#;
    for (answer, log) in [("S", "sp"), ("F", "fp"), ("R", ""), ("K", "")] {
        let xml = format!(r#"<Sequence><Script code="log := ''"/><A {post}/></Sequence>"#);
        let mut b = Bench::new(&xml, &[("A", answer)]);
        b.tick();
        assert_eq!(b.entry("log"), log, "after {answer}");
    }
}

#[test]
fn post_conditions_follow_an_answer_that_a_pre_condition_gave() {
    let mut b = Bench::new(r#"<A _failureIf="true" _onFailure="y := 7"/>"#, &[("A", "S")]);
    assert_eq!(b.tick(), 'F');
    assert_eq!(b.entry("y"), "7");
}

#[test]
fn on_halted_runs_when_a_running_node_is_interrupted_and_only_then() {
    let xml = r#"<Sequence><Script code="n := 0"/><A _onHalted="n += 1"/></Sequence>"#;
    let mut b = Bench::strict(xml, &[("A", "RS")]);
    b.tick();
    b.halt();
    assert_eq!(b.entry("n"), "1");
    b.halt();
    assert_eq!(b.entry("n"), "1", "the original runs it again, for every node, running or not");
    assert_eq!(b.tick(), 'S');
    assert_eq!(b.entry("n"), "0");
}

#[test]
fn after_an_error_everything_is_halted_and_the_next_tick_starts_afresh() {
    let xml = r#"<Parallel><A/><Sequence><B/><Script code="x = 1"/></Sequence></Parallel>"#;
    let mut b = Bench::new(xml, &[("A", "R"), ("B", "S")]);
    let error = b.try_tick().unwrap_err();
    assert_eq!(
        error.to_string(),
        "node Script::5 (test.xml:1): script `x = 1`: blackboard entry 'x' does not exist yet (`:=` creates it)"
    );
    assert_eq!(b.calls(), "s2 s4 h2");
    assert!((1..=5).all(|uid| b.state.status(uid) == Some(NodeStatus::Idle)));
    assert!(b.try_tick().is_err());
}

#[test]
fn an_error_in_an_on_halted_script_does_not_keep_others_from_being_halted() {
    let xml = r#"<Parallel><A _onHalted="nope = 1"/><A _onHalted="never = 1"/><B/><C/></Parallel>"#;
    let mut b = Bench::new(xml, &[("A", "R"), ("B", "R"), ("C", "F")]);
    assert!(b.try_tick().unwrap_err().to_string().contains("'nope' does not exist"));
    assert_eq!(b.calls(), "s2 s3 s4 s5 h2 h3 h4");
    assert!((1..=5).all(|uid| b.state.status(uid) == Some(NodeStatus::Idle)));
}

#[test]
fn a_state_of_another_tree_is_refused() {
    let mut b = Bench::new("<A/>", &[("A", "S")]);
    b.state = Bench::new("<Sequence><A/><A/></Sequence>", &[("A", "S")]).state;
    assert!(b.try_tick().unwrap_err().to_string().ends_with("the state was made for another tree"));
}
