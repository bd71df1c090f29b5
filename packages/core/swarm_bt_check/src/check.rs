//! All checks of the trees of a skill.

use std::collections::BTreeSet;

use swarm_bt::Tree;

use crate::explore::{Explored, Limits, common_phases, explore};
use crate::finding::{Finding, Severity};
use crate::leaves::LeafTable;
use crate::linear;

/// Keys of the main blackboard that are written from outside before the first tick.
pub type Given = BTreeSet<String>;

/// The tree of one role.
#[derive(Clone, Copy, Debug)]
pub struct RoleTree<'t> {
    /// Empty for a tree that plays no role.
    pub role: &'t str,
    pub tree: &'t Tree,
}

/// What was found, and how hard it was looked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Errors first, then in the order of the trees and their lines.
    pub findings: Vec<Finding>,
    /// By role: see [`Tree::max_visits`].
    pub visits: Vec<(String, u64)>,
    pub explored: Vec<Explored>,
}

impl Report {
    /// Findings that keep a skill from being deployed.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error)
    }
}

/// The linear checks of one tree: each node is looked at once. For a tree of 1,000 nodes this takes well under a millisecond.
pub fn check_tree(role: RoleTree<'_>, table: &LeafTable, given: &Given) -> Vec<Finding> {
    let mut findings = linear::check_tree(role.tree, table, given);
    for finding in &mut findings {
        role.role.clone_into(&mut finding.role);
    }
    findings
}

/// All checks of the trees that run together.
pub fn check(roles: &[RoleTree<'_>], table: &LeafTable, given: &Given, limits: Limits) -> Report {
    let mut findings: Vec<Finding> = roles.iter().flat_map(|role| check_tree(*role, table, given)).collect();
    let visits = roles.iter().map(|role| (role.role.to_owned(), role.tree.max_visits())).collect();
    let pairs: Vec<(&str, &Tree)> = roles.iter().map(|role| (role.role, role.tree)).collect();
    let phases = common_phases(&pairs, table, &mut findings);
    let explored = explore(&pairs, phases, table, given, limits, &mut findings);
    let order = |finding: &Finding| roles.iter().position(|role| role.role == finding.role);
    findings.sort_by_key(|finding| (finding.severity, order(finding), finding.line, finding.code));
    Report { findings, visits, explored }
}
