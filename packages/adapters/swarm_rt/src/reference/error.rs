use std::io;
use std::process::{Child, Command, Output, Stdio};

use thiserror::Error;

/// Why there is no reference.
#[derive(Debug, Error)]
pub enum ReferenceError {
    #[error("{program} is not installed; it is in the Debian package {package}: `apt-get install {package}`")]
    NotInstalled { program: &'static str, package: &'static str },
    #[error("cannot start {program}")]
    Start { program: &'static str, source: io::Error },
    #[error("cannot wait for {program}")]
    Wait { program: &'static str, source: io::Error },
    #[error("{program} ended with {status}: {said}")]
    Failed { program: &'static str, status: String, said: String },
    #[error("cannot read what {program} said: expected {expected}, found {found:?}")]
    Unreadable { program: &'static str, expected: &'static str, found: String },
}

/// A program of a Debian package, ended when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    program: &'static str,
    /// None once it was waited for.
    child: Option<Child>,
}

impl Running {
    pub(super) fn start(
        program: &'static str,
        package: &'static str,
        arguments: &[String],
    ) -> Result<Self, ReferenceError> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        match command.spawn() {
            Ok(child) => Ok(Self { program, child: Some(child) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ReferenceError::NotInstalled { program, package })
            }
            Err(source) => Err(ReferenceError::Start { program, source }),
        }
    }

    /// Waits for its end; what it wrote to standard output.
    pub(super) fn finish(mut self) -> Result<String, ReferenceError> {
        let program = self.program;
        let Some(child) = self.child.take() else { unreachable!("only this and drop take the child, once") };
        let output = child.wait_with_output().map_err(|source| ReferenceError::Wait { program, source })?;
        let Output { status, stdout, stderr } = output;
        if status.success() {
            return Ok(String::from_utf8_lossy(&stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&stderr).trim().to_owned();
        Err(ReferenceError::Failed { program, status: status.to_string(), said })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself; both calls then say so, and there is nothing left to do.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_installed_is_named_with_its_package() {
        let error = Running::start("no-such-program", "some-package", &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no-such-program is not installed; it is in the Debian package some-package: `apt-get install some-package`"
        );
    }

    #[test]
    fn a_failure_repeats_what_the_program_said() {
        let arguments = ["-c".to_owned(), "echo no right >&2; exit 3".to_owned()];
        let error = Running::start("sh", "dash", &arguments).unwrap().finish().unwrap_err();
        assert_eq!(error.to_string(), "sh ended with exit status: 3: no right");
    }

    #[test]
    fn it_ends_with_its_handle() {
        let running = Running::start("sleep", "coreutils", &["60".to_owned()]).unwrap();
        let id = running.child.as_ref().unwrap().id();
        drop(running);
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }
}
