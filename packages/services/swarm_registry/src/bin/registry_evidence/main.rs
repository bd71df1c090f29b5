//! What the registry carries on this machine, beside bare servers in the same run.

mod artifacts;
mod bare;
mod load;
mod program;
mod slow;
mod upload;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "registry_evidence", about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists, downloads and uploads per second, each in turns with a bare server; memory at a thousand clients
    Load {
        /// Turns of each measurement; the figures are medians
        #[arg(long, default_value_t = 5)]
        turns: usize,
        /// Length of a turn in seconds
        #[arg(long, default_value_t = 4)]
        seconds: u32,
        /// Size of a large artifact in MB; a smaller one fits into the sockets of clients that read nothing
        #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(12..))]
        megabytes: u64,
        /// Write the figures into this file
        #[arg(long)]
        out: PathBuf,
    },
    /// The bare server; started by the measurement
    #[command(hide = true)]
    Bare {
        /// JSON of the list that it answers with
        list: PathBuf,
        /// The file that it hands out
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    // A thousand clients of it are here.
    if let Err(error) = swarm_registry::serve::allow_many_connections() {
        eprintln!("registry_evidence: {error}");
    }
    let result = match Arguments::parse().command {
        Command::Load { turns, seconds, megabytes, out } => {
            load::measure(load::Size { turns: turns.max(1), seconds: seconds.max(1), megabytes })
                .and_then(|figures| Ok(std::fs::write(&out, serde_json::to_string_pretty(&figures)?)?))
        }
        Command::Bare { list, file } => bare::serve(&list, file),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("registry_evidence: {error:#}");
            ExitCode::FAILURE
        }
    }
}
