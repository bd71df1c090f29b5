//! What a preview says is what then happens: the kinematic twin against runtime, gate and physics, from the same start.

use std::fs;
use std::path::Path;

use swarm_cell::CellConfig;
use swarm_skill_core::{Grasps, Limit, Margin, Outcome, Preview, PreviewRefusal, Scene, TwinPart, preview};
use swarm_testkit::lockstep::{Disturbance, LockstepCell};
use swarm_testkit::repository;

fn cell(skill: &Path) -> LockstepCell {
    let root = repository();
    let config = CellConfig::parse(&fs::read_to_string(root.join("config/cell.yaml")).unwrap()).unwrap();
    LockstepCell::new(&config, &root, skill).unwrap()
}

/// From where the parts lie in the simulator at the start of a seed.
fn preview_of(cell: &mut LockstepCell, seed: u64) -> Preview {
    let parts = cell.parts_at_start(seed);
    let part = |name: &str, in_world| TwinPart { name: name.into(), in_world, grasps: Grasps::Anywhere };
    let scene =
        Scene::with_parts(vec![part("part_a", parts.pocket_in_world), part("part_b", parts.tip_in_world)]);
    preview(cell.skill(), cell.safety_config(), &scene).unwrap()
}

/// The worst margin of a limit over all robots.
fn worst(preview: &Preview, limit: Limit) -> &Margin {
    let of_limit = preview.margins.iter().filter(|margin| margin.limit == limit);
    of_limit.min_by(|a, b| a.margin().total_cmp(&b.margin())).expect("every limit is looked at")
}

/// The simulator's run is longer: drives lag, fingers close at their own speed, contact makes the peg slow, the gate slows down near
/// the other arm. A fifth is what all of that may take.
const LONGER: f64 = 1.2;

#[test]
fn duration_and_margins_are_those_of_the_run_that_follows() {
    let mut cell = cell(&repository().join("tests/data/cooperative_assembly"));
    for seed in [0, 3] {
        let preview = preview_of(&mut cell, seed);
        assert_eq!(preview.verdict(), Ok(()), "seed {seed}");
        let report = cell.run(seed, Disturbance::None).unwrap();
        assert_eq!(report.outcome, Outcome::Succeeded, "seed {seed}");

        let ratio = report.duration_s / preview.duration.as_secs_f64();
        let (speed, separation) = (worst(&preview, Limit::ToolSpeed), worst(&preview, Limit::Separation));
        println!(
            "seed {seed}: duration {:.2} s previewed, {:.2} s run (ratio {ratio:.3}); tool speed {:.3}, {:.3} m/s; separation {:.3}, {:.3} m",
            preview.duration.as_secs_f64(),
            report.duration_s,
            speed.value,
            report.largest_speed_m_s,
            separation.value,
            report.least_separation_m
        );
        assert!((1.0 / LONGER..LONGER).contains(&ratio), "seed {seed}: ratio {ratio}");
        assert!(report.largest_speed_m_s < speed.allowed && speed.margin() > 0.0, "seed {seed}: {speed}");
        assert!(report.least_separation_m > separation.allowed && separation.margin() > 0.0, "{separation}");
        // Nearness is the same to a centimetre, and where it is nearest the roles mate or let go.
        assert!((report.least_separation_m - separation.value).abs() < 0.01, "seed {seed}: {separation}");
        assert!(["mate", "release", "retreat"].contains(&separation.place.phase.as_str()), "{separation}");
        assert!(!separation.place.node.is_empty(), "{separation}");
    }
}

/// A workspace that ends before the mating place: the gate stops the run, and the preview has refused it, for the same reason and robot.
#[test]
fn a_skill_that_breaks_the_envelope_is_refused_with_the_place_and_would_have_been_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = repository().join("tests/data/cooperative_assembly");
    for file in ["skill.yaml", "safety_envelope.yaml", "trees", "policies"] {
        copy(&shipped.join(file), &folder.path().join(file));
    }
    let envelope = folder.path().join("safety_envelope.yaml");
    let text = fs::read_to_string(&envelope).unwrap();
    let lower = text.replace("max_m: [0.75, 0.6, 0.8]", "max_m: [0.75, -0.1, 0.8]");
    assert_ne!(lower, text, "the shipped envelope has another workspace");
    fs::write(&envelope, lower).unwrap();

    let mut cell = cell(folder.path());
    let preview = preview_of(&mut cell, 0);
    let Err(PreviewRefusal::Breaches(breaches)) = preview.verdict() else { panic!("{preview:#?}") };
    let breach =
        breaches.iter().find(|breach| breach.limit == Limit::Workspace).expect("it leaves the workspace");
    println!("{breach}");
    assert!(["bring", "mate"].contains(&breach.place.phase.as_str()), "{breach}");

    let report = cell.run(0, Disturbance::None).unwrap();
    assert_ne!(report.outcome, Outcome::Succeeded);
    let cause = report.safety.iter().map(|(_, _, cause)| cause.as_str()).find(|cause| !cause.is_empty());
    assert!(cause.is_some_and(|cause| cause.contains("workspace")), "{:?}", report.safety);
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}
