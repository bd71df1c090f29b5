//! A PostgreSQL server that can be stopped and started again: Debian's programs, a temporary folder, a free port, an unprivileged user.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::wait::until;

/// Debian's user without rights: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;
const READY_WITHIN: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    root: bool,
    child: Option<Child>,
}

impl Postgres {
    pub(crate) fn start() -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let root = fs::metadata("/proc/self").context("cannot tell who this is")?.uid() == 0;
        if root {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).context("cannot give PostgreSQL its folder")?;
        }
        // Free now; nobody else on this machine is given it before the server takes it, mostly.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut server = Self { programs: programs()?, folder, port, root, child: None };
        let made = server.program("initdb").args(["-U", "swarm", "-A", "trust", "-E", "UTF8"]).output();
        let made = made.context("cannot start initdb")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server.begin()?;
        Ok(server)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        if self.root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        command.arg("-D").arg(self.folder.path().join("data"));
        command
    }

    /// Starts it again after [`Self::stop`].
    pub(crate) fn begin(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log"))?;
        let mut command = self.program("postgres");
        command.args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k"]).arg(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().context("cannot start PostgreSQL")?);
        let port = self.port.to_string();
        until("PostgreSQL answers", READY_WITHIN, || {
            if let Some(ended) = self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                anyhow::bail!("PostgreSQL ended with {ended}: {log}");
            }
            let mut ready = Command::new(self.programs.join("pg_isready"));
            let ready = ready.args(["-q", "-h", "127.0.0.1", "-U", "swarm", "-p", &port]).status()?;
            Ok(ready.success().then_some(()))
        })
    }

    /// At once: connections are cut, and the next start recovers as after a crash.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // SIGQUIT is PostgreSQL's immediate shutdown.
        Command::new("kill").args(["-QUIT", &child.id().to_string()]).status()?;
        child.wait()?;
        Ok(())
    }

    pub(crate) fn url(&self) -> String {
        format!("postgresql://swarm@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// The newest of Debian's PostgreSQL versions, or the folder that `SWARM_POSTGRES_BIN` names.
fn programs() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("SWARM_POSTGRES_BIN") {
        return Ok(folder.into());
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    folders.filter(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file()).max().context(
        "no PostgreSQL server in /usr/lib/postgresql: apt-get install postgresql, or set SWARM_POSTGRES_BIN",
    )
}
