//! The two update repositories: their metadata and targets for clients of the framework, and where people hand in what they signed.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use swarm_api::approval::Approval;
use swarm_api::update::{Publish, Versions, Which};
use swarm_base::ErrorChain;
use swarm_tuf::ROOT;
use utoipa::IntoParams;

use super::App;
use super::artifacts::send;
use super::body::DownloadQuery;
use super::problem::{Problem, sentence};
use super::request::{Asked, Asker, Body, Named, number};
use super::service::Problems;
use crate::access::Permission;
use crate::approval::Request as Asking;
use crate::record::Reference;
use crate::update::UpdateError;
use swarm_audit::Event;

/// One publish may have so many bytes; the framework's clients take targets of up to 5 MB.
const MAX_PUBLISH: usize = 16 << 20;
/// No proxy gives up before that, mostly.
const MAX_WAIT_S: i64 = 30;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitQuery {
    /// Answer as soon as the timestamp's version is greater.
    #[param(minimum = 0, maximum = 999_999_999_999_999_999_i64)]
    newer_than: Option<i64>,
    /// Answer after so many seconds in any case; at once where it is not said.
    #[param(minimum = 0, maximum = 30)]
    wait_s: Option<i64>,
}

fn which(name: &str) -> Result<Which, Problem> {
    Which::ALL.into_iter().find(|which| which.as_str() == name).ok_or_else(|| {
        let shown: String = name.escape_debug().take(80).collect();
        Problem::new(
            StatusCode::NOT_FOUND,
            "no_such_repository",
            format!("There is no update repository '{shown}'."),
            "There are two: image and director.",
        )
    })
}

fn no_file(which: Which, file: &str) -> Problem {
    let shown: String = file.escape_debug().take(200).collect();
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_file",
        format!("The {} repository has no file {shown}.", which.as_str()),
        "Begin with timestamp.json, which says what there is.",
    )
}

/// A file of metadata, byte for byte as it was signed.
#[utoipa::path(get, path = "/api/v1/update/{repository}/metadata/{file}", operation_id = "update_metadata", tag = "updates", security(("bearer" = [])),
    params(("repository" = String, Path, pattern = "^(image|director)$"), ("file" = String, Path, pattern = "^[a-z0-9_.]{1,100}$", example = "timestamp.json")),
    responses((status = 200, description = "Signed metadata.", body = Object, content_type = "application/json"), Problems))]
pub(super) async fn metadata(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named((repository, file)): Named<(String, String)>,
) -> Result<Response, Problem> {
    asker.needs(Permission::ModelsRead)?;
    let which = which(&repository)?;
    app.updates.keys()?;
    // No other names were ever given out, and the database need not see them.
    let plain = file.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.'));
    let text = if plain { app.updates.file(which, &file).await? } else { None };
    let text = text.ok_or_else(|| no_file(which, &file))?;
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, text).into_response())
}

/// How far a repository is; with `wait_s`, as soon as something new is published.
#[utoipa::path(get, path = "/api/v1/update/{repository}/versions", operation_id = "update_versions", tag = "updates", security(("bearer" = [])),
    params(("repository" = String, Path, pattern = "^(image|director)$"), WaitQuery),
    responses((status = 200, body = Versions), Problems))]
pub(super) async fn versions(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(repository): Named<String>,
    Asked(query): Asked<WaitQuery>,
) -> Result<Json<Versions>, Problem> {
    asker.needs(Permission::ModelsRead)?;
    let which = which(&repository)?;
    app.updates.keys()?;
    let newer_than = number("newer_than", query.newer_than, 0, 0..=999_999_999_999_999_999)?;
    let longest = number("wait_s", query.wait_s, 0, 0..=MAX_WAIT_S)?;
    let longest = Duration::from_secs(longest.unsigned_abs());
    Ok(Json(app.updates.wait(which, newer_than.unsigned_abs(), longest).await?))
}

/// An artifact under the name that clients of the framework ask for: its digest before the file's name.
#[utoipa::path(get, path = "/api/v1/update/{repository}/targets/{skill_id}/{file}", operation_id = "update_target", tag = "updates", security(("bearer" = [])),
    params(("repository" = String, Path, pattern = "^image$"), ("skill_id" = String, Path, pattern = "^[a-z][a-z0-9_]{0,63}$"),
        ("file" = String, Path, pattern = "^[0-9a-f]{64}\\.[a-z][a-z0-9_]{0,63}_v[0-9.]{5,40}\\.tar\\.gz$")),
    responses((status = 200, description = "The archive.", content_type = "application/gzip"),
        (status = 206, description = "The range.", content_type = "application/gzip"),
        (status = 304, description = "The client has it already."), Problems))]
pub(super) async fn target(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named((repository, skill_id, file)): Named<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = asker.needs(Permission::ModelsRead)?;
    let which = which(&repository)?;
    let missing = || no_file(which, &format!("{skill_id}/{file}"));
    let (digest, name) = file.split_once('.').ok_or_else(missing)?;
    let digest = digest.parse().map_err(|_| missing())?;
    let record = app.catalogue.find(Reference::Digest(digest)).await?.ok_or_else(missing)?;
    let expected = format!("{}/{}_v{}.tar.gz", record.skill_name, record.skill_name, record.version);
    if which != Which::Image || format!("{skill_id}/{name}") != expected {
        return Err(missing());
    }
    send(&app, &caller, record, &DownloadQuery { allow_quarantined: None }, &headers).await
}

/// Takes in metadata that people signed: all files or none, each the next version. A root may have to wait for a second person.
#[utoipa::path(post, path = "/api/v1/update/{repository}/publish", operation_id = "update_publish", tag = "updates", security(("bearer" = [])),
    params(("repository" = String, Path, pattern = "^(image|director)$")), request_body = Publish,
    responses((status = 200, description = "Published.", body = Versions), (status = 202, description = "A second person has to confirm it.", body = Approval), Problems))]
pub(super) async fn publish(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(repository): Named<String>,
    mut request: Request,
) -> Result<Response, Problem> {
    let caller = asker.knows();
    DefaultBodyLimit::max(MAX_PUBLISH).apply(&mut request);
    let Body(publish) = Body::<Publish>::from_request(request, &app).await?;
    let which = which(&repository)?;
    if publish.files.is_empty() || publish.files.len() > 100 {
        let detail = format!("The field 'files': expected 1 to 100 files, found {}.", publish.files.len());
        return Err(Problem::bad_request("out_of_range", detail));
    }
    let roots = publish.files.iter().filter(|file| file.role == ROOT).count();
    let needed = |permission| {
        if caller.may(permission) { Ok(()) } else { Err(Problem::not_permitted(&caller.name, permission)) }
    };
    if roots > 0 {
        needed(Permission::KeysWrite)?;
    }
    if roots < publish.files.len() {
        needed(Permission::ModelsWrite)?;
    }
    for file in &publish.files {
        super::request::skill(&file.role)?;
    }
    app.updates.keys()?;
    let now_unix = (app.now_unix)();
    if roots > 0 && app.approvals.needed() {
        let asking = Asking::PublishRoot { repository: which, publish };
        let approval = app.approvals.ask(asking, &caller.name, now_unix).await?;
        return Ok((StatusCode::ACCEPTED, Json(approval)).into_response());
    }
    let event = event(which, &publish, caller.name, now_unix);
    Ok(Json(app.updates.publish(which, publish, event).await?).into_response())
}

pub(super) fn event(which: Which, publish: &Publish, who: String, at_unix: i64) -> Event {
    let roles: Vec<_> = publish.files.iter().map(|file| file.role.as_str()).collect();
    Event {
        at_unix,
        who,
        action: "publish".to_owned(),
        subject: which.as_str().to_owned(),
        detail: roles.join(", "),
    }
}

impl From<UpdateError> for Problem {
    fn from(error: UpdateError) -> Self {
        let detail = sentence(&ErrorChain(&error));
        let refused = |status, code, action| Self::new(status, code, detail, action);
        match error {
            UpdateError::NoKey => refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "no_update_key",
                "Start the registry with UPDATE_KEY_PATH.",
            ),
            UpdateError::Empty { .. } => refused(
                StatusCode::CONFLICT,
                "empty_repository",
                "Hand in the roots that the key ceremony made (csactl publish-root) first.",
            ),
            UpdateError::NotTheNextVersion { .. } => refused(
                StatusCode::CONFLICT,
                "not_the_next_version",
                "Refresh, make the change again on the newest version, and hand that in.",
            ),
            UpdateError::OwnRole { .. } => {
                refused(StatusCode::UNPROCESSABLE_ENTITY, "role_of_the_registry", "Leave this file out.")
            }
            UpdateError::Twice { .. } => {
                refused(StatusCode::UNPROCESSABLE_ENTITY, "role_twice", "Hand in its next version alone.")
            }
            UpdateError::NotConsistent { .. } => refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                "not_consistent",
                "Make the root with consistent snapshots.",
            ),
            UpdateError::NotBelieved(_) => refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                "not_believed",
                "Have it signed by enough keys of its role, and hand it in with every role whose keys it changes.",
            ),
            UpdateError::Changed { .. } => Self::inside("believe its own metadata", &error),
            UpdateError::Database(error) => error.into(),
        }
    }
}
