//! Which values a leaf may write, out of the infinitely many.

use swarm_bt::{Hook, PortType, ScriptView, SlotId, Tree, Value};

use super::local::is_number;

/// So many values per output at most; more would be tried in vain more often than not.
const AT_MOST: usize = 6;

/// Values for an entry of this type: the literals of the scripts that use it, the numbers on either side of them, and
/// one that is none of them.
pub(super) fn candidates(tree: &Tree, slot: SlotId, ty: PortType) -> Vec<Value> {
    if !matters(tree, slot) {
        return vec![match ty {
            PortType::Bool => Value::Bool(true),
            PortType::Str => Value::from("any"),
            PortType::Vector => Value::from(vec![0.0]),
            PortType::Float => Value::Float(0.0),
            PortType::Int | PortType::Any => Value::Int(0),
        }];
    }
    let literals: Vec<Value> = scripts_using(tree, slot).flat_map(|script| script.literals()).collect();
    let mut values: Vec<Value> = Vec::new();
    let mut add = |value: Value| {
        if values.len() < AT_MOST && !values.contains(&value) {
            values.push(value);
        }
    };
    match ty {
        PortType::Bool => [true, false].into_iter().for_each(|truth| add(Value::Bool(truth))),
        PortType::Vector => add(Value::from(vec![0.0])),
        _ => {
            for literal in &literals {
                match literal {
                    Value::Int(number) if is_number(ty) => {
                        for near in [*number, number.saturating_add(1), number.saturating_sub(1)] {
                            add(Value::Int(near));
                        }
                    }
                    Value::Float(number) if ty != PortType::Int && ty != PortType::Str => {
                        for near in [*number, number + 1.0, number - 1.0] {
                            add(Value::Float(near));
                        }
                    }
                    Value::Str(_) if matches!(ty, PortType::Str | PortType::Any) => add(literal.clone()),
                    _ => {}
                }
            }
            match ty {
                PortType::Str => add(Value::from("other")),
                PortType::Float => add(Value::Float(0.0)),
                _ => add(Value::Int(0)),
            }
        }
    }
    values
}

/// Whether what an entry holds can change what the tree does by itself: a script or a built-in node reads it.
fn matters(tree: &Tree, slot: SlotId) -> bool {
    let mut nodes =
        tree.nodes().iter().filter_map(|info| tree.view(info.uid)).filter(|view| view.leaf().is_none());
    nodes.any(|view| view.reads().iter().any(|(_, read)| *read == slot))
        || scripts_using(tree, slot).next().is_some()
}

fn scripts_using(tree: &Tree, slot: SlotId) -> impl Iterator<Item = ScriptView<'_>> {
    let scripts = tree.nodes().iter().filter_map(|info| tree.view(info.uid)).flat_map(|view| {
        let hooks = Hook::ALL.into_iter().filter_map(move |hook| view.hook(hook));
        view.script().into_iter().chain(hooks)
    });
    scripts.filter(move |script| script.accesses().iter().any(|access| access.slot() == slot))
}
