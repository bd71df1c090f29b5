//! What another engine did with a tree, compared with what this one does.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use swarm_base::Time;
use swarm_bt::{Loader, Mode, NodeStatus, PortType, Registry, Status, Tree, Value};

use crate::declare::declare;
use crate::run::{Call, Event, Run};
use crate::scripts::Scripts;

/// A file of vectors.
#[derive(Clone, Debug, Deserialize)]
pub struct Batch {
    /// Which engine, or whose tests.
    pub oracle: String,
    /// Of a random batch.
    pub seed: Option<u64>,
    pub vectors: Vec<Vector>,
}

/// A tree, what its leaves answer, and what was done with it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// File of upstream's tests and the test in it, of a vector written by hand: `gtest_parallel.cpp/ConditionsTrue`.
    pub test: Option<String>,
    pub xml: String,
    /// Answers of each leaf id as letters, given in a cycle; ids that begin with `C` are conditions.
    pub leaves: BTreeMap<String, String>,
    /// One letter per step: `T` tick exactly once, `H` halt the tree.
    pub steps: String,
    /// Virtual time between steps; the first is at 0.
    #[serde(default)]
    pub step_ms: u64,
    /// The answer to each tick, as letters; `E` is an error, and ends the run.
    pub answers: String,
    /// The leaf calls of each step: `s5` start, `r5` running, `h5` halt of node 5, `a5` asked whether it has stopped. Not compared where absent.
    pub calls: Option<Vec<String>>,
    /// Uid and new status of every transition, in order: `3R 4S 4I`. Not compared where absent.
    pub transitions: Option<String>,
    /// Entries of the main tree's blackboard at the end.
    #[serde(default)]
    pub board: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Entry {
    Number(f64),
    Text(String),
}

/// The first thing in which this engine differs from a vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// From 1 on; 0 is the load.
    pub step: usize,
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            0 => write!(f, "at load: {}", self.what),
            step => write!(f, "step {step}: {}", self.what),
        }
    }
}

/// What a replay has compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    pub ticks: u64,
    pub transitions: u64,
}

impl Vector {
    /// Does the same here and compares: answers, leaf calls, transitions in order, blackboard.
    pub fn replay(&self) -> Result<Compared, Difference> {
        let at_load = |what: String| Difference { step: 0, what };
        let leaves = self.leaves.iter().map(|(id, letters)| (id.as_str(), letters.as_str()));
        let scripts = Scripts::from_letters(leaves).map_err(|error| at_load(error.to_string()))?;
        let documents = [("vector.xml".to_owned(), self.xml.clone())];
        let registry = declare(Registry::new(), &documents, &scripts);
        let tree = Loader::new(&registry).mode(Mode::Compat).document("vector.xml", &self.xml).load();
        let tree = tree.map_err(|errors| at_load(errors.to_string()))?;
        let mut run = Run::new(tree, scripts).map_err(|error| at_load(error.to_string()))?;

        let mut compared = Compared::default();
        let mut answers = self.answers.chars();
        let mut expected =
            self.transitions.as_deref().map(|text| text.split(' ').filter(|t| !t.is_empty()).peekable());
        for (i, step) in self.steps.chars().enumerate() {
            let (mut calls, mut trace) = (Vec::new(), Vec::new());
            let differs = |what: String| Difference { step: i + 1, what };
            let now = Time::from_millis(self.step_ms.saturating_mul(i as u64));
            let mut sink = |_: &Tree, event: Event<'_>| match event {
                Event::Call { uid, call, .. } => calls.push(short(uid, call)),
                Event::Transition(t) => trace.push(format!("{}{}", t.uid, kept(t.new))),
                Event::Begin { .. } | Event::Ticked(_) | Event::Halted(_) => {}
            };
            let mut threw = false;
            if step == 'H' {
                run.halt(now, &mut sink).map_err(|error| differs(format!("the halt failed: {error}")))?;
            } else {
                let answer = run.tick(now, &mut sink);
                let ours = answer.as_ref().map_or('E', |answer| letter(*answer));
                let theirs = answers.next().unwrap_or('?');
                if ours != theirs {
                    return Err(differs(format!("answer {ours}, the original {theirs} ({answer:?})")));
                }
                threw = ours == 'E';
                compared.ticks += 1;
            }
            if let Some(theirs) = self.calls.as_ref().and_then(|calls| calls.get(i)) {
                let ours = calls.join(" ");
                // The original leaves its tree as it was when it threw; ours halts it, so it does more.
                if if threw { !ours.starts_with(theirs.as_str()) } else { ours != *theirs } {
                    return Err(differs(format!("leaf calls '{ours}', the original '{theirs}'")));
                }
            }
            let Some(expected) = &mut expected else { continue };
            for (n, ours) in trace.iter().enumerate() {
                match expected.peek() {
                    Some(theirs) if theirs == ours => {
                        expected.next();
                        compared.transitions += 1;
                    }
                    None if threw => break,
                    theirs => {
                        let before = trace[n.saturating_sub(8)..n].join(" ");
                        let theirs = theirs.unwrap_or(&"nothing more");
                        return Err(differs(format!(
                            "after '{before}' comes {ours}, in the original {theirs}"
                        )));
                    }
                }
            }
            if threw {
                break;
            }
        }
        let end = |what: String| Difference { step: self.steps.len(), what };
        if let Some(theirs) = expected.and_then(|mut expected| expected.next()) {
            return Err(end(format!("the original goes on with {theirs}")));
        }
        if !self.answers.ends_with('E') {
            self.compare_board(&run).map_err(end)?;
        }
        Ok(compared)
    }

    fn compare_board(&self, run: &Run) -> Result<(), String> {
        for (key, theirs) in &self.board {
            let value = run.tree.slot(key).and_then(|slot| run.state.get(slot));
            let same = match theirs {
                Entry::Number(x) => {
                    value.and_then(|v| v.convert(PortType::Float).ok()) == Some(Value::Float(*x))
                }
                Entry::Text(text) => value == Some(&Value::from(text.as_str())),
            };
            if !same {
                return Err(format!("entry {key} is {value:?}, in the original {theirs:?}"));
            }
        }
        Ok(())
    }
}

fn short(uid: u16, call: Call) -> String {
    let kind = match call {
        Call::Start(_) => 's',
        Call::Running(_) => 'r',
        Call::Halt(_) => 'h',
        Call::Halting(_) => 'a',
    };
    format!("{kind}{uid}")
}

fn letter(status: Status) -> char {
    match status {
        Status::Running => 'R',
        Status::Success => 'S',
        Status::Failure => 'F',
        Status::Skipped => 'K',
    }
}

fn kept(status: NodeStatus) -> char {
    match status {
        NodeStatus::Idle => 'I',
        NodeStatus::Running => 'R',
        NodeStatus::Success => 'S',
        NodeStatus::Failure => 'F',
    }
}
