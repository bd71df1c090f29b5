//! What can be wrong with a skill in this cell, and with which of the two.
//!
//! It is the artifact's fault where no cell like this one could run it: then it is refused for good. It is the cell's where something is
//! missing or broken here: a library, a disk, a robot or a peripheral in the declaration. The same artifact may be good tomorrow.

use std::fmt;

use swarm_artifact::EntryPath;
use swarm_base::Role;
use swarm_bt::LoadErrors;
use swarm_bt_check::Finding;

use crate::golden::GoldenError;
use crate::policy::{StatisticsProblem, StatisticsUnreadable};
use crate::project::{EntryProblem, ProjectErrors};

/// Why something cannot be used, in words, by whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{0}")]
    OfArtifact(String),
    #[error("{0}")]
    OfCell(String),
}

/// Everything that is wrong with a skill; never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct SkillProblems(pub Vec<SkillProblem>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SkillProblem {
    #[error("the trees do not pass the check: {0}")]
    Check(Box<Finding>),
    #[error("role {role} has no robot: the cell's declaration gives it none")]
    NoRobot { role: Role },
    #[error("role {role} needs a robot of group '{group}', but the cell gives it {robot}, a {model}")]
    WrongGroup { role: Role, group: String, robot: String, model: String },
    #[error("{path} cannot be read: {fault}")]
    Unreadable { path: EntryPath, fault: Fault },
    #[error("the tree of role {role}: {errors}")]
    Projection { role: Role, errors: ProjectErrors },
    #[error(transparent)]
    Entry(#[from] EntryProblem),
    #[error("the tree of role {role}: {errors}")]
    Tree { role: Role, errors: LoadErrors },
    #[error("the tree of role {role} enters no phase; a role needs at least one EnterPhase")]
    NoPhases { role: Role },
    #[error(
        "role {role} enters the phases {found}, but role {other} enters {expected}; all roles need the same ones in the same order"
    )]
    PhasesDiffer { role: Role, found: String, other: Role, expected: String },
    #[error("the tree of role {role} calls policy '{called}', but the manifest gives the role {given}")]
    PolicyOfRole { role: Role, called: String, given: String },
    #[error("the tree of role {role} calls policy '{called}' with {leaf}, but it is one for {expected}")]
    PolicyLeaf { role: Role, called: String, leaf: &'static str, expected: &'static str },
    #[error("the tree of role {role}, {node}: {fault}")]
    Peripheral { role: Role, node: String, fault: Fault },
    #[error("policy '{name}' ({path}): {source}")]
    StatisticsUnreadable { name: String, path: EntryPath, source: StatisticsUnreadable },
    #[error("policy '{name}' ({path}): {source}")]
    Statistics { name: String, path: EntryPath, source: StatisticsProblem },
    #[error("the golden vectors of policy '{name}' ({path}): {source}")]
    Golden { name: String, path: EntryPath, source: GoldenError },
    #[error("policy '{name}' ({path}): {fault}")]
    Policy { name: String, path: EntryPath, fault: Fault },
}

impl SkillProblem {
    fn is_of_cell(&self) -> bool {
        match self {
            Self::NoRobot { .. } => true,
            Self::Unreadable { fault, .. } | Self::Peripheral { fault, .. } | Self::Policy { fault, .. } => {
                matches!(fault, Fault::OfCell(_))
            }
            // Another robot plays the role: the artifact is for other cells.
            Self::WrongGroup { .. } => false,
            Self::Check(_)
            | Self::Projection { .. }
            | Self::Entry(_)
            | Self::Tree { .. }
            | Self::NoPhases { .. }
            | Self::PhasesDiffer { .. }
            | Self::PolicyOfRole { .. }
            | Self::PolicyLeaf { .. }
            | Self::StatisticsUnreadable { .. }
            | Self::Statistics { .. }
            | Self::Golden { .. } => false,
        }
    }
}

/// The artifact's, where all of them are: else it is not known what is left of them once the cell's are gone.
impl From<SkillProblems> for Fault {
    fn from(problems: SkillProblems) -> Self {
        let reason = problems.to_string();
        if problems.0.iter().any(SkillProblem::is_of_cell) {
            Self::OfCell(reason)
        } else {
            Self::OfArtifact(reason)
        }
    }
}

impl fmt::Display for SkillProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for SkillProblems {}
