//! `cell incident`: what stopped a cell, and what came before it.

use std::path::PathBuf;

use anyhow::bail;

use crate::Outcome;
use crate::box_files::read_all;
use crate::box_verify::public_keys;
use crate::incident::{Question, Report, is_bag, read_bag, read_box, show, write};
use crate::output::{print_json, read};

/// What stopped the cell: which check, of which robot, at which limit and where that limit comes from; the margins to every
/// limit before it; what each input did in the 10 s before; whether the recording is genuine; and with --what-if where
/// another envelope would have stopped the same motion.
///
/// FILE is the black box (files *.swarmbox, or folders of them), or one bag (.mcap, .db3, or rosbag2's folder) that has
/// /safety_monitor in it. A bag tells less: it has no inputs of single cycles, no limits' origins, and no seals.
///
/// --out writes a page (incident.html, one file with its drawings), the same as incident.json, and foxglove_layout.json, a
/// layout for the bag that `cell blackbox export` makes. In JSON null stands for what is infinite (a limit that is not
/// monitored, a distance to nothing) and for what the recording does not tell.
///
/// Exit codes: 0 done, 2 could not do it: no stop in the recording, a stop or start that it does not have, a file that is no
/// recording.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files or folders of the black box, or one bag.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Which stop of the recording, from 1.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    stop: usize,
    /// Which start of the monitor, from 1, if the files hold several [default: the newest with a stop].
    #[arg(long, value_name = "NUMBER")]
    start: Option<usize>,
    /// Run the recorded inputs again under this envelope, from the stop before up to its first stop.
    #[arg(long, value_name = "ENVELOPE")]
    what_if: Option<PathBuf>,
    /// Public key of a cell, as `cell keys generate` makes it; repeat for several. Without it nobody vouches for the seals.
    #[arg(long = "public-key", value_name = "FILE")]
    public_keys: Vec<PathBuf>,
    /// Write page, JSON and Foxglove layout into this folder, which must be new or empty.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let keys = public_keys(&args.public_keys)?;
    let envelope = args.what_if.as_deref().map(read).transpose()?;
    let question = Question { start: args.start, stop: args.stop, what_if: envelope.as_deref(), keys: &keys };
    let recorded = match args.files.as_slice() {
        [one] if is_bag(one) => read_bag(one, &question)?,
        files => {
            if let Some(bag) = files.iter().find(|path| is_bag(path)) {
                bail!("'{}' is a bag: give one bag alone, or files of the black box", bag.display());
            }
            read_box(read_all(files)?, &question)?
        }
    };
    let report = Report::of(&recorded);
    if let Some(out) = &args.out {
        write(out, &recorded, &report)?;
    }
    if args.json {
        print_json(&report)?;
    } else {
        show(&report);
        if let Some(out) = &args.out {
            println!("\nreport: {}", out.join("incident.html").display());
        }
    }
    Ok(Outcome::Done)
}
