//! HTTP to the registry: with the site's certificate, and every answer bounded in length and in time.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use swarm_api::cell::{Report, ReportAnswer};
use swarm_api::problem::Problem;
use swarm_api::update::{Versions, Which};
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::{Body, BodyReader};

use crate::{ClientError, files};

/// For an answer of a few values.
const SHORT: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(10);
/// A sender that is silent for longer is given up, however much time the whole has.
const MAX_SILENCE: Duration = Duration::from_secs(20);
const MOST_SHORT_BYTES: u64 = 1 << 20;
const MOST_PEM_BYTES: u64 = 1 << 20;

/// Where the registry is, and as whom to speak to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `https://registry.example.com:8443`; plain HTTP on this machine only.
    pub url: String,
    /// The site's certificate chain and key, PEM.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Who may certify the registry, PEM; none: the authorities that are built in.
    pub ca: Option<PathBuf>,
}

/// A registry. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Connection {
    agent: ureq::Agent,
    base: String,
}

impl Connection {
    /// Reads certificate and key. Does not speak to the registry yet.
    pub fn new(settings: &Settings) -> Result<Self, ClientError> {
        check_url(settings)?;
        let mut tls = TlsConfig::builder();
        match (&settings.certificate, &settings.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let pem = pem(key)?;
                let key = PrivateKey::from_pem(&pem).map_err(|error| bad(key, &error))?;
                tls = tls.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
            }
            (None, None) => {}
            _ => {
                return Err(ClientError::Settings(
                    "certificate and key need each other; one is missing".to_owned(),
                ));
            }
        }
        if let Some(ca) = &settings.ca {
            tls = tls.root_certs(RootCerts::from(certificates(ca)?));
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // Nothing of the registry is anywhere else, and the site's certificate is for nobody else.
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(MAX_SILENCE))
            .tls_config(tls.build())
            .user_agent(concat!("swarm_registry_bridge/", env!("CARGO_PKG_VERSION")));
        Ok(Self { agent: config.build().into(), base: settings.url.trim_end_matches('/').to_owned() })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// How far a repository is, once that is newer than `newer_than`, or after `wait_s` (at most 30).
    pub fn versions(&self, which: Which, newer_than: u64, wait_s: u8) -> Result<Versions, ClientError> {
        let url = self.url(&format!(
            "/api/v1/update/{}/versions?newer_than={newer_than}&wait_s={wait_s}",
            which.as_str()
        ));
        let limit = SHORT + Duration::from_secs(u64::from(wait_s));
        // While it waits it is silent on purpose.
        let request =
            self.agent.get(&url).config().timeout_per_read(Some(limit)).timeout_global(Some(limit)).build();
        json(&url, limit, request.call())
    }

    /// Says how the cell is.
    pub fn report(&self, site_id: &str, report: &Report) -> Result<ReportAnswer, ClientError> {
        self.post(&format!("/api/v1/cells/{}/report", swarm_tuf::encoded(site_id)), report)
    }

    /// A few values as JSON, and a few back.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, ClientError> {
        let url = self.url(path);
        let text = serde_json::to_vec(body).map_err(|error| ClientError::Settings(error.to_string()))?;
        let request = self
            .agent
            .post(&url)
            .content_type("application/json")
            .config()
            .timeout_global(Some(SHORT))
            .build();
        json(&url, SHORT, request.send(&text))
    }

    pub(crate) fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let url = self.url(path);
        let request = self.agent.get(&url).config().timeout_global(Some(SHORT)).build();
        json(&url, SHORT, request.call())
    }

    /// A file of at most `most` bytes; one byte more is read if there is one, so that it can be refused. `None`: it is not there.
    pub(crate) fn get(&self, path: &str, most: u64, limit: Duration) -> Result<Option<Vec<u8>>, ClientError> {
        let url = self.url(path);
        let request = self.agent.get(&url).config().timeout_global(Some(limit)).build();
        let response = request.call().map_err(|error| failed(&url, limit, error))?;
        if response.status().as_u16() == 404 {
            return Ok(None);
        }
        let mut reader = good(&url, limit, response)?.into_body().into_reader();
        read_up_to(&mut reader, most.saturating_add(1), &url, limit).map(Some)
    }

    /// Begins a download at a byte of what `tag` names; the answer's status says what it begins with.
    pub(crate) fn get_from(
        &self,
        path: &str,
        from: u64,
        tag: &str,
        limit: Duration,
    ) -> Result<Response<Body>, ClientError> {
        let url = self.url(path);
        let mut request = self.agent.get(&url);
        if from > 0 {
            request = request.header("range", format!("bytes={from}-")).header("if-range", tag);
        }
        let request = request.config().timeout_global(Some(limit)).build();
        request.call().map_err(|error| failed(&url, limit, error))
    }

    /// A part of an upload.
    pub(crate) fn patch(
        &self,
        path: &str,
        offset: u64,
        part: &[u8],
        limit: Duration,
    ) -> Result<(), ClientError> {
        let url = self.url(path);
        let request = self
            .agent
            .patch(&url)
            .content_type("application/offset+octet-stream")
            .header("upload-offset", offset.to_string())
            .config()
            .timeout_global(Some(limit))
            .build();
        good(&url, limit, request.send(part).map_err(|error| failed(&url, limit, error))?).map(drop)
    }
}

/// Plain HTTP would show a cell's reports to whoever listens, and let anybody answer.
fn check_url(settings: &Settings) -> Result<(), ClientError> {
    let wrong = |problem: &str| {
        Err(ClientError::Settings(format!("registry_url '{}': {problem}", settings.url.escape_debug())))
    };
    let Ok(uri) = settings.url.parse::<Uri>() else {
        return wrong("expected an address such as https://registry.example.com");
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        _ if host.is_empty() || uri.query().is_some() => {
            wrong("expected an address such as https://registry.example.com")
        }
        Some("https") => Ok(()),
        Some("http") if settings.certificate.is_some() => wrong("the site's certificate is for https"),
        Some("http") if local => Ok(()),
        Some("http") => wrong("plain http is for a registry on this machine; use https"),
        _ => wrong("expected https"),
    }
}

fn pem(path: &Path) -> Result<Vec<u8>, ClientError> {
    let missing = || ClientError::BadFile { path: path.to_owned(), problem: "it is not there".to_owned() };
    files::read(path, MOST_PEM_BYTES)?.ok_or_else(missing)
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, ClientError> {
    let pem = pem(path)?;
    let mut chain = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| bad(path, &error))? {
            chain.push(certificate);
        }
    }
    if chain.is_empty() {
        let problem = "there is no certificate in it (PEM)".to_owned();
        return Err(ClientError::BadFile { path: path.to_owned(), problem });
    }
    Ok(chain)
}

fn bad(path: &Path, error: &ureq::Error) -> ClientError {
    ClientError::BadFile { path: path.to_owned(), problem: error.to_string() }
}

/// A short answer.
fn json<T: DeserializeOwned>(
    url: &str,
    limit: Duration,
    response: Result<Response<Body>, ureq::Error>,
) -> Result<T, ClientError> {
    let response = good(url, limit, response.map_err(|error| failed(url, limit, error))?)?;
    let mut reader = response.into_body().into_reader();
    let bytes = read_up_to(&mut reader, MOST_SHORT_BYTES, url, limit)?;
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Malformed {
        url: url.to_owned(),
        expected: "the JSON that the registry's interface describes",
        found: format!("{} bytes that are not ({error})", bytes.len()),
    })
}

/// An answer that says yes; another one with what the registry says of it.
pub(crate) fn good(
    url: &str,
    limit: Duration,
    response: Response<Body>,
) -> Result<Response<Body>, ClientError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let mut reader = response.into_body().into_reader();
    // A refusal that cannot be read is still one.
    let bytes = read_up_to(&mut reader, MOST_SHORT_BYTES, url, limit).unwrap_or_default();
    let problem = serde_json::from_slice::<Problem>(&bytes).ok().map(Box::new);
    Err(ClientError::Status { url: url.to_owned(), status, problem })
}

fn read_up_to(
    reader: &mut BodyReader<'_>,
    most: u64,
    url: &str,
    limit: Duration,
) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    reader.take(most).read_to_end(&mut bytes).map_err(|error| failed(url, limit, error.into()))?;
    Ok(bytes)
}

pub(crate) fn failed(url: &str, limit: Duration, error: ureq::Error) -> ClientError {
    let url = url.to_owned();
    if matches!(error, ureq::Error::Timeout(_)) {
        return ClientError::Slow { url, limit };
    }
    ClientError::Unreachable { url, source: error.into_io() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_no_further_than_this_machine() {
        let of = |url: &str| Connection::new(&Settings { url: url.to_owned(), ..Settings::default() });
        for good in [
            "http://127.0.0.1:8080",
            "http://localhost:8080/",
            "http://[::1]:80",
            "https://registry.example.com",
        ] {
            assert!(of(good).is_ok(), "{good}");
        }
        for (bad, problem) in [
            ("http://registry.example.com", "use https"),
            ("http://127.0.0.1.example.com", "use https"),
            ("registry.example.com:80", "expected"),
            ("ftp://127.0.0.1", "expected https"),
            ("https://registry.example.com?x=1", "expected an address"),
            ("", "expected an address"),
        ] {
            let error = of(bad).unwrap_err().to_string();
            assert!(error.contains(problem), "{bad}: {error}");
        }
    }

    #[test]
    fn half_an_identity_is_none() {
        let settings = Settings {
            url: "https://registry.example.com".to_owned(),
            key: Some("site.key".into()),
            ..Settings::default()
        };
        let error = Connection::new(&settings).unwrap_err().to_string();
        assert!(error.contains("certificate and key need each other"), "{error}");
    }
}
