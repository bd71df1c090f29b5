//! Bags that cells hand in: taken in parts, listed, handed out to those who train, removed. Their parts go where those of artifacts go.

use std::sync::Arc;

use axum::Json;
use axum::body::Body as AxumBody;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use swarm_api::artifact::UploadStatus;
use swarm_api::bag::{Bag, BagPage, BeginBag, CompleteBag};
use swarm_yaml::moment;
use utoipa::IntoParams;

use super::App;
use super::body::BagBody;
use super::parts;
use super::problem::{Problem, sentence};
use super::ranged;
use super::request::{Asked, Asker, Body, Named, digest, number};
use super::service::Problems;
use crate::access::Permission;
use crate::bags::{self, BagError, NewBag};

const MAX_NUMBER: i64 = 999_999_999_999_999_999;
const MEDIA_TYPE: &str = "application/x-tar";

impl From<bags::Bag> for Bag {
    fn from(bag: bags::Bag) -> Self {
        Self {
            id: bag.id,
            name: bag.name,
            digest: bag.digest.to_string(),
            size: bag.size,
            site: bag.site,
            uploaded_at: moment(bag.uploaded_unix),
        }
    }
}

impl From<BagError> for Problem {
    fn from(error: BagError) -> Self {
        let detail = sentence(&error);
        let refused = |status, code, action| Self::new(status, code, detail, action);
        match error {
            BagError::NotHere => refused(
                StatusCode::CONFLICT,
                "no_bags_here",
                "Hand it in elsewhere, or start the registry with another MAX_BAG_BYTES.",
            ),
            BagError::TooLarge { .. } => refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "Cut the bag into several (`cell bag cut`), or raise MAX_BAG_BYTES.",
            ),
            BagError::Full { .. } => refused(
                StatusCode::CONFLICT,
                "bags_full",
                "Remove bags that were fetched (`csactl bags remove`), or raise BAGS_QUOTA_BYTES.",
            ),
            BagError::Changed { .. } => Self::inside("keep the bag", &error),
            BagError::OtherDigest { .. } => {
                refused(StatusCode::UNPROCESSABLE_ENTITY, "other_digest", "Send the bag again.")
            }
            BagError::Blobs(error) => error.into(),
            BagError::Database(error) => error.into(),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct BagsQuery {
    /// The page after the bag of this number.
    #[param(minimum = 1, maximum = 999_999_999_999_999_999_i64)]
    after: Option<i64>,
    /// At most so many; 100 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// Begins the upload of a bag. Its parts go to `/api/v1/csa/uploads/{upload_id}`, as those of artifacts do.
#[utoipa::path(post, path = "/api/v1/bags/uploads", operation_id = "begin_bag", tag = "bags", security(("bearer" = [])),
    request_body = BeginBag, responses((status = 201, body = UploadStatus, headers(("location" = String, description = "Where the parts go."))), Problems))]
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    asker: Asker,
    Body(body): Body<BeginBag>,
) -> Result<Response, Problem> {
    let caller = asker.needs(Permission::ModelsSubmit)?;
    if body.length == 0 {
        let detail = "The field 'length': expected at least 1 byte, found 0.";
        return Err(Problem::bad_request("empty_upload", detail));
    }
    app.bags.has_room(body.length, (app.now_unix)()).await?;
    parts::begun(&app, &caller, body.length).await
}

/// Ends the upload of a bag. The same bytes again answer 200 with what is there.
#[utoipa::path(post, path = "/api/v1/bags/uploads/{upload_id}/complete", operation_id = "complete_bag", tag = "bags", security(("bearer" = [])),
    params(("upload_id" = String, Path, pattern = "^[0-9a-f]{32}$")), request_body = CompleteBag,
    responses((status = 201, description = "Accepted.", body = Bag), (status = 200, description = "It was here already.", body = Bag), Problems))]
pub(super) async fn complete(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(id): Named<String>,
    Body(body): Body<CompleteBag>,
) -> Result<(StatusCode, Json<Bag>), Problem> {
    let (upload, _turn) = parts::alone(&app, parts::find(&app, asker, &id).await?).await?;
    let name = name(body.name)?;
    let new = NewBag { name, site: upload.owner.clone(), expected: digest("digest", &body.digest)? };
    // An upload that was begun as an artifact's may have another limit.
    app.bags.has_room(upload.length, (app.now_unix)()).await?;
    let parts = app.uploads.parts(&upload).await?;
    let staged = app.staging.receive(app.uploads.whole(parts), upload.length).await?;
    parts::readable(&app, &upload, &staged).await?;
    let (bag, is_new) = app.bags.accept(staged, new, (app.now_unix)()).await?;
    parts::end(&app, &upload).await;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(bag.into())))
}

/// Bags, newest first.
#[utoipa::path(get, path = "/api/v1/bags", operation_id = "bags", tag = "bags", params(BagsQuery), security(("bearer" = [])),
    responses((status = 200, body = BagPage), Problems))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    asker: Asker,
    Asked(query): Asked<BagsQuery>,
) -> Result<Json<BagPage>, Problem> {
    asker.needs(Permission::Bags)?;
    let after = query.after.map(|after| number("after", Some(after), 0, 1..=MAX_NUMBER)).transpose()?;
    let limit = number("limit", query.limit, 100, 1..=1000)?;
    let page = app.bags.list(after, limit as usize).await?;
    let items = page.items.into_iter().map(Into::into).collect();
    Ok(Json(BagPage { items, next_after: page.next_after }))
}

/// One bag.
#[utoipa::path(get, path = "/api/v1/bags/{bag_id}", operation_id = "bag", tag = "bags", security(("bearer" = [])),
    params(("bag_id" = i64, Path, minimum = 1, maximum = 999_999_999_999_999_999_i64)),
    responses((status = 200, body = Bag), Problems))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(id): Named<String>,
) -> Result<Json<Bag>, Problem> {
    asker.needs(Permission::Bags)?;
    Ok(Json(find(&app, &id).await?.into()))
}

/// The archive of a bag, whole or a range.
#[utoipa::path(get, path = "/api/v1/bags/{bag_id}/download", operation_id = "download_bag", tag = "bags", security(("bearer" = [])),
    params(("bag_id" = i64, Path, minimum = 1, maximum = 999_999_999_999_999_999_i64)),
    responses((status = 200, description = "The archive.", body = BagBody, content_type = "application/x-tar"),
        (status = 206, description = "The range.", body = BagBody, content_type = "application/x-tar"),
        (status = 304, description = "The client has it already."), Problems))]
pub(super) async fn download(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(id): Named<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    asker.needs(Permission::Bags)?;
    let bag = find(&app, &id).await?;
    if app.intake.blobs.find(&bag.object).await?.is_none() {
        let detail = format!("The bytes of bag {} ({}) are not in the artifact store.", bag.id, bag.name);
        let action = "Remove the bag. A restored registry has no bags: backups leave them out.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "bag_without_bytes", detail, action));
    }
    let (tag, what) = (format!("\"{}\"", bag.digest), format!("bag {}", bag.id));
    let bytes = ranged::Bytes { tag: &tag, size: bag.size, media_type: MEDIA_TYPE, what };
    let mut plan = bytes.asked_for(&headers)?;
    let range = match plan.body {
        ranged::Body::Nothing => return Ok((plan.status, plan.headers).into_response()),
        ranged::Body::All => None,
        ranged::Body::Part(ref range) => Some(range.clone()),
    };
    let repr = header::HeaderName::from_static("repr-digest");
    plan.set(repr, &format!("sha-256=:{}:", STANDARD.encode(bag.digest.0.0)));
    plan.set(header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{}.tar\"", bag.name));
    let stream = app.intake.blobs.get(&bag.object, range).await?;
    Ok((plan.status, plan.headers, AxumBody::from_stream(stream)).into_response())
}

/// Removes a bag and its bytes.
#[utoipa::path(delete, path = "/api/v1/bags/{bag_id}", operation_id = "remove_bag", tag = "bags", security(("bearer" = [])),
    params(("bag_id" = i64, Path, minimum = 1, maximum = 999_999_999_999_999_999_i64)),
    responses((status = 204, description = "Removed."), Problems))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(id): Named<String>,
) -> Result<StatusCode, Problem> {
    let caller = asker.needs(Permission::Bags)?;
    let bag = find(&app, &id).await?;
    if !app.bags.remove(&bag, &caller.name, "by hand", (app.now_unix)()).await? {
        return Err(no_bag(&id));
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn find(app: &App, text: &str) -> Result<bags::Bag, Problem> {
    let id: i64 = text.parse().ok().filter(|id| (1..=MAX_NUMBER).contains(id)).ok_or_else(|| {
        let shown: String = text.escape_debug().take(80).collect();
        let detail = format!("The path names no bag: expected a number, found '{shown}'.");
        Problem::bad_request("bad_number", detail)
    })?;
    app.bags.find(id).await?.ok_or_else(|| no_bag(text))
}

fn no_bag(id: &str) -> Problem {
    let detail = format!("There is no bag {} in this registry.", id.escape_debug());
    Problem::new(StatusCode::NOT_FOUND, "no_such_bag", detail, "List the bags with GET /api/v1/bags.")
}

/// It becomes the name of a file.
fn name(text: String) -> Result<String, Problem> {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if first && rest && text.len() <= 128 {
        return Ok(text);
    }
    let shown: String = text.escape_debug().take(80).collect();
    let detail = format!(
        "The field 'name': expected 1 to 128 letters, digits, '.', '_' and '-', a letter or digit first, found '{shown}'."
    );
    Err(Problem::bad_request("bad_bag_name", detail))
}
