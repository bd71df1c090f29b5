//! `cell watch`: a running cell in the terminal.

use swarm_watch::Output;

use crate::Outcome;

/// Show a running cell: one time line for all roles, barriers, leases, safety against limits.
///
/// Reads the skill runtime's Foxglove WebSocket (its parameter view.foxglove_port), and so needs no ROS. Keys: q ends, space
/// pauses, arrows scroll, + and - zoom. Where the output is no terminal, one view is printed, as with --once.
///
/// Exit codes: 0 done, 2 no runtime was found, or it went away.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the runtime serves.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8766")]
    at: String,
    /// Print one view as lines and end.
    #[arg(long)]
    once: bool,
    /// Print JSON, one view a line; with --once a single one. The fields are those of the schema swarm.CellView.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let output = match (args.json, args.once) {
        (false, false) => Output::Screen,
        (false, true) => Output::Once,
        (true, true) => Output::OnceJson,
        (true, false) => Output::Json,
    };
    swarm_watch::watch(&args.at, output)?;
    Ok(Outcome::Done)
}
