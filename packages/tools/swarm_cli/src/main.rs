//! `cell`: the operator's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    swarm_cli::run()
}
