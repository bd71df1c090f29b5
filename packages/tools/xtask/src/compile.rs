//! Compiling the workspace with cargo, always with the same selection (`--workspace`) and the same environment, so that
//! demo, install, evidence and tests share what is compiled: another selection unifies features differently, and another
//! environment makes r2r start over.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::error::{Error, Result, Tail};
use crate::layout::Layout;
use crate::process::{self, run_logged};
use crate::ros::RosEnv;
use crate::ui::Task;

/// What the tests are compiled with beside the defaults: those against programs that nobody here wrote, and both back ends of the
/// streams. The executables that ROS tests start are compiled with it too, or everything would be compiled twice.
pub const TEST_FEATURES: [&str; 11] = [
    "csactl/peer-tests",
    "swarm_bag/peer-tests",
    "swarm_bt_evidence/peer-tests",
    "swarm_camera_bed/gstreamer",
    "swarm_camera_bed/peer-tests",
    "swarm_cli/peer-tests",
    "swarm_dataset/peer-tests",
    "swarm_groot/peer-tests",
    "swarm_metrics/peer-tests",
    "swarm_registry/peer-tests",
    "swarm_tuf/peer-tests",
];

/// How much of cargo's words an error repeats: a few compiler errors.
const ERROR_LINES: usize = 60;

/// Cargo's profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    Dev,
    Release,
}

impl Profile {
    /// The folder below `target/`.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }
}

/// An executable of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Executable {
    /// The crate, and the ROS package where it is a node's.
    pub package: String,
    pub name: String,
}

/// `cargo`, in the repository's root.
pub fn cargo(layout: &Layout) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(layout.root());
    // What `cargo run` says of the package xtask. Build scripts that look at it run again, and all that depends on them is compiled
    // again, whenever somebody changes between `cargo xtask` and `cargo build`.
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_about_own_package(name)) {
        command.env_remove(name);
    }
    command
}

fn is_about_own_package(variable: &OsStr) -> bool {
    let about =
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"];
    about.iter().any(|about| variable.as_encoded_bytes().starts_with(about.as_bytes()))
}

/// Compiles every executable and example of the workspace; gives the folder they are in.
pub fn executables(layout: &Layout, ros: &RosEnv, profile: Profile) -> Result<PathBuf> {
    let mut command = cargo(layout);
    command.args(["build", "--workspace", "--bins", "--examples", "--locked"]);
    command.args(["--profile", profile.name(), "--message-format", "json-render-diagnostics"]);
    if profile == Profile::Dev {
        command.args(["--features", &TEST_FEATURES.join(",")]);
    }
    ros.apply(&mut command);
    let title = format!("compile the workspace ({})", profile.name());
    follow(layout, &title, &mut command, &layout.log(&format!("cargo-build-{}", profile.name())))?;
    Ok(layout.target().join(profile.folder()))
}

/// Compiles one executable without ROS, and what it may start: those beside it in its package, and those of other packages; gives
/// its path.
pub fn executable(
    layout: &Layout,
    package: &str,
    name: &str,
    starts: &[&str],
    profile: Profile,
) -> Result<PathBuf> {
    let mut command = cargo(layout);
    command.args(["build", "--bins", "--locked", "--package", package]);
    command.args(starts.iter().flat_map(|package| ["--package", package]));
    command.args(["--profile", profile.name(), "--message-format", "json-render-diagnostics"]);
    let title = format!("compile {name} ({})", profile.name());
    follow(layout, &title, &mut command, &layout.log(&format!("cargo-build-{name}")))?;
    Ok(layout.target().join(profile.folder()).join(name))
}

/// The executables of the nodes that belong into a cell, as the workspace declares them: all but what tests and measurements alone run.
pub fn node_executables(layout: &Layout) -> Result<Vec<Executable>> {
    let nodes = layout.root().join("packages/nodes");
    let mut found = Vec::new();
    for package in metadata(layout, Dependencies::Left)?.packages {
        if !package.manifest_path.starts_with(&nodes) {
            continue;
        }
        let kept = package.metadata.and_then(|notes| notes.swarm).unwrap_or_default().keep_back;
        let bins = package.targets.into_iter().filter(|target| target.kind.iter().any(|kind| kind == "bin"));
        let (back, installed): (Vec<_>, Vec<_>) =
            bins.map(|target| target.name).partition(|name| kept.contains(name));
        if let Some(unknown) = kept.iter().find(|kept| !back.contains(kept)) {
            return Err(Error::Malformed {
                path: package.manifest_path,
                problem: format!(
                    "package.metadata.swarm.keep_back names '{unknown}', which is no executable of this crate"
                ),
            });
        }
        found.extend(installed.into_iter().map(|name| Executable { package: package.name.clone(), name }));
    }
    found.sort();
    Ok(found)
}

/// Runs cargo and shows which crate is done.
fn follow(layout: &Layout, title: &str, command: &mut Command, log: &Path) -> Result<()> {
    let task = Task::start(title);
    task.set_length(metadata(layout, Dependencies::Followed)?.packages.len() as u64);
    let mut done = BTreeSet::new();
    let mut said = Vec::new();
    run_logged(title, command, log, |line| {
        if let Ok(message) = serde_json::from_str::<Message>(line) {
            if message.reason == "compiler-artifact"
                && let Some(id) = message.package_id
                && done.insert(id)
            {
                task.advance_to(done.len() as u64);
                task.say(message.target.map(|target| target.name).unwrap_or_default());
            }
        } else if !line.trim_start().starts_with("Compiling ") {
            said.push(line.to_owned());
        }
    })
    .map_err(|error| with_words(error, &said))?;
    task.done();
    Ok(())
}

/// Lets the error repeat what cargo said to people, instead of its messages for machines.
fn with_words(error: Error, said: &[String]) -> Error {
    match error {
        Error::Command { what, command, status, tail } => {
            let lines = said[said.len().saturating_sub(ERROR_LINES)..].to_vec();
            Error::Command { what, command, status, tail: Tail { lines, ..tail } }
        }
        other => other,
    }
}

#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    package_id: Option<String>,
    target: Option<Target>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    /// `[package.metadata]`.
    metadata: Option<Notes>,
}

#[derive(Debug, Deserialize)]
struct Notes {
    swarm: Option<Installation>,
}

/// `[package.metadata.swarm]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Installation {
    /// Executables that are not installed.
    keep_back: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dependencies {
    /// Members and all that they need on this platform.
    Followed,
    Left,
}

fn metadata(layout: &Layout, dependencies: Dependencies) -> Result<Metadata> {
    let mut command = cargo(layout);
    command.args(["metadata", "--format-version", "1", "--locked"]);
    command.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    if dependencies == Dependencies::Left {
        command.arg("--no-deps");
    }
    let text = process::output("reading the workspace", &mut command)?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Malformed { path: "cargo metadata".into(), problem: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_told_nothing_of_the_package_that_calls_it() {
        for variable in
            ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME", "CARGO_PKG_VERSION_MAJOR"]
        {
            assert!(is_about_own_package(OsStr::new(variable)), "{variable}");
        }
        for variable in ["CARGO", "CARGO_HOME", "CARGO_INCREMENTAL", "CARGO_TARGET_DIR", "RUSTFLAGS"] {
            assert!(!is_about_own_package(OsStr::new(variable)), "{variable}");
        }
    }

    #[test]
    fn a_failed_compilation_shows_the_compilers_words() {
        let tail = Tail { lines: vec!["{\"reason\":\"build-finished\"}".into()], log: Some("log".into()) };
        let error = Error::Command {
            what: "compile".into(),
            command: "cargo build".into(),
            status: "exit status: 101".into(),
            tail,
        };
        let text = with_words(error, &["error[E0425]: cannot find value `x`".to_owned()]).to_string();
        assert!(text.contains("cannot find value `x`") && !text.contains("build-finished"), "{text}");
        assert!(text.ends_with("its whole output: log"), "{text}");
    }
}
