//! Control nodes that choose which child is ticked.

use std::fmt::Write as _;

use super::{Done, Exec, NodeId, TickErrorKind, Ticked};
use crate::state::Memory;
use crate::status::{NodeStatus, Observer, Status};
use crate::tree::{Binding, Flag, Mode, Node, Switch, Tree, case_number};
use crate::value::Value;

/// In [`Memory::index`] of a TryCatch: something has failed, and the last child has its turn.
const CATCHING: u32 = u32::MAX;

impl<O: Observer> Exec<'_, O> {
    /// The first child decides once; then the second is ticked until it completes, or the third.
    #[inline(never)]
    pub(super) fn if_then_else(&mut self, id: NodeId, node: &Node) -> Ticked {
        let &[condition, then, ref otherwise @ ..] = self.children(node) else { return self.broken(id) };
        self.set_status(id, NodeStatus::Running);
        let mut branch = self.memory(id).index;
        if branch == 0 {
            branch = match self.execute(condition)? {
                Status::Running => return Ok(Status::Running),
                Status::Skipped => return self.skipped_condition(id, node, "IfThenElse"),
                Status::Success => 1,
                Status::Failure => 2,
            };
            if branch == 2 && otherwise.is_empty() {
                // The original leaves its condition completed: an action stays so, and repeats its answer, for ever.
                if self.tree.mode == Mode::Strict {
                    self.reset_children(node)?;
                }
                return Ok(Status::Failure);
            }
            self.keep(id, Memory { index: branch, count: 0 });
        }
        let chosen = if branch == 1 { Some(&then) } else { otherwise.first() };
        let Some(&chosen) = chosen else { return self.broken(id) };
        let answer = self.execute(chosen)?;
        if answer != Status::Running {
            self.reset_children(node)?;
            self.keep(id, Memory::default());
        }
        Ok(answer)
    }

    /// As IfThenElse, but the condition is looked at in every tick, and a branch that is no longer wanted halts.
    #[inline(never)]
    pub(super) fn while_do_else(&mut self, id: NodeId, node: &Node) -> Ticked {
        let &[condition, then, ref otherwise @ ..] = self.children(node) else { return self.broken(id) };
        self.set_status(id, NodeStatus::Running);
        let decision = self.execute(condition)?;
        // In the original it stays completed: an action repeats its answer then, and its pre-conditions are not looked at.
        if self.tree.mode == Mode::Strict && decision.is_completed() {
            self.reset(condition)?;
        }
        let answer = match (decision, otherwise.first()) {
            (Status::Running, _) => return Ok(Status::Running),
            (Status::Skipped, _) => {
                // The original resets, and throws then.
                self.reset_children(node)?;
                return self.skipped_condition(id, node, "WhileDoElse");
            }
            (Status::Success, otherwise) => {
                if let Some(&otherwise) = otherwise {
                    self.reset(otherwise)?;
                }
                self.execute(then)?
            }
            (Status::Failure, Some(&otherwise)) => {
                self.reset(then)?;
                self.execute(otherwise)?
            }
            (Status::Failure, None) => Status::Failure,
        };
        if answer != Status::Running {
            self.reset_children(node)?;
        }
        Ok(answer)
    }

    /// Nothing has been decided, so that no branch may be taken. The original throws.
    fn skipped_condition(&mut self, id: NodeId, node: &Node, name: &'static str) -> Ticked {
        match self.tree.mode {
            Mode::Compat => self.fail(id, TickErrorKind::SkippedCondition { node: name }),
            Mode::Strict => {
                self.reset_children(node)?;
                self.keep(id, Memory::default());
                Ok(Status::Skipped)
            }
        }
    }

    /// The child of the first case that equals the variable, else the last child; looked at in every tick.
    #[inline(never)]
    pub(super) fn switch(&mut self, id: NodeId, node: &Node, at: u32) -> Ticked {
        let tree = self.tree;
        let Some(switch) = tree.switches.get(at as usize) else { return self.broken(id) };
        let children = self.children(node);
        let chosen = self.chosen_case(switch);
        let Some(&child) = children.get(chosen) else { return self.broken(id) };

        // One more than the child that runs; 0 for none.
        let running = self.memory(id).index as usize;
        let chosen = chosen.saturating_add(1);
        if running != 0
            && running != chosen
            && let Some(&other) = children.get(running.saturating_sub(1))
        {
            self.reset(other)?;
        }
        let answer = self.execute(child)?;
        let running = match answer {
            Status::Running => chosen as u32,
            Status::Skipped => 0,
            Status::Success | Status::Failure => {
                self.reset_children(node)?;
                0
            }
        };
        self.keep(id, Memory { index: running, count: 0 });
        Ok(answer)
    }

    /// Place of the first case that equals the variable; the number of cases if none does.
    fn chosen_case(&self, switch: &Switch) -> usize {
        let default = switch.cases.len();
        let Some(variable) = self.bound(&switch.variable) else { return default };
        let mut cases = switch.cases.iter().zip(&switch.numbers);
        let chosen = match whole(variable) {
            // A whole number has the text of no case that is not the same number.
            Some(x) => cases.position(|(case, number)| match (number, case) {
                (Some(number), _) => same(x, *number),
                (None, Binding::Literal(_)) => false,
                (None, _) => self.equals(variable, case),
            }),
            None => cases.position(|(case, _)| self.equals(variable, case)),
        };
        chosen.unwrap_or(default)
    }

    fn equals(&self, variable: &Value, case: &Binding) -> bool {
        let Some(case) = self.bound(case) else { return false };
        Variable::of(self.tree, variable).is_some_and(|variable| variable.equals(self.tree, case))
    }

    fn bound<'b>(&'b self, binding: &'b Binding) -> Option<&'b Value> {
        match binding {
            Binding::Unset => None,
            Binding::Literal(value) => Some(value),
            Binding::Slot(slot) => self.state.get(*slot),
        }
    }

    /// A Sequence of all children but the last, which is ticked when one of them fails. FAILURE in any case then.
    #[inline(never)]
    pub(super) fn try_catch(&mut self, id: NodeId, node: &Node) -> Ticked {
        let Some(&catch) = self.children(node).last() else { return self.broken(id) };
        let mut memory = self.memory(id);
        if self.status(id) == NodeStatus::Idle {
            memory.count = 0;
            if memory.index == CATCHING {
                memory.index = 0;
            }
        }
        self.set_status(id, NodeStatus::Running);

        let tries = u32::from(node.child_count.saturating_sub(1));
        while memory.index < tries {
            let Some(&child) = self.children(node).get(memory.index as usize) else { return self.broken(id) };
            match self.execute(child)? {
                Status::Running => {
                    self.keep(id, memory);
                    return Ok(Status::Running);
                }
                Status::Failure => {
                    self.reset_children(node)?;
                    memory.index = CATCHING;
                }
                Status::Success => memory.index = memory.index.saturating_add(1),
                Status::Skipped => {
                    memory.index = memory.index.saturating_add(1);
                    memory.count = memory.count.saturating_add(1);
                }
            }
        }
        let answer = if memory.index == CATCHING {
            self.keep(id, memory);
            if self.execute(catch)? == Status::Running {
                return Ok(Status::Running);
            }
            Status::Failure
        } else if memory.count == tries {
            Status::Skipped
        } else {
            Status::Success
        };
        self.reset_children(node)?;
        self.keep(id, Memory::default());
        Ok(answer)
    }

    /// With `catch_on_halt` the last child is ticked once when what is tried is interrupted.
    pub(super) fn try_catch_halted(&mut self, id: NodeId, node: &Node, catch_on_halt: Flag) -> Done {
        let active = self.status(id) != NodeStatus::Idle && self.memory(id).index != CATCHING;
        if active
            && self.flag(catch_on_halt, false)
            && let Some((&catch, tries)) = self.children(node).split_last()
        {
            for &child in tries {
                self.reset(child)?;
            }
            if self.execute(catch)? == Status::Running {
                self.reset(catch)?;
            }
        }
        self.keep(id, Memory::default());
        Ok(())
    }
}

/// A number without fraction, whose text stands for itself.
fn whole(value: &Value) -> Option<f64> {
    // Up to here a float and its text with six decimals are the same number.
    const LIMIT: f64 = 1e15;
    value.number().filter(|x| x.fract() == 0.0 && x.abs() < LIMIT)
}

/// Numbers are equal as in scripts.
fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= f64::from(f32::EPSILON)
}

/// What a Switch compares with its cases.
pub(crate) struct Variable<'v> {
    text: Text<'v>,
    number: Option<f64>,
}

impl<'v> Variable<'v> {
    /// `None` for a vector, which equals no case.
    pub(crate) fn of(tree: &Tree, value: &'v Value) -> Option<Self> {
        let text = Text::of(value)?;
        let number = text.number(tree);
        Some(Variable { text, number })
    }

    /// Equal as text, or as numbers, which are equal as in scripts.
    pub(crate) fn equals(&self, tree: &Tree, case: &Value) -> bool {
        let Some(case) = Text::of(case) else { return false };
        case.as_str() == self.text.as_str()
            || matches!((self.number, case.number(tree)), (Some(a), Some(b))
                if same(a, b))
    }
}

/// A value as the text that BehaviorTree.CPP compares, without allocating.
struct Text<'v> {
    borrowed: Option<&'v str>,
    /// A float has at most 309 digits before the point and six behind.
    written: [u8; 320],
    length: usize,
}

impl<'v> Text<'v> {
    /// `None` for a vector, which has no text there.
    fn of(value: &'v Value) -> Option<Self> {
        let mut text = Text { borrowed: None, written: [0; 320], length: 0 };
        match value {
            Value::Str(borrowed) => text.borrowed = Some(borrowed),
            Value::Vector(_) => return None,
            number => write!(text, "{number}").ok()?,
        }
        Some(text)
    }

    fn as_str(&self) -> &str {
        let written = || std::str::from_utf8(self.written.get(..self.length)?).ok();
        self.borrowed.or_else(written).unwrap_or_default()
    }

    fn number(&self, tree: &Tree) -> Option<f64> {
        case_number(self.as_str(), |name| tree.enum_value(name))
    }
}

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        let end = self.length.saturating_add(part.len());
        let free = self.written.get_mut(self.length..end).ok_or(std::fmt::Error)?;
        free.copy_from_slice(part.as_bytes());
        self.length = end;
        Ok(())
    }
}
