//! Files from a server, bounded in length and time.

use std::io::{self, Read};
use std::time::Duration;

use swarm_tuf::Fetch;

use crate::HostError;

/// Bytes under one URL.
#[derive(Clone, Debug)]
pub struct Server {
    agent: ureq::Agent,
    base: String,
}

impl Server {
    /// `base` as in `https://registry/metadata`.
    pub fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(3)
            .user_agent(concat!("tuf/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().into(), base: base.trim_end_matches('/').to_owned() }
    }

    /// The whole file, if the server says that it has it.
    pub fn get(&self, fetch: &Fetch) -> Result<Option<Vec<u8>>, HostError> {
        let url = self.url(&fetch.file);
        let Some(mut body) = self.open(&url, fetch.time_limit)? else { return Ok(None) };
        let mut bytes = Vec::new();
        // One byte more than allowed is enough for the client to refuse it.
        let limited = body.by_ref().take(fetch.max_length.saturating_add(1)).read_to_end(&mut bytes);
        limited.map_err(|error| failed(&url, fetch.time_limit, error))?;
        Ok(Some(bytes))
    }

    pub(crate) fn url(&self, file: &str) -> String {
        format!("{}/{file}", self.base)
    }

    /// The body of an answer. The limit is for all of it, from the first connection to the last byte.
    pub(crate) fn open(
        &self,
        url: &str,
        time_limit: Duration,
    ) -> Result<Option<ureq::BodyReader<'static>>, HostError> {
        let request = self.agent.get(url).config().timeout_global(Some(time_limit)).build();
        let response = request.call().map_err(|error| failed(url, time_limit, error.into_io()))?;
        match response.status().as_u16() {
            200 => Ok(Some(response.into_body().into_reader())),
            403 | 404 => Ok(None),
            status => Err(HostError::Status { url: url.to_owned(), status }),
        }
    }
}

pub(crate) fn failed(url: &str, limit: Duration, error: io::Error) -> HostError {
    let url = url.to_owned();
    // `io::ErrorKind` is `Other` here; the cause is inside.
    let cause = error.get_ref().and_then(|error| error.downcast_ref::<ureq::Error>());
    if matches!(cause, Some(ureq::Error::Timeout(_))) {
        HostError::Slow { url, limit }
    } else {
        HostError::Http { url, source: error }
    }
}
