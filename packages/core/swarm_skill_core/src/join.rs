//! Which goals make a run: one for all roles, or one per role from several terminals.

use swarm_base::{Duration, Role, Time};

/// Roles asked for by ExecuteSkill goals that belong together, before their run starts.
///
/// One goal for all roles starts a run at once; goals for single roles wait for one another. The first goal that waits sets the time
/// by which the others have to come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Join {
    asked: Vec<Role>,
    trace_id: Option<String>,
    deadline: Option<Time>,
}

/// Why a goal cannot join.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    #[error("role {0} has already been started and waits for the others")]
    Twice(Role),
    #[error("the skill has no role {role}; its roles are {known}")]
    NoSuchRole { role: Role, known: String },
    #[error("all roles were asked for at once, but {0} already waits for the others; cancel it first")]
    Others(Role),
    #[error("the run that waits for its roles is {waiting}, not {found}")]
    OtherRun { waiting: String, found: String },
}

/// What a goal asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// `None`: all roles.
    pub role: Option<Role>,
    /// Empty: none given.
    pub trace_id: String,
    /// Longest time to wait for the other roles.
    pub patience: Duration,
}

/// Where a joining run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joining {
    /// Nobody has asked.
    Empty,
    /// Waits for these roles.
    Waiting(Vec<Role>),
    /// Everybody is there; start. The join is empty again.
    Complete,
    /// These roles have not come in time. The join is empty again.
    TimedOut(Vec<Role>),
}

impl Join {
    /// A goal has come. `needed` are the skill's roles.
    pub fn ask(&mut self, goal: &Goal, needed: &[Role], now: Time) -> Result<(), JoinError> {
        let roles: Vec<Role> = match goal.role {
            None => {
                if let Some(&waiting) = self.asked.first() {
                    return Err(JoinError::Others(waiting));
                }
                needed.to_vec()
            }
            Some(role) if !needed.contains(&role) => {
                let known = needed.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
                return Err(JoinError::NoSuchRole { role, known });
            }
            Some(role) if self.asked.contains(&role) => return Err(JoinError::Twice(role)),
            Some(role) => vec![role],
        };
        if !goal.trace_id.is_empty() {
            match &self.trace_id {
                Some(waiting) if *waiting != goal.trace_id => {
                    return Err(JoinError::OtherRun {
                        waiting: waiting.clone(),
                        found: goal.trace_id.clone(),
                    });
                }
                _ => self.trace_id = Some(goal.trace_id.clone()),
            }
        }
        self.asked.extend(roles);
        self.deadline.get_or_insert(now + goal.patience);
        Ok(())
    }

    /// A goal that waited has been canceled.
    pub fn withdraw(&mut self, role: Role) {
        self.asked.retain(|asked| *asked != role);
        if self.asked.is_empty() {
            *self = Self::default();
        }
    }

    /// Looks at the time.
    pub fn poll(&mut self, needed: &[Role], now: Time) -> Joining {
        if self.asked.is_empty() {
            return Joining::Empty;
        }
        let missing: Vec<Role> = needed.iter().copied().filter(|role| !self.asked.contains(role)).collect();
        if missing.is_empty() {
            *self = Self::default();
            return Joining::Complete;
        }
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            *self = Self::default();
            return Joining::TimedOut(missing);
        }
        Joining::Waiting(missing)
    }

    /// The trace id that one of the goals gave.
    pub fn trace_id(&self) -> Option<&str> {
        self.trace_id.as_deref()
    }

    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(role: Option<Role>) -> Goal {
        Goal { role, trace_id: String::new(), patience: Duration::from_millis(1_000) }
    }

    #[test]
    fn three_goals_of_one_role_each_make_a_run() {
        let mut join = Join::default();
        for role in [Role::Spotter, Role::Leader] {
            join.ask(&goal(Some(role)), &Role::ALL, Time::ZERO).unwrap();
        }
        assert_eq!(join.poll(&Role::ALL, Time::ZERO), Joining::Waiting(vec![Role::Follower]));
        join.ask(&goal(Some(Role::Follower)), &Role::ALL, Time::ZERO).unwrap();
        assert_eq!(join.poll(&Role::ALL, Time::ZERO), Joining::Complete);
        assert_eq!(join.poll(&Role::ALL, Time::ZERO), Joining::Empty);
    }

    #[test]
    fn one_goal_for_all_roles_needs_no_other() {
        let mut join = Join::default();
        join.ask(&goal(None), &Role::ALL, Time::ZERO).unwrap();
        assert_eq!(join.poll(&Role::ALL, Time::ZERO), Joining::Complete);
    }

    #[test]
    fn roles_that_do_not_come_in_time_are_named() {
        let mut join = Join::default();
        join.ask(&goal(Some(Role::Leader)), &Role::ALL, Time::ZERO).unwrap();
        // A later goal does not prolong the wait of the first.
        join.ask(&goal(Some(Role::Spotter)), &Role::ALL, Time::from_millis(900)).unwrap();
        assert_eq!(join.poll(&Role::ALL, Time::from_millis(999)), Joining::Waiting(vec![Role::Follower]));
        assert_eq!(join.poll(&Role::ALL, Time::from_millis(1_000)), Joining::TimedOut(vec![Role::Follower]));
        assert!(join.is_empty());
    }

    #[test]
    fn a_canceled_goal_is_forgotten() {
        let mut join = Join::default();
        join.ask(&goal(Some(Role::Leader)), &Role::ALL, Time::ZERO).unwrap();
        join.withdraw(Role::Leader);
        assert_eq!(join.poll(&Role::ALL, Time::from_millis(5_000)), Joining::Empty);
        join.ask(&goal(Some(Role::Leader)), &Role::ALL, Time::from_millis(5_000)).unwrap();
        assert_eq!(
            join.poll(&Role::ALL, Time::from_millis(5_500)),
            Joining::Waiting(vec![Role::Follower, Role::Spotter]),
            "the old deadline is gone too"
        );
    }

    #[test]
    fn goals_that_do_not_fit_together_are_refused_with_their_reason() {
        let mut join = Join::default();
        let two = [Role::Leader, Role::Follower];
        let error = join.ask(&goal(Some(Role::Spotter)), &two, Time::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "the skill has no role spotter; its roles are leader, follower");
        let first = Goal { trace_id: "a".into(), ..goal(Some(Role::Leader)) };
        join.ask(&first, &two, Time::ZERO).unwrap();
        let error = join.ask(&first, &two, Time::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "role leader has already been started and waits for the others");
        let error = join.ask(&goal(None), &two, Time::ZERO).unwrap_err();
        assert_eq!(
            error.to_string(),
            "all roles were asked for at once, but leader already waits for the others; cancel it first"
        );
        let other = Goal { trace_id: "b".into(), ..goal(Some(Role::Follower)) };
        let error = join.ask(&other, &two, Time::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "the run that waits for its roles is a, not b");
    }
}
