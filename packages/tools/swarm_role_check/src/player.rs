//! One role, with a program in the place of its tree: the steps make the calls that the leaves of a tree make.

use std::sync::Arc;

use swarm_base::{Duration, Role, Time};
use swarm_skill_core::{Cooperation, Entry, Leave, Standing, Token};

/// Length of a tick by a clock that is right.
pub const TICK: Duration = Duration::from_millis(10);

/// One step of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Enter the phase of this index.
    Enter(usize),
    /// Move for so many ticks.
    Work(u32),
    /// Use a resource for so many ticks.
    Use { resource: &'static str, ticks: u32, then: Then },
    /// Pass a barrier of some roles.
    Meet { name: &'static str, with: &'static [Role] },
    /// Wait for so many roles.
    Agree { name: &'static str, needed: usize },
    /// Hand something from one role to another, or take it.
    HandOver { item: &'static str, from: Role, to: Role },
    /// Work in step with all roles: so many pieces of work, a tick or more each.
    Sweep { name: &'static str, pieces: u32, slowness: u32 },
}

/// How the use of a resource ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Then {
    /// By itself: the role waits until it has given the resource back.
    GiveBack,
    /// It is interrupted: the role goes on, and gives the resource back on its way.
    Leave,
}

/// How far a role may be ahead in a [`Step::Sweep`], in pieces.
pub const SWEEP_DELTA: f64 = 3.0;

/// What a role did in a tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deed {
    /// It moved, in the phase of this number (from 1 on).
    pub acted_in: Option<u32>,
    /// It used a resource.
    pub used: Option<(&'static str, Token)>,
    /// It passed a barrier of these roles.
    pub met: Option<(&'static str, &'static [Role])>,
    /// It let go of a thing that it handed over.
    pub let_go: bool,
}

/// A role that carries out a program.
#[derive(Clone, Debug)]
pub struct Player {
    pub role: Role,
    pub instance: u64,
    pub cooperation: Cooperation,
    program: Arc<[Step]>,
    phases: Arc<[String]>,
    at: usize,
    /// Ticks of the present step that are left, or pieces done.
    progress: u32,
    /// Ticks for which the present step has waited.
    waited: u32,
    patience: u32,
    /// The robot comes to rest so many ticks after it was told to.
    braking_ticks: u32,
    brakes: u32,
    /// It believes that its robot stands whenever it is not told to move.
    pub hasty: bool,
    pub deed: Deed,
    /// It holds the thing of the hand-over that it is in.
    pub holds_item: bool,
}

impl Player {
    pub fn new(
        role: Role,
        instance: u64,
        cooperation: Cooperation,
        program: Arc<[Step]>,
        phases: Arc<[String]>,
        patience: u32,
        braking_ticks: u32,
    ) -> Self {
        Self {
            role,
            instance,
            cooperation,
            program,
            phases,
            at: 0,
            progress: 0,
            waited: 0,
            patience,
            braking_ticks,
            brakes: 0,
            hasty: false,
            deed: Deed::default(),
            holds_item: false,
        }
    }

    /// One tick, after what has arrived was received.
    pub fn tick(&mut self, now: Time) {
        let leave = self.cooperation.judge(now);
        let used = self.deed.used;
        self.deed = Deed::default();
        self.cooperation.forget_watched();
        if leave == Leave::Go && self.is_active() {
            self.skip_to_safe_point();
            self.run();
        }
        let acted = self.deed.acted_in.is_some();
        self.brakes = if acted { self.braking_ticks } else { self.brakes.saturating_sub(1) };
        if !acted && self.brakes > 0 {
            // However its step ended, it was told to stand, and still moves where it was.
            self.deed.used = used;
        }
        self.cooperation.set_at_rest(self.hasty || (!acted && self.brakes == 0));
    }

    pub fn is_active(&self) -> bool {
        self.cooperation.own_report().standing == Standing::Active
    }

    /// Its run is over, one way or the other.
    pub fn has_ended(&self) -> bool {
        matches!(self.cooperation.own_report().standing, Standing::Done | Standing::Aborted(_))
    }

    pub fn is_done(&self) -> bool {
        self.cooperation.own_report().standing == Standing::Done
    }

    /// Progress in the work that is done in step; `None` while there is none.
    pub fn swept(&self) -> Option<u32> {
        matches!(self.program.get(self.at), Some(Step::Sweep { .. })).then_some(self.progress)
    }

    /// How often it has come to that barrier: by the steps of its program, whatever it was told. A successor begins with what its
    /// predecessor has done.
    pub fn came_to(&self, barrier: &str) -> usize {
        let come = self.program.iter().take(self.at + 1);
        come.filter(|step| matches!(step, Step::Meet { name, .. } if *name == barrier)).count()
    }

    /// What else a digest of the world needs.
    pub fn place(&self) -> (usize, u32, u32, u32) {
        (self.at, self.progress, self.waited, self.brakes)
    }

    /// A successor begins where its predecessor stood.
    fn skip_to_safe_point(&mut self) {
        if self.at > 0 {
            return;
        }
        let Some(name) = self.cooperation.taken_over_at() else { return };
        let index = self.phases.iter().position(|phase| phase == name);
        let step = self.program.iter().position(|step| matches!(step, Step::Enter(at) if Some(*at) == index));
        self.at = step.unwrap_or(0);
    }

    fn run(&mut self) {
        // Every round of this loop passes a step or ends the tick.
        while let Some(&step) = self.program.get(self.at) {
            if !self.carry_out(step) || self.deed.acted_in.is_some() {
                return;
            }
        }
        self.cooperation.finish();
    }

    /// Whether the program goes on with the next step in this tick.
    fn carry_out(&mut self, step: Step) -> bool {
        match step {
            Step::Enter(index) => {
                let phases = Arc::clone(&self.phases);
                let answer = self.cooperation.enter(&phases[index]).map_err(|error| error.to_string());
                self.wait_for(answer, |player| player.cooperation.leave_phase(&phases[index]))
            }
            Step::Work(ticks) => {
                self.act(1);
                self.next_if(self.progress >= ticks)
            }
            Step::Use { resource, ticks, then } => {
                if self.progress >= ticks {
                    let goes_on = match then {
                        Then::GiveBack => self.cooperation.give_back(resource),
                        Then::Leave => {
                            self.cooperation.release_at_rest(resource);
                            true
                        }
                    };
                    return self.next_if(goes_on);
                }
                let Some(token) = self.cooperation.lease(resource) else {
                    let limit = self.patience;
                    self.waited += 1;
                    if self.waited > limit {
                        self.cooperation.release(resource);
                        self.next();
                    }
                    return false;
                };
                self.act(1);
                self.deed.used = Some((resource, token));
                false
            }
            Step::Meet { name, with } => {
                if !with.contains(&self.role) {
                    self.next();
                    return true;
                }
                let answer = self.cooperation.meet(name, with).map_err(|error| error.to_string());
                if answer == Ok(Entry::Acting) {
                    self.deed.met = Some((name, with));
                }
                self.wait_for(answer, |player| player.cooperation.leave_barrier(name))
            }
            Step::Agree { name, needed } => {
                let answer = self.cooperation.agree(name, needed).map_err(|error| error.to_string());
                self.wait_for(answer, |player| player.cooperation.disagree(name))
            }
            Step::HandOver { item, from, to } => self.hand_over(item, from, to),
            Step::Sweep { name, pieces, slowness } => {
                let done = f64::from(self.progress / slowness);
                if let Err(error) = self.cooperation.keep_pace(name, done, SWEEP_DELTA, &Role::ALL) {
                    self.cooperation.abort(error.to_string());
                    return false;
                }
                self.act(1);
                if self.progress >= pieces * slowness {
                    self.cooperation.end_pace(name);
                }
                self.next_if(self.progress >= pieces * slowness)
            }
        }
    }

    fn hand_over(&mut self, item: &'static str, from: Role, to: Role) -> bool {
        if ![from, to].contains(&self.role) {
            self.next();
            return true;
        }
        let leave = |player: &mut Self| player.cooperation.leave_hand_over(item, from, to);
        match self.progress {
            // Until the other one is there.
            0 => {
                self.holds_item |= self.role == from;
                match self.cooperation.begin_hand_over(item, from, to) {
                    Ok(Entry::Acting) => self.progress = 1,
                    answer => return self.wait_for(answer.map_err(|error| error.to_string()), leave),
                }
                true
            }
            // Open or close the gripper.
            1 => {
                self.act(1);
                self.deed.let_go = self.role == from;
                self.holds_item = self.role == to;
                false
            }
            _ => {
                let answer = self.cooperation.end_hand_over(item, from, to);
                self.wait_for(answer.map_err(|error| error.to_string()), leave)
            }
        }
    }

    fn act(&mut self, progress: u32) {
        self.progress += progress;
        self.deed.acted_in = Some(self.cooperation.own_report().entered);
    }

    /// Goes on when the answer allows it; gives the run up when it is an error or does not come.
    fn wait_for(&mut self, answer: Result<Entry, String>, leave: impl FnOnce(&mut Self)) -> bool {
        match answer {
            Ok(Entry::Acting) => {
                self.next();
                true
            }
            Ok(Entry::Waiting) => {
                self.waited += 1;
                if self.waited > self.patience {
                    leave(self);
                    self.cooperation.abort("lost patience".into());
                }
                false
            }
            Err(reason) => {
                leave(self);
                self.cooperation.abort(reason);
                false
            }
        }
    }

    fn next(&mut self) {
        // What was handed over is put down, or was.
        self.holds_item = false;
        self.at += 1;
        self.progress = 0;
        self.waited = 0;
    }

    fn next_if(&mut self, done: bool) -> bool {
        if done {
            self.next();
        }
        done
    }
}
