//! `csactl`: the central command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    csactl::run()
}
