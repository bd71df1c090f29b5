//! HTTP to the registry: who asks (the site's certificate, a person's token), and every answer bounded in length and in time.
//! Bridge and command line speak through this, so that they differ in their words alone.

use std::fmt;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use swarm_api::approval::Approval;
use swarm_api::cell::{Report, ReportAnswer};
use swarm_api::problem::Problem;
use swarm_api::update::{Versions, Which};
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::{Body, BodyReader};

use crate::{ClientError, files};

const CONNECT: Duration = Duration::from_secs(10);
/// A sender that is silent for longer is given up, however much time the whole has.
const MAX_SILENCE: Duration = Duration::from_secs(20);
/// Of a refusal.
const MOST_PROBLEM_BYTES: u64 = 64 * 1024;
const MOST_PEM_BYTES: u64 = 1 << 20;
/// Characters that are shown of an answer that is none of a registry.
const SHOWN: usize = 200;

/// Where the registry is, and as whom to speak to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `https://registry.example.com:8443`.
    pub url: String,
    /// The site's certificate chain and key, PEM.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Who may certify the registry, PEM; none: the authorities that are built in.
    pub ca: Option<PathBuf>,
    /// Signs a person in.
    pub token: Option<Token>,
    pub plain_http: PlainHttp,
    /// Program and version, for the registry's log; empty: the bridge's.
    pub user_agent: String,
}

/// A bearer token. It is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Where HTTP without TLS may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainHttp {
    /// To a registry on this machine. Elsewhere it would show a cell's reports to whoever listens, and let anybody answer.
    #[default]
    ThisMachine,
    /// Anywhere, as long as no token and no certificate goes with it.
    WithoutSecrets,
}

/// What an answer may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of the body.
    pub bytes: u64,
    /// From the connection to the last byte.
    pub time: Duration,
    /// Without any byte.
    pub silence: Duration,
}

impl Bounds {
    /// A few values.
    pub const SHORT: Self =
        Self { bytes: 1 << 20, time: Duration::from_secs(20), silence: Duration::from_secs(20) };
    /// A page of a list, for a person who waits.
    pub const LIST: Self =
        Self { bytes: 64 << 20, time: Duration::from_mins(1), silence: Duration::from_mins(1) };
    /// An answer that the registry has to work for: it hashes and reads an artifact of 4 GiB before it answers.
    pub const WORK: Self =
        Self { bytes: 64 << 20, time: Duration::from_mins(15), silence: Duration::from_mins(15) };
}

/// An answer that may be a yes, or that a second person has to confirm.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Answer<T> {
    Done(T),
    /// Nothing was done yet: a second person has to confirm this.
    Waiting(Box<Approval>),
}

/// A registry. Clones share their connections.
#[derive(Clone)]
pub struct Connection {
    agent: ureq::Agent,
    base: String,
    authorization: Option<String>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the token.
        f.debug_tuple("Connection").field(&self.base).finish()
    }
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
        let user_agent = if settings.user_agent.is_empty() {
            concat!("swarm_registry_bridge/", env!("CARGO_PKG_VERSION"))
        } else {
            &settings.user_agent
        };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // Nothing of the registry is anywhere else; certificate and token are for nobody else.
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(MAX_SILENCE))
            .tls_config(tls.build())
            .user_agent(user_agent);
        Ok(Self {
            agent: config.build().into(),
            base: settings.url.trim_end_matches('/').to_owned(),
            authorization: settings.token.as_ref().map(|Token(token)| format!("Bearer {token}")),
        })
    }

    /// The address of something in the registry.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// How far a repository is, once that is newer than `newer_than`, or after `wait_s` (at most 30).
    pub fn versions(&self, which: Which, newer_than: u64, wait_s: u8) -> Result<Versions, ClientError> {
        let path =
            format!("/api/v1/update/{}/versions?newer_than={newer_than}&wait_s={wait_s}", which.as_str());
        let time = Bounds::SHORT.time + Duration::from_secs(u64::from(wait_s));
        // While it waits it is silent on purpose.
        self.get_json(&path, Bounds { time, silence: time, ..Bounds::SHORT })
    }

    /// Says how the cell is.
    pub fn report(&self, site_id: &str, report: &Report) -> Result<ReportAnswer, ClientError> {
        self.post_now(&format!("/api/v1/cells/{}/report", swarm_tuf::encoded(site_id)), report, Bounds::SHORT)
    }

    /// Values as JSON, and others back.
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        bounds: Bounds,
    ) -> Result<Answer<T>, ClientError> {
        let url = self.url(path);
        let text = serde_json::to_vec(body).map_err(|error| ClientError::Settings(error.to_string()))?;
        let request = self.asks(self.agent.post(&url)).content_type("application/json");
        let response = bounded(request, bounds).send(&text);
        let response = response.map_err(|error| failed(&url, bounds.time, error))?;
        if response.status() == 202 {
            return Ok(Answer::Waiting(Box::new(json(&url, bounds, response)?)));
        }
        Ok(Answer::Done(json(&url, bounds, response)?))
    }

    /// A post that no second person is ever asked about.
    pub fn post_now<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        bounds: Bounds,
    ) -> Result<T, ClientError> {
        match self.post(path, body, bounds)? {
            Answer::Done(done) => Ok(done),
            Answer::Waiting(approval) => Err(ClientError::Malformed {
                url: self.url(path),
                expected: "an answer at once",
                found: format!("status 202, and approval {} that nobody asked for", approval.id),
            }),
        }
    }

    pub fn get_json<T: DeserializeOwned>(&self, path: &str, bounds: Bounds) -> Result<T, ClientError> {
        let url = self.url(path);
        let response = bounded(self.asks(self.agent.get(&url)), bounds).call();
        json(&url, bounds, response.map_err(|error| failed(&url, bounds.time, error))?)
    }

    pub fn get_text(&self, path: &str, bounds: Bounds) -> Result<String, ClientError> {
        let url = self.url(path);
        let response = bounded(self.asks(self.agent.get(&url)), bounds).call();
        let response = response.map_err(|error| failed(&url, bounds.time, error))?;
        let bytes = whole(&url, bounds, response)?;
        String::from_utf8(bytes).map_err(|error| ClientError::Malformed {
            url,
            expected: "text",
            found: error.utf8_error().to_string(),
        })
    }

    /// A file of at most `most` bytes; one byte more is read if there is one, so that it can be refused. `None`: it is not there.
    pub fn find(&self, path: &str, most: u64, limit: Duration) -> Result<Option<Vec<u8>>, ClientError> {
        let url = self.url(path);
        let bounds = Bounds { bytes: most.saturating_add(1), time: limit, silence: MAX_SILENCE };
        let response = bounded(self.asks(self.agent.get(&url)), bounds).call();
        let response = response.map_err(|error| failed(&url, limit, error))?;
        if response.status() == 404 {
            return Ok(None);
        }
        let mut reader = good(&url, limit, response)?.into_body().into_reader();
        read_up_to(&mut reader, bounds.bytes, &url, limit).map(Some)
    }

    /// Begins a download at a byte, of what `tag` names where that is known; the answer's status says what it begins with.
    pub(crate) fn get_from(
        &self,
        path: &str,
        from: u64,
        tag: Option<&str>,
        limit: Duration,
    ) -> Result<Response<Body>, ClientError> {
        let url = self.url(path);
        let mut request = self.asks(self.agent.get(&url));
        if from > 0 {
            request = request.header("range", format!("bytes={from}-"));
            if let Some(tag) = tag {
                request = request.header("if-range", tag);
            }
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
            .asks(self.agent.patch(&url))
            .content_type("application/offset+octet-stream")
            .header("upload-offset", offset.to_string());
        // It is stored, wherever that is, before it is answered.
        let bounds = Bounds { time: limit, silence: limit, ..Bounds::SHORT };
        let response = bounded(request, bounds).send(part).map_err(|error| failed(&url, limit, error))?;
        good(&url, limit, response).map(drop)
    }

    pub fn delete(&self, path: &str, bounds: Bounds) -> Result<(), ClientError> {
        let url = self.url(path);
        let response = bounded(self.asks(self.agent.delete(&url)), bounds).call();
        let response = response.map_err(|error| failed(&url, bounds.time, error))?;
        good(&url, bounds.time, response).map(drop)
    }

    /// The request, with who sends it.
    fn asks<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }
}

fn bounded<B>(request: ureq::RequestBuilder<B>, bounds: Bounds) -> ureq::RequestBuilder<B> {
    request.config().timeout_global(Some(bounds.time)).timeout_per_read(Some(bounds.silence)).build()
}

/// Whether what is to be sent may be sent there.
fn check_url(settings: &Settings) -> Result<(), ClientError> {
    let wrong = |problem: &str| {
        Err(ClientError::Settings(format!("its address '{}': {problem}", settings.url.escape_debug())))
    };
    let expected = "expected an address such as https://registry.example.com";
    let Ok(uri) = settings.url.parse::<Uri>() else { return wrong(expected) };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        _ if host.is_empty() || uri.query().is_some() => wrong(expected),
        Some("https") => Ok(()),
        Some("http") if settings.certificate.is_some() => wrong("the certificate is for https"),
        Some("http") if local => Ok(()),
        Some("http") if settings.token.is_some() => wrong(
            "it would carry the token unencrypted over the network; use https://, or sign in on the registry's own machine",
        ),
        Some("http") if settings.plain_http == PlainHttp::WithoutSecrets => Ok(()),
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

fn json<T: DeserializeOwned>(url: &str, bounds: Bounds, response: Response<Body>) -> Result<T, ClientError> {
    let bytes = whole(url, bounds, response)?;
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Malformed {
        url: url.to_owned(),
        expected: "the JSON that the registry's interface describes",
        found: format!("{} bytes that are not ({error})", bytes.len()),
    })
}

/// All of a good answer.
fn whole(url: &str, bounds: Bounds, response: Response<Body>) -> Result<Vec<u8>, ClientError> {
    let mut reader = good(url, bounds.time, response)?.into_body().into_reader();
    let bytes = read_up_to(&mut reader, bounds.bytes.saturating_add(1), url, bounds.time)?;
    if bytes.len() as u64 > bounds.bytes {
        return Err(ClientError::Malformed {
            url: url.to_owned(),
            expected: "a shorter answer",
            found: format!("more than {} bytes", bounds.bytes),
        });
    }
    Ok(bytes)
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
    let bytes = read_up_to(&mut reader, MOST_PROBLEM_BYTES, url, limit).unwrap_or_default();
    let problem = serde_json::from_slice::<Problem>(&bytes).ok().map(Box::new);
    let beginning = match &problem {
        Some(_) => String::new(),
        None => String::from_utf8_lossy(&bytes).chars().take(SHOWN).collect(),
    };
    Err(ClientError::Status { url: url.to_owned(), status, problem, beginning })
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
    fn a_token_is_not_sent_where_others_can_read_it_and_not_shown() {
        let of = |url: &str, token: Option<&str>| Settings {
            url: url.to_owned(),
            token: token.map(|token| Token(token.to_owned())),
            plain_http: PlainHttp::WithoutSecrets,
            ..Settings::default()
        };
        for good in
            ["https://registry.example.com", "http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost"]
        {
            let settings = of(good, Some("a.secret.b"));
            let connection = Connection::new(&settings).unwrap();
            assert!(!format!("{settings:?} {connection:?}").contains("secret"));
        }
        let error = Connection::new(&of("http://registry.example.com", Some("a.b.c"))).unwrap_err();
        assert!(error.to_string().contains("unencrypted"), "{error}");
        Connection::new(&of("http://registry.example.com", None)).unwrap();
        for bad in ["registry", "ftp://registry", "https//x", ""] {
            assert!(Connection::new(&of(bad, None)).is_err(), "{bad}");
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
