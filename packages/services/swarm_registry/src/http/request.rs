//! Reading requests: bodies, queries and who asks. What cannot be read is a problem like every other refusal.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use swarm_artifact::{ArtifactId, SkillId};

use super::problem::Problem;
use super::{Access, App};
use crate::access::{Caller, Permission, names_this_computer};
use crate::record::Reference;

/// The site whose certificate the connection showed; [`crate::serve`] adds it to each request of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site(pub String);

/// The address from which a connection comes that showed no certificate; added likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranger(pub IpAddr);

/// Who asks; refused with 401 where that is not known.
pub(super) struct Asker(Caller);

impl Asker {
    /// The caller, whatever it may do; the handler asks for permissions when it knows which.
    pub(super) fn knows(self) -> Caller {
        self.0
    }

    /// The caller, where it has one of the permissions.
    pub(super) fn needs_one(self, permissions: &[Permission]) -> Result<Caller, Problem> {
        if permissions.iter().any(|permission| self.0.may(*permission)) {
            Ok(self.0)
        } else {
            Err(Problem::not_permitted(&self.0.name, permissions[0]))
        }
    }

    /// The caller, where it has the permission.
    pub(super) fn needs(self, permission: Permission) -> Result<Caller, Problem> {
        if self.0.may(permission) {
            Ok(self.0)
        } else {
            Err(Problem::not_permitted(&self.0.name, permission))
        }
    }
}

impl FromRequestParts<Arc<App>> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let caller = identify(parts, app)?;
        if let Some(limit) = &app.limit {
            limit.take(&caller.name).map_err(|wait| Problem::too_many(&caller.name, wait))?;
        }
        Ok(Self(caller))
    }
}

fn identify(parts: &Parts, app: &App) -> Result<Caller, Problem> {
    let Access::Required { keys, audience } = &app.access else { return developer(parts) };
    // A token says more than the certificate of the connection: a person at a site's machine is that person.
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        let bearer = value.to_str().ok().and_then(|text| text.split_once(' '));
        let token =
            bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token);
        let keys = keys.get();
        let (Some(token), Some(keys)) = (token, keys.as_ref()) else { return Err(Problem::nobody()) };
        return Ok(keys.check(token.trim(), audience, (app.now_unix)())?);
    }
    match parts.extensions.get::<Site>() {
        Some(Site(name)) => Ok(Caller::site(name.clone())),
        None => Err(Problem::nobody()),
    }
}

/// Whoever reaches the address, unless a browser was led here by a stranger's name (DNS rebinding): browsers say the name always.
fn developer(parts: &Parts) -> Result<Caller, Problem> {
    let Some(host) = parts.headers.get(header::HOST) else { return Ok(Caller::developer()) };
    let host = String::from_utf8_lossy(host.as_bytes());
    if names_this_computer(&host) { Ok(Caller::developer()) } else { Err(Problem::foreign_host(&host)) }
}

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(body) = Json::from_request(request, state).await.map_err(|rejection: JsonRejection| {
            let (status, code, action) = match rejection.status() {
                StatusCode::UNSUPPORTED_MEDIA_TYPE => (
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "not_json",
                    "Send the header Content-Type: application/json.",
                ),
                StatusCode::PAYLOAD_TOO_LARGE => {
                    (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Send a smaller body.")
                }
                StatusCode::UNPROCESSABLE_ENTITY => (
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "bad_body",
                    "Correct the body; /openapi.json describes it.",
                ),
                _ => (StatusCode::BAD_REQUEST, "bad_json", "Correct the body; /openapi.json describes it."),
            };
            Problem::new(status, code, rejection.body_text(), action)
        })?;
        Ok(Self(body))
    }
}

/// The query of the address.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(query) = Query::from_request_parts(parts, state)
            .await
            .map_err(|rejection: QueryRejection| Problem::bad_request("bad_query", rejection.body_text()))?;
        Ok(Self(query))
    }
}

/// Texts of the path, percent-decoded.
pub(super) struct Named<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(path) = Path::from_request_parts(parts, state)
            .await
            .map_err(|rejection: PathRejection| Problem::bad_request("bad_path", rejection.body_text()))?;
        Ok(Self(path))
    }
}

pub(super) fn reference(text: &str) -> Result<Reference, Problem> {
    text.parse().map_err(|error| {
        Problem::bad_request("bad_reference", format!("The path names no artifact: {error}."))
    })
}

pub(super) fn digest(field: &'static str, text: &str) -> Result<ArtifactId, Problem> {
    text.parse().map_err(|error| Problem::bad_request("bad_digest", format!("The field '{field}': {error}.")))
}

pub(super) fn skill(text: &str) -> Result<SkillId, Problem> {
    text.parse()
        .map_err(|error| Problem::bad_request("bad_skill_name", format!("The skill's name: {error}.")))
}

/// A text of 1 to `max` characters without control characters; line breaks are allowed where `lines`.
pub(super) fn text(
    field: &'static str,
    value: String,
    range: std::ops::RangeInclusive<usize>,
) -> Result<String, Problem> {
    let count = value.chars().count();
    let control = value.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\t'));
    if range.contains(&count) && !control {
        return Ok(value);
    }
    let (least, most) = (range.start(), range.end());
    let found = if control { "control characters".to_owned() } else { format!("{count} characters") };
    let detail =
        format!("The field '{field}': expected {least} to {most} printable characters, found {found}.");
    Err(Problem::bad_request("bad_text", detail))
}

/// A number within bounds, or the usual one.
pub(super) fn number(
    field: &'static str,
    value: Option<i64>,
    usual: i64,
    range: std::ops::RangeInclusive<i64>,
) -> Result<i64, Problem> {
    let value = value.unwrap_or(usual);
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (range.start(), range.end());
    Err(Problem::bad_request(
        "out_of_range",
        format!("The query's '{field}': expected {least} to {most}, found {value}."),
    ))
}
