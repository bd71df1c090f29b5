//! `cell bt replay`: a recorded run, carried out again.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use swarm_bt_log::{Narrator, Recipe, Recording, Replay, Tail, first_difference, standing, write_btlog};

use super::export;
use crate::Outcome;
use crate::output::read;

/// Carry out a recorded run again, compare it with the recording in every bit, and look into it.
///
/// Without options every step is carried out from its recorded inputs; each leaf call, answer and state is compared, and the first
/// step that parts is named. The file holds all that is needed. A recording that was cut, because its process was killed, is
/// replayed up to the cut, and the cut is said.
///
/// Exit codes: 0 every step is the same, 1 a step parts or the runs differ, 2 could not be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The recording, as `cell bt run --record` and the skill runtime write it.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Show this step: its inputs, transitions and outcome, and the tree after it. Counted from 1.
    #[arg(long, value_name = "N")]
    step: Option<usize>,
    /// With --step: show the steps from there back to the first.
    #[arg(long, requires = "step")]
    back: bool,
    /// Show the first step in which this run differs: another recording, or another version of the tree (.xml), which is
    /// given the recorded inputs.
    #[arg(long, value_name = "OTHER")]
    diff: Option<PathBuf>,
    /// Write the log of BehaviorTree.CPP (BTCPP4-FileLogger2), which Groot2 reads.
    #[arg(long, value_name = "FILE.btlog")]
    export_btlog: Option<PathBuf>,
    /// Write transitions, leaf calls and entries as an MCAP file with JSON messages, which Foxglove reads.
    #[arg(long, value_name = "FILE.mcap")]
    export_mcap: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let recording = load(&args.run)?;
    println!("{}", summary(&recording));
    if let Some(path) = &args.export_btlog {
        let mut out = BufWriter::new(create(path)?);
        let count = write_btlog(&mut out, &mut Replay::new(&recording)?, 0)??;
        println!("{}: {count} transitions", path.display());
    }
    if let Some(path) = &args.export_mcap {
        let count = export::mcap(&recording, create(path)?)?;
        println!("{}: {count} messages", path.display());
    }
    match (args.step, &args.diff) {
        (_, Some(other)) => diff(&recording, other),
        (Some(step), None) => show(&recording, step, args.back),
        (None, None) => check(&recording),
    }
}

fn load(path: &Path) -> anyhow::Result<Recording> {
    let bytes = fs::read(path).with_context(|| format!("cannot read '{}'", path.display()))?;
    Recording::read(bytes).with_context(|| format!("'{}'", path.display()))
}

fn create(path: &Path) -> anyhow::Result<File> {
    File::create_new(path).with_context(|| format!("cannot create '{}'", path.display()))
}

fn summary(recording: &Recording) -> String {
    let end = match recording.tail {
        Tail::Closed => "closed".to_owned(),
        Tail::Open => "open end: still at work, or killed between two steps".to_owned(),
        Tail::Cut { bytes } => format!("cut: {bytes} bytes of a step that was under way are left"),
    };
    let digest: String =
        recording.recipe.digest().iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"));
    let names: Vec<&str> = recording.recipe.documents.iter().map(|(name, _)| name.as_str()).collect();
    let (steps, version) = (recording.len(), &recording.version);
    format!("{steps} steps of {} ({digest}), engine {version}; {end}", names.join(", "))
}

fn check(recording: &Recording) -> anyhow::Result<Outcome> {
    let mut replay = Replay::new(recording)?;
    match replay.seek(recording.len()) {
        Ok(()) => {
            println!("every step is the same in every bit");
            Ok(Outcome::Done)
        }
        Err(parted) => {
            println!("parts at {parted}");
            Ok(Outcome::Refused)
        }
    }
}

fn show(recording: &Recording, step: usize, back: bool) -> anyhow::Result<Outcome> {
    if step == 0 || step > recording.len() {
        return Err(anyhow!("there is no step {step}: the recording has steps 1 to {}", recording.len()));
    }
    let mut narrator = Narrator::new(recording, Replay::new(recording)?);
    let first = if back { 1 } else { step };
    for number in (first..=step).rev() {
        narrator.seek(number - 1)?;
        println!("\nstep {number}");
        for line in narrator.advance().transpose()?.unwrap_or_default() {
            println!("  {line}");
        }
        if number == step {
            println!("after step {number}");
            for line in standing(&narrator.replay) {
                println!("  {line}");
            }
        }
    }
    Ok(Outcome::Done)
}

fn diff(recording: &Recording, other: &Path) -> anyhow::Result<Outcome> {
    let mut left = Narrator::new(recording, Replay::new(recording)?);
    let (other_recording, version);
    let mut right = if other.extension().is_some_and(|extension| extension == "xml") {
        version = of_version(recording, other)?;
        Narrator::new(recording, Replay::of_version(recording, &version)?)
    } else {
        other_recording = load(other)?;
        println!("{}", summary(&other_recording));
        Narrator::new(&other_recording, Replay::new(&other_recording)?)
    };
    match first_difference(&mut left, &mut right)? {
        None => {
            println!("no step differs");
            Ok(Outcome::Done)
        }
        Some(found) => {
            let line = |line: Option<String>| line.unwrap_or_else(|| "nothing".to_owned());
            println!(
                "step {} differs\n  here   {}\n  other  {}",
                found.step,
                line(found.left),
                line(found.right)
            );
            Ok(Outcome::Refused)
        }
    }
}

/// The recorded recipe with another first document.
fn of_version(recording: &Recording, path: &Path) -> anyhow::Result<Recipe> {
    let mut recipe = recording.recipe.clone();
    if let Some((_, text)) = recipe.documents.first_mut() {
        *text = read(path)?;
    }
    Ok(recipe)
}
