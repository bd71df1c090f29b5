//! The Update Framework over HTTP and a local folder, as the command `tuf` and its evidence use it.
//!
//! What is believed is decided in `swarm_tuf`, and kept in the bridges' [`Folder`]; here are the server ([`Server`]) and the file of a
//! target ([`download()`]), and besides, the attacks that are carried out in the tests ([`attacks`]) and years of upkeep on a
//! clock that is moved by hand ([`years`]).

pub mod attacks;
mod download;
mod http;
pub mod years;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use swarm_registry_client::ClientError;
use swarm_tuf::{Fetch, Host, Refusal};

pub use download::download;
pub use http::Server;
pub use swarm_registry_client::Folder;

/// Why an update ended.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("cannot {tried} {}: {source}", .path.display())]
    Disk { tried: &'static str, path: PathBuf, source: io::Error },
    #[error("another process updates {}; wait until it is done", .folder.display())]
    Busy { folder: PathBuf },
    #[error(transparent)]
    Folder(Box<ClientError>),
    #[error("{url} is not there: {source}; is the address right, and the registry up?")]
    Http { url: String, source: io::Error },
    #[error("{url} did not come within {} s; the server is overloaded, or keeps this client waiting on purpose", .limit.as_secs())]
    Slow { url: String, limit: Duration },
    #[error("{url} is answered with status {status}, expected 200")]
    Status { url: String, status: u16 },
}

impl HostError {
    /// A short, stable name, for scripts and counters; of a refusal it is the refusal's.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Disk { .. } => "disk",
            Self::Busy { .. } => "busy",
            Self::Folder(_) => "folder",
            Self::Http { .. } => "http",
            Self::Slow { .. } => "slow",
            Self::Status { .. } => "status",
        }
    }

    pub(crate) fn at(tried: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Disk { tried, path, source }
    }
}

/// The folder is the one that bridges have.
impl From<ClientError> for HostError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Disk { tried, path, source } => Self::Disk { tried, path, source },
            ClientError::Busy { folder } => Self::Busy { folder },
            other => Self::Folder(Box::new(other)),
        }
    }
}

/// A folder and a server.
#[derive(Debug)]
pub struct Update<'a> {
    pub folder: &'a Folder,
    pub server: &'a Server,
}

impl Host for Update<'_> {
    type Error = HostError;

    fn load(&mut self, file: &str) -> Result<Option<Vec<u8>>, HostError> {
        Ok(self.folder.load(file)?)
    }

    fn fetch(&mut self, fetch: &Fetch) -> Result<Option<Vec<u8>>, HostError> {
        self.server.get(fetch)
    }

    fn store(&mut self, file: &str, bytes: &[u8]) -> Result<(), HostError> {
        Ok(self.folder.store(file, bytes)?)
    }

    fn remove(&mut self, file: &str) -> Result<(), HostError> {
        Ok(self.folder.remove(file)?)
    }
}
