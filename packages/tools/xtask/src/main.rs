//! The project's commands: `cargo xtask <command>`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use xtask::layout::Layout;
use xtask::ros::RosEnv;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's commands", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Print the variables to build and run with: eval "$(cargo xtask env)"
    Env,
}

fn main() -> ExitCode {
    match carry_out(&Layout::of_this_program(), Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(layout: &Layout, task: Task) -> anyhow::Result<ExitCode> {
    match task {
        Task::Env => print!("{}", RosEnv::ready(layout)?.exports()),
    }
    Ok(ExitCode::SUCCESS)
}
