//! The central computer: keys, certificates and tokens as an operator makes them, the registry, and what is done through it.
//!
//! ```text
//! authority/          who may certify sites and the registry; its key stays here
//! ceremony/offline/   root and targets keys, which belong to people and away from any network
//! ceremony/cells/     the pinned roots: to every cell, by a way that is trusted
//! registry/           what the registry itself needs, and its data
//! people/             who signs tokens, and the tokens
//! ```

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use swarm_api::artifact::Artifact;
use swarm_api::cell::Cell;
use swarm_api::deployment::DeploymentPage;
use swarm_rollout::RolloutStatus;

use super::csactl::Csactl;
use super::versions::Version;
use crate::demo::interrupt::Interrupt;
use crate::demo::programs::Program;
use crate::demo::run_folder::RunFolder;
use crate::demo::skill::{SKILL, Signers};
use crate::demo::supervisor::{Supervisor, WaitError};
use crate::error::{IoContext, Result};
use crate::process::find_program;

/// Name of the registry's process, and so of its log.
const REGISTRY: &str = "registry";
/// It makes its database and listens.
const START_LIMIT: Duration = Duration::from_mins(1);
/// What it says then, before address and port.
const LISTENS: &str = "swarm_registry listens on ";
/// Who has the keys and what they are in the tokens: the first sets the registry up, the second works with it.
const ADMIN: (&str, &[&str]) = ("ada", &["admin"]);
const ENGINEER: (&str, &[&str]) = ("olga", &["engineer", "operator"]);

/// The registry and who works with it.
#[derive(Debug)]
pub struct Central {
    folder: PathBuf,
    signers: Signers,
    supervisor: Supervisor,
    /// Without a registry: certificates.
    local: Csactl,
    /// As the engineer.
    csactl: Csactl,
    url: String,
}

/// What `csactl token issue` answers.
#[derive(Debug, Deserialize)]
struct Issued {
    token: String,
}

impl Central {
    /// Makes keys, certificates and tokens in the run's folder, starts the registry there, and hands the first metadata in.
    pub fn begin(
        run: &RunFolder,
        executables: &Path,
        signers: Signers,
        interrupt: Interrupt,
    ) -> Result<Self> {
        let folder = run.path().to_path_buf();
        let local = Csactl::new(executables, &folder);
        local.run("the root ceremony", &["keys", "ceremony", "--out", "ceremony"])?;
        local.run("making an authority for certificates", &["ca", "init", "--out", "authority"])?;
        let server = ["ca", "server", "localhost", "127.0.0.1", "--ca", "authority", "--out", "registry"];
        local.run("certifying the registry", &server)?;
        let roles = ["--role", "admin", "--role", "engineer", "--role", "operator"];
        let key =
            ["token", "key", "--id", "people", "--out", "people", "--token-keys", "registry/token_keys.yaml"];
        local.run("making the key of the tokens", &[&key[..], &roles[..]].concat())?;

        let mut supervisor = Supervisor::new(run.clone(), [], interrupt);
        supervisor.start(registry(&folder, executables, &signers))?;
        let url = url(&mut supervisor, &run.log(REGISTRY))?;
        let ca = folder.join("authority/ca.pem");
        let sign_in = |(name, roles): (&str, &[&str])| -> Result<Csactl> {
            Ok(local.signed_in(&url, &ca, &issue_token(&local, &folder, name, roles)?))
        };
        let (admin, csactl) = (sign_in(ADMIN)?, sign_in(ENGINEER)?);
        admin.run("handing the roots in", &["publish-root", "ceremony/publish"])?;
        let key = ["--key", "ceremony/offline/targets-1.pem", "--metadata", "ceremony/cells"];
        let skill = ["keys", "skill", SKILL, "--out", "people/skill.pem"];
        admin.run("making the skill's key", &[&skill[..], &key[..]].concat())?;
        Ok(Self { folder, signers, supervisor, local, csactl, url })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// What a person signs in with on the pages.
    pub fn token_file(&self) -> PathBuf {
        token_file(&self.folder, ENGINEER.0)
    }

    /// Who has certified the registry.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority/ca.pem")
    }

    /// The line that shows the cells in another terminal.
    pub fn how_to_look(&self) -> String {
        self.csactl.shown(&["cells"])
    }

    /// Certifies a site and gives it the pinned roots, into the folder of its cell; gives the block for the cell's declaration.
    pub fn admit(&self, site: &str, cell: &Path) -> Result<String> {
        let out = cell.display().to_string();
        let certify = ["ca", "site", site, "--ca", "authority", "--out", &out];
        self.local.run("certifying a site", &certify)?;
        for (from, name) in [
            ("ceremony/cells/image_root.json", "image_root.json"),
            ("ceremony/cells/director_root.json", "director_root.json"),
            ("authority/ca.pem", "registry_ca.pem"),
        ] {
            let from = self.folder.join(from);
            fs::copy(&from, cell.join(name)).doing("copy", &from)?;
        }
        let place = |name: &str| cell.join(name).display().to_string();
        // JSON is YAML.
        let block = json!({
            "url": self.url,
            "site_id": site,
            "image_root": place("image_root.json"),
            "director_root": place("director_root.json"),
            "certificate": place(&format!("{site}.pem")),
            "key": place(&format!("{site}.key")),
            "ca": place("registry_ca.pem"),
        });
        Ok(format!("registry: {block}\n"))
    }

    /// Packages, signs, uploads and publishes a version; `parent` is the version that it was made from.
    pub fn release(&self, version: &Version, sources: &Path, parent: Option<&Version>) -> Result<()> {
        let sources = version.lay(sources, &self.folder.join("sources").join(version.number))?;
        let artifact = self.signers.package(&sources, version.number)?.display().to_string();
        let mut upload = vec!["upload", artifact.as_str(), "--uploaded-by", ENGINEER.0];
        let parent = parent.map(|parent| self.artifact(parent)).transpose()?;
        if let Some(parent) = &parent {
            upload.extend(["--parent", parent.digest.as_str()]);
        }
        self.csactl.run("uploading an artifact", &upload)?;
        let trust = self.signers.trust_file().display().to_string();
        let publish = [
            "publish",
            SKILL,
            version.number,
            "--trust",
            trust.as_str(),
            "--key",
            "people/skill.pem",
            "--metadata",
            "ceremony/cells",
        ];
        self.csactl.run("publishing an artifact", &publish).map(drop)
    }

    /// Sends cells to a version, all at once.
    pub fn assign(&self, version: &Version, sites: &[&str]) -> Result<()> {
        let named = named(version);
        let mut arguments = vec!["deploy", named.as_str(), "--reason", "the first version"];
        arguments.extend(sites.iter().flat_map(|site| ["--cell", site]));
        self.csactl.run("assigning an artifact", &arguments).map(drop)
    }

    /// Begins a roll-out, the canary first; gives its number.
    pub fn roll_out(&self, version: &Version, canary: &str) -> Result<i64> {
        let plan = self.folder.join(format!("rollout_{}.yaml", version.number));
        fs::write(&plan, plan_text(version, canary)).doing("write", &plan)?;
        let plan = plan.display().to_string();
        let begun: RolloutStatus = self.csactl.ask("beginning a roll-out", &["rollout", "start", &plan])?;
        Ok(begun.id)
    }

    pub fn rollout(&self, id: i64) -> Result<RolloutStatus> {
        self.csactl.ask("looking at a roll-out", &["rollout", "show", &id.to_string()])
    }

    pub fn cells(&self) -> Result<Vec<Cell>> {
        self.csactl.ask("looking at the cells", &["cells"])
    }

    /// The same for people.
    pub fn cells_text(&self) -> Result<String> {
        self.csactl.run("looking at the cells", &["cells"])
    }

    pub fn artifacts(&self) -> Result<Vec<Artifact>> {
        self.csactl.ask("looking at the artifacts", &["list"])
    }

    pub fn artifact(&self, version: &Version) -> Result<Artifact> {
        self.csactl.ask("looking at an artifact", &["show", &named(version)])
    }

    /// What cells were given, newest first.
    pub fn history(&self) -> Result<DeploymentPage> {
        self.csactl.ask("looking at the history", &["deployments"])
    }

    /// Fails when the registry has ended, or the user has interrupted.
    pub fn look_after(&mut self, what: &str) -> std::result::Result<(), WaitError> {
        self.supervisor.look_after(what)
    }

    pub fn stop(&mut self) -> Result<()> {
        self.supervisor.stop_all()
    }
}

/// The registry under its production profile: TLS, certificates of sites, tokens of people. Nothing of the user's environment reaches
/// it, which might name another database.
fn registry(folder: &Path, executables: &Path, signers: &Signers) -> Program {
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let trust = signers.trust_file();
    let place = |name: &str| folder.join(name).into_os_string();
    let mut arguments = vec!["-i".into(), executables.join("swarm_registry").into_os_string()];
    for (option, value) in [
        ("--listen", "127.0.0.1:0".into()),
        ("--data", place("registry/data")),
        ("--trust", trust.into_os_string()),
        ("--token-keys", place("registry/token_keys.yaml")),
        ("--tls-certificate", place("registry/localhost.pem")),
        ("--tls-key", place("registry/localhost.key")),
        ("--tls-site-ca", place("authority/ca.pem")),
        ("--tls-site-crl", place("authority/crl.pem")),
        ("--update-key", place("ceremony/registry/online.pem")),
    ] {
        arguments.extend([option.into(), value]);
    }
    Program {
        name: REGISTRY.to_owned(),
        executable: find_program("env", &search_path).unwrap_or_else(|| "/usr/bin/env".into()),
        arguments,
        variables: std::collections::BTreeMap::new(),
    }
}

/// Waits until the registry says where it listens.
fn url(supervisor: &mut Supervisor, log: &Path) -> Result<String> {
    let url = supervisor.wait_for("the registry's address", START_LIMIT, |_| {
        let text = fs::read_to_string(log).doing("read", log)?;
        let address = text.lines().find_map(|line| line.strip_prefix(LISTENS));
        let port = address.and_then(|address| address.rsplit_once(':')).map(|(_, port)| port.trim());
        Ok(port.map(|port| format!("https://localhost:{port}")))
    });
    Ok(url?)
}

fn token_file(folder: &Path, name: &str) -> PathBuf {
    folder.join("people").join(format!("{name}.token"))
}

fn issue_token(csactl: &Csactl, folder: &Path, name: &str, roles: &[&str]) -> Result<PathBuf> {
    let issue = ["token", "issue", "--key", "people/people.pem", "--subject", name];
    let roles = roles.iter().flat_map(|role| ["--role", role]);
    let Issued { token } =
        csactl.ask("issuing a token", &issue.into_iter().chain(roles).collect::<Vec<_>>())?;
    let path = token_file(folder, name);
    let mut file =
        File::options().write(true).create_new(true).mode(0o600).open(&path).doing("create", &path)?;
    writeln!(file, "{token}").doing("write", &path)?;
    Ok(path)
}

fn named(version: &Version) -> String {
    format!("{SKILL}@{}", version.number)
}

/// One run is little to judge by; a real plan asks for more, over hours.
fn plan_text(version: &Version, canary: &str) -> String {
    format!(
        "artifact: {}\n\
         cells: all\n\
         stages:\n\
         - {{name: canary, cells: [{canary}]}}\n\
         - {{name: everywhere, percent: 100}}\n\
         gates:\n  \
           observe_s: 5\n  \
           min_runs: 1\n  \
           min_success_rate: 0.9\n  \
           max_safety_violations: 0\n  \
           max_crashes: 0\n  \
           max_refused: 0\n",
        named(version)
    )
}
