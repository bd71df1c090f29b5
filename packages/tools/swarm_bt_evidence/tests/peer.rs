//! The short form of `cargo xtask evidence bt-oracle`.

use swarm_bt_evidence::oracle;

#[test]
fn a_fresh_batch_of_random_trees_behaves_as_on_behaviortree_cpp() {
    let seed = u64::from(rand::random::<u32>());
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let found = oracle::compare(seed, 150, 20, folder.path()).unwrap();
    assert!(found.ticks > 2_000 && found.transitions > 20_000, "seed {seed}: {found:?}");
    assert!(found.mismatches.is_empty(), "seed {seed}: {}", found.mismatches.join("\n"));
}

#[test]
fn hand_vectors_are_counted_by_the_file_that_they_re_express() {
    let counts = oracle::hand_vectors().unwrap();
    assert!(counts.get("gtest_if_then_else").is_some_and(|count| *count > 5), "{counts:?}");
}
