//! Handing deltas out.

use std::sync::Arc;

use axum::body::Body as AxumBody;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::artifacts::find;
use super::body::{DeltaBody, DeltaQuery};
use super::problem::Problem;
use super::ranged;
use super::request::{Asked, Asker, Named};
use super::service::Problems;
use crate::access::Permission;
use crate::deltas::{Found, PATIENCE};
use crate::record::{Record, Status};

const MEDIA_TYPE: &str = "application/octet-stream";

/// What turns an artifact of the skill that the client has into this one. Made when it is first asked for; where there is none, the
/// artifact is to be downloaded. What comes of it is to be checked as a download is.
#[utoipa::path(get, path = "/api/v1/csa/{csa}/delta", operation_id = "delta", tag = "artifacts", security(("bearer" = [])),
    params(("csa" = String, Path, description = "Number or digest of the artifact that is wanted.", pattern = "^([0-9]{1,18}|[0-9a-f]{64})$"), DeltaQuery),
    responses((status = 200, description = "The delta.", body = DeltaBody, content_type = "application/octet-stream"),
        (status = 206, description = "The range.", body = DeltaBody, content_type = "application/octet-stream"),
        (status = 304, description = "The client has it already."), Problems))]
pub(super) async fn delta(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(csa): Named<String>,
    Asked(query): Asked<DeltaQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    asker.needs(Permission::ModelsRead)?;
    let to = find(&app, &csa).await?;
    if let Status::Quarantined { reason, .. } = &to.status {
        return Err(Problem::quarantined(&to, reason));
    }
    // One that is quarantined is what a cell may have to go away from.
    let from = find(&app, &query.from).await?;
    if from.digest == to.digest || from.skill_name != to.skill_name {
        let detail = format!(
            "The query's 'from': expected another artifact of the skill {}, found {} {}.",
            to.skill_name, from.skill_name, from.version
        );
        return Err(Problem::bad_request("bad_base", detail));
    }
    let delta = match app.deltas.get(&from, &to, PATIENCE).await {
        Ok(Found::Delta(delta)) => delta,
        Ok(Found::NotWorthIt) => return Err(none(&from, &to)),
        Ok(Found::NotYet) => return Err(not_yet(&from, &to)),
        Err(error) => return Err(Problem::inside("make a delta", &error)),
    };
    let what = format!("the delta from {} to {}", from.digest, to.digest);
    let bytes = ranged::Bytes { tag: &delta.tag, size: delta.size, media_type: MEDIA_TYPE, what };
    let plan = bytes.asked_for(&headers)?;
    let range = match plan.body {
        ranged::Body::Nothing => return Ok((plan.status, plan.headers).into_response()),
        ranged::Body::All => None,
        ranged::Body::Part(range) => Some(range),
    };
    if range.as_ref().is_none_or(|range| range.start == 0) {
        app.metrics.deltas.inc();
        app.metrics.saved_bytes.inc_by(to.size.saturating_sub(delta.size));
    }
    let stream = app.deltas.open(&delta, range).await?;
    Ok((plan.status, plan.headers, AxumBody::from_stream(stream)).into_response())
}

fn none(from: &Record, to: &Record) -> Problem {
    let detail = format!(
        "There is no delta from {} to {}: it would save little or nothing, artifacts of this size have none here, or {} was packaged by \
         other means than `cell package`.",
        from.digest, to.digest, to.version
    );
    Problem::new(StatusCode::NOT_FOUND, "no_delta", detail, "Download the whole artifact.")
}

fn not_yet(from: &Record, to: &Record) -> Problem {
    let detail = format!("The delta from {} to {} is not made yet.", from.digest, to.digest);
    let action =
        "Download the whole artifact, or ask again after as many seconds as the header Retry-After says.";
    Problem::new(StatusCode::CONFLICT, "delta_not_yet", detail, action).with(header::RETRY_AFTER, "5")
}
