//! Uploads in parts (`PATCH` with `Upload-Offset`, after the tus protocol), so that a weak link needs no second beginning.

use std::sync::Arc;

use axum::Json;
use axum::body::Body as AxumBody;
use axum::extract::State;
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use swarm_api::artifact::{Artifact, BeginUpload, CompleteUpload, UploadStatus};
use swarm_base::ErrorChain;

use super::App;
use super::body::PartBody;
use super::problem::Problem;
use super::request::{Asker, Body, Named, digest, text};
use super::service::Problems;
use super::submit::decide;
use crate::access::{Caller, Permission};
use crate::intake::{IntakeError, Submission};
use crate::staging::Staged;
use crate::uploads::{Turn, Upload, UploadError};

pub(super) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const PART_TYPE: &str = "application/offset+octet-stream";

impl From<&Upload> for UploadStatus {
    fn from(upload: &Upload) -> Self {
        Self { upload_id: upload.id.clone(), length: upload.length, received: upload.received }
    }
}

/// Begins an upload in parts.
#[utoipa::path(post, path = "/api/v1/csa/uploads", operation_id = "begin_upload", tag = "uploads", security(("bearer" = [])),
    request_body = BeginUpload, responses((status = 201, body = UploadStatus, headers(("location" = String, description = "Where the parts go."))), Problems))]
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    asker: Asker,
    Body(body): Body<BeginUpload>,
) -> Result<Response, Problem> {
    let caller = asker.needs(Permission::ModelsSubmit)?;
    let limit = app.staging.max_bytes;
    if body.length == 0 {
        return Err(Problem::bad_request(
            "empty_upload",
            "The field 'length': expected at least 1 byte, found 0.",
        ));
    }
    if body.length > limit {
        return Err(IntakeError::TooLarge { limit }.into());
    }
    begun(&app, &caller, body.length).await
}

/// What is answered to a new upload of so many bytes, of an artifact or of a bag.
pub(super) async fn begun(app: &App, caller: &Caller, length: u64) -> Result<Response, Problem> {
    let upload = app.uploads.begin(&caller.name, length, (app.now_unix)()).await?;
    let place = format!("/api/v1/csa/uploads/{}", upload.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(UploadStatus::from(&upload))).into_response())
}

pub(super) async fn find(app: &App, asker: Asker, id: &str) -> Result<Upload, Problem> {
    let caller = asker.needs(Permission::ModelsSubmit)?;
    // Nothing else was ever given out, and the database need not see it.
    let plain = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found = if plain { app.uploads.find(id, &caller.name).await? } else { None };
    found.ok_or_else(|| Problem::no_upload(id))
}

/// How far an upload is.
#[utoipa::path(get, path = "/api/v1/csa/uploads/{upload_id}", operation_id = "upload_status", tag = "uploads", security(("bearer" = [])),
    params(("upload_id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = UploadStatus, headers(("upload-offset" = u64, description = "Go on at this byte."))), Problems))]
pub(super) async fn status(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    let upload = find(&app, asker, &id).await?;
    Ok(([(UPLOAD_OFFSET, upload.received.to_string())], Json(UploadStatus::from(&upload))).into_response())
}

/// Adds a part. What arrived before a cut counts: ask how far the upload is, and go on there.
#[utoipa::path(patch, path = "/api/v1/csa/uploads/{upload_id}", operation_id = "append_part", tag = "uploads", security(("bearer" = [])),
    params(("upload_id" = String, Path, pattern = "^[0-9a-f]{32}$"),
        ("upload-offset" = u64, Header, description = "The byte at which the part begins.", minimum = 0, maximum = 68_719_476_736_i64)),
    request_body(content = PartBody, content_type = "application/offset+octet-stream"),
    responses((status = 204, description = "Stored.", headers(("upload-offset" = u64, description = "Go on at this byte."))), Problems))]
pub(super) async fn append(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(id): Named<String>,
    headers: HeaderMap,
    body: AxumBody,
) -> Result<Response, Problem> {
    let upload = find(&app, asker, &id).await?;
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let kind = header(header::CONTENT_TYPE).unwrap_or_default();
    if kind != PART_TYPE {
        let detail = format!(
            "The header Content-Type: expected {PART_TYPE}, found '{}'.",
            kind.escape_debug().take(80).collect::<String>()
        );
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_a_part",
            detail,
            "Send the part with that type.",
        ));
    }
    let start: u64 = header(UPLOAD_OFFSET).and_then(|text| text.parse().ok()).ok_or_else(|| {
        Problem::bad_request(
            "bad_offset",
            "The header Upload-Offset: expected the byte at which the part begins.",
        )
    })?;
    let (upload, turn) = alone(&app, upload).await?;
    if start != upload.received {
        return Err(UploadError::WrongOffset { stated: start, received: upload.received }.into());
    }
    // On a task of its own: a connection that is cut takes its request with it, and what arrived is to count.
    let storing = tokio::spawn(async move {
        let _turn = turn;
        let left = upload.length - start;
        let staged = match app.staging.receive(body.into_data_stream(), left).await {
            Err(IntakeError::TooLarge { .. }) => {
                let end = start.saturating_add(left).saturating_add(1);
                return Err(UploadError::TooLong { end, length: upload.length }.into());
            }
            received => received?,
        };
        let (staged, cut) = (Staged { cut: None, ..staged }, staged.cut);
        let received = app.uploads.add_part(&upload, start, staged, (app.now_unix)()).await?;
        match cut {
            Some(cut) => Err(Problem::from(cut).with(UPLOAD_OFFSET, &received.to_string())),
            None => Ok((StatusCode::NO_CONTENT, [(UPLOAD_OFFSET, received.to_string())]).into_response()),
        }
    });
    storing.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// Waits for the other request that is at the upload, if there is one; gives the upload as that has left it.
pub(super) async fn alone(app: &App, upload: Upload) -> Result<(Upload, Turn), Problem> {
    let turn = app.uploads.turn(&upload).await?;
    let found = app.uploads.find(&upload.id, &upload.owner).await?;
    Ok((found.ok_or_else(|| Problem::no_upload(&upload.id))?, turn))
}

/// Gives an upload up.
#[utoipa::path(delete, path = "/api/v1/csa/uploads/{upload_id}", operation_id = "abandon_upload", tag = "uploads", security(("bearer" = [])),
    params(("upload_id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 204, description = "Removed."), Problems))]
pub(super) async fn abandon(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(id): Named<String>,
) -> Result<StatusCode, Problem> {
    let upload = find(&app, asker, &id).await?;
    app.uploads.remove(&upload.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends an upload: its parts become an artifact, on the same way as an upload in one piece.
#[utoipa::path(post, path = "/api/v1/csa/uploads/{upload_id}/complete", operation_id = "complete_upload", tag = "uploads", security(("bearer" = [])),
    params(("upload_id" = String, Path, pattern = "^[0-9a-f]{32}$")), request_body = CompleteUpload,
    responses((status = 201, description = "Accepted.", body = Artifact), (status = 200, description = "It was here already.", body = Artifact), Problems))]
pub(super) async fn complete(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(id): Named<String>,
    Body(body): Body<CompleteUpload>,
) -> Result<(StatusCode, Json<Artifact>), Problem> {
    let (upload, _turn) = alone(&app, find(&app, asker, &id).await?).await?;
    let submission = Submission {
        signature: body.signature,
        uploaded_by: text("uploaded_by", body.uploaded_by, 0..=128)?,
        uploader: upload.owner.clone(),
        parent: body.parent.map(|it| digest("parent", &it)).transpose()?,
        training_data: body.training_data.map(|it| text("training_data", it, 0..=4000)).transpose()?,
        expected: body.digest.map(|it| digest("digest", &it)).transpose()?,
    };
    let parts = app.uploads.parts(&upload).await?;
    let staged = app.staging.receive_archive(app.uploads.whole(parts), app.intake.limits).await?;
    readable(&app, &upload, &staged).await?;
    let decided = decide(&app, staged, submission).await?;
    end(&app, &upload).await;
    Ok(decided)
}

/// Refuses parts that could not be put together. The sender has sent everything: it is the artifact store that fails. Where parts are
/// gone for good it is to begin anew; else another try may go well.
pub(super) async fn readable(app: &App, upload: &Upload, staged: &Staged) -> Result<(), Problem> {
    let Some(cut) = &staged.cut else { return Ok(()) };
    if app.uploads.forget_if_lost(upload).await? {
        return Err(Problem::no_upload(&upload.id));
    }
    Err(Problem::inside("read the parts of an upload", cut))
}

/// What was handed in is kept whatever becomes of its parts; what is left of them goes when they are idle.
pub(super) async fn end(app: &App, upload: &Upload) {
    if let Err(error) = app.uploads.remove(&upload.id).await {
        tracing::warn!(upload = upload.id, "the parts of an upload are not removed: {}", ErrorChain(&error));
    }
}
