//! The registry as a process of its own, as an operator runs it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

/// A program of this project, which lies beside this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.is_file(), "there is no program '{}'; build it (cargo build -p {name})", path.display());
    Ok(path)
}

/// A running registry; it is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Registry {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// How it is started, besides the development profile on a free port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) data: &'a Path,
    pub(crate) trust: &'a Path,
    pub(crate) update_key: Option<&'a Path>,
    pub(crate) database_url: Option<&'a str>,
    /// What it says on standard error goes there.
    pub(crate) log: &'a Path,
}

impl Registry {
    pub(crate) fn start(setup: Setup<'_>) -> Result<Self> {
        let program = beside("swarm_registry")?;
        let log =
            File::create(setup.log).with_context(|| format!("cannot write '{}'", setup.log.display()))?;
        let mut command = Command::new(&program);
        command.args(["--profile", "development", "--listen", "127.0.0.1:0", "--data"]).arg(setup.data);
        command.arg("--trust").arg(setup.trust).env("RUST_LOG", "warn");
        command.args(setup.update_key.map(|_| "--update-key")).args(setup.update_key);
        command.envs(setup.database_url.map(|url| ("DATABASE_URL", url)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().with_context(|| format!("cannot start '{}'", program.display()))?;
        let stdout = child.stdout.take().context("the registry has no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("swarm_registry listens on ");
        let Some(address) = address.and_then(|address| address.parse().ok()) else {
            let _ = child.kill();
            let _ = child.wait();
            let why = std::fs::read_to_string(setup.log).unwrap_or_default();
            bail!("the registry did not say its address but '{}': {why}", line.trim());
        };
        Ok(Self { child, address })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
