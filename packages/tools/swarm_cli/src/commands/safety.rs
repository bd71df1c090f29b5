//! `cell safety eval`: the production decision, fed by hand.

use std::fs::File;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use swarm_artifact::private_key_from_pem;
use swarm_base::{Duration, Time};
use swarm_black_box::{Chain, CloseReason, Cycle, Header, Limits, Place, Record};
use swarm_safety_core::{EnvelopeError, EnvelopeFile, State, Timing, Tolerances, step};
use swarm_safety_setup::{Sources, roles};

use crate::Outcome;
use crate::cell_file::{declared_timing, sources};
use crate::eval_inputs::Heard;
use crate::output::read;
use crate::verdict_json;

/// The safety monitor's decision.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Safety {
    Eval(Eval),
}

/// Feed the decision that the safety monitor runs cycle by cycle, and print each verdict.
///
/// Standard input has one JSON object per line; each is one cycle. Every field may be left out: samples that were given before
/// stay and grow older, as with a sensor that has fallen silent, and what was never given is absent, as with one that never
/// spoke.
///
///   now_s            time of the cycle, s; or dt_s, s since the cycle before; neither: one period later
///   robots.NAME
///     joints         {position: [rad], velocity: [rad/s], effort: [N m] (optional), age_s: 0}
///     wrench         {force: [3, N], torque: [3, N m], age_s: 0}: load on the flange, along the flange's axes
///     command        {velocity: [rad/s], epoch: "current", run: "eval", sequence: (counts the lines),
///                    artifact_matches: true, age_s: 0}
///     gripper        {width_m, force_n, epoch: "current", artifact_matches: true, age_s: 0}
///     refused        {input: "joint_state", fault: "not_finite"}: a message that was refused before it became a sample
///   presence.ZONE    {range_m: (left out: nobody in range), age_s: 0}
///   emergency_stop   true or false, as on /emergency_stop; false releases nothing
///   not_recorded     true or false: the cell must be recorded, and cannot be
///   not_real_time    true or false: the monitor has lost the real time that the cell was armed with
///   reset            "current", or the number of the epoch that the caller has seen
///
/// Arrays go from base to flange, one value per joint. age_s is how old a sample is already in this cycle.
///
/// Standard output has one JSON object per cycle: cycle, now_s, state, cause (code, robot, joint, value, limit, unit,
/// detail; or null), cause_cycle, epoch, changed, reset ({epoch} or {refused}, or null), and for each robot velocity (rad/s,
/// what the arm is told), scale (0 to 1), gripper, gripper_new, refusal, stop_ineffective and measures. JSON has no infinity:
/// null stands for it (a limit that is not monitored, a distance to nothing, the age of what never came).
///
/// A line that cannot be read ends the command with exit code 2, its number, and what was expected; an envelope that is
/// looser than the cell's ceiling with exit code 1 and the list of its looser fields.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Eval {
    /// The cell's declaration; paths in it start at the folder that holds the file's folder.
    #[arg(long, value_name = "FILE", default_value = "config/cell.yaml")]
    cell: PathBuf,
    /// A skill's envelope; without it the cell's ceiling alone is in force.
    #[arg(long, value_name = "FILE")]
    envelope: Option<PathBuf>,
    /// Epoch to begin with.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    epoch: u64,
    /// Time between cycles [default: that of the declared safety monitor].
    #[arg(long, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    period_us: Option<u32>,
    /// From a decision to the begin of braking [default: the least that suffices, period + 24000].
    #[arg(long, value_name = "MICROSECONDS")]
    reaction_us: Option<u32>,
    /// Longest time between two cycles while robots move [default: not watched].
    #[arg(long, value_name = "MICROSECONDS")]
    max_cycle_gap_us: Option<u32>,
    /// Record the cycles as a black box too.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Private key to seal the recording with, as `cell keys generate` makes it.
    #[arg(long, value_name = "FILE", requires = "record")]
    key: Option<PathBuf>,
}

/// Cycles between two recorded states.
const SNAPSHOT_CYCLES: u64 = 100;
const SEGMENT: Duration = Duration::from_millis(100);

pub(crate) fn run(command: &Safety) -> anyhow::Result<Outcome> {
    let Safety::Eval(args) = command;
    let sources = sources(&args.cell)?;
    let cell = sources.cell()?;
    let ceiling = sources.config(args.timing(declared_timing(&cell)), Tolerances::default())?;
    let timing = *ceiling.timing();
    let mut limits = Limits::default();
    let config = match &args.envelope {
        None => ceiling,
        Some(path) => {
            let text = read(path)?;
            limits = Limits {
                generation: 1,
                envelope: Some(text.clone()),
                skill: path.display().to_string(),
                ..limits
            };
            let refused = |error: EnvelopeError| {
                eprintln!("'{}' is refused: {}", path.display(), swarm_base::ErrorChain(&error));
            };
            let envelope = match EnvelopeFile::parse(&text) {
                Ok(file) => ceiling.with_envelope(Some(&file), &roles(&cell), 1),
                Err(error) => Err(error),
            };
            match envelope {
                Ok(config) => config,
                Err(error) => {
                    refused(error);
                    return Ok(Outcome::Refused);
                }
            }
        }
    };
    // Standard output is flushed at each line: a simulation may wait for the verdict before it goes on.
    let mut out = io::stdout().lock();
    let mut state = State::new(&config, args.epoch);
    let mut heard = Heard::nothing(&config);
    let recorded = args.record.as_deref().map(|path| {
        let header = header(sources, timing, limits, args.epoch);
        Recording::begin(path, header, args.key.as_deref())
    });
    let mut recorded = recorded.transpose()?;
    for (index, line) in io::stdin().lock().lines().enumerate() {
        let line = line.context("cannot read standard input")?;
        if line.trim().is_empty() {
            continue;
        }
        let cycle =
            heard.line(&line, state.epoch()).with_context(|| format!("standard input, line {}", index + 1));
        let (inputs, now) = cycle?;
        let (next, verdict) = step(&config, &state, &inputs, now);
        if let Some(recorded) = &mut recorded {
            if state.cycle().is_multiple_of(SNAPSHOT_CYCLES) {
                recorded.append(&Record::Snapshot(state))?;
            }
            recorded.append(&Record::Cycle(Cycle { now, inputs, verdict }))?;
        }
        state = next;
        serde_json::to_writer(&mut out, &verdict_json::verdict(&config, &verdict, now))?;
        out.write_all(b"\n")?;
    }
    recorded.map_or(Ok(()), Recording::close)?;
    Ok(Outcome::Done)
}

fn header(sources: Sources, timing: Timing, limits: Limits, first_epoch: u64) -> Header {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Header {
        software: concat!("cell safety eval ", env!("CARGO_PKG_VERSION")).to_owned(),
        started_unix_ns: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
        started_at: Time::ZERO,
        first_epoch,
        sources,
        timing,
        tolerances: Tolerances::default(),
        limits,
        public_key: [0; 32],
        place: Place::default(),
    }
}

/// The cycles as a black box.
struct Recording<'a> {
    path: &'a Path,
    file: File,
    chain: Chain,
    bytes: Vec<u8>,
}

impl<'a> Recording<'a> {
    fn begin(path: &'a Path, header: Header, key: Option<&Path>) -> anyhow::Result<Self> {
        let key = key
            .map(|path| private_key_from_pem(&read(path)?).with_context(|| format!("'{}'", path.display())));
        let file = File::create_new(path).with_context(|| format!("cannot create '{}'", path.display()))?;
        let mut bytes = Vec::new();
        let chain = Chain::begin(header, key.transpose()?, SEGMENT, &mut bytes);
        Ok(Self { path, file, chain, bytes })
    }

    fn append(&mut self, record: &Record) -> anyhow::Result<()> {
        self.chain.append(record, &mut self.bytes);
        self.write()
    }

    fn close(mut self) -> anyhow::Result<()> {
        let mut end = Vec::new();
        self.chain.close(CloseReason::Shutdown, &mut end);
        self.file.write_all(&end).with_context(|| format!("cannot write '{}'", self.path.display()))
    }

    fn write(&mut self) -> anyhow::Result<()> {
        let written = self.file.write_all(&self.bytes);
        self.bytes.clear();
        written.with_context(|| format!("cannot write '{}'", self.path.display()))
    }
}

impl Eval {
    fn timing(&self, declared: Timing) -> Timing {
        let seconds = |us: u32| f64::from(us) * 1e-6;
        let timing = Timing::every(self.period_us.map_or(declared.period_s, seconds));
        Timing {
            reaction_s: self.reaction_us.map_or(timing.reaction_s, seconds),
            max_cycle_gap_s: self.max_cycle_gap_us.map_or(f64::INFINITY, seconds),
            ..timing
        }
    }
}
