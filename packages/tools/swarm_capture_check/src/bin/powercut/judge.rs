//! What readers find on a disk whose power was cut.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;
use swarm_bag::BagReader;

use crate::disk::{Bench, Clone};

/// Prints for each bag and reader how many messages it finds and the time of the newest, or the error.
const READERS: &str = include_str!("readers.py");

pub(crate) struct Judged {
    /// What readers say that look at SQLite's log, where there is one. Empty where each opens every bag and they agree.
    pub(crate) problems: Vec<String>,
    /// What `rosbags` says of a `.db3`: it takes the file as immutable and ignores the log.
    pub(crate) without_log: Vec<String>,
    /// What is lost, s; of the bags the most.
    pub(crate) tail: f64,
    /// The same without those that ignore the log.
    pub(crate) tail_with_log: f64,
    pub(crate) reference_tail: f64,
}

/// What was found of one bag after another.
#[derive(Default)]
struct Found {
    problems: Vec<String>,
    without_log: Vec<String>,
    tail: f64,
    tail_with_log: f64,
}

/// Whether there is a Python with what is needed.
pub(crate) fn can_judge() -> anyhow::Result<()> {
    read_all(&[])
        .map(|_| ())
        .context("this needs Python with `rosbags` and `mcap`; SWARM_TEST_PYTHON names it")
}

pub(crate) fn judge(bench: &Bench, clone: &Clone) -> anyhow::Result<Judged> {
    let up = bench.power_up(&clone.ours)?;
    let Found { problems, without_log, tail, tail_with_log } =
        look(&up.0, &clone.bags, clone.at, clone.begun)?;
    drop(up);
    let up = bench.power_up(&clone.theirs)?;
    let reference_tail = look(&up.0, &clone.references, clone.reference_at, clone.begun)?.tail;
    drop(up);
    std::fs::remove_file(&clone.ours)?;
    std::fs::remove_file(&clone.theirs)?;
    Ok(Judged { problems, without_log, tail, tail_with_log, reference_tail })
}

/// Tails are the longest time from what was found of a bag to the cut, s; of a bag that cannot be read all that was recorded.
fn look(folder: &Path, bags: &[OsString], cut: i64, begun: i64) -> anyhow::Result<Found> {
    let paths: Vec<_> = bags.iter().map(|name| folder.join(name)).collect();
    let read = read_all(&paths)?;
    let mut found = Found::default();
    for (path, read) in paths.iter().zip(&read) {
        let ours = match BagReader::open(path) {
            Ok(mut bag) => {
                let count = bag.by_ref().count();
                let damage = bag.damage().into_iter();
                found.problems.extend(damage.map(|damage| format!("{}: {damage}", path.display())));
                Ok((count as u64, bag.metadata().span().last))
            }
            Err(error) => Err(error.to_string()),
        };
        let theirs =
            read.as_object().context("the readers said something else")?.iter().map(|(name, said)| {
                let read = (said["count"].as_u64(), said["newest"].as_i64());
                let read = match read {
                    (Some(count), Some(newest)) => Ok((count, newest)),
                    _ => Err(said["error"].to_string()),
                };
                (name.as_str(), read)
            });
        let is_sqlite = path.extension().is_some_and(|extension| extension == "db3");
        let mut counts = Vec::new();
        for (reader, read) in theirs.chain([("swarm_bag", ours)]) {
            let ignores_log = is_sqlite && reader == "rosbags";
            let problems = if ignores_log { &mut found.without_log } else { &mut found.problems };
            let newest = match read {
                Ok((0, _)) => begun,
                Ok((count, last)) => {
                    if !ignores_log {
                        counts.push(count);
                    }
                    last
                }
                Err(error) => {
                    problems.push(format!("{reader} on {}: {error}", path.display()));
                    begun
                }
            };
            let tail = (cut - newest) as f64 * 1e-9;
            found.tail = found.tail.max(tail);
            if !ignores_log {
                found.tail_with_log = found.tail_with_log.max(tail);
            }
        }
        if counts.windows(2).any(|pair| pair[0] != pair[1]) {
            found.problems.push(format!("{}: readers find {counts:?} messages", path.display()));
        }
    }
    Ok(found)
}

fn read_all(paths: &[std::path::PathBuf]) -> anyhow::Result<Vec<Value>> {
    let python = std::env::var_os("SWARM_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(&python).args(["-c", READERS]).args(paths).output();
    let output = output.with_context(|| format!("cannot start {}", python.display()))?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
