//! `cell evidence-kinematics` (hidden): what a verdict of the safety decision costs, and cost and exactness of forward kinematics
//! and Jacobian beside Pinocchio.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Outcome;
use crate::kinematics_cost::{Reference, Size, as_json, measure};
use crate::output::replace;
use crate::verdict_cost;

/// Measure verdicts, and forward kinematics and Jacobian beside Pinocchio; writes JSON. Use a release build.
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
    /// Verdicts that are timed.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    verdicts: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let folder = args.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let reference = Reference::ready(&args.root, folder, &args.python)?;
    let size = Size { configurations: args.configurations, turns: args.turns.into(), calls: 5_000 };
    let cost = verdict_cost::measure(&args.root.join("config/cell.yaml"), args.verdicts)?;
    let mut figures = as_json(&measure(&args.root, &reference, size)?, &reference);
    merge(&mut figures, verdict_cost::as_json(&cost));
    replace(&args.out, &format!("{figures:#}\n"))?;
    println!("{figures:#}");
    Ok(Outcome::Done)
}

/// Adds the entries of each part (`figures`, `reference`, `ratios`).
fn merge(into: &mut Value, more: Value) {
    let Value::Object(parts) = more else { return };
    for (part, entries) in parts {
        if let (Some(into), Value::Object(entries)) = (into[part.as_str()].as_object_mut(), entries) {
            into.extend(entries);
        }
    }
}
