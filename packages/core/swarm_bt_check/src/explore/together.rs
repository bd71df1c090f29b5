//! All roles of a skill: waits that never end, and runs that never do.

use std::collections::BTreeSet;

use super::example::{Role, example, leaf_name};
use super::product::{ENDED, OutOfOrder, Product};
use super::shared::{Cooperation, Op};
use crate::finding::{Code, Example, Finding, Severity};

/// Judges the worlds that have been explored.
pub(super) struct Together<'p, 't> {
    product: &'p Product<'t>,
    roles: &'p [Role<'t>],
}

/// A role and the leaf at which it waits.
type Wait = (usize, u16);

impl<'p, 't> Together<'p, 't> {
    pub(super) fn new(product: &'p Product<'t>, roles: &'p [Role<'t>]) -> Self {
        Together { product, roles }
    }

    /// Where it is known that the roles' phases differ, what comes of that goes without saying: of the findings that it causes only
    /// a run that shows it is kept.
    pub(super) fn judge(&self, findings: &mut Vec<Finding>) {
        let mut found = Vec::new();
        self.out_of_order(&mut found);
        self.deadlocks(&mut found);
        if let Some(differ) = findings.iter_mut().find(|finding| finding.code == Code::PhasesDiffer) {
            let (of_phases, others) = found.into_iter().partition(|finding| self.is_of_phases(finding));
            let of_phases: Vec<Finding> = of_phases;
            differ.example = of_phases.into_iter().next().and_then(|finding| finding.example);
            found = others;
        } else if found.is_empty() {
            self.no_end(&mut found);
        }
        findings.append(&mut found);
    }

    fn is_of_phases(&self, finding: &Finding) -> bool {
        let role = self.roles.iter().position(|(role, _)| *role == finding.role);
        matches!(role.and_then(|role| self.product.cooperation.op_of(role, finding.uid)), Some(Op::Phase(_)))
    }

    fn example(&self, world: u32) -> Example {
        example(self.roles, &self.product.way_to(world))
    }

    fn finding(&self, (role, uid): Wait, code: Code) -> Finding {
        let (name, tree) = self.roles[role];
        let mut finding = Finding::at(tree, uid, code, Severity::Error);
        name.clone_into(&mut finding.role);
        finding
    }

    fn out_of_order(&self, findings: &mut Vec<Finding>) {
        let mut told = BTreeSet::new();
        for &OutOfOrder { world, step, uid } in &self.product.out_of_order {
            let role = usize::from(step.role);
            if !told.insert((role, uid)) {
                continue;
            }
            let mut way = self.product.way_to(world);
            way.push(self.product.edge_of(world, step));
            let mut finding = self.finding((role, uid), Code::PhaseOutOfOrder).says(
                format!(
                    "{} is not the next phase when the role gets here, and fails",
                    leaf_name(self.roles[role].1, uid)
                ),
                "let every way through the tree enter all phases, in the skill's order, each once",
            );
            finding.example = Some(example(self.roles, &way));
            findings.push(finding);
        }
    }

    /// Waits that nothing ends but a time-out or the end of the run. Of the worlds in which a role waits in vain the most telling
    /// is one in which every role that still runs does.
    fn deadlocks(&self, findings: &mut Vec<Finding>) {
        let vain = self.vain_waits();
        let stuck = |id: u32| vain[id as usize].iter().map(|(role, _)| *role).collect::<BTreeSet<_>>().len();
        let runs =
            |id: u32| self.product.worlds[id as usize].locals.iter().filter(|local| **local != ENDED).count();
        let mut worlds: Vec<u32> =
            (0..vain.len() as u32).filter(|id| !vain[*id as usize].is_empty()).collect();
        worlds.sort_by_key(|id| (runs(*id) - stuck(*id), *id));
        let mut told: BTreeSet<Wait> = BTreeSet::new();
        for id in worlds {
            let waits = &vain[id as usize];
            // What waits in vain here does so elsewhere, too; each is told once.
            if waits.iter().any(|wait| told.contains(wait)) {
                told.extend(waits);
                continue;
            }
            told.extend(waits);
            let shared = &self.product.worlds[id as usize].shared;
            let held = waits.iter().any(|(role, _)| !Cooperation::may_act(shared, *role));
            // Who could act is nearer to the cause than who is made to stand.
            let first = waits.iter().find(|(role, _)| Cooperation::may_act(shared, *role)).or(waits.first());
            let Some(first) = first else { continue };
            let advice = if held {
                "let the role that makes the others stand still release them before it waits for them, on every way through its tree"
            } else {
                "let all roles come to the same barriers in the same order on every way through their trees, also after a failure, and \
                 take resources in one order"
            };
            let problem = format!("nothing but a time-out ends these waits: {}", self.situation(id, waits));
            let mut finding = self.finding(*first, Code::Deadlock).says(problem, advice);
            finding.example = Some(self.example(id));
            findings.push(finding);
        }
    }

    /// By world: the waits that never end.
    fn vain_waits(&self) -> Vec<Vec<Wait>> {
        let product = self.product;
        let count = product.worlds.len() as u32;
        let mut waiting: Vec<Vec<Wait>> = vec![Vec::new(); count as usize];
        let mut all = BTreeSet::new();
        for id in 0..count {
            for role in 0..self.roles.len() {
                waiting[id as usize].extend(product.waits(id, role).map(|uid| (role, uid)));
            }
            all.extend(waiting[id as usize].iter().copied());
        }
        let mut vain: Vec<Vec<Wait>> = vec![Vec::new(); count as usize];
        for wait in all {
            let ends = product.can_reach(|id| !waiting[id as usize].contains(&wait), false);
            for id in (0..count).filter(|id| !ends[*id as usize]) {
                vain[id as usize].push(wait);
            }
        }
        vain
    }

    /// Who waits for what, and what the others do.
    fn situation(&self, id: u32, waits: &[Wait]) -> String {
        let product = self.product;
        let world = &product.worlds[id as usize];
        let names: Vec<&str> = self.roles.iter().map(|(name, _)| *name).collect();
        let mut parts = Vec::new();
        for (role, (name, tree)) in self.roles.iter().enumerate() {
            if let Some(holder) = world.shared.holder_of(role) {
                parts.push(format!(
                    "{name} is made to stand still by {}",
                    names.get(holder).copied().unwrap_or("?")
                ));
                continue;
            }
            let here: Vec<_> = waits.iter().filter(|(waiting, _)| *waiting == role).collect();
            for (_, uid) in &here {
                let line = tree.node(*uid).map_or(0, |info| info.line);
                let what = product.cooperation.op_of(role, *uid);
                let what = what
                    .map(|op| product.cooperation.describe(op, role, &world.shared, &names))
                    .unwrap_or_default();
                parts.push(format!("{name} waits {what} (line {line})"));
            }
            if here.is_empty() {
                parts.push(if world.locals[role] == ENDED {
                    format!("{name} has ended")
                } else {
                    format!("{name} goes on")
                });
            }
        }
        parts.join(", ")
    }

    fn no_end(&self, findings: &mut Vec<Finding>) {
        let product = self.product;
        let done = |id: u32| product.worlds[id as usize].locals.iter().all(|local| *local == ENDED);
        let ends = product.can_reach(done, true);
        let Some(id) = (0..product.worlds.len() as u32).find(|id| !ends[*id as usize]) else { return };
        let role = (0..self.roles.len()).find(|role| product.worlds[id as usize].locals[*role] != ENDED);
        let mut finding = self.finding((role.unwrap_or(0), 1), Code::NoEnd).says(
            format!(
                "once they are here the roles never end, whatever their leaves answer: {}",
                self.situation(id, &[])
            ),
            "let the roles come to an end together, or give the run up with a failure",
        );
        finding.example = Some(self.example(id));
        findings.push(finding);
    }
}
