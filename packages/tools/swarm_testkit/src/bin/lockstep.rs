//! Runs the demo skill in the lock-step cell over seeds and says how each run went.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use swarm_cell::CellConfig;
use swarm_skill_core::Outcome;
use swarm_testkit::lockstep::{Disturbance, LockstepCell};
use swarm_testkit::{parse_seeds, repository};

#[derive(Debug, Parser)]
#[command(about = "Runs a skill in the lock-step cell: runtime, gate and physics on a virtual clock.")]
struct Arguments {
    /// Seeds A..B, B not included.
    #[arg(long, value_parser = parse_seeds, default_value = "0..20")]
    seeds: Range<u64>,
    /// Source folder of the skill.
    #[arg(long)]
    skill: Option<PathBuf>,
    /// Say when each role entered each phase, and every change of the safety state.
    #[arg(long)]
    verbose: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let root = repository();
    let declaration = root.join("config/cell.yaml");
    let text =
        fs::read_to_string(&declaration).with_context(|| format!("cannot read {}", declaration.display()))?;
    let skill = arguments.skill.unwrap_or_else(|| root.join("tests/data/cooperative_assembly"));
    let mut cell = LockstepCell::new(&CellConfig::parse(&text)?, &root, &skill)?;
    let (mut succeeded, mut total) = (0, 0);
    for seed in arguments.seeds {
        let began = Instant::now();
        let report = cell.run(seed, Disturbance::None)?;
        let success = report.outcome == Outcome::Succeeded && report.mated;
        succeeded += u32::from(success);
        total += 1;
        println!(
            "seed {seed}: {} in {:.1} s (computed in {:.1} s), force {:.1} N, speed {:.2} m/s, separation {:.3} m: {:?}",
            if success { "mated" } else { "FAILED" },
            report.duration_s,
            began.elapsed().as_secs_f64(),
            report.largest_force_n,
            report.largest_speed_m_s,
            report.least_separation_m,
            report.outcome
        );
        if arguments.verbose || !success {
            for (time, role, phase) in &report.phases {
                println!("  {:8.3} s {role} enters {phase}", time.as_secs_f64());
            }
            for (time, state, cause) in &report.safety {
                println!("  {:8.3} s safety {state:?} {cause}", time.as_secs_f64());
            }
        }
    }
    println!("{succeeded} of {total} runs mated the parts");
    Ok(())
}
