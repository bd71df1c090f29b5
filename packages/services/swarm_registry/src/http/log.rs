//! Reading and verifying the audit log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use swarm_api::audit::{AuditPage, AuditVerdict};

use super::App;
use super::body::AuditQuery;
use super::problem::Problem;
use super::request::{Asked, Asker, number};
use super::service::Problems;
use crate::access::Permission;

/// Entries of the audit log, oldest first, page by page.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "audit", tag = "audit", params(AuditQuery), security(("bearer" = [])),
    responses((status = 200, body = AuditPage), Problems))]
pub(super) async fn entries(
    State(app): State<Arc<App>>,
    asker: Asker,
    Asked(query): Asked<AuditQuery>,
) -> Result<Json<AuditPage>, Problem> {
    asker.needs(Permission::LogsRead)?;
    let after = number("after", query.after, 0, 0..=999_999_999_999_999_999)?;
    let limit = number("limit", query.limit, 100, 1..=1000)?;
    let page = app.catalogue.audit(after, limit as usize).await?;
    Ok(Json(AuditPage {
        items: page.items.into_iter().map(Into::into).collect(),
        next_after: page.next_after,
    }))
}

/// Follows the audit log from its first entry to its last.
#[utoipa::path(get, path = "/api/v1/audit/verify", operation_id = "verify_audit", tag = "audit", security(("bearer" = [])),
    responses((status = 200, body = AuditVerdict), Problems))]
pub(super) async fn verify(State(app): State<Arc<App>>, asker: Asker) -> Result<Json<AuditVerdict>, Problem> {
    asker.needs(Permission::LogsRead)?;
    Ok(Json(match app.catalogue.verify_audit().await? {
        Ok((entries, head)) => AuditVerdict { intact: true, entries, head: head.to_string(), problem: None },
        Err(error) => {
            tracing::error!("the audit log is not what was written: {error}");
            AuditVerdict { intact: false, entries: 0, head: String::new(), problem: Some(error.to_string()) }
        }
    }))
}
