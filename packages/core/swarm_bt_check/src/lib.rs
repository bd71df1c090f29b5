//! Static checker of behaviour trees.

mod answers;
mod check;
mod explore;
mod finding;
mod flow;
mod leaves;
mod linear;
mod slots;

pub use answers::Answers;
pub use check::{Given, Report, RoleTree, check, check_tree};
pub use explore::{Explored, Limits};
pub use finding::{Code, Example, Finding, LeafScript, RoleScript, Severity};
pub use leaves::{LeafFacts, LeafTable, Meeting, Pace, Together};
