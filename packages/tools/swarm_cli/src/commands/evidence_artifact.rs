//! `cell evidence-artifact` (hidden): the workload of `cargo xtask evidence artifact`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::Outcome;
use crate::evidence::{Size, Task, measure, peak_of};
use crate::output::replace;

/// Measure refusals, speed and memory of the artifact path; writes JSON. Use a release build.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the JSON goes; the work files lie beside it while it runs.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Size of the large artifact.
    #[arg(long, value_name = "MIB", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..2000))]
    large_mib: u64,
    /// Measurements of each kind; the median counts.
    #[arg(long, value_name = "COUNT", default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// In a child process: what to do with the archive that `--out` names.
    #[arg(long, value_name = "TASK", hide = true)]
    child: Option<Task>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    if let Some(task) = args.child {
        println!("{}", peak_of(task, &args.out)?);
        return Ok(Outcome::Done);
    }
    let parent = args.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).with_context(|| format!("cannot create '{}'", parent.display()))?;
    let work = tempfile::Builder::new().prefix("evidence-artifact-").tempdir_in(parent)?;
    let size = Size { large_mib: args.large_mib, rounds: args.rounds.into() };
    let figures = measure(work.path(), size)?;
    replace(&args.out, &format!("{figures:#}\n"))?;
    println!("{figures:#}");
    Ok(Outcome::Done)
}
