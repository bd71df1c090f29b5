//! Roll-outs: begun, watched, paused, resumed, ended.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use swarm_api::artifact::Reason;
use swarm_base::ErrorChain;
use swarm_rollout::{Command, Plan, RolloutPage, RolloutStatus};
use utoipa::IntoParams;

use super::App;
use super::cells::SEES_FLEET;
use super::deployments::MAX_NUMBER;
use super::problem::{Problem, sentence};
use super::request::{Asked, Asker, Body, Named, number, text};
use super::service::Problems;
use crate::access::Permission;
use crate::rollout::RolloutError;
use swarm_audit::Event;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RolloutsQuery {
    /// The page after the roll-out of this number.
    #[param(minimum = 1, maximum = 999_999_999_999_999_999_i64)]
    after: Option<i64>,
    /// At most so many; 20 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AbortQuery {
    /// Leave the artifact where it is; otherwise every cell that got it goes back to what it had.
    keep: Option<bool>,
}

fn rollout_id(text: &str) -> Result<i64, Problem> {
    text.parse().ok().filter(|id| (1..=MAX_NUMBER).contains(id)).ok_or_else(|| {
        let shown: String = text.escape_debug().take(80).collect();
        let detail = format!("The path names no roll-out: expected a number, found '{shown}'.");
        Problem::bad_request("bad_number", detail)
    })
}

/// Begins a roll-out. An unfinished one of the same skill is superseded.
#[utoipa::path(post, path = "/api/v1/rollouts", operation_id = "begin_rollout", tag = "roll-outs", security(("bearer" = [])),
    request_body = Plan, responses((status = 201, body = RolloutStatus), Problems))]
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    asker: Asker,
    Body(plan): Body<Plan>,
) -> Result<(StatusCode, Json<RolloutStatus>), Problem> {
    let caller = asker.needs(Permission::DeploymentsWrite)?;
    app.updates.keys()?;
    let begun = app.rollouts.begin(plan, &caller.name, app.approvals.policy(), (app.now_unix)()).await?;
    Ok((StatusCode::CREATED, Json(begun)))
}

/// Roll-outs, newest first, page by page.
#[utoipa::path(get, path = "/api/v1/rollouts", operation_id = "rollouts", tag = "roll-outs", params(RolloutsQuery), security(("bearer" = [])),
    responses((status = 200, body = RolloutPage), Problems))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    asker: Asker,
    Asked(query): Asked<RolloutsQuery>,
) -> Result<Json<RolloutPage>, Problem> {
    asker.needs_one(SEES_FLEET)?;
    let after = query.after.map(|after| number("after", Some(after), 0, 1..=MAX_NUMBER)).transpose()?;
    let limit = number("limit", query.limit, 20, 1..=1000)?;
    Ok(Json(app.rollouts.list(after, limit as usize).await?))
}

/// One roll-out: how far it is, what it waits for, and its history.
#[utoipa::path(get, path = "/api/v1/rollouts/{rollout_id}", operation_id = "rollout", tag = "roll-outs", security(("bearer" = [])),
    params(("rollout_id" = i64, Path, minimum = 1, maximum = 999_999_999_999_999_999_i64)),
    responses((status = 200, body = RolloutStatus), Problems))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(id): Named<String>,
) -> Result<Json<RolloutStatus>, Problem> {
    asker.needs_one(SEES_FLEET)?;
    Ok(Json(app.rollouts.show(rollout_id(&id)?, (app.now_unix)()).await?))
}

/// Hands out nothing more for now; gates go on guarding.
#[utoipa::path(post, path = "/api/v1/rollouts/{rollout_id}/pause", operation_id = "pause_rollout", tag = "roll-outs", security(("bearer" = [])),
    params(("rollout_id" = i64, Path, minimum = 1, maximum = 999_999_999_999_999_999_i64)),
    request_body = Reason, responses((status = 200, body = RolloutStatus), Problems))]
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(id): Named<String>,
    Body(body): Body<Reason>,
) -> Result<Json<RolloutStatus>, Problem> {
    ask(&app, asker, &id, "pause_rollout", body, |reason| Command::Pause { reason }).await
}

/// Goes on after a pause; the stage is observed anew.
#[utoipa::path(post, path = "/api/v1/rollouts/{rollout_id}/resume", operation_id = "resume_rollout", tag = "roll-outs", security(("bearer" = [])),
    params(("rollout_id" = i64, Path, minimum = 1, maximum = 999_999_999_999_999_999_i64)),
    request_body = Reason, responses((status = 200, body = RolloutStatus), Problems))]
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(id): Named<String>,
    Body(body): Body<Reason>,
) -> Result<Json<RolloutStatus>, Problem> {
    ask(&app, asker, &id, "resume_rollout", body, |_| Command::Resume).await
}

/// Ends a roll-out. Cells that got the artifact go back to what they had, unless `keep` is asked for.
#[utoipa::path(post, path = "/api/v1/rollouts/{rollout_id}/abort", operation_id = "abort_rollout", tag = "roll-outs", security(("bearer" = [])),
    params(("rollout_id" = i64, Path, minimum = 1, maximum = 999_999_999_999_999_999_i64), AbortQuery),
    request_body = Reason, responses((status = 200, body = RolloutStatus), Problems))]
pub(super) async fn abort(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(id): Named<String>,
    Asked(query): Asked<AbortQuery>,
    Body(body): Body<Reason>,
) -> Result<Json<RolloutStatus>, Problem> {
    let keep = query.keep == Some(true);
    let command = move |reason| {
        if keep { Command::AbortAndKeep { reason } } else { Command::AbortAndTakeBack { reason } }
    };
    ask(&app, asker, &id, "abort_rollout", body, command).await
}

async fn ask(
    app: &App,
    asker: Asker,
    id: &str,
    action: &str,
    body: Reason,
    command: impl FnOnce(String) -> Command,
) -> Result<Json<RolloutStatus>, Problem> {
    let caller = asker.needs(Permission::DeploymentsWrite)?;
    let id = rollout_id(id)?;
    let reason = text("reason", body.reason, 1..=1000)?;
    let event = Event {
        at_unix: (app.now_unix)(),
        who: caller.name,
        action: action.to_owned(),
        subject: format!("roll-out {id}"),
        detail: reason.clone(),
    };
    Ok(Json(app.rollouts.command(id, &command(reason), event).await?))
}

impl From<RolloutError> for Problem {
    fn from(error: RolloutError) -> Self {
        let detail = sentence(&ErrorChain(&error));
        match error {
            RolloutError::NoSuchRollout { .. } => Self::new(
                StatusCode::NOT_FOUND,
                "no_such_rollout",
                detail,
                "List them with GET /api/v1/rollouts.",
            ),
            RolloutError::NeedsSecondPerson { .. } => Self::new(
                StatusCode::FORBIDDEN,
                "second_person_needed",
                detail,
                "Ask for a rollback of ALL (POST /api/v1/deployment/rollback), or put a canary before the stage with all cells.",
            ),
            RolloutError::Plan(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad_plan",
                detail,
                "Correct the plan; /openapi.json describes it.",
            ),
            RolloutError::Command { .. } => Self::new(
                StatusCode::CONFLICT,
                "not_in_this_state",
                detail,
                "Look at it with GET /api/v1/rollouts/{id}.",
            ),
            RolloutError::Fleet(error) => error.into(),
            RolloutError::Database(error) => error.into(),
        }
    }
}
