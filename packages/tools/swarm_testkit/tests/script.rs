//! The task can be done physically: parts are picked, carried and held.

use swarm_cell::CellConfig;
use swarm_testkit::repository;
use swarm_testkit::script::{FOLLOWER, LEADER, ScriptedCell};

/// Seed 108 has the leader grip the handle askew: the fingers tremble before they hold.
#[test]
fn grippers_pick_both_parts_and_keep_them() {
    let root = repository();
    let config = CellConfig::parse(&std::fs::read_to_string(root.join("config/cell.yaml")).unwrap()).unwrap();
    let mut cell = ScriptedCell::new(&config, &root).unwrap();
    for seed in [1, 108] {
        cell.reset(seed);
        cell.bring_together(0.02).unwrap();
        for (robot, width_m) in [(LEADER, 0.030), (FOLLOWER, 0.020)] {
            let gripper = cell.last.robots[robot].gripper;
            assert!(gripper.holding, "seed {seed}, robot {robot}: {gripper:?}");
            assert!((gripper.width_m - width_m).abs() < 0.001, "seed {seed}, robot {robot}: {gripper:?}");
        }
        // What the camera saw at the end is off by up to 1.6 mm; the parts are where the hands are.
        let tip = cell.last.parts.pocket_in_world.inverse() * cell.last.parts.tip_in_world;
        assert!(tip.translation.x.hypot(tip.translation.y) < 0.003, "seed {seed}: {tip:?}");
        let held = |cell: &ScriptedCell| cell.tcp_in_world(FOLLOWER).inverse() * cell.last.parts.tip_in_world;
        let before = held(&cell);
        cell.wait(500).unwrap();
        let slip_m = (held(&cell).translation.vector - before.translation.vector).norm();
        assert!(slip_m < 0.0005, "seed {seed}: the peg slips by {slip_m} m in 5 s");
    }
}
