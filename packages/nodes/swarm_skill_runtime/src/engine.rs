//! The control loop: every 10 ms it looks at goals, runs the skill, and says what is to be sent.
//!
//! Values in, values out: [`Engine::turn`] gets the time, and a shell sends what it returns. A goal is anything that takes
//! [`GoalUpdate`]s; the action server's goals are one kind.
//!
//! 1. New goals join; those that cannot are told why. A goal is one for the skill that was in force when it came, and for no other.
//! 2. A complete join starts a run, if the safety monitor permits motion under the deployed skill's envelope, and while no order changes
//!    what is deployed.
//! 3. The run is ticked; its wishes become commands.
//! 4. When it has ended, all its goals get the result.

mod goals;
mod running;

use std::sync::Arc;

use swarm_base::{Duration, Role, Time};
use swarm_skill_core::{
    Activity, Goal, Link, LocalLink, Order, Outcome, RoleInputs, RoleOutputs, RoleState, Run, RunIdentity,
    RunState, Timing, Word,
};

pub use self::goals::{Finished, GoalSink, GoalUpdate};
use self::goals::{Goals, Joined, Refused, Waiting, finish};
use self::running::Running;

use crate::beside::Telling;
use crate::deployer::{ActiveSkill, InForce};
use crate::recordings::{self, Recordings};
use crate::robots::Robots;
use crate::world::{FIRST_HEARING, World};

/// Said to whoever asks for a skill where there is none.
pub const NOTHING_DEPLOYED: &str = "no skill is deployed; use /skill_runtime/deploy";

/// One command for one robot.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// In the order of the cell's declaration.
    pub robot: usize,
    pub role: Role,
    pub wish: RoleOutputs,
    pub sequence: u64,
    pub epoch: u64,
}

/// What is to be published after a turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn {
    pub commands: Vec<Command>,
    /// What the commands are of, whatever has been deployed since: `skill_id@version`, and the artifact.
    pub skill: String,
    pub artifact: String,
    pub trace_id: String,
    pub running: bool,
    pub roles: Vec<RoleState>,
    /// Number of the run that the orders are of.
    pub run: u64,
    /// What the run wants of the cell's peripherals.
    pub orders: Vec<(Role, Order)>,
    /// Why the cell has to be stopped, once per run: something that a tree has begun can no longer be stopped by it.
    pub alarm: Option<String>,
}

/// Whoever watches runs. It is told on the control thread, so it must not wait for anybody. `()` watches nothing.
pub trait Watch {
    fn began(&mut self, _run: &mut Run, _now: Time) {}
    fn ticked(&mut self, _run: &mut Run, _now: Time) {}
    fn ended(&mut self, _skill: &ActiveSkill, _outcome: &Outcome) {}
}

impl Watch for () {}

/// Goals, the join, and the run.
pub struct Engine {
    robots: Arc<Robots>,
    timing: Timing,
    goals: Goals,
    running: Option<Running>,
    /// States of the last run's roles, shown until there is another one.
    last: (String, Vec<RoleState>),
    run_epoch: u64,
    /// Tells this process's executors from those of any other: process id, and a random number.
    instance: u64,
    /// Of the last commands. It goes on from run to run, and starts at the time of day: so it does not go back with a restart either,
    /// and nobody takes an old command for a new one.
    sequence: u64,
    last_feedback: Time,
    recordings: Option<Recordings>,
}

/// Time between two feedbacks without news.
const FEEDBACK_PERIOD: Duration = Duration::from_millis(100);

/// A goal waits so long for a status in which the safety monitor, after the goal came, gives leave to move: a reset that was granted
/// just before is in one that is still on its way. The status is said 50 times a second.
const START_GRACE: Duration = Duration::from_millis(200);

/// What a run starts from: its robots by their place in the declaration, and their first inputs.
type Start = (Vec<usize>, Vec<RoleInputs>);

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("goals", &self.goals).finish_non_exhaustive()
    }
}

impl Engine {
    pub fn new(robots: Arc<Robots>, timing: Timing) -> Self {
        Self {
            robots,
            timing,
            goals: Goals::default(),
            running: None,
            last: (String::new(), Vec::new()),
            run_epoch: 0,
            instance: u64::from(std::process::id()) << 32 | u64::from(rand::random::<u32>()),
            sequence: swarm_store::unix_now().unsigned_abs() * 1_000,
            last_feedback: Time::ZERO,
            recordings: None,
        }
    }

    /// Records its runs; `None` ends that, and waits until what has been recorded is on the disk.
    pub fn record(&mut self, recordings: Option<Recordings>) {
        self.recordings = recordings;
    }

    /// Trace id of the run in progress.
    pub fn run_in_progress(&self) -> Option<&str> {
        self.running.as_ref().map(|running| running.run.identity().run.as_str())
    }

    /// The run in progress, for whoever follows it.
    pub fn telling(&self) -> Option<Arc<Telling>> {
        Some(Arc::clone(&self.running.as_ref()?.telling))
    }

    /// A goal has come. `refusal` is a reason why none can be taken now.
    pub fn ask(
        &mut self,
        goal: &Goal,
        skill: Option<&ActiveSkill>,
        refusal: Option<String>,
        sink: Box<dyn GoalSink>,
        now: Time,
    ) {
        self.goals.refuse_outdated(skill, now);
        let refused = match (refusal, skill, self.run_in_progress()) {
            (Some(reason), ..) => Refused { sink, reason },
            (_, None, _) => Refused { sink, reason: NOTHING_DEPLOYED.into() },
            (_, _, Some(run)) => {
                let reason = format!("run {run} is in progress; cancel it or wait for its end");
                Refused { sink, reason }
            }
            (_, Some(skill), None) => match self.goals.ask(goal, skill, sink, now) {
                Ok(()) => return,
                Err(refused) => refused,
            },
        };
        finish(&*refused.sink, Outcome::Aborted(refused.reason), &goal.trace_id, Duration::ZERO);
    }

    /// A goal was canceled: one that waits is forgotten, a run is halted for all its roles.
    pub fn cancel(&mut self, role: Option<Role>, reason: &str) {
        match &mut self.running {
            Some(running) => running.run.cancel(reason),
            None => self.goals.cancel(role, reason),
        }
    }

    /// Halts whatever runs or waits.
    pub fn cancel_all(&mut self, reason: &str) {
        match &mut self.running {
            Some(running) => running.run.cancel(reason),
            None => self.goals.cancel_all(reason),
        }
    }

    /// Something was heard about an errand of run number `run`; what concerns no run in progress is passed over.
    pub fn hear(&mut self, run: u64, role: Role, word: Word) {
        if let Some(running) = self.running.as_mut().filter(|running| running.run.identity().epoch == run) {
            running.words.push((role, word));
        }
    }

    /// One turn, nominally every 10 ms.
    pub fn turn(&mut self, world: &World, in_force: &InForce, watch: &mut dyn Watch, now: Time) -> Turn {
        let idle = self.running.is_none();
        match in_force {
            // What waits goes on waiting.
            InForce::Changing => {}
            InForce::Nothing => self.goals.refuse_outdated(None, now),
            InForce::Skill(skill) => self.start_if_complete(world, skill, now),
        }
        if let Some(new) = self.running.as_mut().filter(|_| idle) {
            watch.began(&mut new.run, now);
        }
        let Some(mut running) = self.running.take() else {
            return Turn { trace_id: self.last.0.clone(), roles: self.idle_roles(), ..Turn::default() };
        };
        for (robot, inputs) in running.robots.iter().zip(&mut running.inputs) {
            if let Ok(fresh) = world.inputs(*robot) {
                *inputs = fresh;
            }
        }
        running.hand_out_words();
        let safety = world.safety(now);
        let state = running.run.tick(&running.inputs, &safety, now).clone();
        running.tell(safety, &state, now);
        watch.ticked(&mut running.run, now);
        let roles = running.run.role_states();
        let trace_id = running.run.identity().run.clone();
        self.sequence += 1;
        let commands = running.run.outputs().zip(&running.robots).map(|((spec, wish), robot)| Command {
            robot: *robot,
            role: spec.role,
            wish: *wish,
            sequence: self.sequence,
            epoch: running.run.safety_epoch(),
        });
        // The last commands of a run are those to stand still; they go out too.
        let mut turn = Turn {
            commands: commands.collect(),
            skill: format!("{}@{}", running.skill.skill_id, running.skill.version),
            artifact: running.skill.artifact.to_string(),
            trace_id,
            running: true,
            roles,
            run: running.run.identity().epoch,
            orders: running.run.orders().map(|(role, order)| (role, order.clone())).collect(),
            alarm: running.new_alarm(),
        };
        if let RunState::Ended(outcome) = state {
            recordings::finish(&mut running.run);
            running.finish(&outcome, &turn, now);
            watch.ended(&running.skill, &outcome);
            self.last = (turn.trace_id.clone(), turn.roles.clone());
            turn.running = false;
            return turn;
        }
        if now.since(self.last_feedback) >= FEEDBACK_PERIOD {
            self.last_feedback = now;
            for goal in &running.goals {
                goal.sink.update(GoalUpdate::Feedback(turn.roles.clone()));
            }
        }
        self.running = Some(running);
        turn
    }

    fn start_if_complete(&mut self, world: &World, skill: &Arc<ActiveSkill>, now: Time) {
        self.goals.refuse_outdated(Some(skill), now);
        if self.is_early(world, skill, now) {
            return;
        }
        if let Joined::All { goals, trace_id } = self.goals.poll(&skill.skill.role_names(), now) {
            self.run_epoch += 1;
            let trace_id = trace_id.unwrap_or_else(|| self.new_trace_id(skill));
            self.begin(world, skill, goals, &trace_id, now);
        }
    }

    /// Begins the run that these goals have asked for, or tells them why it cannot begin.
    fn begin(
        &mut self,
        world: &World,
        skill: &Arc<ActiveSkill>,
        goals: Vec<Waiting>,
        trace_id: &str,
        now: Time,
    ) {
        let (robots, inputs) = match self.prepare(world, skill, now) {
            Ok(start) => start,
            Err(reason) => {
                for goal in goals {
                    finish(&*goal.sink, Outcome::Aborted(reason.clone()), trace_id, Duration::ZERO);
                }
                return;
            }
        };
        let run = self.new_run(skill, trace_id, world.safety(now).epoch, now);
        tracing::info!("run {trace_id} of {} starts", skill.title());
        let cast = skill.skill.roles.iter().map(|spec| (spec.role, spec.robot.clone()));
        let telling = Telling::new(run.identity().clone(), run.safety_epoch(), now, cast.collect());
        self.running = Some(Running::new(run, Arc::clone(skill), goals, robots, inputs, Arc::new(telling)));
    }

    /// Whether something that the waiting goals need may still be on its way: leave to move, or the first word of an arm.
    fn is_early(&self, world: &World, skill: &ActiveSkill, now: Time) -> bool {
        let Some(asked) = self.goals.newest() else { return false };
        let waited = now.since(asked);
        if !world.permits_motion_since(asked, now) {
            return waited < START_GRACE;
        }
        let mut robots = skill.skill.roles.iter().filter_map(|spec| self.robots.index_of(&spec.robot));
        waited < FIRST_HEARING && robots.any(|robot| world.inputs(robot).is_err())
    }

    /// Everything that a run needs, or why it cannot start.
    fn prepare(&self, world: &World, skill: &ActiveSkill, now: Time) -> Result<Start, String> {
        let safety = world.safety(now);
        if !safety.permits_motion {
            return Err(format!(
                "the safety monitor permits no motion: {}; mend the cause and reset it (/safety_monitor/reset with epoch {})",
                safety.state, safety.epoch
            ));
        }
        let loaded = world.loaded_artifact(now).unwrap_or_default();
        if loaded != skill.artifact.to_string() {
            let holds = if loaded.is_empty() { "no envelope" } else { loaded };
            return Err(format!(
                "the safety monitor holds {holds}, not the envelope of {}; use /skill_runtime/reload",
                skill.title()
            ));
        }
        let mut robots = Vec::new();
        let mut inputs = Vec::new();
        for spec in &skill.skill.roles {
            let robot = self
                .robots
                .index_of(&spec.robot)
                .ok_or_else(|| format!("there is no robot {}", spec.robot))?;
            let measured = world.inputs(robot)?;
            if let Some(stale) = spec.stale_input(&measured, now) {
                return Err(stale);
            }
            robots.push(robot);
            inputs.push(measured);
        }
        Ok((robots, inputs))
    }

    fn new_run(&self, skill: &ActiveSkill, trace_id: &str, safety_epoch: u64, now: Time) -> Run {
        let roles = skill.skill.role_names();
        let links =
            LocalLink::connect(&roles).into_iter().map(|link| Box::new(link) as Box<dyn Link>).collect();
        let identity = RunIdentity {
            run: trace_id.to_owned(),
            epoch: self.run_epoch,
            instance: self.instance,
            roles,
            phases: skill.skill.phases.clone(),
            timing: self.timing,
        };
        let run = Run::new(skill.skill.roles.clone(), identity, links, safety_epoch, now);
        match &self.recordings {
            Some(recordings) => recordings.record(run, &skill.skill),
            None => run,
        }
    }

    /// Unique on this machine: the time of day and a number.
    fn new_trace_id(&self, skill: &ActiveSkill) -> String {
        format!("{}-{:x}-{}", skill.skill_id, swarm_store::unix_now(), self.run_epoch)
    }

    /// Roles as they are shown while nothing runs: those that wait, else those of the last run.
    fn idle_roles(&self) -> Vec<RoleState> {
        if self.goals.is_empty() {
            return self.last.1.clone();
        }
        let players = self.robots.robots.iter().filter_map(|robot| Some((robot.role?, robot.name.clone())));
        let state = |(role, robot): (Role, String)| RoleState {
            role,
            robot,
            phase: String::new(),
            progress: 0.0,
            activity: if self.goals.wait_for(role) { Activity::Joining } else { Activity::Idle },
            message: String::new(),
        };
        players.map(state).collect()
    }
}
