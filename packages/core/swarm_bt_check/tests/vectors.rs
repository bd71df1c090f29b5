//! What BehaviorTree.CPP did with random trees never contradicts what the checker says of them.

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use swarm_base::Time;
use swarm_bt::{Loader, Mode, Registry, Tree};
use swarm_bt_check::{Answers, Code, Finding, Given, LeafTable, Limits, Pace, RoleTree, check};
use swarm_bt_script::{Batch, Event, Run, Scripts, Vector, declare};

/// The leaves of the vectors answer SKIPPED, too.
fn table(vector: &Vector) -> LeafTable {
    let any = |id: &String| {
        if id.starts_with('C') { Answers::COMPLETED } else { Answers::ACTION }.or(Answers::SKIPPED)
    };
    vector.leaves.keys().fold(LeafTable::new(), |table, id| table.leaf(id, any(id), Pace::Unknown))
}

/// The nodes that change, and the node at which a tick of the first run failed.
fn played(vector: &Vector, tree: Tree, scripts: Scripts) -> (BTreeSet<u16>, Option<(u16, String)>) {
    let mut run = Run::new(tree, scripts).expect("every leaf has a script");
    let mut changed = BTreeSet::new();
    let mut first_run = true;
    for (step, number) in vector.steps.chars().zip(0_u64..) {
        let now = Time::from_millis(number * vector.step_ms);
        let mut sink = |_: &Tree, event: Event<'_>| {
            if let Event::Transition(transition) = event {
                changed.insert(transition.uid);
            }
        };
        if step == 'H' {
            run.halt(now, &mut sink).expect("halts");
            first_run = false;
            continue;
        }
        match run.tick(now, &mut sink) {
            Ok(answer) => first_run &= answer == swarm_bt::Status::Running,
            Err(error) => return (changed, first_run.then(|| (error.uid, error.to_string()))),
        }
    }
    (changed, None)
}

#[test]
fn recorded_runs_of_random_trees_agree_with_the_findings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../swarm_bt_script/tests/vectors/random.json");
    let text = std::fs::read_to_string(&path).expect("the vectors are there");
    let batch: Batch = serde_json::from_str(&text).expect("the vectors are readable");
    let limits = Limits { states: 200, ways: 100, ..Limits::default() };
    let (mut unreachable, mut failed, mut exhausted) = (0, 0, 0);
    for (number, vector) in batch.vectors.iter().enumerate() {
        let leaves = vector.leaves.iter().map(|(id, letters)| (id.as_str(), letters.as_str()));
        let scripts = Scripts::from_letters(leaves).expect("answers are letters");
        let registry = declare(Registry::new(), &[("v.xml".to_owned(), vector.xml.clone())], &scripts);
        let load = || Loader::new(&registry).mode(Mode::Compat).document("v.xml", &vector.xml).load();
        let tree = load().expect("the vectors load");
        let report = check(&[RoleTree { role: "", tree: &tree }], &table(vector), &Given::new(), limits);
        exhausted += usize::from(report.explored.iter().all(|explored| explored.exhausted));

        let (changed, error) = played(vector, tree, scripts);
        let of = |code: Code| report.findings.iter().filter(move |finding| finding.code == code);
        for finding in of(Code::Unreachable) {
            unreachable += 1;
            // What is known from the blackboard holds for the first run of a tree only.
            let from_structure = !finding.problem.contains("in any run");
            assert!(
                !(from_structure && changed.contains(&finding.uid)),
                "vector {number}: {finding}, but it was ticked\n{}",
                vector.xml
            );
        }
        if let Some((uid, error)) = error {
            failed += 1;
            let at = |finding: &&Finding| finding.uid == uid;
            let known = [Code::ReadBeforeWrite, Code::NeverWritten, Code::TickFails];
            let found = report.findings.iter().filter(at).any(|finding| known.contains(&finding.code));
            let complete = report.explored.iter().all(|explored| explored.exhausted);
            let missing = error.contains("does not exist");
            assert!(
                found || !(complete || missing),
                "vector {number}: {error} was not found\n{}",
                vector.xml
            );
        }
    }
    println!("{unreachable} unreachable nodes, {failed} failing runs, {exhausted} trees exhausted");
    assert!(unreachable > 0 && exhausted > 0, "the vectors have both");
}
