//! Random trees on BehaviorTree.CPP and here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use swarm_bt_script::Batch;

use crate::{in_workspace, python};

/// What comparing a batch gave.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    pub trees: u64,
    pub ticks: u64,
    pub transitions: u64,
    /// Runs that the original ended by throwing; ours ended with an error in the same tick.
    pub errors: u64,
    /// The first difference of each tree that differs, and the tree.
    pub mismatches: Vec<String>,
}

/// Lets BehaviorTree.CPP tick `trees` random trees `ticks` times each, and does the same here.
pub fn compare(seed: u64, trees: u32, ticks: u32, folder: &Path) -> anyhow::Result<Compared> {
    let out = folder.join("random.json");
    let mut command = Command::new(python());
    command.arg(in_workspace("tests/bt_oracle/generate.py")).arg("--out").arg(&out);
    command.args(["--seed", &seed.to_string(), "--trees", &trees.to_string(), "--ticks", &ticks.to_string()]);
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(output.status.success(), "the oracle failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&out).with_context(|| format!("cannot read '{}'", out.display()))?;
    let batch: Batch = serde_json::from_str(&text).context("the oracle wrote no vectors")?;
    ensure!(
        batch.vectors.len() == trees as usize,
        "the oracle made {} trees, not {trees}",
        batch.vectors.len()
    );
    Ok(replay(&batch))
}

fn replay(batch: &Batch) -> Compared {
    let mut found = Compared::default();
    for vector in &batch.vectors {
        found.trees += 1;
        match vector.replay() {
            Ok(compared) => {
                found.ticks += compared.ticks;
                found.transitions += compared.transitions;
                found.errors += u64::from(vector.answers.ends_with('E'));
            }
            Err(why) => found.mismatches.push(format!("{why}\n  {}\n  {:?}", vector.xml, vector.leaves)),
        }
    }
    found
}

/// How many vectors written by hand re-express each test file of BehaviorTree.CPP; `cargo test -p swarm_bt` runs them.
pub fn hand_vectors() -> anyhow::Result<BTreeMap<String, usize>> {
    let folder = in_workspace("packages/core/swarm_bt/tests/vectors/hand");
    let mut counts = BTreeMap::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read '{}'", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read '{}'", path.display()))?;
        let vectors: Vec<serde_json::Value> = serde_json::from_str(&text)
            .with_context(|| format!("'{}' is no list of vectors", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        counts.insert(name, vectors.len());
    }
    Ok(counts)
}
