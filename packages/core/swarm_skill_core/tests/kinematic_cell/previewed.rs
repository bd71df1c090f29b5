//! Previews of the demo skill.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use nalgebra::Vector3;
use swarm_base::{Duration, Role};
use swarm_cell::CellConfig;
use swarm_safety_core::{Config, EnvelopeFile, Timing, Tolerances};
use swarm_skill_core::{
    Limit, NamedPolicy, Outcome, PolicyKind, Preview, PreviewRefusal, Scene, Skill, TwinPart, cell_robots,
    phases, preview, preview_watched,
};

use crate::cell::{self, StraightDown};

const ENVELOPE: &str = include_str!("../../../../../tests/data/cooperative_assembly/safety_envelope.yaml");

/// The cell under an envelope.
fn under(envelope: &str) -> Config {
    let cell = CellConfig::parse(cell::CELL).unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let read = |file: &str| {
        Ok::<_, swarm_safety_setup::SetupError>(std::fs::read_to_string(root.join(file)).unwrap())
    };
    let sources = swarm_safety_setup::Sources::gather(cell::CELL.to_owned(), read).unwrap();
    let config = sources.config(Timing::default(), Tolerances::default()).unwrap();
    let envelope = EnvelopeFile::parse(envelope).unwrap();
    config.with_envelope(Some(&envelope), &swarm_safety_setup::roles(&cell), 1).unwrap()
}

fn skill(config: &Config) -> Skill {
    let policy = NamedPolicy {
        name: "insert_peg".into(),
        deadline: Duration::from_millis(2),
        kind: PolicyKind::Reactive(Arc::new(Mutex::new(StraightDown::default()))),
    };
    let robots = cell_robots(&CellConfig::parse(cell::CELL).unwrap(), config);
    let specs = cell::TREES.map(|(role, xml)| {
        let limits = robots[&role].limits;
        swarm_skill_core::RoleSpec { limits, ..cell::spec(role, xml, &policy) }
    });
    Skill {
        phases: phases(&specs[0].tree),
        roles: specs.into(),
        report: swarm_bt_check::Report::default(),
        recipes: std::collections::BTreeMap::new(),
    }
}

fn run(config: &Config, parts: Vec<TwinPart>) -> Preview {
    preview(&skill(config), config, &Scene::with_parts(parts)).unwrap()
}

#[test]
fn the_demo_skill_is_accepted_with_what_it_takes_and_uses() {
    let config = under(ENVELOPE);
    let found = run(&config, cell::parts());
    assert_eq!(found.verdict(), Ok(()), "{found:#?}");
    let phases: Vec<&str> = found.phases.iter().map(|(phase, _)| phase.as_str()).collect();
    assert_eq!(phases, ["approach", "grip", "bring", "mate", "release", "retreat"]);
    assert!(found.phases.windows(2).all(|pair| pair[0].1 < pair[1].1));
    for arm in &found.arms {
        // More than an arm that stands, less than the ball that it can reach.
        assert!((0.02..3.0).contains(&arm.swept.volume_m3), "{arm:?}");
    }
    // Every limit of every robot, but for the spotter's workspace, which has none of its own.
    for limit in [Limit::JointVelocity, Limit::ToolSpeed, Limit::Separation, Limit::JointPosition] {
        assert_eq!(found.margins.iter().filter(|margin| margin.limit == limit).count(), 3, "{limit:?}");
    }
    let nearest = found.margins.iter().filter(|margin| margin.limit == Limit::Separation);
    let nearest = nearest.min_by(|a, b| a.margin().total_cmp(&b.margin())).unwrap();
    assert!(["mate", "release", "retreat"].contains(&nearest.place.phase.as_str()), "{nearest}");
    assert_eq!(found, run(&config, cell::parts()), "the same skill has the same preview");
}

/// The workspace ends before the place where the parts are mated.
#[test]
fn a_skill_that_leaves_the_workspace_is_refused_with_the_node_that_does() {
    let config = under(&ENVELOPE.replace("max_m: [0.75, 0.6, 0.8]", "max_m: [0.75, -0.1, 0.8]"));
    let found = run(&config, cell::parts());
    let Err(PreviewRefusal::Breaches(breaches)) = found.verdict() else { panic!("{found:#?}") };
    let leader = breaches.iter().find(|breach| breach.place.role == Role::Leader).unwrap();
    assert_eq!((leader.limit, leader.robot.as_str()), (Limit::Workspace, "ur5e_left"));
    // The mating place is 5 cm beyond.
    assert!((leader.value + 0.05).abs() < 0.005 && leader.margin() == leader.value, "{leader}");
    assert!(["bring", "mate", "release", "retreat"].contains(&leader.place.phase.as_str()), "{leader}");
    let text = found.verdict().unwrap_err().to_string();
    assert!(text.starts_with("the preview breaks the envelope: workspace of ur5e_"), "{text}");
    assert!(text.contains("role leader, phase ") && text.contains(", node "), "{text}");
}

#[test]
fn a_skill_that_does_not_succeed_is_refused_with_why() {
    let config = under(ENVELOPE);
    let without_b = cell::parts().into_iter().filter(|part| part.name != cell::PART_B).collect();
    let found = run(&config, without_b);
    assert!(matches!(found.outcome, Outcome::Aborted(_)));
    assert_eq!(
        found.verdict().unwrap_err().to_string(),
        "the preview ends with an abort: follower: Locate: part 'part_b' was seen 0 times in 3.0 s, expected 10"
    );
}

/// Out of reach: the arm stretches and never arrives; nobody waits for it for ever.
#[test]
fn a_skill_that_never_ends_is_given_up() {
    let config = under(ENVELOPE);
    let mut far = cell::parts();
    far[0].in_world.translation.vector = Vector3::new(-3.0, 0.0, 0.0);
    let scene = Scene { longest: Duration::from_millis(20_000), ..Scene::with_parts(far) };
    let found = preview(&skill(&config), &config, &scene).unwrap();
    assert_eq!(found.outcome, Outcome::Aborted("not over after 20 s".into()));
    assert_eq!(found.duration, Duration::from_millis(20_000));
    assert!(found.verdict().is_err());
}

#[test]
fn whoever_watches_sees_the_phases_and_may_break_it_off() {
    let config = under(ENVELOPE);
    let mut seen = Vec::new();
    let found = preview_watched(&skill(&config), &config, &Scene::with_parts(cell::parts()), &mut |run| {
        let phase = run.role_states()[0].phase.clone();
        if seen.last() != Some(&phase) {
            seen.push(phase);
        }
        if seen.len() < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break("enough".into()) }
    })
    .unwrap();
    assert_eq!(seen, ["", "approach", "grip"]);
    assert_eq!(found.outcome, Outcome::Canceled("enough".into()));
    assert_eq!(found.verdict().unwrap_err().to_string(), "the preview was canceled: enough");
    let whole = run(&config, cell::parts());
    assert!(found.duration < whole.duration, "{:?}", found.duration);
}

#[test]
fn a_robot_that_the_cell_does_not_have_is_named() {
    let config = under(ENVELOPE);
    let mut skill = skill(&config);
    skill.roles[0].robot = "ur5e_middle".into();
    let refusal = preview(&skill, &config, &Scene::with_parts(Vec::new())).unwrap_err();
    assert_eq!(refusal.to_string(), "robot ur5e_middle of role leader is not one of the cell's");
}
