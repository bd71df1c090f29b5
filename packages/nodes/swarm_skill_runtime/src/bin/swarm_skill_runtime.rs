//! The node `skill_runtime`, see the crate's page.

use std::process::ExitCode;

fn main() -> ExitCode {
    match swarm_skill_runtime::node::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("skill_runtime: {error:#}");
            ExitCode::FAILURE
        }
    }
}
