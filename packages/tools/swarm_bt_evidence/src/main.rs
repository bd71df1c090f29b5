//! `bt_evidence`: what `cargo xtask evidence` runs about the behaviour-tree engine.
//!
//! `--out FILE` writes the figures as `{"figures": {..}, "reference": {..}, "ratios": {..}}`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use serde_json::{Map, Value, json};
use swarm_bt_evidence::oracle;

#[derive(Debug, Parser)]
#[command(about = "Evidence about the behaviour-tree engine")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Random trees on BehaviorTree.CPP and here; every answer, leaf call and transition compared.
    Oracle {
        #[arg(long, default_value_t = 2_500)]
        trees: u32,
        /// Of each tree.
        #[arg(long, default_value_t = 60)]
        ticks: u32,
        /// Random where absent, and printed.
        #[arg(long)]
        seed: Option<u64>,
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().what) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether the evidence is what it must be.
fn run(what: &What) -> anyhow::Result<bool> {
    match what {
        What::Oracle { trees, ticks, seed, out } => {
            let seed = seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
            println!("seed {seed}");
            let folder = tempfile::tempdir()?;
            let found = oracle::compare(seed, *trees, *ticks, folder.path())?;
            for mismatch in found.mismatches.iter().take(5) {
                println!("differs: {mismatch}");
            }
            let hand = oracle::hand_vectors()?;
            let mut figures = Map::from_iter([
                ("trees".to_owned(), json!(found.trees)),
                ("ticks".to_owned(), json!(found.ticks)),
                ("transitions".to_owned(), json!(found.transitions)),
                ("runs_ended_by_an_error".to_owned(), json!(found.errors)),
                ("mismatches".to_owned(), json!(found.mismatches.len())),
                ("seed".to_owned(), json!(seed)),
                ("hand_vectors".to_owned(), json!(hand.values().sum::<usize>())),
            ]);
            figures.extend(hand.into_iter().map(|(file, count)| (format!("hand_{file}"), json!(count))));
            write(out.as_deref(), &json!({"figures": figures}))?;
            Ok(found.mismatches.is_empty())
        }
    }
}

fn write(out: Option<&Path>, measured: &Value) -> anyhow::Result<()> {
    println!("{measured:#}");
    let Some(path) = out else { return Ok(()) };
    fs::write(path, format!("{measured:#}\n")).with_context(|| format!("cannot write '{}'", path.display()))
}
