//! `cell bag cut`.

use std::path::PathBuf;

use anyhow::bail;
use swarm_bag::{BagReader, Cut, WriteOptions, cut};

use super::times::{Moment, shown};
use crate::Outcome;

/// Write a part of a bag as a bag of its own.
///
/// Video begins at the key frame before --from, so that the first picture asked for can be seen; what latched topics said
/// before (/tf_static, /robot_description) stands at the beginning. /capture/loss stays behind: its counts are those of the
/// whole recording.
///
/// A time is seconds from the beginning (12.5) or before the end (-3), @seconds since 1970, or RFC 3339
/// (2026-01-01T12:00:00Z).
///
/// Exit codes: 0 done, 2 could not do it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// First moment [default: the beginning].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<Moment>,
    /// Last moment, no longer in it [default: the end].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<Moment>,
    /// Only these topics, separated by commas.
    #[arg(long, value_name = "TOPICS", value_delimiter = ',')]
    topics: Option<Vec<String>>,
    /// The bag.
    #[arg(value_name = "IN")]
    bag: PathBuf,
    /// The part: X.mcap or X.db3, or a folder, which becomes rosbag2's directory form. Must not exist yet.
    #[arg(value_name = "OUT")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let mut bag = BagReader::open(&args.bag)?;
    let span = bag.metadata().span();
    let at = |moment: Option<Moment>| moment.map(|moment| moment.of(span.first, span.last));
    let (from, until) = (at(args.from), at(args.to));
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        bail!("nothing lies between --from {} and --to {}", shown(from), shown(until));
    }
    if from.is_some_and(|from| from > span.last) || until.is_some_and(|until| until <= span.first) {
        bail!(
            "'{}' goes from {} to {}: nothing of it was asked for",
            args.bag.display(),
            shown(span.first),
            shown(span.last)
        );
    }
    let wanted = Cut { from, until, topics: args.topics.clone() };
    let done = cut(&mut bag, &wanted, &args.out, WriteOptions::default())?;
    let found = done.span();
    println!(
        "{}: {} messages, {:.3} s",
        args.out.display(),
        found.count,
        (found.last - found.first) as f64 * 1e-9
    );
    for damage in bag.damage() {
        println!("note: {damage}");
    }
    Ok(Outcome::Done)
}
