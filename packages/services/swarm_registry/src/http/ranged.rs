//! Bytes that a client may have already, or a part of: entity tag, conditions and ranges (RFC 9110) of artifacts and of deltas.

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::problem::Problem;
use crate::transfer::{Wanted, names, wanted};

/// What is asked for.
#[derive(Debug)]
pub(super) struct Bytes<'a> {
    /// In quotes; strong.
    pub(super) tag: &'a str,
    pub(super) size: u64,
    pub(super) media_type: &'static str,
    /// For people who ask for bytes that are not there.
    pub(super) what: String,
}

/// How it is answered.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// The client has it.
    Nothing,
    All,
    /// End exclusive.
    Part(Range<u64>),
}

impl Plan {
    /// Sets a header of the answer; digests, numbers, names of skills and versions are printable ASCII.
    pub(super) fn set(&mut self, name: HeaderName, value: &str) {
        self.headers.insert(name, HeaderValue::from_str(value).expect("printable ASCII"));
    }
}

impl Bytes<'_> {
    pub(super) fn asked_for(&self, headers: &HeaderMap) -> Result<Plan, Problem> {
        let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let mut plan = Plan { status: StatusCode::OK, headers: HeaderMap::new(), body: Body::All };
        plan.set(header::ETAG, self.tag);
        // May be kept, but whether it is quarantined has to be asked each time.
        plan.set(header::CACHE_CONTROL, "private, no-cache");
        if header(header::IF_NONE_MATCH).is_some_and(|known| names(known, self.tag)) {
            return Ok(Plan { status: StatusCode::NOT_MODIFIED, body: Body::Nothing, ..plan });
        }
        plan.set(header::ACCEPT_RANGES, "bytes");
        plan.set(header::CONTENT_TYPE, self.media_type);
        // A range of another version of the file is of no use: everything then.
        let same = header(header::IF_RANGE).is_none_or(|known| known.trim() == self.tag);
        let length = match wanted(header(header::RANGE).filter(|_| same), self.size) {
            Wanted::All => self.size,
            Wanted::Part(range) => {
                plan.set(
                    header::CONTENT_RANGE,
                    &format!("bytes {}-{}/{}", range.start, range.end - 1, self.size),
                );
                plan.status = StatusCode::PARTIAL_CONTENT;
                let length = range.end - range.start;
                plan.body = Body::Part(range);
                length
            }
            Wanted::Unsatisfiable => {
                let detail = format!(
                    "The header Range asks for bytes that {} does not have; it has {}.",
                    self.what, self.size
                );
                let problem = Problem::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "no_such_range",
                    detail,
                    "Ask for bytes that are there.",
                );
                return Err(problem.with(header::CONTENT_RANGE, &format!("bytes */{}", self.size)));
            }
        };
        plan.set(header::CONTENT_LENGTH, &length.to_string());
        Ok(plan)
    }
}
