//! A tree with scripted leaves, and everything that happens in a step.

use std::cell::RefCell;

use swarm_base::Time;
use swarm_bt::{
    Halt, LeafCall, Leaves, Observer, State, Status, TickError, Transition, Tree, halt, tick_observed,
};

use crate::scripts::{Scripts, ScriptsError, StopCall};

/// What happens in a step, in order.
#[derive(Debug)]
pub enum Event<'a> {
    /// `step` counts ticks and halts together, from 1 on.
    Begin {
        step: u64,
        now: Time,
    },
    Call {
        uid: u16,
        call: Call,
        problem: Option<String>,
    },
    Transition(Transition),
    /// How a tick ended.
    Ticked(&'a Result<Status, TickError>),
    /// How a halt of the tree ended.
    Halted(&'a Result<(), TickError>),
}

/// How a leaf was called, and what it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Start(Status),
    Running(Status),
    /// Told to stop.
    Halt(Halt),
    /// Asked whether it has stopped.
    Halting(Halt),
}

/// Hears everything that happens in a step.
pub type Sink<'a> = dyn FnMut(&Tree, Event<'_>) + 'a;

/// A run of one tree.
#[derive(Debug)]
pub struct Run {
    pub tree: Tree,
    pub state: State,
    scripts: Scripts,
}

impl Run {
    /// Every leaf of the tree needs a script.
    pub fn new(tree: Tree, scripts: Scripts) -> Result<Self, ScriptsError> {
        for node in tree.nodes() {
            let known = |key: &str| scripts.by_key.contains_key(key);
            if tree.leaf_model(node.uid).is_some() && !known(&node.name) && !known(&node.id) {
                let why = format!(
                    "is used at {}:{} but the script file has neither '{}' nor '{}'",
                    node.document, node.line, node.name, node.id
                );
                return Err(ScriptsError::Leaf { leaf: node.id.clone(), why });
            }
        }
        let state = State::new(&tree);
        Ok(Run { tree, state, scripts })
    }

    /// Ticks once; `sink` hears everything that happens.
    pub fn tick(&mut self, now: Time, sink: &mut Sink<'_>) -> Result<Status, TickError> {
        self.tick_by(sink, |tree, state, leaves, observer| tick_observed(tree, state, now, leaves, observer))
    }

    /// Halts the tree.
    pub fn halt(&mut self, now: Time, sink: &mut Sink<'_>) -> Result<(), TickError> {
        self.halt_by(sink, |tree, state, leaves, observer| halt(tree, state, now, leaves, observer))
    }

    /// As [`Run::tick`], carried out by something that stands around the engine's tick, such as a recorder.
    pub fn tick_by(
        &mut self,
        sink: &mut Sink<'_>,
        how: impl FnOnce(&Tree, &mut State, &mut dyn Leaves, &mut Heard<'_, '_>) -> Result<Status, TickError>,
    ) -> Result<Status, TickError> {
        let Run { tree, state, scripts } = self;
        let shared = Shared { tree, sink: RefCell::new(sink) };
        let answer = how(tree, state, &mut Scripted { scripts, shared: &shared }, &mut Heard(&shared));
        shared.say(Event::Ticked(&answer));
        answer
    }

    /// As [`Run::halt`].
    pub fn halt_by(
        &mut self,
        sink: &mut Sink<'_>,
        how: impl FnOnce(&Tree, &mut State, &mut dyn Leaves, &mut Heard<'_, '_>) -> Result<(), TickError>,
    ) -> Result<(), TickError> {
        let Run { tree, state, scripts } = self;
        let shared = Shared { tree, sink: RefCell::new(sink) };
        let answer = how(tree, state, &mut Scripted { scripts, shared: &shared }, &mut Heard(&shared));
        shared.say(Event::Halted(&answer));
        answer
    }
}

/// Leaves and transitions speak into the same sink, so that their order is kept.
struct Shared<'a, 'b> {
    tree: &'a Tree,
    sink: RefCell<&'a mut Sink<'b>>,
}

impl Shared<'_, '_> {
    fn say(&self, event: Event<'_>) {
        (self.sink.borrow_mut())(self.tree, event);
    }
}

struct Scripted<'a, 'b> {
    scripts: &'a mut Scripts,
    shared: &'a Shared<'a, 'b>,
}

impl Scripted<'_, '_> {
    fn answer(&mut self, leaf: &mut LeafCall<'_>, call: fn(Status) -> Call) -> Status {
        // `Run::new` has seen a script for every leaf.
        let (answer, outputs) =
            self.scripts.next(leaf.name(), leaf.id()).unwrap_or((Status::Failure, Vec::new()));
        let mut problem = None;
        for (port, value) in outputs {
            if let Err(error) = leaf.set(&port, value) {
                problem = Some(error.to_string());
            }
        }
        self.shared.say(Event::Call { uid: leaf.uid(), call: call(answer), problem });
        answer
    }
}

impl Scripted<'_, '_> {
    fn stop(&mut self, leaf: &mut LeafCall<'_>, how: StopCall, call: fn(Halt) -> Call) -> Halt {
        let answer = self.scripts.stop(leaf.name(), leaf.id(), leaf.uid(), how);
        self.shared.say(Event::Call { uid: leaf.uid(), call: call(answer), problem: None });
        answer
    }
}

impl Leaves for Scripted<'_, '_> {
    fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        self.answer(leaf, Call::Start)
    }

    fn running(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        self.answer(leaf, Call::Running)
    }

    fn halt(&mut self, leaf: &mut LeafCall<'_>) -> Halt {
        self.stop(leaf, StopCall::Told, Call::Halt)
    }

    fn halting(&mut self, leaf: &mut LeafCall<'_>) -> Halt {
        self.stop(leaf, StopCall::Asked, Call::Halting)
    }
}

/// Hands transitions to a [`Sink`].
pub struct Heard<'a, 'b>(&'a Shared<'a, 'b>);

impl std::fmt::Debug for Heard<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Heard")
    }
}

impl Observer for Heard<'_, '_> {
    fn begin(&mut self, step: u64, now: Time) {
        self.0.say(Event::Begin { step, now });
    }

    fn transition(&mut self, transition: Transition) {
        self.0.say(Event::Transition(transition));
    }
}
