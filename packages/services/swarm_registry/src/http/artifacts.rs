//! Listing, showing, handing out and withdrawing artifacts.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Body as AxumBody;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use swarm_api::artifact::{Artifact, ArtifactPage, Reason};

use super::App;
use super::body::{DownloadQuery, ListQuery};
use super::lists::Page;
use super::problem::Problem;
use super::ranged;
use super::request::{Asked, Asker, Body, Named, number, reference, skill, text};
use super::service::Problems;
use crate::access::{Caller, Permission};
use crate::record::{Filter, Record, Status};
use swarm_audit::Event;

const MAX_PAGE: i64 = 1000;
const MAX_NUMBER: i64 = 999_999_999_999_999_999;

/// Artifacts, newest first, page by page. Another replica's changes are seen a tenth of a second later at most.
#[utoipa::path(get, path = "/api/v1/csa/list", operation_id = "list", tag = "artifacts", params(ListQuery), security(("bearer" = [])),
    responses((status = 200, body = ArtifactPage), Problems))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    asker: Asker,
    Asked(query): Asked<ListQuery>,
) -> Result<Response, Problem> {
    asker.needs(Permission::ModelsRead)?;
    let limit = number("limit", query.limit, 20, 1..=MAX_PAGE)?;
    let after = query.after.map(|after| number("after", Some(after), 0, 1..=MAX_NUMBER)).transpose()?;
    let skill_name = query.skill_name.map(|name| skill(&name)).transpose()?.map(|name| name.to_string());
    if let Some(other) =
        query.status.as_deref().filter(|it| ![Status::ACTIVE, Status::QUARANTINED].contains(it))
    {
        let detail = format!(
            "The query's 'status': expected active or quarantined, found '{}'.",
            other.escape_debug()
        );
        return Err(Problem::bad_request("bad_status", detail));
    }
    let asked = Page { filter: Filter { skill_name, status: query.status }, after, limit: limit as usize };
    let (commits, now) = (app.database.commits(), Instant::now());
    let body = if let Some(body) = app.lists.get(&asked, commits, now) {
        body
    } else {
        let page: ArtifactPage = app.catalogue.list(&asked.filter, after, asked.limit).await?.into();
        let body = Bytes::from(serde_json::to_vec(&page).expect("a page of artifacts is JSON"));
        app.lists.keep(asked, commits, now, body.clone());
        body
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The same list under the path of the older manual.
#[utoipa::path(get, path = "/api/model/versions", operation_id = "list_alias", tag = "artifacts", params(ListQuery), security(("bearer" = [])),
    responses((status = 200, body = ArtifactPage), Problems))]
pub(super) async fn list_alias(
    state: State<Arc<App>>,
    asker: Asker,
    query: Asked<ListQuery>,
) -> Result<Response, Problem> {
    list(state, asker, query).await
}

pub(super) async fn find(app: &App, csa: &str) -> Result<Record, Problem> {
    let reference = reference(csa)?;
    app.catalogue.find(reference).await?.ok_or_else(|| Problem::no_artifact(reference))
}

async fn find_version(app: &App, skill_id: &str, version: &str) -> Result<Record, Problem> {
    let skill_id = skill(skill_id)?;
    let version: semver::Version = version.parse().map_err(|error| {
        let detail = format!(
            "The path's version: expected one such as 1.2.0, found '{}': {error}.",
            version.escape_debug()
        );
        Problem::bad_request("bad_version", detail)
    })?;
    let found = app.catalogue.find_version(skill_id.as_str(), &version.to_string()).await?;
    found.ok_or_else(|| Problem::no_artifact(format!("{skill_id} {version}")))
}

/// One artifact, by number or digest.
#[utoipa::path(get, path = "/api/v1/csa/{csa}", operation_id = "show", tag = "artifacts", security(("bearer" = [])),
    params(("csa" = String, Path, description = "Number or digest of the artifact.", pattern = "^([0-9]{1,18}|[0-9a-f]{64})$")),
    responses((status = 200, body = Artifact), Problems))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(csa): Named<String>,
) -> Result<Json<Artifact>, Problem> {
    asker.needs(Permission::ModelsRead)?;
    Ok(Json(find(&app, &csa).await?.into()))
}

/// One artifact, by skill and version.
#[utoipa::path(get, path = "/api/v1/skills/{skill_id}/versions/{version}", operation_id = "show_version", tag = "artifacts", security(("bearer" = [])),
    params(("skill_id" = String, Path, pattern = "^[a-z][a-z0-9_]{0,63}$"), ("version" = String, Path, pattern = "^(0|[1-9][0-9]{0,8})\\.(0|[1-9][0-9]{0,8})\\.(0|[1-9][0-9]{0,8})$")),
    responses((status = 200, body = Artifact), Problems))]
pub(super) async fn show_version(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named((skill_id, version)): Named<(String, String)>,
) -> Result<Json<Artifact>, Problem> {
    asker.needs(Permission::ModelsRead)?;
    Ok(Json(find_version(&app, &skill_id, &version).await?.into()))
}

/// The bytes of an artifact, whole or a range.
#[utoipa::path(get, path = "/api/v1/csa/{csa}/download", operation_id = "download", tag = "artifacts", security(("bearer" = [])),
    params(("csa" = String, Path, description = "Number or digest of the artifact.", pattern = "^([0-9]{1,18}|[0-9a-f]{64})$"), DownloadQuery),
    responses((status = 200, description = "The archive.", content_type = "application/gzip"),
        (status = 206, description = "The range.", content_type = "application/gzip"),
        (status = 304, description = "The client has it already."), Problems))]
pub(super) async fn download(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(csa): Named<String>,
    Asked(query): Asked<DownloadQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = asker.needs(Permission::ModelsRead)?;
    let record = find(&app, &csa).await?;
    send(&app, &caller, record, &query, &headers).await
}

/// The bytes of an artifact, by skill and version.
#[utoipa::path(get, path = "/api/v1/skills/{skill_id}/versions/{version}/download", operation_id = "download_version", tag = "artifacts", security(("bearer" = [])),
    params(("skill_id" = String, Path, pattern = "^[a-z][a-z0-9_]{0,63}$"), ("version" = String, Path, pattern = "^(0|[1-9][0-9]{0,8})\\.(0|[1-9][0-9]{0,8})\\.(0|[1-9][0-9]{0,8})$"), DownloadQuery),
    responses((status = 200, description = "The archive.", content_type = "application/gzip"),
        (status = 206, description = "The range.", content_type = "application/gzip"),
        (status = 304, description = "The client has it already."), Problems))]
pub(super) async fn download_version(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named((skill_id, version)): Named<(String, String)>,
    Asked(query): Asked<DownloadQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = asker.needs(Permission::ModelsRead)?;
    let record = find_version(&app, &skill_id, &version).await?;
    send(&app, &caller, record, &query, &headers).await
}

pub(super) async fn send(
    app: &App,
    caller: &Caller,
    record: Record,
    query: &DownloadQuery,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    if let Status::Quarantined { reason, .. } = &record.status {
        if query.allow_quarantined != Some(true) {
            return Err(Problem::quarantined(&record, reason));
        }
        if !caller.may(Permission::ModelsWrite) {
            return Err(Problem::not_permitted(&caller.name, Permission::ModelsWrite));
        }
    }
    let tag = format!("\"{}\"", record.digest);
    let what = format!("artifact {}", record.digest);
    let bytes = ranged::Bytes { tag: &tag, size: record.size, media_type: "application/gzip", what };
    let mut plan = bytes.asked_for(headers)?;
    let range = match plan.body {
        ranged::Body::Nothing => return Ok((plan.status, plan.headers).into_response()),
        ranged::Body::All => None,
        ranged::Body::Part(ref range) => Some(range.clone()),
    };
    let repr = header::HeaderName::from_static("repr-digest");
    plan.set(repr, &format!("sha-256=:{}:", STANDARD.encode(record.digest.0.0)));
    let name = format!("attachment; filename=\"{}_v{}.tar.gz\"", record.skill_name, record.version);
    plan.set(header::CONTENT_DISPOSITION, &name);
    let stream = app.intake.blobs.get_artifact(record.digest, range).await?;
    app.metrics.downloads.inc();
    Ok((plan.status, plan.headers, AxumBody::from_stream(stream)).into_response())
}

/// The signature file of an artifact.
#[utoipa::path(get, path = "/api/v1/csa/{csa}/signature", operation_id = "signature", tag = "artifacts", security(("bearer" = [])),
    params(("csa" = String, Path, description = "Number or digest of the artifact.", pattern = "^([0-9]{1,18}|[0-9a-f]{64})$")),
    responses((status = 200, description = "The .sig file.", body = Object, content_type = "application/yaml"), Problems))]
pub(super) async fn signature(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(csa): Named<String>,
) -> Result<Response, Problem> {
    asker.needs(Permission::ModelsRead)?;
    let record = find(&app, &csa).await?;
    Ok(([(header::CONTENT_TYPE, "application/yaml")], record.signature).into_response())
}

/// Withdraws an artifact: it is listed with its reason, but no longer handed out.
#[utoipa::path(post, path = "/api/v1/csa/{csa}/quarantine", operation_id = "quarantine", tag = "artifacts", security(("bearer" = [])),
    params(("csa" = String, Path, description = "Number or digest of the artifact.", pattern = "^([0-9]{1,18}|[0-9a-f]{64})$")),
    request_body = Reason, responses((status = 200, body = Artifact), Problems))]
pub(super) async fn quarantine(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(csa): Named<String>,
    Body(body): Body<Reason>,
) -> Result<Json<Artifact>, Problem> {
    let caller = asker.needs(Permission::ModelsWrite)?;
    let reason = text("reason", body.reason, 1..=1000)?;
    let since_unix = (app.now_unix)();
    let status = Status::Quarantined { reason: reason.clone(), by: caller.name.clone(), since_unix };
    change(&app, &csa, caller, "quarantine", reason, status).await
}

/// Lifts a quarantine.
#[utoipa::path(post, path = "/api/v1/csa/{csa}/release", operation_id = "release", tag = "artifacts", security(("bearer" = [])),
    params(("csa" = String, Path, description = "Number or digest of the artifact.", pattern = "^([0-9]{1,18}|[0-9a-f]{64})$")),
    request_body = Reason, responses((status = 200, body = Artifact), Problems))]
pub(super) async fn release(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(csa): Named<String>,
    Body(body): Body<Reason>,
) -> Result<Json<Artifact>, Problem> {
    let caller = asker.needs(Permission::ModelsWrite)?;
    let reason = text("reason", body.reason, 1..=1000)?;
    change(&app, &csa, caller, "release", reason, Status::Active).await
}

async fn change(
    app: &App,
    csa: &str,
    caller: Caller,
    action: &str,
    reason: String,
    status: Status,
) -> Result<Json<Artifact>, Problem> {
    let record = find(app, csa).await?;
    let event = Event {
        at_unix: (app.now_unix)(),
        who: caller.name,
        action: action.to_owned(),
        subject: record.digest.to_string(),
        detail: reason,
    };
    if !app.catalogue.set_status(record.id, &status, event).await? {
        return Err(Problem::same_status(&record, &status));
    }
    app.rollouts.nudge();
    Ok(Json(Record { status, ..record }.into()))
}
