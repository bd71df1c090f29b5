//! Static checker of behaviour trees.

mod answers;
mod check;
mod explore;
mod finding;
mod flow;
mod leaves;
mod linear;
mod slots;
mod visits;

pub use answers::Answers;
pub use check::{Given, Report, RoleTree, check, check_tree};
pub use explore::{Explored, Limits};
pub use finding::{Code, Example, Finding, LeafScript, RoleScript, Severity};
pub use leaves::{LeafFacts, LeafTable, Meeting, Pace, Together};
pub use visits::worst_case_visits;
