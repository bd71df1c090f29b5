//! `cell evidence-black-box` (hidden): the workload of `cargo xtask evidence black-box`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::Outcome;
use crate::black_box::hand_over::hand_over;
use crate::black_box::kills::{kill, write_all, write_until_killed};
use crate::black_box::tampering::tamper;
use crate::black_box::work::Work;
use crate::output::replace;

/// Tamper with recordings, kill writers, replay every verdict in another process; writes JSON. Use a release build.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the JSON goes; the work files lie beside it while it runs.
    #[arg(long, value_name = "FILE", required_unless_present = "write_until_killed")]
    out: Option<PathBuf>,
    /// The cell that is recorded.
    #[arg(long, value_name = "FILE", default_value = "config/cell.yaml")]
    cell: PathBuf,
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    edits: u64,
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    kills: u64,
    /// Cycles that are replayed.
    #[arg(long, value_name = "COUNT", default_value_t = 60_000)]
    cycles: u64,
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// In a child process: write into this folder until killed.
    #[arg(long, value_name = "FOLDER", hide = true)]
    write_until_killed: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    if let Some(folder) = &args.write_until_killed {
        write_until_killed(&args.cell, folder)?;
        return Ok(Outcome::Done);
    }
    let out = args.out.as_deref().context("no --out")?;
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).with_context(|| format!("cannot create '{}'", parent.display()))?;
    let folder = tempfile::Builder::new().prefix("evidence-black-box-").tempdir_in(parent)?;
    let this = std::env::current_exe().context("cannot find this program")?;

    println!("seed {}", args.seed);
    let cost = hand_over(&mut Work::start(&args.cell)?, 301);
    println!(
        "an entry is handed over in {:.0} ns ({:.0} ns from and into caches), a number in {:.0} ns",
        cost.entry_ns, cost.warm_entry_ns, cost.number_ns
    );
    let tampered = tamper(&mut Work::start(&args.cell)?, args.edits, args.seed)?;
    println!("{} of {} changes found {:?}", tampered.found, tampered.tried, tampered.missed);
    let killed = kill(args.kills, args.seed, folder.path(), |into| {
        let mut command = Command::new(&this);
        command.arg("evidence-black-box").arg("--cell").arg(&args.cell);
        command.arg("--write-until-killed").arg(into);
        command
    })?;
    println!("{} of {} killed writers left readable files {:?}", killed.readable, killed.tried, killed.wrong);
    let replayed = replay(args, folder.path(), &this)?;
    println!("replayed in another process: {replayed}");

    let figures = json!({
        "figures": {
            "edits_tried": tampered.tried, "edits_found": tampered.found, "edits_by_files": tampered.by_files,
            "kills_tried": killed.tried, "kills_readable": killed.readable,
            "segments_lost_max": killed.segments_lost_max, "kills_before_first_seal": killed.early,
            "verdicts": replayed["cycles"], "verdicts_bit_exact": replayed["exact"],
            "states": replayed["states"], "states_bit_exact": replayed["states_exact"],
            "rt_thread_ns": cost.entry_ns, "rt_thread_warm_ns": cost.warm_entry_ns,
        },
        "reference": {"push_u64_ns": cost.number_ns},
        "ratios": {"ratio_push": cost.entry_ns / cost.number_ns},
    });
    replace(out, &format!("{figures:#}\n"))?;
    println!("{figures:#}");
    Ok(Outcome::Done)
}

fn replay(args: &Args, folder: &Path, this: &Path) -> anyhow::Result<Value> {
    let recording = folder.join("replayed");
    write_all(&mut Work::start(&args.cell)?, args.cycles, &recording)?;
    // Another folder: nothing but the files may be needed.
    let output = Command::new(this)
        .args(["blackbox", "replay", "--json"])
        .arg(std::path::absolute(&recording)?)
        .current_dir("/")
        .output()
        .context("cannot start the replay")?;
    ensure!(
        output.status.code() != Some(2),
        "the replay ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("the replay's answer is no JSON")
}
