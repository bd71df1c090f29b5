//! How what is certain flows through control nodes and decorators, after the rules of the engine.

use swarm_bt::{NodeView, Number, Status};

use super::{Walk, Way, Ways, join};

impl<'t> Walk<'t, '_> {
    pub(super) fn only_child(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
        view.children().next().map(|child| self.follow(child, start)).unwrap_or_default()
    }

    /// Sequence (`go_on` = SUCCESS) and Fallback (`go_on` = FAILURE).
    pub(super) fn sequence(&mut self, view: &NodeView<'t>, start: Way, go_on: Status, yields: bool) -> Ways {
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
    pub(super) fn branch(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
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
    pub(super) fn switch(&mut self, view: &NodeView<'t>, start: &Way) -> Ways {
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
    pub(super) fn try_catch(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
        let mut out = Ways::default();
        let mut failed = None;
        let mut at = start;
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

    pub(super) fn precondition(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
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
    pub(super) fn looped(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
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
    pub(super) fn parallel_all(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
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
    pub(super) fn parallel(&mut self, view: &NodeView<'t>, start: Way) -> Ways {
        let children = i64::from(u16::try_from(view.children().len()).unwrap_or(u16::MAX));
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
