//! What the checker takes a leaf to do: the finite model of the world.

use std::collections::BTreeMap;

use swarm_bt::{LeafKind, LeafModel, Tree};

use crate::answers::Answers;

/// What is known of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafFacts {
    /// What it may answer.
    pub answers: Answers,
    pub pace: Pace,
    /// What it has to do with the other roles.
    pub together: Option<Together>,
}

/// What a leaf has to do with the other roles of a skill. Names are those of its ports, whose literals say which one is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// Enters a phase: all roles do, or none. Phases are entered in one order.
    Phase {
        name: &'static str,
    },
    /// Waits until the roles have come to it; may be repeated.
    Meet(Meeting),
    /// Waits until it holds a resource that one role can hold at a time; holds it until it is given back or the role's run ends.
    Acquire {
        resource: &'static str,
    },
    GiveBack {
        resource: &'static str,
    },
    /// Runs while the role holds a resource, and gives it back when halted.
    Keep {
        resource: &'static str,
    },
    /// Makes all other roles stand still.
    Hold,
    /// Takes that back.
    ReleaseHold,
    /// Ends the run for every role.
    EndRun,
}

/// Who meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// Meetings of different kinds are different, even under one name.
    pub kind: &'static str,
    /// Port with the meeting's name.
    pub name: &'static str,
    /// Ports with roles that take part, each a list or one role; all roles where none of them is given.
    pub roles: &'static [&'static str],
    /// Port with how many of them are enough; all of them where there is none.
    pub enough: Option<&'static str>,
}

/// Whether a leaf takes longer than a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It never answers RUNNING.
    AtOnce,
    /// It may; nothing is known.
    Unknown,
    /// It runs for a while each time it is started, as a motion does.
    TakesTime,
    /// It runs until it has succeeded once; started again, it succeeds at once.
    UntilFirstSuccess,
}

/// What is known of leaves, by id. What is not in it may answer anything that its kind allows: an action RUNNING, SUCCESS and
/// FAILURE, a condition SUCCESS and FAILURE. No leaf answers SKIPPED: that is what `_skipIf` is for.
#[derive(Clone, Debug, Default)]
pub struct LeafTable {
    facts: BTreeMap<String, LeafFacts>,
}

impl LeafTable {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what is known of a leaf.
    #[must_use]
    pub fn leaf(mut self, id: &str, answers: Answers, pace: Pace) -> Self {
        self.facts.insert(id.to_owned(), LeafFacts { answers, pace, together: None });
        self
    }

    /// Adds a leaf that has to do with the other roles.
    #[must_use]
    pub fn together(mut self, id: &str, together: Together) -> Self {
        let (answers, pace) = match together {
            Together::Phase { .. } | Together::Acquire { .. } => (Answers::ACTION, Pace::UntilFirstSuccess),
            Together::Meet(_) => (Answers::ACTION, Pace::TakesTime),
            Together::Keep { .. } => (Answers::RUNNING, Pace::TakesTime),
            Together::GiveBack { .. } | Together::Hold | Together::ReleaseHold | Together::EndRun => {
                (Answers::SUCCESS, Pace::AtOnce)
            }
        };
        self.facts.insert(id.to_owned(), LeafFacts { answers, pace, together: Some(together) });
        self
    }

    /// Whether anything is known of a leaf beyond its kind.
    pub fn knows(&self, id: &str) -> bool {
        self.facts.contains_key(id)
    }

    pub fn facts(&self, model: &LeafModel) -> LeafFacts {
        let assumed = || match model.kind {
            LeafKind::Action => LeafFacts { answers: Answers::ACTION, pace: Pace::Unknown, together: None },
            LeafKind::Condition => {
                LeafFacts { answers: Answers::COMPLETED, pace: Pace::AtOnce, together: None }
            }
        };
        self.facts.get(&model.id).copied().unwrap_or_else(assumed)
    }
}

/// The phases that a tree enters, in the order in which it names them first, each with the node that does.
pub(crate) fn phases(tree: &Tree, table: &LeafTable) -> Vec<(u16, String)> {
    let mut phases: Vec<(u16, String)> = Vec::new();
    for info in tree.nodes() {
        let together = tree.leaf_model(info.uid).and_then(|model| table.facts(model).together);
        let Some(Together::Phase { name }) = together else { continue };
        let Some(name) = tree.literal(info.uid, name).map(ToString::to_string) else { continue };
        if !phases.iter().any(|(_, known)| *known == name) {
            phases.push((info.uid, name));
        }
    }
    phases
}
