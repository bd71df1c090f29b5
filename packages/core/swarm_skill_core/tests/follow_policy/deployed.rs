//! A skill with a chunked policy, assembled from the files of its artifact.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use swarm_artifact::{EntryPath, SkillSource};
use swarm_base::{Duration, Role};
use swarm_safety_core::{Timing, Tolerances};
use swarm_skill_core::{
    Fault, GoldenVectors, InlineRunner, Material, ModelShape, Policy, PolicyKind, PolicyRunner, Skill,
    cell_robots,
};

use crate::arm::{Scripted, TREE, steady};

const SOURCE: &str = "schema_version: 1\nskill_id: s\nversion: 1.0.0\nenvelope: e.yaml\nroles:\n  \
    leader: {tree: t.xml, tree_id: Main, robot_group: ur5e, policy: reach}\npolicies:\n  reach:\n    \
    file: reach.onnx\n    golden: reach.golden.json\n    deadline_us: 300000\n    \
    statistics: reach.stats.json\n    max_deviation: 6.0\n    inputs:\n      \
    observation.state: {of: [joint_position, gripper_width], rate_hz: 125, max_age_us: 40000, scaling: min_max}\n    \
    history: {steps: 2, period_us: 100000}\n    \
    chunk: {action: joint_position, gripper: true, horizon: 5, period_us: 100000, replan_us: 200000}\n";

const STATISTICS: &str = r#"{
    "observation.state": {"mean": [0, 0, 0, 0, 0, 0, 0], "std": [1, 1, 1, 1, 1, 1, 0.1],
        "min": [-3, -3, -3, -3, -3, -3, 0], "max": [3, 3, 3, 3, 3, 3, 0.085]},
    "action": {"mean": [0, 0, 0, 0, 0, 0, 0], "std": [1, 1, 1, 1, 1, 1, 0.1]}
}"#;

/// The files by the end of their names, and the shapes that were asked for.
struct Files {
    tree: String,
    statistics: String,
    shapes: RefCell<Vec<ModelShape>>,
}

impl Material for Files {
    fn read(&self, path: &EntryPath) -> Result<Vec<u8>, Fault> {
        let text = match path.as_str() {
            "t.xml" => self.tree.as_str(),
            "reach.stats.json" => self.statistics.as_str(),
            "reach.golden.json" => r#"{"tolerance": 1, "vectors": [{"observation": [], "action": []}]}"#,
            _ => "",
        };
        Ok(text.into())
    }

    fn load_policy(&self, _: &[u8], _: &GoldenVectors) -> Result<Arc<Mutex<dyn Policy>>, Fault> {
        Err(Fault::OfArtifact("there is no such policy here".into()))
    }

    fn load_chunked(
        &self,
        _: &[u8],
        shape: &ModelShape,
        _: &GoldenVectors,
        _: Duration,
    ) -> Result<Box<dyn PolicyRunner>, Fault> {
        self.shapes.borrow_mut().push(shape.clone());
        Ok(Box::new(InlineRunner::new(Scripted { shape: shape.clone(), script: steady(0.0) }, 0)))
    }
}

fn assemble(files: &Files) -> Result<Skill, Vec<String>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let read = |file: &str| {
        Ok::<_, swarm_safety_setup::SetupError>(std::fs::read_to_string(root.join(file)).unwrap())
    };
    let sources = swarm_safety_setup::Sources::gather(read("config/cell.yaml").unwrap(), read).unwrap();
    let config = sources.config(Timing::default(), Tolerances::default()).unwrap();
    let robots: BTreeMap<Role, _> = cell_robots(&sources.cell().unwrap(), &config);
    Skill::assemble(&SkillSource::parse(SOURCE).unwrap(), &robots, &Vec::new(), files)
        .map_err(|problems| problems.0.iter().map(ToString::to_string).collect())
}

fn files() -> Files {
    Files { tree: TREE.into(), statistics: STATISTICS.into(), shapes: RefCell::default() }
}

#[test]
fn the_network_is_asked_for_as_the_manifest_describes_it_for_the_roles_arm() {
    let files = files();
    let skill = assemble(&files).unwrap();
    let PolicyKind::Chunked(policy) = &skill.roles[0].policy.as_ref().unwrap().kind else { panic!() };
    let shapes = files.shapes.borrow();
    let [shape] = shapes.as_slice() else { panic!("{shapes:?}") };
    assert_eq!(shape, policy.shape());
    let [input] = shape.inputs.as_slice() else { panic!("{shape:?}") };
    assert_eq!((input.name.as_str(), input.steps, input.len), ("observation.state", 2, 7));
    assert_eq!((shape.horizon, shape.action_len), (5, 7));
}

#[test]
fn statistics_that_do_not_fit_refuse_the_skill_with_every_name() {
    let statistics = STATISTICS
        .replacen("0.1]", "0]", 1)
        .replace("[3, 3, 3, 3, 3, 3, 0.085]", "[3, 3, NaN, 3, 3, 3, 0.085]")
        .replace("\"action\"", "\"actions\"");
    assert_eq!(
        assemble(&Files { statistics, ..files() }).unwrap_err(),
        [
            "policy 'reach' (reach.stats.json): max[2] of 'observation.state' is no finite number",
            "policy 'reach' (reach.stats.json): std[6] of 'observation.state' is 0, expected a number above 0: the value did not \
             change in training",
            "policy 'reach' (reach.stats.json): the statistics have no feature 'action'; they have actions, observation.state",
        ]
    );
    let broken = assemble(&Files { statistics: "{".into(), ..files() }).unwrap_err();
    assert!(
        broken[0].starts_with("policy 'reach' (reach.stats.json): the statistics cannot be read: "),
        "{broken:?}"
    );
}

#[test]
fn a_policy_with_chunks_is_not_for_run_policy() {
    let tree = TREE
        .replace("FollowPolicy name", "RunPolicy pocket=\"a\" tip=\"b\" name")
        .replace("duration_s=\"1.0\"", "");
    assert_eq!(
        assemble(&Files { tree, ..files() }).unwrap_err(),
        ["the tree of role leader calls policy 'reach' with RunPolicy, but it is one for FollowPolicy"]
    );
}
