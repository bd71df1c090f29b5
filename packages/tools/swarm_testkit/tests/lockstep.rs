//! Promises of the demo skill, run through runtime, gate and physics on a virtual clock.

use swarm_base::{Duration, Role};
use swarm_cell::CellConfig;
use swarm_safety_core::SafetyState;
use swarm_skill_core::Outcome;
use swarm_testkit::lockstep::{Disturbance, LockstepCell};
use swarm_testkit::repository;

fn cell() -> LockstepCell {
    let root = repository();
    let config = CellConfig::parse(&std::fs::read_to_string(root.join("config/cell.yaml")).unwrap()).unwrap();
    LockstepCell::new(&config, &root, &root.join("tests/data/cooperative_assembly")).unwrap()
}

#[test]
fn the_demo_skill_mates_the_parts_wherever_they_lie() {
    let mut cell = cell();
    for seed in 0..3 {
        let report = cell.run(seed, Disturbance::None).unwrap();
        assert_eq!(report.outcome, Outcome::Succeeded, "seed {seed}: {report:#?}");
        assert!(report.mated, "seed {seed}: {report:#?}");
        let stops = [SafetyState::Stop1, SafetyState::Stop2, SafetyState::Estop];
        assert!(report.safety.iter().all(|(_, state, _)| !stops.contains(state)), "seed {seed}: {report:#?}");
    }
}

/// All roles enter a phase within one exchange of messages, or none does.
#[test]
fn roles_enter_phases_together() {
    let report = cell().run(4, Disturbance::None).unwrap();
    for phase in ["approach", "grip", "bring", "mate", "release", "retreat"] {
        let times: Vec<_> = report
            .phases
            .iter()
            .filter(|(_, _, entered)| entered == phase)
            .map(|(time, _, _)| *time)
            .collect();
        assert_eq!(times.len(), Role::ALL.len(), "{phase}: {report:#?}");
        let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert!(last.since(*first) <= Duration::from_millis(40), "{phase}: {times:?}");
    }
}

/// The same seed is the same run: after another run in the same process, and in a cell built anew.
#[test]
fn a_seed_is_a_run() {
    let stop = Disturbance::EmergencyStop { after: Duration::from_millis(4_000) };
    let mut first = cell();
    let report = first.run(5, stop).unwrap();
    let parts = first.last.parts;
    first.run(6, stop).unwrap();
    assert_eq!(first.run(5, stop).unwrap(), report);
    let mut second = cell();
    assert_eq!(second.run(5, stop).unwrap(), report);
    assert_eq!(second.last.parts, parts);
}

/// Pressed while all arms move fast, while parts are carried, and while the peg goes in.
#[test]
fn an_emergency_stop_ends_the_run_with_every_arm_at_rest() {
    let mut cell = cell();
    for after_ms in [2_500, 12_000, 19_000] {
        let after = Duration::from_millis(after_ms);
        let report = cell.run(7, Disturbance::EmergencyStop { after }).unwrap();
        let Outcome::Aborted(reason) = &report.outcome else { panic!("{report:#?}") };
        assert!(reason.contains("Estop"), "{reason}");
        assert_eq!(report.safety.last().map(|(_, state, _)| *state), Some(SafetyState::Estop));
        // The fastest joint of the skill does 1 rad/s and is braked with 6 rad/s²: 84 cycles.
        let cycles = report.stop_cycles.unwrap();
        assert!(cycles <= 100, "after {after_ms} ms: {cycles} cycles");
        for robot in &cell.last.robots {
            assert!(robot.velocity_rad_s.iter().all(|v| v.abs() < 0.02), "{:?}", robot.velocity_rad_s);
        }
    }
}
