//! Who is to run what: deployments, rollbacks, and their history.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use swarm_api::approval::Approval;
use swarm_api::deployment::{Assigned, Cause, Deploy, Deployment, DeploymentPage, Rollback};
use utoipa::IntoParams;

use super::App;
use super::cells::{SEES_FLEET, site};
use super::problem::Problem;
use super::request::{Asked, Asker, Body, number, skill, text};
use super::service::Problems;
use crate::access::Permission;
use crate::approval::Request as Asking;
use crate::fleet::{ALL, Assignment, Cells, HistoryFilter};
use crate::record::Page;

pub(super) const MAX_NUMBER: i64 = 999_999_999_999_999_999;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    /// Only deployments of this cell.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    site_id: Option<String>,
    /// Only deployments of this skill.
    #[param(pattern = "^[a-z][a-z0-9_]{0,63}$")]
    skill_name: Option<String>,
    /// The page after the deployment of this number.
    #[param(minimum = 1, maximum = 999_999_999_999_999_999_i64)]
    after: Option<i64>,
    /// At most so many; 100 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

impl From<Page<Deployment>> for DeploymentPage {
    fn from(page: Page<Deployment>) -> Self {
        Self { items: page.items, next_after: page.next_after }
    }
}

pub(super) fn csa_id(field: &'static str, id: i64) -> Result<i64, Problem> {
    if (1..=MAX_NUMBER).contains(&id) {
        return Ok(id);
    }
    let detail = format!("The field '{field}': expected 1 to {MAX_NUMBER}, found {id}.");
    Err(Problem::bad_request("out_of_range", detail))
}

/// Has one cell run an artifact.
#[utoipa::path(post, path = "/api/v1/deployments", operation_id = "deploy", tag = "fleet", security(("bearer" = [])),
    request_body = Deploy, responses((status = 200, body = Assigned), Problems))]
pub(super) async fn deploy(
    State(app): State<Arc<App>>,
    asker: Asker,
    Body(body): Body<Deploy>,
) -> Result<Json<Assigned>, Problem> {
    let caller = asker.needs(Permission::DeploymentsWrite)?;
    let assignment = Assignment {
        csa_id: csa_id("csa_id", body.csa_id)?,
        cells: Cells::Named(vec![site(&body.site_id)?]),
        cause: Cause::Deploy,
        rollout_id: None,
        reason: text("reason", body.reason, 1..=1000)?,
        requested_by: caller.name,
    };
    let assigned = app.fleet.assign(&assignment, (app.now_unix)()).await?;
    app.rollouts.nudge();
    Ok(Json(assigned))
}

/// Has a cell, or every cell of the skill (`ALL`), go back to an older artifact. `ALL` may have to wait for a second person.
#[utoipa::path(post, path = "/api/v1/deployment/rollback", operation_id = "rollback", tag = "fleet", security(("bearer" = [])),
    request_body = Rollback, responses((status = 200, body = Assigned), (status = 202, description = "A second person has to confirm it.", body = Approval), Problems))]
pub(super) async fn rollback(
    State(app): State<Arc<App>>,
    asker: Asker,
    Body(body): Body<Rollback>,
) -> Result<Response, Problem> {
    let caller = asker.needs(Permission::DeploymentsWrite)?;
    let now_unix = (app.now_unix)();
    let assignment = assignment(body.clone(), caller.name.clone())?;
    if assignment.cells == Cells::OfItsSkill && app.approvals.needed() {
        app.updates.keys()?;
        let approval = app.approvals.ask(Asking::RollbackAll(body), &caller.name, now_unix).await?;
        return Ok((StatusCode::ACCEPTED, Json(approval)).into_response());
    }
    let assigned = app.fleet.assign(&assignment, now_unix).await?;
    app.rollouts.nudge();
    Ok(Json(assigned).into_response())
}

/// What a rollback asks for, whether it is done at once or after a confirmation.
pub(super) fn assignment(rollback: Rollback, requested_by: String) -> Result<Assignment, Problem> {
    let cells = match rollback.site_id.as_str() {
        ALL => Cells::OfItsSkill,
        name => Cells::Named(vec![site(name)?]),
    };
    Ok(Assignment {
        csa_id: csa_id("target_csa_id", rollback.target_csa_id)?,
        cells,
        cause: Cause::Rollback,
        rollout_id: None,
        reason: text("reason", rollback.reason, 0..=1000)?,
        requested_by,
    })
}

/// The history, newest first, page by page.
#[utoipa::path(get, path = "/api/v1/deployments", operation_id = "deployments", tag = "fleet", params(HistoryQuery), security(("bearer" = [])),
    responses((status = 200, body = DeploymentPage), Problems))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    asker: Asker,
    Asked(query): Asked<HistoryQuery>,
) -> Result<Json<DeploymentPage>, Problem> {
    asker.needs_one(SEES_FLEET)?;
    let filter = HistoryFilter {
        site_id: query.site_id.as_deref().map(site).transpose()?,
        skill_name: query.skill_name.map(|name| skill(&name)).transpose()?.map(|name| name.to_string()),
    };
    let after = query.after.map(|after| number("after", Some(after), 0, 1..=MAX_NUMBER)).transpose()?;
    let limit = number("limit", query.limit, 100, 1..=1000)?;
    Ok(Json(app.fleet.history(&filter, after, limit as usize).await?.into()))
}
