//! The project's commands: `cargo xtask <command>`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use xtask::check::{self, Selection};
use xtask::compile::Profile;
use xtask::demo::{self, Viewers, fleet};
use xtask::install::{self, Mode, Options};
use xtask::layout::Layout;
use xtask::ros::RosEnv;
use xtask::{doctor, evidence};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's commands", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// A simulated cell assembles two parts with a signed skill, under the safety gate
    Demo {
        /// A registry and two cells: a good version goes out through a canary, a bad one is taken back and withdrawn
        #[arg(long, conflicts_with_all = ["seed", "view", "record"])]
        fleet: bool,
        /// With --fleet: leave registry and cells running at the end, until Ctrl-C
        #[arg(long, requires = "fleet")]
        keep: bool,
        /// With --fleet: take pictures of the registry's pages into the run's folder
        #[arg(long, requires = "fleet")]
        screenshot: bool,
        /// With --fleet: start the programs in this folder, in the ROS that is sourced, and compile nothing
        #[arg(long, value_name = "FOLDER", requires = "fleet", conflicts_with = "profile")]
        executables: Option<PathBuf>,
        /// Where the parts lie
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Write pictures of the run into its folder
        #[arg(long)]
        view: bool,
        /// Record two cameras, the arms and the safety monitor into a rosbag2 bag in the run's folder
        #[arg(long)]
        record: bool,
        #[arg(long, value_enum, default_value = "release")]
        profile: Profile,
    },
    /// Run every check: format, arrows, lints, unit tests, install tree, launch files, ROS tests
    Test {
        /// Only what needs no ROS
        #[arg(long, conflicts_with = "stage")]
        fast: bool,
        /// Only this stage
        #[arg(long, value_name = "NAME")]
        stage: Option<String>,
    },
    /// Lay the ament install tree, for `ros2 run` and `ros2 launch`; `colcon build` lays the same
    Install {
        #[arg(long, value_enum, default_value = "release")]
        profile: Profile,
    },
    /// Make ROS, the native libraries and the messages ready; every other command does so by itself
    Setup,
    /// Tell what this machine has and lacks, and the command that mends it
    Doctor,
    /// Measure a claimed figure beside its reference; writes target/evidence/NAME.json
    Evidence {
        #[arg(value_name = "NAME", value_parser = evidence::names())]
        evidence: &'static evidence::Evidence,
        /// `soak` alone: for how long [default: 30]
        #[arg(long)]
        minutes: Option<f64>,
        /// Write the figures into this file instead
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Of what is measured in ROS; figures are claimed of release
        #[arg(long, value_enum, default_value = "release")]
        profile: Profile,
    },
    /// Print the variables to build and run with: eval "$(cargo xtask env)"
    Env,
    /// For CMake: compile, and collect the executables of one ament package
    #[command(hide = true)]
    StagePackage {
        #[arg(long, value_enum)]
        profile: Profile,
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
        package: String,
        libraries: Vec<String>,
    },
}

fn main() -> ExitCode {
    match carry_out(&Layout::of_this_program(), &Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(layout: &Layout, task: &Task) -> anyhow::Result<ExitCode> {
    match task {
        Task::Demo { fleet: true, keep, screenshot, executables, profile, .. } => {
            let options = fleet::Options {
                profile: *profile,
                keep: *keep,
                screenshot: *screenshot,
                executables: executables.clone(),
            };
            if !fleet::run(layout, &options)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Task::Demo { seed, view, record, profile, .. } => {
            let options = demo::Options {
                seed: *seed,
                profile: *profile,
                view: *view,
                record: *record,
                viewers: Viewers::AsDeclared,
            };
            if !demo::run(layout, &options)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Task::Test { fast, stage } => {
            let selection = match (fast, stage) {
                (_, Some(name)) => Selection::One(name),
                (true, None) => Selection::Fast,
                (false, None) => Selection::All,
            };
            if !check::run(layout, selection)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Task::Install { profile } => {
            let (prefix, build) = (layout.install(), layout.root().join("build"));
            let ros = RosEnv::ready(layout)?;
            let options = Options {
                prefix: &prefix,
                build: &build,
                mode: Mode::Merged,
                profile: *profile,
                leave_messages_out: false,
            };
            install::install(layout, &ros, &options)?;
            println!("next: source {}", prefix.join("setup.bash").display());
        }
        Task::Setup => {
            let ros = RosEnv::ready(layout)?;
            println!("ready; for a shell: source {}", ros.setup_file(layout).display());
        }
        Task::Doctor => {
            if !doctor::run(layout)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Task::Evidence { evidence, minutes, out, profile } => {
            let options = evidence::Options { minutes: *minutes, out: out.clone(), profile: *profile };
            evidence::run(layout, evidence, &options)?;
        }
        Task::Env => print!("{}", RosEnv::ready(layout)?.exports()),
        Task::StagePackage { profile, out, package, libraries } => {
            let ros = RosEnv::ready(layout)?;
            install::stage_package(layout, &ros, *profile, package, libraries, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
