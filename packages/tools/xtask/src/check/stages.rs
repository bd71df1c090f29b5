//! The stages themselves.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::counts::{Counts, Runner, count};
use crate::compile::{self, Profile, cargo};
use crate::error::{Error, Result};
use crate::evidence;
use crate::install::{self, Mode, Options};
use crate::layout::Layout;
use crate::process::run_logged;
use crate::ros::{RosEnv, debian, node, promtool};
use crate::{arrows, process};

/// Whether a stage can run without ROS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeedsRos {
    No,
    /// It does less without.
    Partly,
    Yes,
}

pub struct Stage {
    pub name: &'static str,
    pub about: &'static str,
    pub needs_ros: NeedsRos,
    pub perform: fn(&mut Run<'_>, &mut Counts) -> Result<()>,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Stage {
    pub fn is_fast(&self) -> bool {
        self.needs_ros != NeedsRos::Yes
    }
}

pub const STAGES: [Stage; 10] = [
    Stage { name: "format", about: "cargo fmt --check", needs_ros: NeedsRos::No, perform: format },
    Stage {
        name: "arrows",
        about: "dependencies point inwards",
        needs_ros: NeedsRos::No,
        perform: check_arrows,
    },
    Stage { name: "tests", about: "tests of the crates", needs_ros: NeedsRos::Partly, perform: tests },
    Stage {
        name: "docs",
        about: "examples in the documentation",
        needs_ros: NeedsRos::Partly,
        perform: docs,
    },
    Stage {
        name: "loom",
        about: "every order of threads that share a cell",
        needs_ros: NeedsRos::No,
        perform: loom,
    },
    Stage { name: "lints", about: "cargo clippy", needs_ros: NeedsRos::Partly, perform: lints },
    Stage {
        name: "install",
        about: "the install tree, merged and isolated",
        needs_ros: NeedsRos::Yes,
        perform: install,
    },
    Stage { name: "launch", about: "the launch files", needs_ros: NeedsRos::Yes, perform: launch },
    Stage {
        name: "deployment",
        about: "images, compose files, chart, units, alerts and dashboards",
        needs_ros: NeedsRos::Yes,
        perform: deployment,
    },
    Stage { name: "ros", about: "the nodes, driven from rclpy", needs_ros: NeedsRos::Yes, perform: ros },
];

/// What the stages share.
#[derive(Debug)]
pub struct Run<'a> {
    layout: &'a Layout,
    fast: bool,
    ros: Option<RosEnv>,
}

impl<'a> Run<'a> {
    pub fn new(layout: &'a Layout, fast: bool) -> Self {
        Self { layout, fast, ros: None }
    }

    /// ROS, made ready by the first stage that needs it.
    fn ros(&mut self) -> Result<RosEnv> {
        if self.ros.is_none() {
            self.ros = Some(RosEnv::ready(self.layout)?);
        }
        self.ros.clone().ok_or_else(|| Error::Failed("ROS is not ready".to_owned()))
    }

    /// What a command of cargo works on: `default-members`, without ROS, when it has to be fast; else the whole workspace with all
    /// its tests, always with the same features, so that the stages share what is compiled.
    fn select_crates(&mut self, command: &mut Command) -> Result<()> {
        if self.fast {
            return Ok(());
        }
        let ros = self.ros()?;
        command.args(["--workspace", "--features", &compile::TEST_FEATURES.join(",")]);
        ros.apply(command).env("SWARM_TEST_PYTHON", ros.python());
        Ok(())
    }

    fn log(&self, stage: &str) -> PathBuf {
        self.layout.root().join("target/xtask-test").join(format!("{stage}.log"))
    }

    /// Where the install tree under test is laid; the user's own is left alone.
    fn tree(&self) -> PathBuf {
        self.layout.root().join("target/xtask-test/install")
    }
}

fn format(run: &mut Run<'_>, _: &mut Counts) -> Result<()> {
    let mut command = cargo(run.layout);
    command.args(["fmt", "--all", "--check"]);
    run_logged("cargo fmt --check", &mut command, &run.log("format"), |line| eprintln!("{line}"))
}

fn check_arrows(run: &mut Run<'_>, _: &mut Counts) -> Result<()> {
    let wrong = arrows::check(run.layout)?;
    if wrong.is_empty() { Ok(()) } else { Err(Error::Failed(format!("\n  {}", wrong.join("\n  ")))) }
}

fn tests(run: &mut Run<'_>, counts: &mut Counts) -> Result<()> {
    let mut command = cargo(run.layout);
    if !run.fast {
        debian::ensure(run.layout, &debian::CAMERA_BED_TOOLS)?;
        debian::ensure(run.layout, &debian::REGISTRY_TOOLS)?;
        debian::ensure(run.layout, &debian::PAGE_TOOLS)?;
        command.env(node::VARIABLE, node::modules(run.layout)?);
    }
    let runner = rust_tests(run.layout, &mut command);
    if runner == Runner::CargoTest {
        command.args(["--lib", "--bins", "--tests"]); // the next stage has the examples
    }
    run.select_crates(&mut command)?;
    follow(&mut command, runner, &run.log("tests"), counts, Empty::Refused)
}

fn docs(run: &mut Run<'_>, counts: &mut Counts) -> Result<()> {
    let mut command = cargo(run.layout);
    command.args(["test", "--doc", "--locked", "--no-fail-fast"]);
    run.select_crates(&mut command)?;
    follow(&mut command, Runner::CargoTest, &run.log("docs"), counts, Empty::Allowed)
}

/// With a target folder of its own: `--cfg loom` compiles everything anew.
fn loom(run: &mut Run<'_>, counts: &mut Counts) -> Result<()> {
    let mut command = cargo(run.layout);
    command.args([
        "test",
        "--release",
        "--locked",
        "--package",
        "swarm_rt",
        "--test",
        "loom",
        "--target-dir",
    ]);
    command.arg(run.layout.target().join("loom")).env("RUSTFLAGS", "--cfg loom");
    follow(&mut command, Runner::CargoTest, &run.log("loom"), counts, Empty::Refused)
}

fn lints(run: &mut Run<'_>, _: &mut Counts) -> Result<()> {
    let mut command = cargo(run.layout);
    command.args(["clippy", "--all-targets", "--locked"]);
    run.select_crates(&mut command)?;
    command.args(["--", "-D", "warnings"]);
    run_logged("cargo clippy", &mut command, &run.log("lints"), echo_problems())
}

fn install(run: &mut Run<'_>, counts: &mut Counts) -> Result<()> {
    let ros = run.ros()?;
    let prefix = run.tree();
    let isolated = prefix.with_file_name("install-isolated");
    let merged = Options {
        prefix: &prefix,
        build: &prefix.with_file_name("build"),
        mode: Mode::Merged,
        profile: Profile::Dev,
        leave_messages_out: false,
    };
    install::install(run.layout, &ros, &merged)?;
    counts.passed += 1;
    // The messages are the same in both layouts, and take the longest to build.
    let isolated = Options {
        prefix: &isolated,
        build: &prefix.with_file_name("build-isolated"),
        mode: Mode::Isolated,
        leave_messages_out: true,
        ..merged
    };
    install::install(run.layout, &ros, &isolated)?;
    counts.passed += 1;
    Ok(())
}

fn launch(run: &mut Run<'_>, counts: &mut Counts) -> Result<()> {
    if !run.tree().is_dir() {
        install(run, &mut Counts::default())?;
    }
    pytest(run, "launch", "launch", &[], &[], counts)
}

fn deployment(run: &mut Run<'_>, counts: &mut Counts) -> Result<()> {
    let promtool = promtool::program(run.layout)?;
    pytest(run, "deployment", "deployment", &[], &[(promtool::VARIABLE, &promtool)], counts)
}

fn ros(run: &mut Run<'_>, counts: &mut Counts) -> Result<()> {
    let ros = run.ros()?;
    debian::ensure(run.layout, &debian::DRAWN_CAMERA_TOOLS)?;
    // A short form of every measurement is among these tests.
    for tools in evidence::tools() {
        debian::ensure(run.layout, tools)?;
    }
    let modules = node::modules(run.layout)?;
    // The tutorial is typed in the installed tree.
    if !run.tree().is_dir() {
        install(run, &mut Counts::default())?;
    }
    compile::executables(run.layout, &ros, Profile::Dev)?;
    let variables = [(node::VARIABLE, modules.as_path())];
    // Most of a test's time is waiting for nodes; each has a ROS domain of its own, so they can wait side by side.
    let workers = processors().min(MOST_WORKERS).to_string();
    let beside = [RERUN, "-m", "not alone", "--numprocesses", &workers, "--dist", "worksteal"];
    pytest(run, "ros", "ros", &beside, &variables, counts)?;
    pytest(run, "ros", "ros-alone", &[RERUN, "-m", "alone"], &variables, counts)?;
    few_reruns(counts)
}

/// A shared machine now and then stops a process for longer than the gate's time-outs, and the gate then rightly stops the cell. A
/// test that fails is run once more by itself; tests/ros/conftest.py names those that never are.
const RERUN: &str = "--reruns=1";

/// More tests than this do not need a second try by chance.
const MOST_RERUNS: u64 = 3;

fn few_reruns(counts: &Counts) -> Result<()> {
    if counts.rerun <= MOST_RERUNS {
        return Ok(());
    }
    let rerun = counts.rerun;
    Err(Error::Failed(format!(
        "{rerun} tests passed at their second try only, which {MOST_RERUNS} at most may; RERUN lines in the logs name them"
    )))
}

/// Runs `tests/<folder>` with the Python that has rclpy and our messages.
fn pytest(
    run: &mut Run<'_>,
    folder: &str,
    log: &str,
    arguments: &[&str],
    variables: &[(&str, &Path)],
    counts: &mut Counts,
) -> Result<()> {
    let ros = run.ros()?;
    let mut command = Command::new(ros.python());
    command.args([
        "-m",
        "pytest",
        "-raR",
        "--color=no",
        "--durations=20",
        "--timeout=600",
        "-p",
        "no:cacheprovider",
    ]);
    command.args(arguments).arg(run.layout.root().join("tests").join(folder)).current_dir(run.layout.root());
    ros.apply(&mut command);
    command.env("SWARM_BIN_DIR", run.layout.target().join(Profile::Dev.folder()));
    command.env("SWARM_INSTALL_DIR", run.tree()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.envs(variables.iter().copied());
    follow(&mut command, Runner::Pytest, &run.log(log), counts, Empty::Refused)
}

/// So many tests of the nodes at once; each has up to eight processes, of which several have deadlines.
const MOST_WORKERS: usize = 4;

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// `cargo nextest run` where it is installed, else `cargo test`.
fn rust_tests(layout: &Layout, command: &mut Command) -> Runner {
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    if process::find_program("cargo-nextest", &search_path).is_some() {
        command.args(["nextest", "run", "--no-fail-fast", "--locked", "--color", "never"]);
        command.args(["--status-level", "fail", "--final-status-level", "slow"]);
        command.arg("--config-file").arg(layout.nextest_config());
        // Some wait for disks, servers and clocks meanwhile.
        command.args(["--test-threads", &(processors() + processors().div_ceil(2)).to_string()]);
        Runner::Nextest
    } else {
        command.args(["test", "--no-fail-fast", "--locked", "--color", "never"]);
        Runner::CargoTest
    }
}

/// Whether a runner that finds no test has done its duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Empty {
    Allowed,
    Refused,
}

/// Runs a test runner, shows what it says, and counts.
fn follow(
    command: &mut Command,
    runner: Runner,
    log: &Path,
    counts: &mut Counts,
    empty: Empty,
) -> Result<()> {
    let what = process::shown(command);
    eprintln!("$ {what}");
    run_logged("the tests", command, log, |line| {
        count(runner, line, counts);
        if !line.trim_start().starts_with("Compiling ") && !line.starts_with("test ") {
            eprintln!("{line}");
        }
    })?;
    match counts {
        // A runner that found nothing to run must not look like success.
        Counts { passed: 0, failed: 0, .. } if empty == Empty::Refused => {
            Err(Error::Failed("no test was run".to_owned()))
        }
        Counts { failed: 0, .. } => Ok(()),
        Counts { failed, .. } => Err(Error::Failed(format!("{failed} tests failed, see {}", log.display()))),
    }
}

/// Shows compiler messages, and leaves out the list of what was compiled.
fn echo_problems() -> impl FnMut(&str) {
    |line| {
        let progress = ["Compiling ", "Checking ", "Downloaded ", "Downloading ", "Fresh "];
        if !progress.iter().any(|word| line.trim_start().starts_with(word)) {
            eprintln!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_are_run_again_too_often_fail_the_stage() {
        let counts = |rerun| Counts { passed: 100, rerun, ..Counts::default() };
        few_reruns(&counts(MOST_RERUNS)).unwrap();
        let error = few_reruns(&counts(MOST_RERUNS + 1)).unwrap_err().to_string();
        assert!(error.starts_with("4 tests passed at their second try only"), "{error}");
    }
}
