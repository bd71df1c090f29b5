//! Runs that show what was found.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use swarm_bt::{LeafKind, Status, Tree};

use super::local::{Edge, Event, Target};
use crate::finding::{Example, LeafScript, RoleScript};

/// A role and its tree.
pub(super) type Role<'a> = (&'a str, &'a Tree);

/// The run that takes these steps.
pub(super) fn example(roles: &[Role<'_>], way: &[(usize, &Edge)]) -> Example {
    let mut ticks = vec![0_usize; roles.len()];
    let mut scripts: Vec<BTreeMap<String, LeafScript>> = vec![BTreeMap::new(); roles.len()];
    let mut steps = Vec::new();
    for (role, edge) in way {
        let Some((name, tree)) = roles.get(*role) else { continue };
        ticks[*role] += 1;
        steps.push(describe(name, tree, ticks[*role], edge));
        for event in &edge.events {
            note(tree, event, &mut scripts[*role]);
        }
    }
    for ((_, tree), scripts) in roles.iter().zip(&mut scripts) {
        add_uncalled(tree, scripts);
    }
    let roles = roles.iter().zip(ticks).zip(scripts);
    let roles = roles.map(|(((role, _), ticks), leaves)| RoleScript {
        role: (*role).to_owned(),
        ticks,
        leaves: leaves.into_values().collect(),
    });
    Example { steps, roles: roles.collect() }
}

/// A run needs an answer of every leaf, called or not.
fn add_uncalled(tree: &Tree, scripts: &mut BTreeMap<String, LeafScript>) {
    for info in tree.nodes() {
        let Some(model) = tree.leaf_model(info.uid) else { continue };
        let condition = model.kind == LeafKind::Condition;
        let answer = if condition { Status::Failure } else { Status::Running };
        scripts.entry(info.name.clone()).or_insert_with(|| LeafScript {
            leaf: info.name.clone(),
            condition,
            answers: vec![answer],
            outputs: BTreeMap::new(),
        });
    }
}

/// Nodes of one name share their script, in the order in which they are called.
fn note(tree: &Tree, event: &Event, scripts: &mut BTreeMap<String, LeafScript>) {
    let Event::Answered { uid, answer, wrote } = event else { return };
    let (Some(info), Some(model)) = (tree.node(*uid), tree.leaf_model(*uid)) else { return };
    let script = scripts.entry(info.name.clone()).or_insert_with(|| LeafScript {
        leaf: info.name.clone(),
        condition: model.kind == LeafKind::Condition,
        answers: Vec::new(),
        outputs: BTreeMap::new(),
    });
    let so_far = script.answers.len();
    script.answers.push(*answer);
    for (port, value) in wrote {
        let written = script.outputs.entry(port.clone()).or_default();
        written.resize(so_far, None);
        written.push(Some(value.to_string()));
    }
    let answers = script.answers.len();
    for written in script.outputs.values_mut() {
        written.resize(answers, None);
    }
}

/// `leader, tick 3: MoveToPart 'above part A' SUCCESS, EnterPhase RUNNING`.
fn describe(role: &str, tree: &Tree, tick: usize, edge: &Edge) -> String {
    let mut text = if role.is_empty() { format!("tick {tick}:") } else { format!("{role}, tick {tick}:") };
    let mut first = true;
    for event in &edge.events {
        let _ = write!(text, "{} ", if first { "" } else { "," });
        first = false;
        match event {
            Event::Answered { uid, answer, wrote } => {
                let _ = write!(text, "{} {answer}", leaf_name(tree, *uid));
                for (port, value) in wrote {
                    let _ = write!(text, " ({port} = {value})");
                }
            }
            Event::Given { entry, value } => {
                let _ = write!(text, "entry {} is {value}", tree.key(*entry));
            }
            Event::Empty { uid } => {
                let _ = write!(text, "{} reads an entry that is empty", leaf_name(tree, *uid));
            }
            Event::Halted { uid } => {
                let _ = write!(text, "{} is halted", leaf_name(tree, *uid));
            }
        }
    }
    if first {
        text.push_str(" no leaf is called");
    }
    match &edge.target {
        Target::State(_) => {}
        Target::Ended(status) => {
            let _ = write!(text, "; the tree answers {status}");
        }
        Target::Failed(error) => {
            let _ = write!(text, "; the tick fails: {}", error.kind);
        }
    }
    text
}

/// `MoveToPart 'above part A'`, or `EnterPhase 'grip'` where a leaf has no name of its own but names something.
pub(super) fn leaf_name(tree: &Tree, uid: u16) -> String {
    let Some(info) = tree.node(uid) else { return String::new() };
    if info.name != info.id {
        return format!("{} '{}'", info.id, info.name);
    }
    let named = ["phase", "name", "resource", "part"].iter().find_map(|port| tree.literal(uid, port));
    match named {
        Some(value) => format!("{} '{value}'", info.id),
        None => info.id.clone(),
    }
}
