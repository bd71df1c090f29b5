//! The run in progress, with the goals that it is for.

use std::sync::Arc;

use swarm_base::{Role, Time};
use swarm_skill_core::{Outcome, RoleInputs, Run, RunState, SafetyView, Told, Word};

use super::Turn;
use super::goals::{GoalUpdate, Waiting, finish};
use crate::beside::Telling;
use crate::deployer::ActiveSkill;

/// A run and what belongs to it.
pub(super) struct Running {
    pub run: Run,
    pub skill: Arc<ActiveSkill>,
    pub goals: Vec<Waiting>,
    /// Robots by their place in the declaration, in the order of the run's roles.
    pub robots: Vec<usize>,
    /// The last inputs; repeated when a robot falls silent, so that their age is noticed.
    pub inputs: Vec<RoleInputs>,
    pub telling: Arc<Telling>,
    /// For the next tick, by role.
    pub words: Vec<(Role, Word)>,
    alarmed: bool,
}

impl Running {
    pub(super) fn new(
        run: Run,
        skill: Arc<ActiveSkill>,
        goals: Vec<Waiting>,
        robots: Vec<usize>,
        inputs: Vec<RoleInputs>,
        telling: Arc<Telling>,
    ) -> Self {
        Self { run, skill, goals, robots, inputs, telling, words: Vec::new(), alarmed: false }
    }

    /// Each word goes to its role's next tick, and to no other.
    pub(super) fn hand_out_words(&mut self) {
        let roles = self.skill.skill.roles.iter().map(|spec| spec.role);
        for (role, inputs) in roles.zip(&mut self.inputs) {
            let own = self.words.iter().filter(|(heard, _)| *heard == role);
            inputs.words = own.map(|(_, word)| word.clone()).collect();
        }
        self.words.clear();
    }

    /// The run's alarm, when it is first there.
    pub(super) fn new_alarm(&mut self) -> Option<String> {
        let alarm = self.run.alarm().filter(|_| !self.alarmed);
        let alarm = alarm.map(|(role, reason)| format!("{role}: {reason}"));
        self.alarmed |= alarm.is_some();
        alarm
    }

    /// Tells the tick to whoever follows.
    pub(super) fn tell(&self, safety: SafetyView, state: &RunState, now: Time) {
        if self.telling.has_room() {
            let wishes = self.run.outputs().map(|(_, wish)| *wish).collect();
            self.telling.tell(Told {
                now,
                safety,
                inputs: self.inputs.clone(),
                wishes,
                orders: self.run.orders().map(|(role, order)| (role, order.clone())).collect(),
                policies: self.run.policies().collect(),
                state: state.clone(),
            });
        }
    }

    pub(super) fn finish(&self, outcome: &Outcome, turn: &Turn, now: Time) {
        let duration = self.run.duration(now);
        tracing::info!("run {} of {} has ended: {outcome:?}", turn.trace_id, self.skill.title());
        for goal in &self.goals {
            goal.sink.update(GoalUpdate::Feedback(turn.roles.clone()));
            finish(&*goal.sink, outcome.clone(), &turn.trace_id, duration);
        }
    }
}
