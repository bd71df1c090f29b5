//! The one error type of the project commands. It says what was tried, on which thing, and what to do.

use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {doing} {path}")]
    Io { doing: &'static str, path: PathBuf, source: io::Error },

    #[error("cannot start `{command}`")]
    Spawn { command: String, source: io::Error },

    #[error("{what} failed: `{command}` ended with {status}{tail}")]
    Command { what: String, command: String, status: String, tail: Tail },

    /// Something on this machine is missing; `hint` is the command that mends it.
    #[error("{what}\n  mend it with: {hint}")]
    Missing { what: String, hint: String },

    #[error("{path}: {problem}")]
    Malformed { path: PathBuf, problem: String },

    #[error("no stage is called `{asked}`; there are: {known}")]
    UnknownStage { asked: String, known: String },

    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// What failed, and why: "cannot write LOG: No space left on device (os error 28)".
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let _ = write!(text, ": {error}"); // into a String: never fails
            cause = error.source();
        }
        text
    }
}

/// The last lines a failed command printed, and where the rest is.
#[derive(Debug)]
pub struct Tail {
    pub lines: Vec<String>,
    pub log: Option<PathBuf>,
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            write!(f, "\n    {line}")?;
        }
        match &self.log {
            Some(log) => write!(f, "\n  its whole output: {}", log.display()),
            None => Ok(()),
        }
    }
}

/// Turns an [`io::Error`] into [`Error::Io`], which names the deed and the file.
pub trait IoContext<T> {
    fn doing(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| Error::Io { doing, path: path.as_ref().to_path_buf(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_file_names_the_deed_the_file_and_the_cause() {
        let error = Err::<(), _>(io::Error::from_raw_os_error(28)).doing("write", "x.log").unwrap_err();
        assert_eq!(error.with_causes(), "cannot write x.log: No space left on device (os error 28)");
    }
}
