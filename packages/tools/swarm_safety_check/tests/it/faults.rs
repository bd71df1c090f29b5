//! Faults injected into a running cell, at a few random moments.

use swarm_safety_check::faults::{FAULTS, inject_all};

#[test]
fn every_fault_is_found_within_two_cycles_of_being_observable() {
    let seed = rand::random();
    println!("seed {seed}");
    let found = inject_all(4, seed, 2).unwrap();
    assert_eq!(found.len(), FAULTS.len());
    assert!(found.len() >= 40);
    for found in &found {
        let id = found.fault.id;
        assert_eq!(found.detected, found.episodes, "{id}: missed {:?} of seed {seed}", found.missed);
        assert!(found.worst_cycles <= 2, "{id}: {} cycles, seed {seed}", found.worst_cycles);
    }
}
