//! Leaves that take time to stop: what the engine asks of them, and when.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::common::Bench;
use swarm_base::{Duration, Time};
use swarm_bt::{
    Halt, LeafCall, Leaves, Loader, Mode, NodeStatus, State, Status, Tree, halt, tick, tick_observed,
};

fn load(body: &str, leaves: &[&str], timeout: Option<Duration>, mode: Mode) -> Tree {
    let registry = crate::common::registry(leaves.iter().copied());
    let xml = format!(r#"<root BTCPP_format="4"><BehaviorTree ID="T">{body}</BehaviorTree></root>"#);
    let mut loader = Loader::new(&registry).mode(mode).document("t.xml", &xml);
    if let Some(timeout) = timeout {
        loader = loader.halt_timeout(timeout);
    }
    loader.load().unwrap_or_else(|errors| panic!("does not load: {errors}"))
}

/// Answers conditions as told, runs for ever otherwise, and stops after it has been asked so often.
struct Slow {
    condition: Status,
    stops_after: u32,
    asked: u32,
    calls: String,
}

impl Slow {
    fn new(stops_after: u32) -> Self {
        Slow { condition: Status::Success, stops_after, asked: 0, calls: String::new() }
    }

    fn note(&mut self, what: char, leaf: &LeafCall<'_>) {
        let gap = if self.calls.is_empty() { "" } else { " " };
        let _ = write!(self.calls, "{gap}{what}{}", leaf.uid());
    }

    fn calls(&mut self) -> String {
        std::mem::take(&mut self.calls)
    }
}

impl Leaves for Slow {
    fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        if leaf.id().starts_with('C') {
            return self.condition;
        }
        self.note('s', leaf);
        Status::Running
    }

    fn running(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        self.note('r', leaf);
        Status::Running
    }

    fn halt(&mut self, leaf: &mut LeafCall<'_>) -> Halt {
        self.note('h', leaf);
        self.asked = 0;
        if self.stops_after == 0 { Halt::Done } else { Halt::Pending }
    }

    fn halting(&mut self, leaf: &mut LeafCall<'_>) -> Halt {
        self.note('?', leaf);
        self.asked += 1;
        if self.asked >= self.stops_after { Halt::Done } else { Halt::Pending }
    }
}

#[test]
fn a_leaf_that_stops_is_asked_in_every_tick_and_started_again_only_then() {
    let tree = load("<ReactiveSequence><C/><A/></ReactiveSequence>", &["C", "A"], None, Mode::Strict);
    let (mut state, mut leaves) = (State::new(&tree), Slow::new(3));
    let step = |state: &mut State, leaves: &mut Slow, condition| {
        leaves.condition = condition;
        let answer = tick(&tree, state, Time(0), leaves).expect("ticks");
        (answer, leaves.calls(), state.halting())
    };
    assert_eq!(step(&mut state, &mut leaves, Status::Success), (Status::Running, "s3".into(), 0));
    assert_eq!(step(&mut state, &mut leaves, Status::Failure), (Status::Failure, "h3".into(), 1));
    assert_eq!(
        state.status(3),
        Some(NodeStatus::Idle),
        "the node has forgotten it, the leaf has not stopped"
    );
    assert_eq!(step(&mut state, &mut leaves, Status::Failure), (Status::Failure, "?3".into(), 1));
    assert_eq!(step(&mut state, &mut leaves, Status::Success), (Status::Running, "?3".into(), 1));
    assert_eq!(state.status(3), Some(NodeStatus::Running), "it is wanted, and waits");
    assert_eq!(step(&mut state, &mut leaves, Status::Success), (Status::Running, "?3 s3".into(), 0));
    assert_eq!(step(&mut state, &mut leaves, Status::Success), (Status::Running, "r3".into(), 0));
}

#[test]
fn a_leaf_that_is_no_longer_wanted_while_it_stops_is_not_told_twice() {
    let tree = load("<ReactiveSequence><C/><A/></ReactiveSequence>", &["C", "A"], None, Mode::Strict);
    let run = |stops_after| {
        let (mut state, mut leaves) = (State::new(&tree), Slow::new(stops_after));
        for wanted in [true, false, true, false, false, false] {
            leaves.condition = if wanted { Status::Success } else { Status::Failure };
            tick(&tree, &mut state, Time(0), &mut leaves).expect("ticks");
        }
        (leaves.calls(), state)
    };
    let (calls, state) = run(3);
    assert_eq!((calls.as_str(), state.halting()), ("s3 h3 ?3 ?3 ?3", 0));
    assert_eq!(state, run(0).1, "nothing is left of it that a leaf that stops at once does not leave");
}

#[test]
fn a_tree_that_is_done_says_that_a_leaf_is_still_stopping_and_halt_asks_it() {
    let tree = load("<Parallel success_count=\"1\"><A/><B/></Parallel>", &["A", "B"], None, Mode::Strict);
    let (mut state, mut leaves) = (State::new(&tree), Slow::new(2));
    tick(&tree, &mut state, Time(0), &mut leaves).expect("ticks");
    halt(&tree, &mut state, Time(0), &mut leaves, &mut ()).expect("halts");
    assert_eq!((leaves.calls().as_str(), state.halting()), ("s2 s3 h2 h3", 2));
    assert_eq!(state.halts(&tree).map(|halting| halting.uid).collect::<Vec<_>>(), [2, 3]);
    leaves.stops_after = 1;
    halt(&tree, &mut state, Time(0), &mut leaves, &mut ()).expect("halts");
    assert_eq!((leaves.calls().as_str(), state.halting()), ("?2 ?3", 0));
    halt(&tree, &mut state, Time(0), &mut leaves, &mut ()).expect("halts");
    assert_eq!(leaves.calls(), "", "nothing is left to ask");
}

#[test]
fn a_leaf_that_takes_too_long_to_stop_is_reported_until_it_has() {
    let body = r#"<Parallel><A _halt_timeout_ms="50"/><B/></Parallel>"#;
    let overdue = |mode| {
        let tree = load(body, &["A", "B"], Some(Duration::from_millis(80)), mode);
        let (mut state, mut leaves) = (State::new(&tree), Slow::new(1000));
        tick(&tree, &mut state, Time::from_millis(1000), &mut leaves).expect("ticks");
        let mut seen = Vec::new();
        for ms in [1000, 1049, 1050, 1079, 1080, 2000] {
            halt(&tree, &mut state, Time::from_millis(ms), &mut leaves, &mut ()).expect("halts");
            seen.push(state.overdue(&tree).map(|halting| (halting.uid, halting.since)).collect::<Vec<_>>());
        }
        leaves.stops_after = 1;
        halt(&tree, &mut state, Time::from_millis(2001), &mut leaves, &mut ()).expect("halts");
        seen.push(state.overdue(&tree).map(|halting| (halting.uid, halting.since)).collect());
        seen
    };
    let (a, b) = ((2, Time::from_millis(1000)), (3, Time::from_millis(1000)));
    assert_eq!(
        overdue(Mode::Strict),
        [vec![], vec![], vec![a], vec![a], vec![a, b], vec![a, b], vec![]],
        "A by its own limit, B by the loader's"
    );
    assert_eq!(
        overdue(Mode::Compat),
        [vec![], vec![], vec![], vec![], vec![a, b], vec![a, b], vec![]],
        "both by the loader's: the original knows no such attribute"
    );
}

#[test]
fn a_limit_that_is_no_time_is_refused() {
    let registry = crate::common::registry(["A"]);
    let xml =
        r#"<root BTCPP_format="4"><BehaviorTree ID="T"><A _halt_timeout_ms="soon"/></BehaviorTree></root>"#;
    let error = Loader::new(&registry).document("t.xml", xml).load().unwrap_err().to_string();
    assert!(error.contains("_halt_timeout_ms=\"soon\" is not a whole number of milliseconds"), "{error}");
}

#[test]
fn an_error_halts_and_what_takes_time_to_stop_is_asked_afterwards() {
    let body = r#"<Parallel><A/><ScriptCondition code="x > 1"/></Parallel>"#;
    let tree = load(body, &["A"], None, Mode::Strict);
    let (mut state, mut leaves) = (State::new(&tree), Slow::new(1));
    assert!(tick(&tree, &mut state, Time(0), &mut leaves).is_err(), "x does not exist");
    assert_eq!((leaves.calls().as_str(), state.halting()), ("s2 h2", 1));
    halt(&tree, &mut state, Time(0), &mut leaves, &mut ()).expect("halts");
    assert_eq!((leaves.calls().as_str(), state.halting()), ("?2", 0));
}

#[test]
fn transitions_do_not_depend_on_how_long_a_leaf_takes_to_stop_while_it_is_not_wanted() {
    let tree = load("<ReactiveSequence><C/><A/></ReactiveSequence>", &["C", "A"], None, Mode::Compat);
    let trace = |stops_after| {
        let (mut state, mut leaves) = (State::new(&tree), Slow::new(stops_after));
        let mut transitions = Vec::new();
        for condition in [Status::Success, Status::Failure, Status::Failure, Status::Failure, Status::Success]
        {
            leaves.condition = condition;
            tick_observed(&tree, &mut state, Time(0), &mut leaves, &mut transitions).expect("ticks");
        }
        crate::common::text(&transitions)
    };
    assert_eq!(trace(0), trace(1));
    assert_eq!(trace(0), trace(2));
}

#[test]
fn transitions_of_compat_do_not_depend_on_a_limit_that_passes() {
    let body = "<ReactiveSequence><C/><A/></ReactiveSequence>";
    let trace = |limit| {
        let tree = load(body, &["C", "A"], limit, Mode::Compat);
        let (mut state, mut leaves) = (State::new(&tree), Slow::new(3));
        let (mut transitions, mut overdue) = (Vec::new(), false);
        let conditions = [true, false, true, false, false, false, true]
            .map(|holds| if holds { Status::Success } else { Status::Failure });
        for (condition, ms) in conditions.into_iter().zip((0..).step_by(100)) {
            leaves.condition = condition;
            tick_observed(&tree, &mut state, Time::from_millis(ms), &mut leaves, &mut transitions)
                .expect("ticks");
            overdue |= state.overdue(&tree).next().is_some();
        }
        (crate::common::text(&transitions), overdue)
    };
    let (with, without) = (trace(Some(Duration::from_millis(80))), trace(None));
    assert_eq!(with.0, without.0);
    assert_eq!((with.1, without.1), (true, false));
}

#[test]
fn the_digest_sees_how_a_leaf_stops() {
    let mut b = Bench::new("<A/>", &[("A", "R")]);
    let mut leaves = Slow::new(9);
    let mut seen = HashSet::new();
    tick(&b.tree, &mut b.state, Time(0), &mut leaves).expect("ticks");
    let running = b.state.clone();
    for (stops_after, at) in [(0, 0), (9, 0), (9, 1)] {
        b.state = running.clone();
        leaves.stops_after = stops_after;
        halt(&b.tree, &mut b.state, Time(at), &mut leaves, &mut ()).expect("halts");
        seen.insert(b.state.digest());
    }
    tick(&b.tree, &mut b.state, Time(1), &mut leaves).expect("ticks");
    seen.insert(b.state.digest());
    assert_eq!(seen.len(), 4, "stopped, stopping since 0, since 1, and wanted again");
}
