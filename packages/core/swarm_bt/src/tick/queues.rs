//! LoopInt, LoopBool, LoopDouble and LoopString.

use smol_str::SmolStr;

use super::{Exec, Faulted, NodeId, TickErrorKind, Ticked, described};
use crate::state::{Queue, SlotId};
use crate::status::{NodeStatus, Observer, Status};
use crate::tree::{Items, Loop, Node};
use crate::value::{PortType, Value, parse};

impl<O: Observer> Exec<'_, O> {
    /// The child once for each item of a queue, one item in a tick at most, until it fails. What an entry holds when the
    /// loop begins is gone through, whatever is written to the entry meanwhile.
    #[inline(never)]
    pub(super) fn looped(&mut self, id: NodeId, node: &Node, at: u32) -> Ticked {
        let tree = self.tree;
        let Some(looped) = tree.loops.get(at as usize) else { return self.broken(id) };
        let child = self.child(id, node)?;
        let mut queue = match self.state.queues.get_mut(at as usize) {
            Some(queue) => std::mem::take(queue),
            None => return self.broken(id),
        };
        if self.status(id) == NodeStatus::Idle {
            queue = Queue::default();
        }
        if !queue.busy {
            let item = self.next_item(id, looped, &mut queue)?;
            match (item, looped.item) {
                (Some(item), Some(slot)) => self.store(id, "the loop", slot, &item)?,
                (Some(_), None) => {}
                (None, _) => {
                    self.keep_queue(at, queue);
                    return Ok(looped.if_empty);
                }
            }
        }
        if self.status(id) == NodeStatus::Idle {
            self.set_status(id, NodeStatus::Running);
        }
        let answer = self.execute(child)?;
        queue.busy = answer == Status::Running;
        self.keep_queue(at, queue);
        if answer.is_completed() {
            self.reset(child)?;
        }
        Ok(if answer == Status::Failure { Status::Failure } else { Status::Running })
    }

    fn keep_queue(&mut self, at: u32, queue: Queue) {
        if let Some(kept) = self.state.queues.get_mut(at as usize) {
            *kept = queue;
        }
    }

    fn next_item(&mut self, id: NodeId, looped: &Loop, queue: &mut Queue) -> Result<Option<Value>, Faulted> {
        let slot = match &looped.queue {
            Items::Literal(items) => return Ok(numbered(items, &mut queue.next).cloned()),
            Items::Entry(slot) => *slot,
        };
        if queue.items.is_none() {
            queue.items = Some(self.queue(id, slot, looped.ty)?);
        }
        let item = match &queue.items {
            Some(Value::Vector(items)) => numbered(items, &mut queue.next).map(|x| Value::Float(*x)),
            Some(Value::Str(text)) => part(text, &mut queue.next).and_then(|part| parse(part, looped.ty)),
            _ => None,
        };
        // All of them have been converted once before.
        Ok(item.and_then(|item| item.convert(looped.ty).ok()))
    }

    /// What an entry holds, if it is a list of what the loop wants: numbers, or text as `1;2;3`.
    fn queue(&mut self, id: NodeId, slot: SlotId, ty: PortType) -> Result<Value, Faulted> {
        let value = self.state.get(slot).cloned();
        let fits = match &value {
            Some(Value::Vector(items)) => {
                ty != PortType::Str && items.iter().all(|x| Value::Float(*x).convert(ty).is_ok())
            }
            Some(Value::Str(text)) => text.split_terminator(';').all(|item| parse(item, ty).is_some()),
            _ => false,
        };
        match value {
            Some(value) if fits => Ok(value),
            other => {
                let (key, found) = (self.key(slot), described(other.as_ref()));
                self.fail(id, TickErrorKind::Queue { key, found, ty })
            }
        }
    }
}

fn numbered<'q, T>(items: &'q [T], next: &mut u32) -> Option<&'q T> {
    let item = items.get(*next as usize)?;
    *next = next.saturating_add(1);
    Some(item)
}

/// The part of the text that begins at `next`, which goes on behind the separator.
fn part<'q>(text: &'q SmolStr, next: &mut u32) -> Option<&'q str> {
    let rest = text.get(*next as usize..).filter(|rest| !rest.is_empty())?;
    let part = rest.split(';').next()?;
    let taken = u32::try_from(part.len()).unwrap_or(u32::MAX).saturating_add(1);
    *next = next.saturating_add(taken);
    Some(part)
}
