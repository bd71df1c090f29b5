//! The central command line as this demo uses it: `csactl`, signed in as a person, its JSON read into the registry's own types.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::process;

/// The command, and where it works.
#[derive(Debug, Clone)]
pub struct Csactl {
    program: PathBuf,
    folder: PathBuf,
    /// Which registry is asked, and as whom.
    connection: Vec<OsString>,
}

impl Csactl {
    /// One that asks no registry yet. Relative paths among its arguments start at `folder`.
    pub fn new(executables: &Path, folder: &Path) -> Self {
        Self { program: executables.join("csactl"), folder: folder.to_path_buf(), connection: Vec::new() }
    }

    /// One that asks the registry at `url`, which `ca` has certified, as the person whose token is in the file.
    #[must_use]
    pub fn signed_in(&self, url: &str, ca: &Path, token_file: &Path) -> Self {
        let connection = ["--registry".into(), url.into(), "--registry-ca".into(), ca.into()];
        let connection = connection.into_iter().chain(["--token-file".into(), token_file.into()]).collect();
        Self { connection, ..self.clone() }
    }

    /// Runs a command; gives what it printed.
    pub fn run<A: AsRef<OsStr>>(&self, what: &str, arguments: &[A]) -> Result<String> {
        process::output(what, &mut self.command(arguments))
    }

    /// Runs a command, and reads its answer.
    pub fn ask<T: DeserializeOwned, A: AsRef<OsStr>>(&self, what: &str, arguments: &[A]) -> Result<T> {
        let mut command = self.command(arguments);
        command.arg("--json");
        let shown = process::shown(&command);
        let text = process::output(what, &mut command)?;
        serde_json::from_str(&text).map_err(|error| Error::Malformed {
            path: shown.into(),
            problem: format!("its answer cannot be read: {error}"),
        })
    }

    /// The command as a person types it in [`Self::run`]'s place.
    pub fn shown<A: AsRef<OsStr>>(&self, arguments: &[A]) -> String {
        process::shown(&self.command(arguments))
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(&self.program);
        // Settings of another registry, which a user may have in the environment, are none of the demo's. In a group of its own it
        // finishes what it has begun when Ctrl-C is pressed.
        command.args(arguments).args(&self.connection).env_clear().current_dir(&self.folder).process_group(0);
        command
    }
}
