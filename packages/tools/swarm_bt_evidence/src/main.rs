//! `bt_evidence`: what `cargo xtask evidence` runs about the behaviour-tree engine.
//!
//! `--out FILE` writes the figures as `{"figures": {..}, "reference": {..}, "ratios": {..}}`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use serde_json::{Map, Value, json};
use swarm_bt_evidence::replay::Way;
use swarm_bt_evidence::speed::{self, Size, Speed};
use swarm_bt_evidence::{oracle, replay};
use swarm_rt::purity::allocation::TrapAllocator;

/// Counts what a tick takes.
#[global_allocator]
static ALLOCATOR: TrapAllocator = TrapAllocator;

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
    /// Random runs recorded and replayed bit for bit; recorders killed while they record.
    Replay {
        #[arg(long, default_value_t = 1_000)]
        runs: u64,
        /// Of these, in processes that are killed.
        #[arg(long, default_value_t = 200)]
        killed: u64,
        /// Random where absent, and printed.
        #[arg(long)]
        seed: Option<u64>,
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Ticks, logs, scripts and loading in turns with BehaviorTree.CPP. Use a release build.
    Speed {
        #[arg(long, default_value_t = 15)]
        rounds: usize,
        /// Of the tree with 1,001 nodes, per round.
        #[arg(long, default_value_t = 1_000)]
        ticks: u32,
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// In a child process: record below this folder until killed.
    #[command(hide = true)]
    RecordUntilKilled {
        #[arg(long)]
        seed: u64,
        #[arg(long)]
        way: Way,
        folder: PathBuf,
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
        What::Replay { runs, killed, seed, out } => {
            let seed = seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
            println!("seed {seed}");
            let folder = tempfile::tempdir()?;
            let this = std::env::current_exe().context("cannot find this program")?;
            let found = replay::replay(seed, *runs, *killed, folder.path(), |seed, way, folder| {
                let mut command = Command::new(&this);
                command.args(["record-until-killed", "--seed", &seed.to_string()]);
                command.args(["--way", if way == Way::File { "file" } else { "folder" }]).arg(folder);
                command
            })?;
            for difference in found.differences.iter().take(5) {
                println!("differs: {difference}");
            }
            let (to_file, to_folder) = (found.to_file, found.to_folder);
            let ticks_lost_max = to_file.lost_max.max(to_folder.lost_max);
            let figures = json!({
                "runs": found.runs, "killed": to_file.runs + to_folder.runs, "bit_exact": found.bit_exact, "steps": found.steps,
                "ticks_lost_max": ticks_lost_max, "file_ticks_lost_max": to_file.lost_max,
                "runtime_ticks_lost_max": to_folder.lost_max, "runtime_ticks_lost": to_folder.lost,
                "runtime_ticks_begun": to_folder.begun, "seed": seed,
            });
            write(out.as_deref(), &json!({"figures": figures}))?;
            Ok(found.differences.is_empty() && ticks_lost_max <= 1)
        }
        What::Speed { rounds, ticks, out } => {
            let folder = tempfile::tempdir()?;
            let size = Size { rounds: *rounds, ticks: *ticks, distribution: 5_000 };
            let speed = speed::measure(size, folder.path())?;
            print!("{}", speed::table(&speed));
            let shortfalls = speed.shortfalls();
            for shortfall in &shortfalls {
                println!("short: {shortfall}");
            }
            let Speed { tick, tick_seq, logged, logged_leaves, script, skip_if, load_ms, .. } = speed;
            let measured = json!({
                "figures": {
                    "nodes": speed.nodes, "tick_ns": tick.ours, "tick_seq_ns": tick_seq.ours, "logged_ns": logged.ours,
                    "logged_leaves_ns": logged_leaves.ours, "script_ns": script.ours, "port_ns": speed.port_ns, "skip_if_ns": skip_if.ours,
                    "load_ms": load_ms.ours, "allocations_per_tick": speed.allocations_per_tick,
                    "allocations_per_logged_tick": speed.allocations_per_logged_tick,
                    "allocations_per_queued_tick": speed.allocations_per_queued_tick,
                    "p999_to_p50": speed.p999_to_p50,
                    "undisturbed_p999_to_p50": speed.undisturbed_p999_to_p50,
                },
                "reference": {
                    "tick_ns": tick.theirs, "tick_seq_ns": tick_seq.theirs, "logged_ns": logged.theirs,
                    "logged_leaves_ns": logged_leaves.theirs, "script_ns": script.theirs, "skip_if_ns": skip_if.theirs, "load_ms": load_ms.theirs,
                    "python_call_ns_taken_off_each_tick": speed.python_call_ns,
                    "fixed_work_p999_to_p50": speed.fixed_p999_to_p50,
                },
                "ratios": {
                    "ratio_tick": tick.ratio(), "ratio_tick_seq": tick_seq.ratio(), "ratio_logged": logged.ratio(),
                    "ratio_logged_leaves": logged_leaves.ratio(),
                    "ratio_script": script.ratio(), "ratio_skip_if": skip_if.ratio(), "ratio_load": load_ms.ratio(),
                },
            });
            write(out.as_deref(), &measured)?;
            Ok(shortfalls.is_empty())
        }
        What::RecordUntilKilled { seed, way, folder } => {
            replay::record_until_killed(*seed, *way, folder)?;
            Ok(true)
        }
    }
}

fn write(out: Option<&Path>, measured: &Value) -> anyhow::Result<()> {
    println!("{measured:#}");
    let Some(path) = out else { return Ok(()) };
    fs::write(path, format!("{measured:#}\n")).with_context(|| format!("cannot write '{}'", path.display()))
}
