//! Goals from when they come until a run takes them: they wait for those of the other roles.

use swarm_artifact::ArtifactId;
use swarm_base::{Duration, Role, Time};
use swarm_skill_core::{Goal, Join, Joining, Outcome, RoleState};

use crate::deployer::ActiveSkill;

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

/// Tells a goal its end.
pub(super) fn finish(sink: &dyn GoalSink, outcome: Outcome, trace_id: &str, duration: Duration) {
    sink.update(GoalUpdate::Finished(Finished { outcome, trace_id: trace_id.to_owned(), duration }));
}

/// A goal that was taken.
pub(super) struct Waiting {
    pub role: Option<Role>,
    pub sink: Box<dyn GoalSink>,
    pub since: Time,
    /// What was in force when it came, and what that is called.
    artifact: ArtifactId,
    title: String,
}

/// The goals that wait, and what they have joined to.
#[derive(Default)]
pub(super) struct Goals {
    join: Join,
    waiting: Vec<Waiting>,
}

/// What has become of the join.
pub(super) enum Joined {
    /// Not all roles are there.
    No,
    /// These goals make a run, under this trace id if somebody gave one.
    All { goals: Vec<Waiting>, trace_id: Option<String> },
}

impl std::fmt::Debug for Goals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Goals").field("join", &self.join).finish_non_exhaustive()
    }
}

impl Goals {
    /// Takes a goal for the skill in force, or says why not.
    pub(super) fn ask(
        &mut self,
        goal: &Goal,
        skill: &ActiveSkill,
        sink: Box<dyn GoalSink>,
        now: Time,
    ) -> Result<(), Refused> {
        if let Err(error) = self.join.ask(goal, &skill.skill.role_names(), now) {
            return Err(Refused { sink, reason: error.to_string() });
        }
        let (artifact, title) = (skill.artifact, skill.title());
        self.waiting.push(Waiting { role: goal.role, sink, since: now, artifact, title });
        Ok(())
    }

    /// Goals that wait for another skill than the one in force are told so: whoever asked for that one has not asked for this one.
    pub(super) fn refuse_outdated(&mut self, skill: Option<&ActiveSkill>, now: Time) {
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

    /// Forgets the goals of a role, or the one for all roles.
    pub(super) fn cancel(&mut self, role: Option<Role>, reason: &str) {
        let trace_id = self.join.trace_id().unwrap_or_default().to_owned();
        let (canceled, kept): (Vec<_>, _) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.role == role);
        self.waiting = kept;
        for goal in canceled {
            finish(&*goal.sink, Outcome::Canceled(reason.to_owned()), &trace_id, Duration::ZERO);
        }
        for role in role.map_or_else(|| Role::ALL.to_vec(), |role| vec![role]) {
            self.join.withdraw(role);
        }
    }

    /// Forgets all of them.
    pub(super) fn cancel_all(&mut self, reason: &str) {
        let roles: Vec<Option<Role>> = self.waiting.iter().map(|waiting| waiting.role).collect();
        for role in roles {
            self.cancel(role, reason);
        }
    }

    /// When the newest came.
    pub(super) fn newest(&self) -> Option<Time> {
        self.waiting.iter().map(|goal| goal.since).max()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a role's goal, or one for all roles, is there.
    pub(super) fn wait_for(&self, role: Role) -> bool {
        self.waiting.iter().any(|waiting| waiting.role.is_none_or(|asked| asked == role))
    }

    /// Whether all roles have joined. Those that have waited too long for others are told whom they missed.
    pub(super) fn poll(&mut self, roles: &[Role], now: Time) -> Joined {
        let trace_id = self.join.trace_id().map(str::to_owned);
        match self.join.poll(roles, now) {
            Joining::Empty | Joining::Waiting(_) => Joined::No,
            Joining::TimedOut(missing) => {
                let missing = missing.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
                let trace_id = trace_id.unwrap_or_default();
                for goal in std::mem::take(&mut self.waiting) {
                    let waited = now.since(goal.since);
                    let seconds = waited.as_secs_f64();
                    let reason =
                        format!("waited {seconds:.1} s for the other roles; still missing: {missing}");
                    finish(&*goal.sink, Outcome::Aborted(reason), &trace_id, waited);
                }
                Joined::No
            }
            Joining::Complete => Joined::All { goals: std::mem::take(&mut self.waiting), trace_id },
        }
    }
}

/// A goal that could not be taken.
pub(super) struct Refused {
    pub sink: Box<dyn GoalSink>,
    pub reason: String,
}
