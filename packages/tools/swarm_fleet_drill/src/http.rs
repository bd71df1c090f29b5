//! What the drill itself asks the registry, to see what became of things.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;

const LIMIT: Duration = Duration::from_mins(1);
const MOST_BYTES: u64 = 256 << 20;

/// A registry in the development profile.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    agent: ureq::Agent,
    base: String,
}

impl Http {
    pub(crate) fn new(base: String) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(LIMIT));
        Self { agent: config.build().into(), base }
    }

    pub(crate) fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        let answer = self.agent.get(format!("{}{path}", self.base)).call();
        read(path, answer)
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        serde_json::from_slice(&self.bytes(path)?)
            .with_context(|| format!("GET {path}: not what is expected"))
    }

    pub(crate) fn post(&self, path: &str, body: &impl Serialize) -> Result<()> {
        let text = serde_json::to_vec(body)?;
        let request = self.agent.post(format!("{}{path}", self.base)).content_type("application/json");
        read(path, request.send(&text)).map(drop)
    }
}

fn read(path: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Vec<u8>> {
    let mut answer = answer.with_context(|| format!("{path} got no answer"))?;
    let status = answer.status();
    let bytes = answer.body_mut().with_config().limit(MOST_BYTES).read_to_vec()?;
    ensure!(status.is_success(), "{path} was answered with {status}: {}", String::from_utf8_lossy(&bytes));
    Ok(bytes)
}
