//! Why something with the registry did not come about.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use swarm_api::problem::Problem;
use swarm_artifact::{ArtifactId, VerifyError};
use swarm_tuf::Refusal;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Metadata, or the bytes of an artifact, that are not believed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The cell's own trust file does not believe the artifact.
    #[error(transparent)]
    NotSigned(#[from] VerifyError),
    #[error("the signature file of artifact {artifact} cannot be read: {problem}; have it signed again")]
    BadSignatureFile { artifact: String, problem: String },
    #[error("cannot {tried} {}: {source}", .path.display())]
    Disk { tried: &'static str, path: PathBuf, source: io::Error },
    #[error("{} cannot be used: {problem}", .path.display())]
    BadFile { path: PathBuf, problem: String },
    #[error("another process works in {}; wait until it is done, or end it", .folder.display())]
    Busy { folder: PathBuf },
    #[error("the registry's settings cannot be used: {0}")]
    Settings(String),
    #[error("{url} is not there: {source}; is the address right, and the registry up?")]
    Unreachable { url: String, source: io::Error },
    #[error("{url} did not come within {} s, or was silent for too long; the registry is overloaded, or keeps this cell waiting on purpose", .limit.as_secs())]
    Slow { url: String, limit: Duration },
    /// `beginning` is what the answer says where that is no reason of a registry.
    #[error("{url} is answered with status {status}{}", .problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default())]
    Status { url: String, status: u16, problem: Option<Box<Problem>>, beginning: String },
    #[error("{url} is answered with {found}, expected {expected}")]
    Malformed { url: String, expected: &'static str, found: String },
    #[error("{url} ended after {received} of {length} bytes; it goes on there")]
    Cut { url: String, received: u64, length: u64 },
    /// What is wrong with the cell's trust file.
    #[error("{0}")]
    TrustFile(String),
    #[error("cannot start the thread {name}: {source}")]
    Thread { name: &'static str, source: io::Error },
    #[error("the delta from artifact {base} is of no use: {problem}")]
    Delta { base: ArtifactId, problem: String },
    #[error("it was told to end")]
    Stopped,
}

impl ClientError {
    /// What came is not believed, whoever sent it; asking again brings the same, unless somebody puts it right.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::NotSigned(_) | Self::BadSignatureFile { .. })
    }

    /// The time is what is wrong, here or there: the cell's clock, or a key that is not valid yet or no more and may be renewed.
    pub fn is_about_time(&self) -> bool {
        matches!(self, Self::NotSigned(VerifyError::NotYetValid { .. } | VerifyError::Expired { .. }))
    }

    /// The link's fault, or the registry's load: the same may go well the next time.
    pub fn is_link(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Slow { .. } | Self::Cut { .. })
    }

    /// The registry's short word for why it refused.
    pub fn problem_code(&self) -> Option<&str> {
        match self {
            Self::Status { problem: Some(problem), .. } => Some(&problem.code),
            _ => None,
        }
    }

    pub(crate) fn at(tried: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Disk { tried, path, source }
    }
}
