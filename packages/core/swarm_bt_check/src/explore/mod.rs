//! Exhaustive exploration with a finite model of the leaves.
//!
//! 1. [`local`]: each tree by itself becomes a graph of states; the ticks are the engine's own.
//! 2. [`alone`] judges it.
//! 3. [`product`]: the graphs of all roles side by side, joined by what cooperative leaves do ([`shared`]).
//! 4. [`together`] judges that.

mod alone;
mod choices;
mod example;
mod local;
mod product;
mod shared;
mod together;
mod values;

use std::fmt;

use swarm_bt::Tree;

use crate::check::Given;
use crate::finding::{Code, Finding, Severity};
use crate::leaves::LeafTable;
use alone::Alone;
use local::{Bounds, Local};
use product::Product;
use shared::Cooperation;

/// How far the exploration may go. It ends by itself where there is nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// States of one tree.
    pub states: usize,
    /// Ways in which one tick of one tree can go.
    pub ways: usize,
    /// States of all roles side by side.
    pub worlds: usize,
    /// Bytes that the states of one tree may take.
    pub bytes: usize,
}

impl Limits {
    /// So many states of all roles side by side, and as many of each, and bytes for them, as go with that.
    pub fn of_worlds(worlds: usize) -> Self {
        Limits { states: worlds / 10, ways: 2_000, worlds, bytes: worlds.saturating_mul(1_300) }
    }
}

impl Default for Limits {
    /// 200,000 worlds: seconds, and 260 MB for each tree at most.
    fn default() -> Self {
        Limits::of_worlds(200_000)
    }
}

/// How far the exploration has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explored {
    /// The role, or `all roles`.
    pub what: String,
    pub states: usize,
    /// Ticks to the state that is furthest away.
    pub depth: u32,
    /// No state was left out.
    pub exhausted: bool,
}

/// `leader: exhausted, 34 states, depth 33`.
impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.exhausted { "exhausted" } else { "not exhausted" };
        write!(f, "{}: {how}: {} states, depth {}", self.what, self.states, self.depth)
    }
}

/// Explores each tree by itself, and if there are several, all of them side by side. `findings` are those of the linear checks; they
/// get runs that show them, and the exploration's findings are added.
pub(crate) fn explore(
    roles: &[(&str, &Tree)],
    phases: Vec<String>,
    table: &LeafTable,
    given: &Given,
    limits: Limits,
    findings: &mut Vec<Finding>,
) -> Vec<Explored> {
    let bounds = Bounds { states: limits.states, edges: limits.ways, bytes: limits.bytes };
    let mut explored = Vec::new();
    let mut locals = Vec::new();
    for &(role, tree) in roles {
        let mut local = Local::new(tree, table, given, bounds);
        let alone = Alone::explore(&mut local, role);
        let (mut mine, others): (Vec<_>, Vec<_>) =
            findings.drain(..).partition(|finding| finding.role == role);
        alone.illustrate(&mut mine);
        let mut found = Vec::new();
        alone.failing_ticks(&mine, &mut found);
        alone.livelock(&mut found);
        alone.never_ticked(&mine, &mut found);
        for finding in &mut found {
            role.clone_into(&mut finding.role);
        }
        findings.extend(others.into_iter().chain(mine).chain(found));
        let depth = alone.depth();
        let how = Explored { what: role.to_owned(), states: local.len(), depth, exhausted: !local.cut };
        findings.extend(cut_short(&how, role, tree));
        explored.push(how);
        locals.push(local);
    }
    if roles.len() > 1 {
        let cooperation = Cooperation::new(roles, table, phases);
        let mut product = Product::new(locals, cooperation);
        let exhausted = product.explore(limits.worlds);
        together::Together::new(&product, roles).judge(findings);
        let (states, depth) = (product.worlds.len(), product.depth());
        let how = Explored { what: "all roles".to_owned(), states, depth, exhausted };
        findings.extend(cut_short(&how, "", roles[0].1));
        explored.push(how);
    }
    explored
}

/// Says of an exploration that was cut short that there is more, so that no silence passes for proof. `tree` is where it began.
fn cut_short(explored: &Explored, role: &str, tree: &Tree) -> Option<Finding> {
    if explored.exhausted {
        return None;
    }
    let of = if explored.what.is_empty() { "the tree" } else { &explored.what };
    let mut finding = Finding::at(tree, 1, Code::CutShort, Severity::Warning).says(
        format!(
            "explored {} states of {of}, up to {} ticks away, not all: mistakes may be among those that were not seen",
            explored.states, explored.depth
        ),
        "let `cell bt check --states` look at more, or let less of the tree change side by side",
    );
    role.clone_into(&mut finding.role);
    Some(finding)
}

/// The phases of the skill: those of the first role that has any. Roles that have others are reported.
pub(crate) fn common_phases(
    roles: &[(&str, &Tree)],
    table: &LeafTable,
    findings: &mut Vec<Finding>,
) -> Vec<String> {
    let mut common: Option<(&str, Vec<String>)> = None;
    for &(role, tree) in roles {
        let found = crate::leaves::phases(tree, table);
        match &common {
            None if found.is_empty() => {}
            None => common = Some((role, found.into_iter().map(|(_, name)| name).collect())),
            Some((other, expected)) => {
                let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
                if names == *expected {
                    continue;
                }
                let differs =
                    names.iter().zip(expected.iter()).take_while(|(ours, theirs)| *ours == *theirs).count();
                let uid = found.get(differs).map_or(1, |(uid, _)| *uid);
                let mut finding = Finding::at(tree, uid, Code::PhasesDiffer, Severity::Error).says(
                    format!(
                        "the role enters the phases {}, but {other} enters {}",
                        list(&names),
                        expected.join(", ")
                    ),
                    "let all roles enter the same phases in the same order",
                );
                role.clone_into(&mut finding.role);
                findings.push(finding);
            }
        }
    }
    common.map(|(_, phases)| phases).unwrap_or_default()
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
