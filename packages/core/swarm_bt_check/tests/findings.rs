//! Each finding has a tree that has it and a tree beside it that has not.

mod common;

use common::{check_one, check_roles, codes};
use swarm_bt_check::{Given, Limits, RoleTree, check};

/// Finds just these codes, in this order.
fn finds(body: &str, expected: &[&str]) {
    let report = check_one(body);
    let texts: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(codes(&report), expected, "{body}\n{}", texts.join("\n"));
    for explored in &report.explored {
        assert!(explored.exhausted, "{body}: {explored}");
    }
}

#[test]
fn an_entry_is_written_on_every_way_to_where_it_is_read() {
    finds(r#"<Sequence><Script code="a := 1"/><ScriptCondition code="a == 1"/></Sequence>"#, &[]);
    finds(r#"<Sequence><ScriptCondition code="a == 1"/><Script code="a := 1"/></Sequence>"#, &["BT101"]);
    // Written only if See succeeds.
    let some = |read: &str| {
        format!(
            r#"<Sequence><Fallback><Sequence><See/><Script code="a := 1"/></Sequence>{read}</Fallback><Use value="{{a}}"/></Sequence>"#
        )
    };
    finds(&some("<Blink/>"), &["BT101"]);
    finds(&some(r#"<Script code="a := 2"/>"#), &[]);
    // An output is written by the time that its leaf has succeeded.
    finds(r#"<Sequence><Measure value="{v}"/><Use value="{v}"/></Sequence>"#, &[]);
    finds(r#"<Fallback><Measure value="{v}"/><Use value="{v}"/></Fallback>"#, &["BT101"]);
    finds(r#"<Fallback><Inverter><Measure value="{v}"/></Inverter><Use value="{v}"/></Fallback>"#, &[]);
    // Pre-conditions read before the node does anything, post-conditions after it.
    finds(r#"<Measure value="{v}" _skipIf="v > 1"/>"#, &["BT101"]);
    finds(r#"<Measure value="{v}" _onSuccess="w := v"/>"#, &[]);
    finds(r#"<Measure value="{v}" _onFailure="w := v"/>"#, &["BT101"]);
    // All children of a Parallel have succeeded, or only some.
    let both = |count: &str| {
        format!(
            r#"<Sequence><Parallel success_count="{count}"><Measure value="{{v}}"/><Measure value="{{w}}"/></Parallel><Use value="{{w}}"/></Sequence>"#
        )
    };
    finds(&both("2"), &[]);
    finds(&both("1"), &["BT101"]);
    // A round of a Repeat reads what it has written itself.
    finds(
        r#"<Repeat num_cycles="3"><Sequence><Measure value="{v}"/><Use value="{v}"/></Sequence></Repeat>"#,
        &[],
    );
    finds(
        r#"<Sequence><Repeat num_cycles="0"><Measure value="{v}"/></Repeat><Use value="{v}"/></Sequence>"#,
        &["BT101", "BT201"],
    );
}

#[test]
fn an_entry_that_nothing_writes_is_another_mistake() {
    finds(r#"<Use value="{nobody}"/>"#, &["BT102"]);
    finds(r#"<Use value="somebody"/>"#, &[]);
    finds(r#"<Act _while="nobody"/>"#, &["BT102"]);
}

#[test]
fn an_entry_that_is_given_has_been_written() {
    let tree = common::load(
        "t.xml",
        &common::document(r#"<Sequence><ScriptCondition code="goal > 2"/><Act/></Sequence>"#),
    );
    let roles = [RoleTree { role: "", tree: &tree }];
    let given = Given::from(["goal".to_owned()]);
    let report = check(&roles, &common::table(), &given, Limits::default());
    assert_eq!(codes(&report), Vec::<&str>::new(), "{:?}", report.findings);
    assert_eq!(report.explored[0].depth, 1, "there is a goal with which Act is ticked");
}

#[test]
fn children_that_are_never_ticked_are_found() {
    finds("<Sequence><See/><Act/></Sequence>", &[]);
    finds("<Sequence><AlwaysFailure/><Act/></Sequence>", &["BT201"]);
    finds("<Fallback><See/><Act/><AlwaysSuccess/></Fallback>", &[]);
    finds("<Fallback><ForceSuccess><See/></ForceSuccess><Act/></Fallback>", &["BT201"]);
    finds("<Fallback><Inverter><AlwaysFailure/></Inverter><Act/></Fallback>", &["BT201"]);
    finds("<Fallback><KeepRunningUntilFailure><Act/></KeepRunningUntilFailure><Act/></Fallback>", &[]);
    finds("<Sequence><KeepRunningUntilFailure><Act/></KeepRunningUntilFailure><Act/></Sequence>", &["BT201"]);
    finds(r#"<Sequence><Repeat num_cycles="-1"><Act/></Repeat><Act/></Sequence>"#, &["BT201"]);
    finds(
        r#"<Fallback><RetryUntilSuccessful num_attempts="2"><See/></RetryUntilSuccessful><Act/></Fallback>"#,
        &[],
    );
    finds(
        r#"<Fallback><RetryUntilSuccessful num_attempts="-1"><See/></RetryUntilSuccessful><Act/></Fallback>"#,
        &["BT201"],
    );
    finds(r#"<Sequence><AlwaysFailure _skipIf="true"/><Act/></Sequence>"#, &[]);
    finds(r#"<Sequence><ScriptCondition code="1 > 2"/><Act/></Sequence>"#, &["BT201"]);
    // Known only from what is on the blackboard.
    finds(
        r#"<Sequence><Script code="a := 1"/><ScriptCondition code="a == 2"/><Act/></Sequence>"#,
        &["BT201"],
    );
    finds(r#"<Sequence><Script code="a := 1"/><ScriptCondition code="a == 1"/><Act/></Sequence>"#, &[]);
}

#[test]
fn branches_loops_and_switches_are_followed() {
    let switch = |variable: &str| {
        format!(r#"<Switch2 variable="{variable}" case_1="1" case_2="2"><Act/><Act/><Act/></Switch2>"#)
    };
    finds(&switch("2"), &["BT201", "BT201"]);
    finds(&format!(r#"<Sequence><Measure value="{{v}}"/>{}</Sequence>"#, switch("{v}")), &[]);
    let reads_v = r#"<Use value="{v}"/>"#;
    let branch = |otherwise: &str| {
        format!(
            r#"<Sequence><IfThenElse><See/><Script code="v := 1"/>{otherwise}</IfThenElse>{reads_v}</Sequence>"#
        )
    };
    finds(&branch(r#"<Script code="v := 2"/>"#), &[]);
    finds(&branch("<Blink/>"), &["BT101"]);
    // Without a third child the condition's failure is the node's.
    finds(&branch(""), &[]);
    finds(&format!(r#"<TryCatch><Measure value="{{v}}"/>{reads_v}<Blink/></TryCatch>"#), &[]);
    finds(&format!(r#"<TryCatch><Measure value="{{v}}"/><Act/>{reads_v}</TryCatch>"#), &["BT101"]);
    let with_loop = |queue: &str| format!(r#"<LoopInt queue="{queue}" value="{{v}}">{reads_v}</LoopInt>"#);
    finds(&with_loop("1;2"), &[]);
    finds(&with_loop(""), &["BT201"]);
    finds(
        &format!(r#"<Sequence><Script code="v := 1"/><UnsetBlackboard key="v"/>{reads_v}</Sequence>"#),
        &["BT101"],
    );
    finds(
        &format!(
            r#"<Sequence><Precondition if="true" else="SUCCESS"><Script code="v := 1"/></Precondition>{reads_v}</Sequence>"#
        ),
        &[],
    );
    finds(
        &format!(
            r#"<Sequence><Precondition if="1 == 2" else="SUCCESS"><Script code="v := 1"/></Precondition>{reads_v}</Sequence>"#
        ),
        &["BT101", "BT201"],
    );
    let all = |node: &str| {
        format!(
            r#"<Sequence><ParallelAll max_failures="1"><Measure value="{{v}}"/>{node}</ParallelAll>{reads_v}</Sequence>"#
        )
    };
    finds(&all("<Act/>"), &[]);
}

#[test]
fn a_tick_that_fails_is_found() {
    finds(r#"<Script code="a := 'text'; a -= 1"/>"#, &["BT202"]);
    finds(r#"<Script code="a := 2; a -= 1"/>"#, &[]);
}

#[test]
fn trees_that_never_end_are_found() {
    finds(r#"<RetryUntilSuccessful num_attempts="-1"><See/></RetryUntilSuccessful>"#, &[]);
    finds(r#"<RetryUntilSuccessful num_attempts="-1"><AlwaysFailure/></RetryUntilSuccessful>"#, &["BT302"]);
    finds(
        r#"<RetryUntilSuccessful num_attempts="-1"><Inverter><ForceSuccess><Act/></ForceSuccess></Inverter></RetryUntilSuccessful>"#,
        &["BT301"],
    );
    finds(r#"<Repeat num_cycles="-1"><Act/></Repeat>"#, &[]);
    finds(r#"<Repeat num_cycles="-1"><ForceSuccess><Act/></ForceSuccess></Repeat>"#, &["BT301"]);
    finds("<KeepRunningUntilFailure><Act/></KeepRunningUntilFailure>", &[]);
    finds("<KeepRunningUntilFailure><AlwaysSuccess/></KeepRunningUntilFailure>", &["BT302"]);
    finds("<Stay/>", &["BT301"]);
    finds("<ReactiveSequence><See/><Stay/></ReactiveSequence>", &[]);
    finds(r#"<Timeout msec="100"><Stay/></Timeout>"#, &[]);
    finds(r#"<Sleep msec="100"/>"#, &[]);
    // Nobody writes the entry while the node waits for that.
    finds(
        r#"<Sequence><Script code="v := 1"/><WaitValueUpdate entry="{v}"><Act/></WaitValueUpdate></Sequence>"#,
        &[],
    );
    finds(
        r#"<Sequence><Script code="v := 1"/><WaitValueUpdate entry="{v}"><AlwaysSuccess/></WaitValueUpdate><WaitValueUpdate entry="{w}"><Act/></WaitValueUpdate></Sequence>"#,
        &["BT302", "BT201"],
    );
    finds(r#"<RetryUntilSuccessful num_attempts="1000"><See/></RetryUntilSuccessful>"#, &[]);
}

#[test]
fn reactive_children_that_halt_one_another_are_found() {
    finds("<ReactiveSequence><See/><Move/></ReactiveSequence>", &[]);
    finds("<ReactiveSequence><Blink/><Move/></ReactiveSequence>", &[]);
    finds("<ReactiveSequence><Move/><See/></ReactiveSequence>", &[]);
    finds("<ReactiveSequence><Move/><Move/></ReactiveSequence>", &["BT401"]);
    finds("<ReactiveFallback><Move/><Move/></ReactiveFallback>", &["BT401"]);
    finds("<ReactiveSequence><Sequence><Move/><Move/></Sequence><See/></ReactiveSequence>", &[]);
    // What the first one runs for is its failure.
    finds(
        "<ReactiveSequence><Fallback><See/><ForceFailure><Move/></ForceFailure></Fallback><Move/></ReactiveSequence>",
        &[],
    );
    finds("<ReactiveSequence><Fallback><See/><Move/></Fallback><Move/></ReactiveSequence>", &["BT401"]);
    // A phase that has been entered is entered at once.
    finds(r#"<ReactiveSequence><EnterPhase phase="a"/><Move/></ReactiveSequence>"#, &[]);
}

/// Finds just these codes in the trees of a leader and a follower.
fn finds_together(leader: &str, follower: &str, expected: &[&str]) {
    let report = check_roles(&[("leader", leader), ("follower", follower)]);
    let texts: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(codes(&report), expected, "{leader}\n{follower}\n{}", texts.join("\n"));
}

const TWO_PHASES: &str =
    r#"<Sequence><EnterPhase phase="a"/><Move/><EnterPhase phase="b"/><Move/></Sequence>"#;

#[test]
fn roles_that_enter_other_phases_are_found() {
    finds_together(TWO_PHASES, TWO_PHASES, &[]);
    let swapped = r#"<Sequence><EnterPhase phase="b"/><Move/><EnterPhase phase="a"/><Move/></Sequence>"#;
    finds_together(TWO_PHASES, swapped, &["BT501"]);
    let one = r#"<Sequence><EnterPhase phase="a"/><Move/></Sequence>"#;
    finds_together(TWO_PHASES, one, &["BT501"]);
}

#[test]
fn a_barrier_that_a_failure_leads_around_is_found() {
    let bypass = r#"<Sequence><EnterPhase phase="a"/><Fallback><Sequence><Move/><EnterPhase phase="b"/></Sequence><Blink/></Fallback></Sequence>"#;
    finds_together(TWO_PHASES, bypass, &["BT503"]);
    let both_ways = r#"<Sequence><EnterPhase phase="a"/><Fallback><Move/><Blink/></Fallback><EnterPhase phase="b"/></Sequence>"#;
    finds_together(TWO_PHASES, both_ways, &[]);
    let gives_up = r#"<Sequence><EnterPhase phase="a"/><Fallback><Sequence><Move/><EnterPhase phase="b"/></Sequence><AbortRun/></Fallback></Sequence>"#;
    finds_together(TWO_PHASES, gives_up, &[]);
}

#[test]
fn resources_taken_in_opposite_orders_are_found() {
    let takes = |first: &str, second: &str| {
        format!(
            r#"<Sequence><Lock resource="{first}"/><Move/><Lock resource="{second}"/><Move/><Unlock resource="{first}"/><Unlock resource="{second}"/></Sequence>"#
        )
    };
    finds_together(&takes("bench", "tool"), &takes("bench", "tool"), &[]);
    finds_together(&takes("bench", "tool"), &takes("tool", "bench"), &["BT503"]);
    // Given back however what uses it ends.
    let uses = |resource: &str, inside: &str| {
        format!(
            r#"<Sequence><Lock resource="{resource}"/><Parallel success_count="1" failure_count="1"><KeepLock resource="{resource}"/><Sequence>{inside}<Unlock resource="{resource}"/></Sequence></Parallel></Sequence>"#
        )
    };
    let one_after_the_other =
        format!("<Sequence>{}{}</Sequence>", uses("bench", "<Move/>"), uses("tool", "<Move/>"));
    let the_other_way =
        format!("<Sequence>{}{}</Sequence>", uses("tool", "<Move/>"), uses("bench", "<Move/>"));
    finds_together(&one_after_the_other, &the_other_way, &[]);
    finds_together(
        &uses("bench", &uses("tool", "<Move/>")),
        &uses("tool", &uses("bench", "<Move/>")),
        &["BT503"],
    );
    // Without the leaf that keeps it, a failure that is dealt with leaves the resource taken.
    let forgets = r#"<Sequence><Fallback><Sequence><Lock resource="bench"/><Move/><Unlock resource="bench"/></Sequence><Blink/></Fallback><EnterPhase phase="a"/></Sequence>"#;
    let needs = r#"<Sequence><Lock resource="bench"/><Move/><Unlock resource="bench"/><EnterPhase phase="a"/></Sequence>"#;
    finds_together(forgets, needs, &["BT503"]);
}

#[test]
fn a_meeting_needs_all_or_enough_of_its_roles() {
    let meets = r#"<Sequence><Move/><Barrier meeting="m"/><Move/></Sequence>"#;
    finds_together(meets, meets, &[]);
    finds_together(meets, "<Move/>", &["BT503"]);
    let alone = r#"<Sequence><Move/><Barrier meeting="m" roles="leader"/><Move/></Sequence>"#;
    finds_together(alone, "<Move/>", &[]);
    let one_is_enough = r#"<Sequence><Quorum meeting="q" k="1"/><Move/></Sequence>"#;
    finds_together(one_is_enough, "<Move/>", &[]);
    let often = |n: u32| format!(r#"<Repeat num_cycles="{n}">{meets}</Repeat>"#);
    finds_together(&often(3), &often(3), &[]);
    finds_together(&often(3), &often(2), &["BT503"]);
}

#[test]
fn a_role_that_makes_the_others_stand_and_waits_for_them_is_found() {
    let plain = r#"<Sequence><Move/><EnterPhase phase="a"/></Sequence>"#;
    let holds = r#"<Sequence><RequestHold/><EnterPhase phase="a"/></Sequence>"#;
    finds_together(plain, holds, &["BT503"]);
    // Also where the other could have come first: its motions are no private affair while somebody can make it stand.
    let slow = r#"<AsyncSequence><Move/><Move/><Move/><EnterPhase phase="a"/></AsyncSequence>"#;
    finds_together(slow, holds, &["BT503"]);
    // Once everybody has come it goes on, and never lets the others go.
    let may_forget = r#"<Sequence><EnterPhase phase="a"/><ReactiveSequence><Fallback><Sequence><See/><ReleaseHold/></Sequence><RequestHold/></Fallback><EnterPhase phase="b"/></ReactiveSequence><EnterPhase phase="c"/></Sequence>"#;
    let three = r#"<Sequence><EnterPhase phase="a"/><Move/><EnterPhase phase="b"/><Move/><EnterPhase phase="c"/></Sequence>"#;
    finds_together(three, may_forget, &["BT503"]);
    let remembers =
        may_forget.replace(r#"<EnterPhase phase="c"/>"#, r#"<ReleaseHold/><EnterPhase phase="c"/>"#);
    finds_together(three, &remembers, &[]);
    let lets_go = r#"<Sequence><RequestHold/><See/><ReleaseHold/><EnterPhase phase="a"/></Sequence>"#;
    finds_together(plain, lets_go, &[]);
}

#[test]
fn roles_that_try_for_ever_together_are_found() {
    let tries = r#"<RetryUntilSuccessful num_attempts="-1"><EnterPhase phase="a"/></RetryUntilSuccessful>"#;
    let may_not_come = r#"<Fallback><Sequence><See/><EnterPhase phase="a"/></Sequence><Blink/></Fallback>"#;
    finds_together(tries, tries, &[]);
    finds_together(tries, may_not_come, &["BT504"]);
}

#[test]
fn an_exploration_that_is_cut_short_says_so() {
    let body = "<KeepRunningUntilFailure><Sequence><Act/><Move/><See/></Sequence></KeepRunningUntilFailure>";
    let tree = common::load("t.xml", &common::document(body));
    let roles = [RoleTree { role: "", tree: &tree }];
    let whole = check(&roles, &common::table(), &Given::new(), Limits::default());
    assert!(whole.explored[0].exhausted && !codes(&whole).contains(&"BT601"), "{:?}", whole.findings);
    for limits in [
        Limits { states: 1, ..Limits::default() },
        Limits { ways: 1, ..Limits::default() },
        Limits { bytes: 1, ..Limits::default() },
    ] {
        let report = check(&roles, &common::table(), &Given::new(), limits);
        assert!(codes(&report).contains(&"BT601"), "{limits:?}: {:?}", report.findings);
        assert_eq!(
            report.errors().count(),
            0,
            "it keeps no skill from being deployed: {:?}",
            report.findings
        );
    }
}

/// Without a bound on bytes, 20,000 states with a text of 40 to 60 KiB each.
#[test]
fn a_script_that_makes_another_long_text_in_every_tick_costs_no_more_memory_than_allowed() {
    let long = "x".repeat(40_000);
    let body = format!(
        r#"<Sequence><Script code="s := '{long}'"/><KeepRunningUntilFailure><Script code="s := s .. 'x'"/></KeepRunningUntilFailure></Sequence>"#
    );
    let tree = common::load("t.xml", &common::document(&body));
    let roles = [RoleTree { role: "", tree: &tree }];
    let limits = Limits { bytes: 4 << 20, ..Limits::default() };
    let report = check(&roles, &common::table(), &Given::new(), limits);
    let explored = &report.explored[0];
    assert!(!explored.exhausted && (90..=110).contains(&explored.states), "{explored}");
    assert!(codes(&report).contains(&"BT601"), "{:?}", report.findings);
}
