//! Judges an insertion policy: how many of the seeded cells does it mate, with what force and in what time? Beside it, the same
//! seeds steered by the estimate alone, to show what the force feedback is worth.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use swarm_cell::CellConfig;
use swarm_testkit::expert::{Ending, compliant, insert};
use swarm_testkit::policy::{ask, load_policy};
use swarm_testkit::script::ScriptedCell;
use swarm_testkit::{parse_seeds, repository};

#[derive(Debug, Parser)]
#[command(about = "Judges an insertion policy over seeds of the simulated cell.")]
struct Arguments {
    /// Seeds A..B, B not included.
    #[arg(long, value_parser = parse_seeds, default_value = "0..20")]
    seeds: Range<u64>,
    /// The policy; its golden vectors lie beside it.
    #[arg(long)]
    policy: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let root = repository();
    let declaration = root.join("config/cell.yaml");
    let text =
        fs::read_to_string(&declaration).with_context(|| format!("cannot read {}", declaration.display()))?;
    let path = arguments
        .policy
        .unwrap_or_else(|| root.join("tests/data/cooperative_assembly/policies/insert_peg.onnx"));
    let mut policy = load_policy(&path)?;
    let mut cell = ScriptedCell::new(&CellConfig::parse(&text)?, &root)?;
    let (mut by_policy, mut by_estimate) = (Vec::new(), Vec::new());
    for seed in arguments.seeds {
        cell.reset(seed);
        let approach = cell.bring_together(0.018)?;
        let ending =
            insert(&mut cell, &approach, |s| ask(&mut policy, &s.observation).unwrap_or([f32::NAN; 6]))?;
        println!("seed {seed}: {}", words(&ending));
        by_policy.push(ending);
        cell.reset(seed);
        let approach = cell.bring_together(0.018)?;
        by_estimate.push(insert(&mut cell, &approach, |s| compliant(s, 0.0).map(|v| v as f32))?);
    }
    for (name, endings) in [("policy", &by_policy), ("estimate alone", &by_estimate)] {
        let seated = endings.iter().filter(|ending| ending.is_success()).count();
        let peak = endings.iter().map(|ending| ending.peak_n).fold(0.0, f64::max);
        println!("{name}: {seated} of {} mated, largest force {peak:.1} N", endings.len());
    }
    Ok(())
}

fn words(ending: &Ending) -> String {
    let verdict = if ending.is_success() { "mated" } else { "NOT MATED" };
    format!(
        "{verdict}, {:.1} mm deep after {:.2} s, largest force {:.1} N ({:?})",
        ending.depth_m * 1e3,
        ending.ticks as f64 * 0.01,
        ending.peak_n,
        ending.insertion
    )
}
