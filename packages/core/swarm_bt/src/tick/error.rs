//! Why a tick could not be carried out, and at which node.

use super::NodeId;
use crate::script::ScriptError;
use crate::tree::Tree;
use crate::value::{PortType, Value};

/// A tick that could not be carried out. All leaves have been halted and all nodes are idle again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("node {path} ({document}:{line}): {kind}")]
pub struct TickError {
    pub uid: u16,
    pub path: String,
    pub document: String,
    pub line: u32,
    pub kind: Box<TickErrorKind>,
}

/// Why.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TickErrorKind {
    #[error(transparent)]
    Script(#[from] Box<ScriptError>),
    #[error(
        "attribute {attribute} reads blackboard entry '{key}', which holds {found} instead of a whole number"
    )]
    Number { attribute: &'static str, key: String, found: String },
    #[error("{node} needs {threshold} children for its {attribute} but has {children}")]
    Threshold { node: &'static str, attribute: &'static str, threshold: i64, children: usize },
    #[error(
        "the condition of {node} was skipped, which BehaviorTree.CPP does not allow (mode=\"strict\" skips the node)"
    )]
    SkippedCondition { node: &'static str },
    #[error("a condition answered RUNNING; only an action may")]
    ConditionRunning,
    #[error("{node} cannot store {value} in entry '{key}', which is {}", .ty.with_article())]
    Store { node: &'static str, key: String, value: String, ty: PortType },
    #[error("queue '{key}' holds {found} instead of a list in which each item is {}", .ty.with_article())]
    Queue { key: String, found: String, ty: PortType },
    #[error("return_status_script gives {found}, expected RUNNING, SUCCESS, FAILURE or SKIPPED")]
    Answer { found: String },
    #[error("the state was made for another tree")]
    ForeignState,
}

/// For messages.
pub(super) fn described(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| format!("{} {value}", value.port_type()))
}

pub(super) fn error(tree: &Tree, id: NodeId, kind: TickErrorKind) -> TickError {
    let uid = id.saturating_add(1);
    let info = tree.node(uid);
    TickError {
        uid,
        path: info.map(|i| i.path.clone()).unwrap_or_default(),
        document: info.map(|i| i.document.clone()).unwrap_or_default(),
        line: info.map_or(0, |i| i.line),
        kind: Box::new(kind),
    }
}
