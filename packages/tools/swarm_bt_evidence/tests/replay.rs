//! The short form of `cargo xtask evidence bt-replay`.

use std::process::Command;

use swarm_bt_evidence::replay::{Way, replay};

#[test]
fn random_runs_are_replayed_bit_for_bit_and_a_killed_one_loses_no_more_than_it_may() {
    let seed = u64::from(rand::random::<u32>());
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let found = replay(seed, 60, 16, folder.path(), |seed, way, folder| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bt_evidence"));
        command.args(["record-until-killed", "--seed", &seed.to_string()]);
        command.args(["--way", if way == Way::File { "file" } else { "folder" }]).arg(folder);
        command
    });
    let found = found.unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    assert!(found.bit_exact == 60 && found.differences.is_empty(), "seed {seed}: {found:?}");
    assert!(found.steps > 1_000, "seed {seed}: {found:?}");
    assert_eq!((found.to_file.runs, found.to_folder.runs), (8, 8));
    assert!(found.to_file.lost_max <= 1, "only the tick in flight, seed {seed}: {found:?}");
    // How soon the other thread gets the processor is the machine's affair; but what it has taken it has written.
    assert!(found.to_folder.lost * 2 < found.to_folder.begun, "seed {seed}: {found:?}");
}
