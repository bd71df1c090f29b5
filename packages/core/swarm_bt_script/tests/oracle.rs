//! What BehaviorTree.CPP did on random trees, done again here: answers, leaf calls, transitions in order, blackboard.
//!
//! The vectors and what they hold: `tests/bt_oracle/generate.py`. `SWARM_BT_VECTORS=FILE` replays another batch as well.

use std::path::Path;

use swarm_bt_script::{Batch, Compared};

fn batch(path: &Path) -> Batch {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("reading {}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("parsing {}: {e}", path.display()))
}

fn replay(batch: &Batch) -> Compared {
    let mut different = Vec::new();
    let mut compared = Compared::default();
    for (i, vector) in batch.vectors.iter().enumerate() {
        match vector.replay() {
            Ok(more) => {
                compared.ticks += more.ticks;
                compared.transitions += more.transitions;
            }
            Err(why) => different.push(format!("vector {i}, {why}\n  {}\n  {:?}", vector.xml, vector.leaves)),
        }
    }
    let (count, of) = (different.len(), batch.vectors.len());
    different.truncate(5);
    let seed = batch.seed.unwrap_or_default();
    assert!(count == 0, "{count} of {of} runs differ (seed {seed}); the first:\n{}", different.join("\n"));
    compared
}

fn stored() -> Batch {
    batch(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/random.json"))
}

#[test]
fn behaves_as_behaviortree_cpp_on_random_trees() {
    let compared = replay(&stored());
    assert!(compared.ticks > 1_000 && compared.transitions > 10_000, "{compared:?}");
    if let Some(path) = std::env::var_os("SWARM_BT_VECTORS") {
        let compared = replay(&batch(Path::new(&path)));
        assert!(compared.ticks > 0, "no vectors");
        println!("{compared:?}");
    }
}

#[test]
fn a_vector_that_differs_anywhere_is_noticed() {
    let good = stored().vectors.into_iter().find(|v| {
        v.answers.len() > 4
            && !v.answers.ends_with('E')
            && v.calls.as_ref().is_some_and(|c| !c.concat().is_empty())
    });
    let good = good.expect("one of many");
    assert!(good.replay().is_ok());
    let edit = |change: fn(&mut swarm_bt_script::Vector)| {
        let mut vector = good.clone();
        change(&mut vector);
        vector.replay().expect_err("changed").what
    };
    assert!(edit(|v| v.answers.replace_range(2..3, "K")).starts_with("answer "));
    assert!(
        edit(|v| *v.calls.as_mut().unwrap() =
            v.calls.as_ref().unwrap().iter().map(|c| format!("{c} s99")).collect())
        .starts_with("leaf calls ")
    );
    assert!(edit(|v| v.transitions.as_mut().unwrap().push_str(" 1R")).contains("goes on with 1R"));
    assert!(
        edit(|v| v.transitions = v.transitions.take().map(|t| t.replacen('R', "S", 1)))
            .contains("in the original 1S")
    );
    assert!(
        edit(|v| _ = v.board.insert("a".to_owned(), swarm_bt_script::Entry::Number(0.25)))
            .starts_with("entry a is")
    );
    assert!(edit(|v| v.xml = v.xml.replace("</root>", "")).contains("XML"));
}
