//! `swarm_report RUN.jsonl --out report.html`: writes the page and prints the summary.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use swarm_report::Run;

/// Makes the report of a recorded run.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Log of the run, JSON lines.
    log: PathBuf,
    /// Page to write; by default beside the log, with the extension html.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Bag of the run, by its path from the page, for a link.
    #[arg(long, value_name = "BAG")]
    recording: Option<String>,
}

fn main() -> ExitCode {
    match report(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("swarm_report: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn report(arguments: &Arguments) -> anyhow::Result<()> {
    let log = &arguments.log;
    let text = std::fs::read_to_string(log)
        .with_context(|| format!("cannot read the run's log {}", log.display()))?;
    let mut run = Run::from_log(&swarm_run_log::read(&text));
    run.recording.clone_from(&arguments.recording);
    let out = arguments.out.clone().unwrap_or_else(|| log.with_extension("html"));
    std::fs::write(&out, swarm_report::page(&run))
        .with_context(|| format!("cannot write the report {}", out.display()))?;
    print!("{}", swarm_report::summary(&run));
    println!("report: {}", out.display());
    Ok(())
}
