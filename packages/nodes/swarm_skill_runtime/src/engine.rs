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

use std::sync::Arc;

use swarm_artifact::ArtifactId;
use swarm_base::{Duration, Role, Time};
use swarm_skill_core::{
    Activity, Goal, Join, Joining, Link, LocalLink, Order, Outcome, RoleInputs, RoleOutputs, RoleState, Run,
    RunIdentity, RunState, SafetyView, Timing, Told, Word,
};

use crate::beside::Telling;
use crate::deployer::{ActiveSkill, InForce};
use crate::recordings::{self, Recordings};
use crate::robots::Robots;
use crate::world::{FIRST_HEARING, World};

/// Said to whoever asks for a skill where there is none.
pub const NOTHING_DEPLOYED: &str = "no skill is deployed; use /skill_runtime/deploy";

/// What a goal is told.
#[derive(Clone, Debug, PartialEq)]
pub enum GoalUpdate {
    Feedback(Vec<RoleState>),
    Finished(Finished),
}

/// The end of a goal.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    pub outcome: Outcome,
    pub trace_id: String,
    pub duration: Duration,
}

/// Where a goal's updates go. The receiver may be gone.
pub trait GoalSink: Send {
    fn update(&self, update: GoalUpdate);
}

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
    join: Join,
    waiting: Vec<Waiting>,
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

struct Waiting {
    role: Option<Role>,
    sink: Box<dyn GoalSink>,
    since: Time,
    /// What was in force when it came, and what that is called.
    artifact: ArtifactId,
    title: String,
}

struct Running {
    run: Run,
    skill: Arc<ActiveSkill>,
    goals: Vec<Waiting>,
    /// Robots by their place in the declaration, in the order of the run's roles.
    robots: Vec<usize>,
    /// The last inputs; repeated when a robot falls silent, so that their age is noticed.
    inputs: Vec<RoleInputs>,
    telling: Arc<Telling>,
    /// For the next tick, by role.
    words: Vec<(Role, Word)>,
    alarmed: bool,
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
        f.debug_struct("Engine").field("join", &self.join).finish_non_exhaustive()
    }
}

impl Engine {
    pub fn new(robots: Arc<Robots>, timing: Timing) -> Self {
        Self {
            robots,
            timing,
            join: Join::default(),
            waiting: Vec::new(),
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
        self.refuse_outdated(skill, now);
        let result = match (refusal, skill, self.run_in_progress()) {
            (Some(reason), ..) => Err(reason),
            (_, None, _) => Err(NOTHING_DEPLOYED.into()),
            (_, _, Some(run)) => Err(format!("run {run} is in progress; cancel it or wait for its end")),
            (_, Some(skill), None) => {
                let joined = self.join.ask(goal, &skill.skill.role_names(), now);
                joined.map(|()| skill).map_err(|error| error.to_string())
            }
        };
        match result {
            Ok(skill) => self.waiting.push(Waiting {
                role: goal.role,
                sink,
                since: now,
                artifact: skill.artifact,
                title: skill.title(),
            }),
            Err(reason) => finish(&*sink, Outcome::Aborted(reason), &goal.trace_id, Duration::ZERO),
        }
    }

    /// Goals that wait for another skill than the one in force are told so: whoever asked for that one has not asked for this one.
    fn refuse_outdated(&mut self, skill: Option<&ActiveSkill>, now: Time) {
        let artifact = skill.map(|skill| skill.artifact);
        if self.waiting.iter().all(|goal| Some(goal.artifact) == artifact) {
            return;
        }
        let trace_id = self.join.trace_id().unwrap_or_default().to_owned();
        self.join = Join::default();
        let new = skill.map_or_else(|| "none".to_owned(), ActiveSkill::title);
        for goal in std::mem::take(&mut self.waiting) {
            let old = &goal.title;
            let reason =
                format!("the skill in force was {old} when the goal came and is {new} now; start again");
            finish(&*goal.sink, Outcome::Aborted(reason), &trace_id, now.since(goal.since));
        }
    }

    /// A goal was canceled: one that waits is forgotten, a run is halted for all its roles.
    pub fn cancel(&mut self, role: Option<Role>, reason: &str) {
        if let Some(running) = &mut self.running {
            running.run.cancel(reason);
            return;
        }
        let trace_id = self.join.trace_id().unwrap_or_default().to_owned();
        let (canceled, kept) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.role == role);
        self.waiting = kept;
        let canceled: Vec<Waiting> = canceled;
        for goal in canceled {
            finish(&*goal.sink, Outcome::Canceled(reason.to_owned()), &trace_id, Duration::ZERO);
        }
        for role in role.map_or_else(|| Role::ALL.to_vec(), |role| vec![role]) {
            self.join.withdraw(role);
        }
    }

    /// Halts whatever runs or waits.
    pub fn cancel_all(&mut self, reason: &str) {
        let roles: Vec<Option<Role>> = self.waiting.iter().map(|waiting| waiting.role).collect();
        if self.running.is_some() {
            self.cancel(None, reason);
        }
        for role in roles {
            self.cancel(role, reason);
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
            InForce::Nothing => self.refuse_outdated(None, now),
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
        self.refuse_outdated(Some(skill), now);
        if self.is_early(world, skill, now) {
            return;
        }
        let given_id = self.join.trace_id().map(str::to_owned);
        match self.join.poll(&skill.skill.role_names(), now) {
            Joining::Empty | Joining::Waiting(_) => {}
            Joining::TimedOut(missing) => {
                let missing = missing.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
                let trace_id = given_id.unwrap_or_default();
                for goal in std::mem::take(&mut self.waiting) {
                    let waited = now.since(goal.since);
                    let seconds = waited.as_secs_f64();
                    let reason =
                        format!("waited {seconds:.1} s for the other roles; still missing: {missing}");
                    finish(&*goal.sink, Outcome::Aborted(reason), &trace_id, waited);
                }
            }
            Joining::Complete => {
                self.run_epoch += 1;
                let trace_id = given_id.unwrap_or_else(|| self.new_trace_id(skill));
                let goals = std::mem::take(&mut self.waiting);
                self.begin(world, skill, goals, &trace_id, now);
            }
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
        self.running = Some(Running {
            run,
            skill: Arc::clone(skill),
            goals,
            robots,
            inputs,
            telling: Arc::new(telling),
            words: Vec::new(),
            alarmed: false,
        });
    }

    /// Whether something that the waiting goals need may still be on its way: leave to move, or the first word of an arm.
    fn is_early(&self, world: &World, skill: &ActiveSkill, now: Time) -> bool {
        let Some(asked) = self.waiting.iter().map(|goal| goal.since).max() else { return false };
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
        if self.waiting.is_empty() {
            return self.last.1.clone();
        }
        let waits =
            |role: Role| self.waiting.iter().any(|waiting| waiting.role.is_none_or(|asked| asked == role));
        let players = self.robots.robots.iter().filter_map(|robot| Some((robot.role?, robot.name.clone())));
        let state = |(role, robot): (Role, String)| RoleState {
            role,
            robot,
            phase: String::new(),
            progress: 0.0,
            activity: if waits(role) { Activity::Joining } else { Activity::Idle },
            message: String::new(),
        };
        players.map(state).collect()
    }
}

impl Running {
    /// Each word goes to its role's next tick, and to no other.
    fn hand_out_words(&mut self) {
        let roles = self.skill.skill.roles.iter().map(|spec| spec.role);
        for (role, inputs) in roles.zip(&mut self.inputs) {
            let own = self.words.iter().filter(|(heard, _)| *heard == role);
            inputs.words = own.map(|(_, word)| word.clone()).collect();
        }
        self.words.clear();
    }

    /// The run's alarm, when it is first there.
    fn new_alarm(&mut self) -> Option<String> {
        let alarm = self.run.alarm().filter(|_| !self.alarmed);
        let alarm = alarm.map(|(role, reason)| format!("{role}: {reason}"));
        self.alarmed |= alarm.is_some();
        alarm
    }

    /// Tells the tick to whoever follows.
    fn tell(&self, safety: SafetyView, state: &RunState, now: Time) {
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

    fn finish(&self, outcome: &Outcome, turn: &Turn, now: Time) {
        let duration = self.run.duration(now);
        tracing::info!("run {} of {} has ended: {outcome:?}", turn.trace_id, self.skill.title());
        for goal in &self.goals {
            goal.sink.update(GoalUpdate::Feedback(turn.roles.clone()));
            finish(&*goal.sink, outcome.clone(), &turn.trace_id, duration);
        }
    }
}

fn finish(sink: &dyn GoalSink, outcome: Outcome, trace_id: &str, duration: Duration) {
    sink.update(GoalUpdate::Finished(Finished { outcome, trace_id: trace_id.to_owned(), duration }));
}
