//! The short form of `role_check proof`: some seconds of what the evidence does for minutes.

use swarm_role_check::explore::{self, Extent};
use swarm_role_check::sim::{self, Plan, SABOTAGED_EPISODES, Sabotage};

/// A fresh seed each time; a failure names the episode.
#[test]
fn random_episodes_under_faults_break_no_promise() {
    let seed = u64::from(rand::random::<u32>()) << 24;
    println!("seed {seed}");
    let summary = sim::play_all(seed..seed + 6_000, Sabotage::Nothing, 2);
    assert!(summary.broken.is_empty(), "`role_check show SEED` replays it: {:?}", summary.broken);
    assert!(summary.done > 1_000, "the faults leave hardly any run alone: {summary:?}");
    assert!(summary.replaced > 100, "hardly any role is taken over: {summary:?}");
    assert!(summary.ended_by_fault > 100, "hardly any fault ends a run: {summary:?}");
    assert!(summary.worst_bound_ticks <= Plan::LONGEST_END_BOUND, "{summary:?}");
}

#[test]
fn a_deliberate_fault_of_the_protocol_is_noticed() {
    for sabotage in Sabotage::ALL {
        let found = (0..SABOTAGED_EPISODES).any(|seed| sim::play(seed, sabotage).broken.is_some());
        assert!(found, "nothing notices that {sabotage:?} is broken");
    }
}

#[test]
fn every_fate_of_every_message_keeps_the_promises() {
    for search in explore::searches(Extent::Short) {
        let outcome = explore::explore(search);
        assert_eq!(outcome.broken, None, "{search}");
        assert!(outcome.states > 1_000, "{search} met only {} states", outcome.states);
    }
}

#[test]
fn the_same_seed_gives_the_same_episode() {
    for seed in 0..50 {
        assert_eq!(sim::play(seed, Sabotage::Nothing), sim::play(seed, Sabotage::Nothing));
    }
}

#[test]
fn the_longest_bound_is_that_of_the_worst_weather() {
    let longest = (0..20_000).map(|seed| Plan::draw(seed).end_bound()).max();
    assert_eq!(longest, Some(Plan::LONGEST_END_BOUND));
}
