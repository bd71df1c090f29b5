//! Substitution rules beyond what the vectors of `gtest_substitution` show: what they match, and what is wrong with them.

use crate::common::{Script, registry};
use swarm_base::Time;
use swarm_bt::{
    Loader, Registry, Replacement, State, Status, SubstitutionError, Substitutions, TestAnswer, TestNode,
    Tree, tick,
};

fn load(registry: &Registry, body: &str, rules: Substitutions) -> Result<Tree, String> {
    let xml = format!(
        r#"<root BTCPP_format="4" main_tree_to_execute="T"><BehaviorTree ID="T">{body}</BehaviorTree>
        <BehaviorTree ID="S"><Work/></BehaviorTree></root>"#
    );
    Loader::new(registry)
        .document("t.xml", &xml)
        .substitute(rules)
        .load()
        .map_err(|errors| errors.to_string())
}

/// The answer of the first tick, with leaf `Work` succeeding, and the leaf calls.
fn run(body: &str, rules: Substitutions) -> (Status, String) {
    let tree = load(&registry(["Work", "Other"]), body, rules).expect("loads");
    let mut leaves = Script::new([("Work", "S"), ("Other", "S")]);
    let answer = tick(&tree, &mut State::new(&tree), Time(0), &mut leaves).expect("ticks");
    (answer, leaves.calls.join(" "))
}

fn failing() -> Replacement {
    Replacement::Test(TestNode::answers(Status::Failure))
}

#[test]
fn a_filter_is_a_name_an_id_or_a_pattern_of_the_path() {
    let body = r#"<Sequence><Work name="first"/><SubTree ID="S" name="sub"/></Sequence>"#;
    let calls = |filter: &str| run(body, Substitutions::new().rule(filter, failing()));
    assert_eq!(calls("nothing"), (Status::Success, "s2 s4".to_owned()));
    assert_eq!(calls("first"), (Status::Failure, String::new()), "a name");
    assert_eq!(calls("Work"), (Status::Failure, String::new()), "an id");
    assert_eq!(calls("sub/*"), (Status::Failure, "s2".to_owned()), "a pattern");
    assert_eq!(calls("sub/Work::?"), (Status::Failure, "s2".to_owned()), "a pattern with one character open");
    assert_eq!(calls("SubTree"), (Status::Failure, "s2".to_owned()), "the id of every SubTree");
}

#[test]
fn the_alphabetically_first_rule_counts() {
    let rules = Substitutions::new()
        .rule("Work", Replacement::Node("AlwaysSuccess".to_owned()))
        .rule("A*", failing())
        .rule("Work*", failing());
    assert_eq!(run("<Work/>", rules).0, Status::Success);
}

#[test]
fn what_is_below_a_replaced_node_is_left_out_with_it() {
    let body = "<Inverter><Sequence><Work/><Work/></Sequence></Inverter>";
    let rules = Substitutions::new().rule("Sequence", failing());
    let tree = load(&registry(["Work"]), body, rules.clone()).expect("loads");
    assert_eq!(tree.nodes().len(), 2);
    assert_eq!(run(body, rules), (Status::Success, String::new()));
    // A control node in its place keeps the children.
    let rules = Substitutions::new().rule("Sequence", Replacement::Node("Fallback".to_owned()));
    assert_eq!(run(body, rules), (Status::Failure, "s3".to_owned()));
}

#[test]
fn a_replaced_node_keeps_its_conditions() {
    let rules = Substitutions::new().rule("Work", failing());
    assert_eq!(run(r#"<Work _skipIf="true"/>"#, rules).0, Status::Skipped);
}

#[test]
fn a_delay_is_of_the_ticks_time_and_a_halt_ends_it() {
    let slow = TestNode { delay_ms: 50, ..TestNode::answers(Status::Success) };
    let rules = Substitutions::new().rule("Work", Replacement::Test(slow));
    let tree = load(&registry(["Work"]), "<Work/>", rules).expect("loads");
    let (mut state, mut leaves) = (State::new(&tree), Script::default());
    let mut at = |ms| tick(&tree, &mut state, Time::from_millis(ms), &mut leaves).expect("ticks");
    assert_eq!((at(10), at(59), at(60)), (Status::Running, Status::Running, Status::Success));
    assert_eq!((at(70), at(119)), (Status::Running, Status::Running), "it starts over");
    swarm_bt::halt(&tree, &mut state, Time::from_millis(119), &mut leaves, &mut ()).expect("halts");
    let mut at = |ms| tick(&tree, &mut state, Time::from_millis(ms), &mut leaves).expect("ticks");
    assert_eq!((at(120), at(169), at(170)), (Status::Running, Status::Running, Status::Success));
}

#[test]
fn mistakes_in_rules_are_found_at_load() {
    let load = |replacement| {
        let rules = Substitutions::new().rule("Work", replacement);
        load(&registry(["Work", "Other"]), "<Work/>", rules).expect_err("refused")
    };
    assert!(load(Replacement::Node("Othr".to_owned())).starts_with(
        "t.xml:1:70: a substitution rule puts unknown node 'Othr' here; did you mean 'Other'? (in T/Work)"
    ));
    let broken = TestNode { post_script: Some("x := ".to_owned()), ..TestNode::answers(Status::Success) };
    assert!(load(Replacement::Test(broken)).starts_with("t.xml:1:70: post_script: script `x := `, byte 5:"));
    let scripted =
        TestNode { answer: TestAnswer::Script("1 +".to_owned()), ..TestNode::answers(Status::Success) };
    assert!(load(Replacement::Test(scripted)).starts_with("t.xml:1:70: return_status_script: script `1 +`"));
}

#[test]
fn mistakes_in_json_are_named() {
    let error = |text: &str| Substitutions::from_json(text).expect_err("refused").to_string();
    assert!(error("{").starts_with("substitution rules are no such JSON: "));
    assert!(error("{}").contains("missing field `SubstitutionRules`"));
    assert!(
        error(r#"{"TestNodeConfigs": {"A": {"return_staus": "SUCCESS"}}, "SubstitutionRules": {}}"#)
            .contains("unknown field `return_staus`")
    );
    assert_eq!(
        Substitutions::from_json(
            r#"{"TestNodeConfigs": {"A": {"return_status": "IDLE"}}, "SubstitutionRules": {}}"#
        ),
        Err(SubstitutionError::Status { config: "A".to_owned(), found: "IDLE".to_owned() })
    );
}
