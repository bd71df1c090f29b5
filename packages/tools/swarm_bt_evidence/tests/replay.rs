//! The short form of `cargo xtask evidence bt-replay`.

use std::process::Command;

use swarm_bt_evidence::replay::replay;

#[test]
fn random_runs_are_replayed_bit_for_bit_and_a_killed_one_loses_at_most_the_tick_in_flight() {
    let seed = u64::from(rand::random::<u32>());
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let found = replay(seed, 60, 10, folder.path(), |seed, file| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bt_evidence"));
        command.args(["record-until-killed", "--seed", &seed.to_string()]).arg(file);
        command
    });
    let found = found.unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    assert!(found.bit_exact == 60 && found.differences.is_empty(), "seed {seed}: {found:?}");
    assert!(found.ticks_lost_max <= 1, "seed {seed}: {found:?}");
    assert!(found.steps > 1_000, "seed {seed}: {found:?}");
}
