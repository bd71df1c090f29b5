//! A recorded run, carried out again.

use std::collections::HashMap;
use std::fmt;

use swarm_base::Time;
use swarm_bt::{
    Halt, LeafCall, Leaves, LoadErrors, NodeInfo, Observer, SlotId, State, Status, TickError, Tree, halt,
    tick_observed,
};

use crate::reading::{CallAnswer, CallRecord, Outcome, Recording, Step, StepKind, Written};
use crate::recipe::Recipe;

/// How many states are kept to go back to.
const CHECKPOINTS: usize = 512;

/// Why a recording cannot be replayed at all.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("the recorded documents do not load, with engine {recorded} they did:\n{source}")]
    Load { recorded: String, source: LoadErrors },
    #[error(
        "before its first step the state has digest {found:016x}, recorded by engine {recorded} is {expected:016x}: this engine keeps its state in another way, and cannot compare"
    )]
    FirstState { recorded: String, expected: u64, found: u64 },
}

/// The first thing in which a replay differs from its recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Parted {
    pub step: usize,
    pub now: Time,
    pub what: Parting,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Parting {
    /// Another leaf was called, or in another way; `None` for no call at all.
    Call {
        recorded: Option<String>,
        found: Option<String>,
    },
    Outcome {
        recorded: Outcome,
        found: Outcome,
        error: Option<TickError>,
    },
    Digest {
        recorded: u64,
        found: u64,
    },
    /// What the recording writes is no entry of this tree.
    Entry {
        slot: usize,
    },
}

impl fmt::Display for Parted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {} at {:.3} s: ", self.step, self.now.as_secs_f64())?;
        let named = |call: &Option<String>| call.clone().unwrap_or_else(|| "no further call".to_owned());
        match &self.what {
            Parting::Call { recorded, found } => {
                write!(f, "recorded is {}, found is {}", named(recorded), named(found))
            }
            Parting::Outcome { recorded, found, error } => {
                write!(f, "recorded outcome {recorded}, found {found}")?;
                error.as_ref().map_or(Ok(()), |error| write!(f, " ({error})"))
            }
            Parting::Digest { recorded, found } => {
                write!(f, "the state after it has digest {found:016x}, recorded is {recorded:016x}")
            }
            Parting::Entry { slot } => write!(f, "entry {slot} was written, which this tree does not have"),
        }
    }
}

impl std::error::Error for Parted {}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Answer(status) => f.write_str(status.as_str()),
            Outcome::Halted => f.write_str("halted"),
            Outcome::Error => f.write_str("error"),
        }
    }
}

/// A recorded run at one of its steps.
#[derive(Debug)]
pub struct Replay<'r> {
    recording: &'r Recording,
    tree: Tree,
    state: State,
    /// From recorded to here; the same where the tree is.
    entries: Vec<Option<SlotId>>,
    nodes: Nodes,
    done: usize,
    checkpoints: Vec<(usize, State)>,
    spacing: usize,
}

/// Which node here a recorded uid means.
#[derive(Debug)]
enum Nodes {
    Same,
    /// Another version of the tree: by path.
    ByPath(HashMap<u16, u16>),
}

impl Nodes {
    fn here(&self, recorded: u16) -> Option<u16> {
        match self {
            Nodes::Same => Some(recorded),
            Nodes::ByPath(map) => map.get(&recorded).copied(),
        }
    }
}

impl<'r> Replay<'r> {
    /// With the recorded tree.
    pub fn new(recording: &'r Recording) -> Result<Self, ReplayError> {
        let tree = load(&recording.recipe, recording)?;
        let state = State::new(&tree);
        let (expected, found) = (recording.first_digest, state.digest());
        if expected != found {
            let recorded = recording.version.clone();
            return Err(ReplayError::FirstState { recorded, expected, found });
        }
        let entries = tree.slots().map(|(slot, ..)| Some(slot)).collect();
        Ok(Self::at_start(recording, tree, state, entries, Nodes::Same))
    }

    /// With another version of the tree, to which the recorded inputs are given: leaves and entries are those of the same path
    /// and name. States are not compared; the outcome and the leaf calls are.
    pub fn of_version(recording: &'r Recording, version: &Recipe) -> Result<Self, ReplayError> {
        let old = load(&recording.recipe, recording)?;
        let tree = load(version, recording)?;
        let entries = old.slots().map(|(_, scope, key, _)| tree.slot_in(scope, key)).collect();
        let here: HashMap<_, _> = places(&tree).into_iter().map(|(uid, place)| (place, uid)).collect();
        let same = |(uid, place)| Some((uid, *here.get(&place)?));
        let nodes = Nodes::ByPath(places(&old).into_iter().filter_map(same).collect());
        let state = State::new(&tree);
        Ok(Self::at_start(recording, tree, state, entries, nodes))
    }

    fn at_start(
        recording: &'r Recording,
        tree: Tree,
        state: State,
        entries: Vec<Option<SlotId>>,
        nodes: Nodes,
    ) -> Self {
        let checkpoints = vec![(0, state.clone())];
        let spacing = (recording.len() / CHECKPOINTS).max(16);
        Replay { recording, tree, state, entries, nodes, done: 0, checkpoints, spacing }
    }

    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// After the step that was done last.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Steps done so far.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Carries out the next step; `None` behind the last. `Err` if it is not what was recorded.
    pub fn forward<O: Observer>(&mut self, observer: &mut O) -> Option<Result<Outcome, Parted>> {
        let step = self.recording.step(self.done + 1)?;
        self.done += 1;
        let parted = |what| Err(Parted { step: self.done, now: step.now, what });
        if let Err(slot) = restore(&step.outside, &self.entries, |slot, value, times| {
            self.state.restore(slot, value, times);
        }) {
            return Some(parted(Parting::Entry { slot }));
        }
        let mut leaves =
            Answering { calls: step.calls.iter(), nodes: &self.nodes, entries: &self.entries, parting: None };
        let (tree, state) = (&self.tree, &mut self.state);
        let (found, error) = match step.what {
            StepKind::Tick => match tick_observed(tree, state, step.now, &mut leaves, observer) {
                Ok(status) => (Outcome::Answer(status), None),
                Err(error) => (Outcome::Error, Some(error)),
            },
            StepKind::Halt => match halt(tree, state, step.now, &mut leaves, observer) {
                Ok(()) => (Outcome::Halted, None),
                Err(error) => (Outcome::Error, Some(error)),
            },
        };
        let left = leaves.calls.next().map(|call| describe(tree, self.nodes.here(call.uid), call.answer));
        let left = left.map(|recorded| Parting::Call { recorded: Some(recorded), found: None });
        if let Some(what) = leaves.parting.or(left) {
            return Some(parted(what));
        }
        if found != step.outcome {
            return Some(parted(Parting::Outcome { recorded: step.outcome, found, error }));
        }
        let digest = self.state.digest();
        if matches!(self.nodes, Nodes::Same) && digest != step.digest {
            return Some(parted(Parting::Digest { recorded: step.digest, found: digest }));
        }
        if self.done.is_multiple_of(self.spacing)
            && self.checkpoints.last().is_none_or(|(at, _)| *at < self.done)
        {
            self.checkpoints.push((self.done, self.state.clone()));
        }
        Some(Ok(found))
    }

    /// What came from outside in a step, as lines for people: entries written before it, leaf calls with their answers.
    pub fn inputs(&self, step: &Step) -> Vec<String> {
        let entry = |written: &Written| {
            let here = self.entries.get(written.slot).copied().flatten();
            let key =
                here.and_then(|here| self.tree.slots().nth(here.index())).map_or("?", |(_, _, key, _)| key);
            format!("{key} := {}", written.value)
        };
        let nodes = &self.nodes;
        let outside = step.outside.iter().map(|written| format!("from outside {}", entry(written)));
        let calls = step.calls.iter().map(|call| {
            let said = describe(&self.tree, nodes.here(call.uid), call.answer);
            let wrote: Vec<String> = call.wrote.iter().map(entry).collect();
            if wrote.is_empty() { said } else { format!("{said}, wrote {}", wrote.join(", ")) }
        });
        outside.chain(calls).collect()
    }

    /// Goes to where `step` steps have been done, forward or back; at most to the end.
    pub fn seek(&mut self, step: usize) -> Result<(), Parted> {
        if step < self.done {
            let nearest = self.checkpoints.iter().rev().find(|(at, _)| *at <= step);
            if let Some((at, state)) = nearest {
                self.done = *at;
                self.state.clone_from(state);
            }
        }
        while self.done < step {
            match self.forward(&mut ()) {
                Some(answer) => answer.map(drop)?,
                None => break,
            }
        }
        Ok(())
    }
}

fn load(recipe: &Recipe, recording: &Recording) -> Result<Tree, ReplayError> {
    recipe.load().map_err(|source| ReplayError::Load { recorded: recording.version.clone(), source })
}

/// Every node by its path, without the uid that stands in it behind a node that has no name: a node that is put in front of it
/// changes that. Nodes that have the same path then are told apart by their order.
fn places(tree: &Tree) -> Vec<(u16, (String, usize))> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let place = |node: &NodeInfo| {
        let segments = node.path.split('/').map(|segment| match segment.rsplit_once("::") {
            Some((name, uid)) if uid.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => segment,
        });
        let path = segments.collect::<Vec<_>>().join("/");
        let count = seen.entry(path.clone()).or_default();
        *count += 1;
        (node.uid, (path, *count))
    };
    tree.nodes().iter().map(place).collect()
}

fn restore(
    written: &[Written],
    entries: &[Option<SlotId>],
    mut put: impl FnMut(SlotId, swarm_bt::Value, u64),
) -> Result<(), usize> {
    for Written { slot, times, value } in written {
        let here = entries.get(*slot).copied().flatten().ok_or(*slot)?;
        put(here, value.clone(), *times);
    }
    Ok(())
}

/// `start of Pick/Grasp, answered RUNNING`.
fn describe(tree: &Tree, uid: Option<u16>, answer: CallAnswer) -> String {
    let path = uid.and_then(|uid| tree.node(uid)).map_or("a node that is not here", |node| &node.path);
    let stopped = |halt| match halt {
        Halt::Done => "DONE",
        Halt::Pending => "PENDING",
    };
    let (how, answer) = match answer {
        CallAnswer::Start(status) => ("start", status.as_str()),
        CallAnswer::Running(status) => ("running", status.as_str()),
        CallAnswer::Halt(halt) => ("halt", stopped(halt)),
        CallAnswer::Halting(halt) => ("halting", stopped(halt)),
    };
    format!("{how} of {path}, answered {answer}")
}

/// Leaves that answer what they answered in the recorded run.
struct Answering<'a> {
    calls: std::slice::Iter<'a, CallRecord>,
    nodes: &'a Nodes,
    entries: &'a [Option<SlotId>],
    parting: Option<Parting>,
}

impl Answering<'_> {
    /// The recorded answer, if this call is what was recorded next.
    fn next<A>(
        &mut self,
        call: &mut LeafCall<'_>,
        how: &str,
        answer: impl Fn(CallAnswer) -> Option<A>,
    ) -> Option<A> {
        if self.parting.is_some() {
            return None;
        }
        let recorded = self.calls.next();
        let fits = recorded.filter(|recorded| self.nodes.here(recorded.uid) == Some(call.uid()));
        if let Some((record, answer)) = fits.and_then(|record| Some((record, answer(record.answer)?))) {
            let written =
                restore(&record.wrote, self.entries, |slot, value, times| call.restore(slot, value, times));
            if let Err(slot) = written {
                self.parting = Some(Parting::Entry { slot });
            }
            return Some(answer);
        }
        self.parting = Some(Parting::Call {
            recorded: recorded
                .map(|record| describe(call.tree(), self.nodes.here(record.uid), record.answer)),
            found: Some(format!("{how} of {}", call.path())),
        });
        None
    }
}

impl Leaves for Answering<'_> {
    fn start(&mut self, call: &mut LeafCall<'_>) -> Status {
        let answer = self.next(call, "start", |answer| match answer {
            CallAnswer::Start(status) => Some(status),
            _ => None,
        });
        answer.unwrap_or(Status::Failure)
    }

    fn running(&mut self, call: &mut LeafCall<'_>) -> Status {
        let answer = self.next(call, "running", |answer| match answer {
            CallAnswer::Running(status) => Some(status),
            _ => None,
        });
        answer.unwrap_or(Status::Failure)
    }

    fn halt(&mut self, call: &mut LeafCall<'_>) -> Halt {
        let answer = self.next(call, "halt", |answer| match answer {
            CallAnswer::Halt(halt) => Some(halt),
            _ => None,
        });
        answer.unwrap_or(Halt::Done)
    }

    fn halting(&mut self, call: &mut LeafCall<'_>) -> Halt {
        let answer = self.next(call, "halting", |answer| match answer {
            CallAnswer::Halting(halt) => Some(halt),
            _ => None,
        });
        answer.unwrap_or(Halt::Done)
    }
}
