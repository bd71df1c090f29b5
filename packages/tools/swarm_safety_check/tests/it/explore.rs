//! Exploration of the production decision, as far as a test may take.

use swarm_safety_check::explore::{Extent, Outcome, explore_all, reached, searches};

fn explored() -> Vec<Outcome> {
    explore_all(&searches(Extent::Short), 2, &|_| ()).unwrap()
}

#[test]
fn every_history_of_the_short_extent_keeps_every_invariant() {
    let outcomes = explored();
    let broken: Vec<&String> = outcomes.iter().filter_map(|outcome| outcome.broken.as_ref()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
    let transitions: u64 = outcomes.iter().map(|outcome| outcome.transitions).sum();
    println!("{transitions} transitions");
    assert!(transitions > 100_000, "{transitions} transitions: an alphabet has shrunk");
    let any_length = outcomes.iter().filter(|outcome| outcome.search.depth.is_none());
    let longest = any_length.map(|outcome| outcome.states).collect::<Vec<_>>();
    assert!(
        longest.len() == 2 && longest.iter().all(|states| *states > 500),
        "{longest:?}: an alphabet has shrunk"
    );
    // An invariant that is never put to the test holds of nothing.
    let met = reached(&outcomes);
    for name in
        ["DENY", "READY", "RUN", "SLOW", "STOP2", "STOP1", "ESTOP", "stop_ineffective", "cycle_overrun"]
    {
        assert!(met.contains(&name), "{name} was not met: {met:?}");
    }
}
