//! An upload in one piece: a form with the archive, its signature file, and who uploads.

use std::sync::Arc;

use axum::Json;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State};
use axum::http::StatusCode;
use swarm_api::artifact::Artifact;
use swarm_artifact::SignatureFile;

use super::App;
use super::body::UploadForm;
use super::problem::Problem;
use super::request::{Asker, digest, text};
use super::service::Problems;
use crate::access::Permission;
use crate::catalogue::Added;
use crate::intake::{IntakeError, Staged, Submission};

/// Takes in an artifact. The same bytes again answer 200 with what is there; other bytes under a version that is taken, 409.
#[utoipa::path(post, path = "/api/v1/csa/upload", operation_id = "upload", tag = "artifacts", security(("bearer" = [])),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 201, description = "Accepted.", body = Artifact), (status = 200, description = "It was here already.", body = Artifact), Problems))]
pub(super) async fn upload(
    State(app): State<Arc<App>>,
    asker: Asker,
    mut request: Request,
) -> Result<(StatusCode, Json<Artifact>), Problem> {
    let caller = asker.needs(Permission::ModelsSubmit)?;
    // The archive has a limit of its own, which is held while it flows; the other fields have theirs.
    DefaultBodyLimit::disable().apply(&mut request);
    let form = Multipart::from_request(request, &app).await.map_err(|rejection| {
        let action = "Send a form (curl -F file=@… -F signature=<… -F uploaded_by=…).";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_a_form", rejection.body_text(), action)
    })?;
    let form = read(&app, form).await?;
    let missing = |field: &str| {
        Problem::bad_request(
            "missing_field",
            format!("The form has no field '{field}'; expected file, signature and uploaded_by."),
        )
    };
    let submission = Submission {
        signature: form.signature.ok_or_else(|| missing("signature"))?,
        uploaded_by: form.uploaded_by.ok_or_else(|| missing("uploaded_by"))?,
        uploader: caller.name,
        parent: form.parent.map(|it| digest("parent", &it)).transpose()?,
        training_data: form.training_data,
        expected: form.digest.map(|it| digest("digest", &it)).transpose()?,
    };
    decide(&app, form.file.ok_or_else(|| missing("file"))?, submission).await
}

/// The way that uploads in one piece and in parts have in common.
pub(super) async fn decide(
    app: &App,
    staged: Staged,
    submission: Submission,
) -> Result<(StatusCode, Json<Artifact>), Problem> {
    let timer = app.metrics.validation.start_timer();
    let added = app.intake.accept(staged, submission, (app.now_unix)()).await;
    timer.observe_duration();
    let result = match &added {
        Ok(_) | Err(IntakeError::VersionTaken { .. } | IntakeError::Contents { .. }) => Some("valid"),
        Err(IntakeError::Verify(error)) => Some(error.code()),
        Err(IntakeError::Signature(_)) => Some("bad_signature_file"),
        Err(_) => None,
    };
    if let Some(result) = result {
        app.metrics.verifications.with_label_values(&[result]).inc();
    }
    match added? {
        Added::New(record) => {
            app.metrics.uploads.inc();
            tracing::info!(
                csa_id = record.id,
                skill_name = record.skill_name,
                version = record.version,
                "accepted"
            );
            Ok((StatusCode::CREATED, Json(record.into())))
        }
        Added::Known(record) | Added::VersionTaken(record) => Ok((StatusCode::OK, Json(record.into()))),
    }
}

#[derive(Default)]
struct Form {
    file: Option<Staged>,
    signature: Option<String>,
    uploaded_by: Option<String>,
    parent: Option<String>,
    training_data: Option<String>,
    digest: Option<String>,
}

async fn read(app: &App, mut fields: Multipart) -> Result<Form, Problem> {
    let mut form = Form::default();
    while let Some(field) = within(app, fields.next_field()).await? {
        let name = field.name().unwrap_or_default().to_owned();
        let place = match name.as_str() {
            "file" if form.file.is_none() => {
                let staged = app.staging.receive_archive(field, app.intake.limits).await?;
                if let Some(cut) = staged.cut {
                    return Err(cut.into());
                }
                form.file = Some(staged);
                continue;
            }
            "signature" => &mut form.signature,
            "uploaded_by" => &mut form.uploaded_by,
            "parent" => &mut form.parent,
            "training_data" => &mut form.training_data,
            "digest" => &mut form.digest,
            _ => {
                let detail = format!(
                    "The form has the field '{}' (again); expected file, signature, uploaded_by, and perhaps parent, training_data, digest, each once.",
                    name.escape_debug().take(80).collect::<String>()
                );
                return Err(Problem::bad_request("unexpected_field", detail));
            }
        };
        if place.is_some() {
            return Err(Problem::bad_request(
                "unexpected_field",
                format!("The form has the field '{name}' twice."),
            ));
        }
        let value = short(app, field, &name).await?;
        *place = Some(match name.as_str() {
            "uploaded_by" => text("uploaded_by", value, 0..=128)?,
            "training_data" => text("training_data", value, 0..=4000)?,
            _ => value,
        });
    }
    Ok(form)
}

/// A field that is a short text.
async fn short(app: &App, mut field: Field<'_>, name: &str) -> Result<String, Problem> {
    let limit = SignatureFile::MAX_BYTES as usize;
    let mut bytes = Vec::new();
    while let Some(chunk) = within(app, field.chunk()).await? {
        if bytes.len() + chunk.len() > limit {
            let detail = format!("The field '{name}' is longer than {limit} bytes.");
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "field_too_large",
                detail,
                "Send a shorter text.",
            ));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes)
        .map_err(|_| Problem::bad_request("bad_text", format!("The field '{name}' is not UTF-8 text.")))
}

/// Waits for the sender, but not for ever.
async fn within<T>(app: &App, next: impl Future<Output = Result<T, MultipartError>>) -> Result<T, Problem> {
    match tokio::time::timeout(app.staging.max_silence, next).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            Err(Problem::bad_request("bad_form", format!("The form cannot be read: {}.", error.body_text())))
        }
        Err(_) => Err(IntakeError::Silent { received: 0, seconds: app.staging.max_silence.as_secs() }.into()),
    }
}
