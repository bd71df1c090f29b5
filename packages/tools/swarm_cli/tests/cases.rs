//! Every good artifact is believed, every bad one refused with exactly the sentence that its case states.

use std::collections::BTreeSet;

use swarm_cli::cases::{Expected, generate};

#[test]
fn every_case_gets_its_verdict_and_its_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let cases = generate(folder.path()).unwrap();
    let mut differing = Vec::new();
    for case in &cases {
        let expected = match &case.expected {
            Expected::Good => Ok(()),
            Expected::Refused { code, message } => Err((*code, message.clone())),
        };
        let found = case.verdict().unwrap();
        if found != expected {
            differing.push(format!("{}:\n  expected {expected:?}\n  found    {found:?}", case.name));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn the_cases_are_many_and_named_once() {
    let folder = tempfile::tempdir().unwrap();
    let cases = generate(folder.path()).unwrap();
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len());
    let good = cases.iter().filter(|case| case.expected == Expected::Good).count();
    assert!(good >= 5 && cases.len() - good >= 20, "{good} good of {}", cases.len());
}
