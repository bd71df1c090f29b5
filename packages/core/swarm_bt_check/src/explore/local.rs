//! One tree with every answer that its leaves may give: its states, and what leads from one to the next.
//!
//! The rules are those of [`swarm_bt::tick_observed`] itself: a state is ticked once for each combination of answers, on a clone.
//! Two states are one if they are equal after time and history are taken out of them ([`State::forget_history`]).
//!
//! - Time: before a tick either nothing has happened, or the next timer has run off. How long a timer runs only matters beside
//!   other timers.
//! - Values: a leaf that succeeds writes to each output one of a few values: those that scripts compare the entry with, and their
//!   neighbours.

use std::collections::HashMap;

use swarm_base::Time;
use swarm_bt::{
    Direction, Halt, LeafCall, LeafKind, Leaves, Observer, PortType, SlotId, State, Status, TickError,
    Transition, Tree, Value, tick_observed,
};

use super::choices::Choices;
use super::values::candidates;
use crate::answers::Answers;
use crate::check::Given;
use crate::leaves::{LeafTable, Pace};

pub(super) type LocalId = u32;

/// What happened to a leaf in a tick.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    Answered {
        uid: u16,
        answer: Status,
        wrote: Box<[(String, Value)]>,
    },
    Halted {
        uid: u16,
    },
    /// An entry that is written from outside has this value.
    Given {
        entry: SlotId,
        value: Value,
    },
    /// The leaf is started, and an entry that one of its inputs is connected to has not been written.
    Empty {
        uid: u16,
    },
}

/// Where a tick leads.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// The tree runs on.
    State(LocalId),
    /// The root has answered.
    Ended(Status),
    Failed(Box<TickError>),
}

/// One way in which one tick can go.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) events: Box<[Event]>,
    pub(super) target: Target,
}

/// Bounds of the exploration of one tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) states: usize,
    /// Ways that one tick can go.
    pub(super) edges: usize,
    /// Bytes of states and ways: a tree may be large, and its scripts may make another long text in each state.
    pub(super) bytes: usize,
}

impl Edge {
    fn bytes(&self) -> usize {
        let wrote = |event: &Event| match event {
            Event::Answered { wrote, .. } => size_of_val(&**wrote),
            Event::Halted { .. } | Event::Given { .. } | Event::Empty { .. } => 0,
        };
        size_of::<Edge>() + size_of_val(&*self.events) + self.events.iter().map(wrote).sum::<usize>()
    }
}

/// A tree under exploration.
pub(super) struct Local<'t> {
    pub(super) tree: &'t Tree,
    bounds: Bounds,
    /// Of all states and edges.
    bytes: usize,
    states: Vec<State>,
    by_digest: HashMap<u64, Vec<LocalId>>,
    edges: Vec<Option<Box<[Edge]>>>,
    /// Entries that are written from outside, and the values they may have.
    given: Vec<(SlotId, Vec<Value>)>,
    /// By uid - 1: what each output port may write.
    outputs: Vec<Vec<(String, Vec<Value>)>>,
    /// By uid - 1: the answers to a start and to a continuation.
    answers: Vec<(Answers, Answers)>,
    /// By uid - 1: whether the node has ever changed its status.
    pub(super) ticked: Vec<bool>,
    /// A bound was hit: there are states that have not been seen.
    pub(super) cut: bool,
    /// By state: whether ticks of it were left out.
    cut_at: Vec<bool>,
}

/// Above so many leaves an action always answers RUNNING first: else the ways that one tick can go are too many.
const SHORT: usize = 60;

impl<'t> Local<'t> {
    pub(super) fn new(tree: &'t Tree, table: &LeafTable, given: &Given, bounds: Bounds) -> Self {
        let views: Vec<_> = tree.nodes().iter().filter_map(|info| tree.view(info.uid)).collect();
        let long = views.iter().filter(|view| view.leaf().is_some()).count() > SHORT;
        let answers = views.iter().map(|view| match view.leaf() {
            None => (Answers::NONE, Answers::NONE),
            Some(model) => {
                let facts = table.facts(model);
                let first = match facts.pace {
                    Pace::Unknown | Pace::TakesTime if long && facts.answers.any(Answers::RUNNING) => {
                        Answers::RUNNING
                    }
                    _ => facts.answers,
                };
                let first =
                    if model.kind == LeafKind::Condition { first.without(Answers::RUNNING) } else { first };
                (first, facts.answers)
            }
        });
        let outputs = views.iter().map(|view| match view.leaf() {
            None => Vec::new(),
            Some(model) => {
                let ports = model.ports.iter().filter(|port| port.direction != Direction::Input);
                let bound = ports.filter_map(|port| Some((port, view.entry(&port.name)?)));
                bound.map(|(port, slot)| (port.name.clone(), candidates(tree, slot, port.ty))).collect()
            }
        });
        let given = given.iter().filter_map(|key| tree.slot(key));
        let given = given.map(|slot| (slot, candidates(tree, slot, tree.declared(slot))));
        let mut local = Local {
            given: given.collect(),
            tree,
            bounds,
            bytes: 0,
            states: Vec::new(),
            by_digest: HashMap::new(),
            edges: Vec::new(),
            outputs: outputs.collect(),
            answers: answers.collect(),
            ticked: vec![false; views.len()],
            cut: false,
            cut_at: Vec::new(),
        };
        local.intern(State::new(tree));
        local
    }

    /// States seen so far; the first is the one that a run begins with.
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    pub(super) fn state(&self, id: LocalId) -> &State {
        &self.states[id as usize]
    }

    /// Whether values had to be guessed: others may lead elsewhere.
    pub(super) fn guesses(&self) -> bool {
        !self.given.is_empty() || self.outputs.iter().any(|ports| !ports.is_empty())
    }

    /// Whether ticks of this state have been left out.
    pub(super) fn is_cut(&self, id: LocalId) -> bool {
        self.cut_at.get(id as usize).copied().unwrap_or(true)
    }

    /// Everything that a tick of this state can lead to; worked out when first asked for.
    pub(super) fn edges(&mut self, id: LocalId) -> &[Edge] {
        if self.edges[id as usize].is_none() {
            let edges = self.expand(id);
            self.edges[id as usize] = Some(edges);
        }
        self.edges[id as usize].as_deref().unwrap_or_default()
    }

    /// As [`Local::edges`], of a state that has been asked for before.
    pub(super) fn known_edges(&self, id: LocalId) -> &[Edge] {
        self.edges[id as usize].as_deref().unwrap_or_default()
    }

    fn expand(&mut self, id: LocalId) -> Box<[Edge]> {
        let mut edges: Vec<Edge> = Vec::new();
        let mut choices = Choices::default();
        loop {
            let mut state = self.states[id as usize].clone();
            let now = match state.next_timer() {
                Some(due) if choices.choose(2) == 1 => due,
                _ => Time(0),
            };
            let events = self.give(&mut state, &mut choices);
            let mut world = World { local: self, choices: &mut choices, events };
            let mut seen = Seen(Vec::new());
            let answer = tick_observed(world.local.tree, &mut state, now, &mut world, &mut seen);
            let events = world.events.into();
            for uid in seen.0 {
                self.ticked[usize::from(uid - 1)] = true;
            }
            let target = match answer {
                Ok(Status::Running) => {
                    state.forget_history(self.tree, now);
                    self.intern(state).map(Target::State)
                }
                Ok(status) => Some(Target::Ended(status)),
                Err(error) => Some(Target::Failed(Box::new(error))),
            };
            if target.is_none() {
                self.cut_at[id as usize] = true;
            }
            if let Some(target) = target {
                let edge = Edge { events, target };
                self.bytes += edge.bytes();
                edges.push(edge);
            }
            if !choices.next() {
                break;
            }
            if edges.len() >= self.bounds.edges || self.bytes >= self.bounds.bytes {
                self.cut = true;
                self.cut_at[id as usize] = true;
                break;
            }
        }
        edges.into()
    }

    /// Writes the entries that come from outside, if that has not been done before.
    fn give(&self, state: &mut State, choices: &mut Choices) -> Vec<Event> {
        let mut events = Vec::new();
        for (slot, values) in &self.given {
            if state.get(*slot).is_some() {
                continue;
            }
            let Some(value) = values.get(choices.choose(values.len())) else { continue };
            if state.set(self.tree, *slot, value.clone()).is_ok() {
                events.push(Event::Given { entry: *slot, value: value.clone() });
            }
        }
        events
    }

    fn intern(&mut self, state: State) -> Option<LocalId> {
        let same = self.by_digest.entry(state.digest()).or_default();
        if let Some(id) = same.iter().find(|id| self.states[**id as usize] == state) {
            return Some(*id);
        }
        if self.states.len() >= self.bounds.states || self.bytes >= self.bounds.bytes {
            self.cut = true;
            return None;
        }
        self.bytes += state.bytes();
        let id = self.states.len() as LocalId;
        same.push(id);
        self.states.push(state);
        self.edges.push(None);
        self.cut_at.push(false);
        Some(id)
    }
}

/// Leaves that answer whatever is to be tried next.
struct World<'a, 't> {
    local: &'a Local<'t>,
    choices: &'a mut Choices,
    events: Vec<Event>,
}

impl World<'_, '_> {
    fn answer(&mut self, leaf: &mut LeafCall<'_>, possible: Answers) -> Status {
        let uid = leaf.uid();
        let answers: Vec<Status> = possible.iter().collect();
        let chosen = self.choices.choose(answers.len());
        let answer = answers.get(chosen).copied().unwrap_or(Status::Failure);
        let mut wrote = Vec::new();
        if answer == Status::Success {
            for (port, values) in &self.local.outputs[usize::from(uid - 1)] {
                let Some(value) = values.get(self.choices.choose(values.len())) else { continue };
                // A value that the entry does not take is none that the leaf can have written.
                if leaf.set(port, value.clone()).is_ok() {
                    wrote.push((port.clone(), value.clone()));
                }
            }
        }
        self.events.push(Event::Answered { uid, answer, wrote: wrote.into() });
        answer
    }
}

impl Leaves for World<'_, '_> {
    fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        let uid = leaf.uid();
        if let Some(view) = self.local.tree.view(uid)
            && view.reads().iter().any(|(port, _)| matches!(leaf.get_opt::<Value>(*port), Ok(None)))
        {
            self.events.push(Event::Empty { uid });
        }
        let (first, _) = self.local.answers[usize::from(uid - 1)];
        self.answer(leaf, first)
    }

    fn running(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        let (_, later) = self.local.answers[usize::from(leaf.uid() - 1)];
        self.answer(leaf, later)
    }

    fn halt(&mut self, leaf: &mut LeafCall<'_>) -> Halt {
        self.events.push(Event::Halted { uid: leaf.uid() });
        Halt::Done
    }
}

/// The nodes that changed.
struct Seen(Vec<u16>);

impl Observer for Seen {
    fn transition(&mut self, transition: Transition) {
        self.0.push(transition.uid);
    }
}

/// Whether the type is one whose values the exploration chooses freely.
pub(super) fn is_number(ty: PortType) -> bool {
    matches!(ty, PortType::Any | PortType::Int | PortType::Float)
}
