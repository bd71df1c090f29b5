//! Requests to the registry: who asks (token, certificate), whom is asked (CA), and refusals as the registry words them. The client is
//! the bridges' ([`swarm_registry_client`]); here are its options, and its errors as a person at the command line needs them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use swarm_api::problem::Problem;
pub(crate) use swarm_registry_client::Answer;
use swarm_registry_client::{Bounds, ClientError, Connection, PlainHttp, Settings, Token};

use crate::files;

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
        "{what} was answered with status {status} and no reason: '{}'; is it a registry that answers there?",
        crate::output::plain(beginning)
    )]
    Strange { what: String, status: u16, beginning: String },
    #[error(
        "{what} got no answer: {cause}; is the address right, is the registry up, and does --registry-ca name who certified it?"
    )]
    Unreachable { what: String, cause: String },
    #[error(
        "{what} was answered with what this program cannot read: {problem}; are both of the same version?"
    )]
    Unreadable { what: String, problem: String },
    /// What went wrong here, such as a full disk.
    #[error("{what}: {cause}")]
    Else { what: String, cause: Box<ClientError> },
}

/// A registry and whoever asks it.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    connection: Connection,
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
        if let Some(key) = &self.certificate_key {
            files::check_secret(key)?;
        }
        let settings = Settings {
            url: self.address().to_owned(),
            certificate: self.certificate.clone(),
            key: self.certificate_key.clone(),
            ca: self.registry_ca.clone(),
            token: token.map(Token),
            plain_http: PlainHttp::WithoutSecrets,
            user_agent: concat!("csactl/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let connection = Connection::new(&settings)
            .context("--registry, --registry-ca, --certificate and --certificate-key")?;
        Ok(Registry { connection })
    }
}

impl Registry {
    /// One that asks nobody who he is, as under the development profile.
    pub(crate) fn plain(address: &str) -> anyhow::Result<Self> {
        let registry = address.to_owned();
        Options { registry, token_file: None, registry_ca: None, certificate: None, certificate_key: None }
            .open()
    }

    /// For transfers, which are several requests.
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.connection.get_json(path, Bounds::LIST).map_err(self.failed("GET", path))
    }

    pub(crate) fn text(&self, path: &str) -> Result<String, CallError> {
        self.connection.get_text(path, Bounds::LIST).map_err(self.failed("GET", path))
    }

    /// The text of a small file, and `None` where there is none (404).
    pub(crate) fn find(
        &self,
        path: &str,
        max_bytes: u64,
        limit: Duration,
    ) -> Result<Option<Vec<u8>>, CallError> {
        self.connection.find(path, max_bytes, limit).map_err(self.failed("GET", path))
    }

    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer<T>, CallError> {
        self.connection.post(path, body, Bounds::WORK).map_err(self.failed("POST", path))
    }

    /// A post that no second person is ever asked about.
    pub(crate) fn post_now<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        self.connection.post_now(path, body, Bounds::WORK).map_err(self.failed("POST", path))
    }

    pub(crate) fn delete(&self, path: &str) -> Result<(), CallError> {
        self.connection.delete(path, Bounds::LIST).map_err(self.failed("DELETE", path))
    }

    fn failed(&self, method: &str, path: &str) -> impl FnOnce(ClientError) -> CallError + use<> {
        let what = format!("{method} {}", self.connection.url(path));
        move |error| CallError::of(what, error)
    }
}

impl CallError {
    pub(crate) fn of(what: String, error: ClientError) -> Self {
        match error {
            ClientError::Status { problem: Some(problem), .. } => Self::Refused { what, problem },
            ClientError::Status { status, beginning, .. } => Self::Strange { what, status, beginning },
            ClientError::Malformed { found, expected, .. } => {
                Self::Unreadable { what, problem: format!("{found}, expected {expected}") }
            }
            ClientError::Unreachable { source, .. } => Self::Unreachable { what, cause: source.to_string() },
            ClientError::Slow { limit, .. } => {
                let cause =
                    format!("it did not come within {} s, or was silent for too long", limit.as_secs());
                Self::Unreachable { what, cause }
            }
            cause => Self::Else { what, cause: Box::new(cause) },
        }
    }

    /// The registry's own code of a refusal.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { problem, .. } => Some(&problem.code),
            _ => None,
        }
    }
}
