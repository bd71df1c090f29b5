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
    /// Empty where every reader opens every bag and they agree.
    pub(crate) problems: Vec<String>,
    /// What is lost, s; of the bags the most.
    pub(crate) tail: f64,
    pub(crate) reference_tail: f64,
}

/// Whether there is a Python with what is needed.
pub(crate) fn can_judge() -> anyhow::Result<()> {
    read_all(&[])
        .map(|_| ())
        .context("this needs Python with `rosbags` and `mcap`; SWARM_TEST_PYTHON names it")
}

pub(crate) fn judge(bench: &Bench, clone: &Clone) -> anyhow::Result<Judged> {
    let mut problems = Vec::new();
    let up = bench.power_up(&clone.ours)?;
    let tail = worst(&up.0, &clone.bags, clone.at, clone.begun, |problem| problems.push(problem))?;
    drop(up);
    let up = bench.power_up(&clone.theirs)?;
    let reference_tail = worst(&up.0, &clone.references, clone.reference_at, clone.begun, |_| ())?;
    drop(up);
    std::fs::remove_file(&clone.ours)?;
    std::fs::remove_file(&clone.theirs)?;
    Ok(Judged { problems, tail, reference_tail })
}

/// The longest time from what was found of a bag to the cut, s; of a bag that cannot be read all that was recorded.
fn worst(
    folder: &Path,
    bags: &[OsString],
    cut: i64,
    begun: i64,
    mut problem: impl FnMut(String),
) -> anyhow::Result<f64> {
    let paths: Vec<_> = bags.iter().map(|name| folder.join(name)).collect();
    let found = read_all(&paths)?;
    let mut tail = 0.0_f64;
    for (path, found) in paths.iter().zip(&found) {
        let mut newest = cut;
        let mut counts = Vec::new();
        let ours = match BagReader::open(path) {
            Ok(mut bag) => {
                let count = bag.by_ref().count();
                bag.damage().into_iter().for_each(|damage| problem(format!("{}: {damage}", path.display())));
                Ok((count as u64, bag.metadata().span().last))
            }
            Err(error) => Err(error.to_string()),
        };
        let theirs =
            found.as_object().context("the readers said something else")?.iter().map(|(name, found)| {
                let read = (found["count"].as_u64(), found["newest"].as_i64());
                let read = match read {
                    (Some(count), Some(newest)) => Ok((count, newest)),
                    _ => Err(found["error"].to_string()),
                };
                (name.as_str(), read)
            });
        for (reader, read) in theirs.chain([("swarm_bag", ours)]) {
            match read {
                Ok((count, last)) => {
                    newest = newest.min(if count == 0 { begun } else { last });
                    counts.push(count);
                }
                Err(error) => {
                    newest = begun;
                    problem(format!("{reader} on {}: {error}", path.display()));
                }
            }
        }
        if counts.windows(2).any(|pair| pair[0] != pair[1]) {
            problem(format!("{}: readers find {counts:?} messages", path.display()));
        }
        tail = tail.max((cut - newest) as f64 * 1e-9);
    }
    Ok(tail)
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
