//! `cell`, the operator's command line: keys, packaging, signing, verifying and previewing of skill artifacts, the check of a cell's
//! declaration, the kinematics of its arms, the safety decision, the black box, and bags.
//!
//! One module per command under `commands`; each has its arguments and a `run` that reads top to bottom. What a command
//! decides is decided in core or the store, never here.
//!
//! Exit codes: 0 done (or the artifact is good), 1 the artifact is refused, 2 the command could not do its work
//! (bad usage, a missing file, a full disk).

mod bag;
pub mod black_box;
mod box_bag;
mod box_files;
mod box_verify;
mod box_walk;
mod bt;
mod bt_check;
pub mod cases;
mod cell_file;
mod commands;
mod configurations;
mod eval_inputs;
mod evidence;
mod incident;
pub mod kinematics_cost;
mod meshes;
mod output;
mod status;
pub mod verdict_cost;
mod verdict_json;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use swarm_base::ErrorChain;

pub use commands::verify::{Question, judge};

/// Keys, packages, signatures, checks and previews of cooperative skill artifacts; check of a cell's declaration; kinematics of arms;
/// the safety decision and its black box; rosbag2 bags.
///
/// Exit codes: 0 done or good, 1 refused, 2 could not do it.
#[derive(Debug, Parser)]
#[command(name = "cell", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(subcommand)]
    Keys(commands::keys::Keys),
    Package(commands::package::Args),
    Sign(commands::sign::Args),
    Verify(commands::verify::Args),
    Inspect(commands::inspect::Args),
    Preview(commands::preview::Args),
    #[command(subcommand)]
    Config(commands::config::Config),
    #[command(subcommand)]
    Kinematics(commands::kinematics::Kinematics),
    FitCapsules(commands::fit_capsules::Args),
    #[command(subcommand)]
    Safety(commands::safety::Safety),
    #[command(subcommand)]
    Blackbox(commands::blackbox::Blackbox),
    Incident(commands::incident::Args),
    Watch(commands::watch::Args),
    #[command(subcommand)]
    Bt(commands::bt::Bt),
    #[command(subcommand)]
    Bag(commands::bag::Bag),
    Export(commands::export::Args),
    CalibrateCameras(commands::calibrate_cameras::Args),
    #[command(hide = true)]
    EvidenceArtifact(commands::evidence_artifact::Args),
    #[command(hide = true)]
    EvidenceKinematics(commands::evidence_kinematics::Args),
    #[command(hide = true)]
    EvidenceBlackBox(commands::evidence_black_box::Args),
}

/// How a command ended, other than by not being able to do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// The command did its work, and the answer is no. It has said why.
    Refused,
}

/// Parses the command line, runs the command, reports.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Keys(command) => commands::keys::run(&command),
        Command::Package(args) => commands::package::run(&args),
        Command::Sign(args) => commands::sign::run(&args),
        Command::Verify(args) => commands::verify::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Preview(args) => commands::preview::run(&args),
        Command::Config(command) => commands::config::run(&command),
        Command::Kinematics(command) => commands::kinematics::run(&command),
        Command::FitCapsules(args) => commands::fit_capsules::run(&args),
        Command::Safety(command) => commands::safety::run(&command),
        Command::Blackbox(command) => commands::blackbox::run(&command),
        Command::Incident(args) => commands::incident::run(&args),
        Command::Watch(args) => commands::watch::run(&args),
        Command::Bt(command) => commands::bt::run(&command),
        Command::Bag(command) => commands::bag::run(&command),
        Command::Export(args) => commands::export::run(&args),
        Command::CalibrateCameras(args) => commands::calibrate_cameras::run(&args),
        Command::EvidenceArtifact(args) => commands::evidence_artifact::run(&args),
        Command::EvidenceKinematics(args) => commands::evidence_kinematics::run(&args),
        Command::EvidenceBlackBox(args) => commands::evidence_black_box::run(&args),
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Refused) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {}", ErrorChain(error.as_ref()));
            ExitCode::from(2)
        }
    }
}
