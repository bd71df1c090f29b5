//! Interrupting nodes, and waiting for leaves that take time to stop.
//!
//! A node is idle as soon as it has been halted, as in the original. A leaf need not be: told to stop, it answers whether it
//! has ([`Halt`]), and is asked again in every tick until it has, apart from what the tree does meanwhile ([`Stop`]). Its node
//! may be ticked in the meantime; it then shows RUNNING, and the leaf is started in the first tick after it has stopped.

use super::{Done, Exec, NodeId, ROOT, leaves};
use crate::leaf::Halt;
use crate::state::{Memory, State, Stop};
use crate::status::{NodeStatus, Observer};
use crate::tree::{Kind, Mode, NO_HOOKS, Node};

impl<O: Observer> Exec<'_, O> {
    /// As `Tree::haltTree`: halts the root, and then every node once more, which runs the `_onHalted` scripts of all, of
    /// some twice. Strictly only what was running is told, once.
    pub(super) fn halt_tree(&mut self) -> Done {
        match self.tree.mode {
            Mode::Strict => self.halt_all(),
            Mode::Compat => {
                self.halt(ROOT)?;
                for (id, _) in (ROOT..).zip(&self.tree.nodes) {
                    self.halt(id)?;
                }
                Ok(())
            }
        }
    }

    /// Halts what runs and makes every node forget.
    pub(super) fn halt_all(&mut self) -> Done {
        self.reset(ROOT)?;
        for (id, node) in (ROOT..).zip(&self.tree.nodes) {
            self.stop(id, node)?;
        }
        Ok(())
    }

    /// Interrupts a node, then runs its `_onHalted` script.
    pub(super) fn halt(&mut self, id: NodeId) -> Done {
        let tree = self.tree;
        let Some(node) = tree.nodes.get(usize::from(id)) else { return self.broken(id) };
        self.stop(id, node)?;
        match node.hooks {
            NO_HOOKS => Ok(()),
            hooks => self.script(id, tree.hooks.get(usize::from(hooks)).and_then(|hooks| hooks.on_halted)),
        }
    }

    /// What a node remembers, its children, its status.
    fn stop(&mut self, id: NodeId, node: &Node) -> Done {
        match node.kind {
            // The first keeps its place, the second what it has done once.
            Kind::SequenceWithMemory | Kind::RunOnce { .. } => {}
            // The original forgets to look at its condition again after a halt.
            Kind::Precondition { .. } if self.tree.mode == Mode::Compat => {}
            Kind::Parallel { done, .. } | Kind::ParallelAll { done, .. } => {
                self.parallel_clear(id, node, done);
            }
            Kind::TryCatch { catch_on_halt } => self.try_catch_halted(id, node, catch_on_halt)?,
            Kind::Timeout { timer, .. }
            | Kind::Delay { timer, .. }
            | Kind::Sleep { timer, .. }
            | Kind::Test { timer, .. } => self.stop_timer(timer),
            Kind::Leaf { leaf, .. } => self.halt_leaf(id, leaf),
            _ => self.keep(id, Memory::default()),
        }
        self.reset_children(node)?;
        self.reset_status(id);
        Ok(())
    }

    /// Back to idle: halted if it runs, else only its status.
    #[inline]
    pub(super) fn reset(&mut self, id: NodeId) -> Done {
        if self.status(id) == NodeStatus::Running {
            self.halt(id)?;
        }
        self.reset_status(id);
        Ok(())
    }

    #[inline]
    pub(super) fn reset_children(&mut self, node: &Node) -> Done {
        for &child in self.children(node) {
            self.reset(child)?;
        }
        Ok(())
    }

    /// Tells a leaf that is under way to stop.
    fn halt_leaf(&mut self, id: NodeId, leaf: u16) {
        if self.status(id) != NodeStatus::Running {
            return;
        }
        match self.stop_of(leaf) {
            // It has not been started again since it was last told.
            Stop::Halting { since, overdue, .. } => {
                self.set_stop(leaf, Stop::Halting { since, overdue, wanted: false });
            }
            Stop::Stopped => self.set_stop(leaf, Stop::No),
            Stop::No => {
                let Some(mut call) = leaves::call(self.tree, self.state, self.now, id, leaf) else { return };
                if self.leaves.halt(&mut call) == Halt::Pending {
                    self.set_stop(leaf, Stop::Halting { since: self.now, overdue: false, wanted: false });
                }
            }
        }
    }

    /// Asks every leaf that is still stopping whether it has stopped.
    #[cold]
    pub(super) fn ask_halting(&mut self) {
        let tree = self.tree;
        for (at, leaf) in (0..).zip(&tree.leaves) {
            let Stop::Halting { since, overdue, wanted } = self.stop_of(at) else { continue };
            let Some(mut call) = leaves::call(tree, self.state, self.now, leaf.node, at) else { continue };
            let stop = match self.leaves.halting(&mut call) {
                Halt::Done if wanted => Stop::Stopped,
                Halt::Done => Stop::No,
                Halt::Pending => {
                    let late = leaf.halt_timeout.is_some_and(|timeout| self.now.since(since) >= timeout);
                    Stop::Halting { since, overdue: overdue || late, wanted }
                }
            };
            self.set_stop(at, stop);
        }
    }

    /// A leaf is to be ticked, but what it did before has not stopped, or only just has: what to do instead.
    #[cold]
    pub(super) fn held_back(&mut self, leaf: u16, kept: NodeStatus) -> Option<Held> {
        match (self.stop_of(leaf), kept) {
            (Stop::No, _) | (_, NodeStatus::Success | NodeStatus::Failure) => None,
            (Stop::Halting { since, overdue, .. }, _) => {
                self.set_stop(leaf, Stop::Halting { since, overdue, wanted: true });
                Some(Held::Wait)
            }
            (Stop::Stopped, _) => {
                self.set_stop(leaf, Stop::No);
                Some(Held::Start)
            }
        }
    }

    fn stop_of(&self, leaf: u16) -> Stop {
        self.state.stops.get(usize::from(leaf)).copied().unwrap_or_default()
    }

    fn set_stop(&mut self, leaf: u16, new: Stop) {
        let Some(stop) = self.state.stops.get_mut(usize::from(leaf)) else { return };
        let previous = std::mem::replace(stop, new);
        let halting = |stop| u32::from(matches!(stop, Stop::Halting { .. }));
        let unsettled = |stop| u32::from(stop != Stop::No);
        let State { halting: count, unsettled: all, .. } = self.state;
        *count = count.saturating_add(halting(new)).saturating_sub(halting(previous));
        *all = all.saturating_add(unsettled(new)).saturating_sub(unsettled(previous));
    }
}

/// What happens to a leaf that is ticked while it stops.
pub(super) enum Held {
    /// Nothing; it answers RUNNING.
    Wait,
    /// It is started, whatever its node shows.
    Start,
}
