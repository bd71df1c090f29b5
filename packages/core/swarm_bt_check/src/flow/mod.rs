//! One walk down the tree: which answers each node may give, and which entries are written by then.
//!
//! What is certain about the blackboard is a set of entries ([`Slots`]). It flows into a node, and out of it once per answer that
//! the node may give; where two ways meet, only what both have written is certain. A way that cannot be taken carries nothing at
//! all (`None`), so that the same walk finds children that are never ticked. Entries are never emptied but by UnsetBlackboard, so
//! what holds when a node is first ticked holds whenever it is ticked again.
//!
//! A leaf that succeeds is taken to have written all its outputs, one that fails none but those that are inputs as well: of such a
//! port it is not known which way it is used.

mod nodes;

use swarm_bt::{Access, Hook, NodeView, Number, ScriptView, SlotId, Status, Tree};

use crate::answers::Answers;
use crate::leaves::LeafTable;
use crate::slots::Slots;

/// What is certain where; `None` where nothing ever comes by.
pub(crate) type Way = Option<Slots>;

/// What comes out of a node, by its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ways {
    pub(crate) running: Way,
    pub(crate) success: Way,
    pub(crate) failure: Way,
    pub(crate) skipped: Way,
}

/// An entry that is read where it is not certain to have been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EarlyRead<'t> {
    pub(crate) uid: u16,
    /// The port, attribute or kind of script that reads it.
    pub(crate) by: &'t str,
    pub(crate) slot: SlotId,
}

/// The result of the walk.
#[derive(Debug)]
pub(crate) struct Flow<'t> {
    /// By uid - 1: the answers that a node may give; empty for one that is never ticked.
    pub(crate) answers: Vec<Answers>,
    pub(crate) early: Vec<EarlyRead<'t>>,
}

/// Walks the tree. `given` are the entries that are written from outside before the first tick.
pub(crate) fn flow<'t>(tree: &'t Tree, table: &LeafTable, given: &[SlotId]) -> Flow<'t> {
    let count = tree.slots().count();
    let mut start = Slots::none_of(count);
    for (slot, ..) in tree.slots() {
        if tree.initial(slot).is_some() || given.contains(&slot) {
            start.insert(slot);
        }
    }
    let result = Flow { answers: vec![Answers::NONE; tree.nodes().len()], early: Vec::new() };
    let mut walk = Walk { tree, table, result };
    walk.node(1, start);
    walk.result
}

struct Walk<'t, 'k> {
    tree: &'t Tree,
    table: &'k LeafTable,
    result: Flow<'t>,
}

impl<'t> Walk<'t, '_> {
    /// A way that may not be taken leads to no node.
    fn follow(&mut self, uid: u16, way: Way) -> Ways {
        way.map(|way| self.node(uid, way)).unwrap_or_default()
    }

    fn node(&mut self, uid: u16, start: Slots) -> Ways {
        let Some(view) = self.tree.view(uid) else { return Ways::default() };
        let ways = if view.has_hooks() { self.hooked(&view, start) } else { self.dispatch(&view, start) };
        if let Some(kept) = self.result.answers.get_mut(usize::from(uid - 1)) {
            *kept = ways.answers();
        }
        ways
    }

    /// Pre-conditions, the node, post-conditions, in the order of the tick.
    fn hooked(&mut self, view: &NodeView<'t>, start: Slots) -> Ways {
        let mut at = Some(start);
        let mut decided = Ways::default();
        for (hook, name, holds, then) in [
            (Hook::FailureIf, "_failureIf", true, Status::Failure),
            (Hook::SuccessIf, "_successIf", true, Status::Success),
            (Hook::SkipIf, "_skipIf", true, Status::Skipped),
            (Hook::While, "_while", false, Status::Skipped),
        ] {
            let Some(script) = view.hook(hook) else { continue };
            let Some(mut reached) = at.take() else { break };
            self.script(view.uid(), name, &script, &mut reached);
            let constant = script.constant();
            if constant != Some(!holds) {
                decided.join_into(then, Some(reached.clone()));
            }
            at = (constant != Some(holds)).then_some(reached);
        }
        if let (Some(script), Some(mut reached)) = (view.hook(Hook::OnHalted), at.clone()) {
            self.script(view.uid(), "_onHalted", &script, &mut reached);
        }
        let mut ways = at.map(|at| self.dispatch(view, at)).unwrap_or_default();
        for status in Answers::COMPLETED.or(Answers::SKIPPED).iter() {
            ways.join_into(status, decided.take(status));
        }
        for (status, first, name) in [
            (Status::Success, Hook::OnSuccess, "_onSuccess"),
            (Status::Failure, Hook::OnFailure, "_onFailure"),
        ] {
            let Some(mut way) = ways.take(status) else { continue };
            for (hook, name) in [(first, name), (Hook::Post, "_post")] {
                if let Some(script) = view.hook(hook) {
                    self.script(view.uid(), name, &script, &mut way);
                }
            }
            ways.join_into(status, Some(way));
        }
        ways
    }

    fn script(&mut self, uid: u16, by: &'t str, script: &ScriptView<'t>, at: &mut Slots) {
        let mut maybe: Vec<SlotId> = Vec::new();
        for access in script.accesses() {
            match access {
                Access::Read(slot) if maybe.contains(&slot) => {}
                Access::Read(slot) => self.read(uid, by, slot, at),
                Access::Write(slot) => at.insert(slot),
                Access::MayWrite(slot) => maybe.push(slot),
            }
        }
    }

    /// An entry that was missing is reported once per node, and taken as written from here on.
    fn read(&mut self, uid: u16, by: &'t str, slot: SlotId, at: &mut Slots) {
        if !at.contains(slot) {
            at.insert(slot);
            self.result.early.push(EarlyRead { uid, by, slot });
        }
    }

    fn dispatch(&mut self, view: &NodeView<'t>, mut start: Slots) -> Ways {
        for (by, slot) in view.reads() {
            self.read(view.uid(), by, slot, &mut start);
        }
        let start = Some(start);
        let constant = |name| match view.number(name) {
            Some(Number::Is(number)) => Some(number),
            _ => None,
        };
        match view.id() {
            "Sequence" | "SequenceWithMemory" | "ReactiveSequence" => {
                self.sequence(view, start, Status::Success, false)
            }
            "AsyncSequence" => self.sequence(view, start, Status::Success, true),
            "Fallback" | "ReactiveFallback" => self.sequence(view, start, Status::Failure, false),
            "AsyncFallback" => self.sequence(view, start, Status::Failure, true),
            "Parallel" => self.parallel(view, start),
            "ParallelAll" => self.parallel_all(view, start),
            "IfThenElse" | "WhileDoElse" => self.branch(view, start),
            "TryCatch" => self.try_catch(view, start),
            id if id.starts_with("Switch") => self.switch(view, &start),
            "Inverter" => {
                let Ways { running, success, failure, skipped } = self.only_child(view, start);
                Ways { running, success: failure, failure: success, skipped }
            }
            "ForceSuccess" => {
                let Ways { running, success, failure, skipped } = self.only_child(view, start);
                Ways { running, success: join(success, failure), failure: None, skipped }
            }
            "ForceFailure" => {
                let Ways { running, success, failure, skipped } = self.only_child(view, start);
                Ways { running, success: None, failure: join(success, failure), skipped }
            }
            "KeepRunningUntilFailure" => {
                let Ways { running, success, failure, skipped } = self.only_child(view, start);
                Ways { running: join(join(running, success), skipped), failure, ..Ways::default() }
            }
            "Repeat" => {
                let cycles = constant("num_cycles");
                let entered = start.clone().filter(|_| cycles != Some(0));
                let Ways { running, success, failure, skipped } = self.only_child(view, entered);
                let at_once = start.filter(|_| matches!(cycles, None | Some(0)));
                Ways {
                    running: join(running, success.clone().filter(|_| cycles != Some(1))),
                    success: join(success.filter(|_| cycles != Some(-1)), at_once),
                    failure,
                    skipped,
                }
            }
            "RetryUntilSuccessful" => {
                let attempts = constant("num_attempts");
                let entered = start.clone().filter(|_| attempts != Some(0));
                let Ways { running, success, failure, skipped } = self.only_child(view, entered);
                let at_once = start.filter(|_| matches!(attempts, None | Some(0)));
                Ways {
                    running: join(running, failure.clone().filter(|_| attempts != Some(1))),
                    success,
                    failure: join(failure.filter(|_| attempts != Some(-1)), at_once),
                    skipped,
                }
            }
            "Timeout" => {
                let mut ways = self.only_child(view, start);
                if constant("msec") != Some(0) {
                    ways.failure = join(ways.failure.take(), ways.running.clone());
                }
                ways
            }
            "Delay" => {
                let mut ways = self.only_child(view, start.clone());
                ways.running = join(ways.running.take(), start);
                ways
            }
            "RunOnce" => {
                let mut ways = self.only_child(view, start.clone());
                // Later ticks answer without the child: with what it has written, if it has completed.
                ways.skipped = join(join(ways.skipped.take(), ways.success.clone()), ways.failure.clone());
                ways
            }
            "Precondition" => self.precondition(view, start),
            "LoopInt" | "LoopBool" | "LoopDouble" | "LoopString" => self.looped(view, start),
            "SkipUnlessUpdated" | "WaitValueUpdate" => {
                let mut ways = self.only_child(view, start.clone());
                if let Some(otherwise) = view.otherwise() {
                    ways.join_into(otherwise, start);
                }
                ways
            }
            "WasEntryUpdated" => Ways { success: start.clone(), failure: start, ..Ways::default() },
            "UnsetBlackboard" => {
                let mut success = start;
                if let (Some(entry), Some(way)) = (view.empties(), &mut success) {
                    way.remove(entry);
                }
                Ways { success, ..Ways::default() }
            }
            "SubTree" => self.only_child(view, start),
            "AlwaysSuccess" => Ways { success: start, ..Ways::default() },
            "AlwaysFailure" => Ways { failure: start, ..Ways::default() },
            "Sleep" => Ways { running: start.clone(), success: start, ..Ways::default() },
            "Script" => {
                let mut ways = Ways { success: start, ..Ways::default() };
                if let (Some(script), Some(way)) = (view.script(), &mut ways.success) {
                    self.script(view.uid(), "code", &script, way);
                }
                ways
            }
            "ScriptCondition" => {
                let (script, mut start) = (view.script(), start);
                if let (Some(script), Some(way)) = (&script, &mut start) {
                    self.script(view.uid(), "code", script, way);
                }
                let constant = script.and_then(|script| script.constant());
                Ways {
                    success: start.clone().filter(|_| constant != Some(false)),
                    failure: start.filter(|_| constant != Some(true)),
                    ..Ways::default()
                }
            }
            // Copying an entry fails where that is empty, which has been looked at.
            "SetBlackboard" => Ways { success: written(&view.writes(), start), ..Ways::default() },
            _ => self.unknown(view, &start),
        }
    }

    /// A leaf of the registry, or a control node that this walk does not know: its children may be ticked in any order and it may
    /// answer anything.
    fn unknown(&mut self, view: &NodeView<'t>, start: &Way) -> Ways {
        for child in view.children() {
            self.follow(child, start.clone());
        }
        let answers = match view.leaf() {
            Some(model) => self.table.facts(model).answers,
            None => Answers::ACTION.or(Answers::SKIPPED),
        };
        let only = |answer| start.clone().filter(|_| answers.any(answer));
        Ways {
            running: only(Answers::RUNNING),
            success: written(&view.writes(), only(Answers::SUCCESS)),
            failure: written(&view.writes_in_failure(), only(Answers::FAILURE)),
            skipped: only(Answers::SKIPPED),
        }
    }
}

impl Ways {
    fn answers(&self) -> Answers {
        let ways = [
            (&self.running, Answers::RUNNING),
            (&self.success, Answers::SUCCESS),
            (&self.failure, Answers::FAILURE),
            (&self.skipped, Answers::SKIPPED),
        ];
        let possible = ways.into_iter().filter(|(way, _)| way.is_some());
        possible.fold(Answers::NONE, |sum, (_, answer)| sum.or(answer))
    }

    fn way(&mut self, status: Status) -> &mut Way {
        match status {
            Status::Running => &mut self.running,
            Status::Success => &mut self.success,
            Status::Failure => &mut self.failure,
            Status::Skipped => &mut self.skipped,
        }
    }

    fn take(&mut self, status: Status) -> Way {
        self.way(status).take()
    }

    fn join_all(&mut self, mut other: Ways) {
        for status in Answers::ACTION.or(Answers::SKIPPED).iter() {
            self.join_into(status, other.take(status));
        }
    }

    fn join_into(&mut self, status: Status, other: Way) {
        let way = self.way(status);
        *way = join(way.take(), other);
    }
}

/// Where two ways meet.
fn join(a: Way, b: Way) -> Way {
    match (a, b) {
        (Some(mut a), Some(b)) => {
            a.intersect(&b);
            Some(a)
        }
        (way, None) | (None, way) => way,
    }
}

/// With what the node itself writes.
fn written(slots: &[SlotId], way: Way) -> Way {
    way.map(|mut way| {
        for slot in slots {
            way.insert(*slot);
        }
        way
    })
}
