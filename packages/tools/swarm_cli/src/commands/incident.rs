//! `cell incident`: what stopped a cell, and what came before it.

use std::path::PathBuf;

use serde_json::Value;

use crate::Outcome;
use crate::box_files::read_all;
use crate::incident::Recording;
use crate::output::{print_json, read};

/// What stopped the cell, from its black box: which check, of which robot, at which limit; the margins to every limit before it;
/// what each input did in the 10 s before; and with --what-if where another envelope would have stopped the same motion.
///
/// Whether the recording is genuine is for `cell blackbox verify`; to see it, `cell blackbox export` makes a bag of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files, or folders of files, of one start of the monitor.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Which stop of the recording, from 1.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    stop: usize,
    /// Run the recorded inputs again under this envelope, up to its first stop.
    #[arg(long, value_name = "ENVELOPE")]
    what_if: Option<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let recording = Recording::read(&read_all(&args.files)?)?;
    let envelope = args.what_if.as_deref().map(read).transpose()?;
    let report = recording.report(args.stop, envelope.as_deref())?;
    if args.json {
        print_json(&report)?;
    } else {
        show(&report);
    }
    Ok(Outcome::Done)
}

fn show(report: &Value) {
    println!("cell {}, recorded by {}", word(&report["cell"]), word(&report["software"]));
    show_stop("stopped", &report["stop"]);
    println!("\nmargins before the stop");
    println!("  {:<12} {:<18} {:>10} {:>10} {:>12}", "robot", "quantity", "last", "limit", "nearest");
    for margin in report["margins"].as_array().into_iter().flatten() {
        let [last, limit, nearest] = ["before_stop", "limit", "nearest"].map(|key| figure(&margin[key]));
        println!(
            "  {:<12} {:<18} {last:>10} {limit:>10} {nearest:>12}",
            word(&margin["robot"]),
            word(&margin["quantity"])
        );
    }
    println!("\ninputs in the {} s before", figure(&report["window_s"]));
    for input in report["inputs"].as_array().into_iter().flatten() {
        let refused = input["refused"].as_array().map_or(0, Vec::len);
        println!(
            "  {:<12} {:<16} {:>6} samples, longest gap {} s, {} s old at the stop, {refused} refused",
            word(&input["robot"]),
            word(&input["input"]),
            input["samples"],
            figure(&input["longest_gap_s"]),
            figure(&input["age_at_stop_s"])
        );
    }
    let what_if = &report["what_if"];
    if let Some(why) = what_if["refused"].as_str() {
        println!("\nunder the other envelope: refused: {why}");
    } else if what_if["stop"].is_object() {
        show_stop("\nunder the other envelope: stopped", &what_if["stop"]);
    } else if what_if.is_object() {
        println!("\nunder the other envelope: no stop");
    }
}

fn show_stop(what: &str, stop: &Value) {
    println!("{what} in cycle {}, at {} s: {}", stop["cycle"], figure(&stop["at_s"]), word(&stop["state"]));
    println!("  {}: {}", word(&stop["cause"]["code"]), word(&stop["cause"]["detail"]));
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

fn figure(value: &Value) -> String {
    match value.as_f64() {
        Some(value) => format!("{value:.4}"),
        None => value.as_str().unwrap_or("never").to_owned(),
    }
}
