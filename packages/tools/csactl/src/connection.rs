//! Requests to the registry: who asks (token, certificate), whom is asked (CA), and refusals as the registry words them.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use swarm_api::approval::Approval;
use swarm_api::problem::Problem;
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::files;

const CONNECT: Duration = Duration::from_secs(10);
/// For an answer that the registry has to work for: it hashes and reads an artifact of 4 GiB before it answers.
const ANSWER: Duration = Duration::from_mins(15);
/// For the whole of a small answer.
const SMALL_ANSWER: Duration = Duration::from_mins(1);
/// A transfer that stands still for longer is given up.
const SILENCE: Duration = Duration::from_mins(1);
/// Longest JSON answer, in bytes.
const MAX_JSON: u64 = 64 * 1024 * 1024;

/// Where the registry is, and as whom to ask.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Address of the registry.
    #[arg(
        long,
        global = true,
        env = "REGISTRY_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    registry: String,
    /// File with the token to sign in with (mode 0600) [default: the variable CSACTL_TOKEN].
    #[arg(long, global = true, env = "CSACTL_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) of those who may certify the registry [default: the public web's].
    #[arg(long, global = true, env = "CSACTL_CA", value_name = "FILE")]
    registry_ca: Option<PathBuf>,
    /// Certificate (PEM) to sign in with, where a site asks.
    #[arg(long, global = true, env = "CSACTL_CERTIFICATE", value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The key of --certificate (PEM, mode 0600 or 0400).
    #[arg(long, global = true, env = "CSACTL_CERTIFICATE_KEY", value_name = "FILE")]
    certificate_key: Option<PathBuf>,
}

/// Why a request has no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The registry says no, in its own words.
    #[error("{what} was refused ({} {}): {} {}", problem.status, problem.code, crate::output::plain(&problem.detail), crate::output::plain(&problem.action))]
    Refused { what: String, problem: Box<Problem> },
    #[error(
        "{what} was answered with status {status} and no reason: '{beginning}'; is it a registry that answers there?"
    )]
    Strange { what: String, status: u16, beginning: String },
    #[error(
        "{what} got no answer: {cause}; is the address right, is the registry up, and does --registry-ca name who certified it?"
    )]
    Unreachable { what: String, cause: Box<ureq::Error> },
    #[error(
        "{what} was answered with what this program cannot read: {problem}; are both of the same version?"
    )]
    Unreadable { what: String, problem: String },
}

/// An answer that may be a yes, or that a second person has to confirm.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer<T> {
    Done(T),
    /// Nothing was done yet: a second person has to confirm this.
    Waiting(Box<Approval>),
}

/// A registry and whoever asks it.
#[derive(Clone)]
pub(crate) struct Registry {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the token.
        f.debug_tuple("Registry").field(&self.base).finish()
    }
}

impl Registry {
    /// One that asks nobody who he is, as under the development profile.
    pub(crate) fn plain(address: &str) -> anyhow::Result<Self> {
        let registry = address.to_owned();
        Options { registry, token_file: None, registry_ca: None, certificate: None, certificate_key: None }
            .open()
    }
}

impl Options {
    pub(crate) fn address(&self) -> &str {
        self.registry.trim_end_matches('/')
    }

    pub(crate) fn open(&self) -> anyhow::Result<Registry> {
        let token = match &self.token_file {
            Some(path) => Some(files::read_secret(path)?),
            None => std::env::var("CSACTL_TOKEN").ok(),
        };
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        check_address(self.address(), token.is_some())?;
        let mut tls = TlsConfig::builder();
        if let Some(path) = &self.registry_ca {
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates(path)?));
        }
        match (&self.certificate, &self.certificate_key) {
            (Some(certificate), Some(key)) => {
                let private = PrivateKey::from_pem(files::read_secret(key)?.as_bytes())
                    .with_context(|| format!("'{}' holds no private key in PEM", key.display()))?;
                let identity = ClientCert::new_with_certs(&certificates(certificate)?, private);
                tls = tls.client_cert(Some(identity));
            }
            (None, None) => {}
            _ => bail!("--certificate and --certificate-key need each other; one is missing"),
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A token goes to the registry that was named, and not to where that one points.
            .max_redirects(0)
            .tls_config(tls.build())
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .user_agent(concat!("csactl/", env!("CARGO_PKG_VERSION")));
        Ok(Registry {
            agent: config.build().into(),
            base: self.address().to_owned(),
            authorization: token.map(|token| format!("Bearer {token}")),
        })
    }
}

/// Whether a token may be sent there.
fn check_address(address: &str, with_token: bool) -> anyhow::Result<()> {
    let expected = "expected an address such as https://registry.example.com";
    let uri: Uri = address.parse().with_context(|| format!("--registry '{address}': {expected}"))?;
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if with_token && !loopback => bail!(
            "--registry '{address}' would carry the token unencrypted over the network; use https://, or sign in on the \
             registry's own machine"
        ),
        Some("http") => Ok(()),
        _ => bail!("--registry '{address}': {expected}"),
    }
}

fn certificates(path: &Path) -> anyhow::Result<Vec<Certificate<'static>>> {
    let text = files::read(path)?;
    let mut found = Vec::new();
    for item in ureq::tls::parse_pem(text.as_bytes()) {
        let item = item.with_context(|| format!("'{}' is no PEM", path.display()))?;
        if let PemItem::Certificate(certificate) = item {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        bail!("'{}' holds no certificate in PEM", path.display());
    }
    Ok(found)
}

/// A request before it is sent; for its name in errors.
struct Call<'a> {
    method: &'static str,
    path: &'a str,
}

impl Registry {
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        let call = Call { method: "GET", path };
        self.json(&call, self.small(&call)?)
    }

    /// The text of a small file, and `None` where there is none (404).
    pub(crate) fn find(
        &self,
        path: &str,
        max_bytes: u64,
        limit: Duration,
    ) -> Result<Option<Vec<u8>>, CallError> {
        let call = Call { method: "GET", path };
        let request = self.request(self.agent.get(self.url(path)));
        let sent = request.config().timeout_global(Some(limit)).build().call();
        let response = sent.map_err(|error| self.unreachable(&call, error))?;
        if response.status() == 404 {
            return Ok(None);
        }
        let response = self.good(&call, response)?;
        let mut bytes = Vec::new();
        let body = response.into_body().into_reader();
        // One byte more than allowed is enough for whoever asked to refuse it.
        let read = body.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| self.unreachable(&call, ureq::Error::Io(error)))?;
        Ok(Some(bytes))
    }

    pub(crate) fn text(&self, path: &str) -> Result<String, CallError> {
        let call = Call { method: "GET", path };
        let response = self.good(&call, self.small(&call)?)?;
        let read = response.into_body().into_with_config().limit(MAX_JSON).read_to_string();
        read.map_err(|error| self.unreachable(&call, error))
    }

    /// The bytes of a large file from `start` on; the answer says whether it begins there (206) or at 0 (200).
    pub(crate) fn stream(
        &self,
        path: &str,
        resume: Option<(u64, &str)>,
    ) -> Result<(u64, impl Read + use<>), CallError> {
        let call = Call { method: "GET", path };
        let mut request = self.request(self.agent.get(self.url(path)));
        if let Some((start, digest)) = resume {
            request = request
                .header("Range", format!("bytes={start}-"))
                .header("If-Range", format!("\"{digest}\""));
        }
        let response = request.call().map_err(|error| self.unreachable(&call, error))?;
        let response = self.good(&call, response)?;
        let start = if response.status() == 206 { resume.map_or(0, |(start, _)| start) } else { 0 };
        Ok((start, response.into_body().into_reader()))
    }

    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer<T>, CallError> {
        let call = Call { method: "POST", path };
        let body = serde_json::to_vec(body)
            .map_err(|error| CallError::Unreadable { what: self.what(&call), problem: error.to_string() })?;
        let request = self.request(self.agent.post(self.url(path))).content_type("application/json");
        let response = request.send(&body[..]).map_err(|error| self.unreachable(&call, error))?;
        if response.status() == 202 {
            return Ok(Answer::Waiting(Box::new(self.json(&call, response)?)));
        }
        Ok(Answer::Done(self.json(&call, response)?))
    }

    /// A post that no second person is ever asked about.
    pub(crate) fn post_now<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        match self.post(path, body)? {
            Answer::Done(done) => Ok(done),
            Answer::Waiting(approval) => Err(CallError::Unreadable {
                what: format!("POST {}{path}", self.base),
                problem: format!("status 202, and approval {} that nobody asked for", approval.id),
            }),
        }
    }

    /// One part of an upload.
    pub(crate) fn append(&self, path: &str, offset: u64, part: &[u8]) -> Result<(), CallError> {
        let call = Call { method: "PATCH", path };
        let request = self
            .request(self.agent.patch(self.url(path)))
            .content_type("application/offset+octet-stream")
            .header("Upload-Offset", offset.to_string());
        let response = request.send(part).map_err(|error| self.unreachable(&call, error))?;
        self.good(&call, response).map(|_| ())
    }

    fn small(&self, call: &Call<'_>) -> Result<Response<Body>, CallError> {
        let request = self.request(self.agent.get(self.url(call.path)));
        let sent = request.config().timeout_global(Some(SMALL_ANSWER)).build().call();
        sent.map_err(|error| self.unreachable(call, error))
    }

    fn request<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization),
            None => request,
        }
    }

    fn json<T: DeserializeOwned>(&self, call: &Call<'_>, response: Response<Body>) -> Result<T, CallError> {
        let response = self.good(call, response)?;
        let read = response.into_body().into_with_config().limit(MAX_JSON).read_to_vec();
        let bytes = read.map_err(|error| self.unreachable(call, error))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| CallError::Unreadable { what: self.what(call), problem: error.to_string() })
    }

    /// The response, where it is none of a refusal.
    fn good(&self, call: &Call<'_>, response: Response<Body>) -> Result<Response<Body>, CallError> {
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(response);
        }
        let read = response.into_body().into_with_config().limit(64 * 1024).lossy_utf8(true).read_to_string();
        let text = read.unwrap_or_default();
        if let Ok(problem) = serde_json::from_str::<Problem>(&text) {
            return Err(CallError::Refused { what: self.what(call), problem: Box::new(problem) });
        }
        let beginning = crate::output::plain(&text).chars().take(200).collect();
        Err(CallError::Strange { what: self.what(call), status, beginning })
    }

    fn unreachable(&self, call: &Call<'_>, cause: ureq::Error) -> CallError {
        CallError::Unreachable { what: self.what(call), cause: Box::new(cause) }
    }

    fn what(&self, call: &Call<'_>) -> String {
        format!("{} {}{}", call.method, self.base, call.path)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

impl CallError {
    /// The registry's own code of a refusal.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { problem, .. } => Some(&problem.code),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_sent_where_others_can_read_it() {
        for good in
            ["https://registry.example.com", "http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost"]
        {
            check_address(good, true).unwrap();
        }
        let error = check_address("http://registry.example.com", true).unwrap_err().to_string();
        assert!(error.contains("unencrypted"), "{error}");
        check_address("http://registry.example.com", false).unwrap();
        for bad in ["registry", "ftp://registry", "https//x", ""] {
            assert!(check_address(bad, false).is_err(), "{bad}");
        }
    }
}
