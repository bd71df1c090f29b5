//! Leaves that answer from a script, and readable traces. Shared by the integration tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use swarm_base::Time;
use swarm_bt::{
    Halt, LeafCall, LeafModel, Leaves, Loader, Mode, NodeStatus, Registry, State, Status, TickError,
    Transition, Tree, halt, tick_observed,
};

/// Answers per leaf id, given in a cycle, and the calls so far: `s5` start, `r5` running, `h5` halt of node 5.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    answers: BTreeMap<String, (String, usize)>,
    pub(crate) calls: Vec<String>,
}

impl Script {
    pub(crate) fn new<'a>(answers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let answers = answers.into_iter().map(|(id, letters)| (id.to_owned(), (letters.to_owned(), 0)));
        Script { answers: answers.collect(), calls: Vec::new() }
    }

    fn answer(&mut self, kind: char, leaf: &LeafCall<'_>) -> Status {
        self.calls.push(format!("{kind}{}", leaf.uid()));
        let (letters, at) = self.answers.get_mut(leaf.id()).expect("every leaf has a script");
        let letter = letters.as_bytes()[*at % letters.len()];
        *at += 1;
        match letter {
            b'R' => Status::Running,
            b'S' => Status::Success,
            b'F' => Status::Failure,
            b'K' => Status::Skipped,
            other => panic!("no answer is called {}", other as char),
        }
    }
}

impl Leaves for Script {
    fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        self.answer('s', leaf)
    }

    fn running(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        self.answer('r', leaf)
    }

    fn halt(&mut self, leaf: &mut LeafCall<'_>) -> Halt {
        self.calls.push(format!("h{}", leaf.uid()));
        Halt::Done
    }
}

/// Leaves called `C..` are conditions, all others actions.
pub(crate) fn registry<'a>(ids: impl IntoIterator<Item = &'a str>) -> Registry {
    ids.into_iter().fold(Registry::new(), |registry, id| {
        registry.leaf(if id.starts_with('C') { LeafModel::condition(id) } else { LeafModel::action(id) })
    })
}

pub(crate) fn letter(status: Status) -> char {
    match status {
        Status::Running => 'R',
        Status::Success => 'S',
        Status::Failure => 'F',
        Status::Skipped => 'K',
    }
}

/// `3R 4S 4I`: uid and new status.
pub(crate) fn text(transitions: &[Transition]) -> String {
    let mut out = String::new();
    for t in transitions {
        let new = match t.new {
            NodeStatus::Idle => 'I',
            NodeStatus::Running => 'R',
            NodeStatus::Success => 'S',
            NodeStatus::Failure => 'F',
        };
        let _ = write!(out, "{}{}{new}", if out.is_empty() { "" } else { " " }, t.uid);
    }
    out
}

/// A tree under test, with scripted leaves and time moved by hand.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) tree: Tree,
    pub(crate) state: State,
    pub(crate) leaves: Script,
    pub(crate) now: Time,
    pub(crate) transitions: Vec<Transition>,
}

impl Bench {
    /// `body` stands inside of the main tree; `leaves` are ids and answers.
    pub(crate) fn new(body: &str, leaves: &[(&str, &str)]) -> Self {
        Self::document(
            &format!(r#"<root BTCPP_format="4"><BehaviorTree ID="T">{body}</BehaviorTree></root>"#),
            leaves,
        )
    }

    pub(crate) fn document(xml: &str, leaves: &[(&str, &str)]) -> Self {
        Self::with_mode(Mode::Compat, xml, leaves)
    }

    /// As [`Bench::new`], in strict mode.
    pub(crate) fn strict(body: &str, leaves: &[(&str, &str)]) -> Self {
        let xml = format!(r#"<root BTCPP_format="4"><BehaviorTree ID="T">{body}</BehaviorTree></root>"#);
        Self::with_mode(Mode::Strict, &xml, leaves)
    }

    fn with_mode(mode: Mode, xml: &str, leaves: &[(&str, &str)]) -> Self {
        let registry = registry(leaves.iter().map(|(id, _)| *id));
        let tree = match Loader::new(&registry).mode(mode).document("test.xml", xml).load() {
            Ok(tree) => tree,
            Err(errors) => panic!("does not load: {errors}"),
        };
        let state = State::new(&tree);
        Bench {
            tree,
            state,
            leaves: Script::new(leaves.iter().copied()),
            now: Time(0),
            transitions: Vec::new(),
        }
    }

    pub(crate) fn try_tick(&mut self) -> Result<char, TickError> {
        let Bench { tree, state, leaves, now, transitions } = self;
        tick_observed(tree, state, *now, leaves, transitions).map(letter)
    }

    /// The answer as a letter.
    pub(crate) fn tick(&mut self) -> char {
        self.try_tick().expect("this tree ticks without errors")
    }

    /// The answers of several ticks.
    pub(crate) fn ticks(&mut self, count: usize) -> String {
        (0..count).map(|_| self.tick()).collect()
    }

    pub(crate) fn halt(&mut self) {
        let Bench { tree, state, leaves, now, transitions } = self;
        halt(tree, state, *now, leaves, transitions).expect("this tree halts without errors");
    }

    /// Moves the time on.
    pub(crate) fn pass_ms(&mut self, ms: u64) {
        self.now = Time(self.now.0 + ms * 1_000_000);
    }

    /// Takes the leaf calls since the last look.
    pub(crate) fn calls(&mut self) -> String {
        std::mem::take(&mut self.leaves.calls).join(" ")
    }

    /// Takes the transitions since the last look.
    pub(crate) fn trace(&mut self) -> String {
        text(&std::mem::take(&mut self.transitions))
    }

    /// An entry of the main tree's blackboard, as text; `-` while it is empty.
    pub(crate) fn entry(&self, key: &str) -> String {
        let slot = self.tree.slot(key).expect("the tree mentions this entry");
        self.state.get(slot).map_or("-".to_owned(), ToString::to_string)
    }
}
