//! Faults injected into a running cell, at a few random moments; the list of faults that is published.

use std::fs;
use std::path::Path;

use swarm_safety_check::faults::{FAULTS, Reaction, Rig, inject_all, published};
use swarm_safety_core::CauseKind;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");

#[test]
fn every_fault_is_found_by_its_own_cause_within_two_cycles_of_being_observable() {
    let seed = rand::random();
    println!("seed {seed}");
    let found = inject_all(4, seed, 2).unwrap();
    assert_eq!(found.len(), FAULTS.len());
    assert!(found.len() >= 40);
    for found in &found {
        let (id, wrong) = (found.fault.id, &found.wrong);
        assert_eq!(
            found.detected, found.episodes,
            "{id}: missed {:?} of seed {seed}; other causes: {wrong:?}",
            found.missed
        );
        assert!(found.worst_cycles <= 2, "{id}: {} cycles, seed {seed}", found.worst_cycles);
        assert!(found.causes.iter().all(|shown| found.fault.reaction.causes().contains(shown)), "{id}");
    }
}

#[test]
fn every_fault_has_a_name_of_its_own_and_causes_that_exist() {
    for (i, fault) in FAULTS.iter().enumerate() {
        assert!(FAULTS[..i].iter().all(|other| other.id != fault.id), "{} twice", fault.id);
        let causes = fault.reaction.causes();
        assert!(!causes.is_empty(), "{}", fault.id);
        if let Reaction::Stop(codes) = fault.reaction {
            assert!(codes.iter().all(|code| CauseKind::of_code(code).is_some()), "{}: {codes:?}", fault.id);
        }
    }
}

#[test]
fn the_published_list_is_what_the_program_prints() {
    let published = fs::read_to_string(Path::new(ROOT).join("packages/nodes/swarm_safety_monitor/FAULTS.md"));
    let printed = published::markdown(&Rig::cold().unwrap().config);
    assert!(
        published.unwrap() == printed,
        "bring it up to date: cargo run -p swarm_safety_check -- fault-list > packages/nodes/swarm_safety_monitor/FAULTS.md"
    );
}

#[test]
fn the_tests_that_the_list_names_exist() {
    for test in published::tests() {
        let (file, name) = test.split_once("::").unwrap();
        let text =
            fs::read_to_string(Path::new(ROOT).join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let defined = [format!("def {name}("), format!("fn {name}(")];
        assert!(defined.iter().any(|defined| text.contains(defined)), "{file} has no test {name}");
    }
}
