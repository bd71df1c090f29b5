//! The state machine. A step makes at most one change of state; each arm of [`step`] is one state.

use std::collections::BTreeSet;

use swarm_api::cell::Health;

use crate::gate;
use crate::members::Turn;
use crate::plan::Cells;
use crate::rank::rank;
use crate::state::{Rollout, Standing, State};
use crate::view::{Action, CellView};

/// Which cells are given the artifact.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Online,
    /// It has passed every gate; whoever is away finds it on return.
    Everybody,
}

/// One step: `cells` are all cells that the registry knows, `now_unix` is its clock. Nothing to do gives the same roll-out and no
/// action, and costs little, so that it may be called at every report.
pub fn step(rollout: &Rollout, cells: &[CellView], now_unix: i64) -> (Rollout, Vec<Action>) {
    let mut turn = Turn::new(rollout, cells, now_unix);
    match &rollout.state {
        State::Done { .. } | State::Superseded { .. } | State::Aborted { taken_back: false, .. } => {}
        // Only a holder that the registry did not know for a while can still be there.
        State::Failed { reason, .. } | State::Aborted { taken_back: true, reason, .. } => {
            turn.let_go_of_reassigned();
            turn.take_everything_back(reason);
        }
        State::Running { .. } | State::Observing { .. } | State::Paused { .. } => {
            turn.enrol();
            turn.let_go_of_reassigned();
            turn.take_over_reports();
            if let Some(reason) = gate::violated(&turn.rollout, turn.mute()) {
                turn.fail(&reason);
            } else {
                turn.go_on();
            }
        }
    }
    turn.finish()
}

impl Rollout {
    /// Whether a roll-out that has just begun brings its artifact in its first step to every cell that is assigned its skill, if all of them
    /// can be heard then: before anything can be learnt.
    pub fn is_all_at_once(&self, cells: &[CellView], now_unix: i64) -> bool {
        let heard = |cell: &CellView| CellView { seen_unix: Some(now_unix), ..cell.clone() };
        let cells: Vec<CellView> = cells.iter().map(heard).collect();
        let (_, actions) = step(self, &cells, now_unix);
        let is_sent = |cell: &CellView| {
            actions.iter().any(|it| matches!(it, Action::Assign { site_id, .. } if *site_id == cell.site_id))
        };
        let mut of_skill = cells
            .iter()
            .filter(|cell| cell.assigned.as_ref().is_some_and(|it| it.skill_name == self.skill_name));
        of_skill.all(|cell| cell.assigned_digest() == Some(&self.plan.artifact) || is_sent(cell))
    }
}

impl Turn<'_> {
    fn go_on(&mut self) {
        match self.rollout.state {
            State::Running { stage, .. } => {
                self.hand_out(stage, Reach::Online);
                self.await_take_up(stage);
            }
            State::Observing { stage, since_unix, .. } => {
                self.hand_out(stage, Reach::Online);
                let observed_s = self.observe();
                self.rollout.state = State::Observing { stage, since_unix, observed_s };
                self.judge(stage, observed_s);
            }
            State::Paused { .. }
            | State::Done { .. }
            | State::Failed { .. }
            | State::Aborted { .. }
            | State::Superseded { .. } => {}
        }
    }

    /// Assigns the artifact to the cells that the stages up to this one mean.
    fn hand_out(&mut self, stage: usize, reach: Reach) {
        let Rollout { plan, members, .. } = &self.rollout;
        let (so_far, later) = plan.stages.split_at(stage + 1);
        let named = |stages: &[crate::Stage]| -> BTreeSet<String> {
            stages.iter().filter_map(|stage| stage.cells.clone()).flatten().collect()
        };
        let (named, named_later) = (named(so_far), named(later));
        let percent = so_far.iter().rev().find_map(|stage| stage.percent).unwrap_or(0);
        let here = |site_id: &String| self.cells.contains_key(site_id.as_str());

        // The share is one of cells that are there, and of those that have used up a place: a cell that is decommissioned
        // neither shrinks the places of others nor makes room for one more.
        let of_all = members.iter().filter(|(site_id, member)| match member.standing {
            Standing::Pending => here(site_id),
            Standing::Refused => true,
            _ => member.standing.uses_a_place(),
        });
        let places = (of_all.count() * usize::from(percent)).div_ceil(100);
        let mut used = members.values().filter(|member| member.standing.uses_a_place()).count();

        let mut waiting: Vec<&String> = (members.iter())
            .filter(|(site_id, member)| {
                member.standing == Standing::Pending
                    && here(site_id)
                    && (reach == Reach::Everybody || self.is_online(site_id))
            })
            .map(|(site_id, _)| site_id)
            .collect();
        waiting.sort_by_cached_key(|site_id| (!named.contains(*site_id), rank(plan.seed, site_id)));
        let mut chosen = Vec::new();
        for site_id in waiting {
            if named.contains(site_id) || (used < places && !named_later.contains(site_id)) {
                used += 1;
                chosen.push(site_id.clone());
            }
        }
        let reason = format!("stage '{}'", plan.stages[stage].name);
        for site_id in chosen {
            self.assign(&site_id, &reason);
        }
    }

    /// Goes on to observing once every cell that can be heard has taken the artifact up, or has had its time for that.
    fn await_take_up(&mut self, stage: usize) {
        if self.nobody_is_left() {
            self.end_without_cells();
            return;
        }
        let take_up_s = self.rollout.plan.take_up_s.cast_signed();
        let awaited = self.rollout.members.iter().any(|(site_id, member)| match member.standing {
            Standing::Assigned { since_unix, .. } => {
                self.is_online(site_id) && self.now_unix.saturating_sub(since_unix) < take_up_s
            }
            _ => false,
        });
        if !awaited && self.hears_a_taker() {
            self.note(format!("stage '{}': observed from now on", self.rollout.plan.stages[stage].name));
            self.begin_to_observe();
            self.rollout.state = State::Observing { stage, since_unix: self.now_unix, observed_s: 0 };
        }
    }

    /// Lets the stage pass if it has seen enough.
    fn judge(&mut self, stage: usize, observed_s: u64) {
        let gates = &self.rollout.plan.gates;
        let runs = gate::runs(self.rollout.stage_counts);
        if observed_s < gates.observe_s || runs < gates.min_runs || !self.hears_a_taker() {
            return;
        }
        let since_unix = self.now_unix;
        let name = &self.rollout.plan.stages[stage].name;
        self.note(format!("stage '{name}' passed: {runs} runs, observed for {observed_s} s"));
        let next = stage + 1;
        if next < self.rollout.plan.stages.len() {
            self.rollout.state = State::Running { stage: next, since_unix };
            self.rollout.stage_counts = Health::default();
            self.hand_out(next, Reach::Online);
        } else {
            self.hand_out(stage, Reach::Everybody);
            self.rollout.state = State::Done { since_unix };
            self.note("done".to_owned());
        }
    }

    /// There is no cell any more from which anything could be learnt.
    fn nobody_is_left(&self) -> bool {
        let Rollout { plan, members, .. } = &self.rollout;
        let all_seen = match &plan.cells {
            Cells::All => true,
            Cells::Named(names) => names.iter().all(|name| members.contains_key(name)),
        };
        let open = |(site_id, member): (&String, &crate::Member)| match member.standing {
            Standing::Pending | Standing::Assigned { .. } | Standing::Taken { .. } => {
                self.cells.contains_key(site_id.as_str())
            }
            Standing::Already | Standing::Refused | Standing::TakenBack | Standing::Left { .. } => false,
        };
        all_seen && !members.is_empty() && !members.iter().any(open)
    }

    fn end_without_cells(&mut self) {
        let since_unix = self.now_unix;
        let mut standings = self.rollout.members.values().map(|member| &member.standing);
        if standings.clone().all(|standing| *standing == Standing::Already) {
            self.rollout.state = State::Done { since_unix };
            self.note("done: every cell had it before".to_owned());
        } else if standings.any(|standing| *standing == Standing::Refused) {
            self.fail("no cell is left that takes it");
        } else {
            let reason = "no cell is left in it: they were assigned something else, or are gone".to_owned();
            self.note(format!("aborted: {reason}"));
            self.rollout.state = State::Aborted { since_unix, reason, taken_back: false };
        }
    }
}
