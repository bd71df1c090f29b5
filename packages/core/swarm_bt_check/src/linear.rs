//! The checks that look at every node once.

use std::collections::BTreeSet;

use swarm_bt::{Access, Hook, SlotId, Tree};

use crate::answers::Answers;
use crate::finding::{Code, Finding, Severity};
use crate::flow::{EarlyRead, Flow, flow};
use crate::leaves::{LeafTable, Pace};

/// Checks one tree by itself. `given` are keys of the main blackboard that are written from outside before the first tick.
pub(crate) fn check_tree(tree: &Tree, table: &LeafTable, given: &BTreeSet<String>) -> Vec<Finding> {
    let slots: Vec<SlotId> = given.iter().filter_map(|key| tree.slot(key)).collect();
    let flow = flow(tree, table, &slots);
    let mut findings = Vec::new();
    early_reads(tree, &flow, &mut findings);
    unreachable(tree, &flow, &mut findings);
    restarts(tree, table, &flow, &mut findings);
    findings
}

fn early_reads(tree: &Tree, flow: &Flow<'_>, findings: &mut Vec<Finding>) {
    let written = written_anywhere(tree);
    for &EarlyRead { uid, by, slot } in &flow.early {
        let key = tree.key(slot);
        findings.push(if written.contains(&slot) {
            Finding::at(tree, uid, Code::ReadBeforeWrite, Severity::Error).says(
                format!(
                    "{by} reads blackboard entry '{key}', which on some way here has not been written yet"
                ),
                "write it on every way that leads here, for instance with a Script at the tree's beginning",
            )
        } else {
            Finding::at(tree, uid, Code::NeverWritten, Severity::Error).says(
                format!("{by} reads blackboard entry '{key}', which nothing in the tree writes"),
                "write it first, or mend its name",
            )
        });
    }
}

/// Entries that some script, condition or port writes.
fn written_anywhere(tree: &Tree) -> BTreeSet<SlotId> {
    let mut written = BTreeSet::new();
    for view in tree.nodes().iter().filter_map(|info| tree.view(info.uid)) {
        written.extend(view.writes());
        let scripts = Hook::ALL.into_iter().filter_map(|hook| view.hook(hook)).chain(view.script());
        for access in scripts.flat_map(|script| script.accesses()) {
            if let Access::Write(slot) | Access::MayWrite(slot) = access {
                written.insert(slot);
            }
        }
    }
    written
}

/// Nodes that are never ticked while their parent is: the first of each row of siblings.
fn unreachable(tree: &Tree, flow: &Flow<'_>, findings: &mut Vec<Finding>) {
    let ticked = |uid: u16| flow.answers.get(usize::from(uid - 1)).is_some_and(|answers| !answers.is_empty());
    for view in tree.nodes().iter().filter_map(|info| tree.view(info.uid)).filter(|view| ticked(view.uid())) {
        let (mut before, mut told) = (None, false);
        for child in view.children() {
            if ticked(child) {
                (before, told) = (Some(child), false);
                continue;
            }
            if std::mem::replace(&mut told, true) {
                continue;
            }
            let why = match before.and_then(|uid| Some((uid, tree.node(uid)?))) {
                Some((uid, sibling)) if !view.id().starts_with("Switch") => format!(
                    "is never ticked: '{}' (line {}) before it only answers {}",
                    sibling.name,
                    sibling.line,
                    flow.answers[usize::from(uid - 1)]
                ),
                _ => "is never ticked: a condition or a number of its parent always keeps it from being"
                    .to_owned(),
            };
            findings.push(
                Finding::at(tree, child, Code::Unreachable, Severity::Warning)
                    .says(why, "take it out, or mend what stands before it"),
            );
        }
    }
}

/// Children of reactive nodes that halt one another: the earlier one starts over in every tick, and while it runs it halts the
/// later one.
fn restarts(tree: &Tree, table: &LeafTable, flow: &Flow<'_>, findings: &mut Vec<Finding>) {
    let after_running = after_running(tree, flow);
    for view in tree.nodes().iter().filter_map(|info| tree.view(info.uid)) {
        let go_on = match view.id() {
            "ReactiveSequence" => Answers::SUCCESS,
            "ReactiveFallback" => Answers::FAILURE,
            _ => continue,
        };
        let runs = |uid: u16| flow.answers[usize::from(uid - 1)].any(Answers::RUNNING);
        let mut earlier: Option<(u16, Pace)> = None;
        // A child that only runs on its way to another answer does not start over while the next one runs.
        for child in view.children().filter(|child| runs(*child)) {
            let pace = pace_below(tree, table, child);
            if let Some((first, first_pace)) = earlier {
                let certain = first_pace == Pace::TakesTime && pace == Pace::TakesTime;
                let severity = if certain { Severity::Error } else { Severity::Warning };
                let name = |uid| tree.node(uid).map_or("", |info| info.name.as_str());
                findings.push(Finding::at(tree, child, Code::RestartLoop, severity).says(
                    format!(
                        "{} may run while '{}' is done, but that starts over in every tick, and while it runs it halts this one",
                        name(child),
                        name(first)
                    ),
                    format!(
                        "a {} may have one child that runs; put the others before it into a Sequence of their own, or let them \
                         answer at once",
                        view.id()
                    ),
                ));
                break;
            }
            let passes = after_running[usize::from(child - 1)].any(go_on);
            if passes && pace != Pace::UntilFirstSuccess {
                earlier = Some((child, pace));
            }
        }
    }
}

/// By uid - 1: what a node may answer in the end after it has run for a while.
fn after_running(tree: &Tree, flow: &Flow<'_>) -> Vec<Answers> {
    let mut after = vec![Answers::NONE; tree.nodes().len()];
    // Children have higher uids than their parents.
    for view in tree.nodes().iter().rev().filter_map(|info| tree.view(info.uid)) {
        let at = usize::from(view.uid() - 1);
        let completed = flow.answers[at].without(Answers::RUNNING.or(Answers::SKIPPED));
        let children: Vec<usize> = view.children().map(|uid| usize::from(uid - 1)).collect();
        let all = children.iter().fold(Answers::NONE, |sum, child| sum.or(after[*child]));
        let swapped = |answers: Answers| {
            let to = |from: Answers, to: Answers| if answers.any(from) { to } else { Answers::NONE };
            to(Answers::SUCCESS, Answers::FAILURE).or(to(Answers::FAILURE, Answers::SUCCESS))
        };
        after[at] = match view.id() {
            _ if children.is_empty() => {
                if flow.answers[at].any(Answers::RUNNING) {
                    completed
                } else {
                    Answers::NONE
                }
            }
            "Sequence" | "AsyncSequence" | "SequenceWithMemory" | "ReactiveSequence" => {
                in_a_row(&children, &after, flow, Answers::SUCCESS, Answers::FAILURE)
            }
            "Fallback" | "AsyncFallback" | "ReactiveFallback" => {
                in_a_row(&children, &after, flow, Answers::FAILURE, Answers::SUCCESS)
            }
            "Inverter" => swapped(all),
            "SubTree" => all,
            "Delay" => completed,
            _ if all.is_empty() => Answers::NONE,
            _ => completed,
        };
    }
    after
}

/// Children of which the next has its turn after the answer `go_on`; the last one's is the answer then.
fn in_a_row(
    children: &[usize],
    after: &[Answers],
    flow: &Flow<'_>,
    go_on: Answers,
    stop: Answers,
) -> Answers {
    let mut ran = false;
    let mut answers = Answers::NONE;
    for &child in children {
        if after[child].any(stop) || ran && flow.answers[child].any(stop) {
            answers = answers.or(stop);
        }
        ran |= after[child].any(go_on);
    }
    if ran { answers.or(go_on) } else { answers }
}

/// How long the leaves below a node take: the slowest of them, as far as known.
fn pace_below(tree: &Tree, table: &LeafTable, uid: u16) -> Pace {
    let (mut takes_time, mut unknown, mut until) = (false, false, false);
    let mut open = vec![uid];
    while let Some(view) = open.pop().and_then(|uid| tree.view(uid)) {
        open.extend(view.children());
        match view.leaf().map(|model| table.facts(model).pace) {
            Some(Pace::TakesTime) => takes_time = true,
            Some(Pace::Unknown) => unknown = true,
            Some(Pace::UntilFirstSuccess) => until = true,
            Some(Pace::AtOnce) => {}
            None => unknown |= matches!(view.id(), "Sleep" | "Delay"),
        }
    }
    match () {
        () if takes_time => Pace::TakesTime,
        () if unknown => Pace::Unknown,
        () if until => Pace::UntilFirstSuccess,
        () => Pace::AtOnce,
    }
}
