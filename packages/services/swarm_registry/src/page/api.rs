//! The registry's interface, asked in process with the token of whoever looks.

use std::fmt::Write;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use swarm_api::problem::Problem;
use tower::ServiceExt;

use super::visit::Visit;

/// Longest answer; a page of a thousand cells has some hundred kilobytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Api {
    interface: Router,
}

/// Why a page cannot be shown, or a form was not carried out.
#[derive(Debug)]
pub(super) enum Failure {
    /// The interface refused, in its own words.
    Refused { status: StatusCode, problem: Box<Problem> },
    /// It is not known who looks.
    Stranger,
    /// The form does not come from a page of ours, or from one of an earlier session.
    NotOurForm,
    /// What is shown is not there.
    NotFound(String),
    /// The interface answered something else than it describes: a mistake of this program.
    Unreadable { path: String, problem: String },
}

/// What the interface answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    path: String,
    body: Bytes,
}

impl Answer {
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::Unreadable { path: self.path.clone(), problem: error.to_string() })
    }

    fn refusal(&self) -> Failure {
        match self.read() {
            Ok(problem) => Failure::Refused { status: self.status, problem: Box::new(problem) },
            Err(unreadable) => unreadable,
        }
    }
}

impl Api {
    pub(super) const fn new(interface: Router) -> Self {
        Self { interface }
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, visit: &Visit, path: &str) -> Result<T, Failure> {
        self.ask(visit, Method::GET, path, Body::empty()).await?.read()
    }

    /// `None` where whoever looks may not see it.
    pub(super) async fn get_if_permitted<T: DeserializeOwned>(
        &self,
        visit: &Visit,
        path: &str,
    ) -> Result<Option<T>, Failure> {
        match self.get(visit, path).await {
            Ok(found) => Ok(Some(found)),
            Err(Failure::Refused { status: StatusCode::FORBIDDEN, .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    pub(super) async fn post(
        &self,
        visit: &Visit,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(body).expect("texts and numbers are JSON");
        self.ask(visit, Method::POST, path, body.into()).await
    }

    /// Hands an answer on as it comes, however long it is.
    pub(super) async fn pass_on(&self, visit: &Visit, path: &str) -> Result<Response, Failure> {
        let response = self.send(visit, Method::GET, path, Body::empty()).await?;
        if response.status().is_success() { Ok(response) } else { Err(read(path, response).await?.refusal()) }
    }

    async fn ask(&self, visit: &Visit, method: Method, path: &str, body: Body) -> Result<Answer, Failure> {
        let answer = read(path, self.send(visit, method, path, body).await?).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(answer.refusal()) }
    }

    async fn send(&self, visit: &Visit, method: Method, path: &str, body: Body) -> Result<Response, Failure> {
        // Under the development profile the interface asks nobody for a token: here is where strangers are kept out.
        if visit.is_stranger() {
            return Err(Failure::Stranger);
        }
        let unreadable = |problem: String| Failure::Unreadable { path: path.to_owned(), problem };
        let mut request =
            Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        // The host that the visitor named; rules that look at it see the same as without the page.
        request = request.header(header::HOST, visit.host());
        if let Some(token) = visit.token() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(body).map_err(|error| unreadable(error.to_string()))?;
        let Ok(response) = self.interface.clone().oneshot(request).await;
        Ok(response)
    }
}

async fn read(path: &str, response: Response) -> Result<Answer, Failure> {
    let status = response.status();
    let body = to_bytes(response.into_body(), MAX_ANSWER).await;
    let body =
        body.map_err(|error| Failure::Unreadable { path: path.to_owned(), problem: error.to_string() })?;
    Ok(Answer { status, path: path.to_owned(), body })
}

/// A text as part of an address.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_visitor_writes_stays_one_part_of_the_address() {
        assert_eq!(encoded("cell-a.1_b~"), "cell-a.1_b~");
        assert_eq!(encoded("../x?a=b&c#d é"), "..%2Fx%3Fa%3Db%26c%23d%20%C3%A9");
    }
}
