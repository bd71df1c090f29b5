//! What waits for a second person.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use swarm_api::approval::{Action, Approval, ApprovalPage, Confirmed, State as Standing};
use swarm_api::update::Which;
use utoipa::IntoParams;

use super::App;
use super::deployments::{MAX_NUMBER, assignment};
use super::problem::{Problem, sentence};
use super::request::{Asked, Asker, Named, number};
use super::service::Problems;
use super::update::event;
use crate::access::Permission;
use crate::approval::{ApprovalError, Request, confirm_in};
use crate::database::DatabaseError;
use crate::record::Page;
use crate::update::lock;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ApprovalsQuery {
    /// The page after the approval of this number.
    #[param(minimum = 1, maximum = 999_999_999_999_999_999_i64)]
    after: Option<i64>,
    /// At most so many; 100 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

impl From<Page<Approval>> for ApprovalPage {
    fn from(page: Page<Approval>) -> Self {
        Self { items: page.items, next_after: page.next_after }
    }
}

const fn permission(action: Action) -> Permission {
    match action {
        Action::RollbackAll => Permission::DeploymentsWrite,
        Action::PublishRoot => Permission::KeysWrite,
    }
}

/// Requests that wait for a second person, and those that did; newest first.
#[utoipa::path(get, path = "/api/v1/approvals", operation_id = "approvals", tag = "approvals", params(ApprovalsQuery), security(("bearer" = [])),
    responses((status = 200, body = ApprovalPage), Problems))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    asker: Asker,
    Asked(query): Asked<ApprovalsQuery>,
) -> Result<Json<ApprovalPage>, Problem> {
    asker.needs_one(&[Permission::DeploymentsWrite, Permission::LogsRead])?;
    let after = query.after.map(|after| number("after", Some(after), 0, 1..=MAX_NUMBER)).transpose()?;
    let limit = number("limit", query.limit, 100, 1..=1000)?;
    Ok(Json(app.approvals.list(after, limit as usize, (app.now_unix)()).await?.into()))
}

/// A second person confirms a request, and it is done.
#[utoipa::path(post, path = "/api/v1/approvals/{approval_id}/confirm", operation_id = "confirm", tag = "approvals", security(("bearer" = [])),
    params(("approval_id" = i64, Path, minimum = 1, maximum = 999_999_999_999_999_999_i64)),
    responses((status = 200, body = Confirmed), Problems))]
pub(super) async fn confirm(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(id): Named<String>,
) -> Result<Json<Confirmed>, Problem> {
    let caller = asker.needs_one(&[Permission::DeploymentsWrite, Permission::KeysWrite])?;
    let id: i64 = id.parse().ok().filter(|id| (1..=MAX_NUMBER).contains(id)).ok_or_else(|| {
        let shown: String = id.escape_debug().take(80).collect();
        Problem::bad_request(
            "bad_number",
            format!("The path names no approval: expected a number, found '{shown}'."),
        )
    })?;
    let now_unix = (app.now_unix)();
    let found = app.approvals.find(id, now_unix).await?;
    let (approval, request) = found.ok_or(ApprovalError::Unknown { id })?;
    let needed = permission(approval.action);
    if !caller.may(needed) {
        return Err(Problem::not_permitted(&caller.name, needed));
    }
    let mut transaction = app.database.begin().await?;
    // Everybody takes the head of a repository before that of the audit log; who does it the other way round waits for them, and they
    // for him.
    let head = match &request {
        Request::RollbackAll(_) => Which::Director,
        Request::PublishRoot { repository, .. } => *repository,
    };
    lock(&mut transaction, head).await?;
    confirm_in(&mut transaction, id, &caller.name, now_unix).await?;
    let (mut assigned, mut versions) = (None, None);
    let by = approval.requested_by.clone();
    match request {
        Request::RollbackAll(rollback) => {
            let assignment = assignment(rollback, by)?;
            assigned = Some(app.fleet.assign_in(&mut transaction, &assignment, now_unix).await?);
        }
        Request::PublishRoot { repository, publish } => {
            let event = event(repository, &publish, by, now_unix);
            let published = app.updates.publish_in(&mut transaction, repository, publish, event).await?;
            versions = Some((repository, published));
        }
    }
    transaction.commit().await.map_err(DatabaseError::query("do what was confirmed"))?;
    if let Some(assigned) = &assigned {
        app.fleet.assigned(assigned.deployments.len()).await;
        app.rollouts.nudge();
    }
    if let Some((repository, published)) = versions {
        app.updates.published(repository, published);
    }
    let approval = Approval { state: Standing::Confirmed, confirmed_by: Some(caller.name), ..approval };
    Ok(Json(Confirmed { approval, assigned, versions: versions.map(|(_, versions)| versions) }))
}

impl From<ApprovalError> for Problem {
    fn from(error: ApprovalError) -> Self {
        let detail = sentence(&error);
        match error {
            ApprovalError::Unknown { .. } => Self::new(
                StatusCode::NOT_FOUND,
                "no_such_approval",
                detail,
                "List them with GET /api/v1/approvals.",
            ),
            ApprovalError::SamePerson { .. } => {
                Self::new(StatusCode::FORBIDDEN, "same_person", detail, "Have somebody else confirm it.")
            }
            ApprovalError::Done { .. } => {
                Self::new(StatusCode::CONFLICT, "already_confirmed", detail, "Nothing is to be done.")
            }
            ApprovalError::Expired { .. } => {
                Self::new(StatusCode::CONFLICT, "approval_expired", detail, "Ask for it again.")
            }
            ApprovalError::Database(error) => error.into(),
        }
    }
}
