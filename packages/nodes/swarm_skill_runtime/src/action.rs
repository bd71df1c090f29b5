//! The action `/skill_runtime/execute`: goals in, feedback and results out.
//!
//! Every goal is accepted, and one that cannot be carried out is aborted at once with the reason in its result: a refused goal has no
//! words in ROS 2. A cancel is accepted at once as well; its result comes when the arms stand. All of it happens on the spin thread; the
//! control loop talks to a goal through a channel, and so does the thread of a preview.

use std::sync::Arc;

use futures::channel::mpsc;
use futures::stream::{FuturesUnordered, Stream, StreamExt as _};
use r2r::swarm_msgs::action::ExecuteSkill;
use swarm_base::{Role, Shutdown};
use swarm_ros::{NodeShell, ShellError};
use swarm_skill_core::{Goal, RoleState};

use crate::engine::{Finished, GoalSink, GoalUpdate};
use crate::messages::{self, SUCCEEDED};
use crate::node::Shared;
use crate::rehearsal::Rehearsed;

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
    let wish = if goal.goal.preview {
        preview(&goal.goal, &shared, sender)
    } else {
        ask(&goal.goal, &shared, sender)
    };
    let mut cancels = cancels.fuse();
    let mut canceled = false;
    loop {
        futures::select! {
            update = updates.next() => match update {
                Some(Update::Progress(roles)) => {
                    // A feedback that cannot be sent is replaced by the next one.
                    let _ = goal.publish_feedback(feedback(wish.role(), &roles));
                }
                Some(Update::Result(result)) => {
                    let sent = match result.outcome {
                        // r2r lets go of a goal's state once its cancel has been accepted; only `cancel` can end it then.
                        _ if canceled => goal.cancel(result),
                        SUCCEEDED => goal.succeed(result),
                        _ => goal.abort(result),
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
                match &wish {
                    Wish::Run(role) => shared.cancel(*role, "canceled by the operator"),
                    Wish::Preview(stop) => stop.request(),
                }
            },
        }
    }
}

/// What a goal has asked for, and what ends it.
enum Wish {
    /// Of one role, `None` for all of them.
    Run(Option<Role>),
    Preview(Shutdown),
}

impl Wish {
    fn role(&self) -> Option<Role> {
        match self {
            Self::Run(role) => *role,
            Self::Preview(_) => None,
        }
    }
}

/// What a goal is to say.
enum Update {
    Progress(Vec<RoleState>),
    Result(ExecuteSkill::Result),
}

/// Has the skill previewed.
fn preview(goal: &ExecuteSkill::Goal, shared: &Arc<Shared>, sender: mpsc::UnboundedSender<Update>) -> Wish {
    let stop = Shutdown::new();
    let trace_id = goal.trace_id.clone();
    let refused = sender.clone();
    let tell = move |rehearsed| {
        let update = match rehearsed {
            Rehearsed::Progress(roles) => Update::Progress(roles),
            Rehearsed::Done(result) => Update::Result(messages::preview(result, &trace_id)),
        };
        // A goal whose task is gone needs no update.
        let _ = sender.unbounded_send(update);
    };
    if let Err(refusal) = shared.preview(&goal.skill_id, stop.clone(), tell) {
        let _ = refused.unbounded_send(Update::Result(messages::preview(Err(refusal), &goal.trace_id)));
    }
    Wish::Preview(stop)
}

/// Hands a goal to the control loop.
fn ask(goal: &ExecuteSkill::Goal, shared: &Shared, sender: mpsc::UnboundedSender<Update>) -> Wish {
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
    Wish::Run(role)
}

struct Sink(mpsc::UnboundedSender<Update>);

impl GoalSink for Sink {
    fn update(&self, update: GoalUpdate) {
        let update = match update {
            GoalUpdate::Feedback(roles) => Update::Progress(roles),
            GoalUpdate::Finished(finished) => Update::Result(result(&finished)),
        };
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
        ..ExecuteSkill::Result::default()
    }
}
