//! The action `/skill_runtime/execute`: goals in, feedback and results out.
//!
//! Every goal is accepted, and one that cannot be carried out is aborted at once with the reason in its result: a refused goal has no
//! words in ROS 2. A cancel is accepted at once as well; its result comes when the arms stand. All of it happens on the spin thread; the
//! control loop talks to a goal through a channel.

use std::sync::Arc;

use futures::channel::mpsc;
use futures::stream::{FuturesUnordered, Stream, StreamExt as _};
use r2r::swarm_msgs::action::ExecuteSkill;
use swarm_base::Role;
use swarm_ros::{NodeShell, ShellError};
use swarm_skill_core::{Goal, Outcome, RoleState};

use crate::engine::{Finished, GoalSink, GoalUpdate};
use crate::messages;
use crate::node::Shared;

const ACTION: &str = "/skill_runtime/execute";

/// Offers the action.
pub fn serve(shell: &mut NodeShell, shared: Arc<Shared>) -> Result<(), ShellError> {
    let requests = shell
        .node()
        .create_action_server::<ExecuteSkill::Action>(ACTION)
        .map_err(|source| ShellError::Entity { what: "the action", name: ACTION.to_owned(), source })?;
    shell.run(serve_goals(requests, shared));
    Ok(())
}

type Request = r2r::ActionServerGoalRequest<ExecuteSkill::Action>;

async fn serve_goals(requests: impl Stream<Item = Request> + Unpin + Send, shared: Arc<Shared>) {
    let mut requests = requests.fuse();
    let mut goals = FuturesUnordered::new();
    loop {
        futures::select! {
            request = requests.next() => match request {
                Some(request) => goals.push(serve_goal(request, Arc::clone(&shared))),
                None => return,
            },
            () = goals.select_next_some() => {}
        }
    }
}

async fn serve_goal(request: Request, shared: Arc<Shared>) {
    let (mut goal, cancels) = match request.accept() {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::warn!("a goal could not be accepted: {error}");
            return;
        }
    };
    let (sender, mut updates) = mpsc::unbounded();
    let role = ask(&goal.goal, &shared, sender);
    let mut cancels = cancels.fuse();
    let mut canceled = false;
    loop {
        futures::select! {
            update = updates.next() => match update {
                Some(GoalUpdate::Feedback(roles)) => {
                    // A feedback that cannot be sent is replaced by the next one.
                    let _ = goal.publish_feedback(feedback(role, &roles));
                }
                Some(GoalUpdate::Finished(finished)) => {
                    let result = result(&finished);
                    let sent = match finished.outcome {
                        // r2r lets go of a goal's state once its cancel has been accepted; only `cancel` can end it then.
                        _ if canceled => goal.cancel(result),
                        Outcome::Succeeded => goal.succeed(result),
                        Outcome::Aborted(_) | Outcome::Canceled(_) => goal.abort(result),
                    };
                    if let Err(error) = sent {
                        tracing::warn!("the result of a goal could not be sent: {error}");
                    }
                    return;
                }
                None => return,
            },
            cancel = cancels.next() => if let Some(cancel) = cancel {
                cancel.accept();
                canceled = true;
                shared.cancel(role, "canceled by the operator");
            },
        }
    }
}

/// Hands a goal to the control loop; gives its role, `None` for all of them.
fn ask(
    goal: &ExecuteSkill::Goal,
    shared: &Shared,
    sender: mpsc::UnboundedSender<GoalUpdate>,
) -> Option<Role> {
    let sink = Box::new(Sink(sender));
    let role = match goal.role.as_str() {
        "" => Ok(None),
        word => word.parse::<Role>().map(Some).map_err(|error| error.to_string()),
    };
    let (role, mistake) = match role {
        Ok(role) => (role, None),
        Err(mistake) => (None, Some(mistake)),
    };
    let patience = swarm_base::Duration::from_secs_f64(goal.join_timeout);
    let wish = Goal { role, trace_id: goal.trace_id.clone(), patience };
    shared.ask(wish, &goal.skill_id, mistake, sink);
    role
}

struct Sink(mpsc::UnboundedSender<GoalUpdate>);

impl GoalSink for Sink {
    fn update(&self, update: GoalUpdate) {
        // A goal whose task is gone needs no update.
        let _ = self.0.unbounded_send(update);
    }
}

/// Of the goal's own role, or of the slowest one if it is for all.
fn feedback(role: Option<Role>, roles: &[RoleState]) -> ExecuteSkill::Feedback {
    let shown = match role {
        Some(role) => roles.iter().find(|state| state.role == role),
        None => roles.iter().min_by(|a, b| a.progress.total_cmp(&b.progress)),
    };
    ExecuteSkill::Feedback {
        role: role.map(|role| role.to_string()).unwrap_or_default(),
        phase: shown.map(|state| state.phase.clone()).unwrap_or_default(),
        progress: shown.map_or(0.0, |state| state.progress),
        roles: roles.iter().map(messages::role_state).collect(),
    }
}

fn result(finished: &Finished) -> ExecuteSkill::Result {
    let (outcome, message) = messages::outcome(&finished.outcome);
    ExecuteSkill::Result {
        outcome,
        message,
        trace_id: finished.trace_id.clone(),
        duration: finished.duration.as_secs_f64(),
    }
}
