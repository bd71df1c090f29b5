//! Every attack is refused, by the rule that is meant against it.

use std::thread;

use swarm_tuf_cli::attacks::{Attack, all};

#[test]
fn every_attack_is_refused() {
    // Two of them wait for a slow server; side by side they all take no longer.
    let running: Vec<(Attack, _)> =
        all().into_iter().map(|attack| (attack, thread::spawn(move || attack.carry_out()))).collect();
    let mut taken = Vec::new();
    for (attack, thread) in running {
        if let Err(problem) = thread.join().unwrap_or_else(|_| Err("it panicked".to_owned())) {
            taken.push(format!("{}: {problem}", attack.name));
        }
    }
    assert!(taken.is_empty(), "{}", taken.join("\n"));
    assert!(all().len() >= 39, "the specification's and Uptane's seven");
}
