//! `safety_check`: explores the safety decision, mutates it, and injects faults into it.
//!
//! `--out FILE` writes the figures as `{"figures": {..}}`, which `cargo xtask evidence` reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use swarm_safety_check::explore::invariants::INVARIANTS;
use swarm_safety_check::explore::{self, Extent, Outcome};

#[derive(Debug, Parser)]
#[command(about = "Evidence about the safety decision that is shipped")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Do every history of inputs up to a depth, and judge every step.
    Explore {
        #[arg(long, value_enum, default_value_t = Length::Short)]
        length: Length,
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Length {
    /// Under a minute: what the tests do.
    Short,
    /// What the figures are claimed with.
    Whole,
}

fn main() -> ExitCode {
    match run(Arguments::parse().what) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("safety_check: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything that was promised holds.
fn run(what: What) -> anyhow::Result<bool> {
    match what {
        What::Explore { length, out } => {
            let (figures, holds) = explored(length)?;
            written(out.as_deref(), &figures)?;
            Ok(holds)
        }
    }
}

fn explored(length: Length) -> anyhow::Result<(Map<String, Value>, bool)> {
    let extent = match length {
        Length::Short => Extent::Short,
        Length::Whole => Extent::Whole,
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let outcomes = explore::explore_all(&explore::searches(extent), threads, &|outcome| {
        let Outcome { search, transitions, states, .. } = outcome;
        println!("{search}: {transitions} transitions, {states} states");
    })?;
    let transitions: u64 = outcomes.iter().map(|outcome| outcome.transitions).sum();
    let states: u64 = outcomes.iter().map(|outcome| outcome.states).sum();
    println!("met: {}", explore::reached(&outcomes).join(", "));
    let broken: Vec<&String> = outcomes.iter().filter_map(|outcome| outcome.broken.as_ref()).collect();
    for broken in &broken {
        println!("BROKEN {broken}");
    }
    println!("{transitions} transitions, {states} states, {} broken", broken.len());
    // Two more are judged apart: see `explore::invariants`.
    let figures = json!({"transitions": transitions, "states": states, "invariants": INVARIANTS.len() + 2, "broken": broken.len()});
    let Value::Object(figures) = figures else { unreachable!("written as an object") };
    Ok((figures, broken.is_empty()))
}

fn written(out: Option<&Path>, figures: &Map<String, Value>) -> anyhow::Result<()> {
    let Some(path) = out else { return Ok(()) };
    let text = serde_json::to_string_pretty(&json!({ "figures": figures }))?;
    fs::write(path, text + "\n").with_context(|| format!("writing the figures to {}", path.display()))
}
