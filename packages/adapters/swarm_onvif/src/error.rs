//! What can go wrong with a camera.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::address::ServiceUrl;
use crate::tls::Fingerprint;

/// What was tried, where, and what came of it. Holds no password, and of the camera's texts only cleaned ones.
#[derive(Debug, thiserror::Error)]
#[error("{operation} at {url}: {failure}")]
pub struct OnvifError {
    /// As ONVIF calls it, `GetProfiles`.
    pub operation: &'static str,
    pub url: Box<ServiceUrl>,
    pub failure: Failure,
}

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("cannot connect: {0}; is the camera on, and is this its address?")]
    Connect(io::Error),
    #[error("no connection within {0:?}; is the camera on, and is this its address?")]
    ConnectTimeout(Duration),
    #[error("connected, but no whole answer within {0:?}")]
    AnswerTimeout(Duration),
    #[error("the connection broke before a whole answer: {0}")]
    Http(String),
    #[error("no TLS with the camera: {0}")]
    Tls(String),

    // Security: each its own variant.
    #[error(
        "the camera's certificate is not known, and nothing was sent. Its SHA-256 fingerprint is {shown}: compare it with what \
         the camera's own page shows, and put it into the credentials file as `certificate` of this camera"
    )]
    UnknownCertificate { shown: Fingerprint },
    #[error(
        "the camera shows another certificate than the pinned one, and nothing was sent: expected {pinned}, found {shown}. \
         It was given a new one, or this is not that camera"
    )]
    OtherCertificate { pinned: Fingerprint, shown: Fingerprint },
    #[error("the camera asks for a user and a password, and none are given for it ({0})")]
    CredentialsNeeded(Refusal),
    #[error("the camera refuses user `{user}` with this password ({refusal})")]
    WrongPassword { user: String, refusal: Refusal },
    #[error(
        "the camera asks for the password in the clear (HTTP Basic), which is never sent; switch its web service to Digest"
    )]
    OnlyBasic,

    #[error("an answer of over {limit} bytes, expected a SOAP envelope")]
    TooLarge { limit: usize },
    #[error("HTTP status {status} without a SOAP envelope: {body}")]
    Status { status: u16, body: Excerpt },
    #[error("moved to {to} (HTTP status {status}); use that address")]
    Moved { status: u16, to: String },
    #[error("expected a SOAP envelope, found {body}; is this the address of the ONVIF service?")]
    NotSoap { body: Excerpt },
    #[error("the answer is not XML: {problem}; it begins {body}")]
    NotXml { problem: String, body: Excerpt },
    #[error("SOAP fault {0}")]
    Fault(Fault),
    #[error("expected {expected}, found {found}")]
    OtherAnswer { expected: String, found: String },
    #[error("the answer has no usable {0}")]
    Missing(&'static str),
    #[error("the camera lists no {0} service")]
    NoService(&'static str),
    #[error("the camera has no profile {wanted}; it has: {known}")]
    NoProfile { wanted: String, known: String },
}

impl Failure {
    /// The camera does not know this operation, or does not carry it out; another one may still be asked.
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self,
            Self::Fault(_)
                | Self::Missing(_)
                | Self::OtherAnswer { .. }
                | Self::NoService(_)
                | Self::Status { status: 400 | 404 | 405 | 500 | 501, .. }
        )
    }
}

/// How a camera said that it does not let us in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// HTTP status 401, with the schemes that it offers.
    Http401(Vec<String>),
    Fault(Fault),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http401(schemes) if schemes.is_empty() => {
                f.write_str("HTTP status 401 without a challenge")
            }
            Self::Http401(schemes) => write!(f, "HTTP status 401, offers {}", schemes.join(", ")),
            Self::Fault(fault) => write!(f, "SOAP fault {fault}"),
        }
    }
}

/// A SOAP fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// Code and its subcodes without their prefixes, `Sender/InvalidArgVal/ConfigModify`.
    pub code: String,
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", if self.code.is_empty() { "without a code" } else { &self.code })?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}

/// The begin of something that was not expected, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(pub String);

impl Excerpt {
    const LENGTH: usize = 80;

    pub(crate) fn of(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&body[..body.len().min(4 * Self::LENGTH)]);
        let clean = crate::xml::clean(&text);
        let lower = clean.to_ascii_lowercase();
        let kind = if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
            "an HTML page "
        } else {
            ""
        };
        let begin: String = clean.chars().take(Self::LENGTH).collect();
        let dots = if clean.len() > begin.len() { ".." } else { "" };
        Self(if clean.is_empty() { "nothing".to_owned() } else { format!("{kind}`{begin}{dots}`") })
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
