//! Replays what BehaviorTree.CPP did on random trees: answers, leaf calls, transitions in order, blackboard.
//!
//! The vectors and what they hold: `tests/bt_oracle/generate.py`. `SWARM_BT_VECTORS=FILE` replays another batch as well.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::Bench;
use serde::Deserialize;
use swarm_bt::{PortType, Value};

#[derive(Deserialize)]
struct Batch {
    seed: u64,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    xml: String,
    leaves: BTreeMap<String, String>,
    steps: String,
    answers: String,
    calls: Vec<String>,
    transitions: String,
    board: BTreeMap<String, Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Entry {
    Number(f64),
    Text(String),
}

fn replay(vector: &Vector) -> Result<(), String> {
    let leaves: Vec<(&str, &str)> =
        vector.leaves.iter().map(|(id, letters)| (id.as_str(), letters.as_str())).collect();
    let mut bench = Bench::document(&vector.xml, &leaves);
    let mut answers = vector.answers.chars();
    let mut expected: Vec<&str> = vector.transitions.split(' ').collect();
    for (i, (step, calls)) in vector.steps.chars().zip(&vector.calls).enumerate() {
        let known = bench.transitions.len();
        if step == 'H' {
            bench.halt();
        } else {
            let answer = bench.try_tick();
            let theirs = answers.next().expect("one answer per tick");
            let ours = answer.as_ref().map_or('E', |letter| *letter);
            if ours != theirs {
                return Err(format!("step {i}: answer {ours}, the original {theirs} ({answer:?})"));
            }
            if ours == 'E' {
                // The original leaves its tree as it was when it threw; ours halts it, so it did more.
                let trace = common::text(&bench.transitions[known..]);
                let trace: Vec<&str> = trace.split(' ').collect();
                return if trace.starts_with(&expected) && bench.calls().starts_with(calls.as_str()) {
                    Ok(())
                } else {
                    Err(format!("step {i}, up to the error: {trace:?}, the original {expected:?}"))
                };
            }
        }
        let ours = bench.calls();
        if ours != *calls {
            return Err(format!("step {i}: leaf calls '{ours}', the original '{calls}'"));
        }
        let trace = common::text(&bench.transitions[known..]);
        let trace: Vec<&str> = trace.split(' ').filter(|t| !t.is_empty()).collect();
        if !expected.starts_with(&trace) {
            return Err(format!("step {i}: transitions {trace:?}, the original goes on with {expected:?}"));
        }
        expected.drain(..trace.len());
    }
    if !expected.is_empty() {
        return Err(format!("the original has more transitions: {expected:?}"));
    }
    for (key, theirs) in &vector.board {
        let value = bench.tree.slot(key).and_then(|slot| bench.state.get(slot));
        let same = match theirs {
            Entry::Number(x) => value.and_then(|v| v.convert(PortType::Float).ok()) == Some(Value::Float(*x)),
            Entry::Text(text) => value == Some(&Value::from(text.as_str())),
        };
        if !same {
            return Err(format!("entry {key} is {value:?}, in the original {theirs:?}"));
        }
    }
    Ok(())
}

fn replay_file(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("reading {}: {e}", path.display()));
    let batch: Batch =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("parsing {}: {e}", path.display()));
    let mut different = Vec::new();
    for (i, vector) in batch.vectors.iter().enumerate() {
        if let Err(why) = replay(vector) {
            different.push(format!("vector {i}: {why}\n  {}\n  {:?}", vector.xml, vector.leaves));
        }
    }
    let (count, of) = (different.len(), batch.vectors.len());
    different.truncate(5);
    assert!(
        count == 0,
        "{count} of {of} runs differ (seed {}); the first:\n{}",
        batch.seed,
        different.join("\n")
    );
    assert!(of > 0, "{} holds no vectors", path.display());
}

#[test]
fn behaves_as_behaviortree_cpp_on_random_trees() {
    replay_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/random.json"));
    if let Some(path) = std::env::var_os("SWARM_BT_VECTORS") {
        replay_file(Path::new(&path));
    }
}
