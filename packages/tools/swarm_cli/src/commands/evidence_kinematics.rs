//! `cell evidence-kinematics` (hidden): cost and exactness of forward kinematics and Jacobian beside Pinocchio.

use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::kinematics_cost::{Reference, Size, as_json, measure};
use crate::output::replace;

/// Measure forward kinematics and Jacobian beside Pinocchio; writes JSON. Use a release build.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the JSON goes; Pinocchio's program is compiled beside it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Python with the package `pin` (and `cmeel-eigen`, `cmeel-urdfdom-headers` for its C++).
    #[arg(long, value_name = "FILE", env = "SWARM_TEST_PYTHON", default_value = "python3")]
    python: PathBuf,
    /// The project's folder.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    root: PathBuf,
    /// Configurations per arm that are compared with Pinocchio's.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    configurations: usize,
    /// Turns of each side; the median counts.
    #[arg(long, value_name = "COUNT", default_value_t = 401, value_parser = clap::value_parser!(u16).range(1..))]
    turns: u16,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let folder = args.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let reference = Reference::ready(&args.root, folder, &args.python)?;
    let size = Size { configurations: args.configurations, turns: args.turns.into(), calls: 5_000 };
    let figures = as_json(&measure(&args.root, &reference, size)?, &reference);
    replace(&args.out, &format!("{figures:#}\n"))?;
    println!("{figures:#}");
    Ok(Outcome::Done)
}
