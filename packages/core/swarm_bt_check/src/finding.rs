//! What the checker says.

use std::collections::BTreeMap;
use std::fmt;

use swarm_bt::{LoadError, Status, Tree};

/// Whether a finding keeps a skill from being deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The tree does what its author cannot have meant, or will fail, on a run that exists.
    Error,
    /// Likely a mistake, but harmless as far as can be seen.
    Warning,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// What kind of finding; the numbers never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// BT001: the loader refuses the tree.
    Load,
    /// BT101: an entry is read before it is written, on some path.
    ReadBeforeWrite,
    /// BT102: an entry is read that nothing writes.
    NeverWritten,
    /// BT201: a node that is never ticked.
    Unreachable,
    /// BT202: a tick that fails.
    TickFails,
    /// BT301: the tree runs for ever, whatever its leaves answer.
    Livelock,
    /// BT302: nothing runs and nothing changes any more, but the tree has not ended.
    DeadTick,
    /// BT401: a running child of a reactive node is halted by an earlier one that starts over, each time.
    RestartLoop,
    /// BT501: the roles enter different phases, or the same ones in another order.
    PhasesDiffer,
    /// BT502: a role comes to a phase that is not the next one.
    PhaseOutOfOrder,
    /// BT503: a role waits for others that never come.
    Deadlock,
    /// BT504: the run can neither succeed nor be given up.
    NoEnd,
    /// BT601: the exploration was cut short: not all states have been looked at.
    CutShort,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Load => "BT001",
            Code::ReadBeforeWrite => "BT101",
            Code::NeverWritten => "BT102",
            Code::Unreachable => "BT201",
            Code::TickFails => "BT202",
            Code::Livelock => "BT301",
            Code::DeadTick => "BT302",
            Code::RestartLoop => "BT401",
            Code::PhasesDiffer => "BT501",
            Code::PhaseOutOfOrder => "BT502",
            Code::Deadlock => "BT503",
            Code::NoEnd => "BT504",
            Code::CutShort => "BT601",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub code: Code,
    pub severity: Severity,
    /// The role whose tree it is; empty for a tree that plays none.
    pub role: String,
    /// Name of the document and line (from 1 on; 0 where it is in no particular line).
    pub document: String,
    pub line: u32,
    /// The node, see [`swarm_bt::Tree::node`]; 0 outside of a tree.
    pub uid: u16,
    /// The node as BehaviorTree.CPP's `fullPath()` names it; empty outside of a tree.
    pub path: String,
    pub problem: String,
    pub advice: String,
    /// A run that shows it.
    pub example: Option<Example>,
}

/// A run that shows a finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// In the order in which they happen, one line each.
    pub steps: Vec<String>,
    /// What the leaves of each role answer.
    pub roles: Vec<RoleScript>,
}

/// What the leaves of one role answer.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleScript {
    pub role: String,
    /// Ticks of the role until the finding shows.
    pub ticks: usize,
    pub leaves: Vec<LeafScript>,
}

/// What the leaves of one name answer, in the order in which they are called.
#[derive(Clone, Debug, PartialEq)]
pub struct LeafScript {
    /// `name` in XML, else the registration id.
    pub leaf: String,
    pub condition: bool,
    pub answers: Vec<Status>,
    /// By port: what is written with each answer, as text.
    pub outputs: BTreeMap<String, Vec<Option<String>>>,
}

impl Finding {
    /// At a node of a tree.
    pub(crate) fn at(tree: &Tree, uid: u16, code: Code, severity: Severity) -> Self {
        let info = tree.node(uid);
        Finding {
            code,
            severity,
            role: String::new(),
            document: info.map(|info| info.document.clone()).unwrap_or_default(),
            line: info.map_or(0, |info| info.line),
            uid,
            path: info.map(|info| info.path.clone()).unwrap_or_default(),
            problem: String::new(),
            advice: String::new(),
            example: None,
        }
    }

    pub(crate) fn says(mut self, problem: impl Into<String>, advice: impl Into<String>) -> Self {
        self.problem = problem.into();
        self.advice = advice.into();
        self
    }

    /// What the loader says of a tree that does not load.
    pub fn of_load_error(error: &LoadError) -> Self {
        let found = Self::of_document(&error.document, error.line, &error.kind.to_string());
        Finding { path: error.path.clone(), ..found }
    }

    /// What keeps a document from being loaded.
    pub fn of_document(document: &str, line: u32, problem: &str) -> Self {
        Finding {
            code: Code::Load,
            severity: Severity::Error,
            role: String::new(),
            document: document.to_owned(),
            line,
            uid: 0,
            path: String::new(),
            problem: problem.to_owned(),
            advice: "mend it: a tree that does not load cannot be run".to_owned(),
            example: None,
        }
    }
}

/// `trees/leader.xml:12: error BT101 at Leader::1/lift: <problem>; <advice>`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.document)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {} {}", self.severity.as_str(), self.code)?;
        if !self.role.is_empty() {
            write!(f, " (role {})", self.role)?;
        }
        if !self.path.is_empty() {
            write!(f, " at {}", self.path)?;
        }
        write!(f, ": {}", self.problem)?;
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}
