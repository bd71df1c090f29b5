//! A registry with its ceremony behind it, and whoever operates it: everything is done with `csactl`, as people do it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use swarm_artifact::Trust;

use crate::artifacts::{Made, Maker};
use crate::http::Http;
use crate::program::{Registry, Setup, beside};

pub(crate) const SKILL: &str = "drill";

/// Ends with everything that it started.
#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) registry: Registry,
    pub(crate) http: Http,
    pub(crate) trust: Trust,
    maker: Maker,
    csactl: PathBuf,
    work: PathBuf,
}

impl Bed {
    /// Keys, roots, a registry that signs, and a key for the skill. `kib` is the size of an artifact.
    pub(crate) fn new(work: &Path, kib: usize) -> Result<Self> {
        let maker = Maker::new(&work.join("artifacts"), kib)?;
        let trust = maker.trust();
        fs::write(work.join("trust.yaml"), trust.to_yaml())?;
        let csactl = beside("csactl")?;
        let ceremony = work.join("ceremony");
        call(Command::new(&csactl).args(["--json", "keys", "ceremony", "--out"]).arg(&ceremony))?;
        let registry = Registry::start(Setup {
            data: &work.join("registry"),
            trust: &work.join("trust.yaml"),
            update_key: Some(&ceremony.join("registry/online.pem")),
            database_url: None,
            log: &work.join("registry.log"),
        })?;
        let http = Http::new(registry.url());
        let bed = Self { registry, http, trust, maker, csactl, work: work.to_owned() };
        let shown = |path: &str| bed.work.join(path).display().to_string();
        bed.operator(&["publish-root", &shown("ceremony/publish")])?;
        let (key, out) = (shown("ceremony/offline/targets-1.pem"), shown("skill.pem"));
        bed.operator(&["keys", "skill", SKILL, "--key", &key, "--out", &out])?;
        Ok(bed)
    }

    /// What an operator types; gives what is answered.
    pub(crate) fn operator(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.csactl);
        command.arg("--json").args(arguments).env("REGISTRY_URL", self.registry.url());
        command.env("CSACTL_METADATA", self.work.join("ceremony/cells"));
        call(command.env("TRUST_PATH", self.trust_file()))
    }

    /// An artifact that the registry has and that cells may be sent to.
    pub(crate) fn publish(&self, version: &str) -> Result<Made> {
        let made = self.maker.make(SKILL, version)?;
        self.operator(&["upload", &made.archive.display().to_string()])?;
        let key = self.work.join("skill.pem").display().to_string();
        self.operator(&["publish", SKILL, version, "--key", &key])?;
        Ok(made)
    }

    /// A file of the ceremony that every cell gets once.
    pub(crate) fn pinned_root(&self, which: &str) -> PathBuf {
        self.work.join(format!("ceremony/cells/{which}_root.json"))
    }

    pub(crate) fn trust_file(&self) -> PathBuf {
        self.work.join("trust.yaml")
    }
}

fn call(command: &mut Command) -> Result<Value> {
    let output =
        command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("{command:?} ended with {}: {said}", output.status);
    }
    // A command with several parts prints a value for each.
    let values = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let last = values.last().transpose().with_context(|| format!("{command:?} did not print JSON"))?;
    Ok(last.unwrap_or_default())
}
