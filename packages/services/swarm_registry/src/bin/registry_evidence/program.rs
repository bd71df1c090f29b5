//! A server as a process of its own, as users run it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// A running server; it is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Program {
    /// Starts a program that prints its address at the end of its first line.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let shown = command.get_program().display().to_string();
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start '{shown}'"))?;
        let stdout = child.stdout.take().context("the program has no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let Some(address) = line.rsplit(' ').next().and_then(|address| address.trim().parse().ok()) else {
            // It has said why on standard error.
            let _ = child.kill();
            let _ = child.wait();
            bail!("'{shown}' did not say its address but '{}'", line.trim());
        };
        Ok(Self { child, address })
    }

    /// A value of `/proc/PID/status` in MB (10^6 bytes).
    pub(crate) fn memory_mb(&self, field: &str) -> Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kib = line.and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kib.with_context(|| format!("{path} has no {field}"))? * 1024.0 / 1e6)
    }

    /// What its descriptors point to.
    pub(crate) fn open_files(&self) -> Result<Vec<String>> {
        let folder = format!("/proc/{}/fd", self.child.id());
        let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))?;
        // One that was closed meanwhile has no target.
        let links = entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
        Ok(links.map(|link| link.to_string_lossy().trim_end_matches(" (deleted)").to_owned()).collect())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
