//! Refusals as problem details (RFC 9457), and which status each refusal of a rule has.
//!
//! What went wrong inside (a database's or a store's own words) goes to the log under a number; the client gets the number.

use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use swarm_api::problem::{self, Problem as Body};
use swarm_base::ErrorChain;

use crate::access::{Permission, TokenError};
use crate::blobs::BlobError;
use crate::database::DatabaseError;
use crate::intake::IntakeError;
use crate::record::{Record, Status};
use crate::uploads::UploadError;

/// What `type` begins with; the problem's code follows.
pub const PROBLEM_TYPE: &str = "urn:swarm-registry:problem:";

/// Why a request was refused, and what to do.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    action: &'static str,
    header: Option<Box<(header::HeaderName, HeaderValue)>>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
        action: &'static str,
    ) -> Self {
        Self { status, code, detail: detail.into(), action, header: None }
    }

    pub(super) fn with(mut self, name: header::HeaderName, value: &str) -> Self {
        self.header = HeaderValue::from_str(value).ok().map(|value| Box::new((name, value)));
        self
    }

    pub(super) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail, "Correct the request; /openapi.json describes it.")
    }

    pub(super) fn no_artifact(what: impl std::fmt::Display) -> Self {
        let detail = format!("There is no artifact {what} in this registry.");
        Self::new(
            StatusCode::NOT_FOUND,
            "no_such_artifact",
            detail,
            "List the artifacts with GET /api/v1/csa/list.",
        )
    }

    pub(super) fn no_upload(id: &str) -> Self {
        let detail = format!("No upload {} of this caller is under way.", id.escape_debug());
        let action = "Begin one with POST /api/v1/csa/uploads; one that is idle for a day is removed.";
        Self::new(StatusCode::NOT_FOUND, "no_such_upload", detail, action)
    }

    pub(super) fn quarantined(record: &Record, reason: &str) -> Self {
        let detail = format!(
            "Artifact {} ({} {}) is quarantined: {reason}",
            record.digest, record.skill_name, record.version
        );
        let action =
            "Use another version. For an investigation, add allow_quarantined=true (needs models:write).";
        Self::new(StatusCode::FORBIDDEN, "quarantined", detail, action)
    }

    pub(super) fn same_status(record: &Record, status: &Status) -> Self {
        let detail = format!("Artifact {} is {} already.", record.digest, status.as_str());
        Self::new(StatusCode::CONFLICT, "same_status", detail, "Nothing is to be done.")
    }

    pub(super) fn nobody() -> Self {
        let action = "Send a token (Authorization: Bearer …), or connect with the site's certificate.";
        Self::new(StatusCode::UNAUTHORIZED, "not_signed_in", "The request does not say who asks.", action)
            .with(header::WWW_AUTHENTICATE, "Bearer")
    }

    pub(super) fn foreign_host(host: &str) -> Self {
        let host: String = host.escape_debug().take(200).collect();
        let detail = format!(
            "The request names the host '{host}'; under the development profile only this computer's own names count."
        );
        let action = "Ask for localhost or 127.0.0.1, or use the production profile, where people sign in.";
        Self::new(StatusCode::FORBIDDEN, "foreign_host", detail, action)
    }

    pub(super) fn not_permitted(who: &str, needed: Permission) -> Self {
        let detail = format!("'{who}' has no role that permits {}.", needed.as_str());
        Self::new(
            StatusCode::FORBIDDEN,
            "not_permitted",
            detail,
            "Ask somebody who has the role, or an administrator for it.",
        )
    }

    pub(super) fn too_many(who: &str, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let detail = format!("'{who}' asks more often than RATE_LIMIT_PER_S allows.");
        let action = "Wait as many seconds as the header Retry-After says.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail, action)
            .with(header::RETRY_AFTER, &seconds.max(1).to_string())
    }

    pub(super) fn inside(what: &'static str, error: &dyn std::error::Error) -> Self {
        let number = format!("{:08x}", rand::random::<u32>());
        tracing::error!(incident = number, "{what}: {}", ErrorChain(error));
        let detail = format!("The registry could not {what}; its log says why under incident {number}.");
        let action =
            "Try again later; nothing was changed. If it stays, tell the operator the incident's number.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, action)
            .with(header::RETRY_AFTER, "5")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            kind: format!("{PROBLEM_TYPE}{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Refused").to_owned(),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            detail: self.detail,
            action: self.action.to_owned(),
        };
        let body = serde_json::to_vec(&body).expect("texts and a number are JSON");
        let mut response = (self.status, [(header::CONTENT_TYPE, problem::MEDIA_TYPE)], body).into_response();
        if let Some(pair) = self.header {
            let (name, value) = *pair;
            response.headers_mut().insert(name, value);
        }
        response
    }
}

pub(super) fn no_route(path: &str) -> Problem {
    let shown: String = path.escape_debug().take(200).collect();
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_route",
        format!("There is nothing at {shown}."),
        "/openapi.json lists what there is.",
    )
}

pub(super) fn no_method(method: &Method, path: &str) -> Problem {
    let shown: String = path.escape_debug().take(200).collect();
    let method: String = method.as_str().chars().take(40).collect();
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{method} is not possible on {shown}."),
        "/openapi.json lists what is; the header Allow says what is here.",
    )
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        Self::inside("ask its database", &error)
    }
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        Self::inside("use its artifact store", &error)
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let challenge = "Bearer error=\"invalid_token\"";
        Self::new(StatusCode::UNAUTHORIZED, error.code(), sentence(&error), "Get a new token.")
            .with(header::WWW_AUTHENTICATE, challenge)
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        let detail = sentence(&ErrorChain(&error));
        match error {
            IntakeError::TooLarge { .. } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                detail,
                "Make the artifact smaller, or raise MAX_ARTIFACT_BYTES.",
            ),
            IntakeError::Silent { .. } => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                "sender_silent",
                detail,
                "Send again; over a weak link, in parts (POST /api/v1/csa/uploads).",
            ),
            IntakeError::Cut { .. } => Self::new(
                StatusCode::BAD_REQUEST,
                "cut_off",
                detail,
                "Send again; over a weak link, in parts (POST /api/v1/csa/uploads).",
            ),
            IntakeError::OtherDigest { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "other_digest",
                detail,
                "Send the artifact again.",
            ),
            IntakeError::NoTrust => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "no_trust_file",
                detail,
                "Start the registry with TRUST_PATH.",
            ),
            IntakeError::Signature(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad_signature_file",
                detail,
                "Send the .sig file that `cell sign` wrote as the field 'signature'.",
            ),
            IntakeError::Verify(error) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                error.code(),
                detail,
                "Have the artifact signed by signers that this registry trusts.",
            ),
            IntakeError::Contents { source, .. } => {
                let code = source.code();
                // What the disk did is not the sender's mistake.
                if code == "io" {
                    return Self::inside("read the artifact", &source);
                }
                Self::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    code,
                    detail,
                    "Package the skill again with `cell package`.",
                )
            }
            IntakeError::UnknownParent { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "unknown_parent",
                detail,
                "Upload the parent first, or leave it out.",
            ),
            IntakeError::VersionTaken { .. } => Self::new(
                StatusCode::CONFLICT,
                "version_taken",
                detail,
                "Give the new artifact a higher version.",
            ),
            IntakeError::Disk { source, .. } => Self::inside("keep the bytes of the upload", &source),
            IntakeError::Blobs(error) => error.into(),
            IntakeError::Database(error) => error.into(),
        }
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        let detail = sentence(&error);
        match error {
            UploadError::WrongOffset { received, .. } => Self::new(
                StatusCode::CONFLICT,
                "wrong_offset",
                detail,
                "Go on at the byte that the header Upload-Offset says.",
            )
            .with(super::parts::UPLOAD_OFFSET, &received.to_string()),
            UploadError::TooLong { .. } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "longer_than_announced",
                detail,
                "Abandon the upload and begin it with the right length.",
            ),
            UploadError::Incomplete { received, .. } => {
                Self::new(StatusCode::CONFLICT, "incomplete", detail, "Send the missing parts first.")
                    .with(super::parts::UPLOAD_OFFSET, &received.to_string())
            }
            UploadError::Busy => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "upload_busy",
                detail,
                "Wait for the other request to end; then ask how far the upload is, and go on there.",
            )
            .with(header::RETRY_AFTER, "2"),
            UploadError::TooMany { .. } | UploadError::TooManyBytes { .. } => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_uploads",
                detail,
                "Complete or abandon (DELETE) one of them.",
            )
            .with(header::RETRY_AFTER, "60"),
            UploadError::Blobs(error) => error.into(),
            UploadError::Database(error) => error.into(),
        }
    }
}

/// An error's text as a sentence of its own.
pub(super) fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}
