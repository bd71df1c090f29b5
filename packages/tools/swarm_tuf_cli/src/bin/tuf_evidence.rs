//! `tuf_evidence OUTPUT.json`: carries out every attack, and lets five years pass; the figures go into the file.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde_json::json;
use swarm_tuf_cli::attacks;
use swarm_tuf_cli::years::{Handover, Plan, simulate};

/// Attacks on the update framework, and years of unattended upkeep
#[derive(Parser)]
struct Arguments {
    /// Years that pass
    #[arg(long, default_value_t = 5)]
    years: u32,
    /// Cells that are away and come back
    #[arg(long, default_value_t = 100)]
    cells: u32,
    /// Where the figures go, as JSON
    output: PathBuf,
}

fn main() -> Result<()> {
    let Arguments { years, cells, output } = Arguments::parse();
    let attacks = attacks::all();
    let mut refused = 0;
    for attack in &attacks {
        match attack.carry_out() {
            Ok(()) => {
                refused += 1;
                println!("refused  {}", attack.name);
            }
            Err(problem) => println!("TAKEN    {}: {problem}", attack.name),
        }
    }
    let begin = Instant::now();
    let passed = simulate(Plan { years, cells, seed: 1, handover: Handover::ByTheOldKeys })?;
    let seconds = begin.elapsed().as_secs_f64();
    let rotations: u64 = passed.rotations.values().sum();
    println!(
        "{years} years, {cells} cells, {} updates, {rotations} key changes ({} roots), away for up to {} days: {} stranded \
         ({seconds:.1} s)",
        passed.updates, passed.roots, passed.longest_away_days, passed.stranded
    );
    // The same years with a registry that serves only its newest root: the simulation sees who is stranded by it.
    let broken = simulate(Plan { years, cells, seed: 1, handover: Handover::OldRootsRemoved })?;
    println!("without the older roots: {} stranded", broken.stranded);
    let figures = json!({
        "attacks": attacks.len(), "attacks_refused": refused, "years": years, "stranded": passed.stranded,
        "cells": cells, "updates": passed.updates, "key_rotations": rotations, "roots": passed.roots,
        "longest_away_days": passed.longest_away_days,
    });
    let reference = json!({ "stranded_without_older_roots": broken.stranded });
    let text =
        serde_json::to_string_pretty(&json!({ "figures": figures, "reference": reference, "ratios": {} }))?;
    std::fs::write(&output, text).with_context(|| format!("cannot write {}", output.display()))?;
    if refused != attacks.len() || passed.stranded != 0 || broken.stranded == 0 {
        bail!(
            "not every attack was refused, or cells are stranded: {}",
            passed.first_problem.unwrap_or_default()
        );
    }
    Ok(())
}
