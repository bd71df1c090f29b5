//! What happened in a step as lines for people, and the first step in which two runs part.

use swarm_bt::{NodeStatus, Transition, Tree, Value};

use crate::reading::{Recording, Step, StepKind};
use crate::replay::{Parted, Replay};

/// The first step in which two runs are not the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub step: usize,
    /// The first line that one has and the other has not; `None` for a run that has ended.
    pub left: Option<String>,
    pub right: Option<String>,
}

/// A replay that moves along and says what it sees.
#[derive(Debug)]
pub struct Narrator<'r> {
    recording: &'r Recording,
    pub replay: Replay<'r>,
    /// Entries as they were after the step before.
    board: Vec<(String, Option<Value>)>,
}

impl<'r> Narrator<'r> {
    pub fn new(recording: &'r Recording, replay: Replay<'r>) -> Self {
        let board = board(&replay);
        Narrator { recording, replay, board }
    }

    /// Carries out the next step, and what happened in it: inputs, transitions, outcome, entries that it changed. `None` behind
    /// the last.
    pub fn advance(&mut self) -> Option<Result<Vec<String>, Parted>> {
        let number = self.replay.done() + 1;
        let step = self.recording.step(number)?;
        let mut transitions: Vec<Transition> = Vec::new();
        let outcome = match self.replay.forward(&mut transitions)? {
            Ok(outcome) => outcome,
            Err(parted) => return Some(Err(parted)),
        };
        let after = board(&self.replay);
        let mut lines = vec![heading(&step)];
        let tree = self.replay.tree();
        for t in &transitions {
            lines.push(format!("{} {} -> {}", path(tree, t.uid), t.previous.as_str(), t.new.as_str()));
        }
        let inputs = self.replay.inputs(&step);
        lines.splice(1..1, inputs);
        lines.push(format!("outcome {outcome}"));
        for ((name, before), (_, now)) in self.board.iter().zip(&after) {
            if before != now {
                lines.push(format!("{name} = {}", shown(now.as_ref())));
            }
        }
        self.board = after;
        Some(Ok(lines))
    }

    /// Goes to where `step` steps have been done.
    pub fn seek(&mut self, step: usize) -> Result<(), Parted> {
        self.replay.seek(step)?;
        self.board = board(&self.replay);
        Ok(())
    }
}

/// The nodes that are not idle, and all entries, as lines.
pub fn standing(replay: &Replay<'_>) -> Vec<String> {
    let (tree, state) = (replay.tree(), replay.state());
    let active = tree.nodes().iter().filter_map(|node| {
        let status = state.status(node.uid).filter(|status| *status != NodeStatus::Idle)?;
        Some(format!("{} {}", node.path, status.as_str()))
    });
    let entries =
        board(replay).into_iter().map(|(name, value)| format!("{name} = {}", shown(value.as_ref())));
    active.chain(entries).collect()
}

/// Moves both runs along until they part; `None` if they never do.
pub fn first_difference(
    left: &mut Narrator<'_>,
    right: &mut Narrator<'_>,
) -> Result<Option<Difference>, Parted> {
    loop {
        let step = left.replay.done() + 1;
        let (a, b) = match (left.advance(), right.advance()) {
            (None, None) => return Ok(None),
            (a, b) => (a.transpose()?, b.transpose()),
        };
        let b = match b {
            Ok(b) => b,
            // Another version of the tree that does not go the way of the recorded leaves: that is the difference.
            Err(parted) => {
                return Ok(Some(Difference {
                    step,
                    left: a.and_then(|lines| lines.into_iter().next()),
                    right: Some(parted.to_string()),
                }));
            }
        };
        let (a, b) = match (a, b) {
            (Some(a), Some(b)) => (a, b),
            (a, b) => {
                let first = |lines: Option<Vec<String>>| lines.and_then(|lines| lines.into_iter().next());
                return Ok(Some(Difference { step, left: first(a), right: first(b) }));
            }
        };
        let at = a.iter().zip(&b).position(|(a, b)| a != b);
        let at = at.or((a.len() != b.len()).then_some(a.len().min(b.len())));
        if let Some(at) = at {
            return Ok(Some(Difference { step, left: a.get(at).cloned(), right: b.get(at).cloned() }));
        }
    }
}

fn heading(step: &Step) -> String {
    let what = match step.what {
        StepKind::Tick => "tick",
        StepKind::Halt => "halt",
    };
    format!("{what} at {:.6} s", step.now.as_secs_f64())
}

fn board(replay: &Replay<'_>) -> Vec<(String, Option<Value>)> {
    let entry = |(slot, scope, key): (_, &str, &str)| {
        let name = if scope.is_empty() { key.to_owned() } else { format!("{scope}: {key}") };
        (name, replay.state().get(slot).cloned())
    };
    replay.tree().slots().map(|(slot, scope, key, _)| entry((slot, scope, key))).collect()
}

pub(crate) fn path(tree: &Tree, uid: u16) -> &str {
    tree.node(uid).map_or("?", |node| &node.path)
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::Str(text)) => format!("'{text}'"),
        Some(value) => value.to_string(),
    }
}
