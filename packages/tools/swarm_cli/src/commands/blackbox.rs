//! `cell blackbox verify|replay|export`: is a recording what was recorded, does each verdict follow from it, and a bag of it.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};
use swarm_artifact::Sha256Sum;
use swarm_black_box::{Differs, End, Hex, Record, Replay, Replayed, Signed, records};

use crate::Outcome;
use crate::box_bag;
use crate::box_files::{BoxFile, read_all};
use crate::box_verify::{Judged, judge_all, key_id, public_keys};
use crate::output::print_json;

/// The safety monitor's black box: what every cycle heard and decided.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Blackbox {
    Verify(Verify),
    Replay(ReplayArgs),
    Export(Export),
}

/// Look for every change, loss, exchange or cut in recordings.
///
/// Names each wrong record with its segment, place in the file and reason. Several files, or a folder, are a series: each must
/// go on where the one before it ends.
///
/// A file whose recorder was killed, or that was cut at its end, has an open end: that is refused, unless --open-end says
/// that the last file may have one. No file can show by itself that its end was cut away behind a seal: compare with the
/// file that follows it, or with a seal that was noted elsewhere (--expect-seal).
///
/// Exit codes: 0 whole and proven, 1 not, 2 could not be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// Files, or folders of files.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Public key of a cell, as `cell keys generate` makes it; repeat for several. Without it the key that a file names is
    /// taken, and anyone who can write the file could have chosen it.
    #[arg(long = "public-key", value_name = "FILE")]
    public_keys: Vec<PathBuf>,
    /// A seal that must be among those of the files (64 hexadecimal digits, as the monitor's status and this command show).
    #[arg(long, value_name = "SHA256", value_parser = digest)]
    expect_seal: Option<[u8; 32]>,
    /// The last file may have an open end: its recorder is at work, or was killed.
    #[arg(long)]
    open_end: bool,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// Derive every verdict again with the decision that the safety monitor runs, and compare each bit.
///
/// Takes nothing but the files: cell, arms, limits and tolerances stand in their headers. Exit codes: 0 every verdict is the
/// same in every bit, 1 one is not or cannot be derived (the first difference is shown), 2 could not be read. Whether the files
/// are genuine is for `cell blackbox verify`.
#[derive(Debug, clap::Args)]
#[command(name = "replay")]
pub(crate) struct ReplayArgs {
    /// Files, or folders of files.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// Write recordings as a rosbag2 bag, for `ros2 bag info`, `ros2 bag play`, Foxglove and PlotJuggler.
///
/// Topics as they were heard, each new sample once: /joint_states, /<robot>/wrench, /<robot>/skill_command,
/// /<robot>/skill_gripper_command, /human_presence (of a cell that looks for people); /emergency_stop when it changed. As the
/// monitor said them: /<robot>/joint_command in every cycle, /<robot>/gripper_command when it changed, /safety_monitor at
/// every change, else at 50 Hz.
///
/// What the recording does not hold, and so the bag does not: messages that another one overtook between two cycles, and
/// those that were refused (the incident report lists them); permits and resets; the texts of trace ids (the run's number
/// stands for them), roles, sequence numbers of gripper wishes; whether the monitor had real-time scheduling
/// (real_time and degraded are false).
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// Files, or folders of files.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The bag: X.mcap or X.db3, or a folder, which becomes rosbag2's directory form. Must not exist yet.
    #[arg(long, value_name = "BAG")]
    out: PathBuf,
}

pub(crate) fn run(command: &Blackbox) -> anyhow::Result<Outcome> {
    match command {
        Blackbox::Verify(args) => verify_files(args),
        Blackbox::Replay(args) => replay_files(args),
        Blackbox::Export(args) => {
            let done = box_bag::export(read_all(&args.files)?, &args.out)?;
            println!("{}: {} messages from {} cycles", args.out.display(), done.messages, done.cycles);
            Ok(Outcome::Done)
        }
    }
}

fn verify_files(args: &Verify) -> anyhow::Result<Outcome> {
    let keys = public_keys(&args.public_keys)?;
    let trusted = (!keys.is_empty()).then_some(keys.as_slice());
    let files = read_all(&args.files)?;
    let judged = judge_all(&files, trusted, |index| args.open_end && index + 1 == files.len());
    let seal_seen = match args.expect_seal {
        Some(expected) => files.iter().flat_map(seals).any(|found| found == expected),
        None => true,
    };
    let good = seal_seen && judged.iter().all(|judged| judged.problems.is_empty());
    if args.json {
        let files: Vec<Value> = judged.iter().map(as_json).collect();
        print_json(&json!({"good": good, "expected_seal_found": seal_seen, "files": files}))?;
    } else {
        judged.iter().for_each(show);
        if !seal_seen {
            println!(
                "the expected seal is in none of the files: what it stood for was cut off, or these are other recordings"
            );
        }
        println!("{}", if good { "good" } else { "not good" });
    }
    Ok(if good { Outcome::Done } else { Outcome::Refused })
}

fn seals(file: &BoxFile) -> impl Iterator<Item = [u8; 32]> {
    let records = records(&file.bytes).into_iter().flatten();
    records.filter_map(|(_, record)| match record {
        Record::Seal(seal) => Some(seal.digest()),
        _ => None,
    })
}

fn show(judged: &Judged) {
    println!("{}", judged.path.display());
    if let Some(found) = &judged.found {
        let header = &found.header;
        println!(
            "  file {}, {} records in {} sealed segments, cycles {} to {} ({}), {} cycles lost",
            header.place.file,
            found.records,
            found.segments,
            found.first_cycle,
            found.last_cycle,
            found.cycles,
            found.lost
        );
        println!("  recorded by {}, epoch {} at its start", header.software, header.first_epoch);
        let key = key_id(&header.public_key);
        match found.signed {
            Signed::Trusted => println!("  sealed with the trusted key {key}"),
            Signed::BySelf => {
                println!("  sealed with key {key}, which nobody has vouched for (--public-key)");
            }
            Signed::HashOnly => println!("  sealed by hashes alone: shows damage, but no forger"),
        }
        println!("  last seal {}", Hex(&found.next.previous_seal));
        if let End::Open { unsealed_records, cut_bytes } = found.end {
            println!(
                "  open end: {unsealed_records} records behind the last seal, {cut_bytes} bytes of a record that is not whole"
            );
        }
    }
    for problem in &judged.problems {
        println!("  WRONG: {problem}");
    }
}

fn as_json(judged: &Judged) -> Value {
    let mut value = json!({"file": judged.path, "problems": judged.problems});
    if let (Some(found), Some(fields)) = (&judged.found, value.as_object_mut()) {
        let signed = match found.signed {
            Signed::Trusted => "trusted",
            Signed::BySelf => "unvouched",
            Signed::HashOnly => "hash_only",
        };
        let end = match found.end {
            End::Closed(_) => json!({"closed": true}),
            End::Open { unsealed_records, cut_bytes } => {
                json!({"closed": false, "unsealed_records": unsealed_records, "cut_bytes": cut_bytes})
            }
        };
        let details = json!({
            "number": found.header.place.file, "software": found.header.software,
            "first_epoch": found.header.first_epoch, "records": found.records, "segments": found.segments,
            "cycles": found.cycles, "first_cycle": found.first_cycle, "last_cycle": found.last_cycle,
            "lost": found.lost, "signed": signed, "key_id": (found.signed != Signed::HashOnly).then(|| key_id(&found.header.public_key)),
            "last_seal": Hex(&found.next.previous_seal).to_string(), "end": end,
        });
        if let Value::Object(details) = details {
            fields.extend(details);
        }
    }
    value
}

fn replay_files(args: &ReplayArgs) -> anyhow::Result<Outcome> {
    let files = read_all(&args.files)?;
    let mut replay: Option<Replay> = None;
    for file in &files {
        let named = || format!("'{}'", file.path.display());
        for (_, record) in records(&file.bytes).with_context(named)? {
            match (&mut replay, record) {
                (Some(replay), record) => {
                    replay.take(&record).with_context(named)?;
                }
                (None, Record::Header(header)) => replay = Some(Replay::begin(header).with_context(named)?),
                (None, _) => anyhow::bail!("{} begins with no header: it cannot be replayed", named()),
            }
        }
    }
    let replay = replay.context("the files hold no whole record")?;
    let found = replay.found();
    if args.json {
        print_json(&replayed_json(found))?;
    } else {
        show_replayed(found);
    }
    Ok(if found.is_exact() && found.cycles > 0 { Outcome::Done } else { Outcome::Refused })
}

fn show_replayed(found: &Replayed) {
    println!("{} cycles: {} the same in every bit, {} different", found.cycles, found.exact, found.different);
    println!("{} of {} recorded states the same in every bit", found.states_exact, found.states);
    if found.without_state > 0 {
        println!(
            "{} cycles cannot be derived: no state was recorded before them, or cycles were lost",
            found.without_state
        );
    }
    if let Some(Differs { cycle, what, difference }) = &found.first_difference {
        println!("first difference in cycle {cycle}, {what}.{}", difference.path);
        println!("  recorded  {}", difference.left);
        println!("  derived   {}", difference.right);
    }
}

fn replayed_json(found: &Replayed) -> Value {
    json!({
        "cycles": found.cycles, "exact": found.exact, "different": found.different,
        "without_state": found.without_state, "states": found.states, "states_exact": found.states_exact,
        "first_difference": found.first_difference.as_ref().map(|differs| json!({
            "cycle": differs.cycle, "field": format!("{}.{}", differs.what, differs.difference.path),
            "recorded": differs.difference.left, "derived": differs.difference.right,
        })),
    })
}

fn digest(text: &str) -> Result<[u8; 32], String> {
    let sum: Result<Sha256Sum, _> = text.parse();
    sum.map(|sum| sum.0).map_err(|_| "expected 64 hexadecimal digits".to_owned())
}
