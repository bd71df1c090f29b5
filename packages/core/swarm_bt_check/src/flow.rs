//! One walk down the tree: which answers each node may give, and which entries are written by then.
//!
//! What is certain about the blackboard is a set of entries ([`Slots`]). It flows into a node, and out of it once per answer that
//! the node may give; where two ways meet, only what both have written is certain. A way that cannot be taken carries nothing at
//! all (`None`), so that the same walk finds children that are never ticked. Entries are never emptied but by UnsetBlackboard, so
//! what holds when a node is first ticked holds whenever it is ticked again.
//!
//! A leaf that succeeds is taken to have written all its outputs, one that fails none but those that are inputs as well: of such a
//! port it is not known which way it is used.

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
            id if id.starts_with("Switch") => self.switch(view, start),
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
            _ => self.unknown(view, start),
        }
    }

    /// A leaf of the registry, or a control node that this walk does not know: its children may be ticked in any order and it may
    /// answer anything.
    fn unknown(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
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

    fn only_child(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
        view.children().next().map(|child| self.follow(child, start)).unwrap_or_default()
    }

    /// Sequence (`go_on` = SUCCESS) and Fallback (`go_on` = FAILURE).
    fn sequence(&mut self, view: &NodeView<'t>, start: Way, go_on: Status, yields: bool) -> Ways {
        let stop = if go_on == Status::Success { Status::Failure } else { Status::Success };
        let mut out = Ways::default();
        let mut at = start;
        // All children so far may have been skipped; some child may not have been.
        let (mut all_skipped, mut some_done) = (true, false);
        let children = view.children();
        let last = children.len().saturating_sub(1);
        for (i, child) in children.enumerate() {
            let mut ways = self.follow(child, at.take());
            out.join_into(Status::Running, ways.take(Status::Running));
            out.join_into(stop, ways.take(stop));
            let (done, skipped) = (ways.take(go_on), ways.take(Status::Skipped));
            some_done |= done.is_some();
            all_skipped &= skipped.is_some();
            if yields && i < last {
                out.join_into(Status::Running, done.clone());
            }
            at = join(done, skipped);
        }
        out.join_into(go_on, at.clone().filter(|_| some_done));
        out.join_into(Status::Skipped, at.filter(|_| all_skipped));
        out
    }

    /// IfThenElse, WhileDoElse: the first child decides.
    fn branch(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
        let mut children = view.children();
        let condition = children.next().map(|child| self.follow(child, start)).unwrap_or_default();
        let then = children.next().map(|child| self.follow(child, condition.success)).unwrap_or_default();
        let otherwise = match children.next() {
            Some(child) => self.follow(child, condition.failure),
            None => Ways { failure: condition.failure, ..Ways::default() },
        };
        let mut ways = then;
        ways.join_all(otherwise);
        ways.join_into(Status::Running, condition.running);
        ways.join_into(Status::Skipped, condition.skipped);
        ways
    }

    /// One of the children.
    fn switch(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
        let constant = view.constant_case();
        let mut out = Ways::default();
        for (place, child) in view.children().enumerate() {
            let taken = constant.is_none_or(|case| case == place);
            let ways = self.follow(child, start.clone().filter(|_| taken));
            out.join_all(ways);
        }
        out
    }

    /// All children but the last in a row; the last where one of them fails.
    fn try_catch(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
        let mut out = Ways::default();
        let mut failed = None;
        let mut at = start.clone();
        let (mut all_skipped, mut some_done) = (true, false);
        let tries = view.children().len().saturating_sub(1);
        for child in view.children().take(tries) {
            let Ways { running, success, failure, skipped } = self.follow(child, at.take());
            out.join_into(Status::Running, running);
            failed = join(failed, failure);
            some_done |= success.is_some();
            all_skipped &= skipped.is_some();
            at = join(success, skipped);
        }
        out.join_into(Status::Success, at.clone().filter(|_| some_done));
        out.join_into(Status::Skipped, at.filter(|_| all_skipped));
        if let Some(catch) = view.children().next_back() {
            // It may also be ticked when the node is halted, at whatever has been reached then.
            let halted = out.running.clone().filter(|_| view.flag("catch_on_halt") != Some(false));
            let ways = self.follow(catch, join(failed.clone(), halted));
            if failed.is_some() {
                out.join_into(Status::Running, ways.running);
                out.join_into(Status::Failure, join(join(ways.success, ways.failure), ways.skipped));
            }
        }
        out
    }

    fn precondition(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
        let (script, mut start) = (view.script(), start);
        if let (Some(script), Some(way)) = (&script, &mut start) {
            self.script(view.uid(), "if", script, way);
        }
        let constant = script.and_then(|script| script.constant());
        let mut ways = self.only_child(view, start.clone().filter(|_| constant != Some(false)));
        if let Some(otherwise) = view.otherwise() {
            ways.join_into(otherwise, start.filter(|_| constant != Some(true)));
        }
        ways
    }

    /// The child once for each item, then the answer for an empty queue.
    fn looped(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
        let mut inside = start.clone().filter(|_| view.items() != Some(0));
        if let (Some(item), Some(way)) = (view.item(), &mut inside) {
            way.insert(item);
        }
        let Ways { running, success, failure, skipped } = self.only_child(view, inside);
        let round = join(success, skipped);
        let mut ways = Ways { running: join(running, round.clone()), failure, ..Ways::default() };
        // Without items it is empty at once.
        let empty = if view.items().is_some_and(|items| items > 0) { round } else { join(round, start) };
        if let Some(otherwise) = view.otherwise() {
            ways.join_into(otherwise, empty);
        }
        ways
    }

    /// All children until each has completed.
    fn parallel_all(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
        let mut at = start;
        let (mut all_skipped, mut some_fail, mut some_run, mut ends) = (true, false, false, true);
        // What is certain once every child has completed or was skipped, and once none of them has failed.
        let (mut done, mut succeeded) = (at.clone(), at.clone());
        for child in view.children() {
            let Ways { running, success, failure, skipped } = self.follow(child, at.take());
            match (&mut succeeded, join(success.clone(), skipped.clone())) {
                (Some(sum), Some(way)) => sum.unite(&way),
                (sum, _) => *sum = None,
            }
            all_skipped &= skipped.is_some();
            some_fail |= failure.is_some();
            some_run |= running.is_some() || skipped.is_some();
            let completed = join(join(success, failure), skipped);
            ends &= completed.is_some();
            if let (Some(sum), Some(way)) = (&mut done, &completed) {
                sum.unite(way);
            }
            at = join(completed, running);
        }
        let fatal = view.number("max_failures");
        let fatal_by_none = fatal == Some(Number::Is(0));
        let success = if fatal == Some(Number::Is(1)) { succeeded } else { done.clone() };
        Ways {
            running: at.clone().filter(|_| some_run),
            success: success.filter(|_| ends && !fatal_by_none),
            failure: done.filter(|_| ends && (some_fail || fatal_by_none)),
            skipped: at.filter(|_| all_skipped),
        }
    }

    /// All children in a row, whatever they answer; an answer may come after any of them.
    fn parallel(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
        let children = view.children().len() as i64;
        let count = |name| match view.number(name) {
            Some(Number::Is(n)) if n < 0 => Some((children + n + 1).max(0)),
            Some(Number::Is(n)) => Some(n),
            _ => None,
        };
        let (needed, fatal) = (count("success_count"), count("failure_count"));
        let (mut may_succeed, mut may_fail, mut may_skip, mut may_run) = (0, 0, 0, false);
        let mut at = start;
        let mut first = None;
        // What is certain once every child has succeeded (or was skipped).
        let mut all_succeeded = at.clone();
        for child in view.children() {
            let Ways { running, success, failure, skipped } = self.follow(child, at.take());
            may_run |= running.is_some();
            may_succeed += i64::from(success.is_some());
            may_fail += i64::from(failure.is_some());
            may_skip += i64::from(skipped.is_some());
            match (&mut all_succeeded, join(success.clone(), skipped.clone())) {
                (Some(sum), Some(way)) => sum.unite(&way),
                (sum, _) => *sum = None,
            }
            at = join(join(success, failure), join(running, skipped));
            first.get_or_insert_with(|| at.clone());
        }
        let first = first.flatten();
        let enough = needed.is_none_or(|needed| may_succeed + may_skip >= needed);
        let fails = may_fail > 0 && fatal.is_none_or(|fatal| may_fail >= fatal)
            || needed.is_none_or(|needed| may_fail > children - needed)
            || fatal == Some(0);
        let all = needed == Some(children);
        Ways {
            // It runs on too when its children are done and the counts are not reached.
            running: at.clone().filter(|_| may_run || may_skip > 0 || may_succeed + may_fail > 0),
            success: if all { all_succeeded } else { first.clone() }.filter(|_| enough),
            failure: first.filter(|_| fails),
            skipped: at.filter(|_| may_skip == children),
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
