//! From the files of an artifact to a skill that can run in this cell, or to everything that is wrong with it.
//!
//! 1. Every role has a robot, of the group that the skill was made for.
//! 2. Every tree loads, as its role has it ([`crate::project`]), with what it includes from the artifact: known leaves, known
//!    ports, no cycle.
//! 3. All trees enter the same phases in the same order, so that no barrier waits for a role that never comes.
//! 4. The static checker finds no error in the trees, alone and side by side ([`swarm_bt_check`]).
//! 5. Every policy that a tree calls is the one that the manifest gives its role; it loads, agrees with its golden vectors, and has
//!    statistics where it needs them. A policy with chunks is loaded anew for every role, since two roles ask it at the same time.
//!
//! 6. What a tree asks of peripherals is what the cell's declaration names, in the way that it says ([`Peripherals`]).
//!
//! The envelope is not judged here: that is `swarm_safety_core::compose`, and the limits given are its result.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use swarm_artifact::{ChunkedEntry, EntryPath, PolicyEntry, SkillSource};
use swarm_base::{Duration, Role};
use swarm_bt::Tree;
use swarm_bt_check::{Code, Limits, Report, RoleTree, check};
use swarm_bt_log::Recipe;
use swarm_cell::PeripheralKind;
use swarm_kinematics::{ArmModel, JointVector, Load};

use crate::check::{leaf_table, shared_entries};
use crate::cooperation::Phase;
use crate::errand::{Peripherals, parse_content};
use crate::golden::GoldenVectors;
use crate::leaves::phases;
use crate::motion::MotionLimits;
use crate::policy::{
    ChunkedPolicy, ModelShape, NamedPolicy, Policy, PolicyKind, PolicyRunner, Statistics, shape_of,
};
use crate::role_spec::RoleSpec;
use crate::skill_problem::{Fault, SkillProblem, SkillProblems};
use crate::trees::{LoadedTree, load_trees};

/// One robot of the cell, and the role that it plays.
#[derive(Clone, Debug)]
pub struct CellRobot {
    pub name: String,
    /// `ur5e`, `panda`: the group that a skill's role asks for.
    pub model: String,
    pub arm: Arc<ArmModel>,
    pub tool: Load,
    pub home: JointVector,
    /// From the cell's ceiling tightened by the skill's envelope.
    pub limits: MotionLimits,
    /// See [`RoleSpec::input_timeout`].
    pub input_timeout: Duration,
}

/// A skill that can run.
#[derive(Clone, Debug)]
pub struct Skill {
    /// One per role, in the order of [`Role::ALL`].
    pub roles: Vec<RoleSpec>,
    pub phases: Vec<Phase>,
    /// What the static checker says of the trees: no errors, but maybe warnings, and how far it has looked.
    pub report: Report,
    /// What each role's tree is made from, for recordings of runs.
    pub recipes: BTreeMap<Role, Arc<Recipe>>,
}

/// Where the files of an artifact come from, and what makes a policy of an ONNX file. The error says whose fault it is.
pub trait Material {
    fn read(&self, path: &EntryPath) -> Result<Vec<u8>, Fault>;

    /// Loads a policy and checks it against its golden vectors.
    fn load_policy(&self, onnx: &[u8], golden: &GoldenVectors) -> Result<Arc<Mutex<dyn Policy>>, Fault>;

    /// Loads a policy that answers with chunks, checks that it has this shape, and checks it against its golden vectors. `deadline` is
    /// what an answer may take; who asks judges it.
    fn load_chunked(
        &self,
        onnx: &[u8],
        shape: &ModelShape,
        golden: &GoldenVectors,
        deadline: Duration,
    ) -> Result<Box<dyn PolicyRunner>, Fault>;
}

impl Skill {
    /// Makes the skill, or lists everything that is wrong with it.
    pub fn assemble(
        source: &SkillSource,
        robots: &BTreeMap<Role, CellRobot>,
        peripherals: &dyn Peripherals,
        material: &dyn Material,
    ) -> Result<Self, SkillProblems> {
        let mut problems = Vec::new();
        let loaded = load_trees(source, material, &mut problems);
        let recipes = loaded.iter().map(|(role, loaded)| (*role, Arc::clone(&loaded.recipe))).collect();
        let trees: BTreeMap<Role, Arc<Tree>> =
            loaded.into_iter().map(|(role, LoadedTree { tree, .. })| (role, tree)).collect();
        let phases = common_phases(&trees, &mut problems);
        let report = check_trees(&trees);
        // That the roles' phases differ has just been said.
        let errors = report.errors().filter(|finding| finding.code != Code::PhasesDiffer);
        problems.extend(errors.map(|finding| SkillProblem::Check(Box::new(finding.clone()))));
        let policies = load_policies(source, material, &mut problems);
        let mut roles = Vec::new();
        for (&role, entry) in &source.roles {
            let Some(robot) = robots.get(&role) else {
                problems.push(SkillProblem::NoRobot { role });
                continue;
            };
            if robot.model != entry.robot_group {
                problems.push(SkillProblem::WrongGroup {
                    role,
                    group: entry.robot_group.clone(),
                    robot: robot.name.clone(),
                    model: robot.model.clone(),
                });
            }
            let Some(tree) = trees.get(&role) else { continue };
            let given = entry.policy.as_ref().and_then(|name| source.policies.get_key_value(name));
            check_calls(role, tree, given, &mut problems);
            check_peripherals(role, tree, peripherals, &mut problems);
            let policy = given.and_then(|(name, entry)| match &entry.chunked {
                None => policies.get(name).cloned(),
                Some(chunked) => load_chunked(name, entry, chunked, robot.arm.dof(), material)
                    .map_err(|found| problems.extend(found))
                    .ok(),
            });
            roles.push(RoleSpec {
                role,
                robot: robot.name.clone(),
                arm: Arc::clone(&robot.arm),
                tool: robot.tool,
                home: robot.home,
                limits: robot.limits,
                input_timeout: robot.input_timeout,
                tree: Arc::clone(tree),
                policy,
            });
        }
        if problems.is_empty() {
            Ok(Self { roles, phases, report, recipes })
        } else {
            Err(SkillProblems(problems))
        }
    }

    /// The roles of the skill.
    pub fn role_names(&self) -> Vec<Role> {
        self.roles.iter().map(|spec| spec.role).collect()
    }
}

fn check_trees(trees: &BTreeMap<Role, Arc<Tree>>) -> Report {
    let roles: Vec<RoleTree<'_>> =
        trees.iter().map(|(role, tree)| RoleTree { role: role.as_str(), tree }).collect();
    let shared = shared_entries(trees.values().map(AsRef::as_ref));
    check(&roles, &leaf_table(), &shared, Limits::default())
}

fn common_phases(trees: &BTreeMap<Role, Arc<Tree>>, problems: &mut Vec<SkillProblem>) -> Vec<Phase> {
    let words = |phases: &[Phase]| phases.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut common: Option<(Role, Vec<Phase>)> = None;
    for (&role, tree) in trees {
        let found = phases(tree);
        if found.is_empty() {
            problems.push(SkillProblem::NoPhases { role });
            continue;
        }
        match &common {
            None => common = Some((role, found)),
            Some((other, expected)) if *expected != found => problems.push(SkillProblem::PhasesDiffer {
                role,
                found: words(&found),
                other: *other,
                expected: words(expected),
            }),
            Some(_) => {}
        }
    }
    common.map(|(_, phases)| phases).unwrap_or_default()
}

fn check_calls(
    role: Role,
    tree: &Tree,
    given: Option<(&String, &PolicyEntry)>,
    problems: &mut Vec<SkillProblem>,
) {
    const LEAVES: [&str; 2] = ["RunPolicy", "FollowPolicy"];
    for node in tree.nodes() {
        let Some(leaf) = LEAVES.into_iter().find(|leaf| *leaf == node.id) else { continue };
        let Some(called) = tree.literal(node.uid, "policy").map(ToString::to_string) else { continue };
        match given {
            Some((name, entry)) if *name == called => {
                let expected = LEAVES[usize::from(entry.chunked.is_some())];
                if leaf != expected {
                    problems.push(SkillProblem::PolicyLeaf { role, called, leaf, expected });
                }
            }
            _ => {
                let given = given.map_or_else(|| "none".into(), |(name, _)| format!("'{name}'"));
                problems.push(SkillProblem::PolicyOfRole { role, called, given });
            }
        }
    }
}

/// What each leaf that asks a peripheral may ask of, and the port with what it sends.
const PERIPHERAL_LEAVES: [(&str, PeripheralKind, Option<&str>); 4] = [
    ("CallAction", PeripheralKind::Action, Some("goal")),
    ("CallService", PeripheralKind::Service, Some("request")),
    ("PublishTopic", PeripheralKind::Publish, Some("message")),
    ("WaitTopic", PeripheralKind::Subscribe, None),
];

fn check_peripherals(
    role: Role,
    tree: &Tree,
    peripherals: &dyn Peripherals,
    problems: &mut Vec<SkillProblem>,
) {
    for node in tree.nodes() {
        let leaf = PERIPHERAL_LEAVES.iter().find(|(id, ..)| *id == node.id);
        let Some((id, kind, port)) = leaf else { continue };
        if let Err(fault) = check_peripheral(tree, node.uid, id, (*kind, *port), peripherals) {
            problems.push(SkillProblem::Peripheral { role, node: node.path.clone(), fault });
        }
    }
}

/// What a leaf sends is checked as far as it stands in the tree.
fn check_peripheral(
    tree: &Tree,
    uid: u16,
    id: &str,
    (kind, port): (PeripheralKind, Option<&str>),
    peripherals: &dyn Peripherals,
) -> Result<(), Fault> {
    let wrong = Fault::OfArtifact;
    let Some(name) = tree.literal(uid, "peripheral").map(ToString::to_string) else {
        let reason = "port 'peripheral' has to name a peripheral, not a blackboard entry: it is checked before the run";
        return Err(wrong(reason.to_owned()));
    };
    match peripherals.kind(&name) {
        Some(found) if found == kind => {}
        Some(found) => return Err(wrong(format!("peripheral '{name}' is {found}, but {id} asks {kind}"))),
        None => {
            return Err(Fault::OfCell(format!(
                "the cell has no peripheral '{name}'; declare it under peripherals in cell.yaml to allow it"
            )));
        }
    }
    let Some(content) = port.and_then(|port| tree.literal(uid, port)) else { return Ok(()) };
    let content = parse_content(&content.to_string()).map_err(wrong)?;
    peripherals
        .check(&name, &content)
        .map_err(|reason| wrong(format!("{content} cannot be sent to '{name}': {reason}")))
}

/// Those that answer every tick.
fn load_policies(
    source: &SkillSource,
    material: &dyn Material,
    problems: &mut Vec<SkillProblem>,
) -> BTreeMap<String, NamedPolicy> {
    let mut policies = BTreeMap::new();
    for (name, entry) in source.policies.iter().filter(|(_, entry)| entry.chunked.is_none()) {
        let loaded = load(name, entry, material, |onnx, golden| material.load_policy(onnx, golden));
        match loaded {
            Ok(policy) => {
                policies.insert(name.clone(), named(name, entry, PolicyKind::Reactive(policy)));
            }
            Err(problem) => problems.push(problem),
        }
    }
    policies
}

/// One that answers with chunks, for an arm of so many joints.
fn load_chunked(
    name: &str,
    entry: &PolicyEntry,
    chunked: &ChunkedEntry,
    dof: usize,
    material: &dyn Material,
) -> Result<NamedPolicy, Vec<SkillProblem>> {
    let path = || chunked.statistics.clone();
    let statistics = material
        .read(&chunked.statistics)
        .map_err(|fault| vec![SkillProblem::Unreadable { path: path(), fault }])?;
    let statistics = Statistics::parse(&String::from_utf8_lossy(&statistics)).map_err(|source| {
        vec![SkillProblem::StatisticsUnreadable { name: name.to_owned(), path: path(), source }]
    })?;
    let shape = shape_of(chunked, dof);
    let made =
        |onnx: &[u8], golden: &GoldenVectors| material.load_chunked(onnx, &shape, golden, deadline_of(entry));
    let runner = load(name, entry, material, made).map_err(|problem| vec![problem])?;
    let policy = ChunkedPolicy::new(chunked.clone(), dof, &statistics, runner).map_err(|problems| {
        let problem = |source| SkillProblem::Statistics { name: name.to_owned(), path: path(), source };
        problems.into_iter().map(problem).collect::<Vec<_>>()
    })?;
    Ok(named(name, entry, PolicyKind::Chunked(Arc::new(policy))))
}

fn named(name: &str, entry: &PolicyEntry, kind: PolicyKind) -> NamedPolicy {
    NamedPolicy { name: name.to_owned(), deadline: deadline_of(entry), kind }
}

fn deadline_of(entry: &PolicyEntry) -> Duration {
    Duration::from_micros(entry.deadline_us.into())
}

/// Reads the files of a policy, and makes it.
fn load<T>(
    name: &str,
    entry: &PolicyEntry,
    material: &dyn Material,
    make: impl FnOnce(&[u8], &GoldenVectors) -> Result<T, Fault>,
) -> Result<T, SkillProblem> {
    let read = |path: &EntryPath| {
        material.read(path).map_err(|fault| SkillProblem::Unreadable { path: path.clone(), fault })
    };
    let golden = GoldenVectors::parse(&String::from_utf8_lossy(&read(&entry.golden)?)).map_err(|source| {
        SkillProblem::Golden { name: name.to_owned(), path: entry.golden.clone(), source }
    })?;
    make(&read(&entry.file)?, &golden).map_err(|fault| SkillProblem::Policy {
        name: name.to_owned(),
        path: entry.file.clone(),
        fault,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str =
        r#"<root BTCPP_format="4"><BehaviorTree ID="Main"><EnterPhase phase="go"/></BehaviorTree></root>"#;

    /// A file that the disk does not give back.
    const BAD_SECTOR: &str = "trees/bad.xml";

    /// Trees by their paths, the last for every other path; and no policy.
    struct Trees<'a>(&'a [(&'a str, &'a str)]);

    impl Material for Trees<'_> {
        fn read(&self, path: &EntryPath) -> Result<Vec<u8>, Fault> {
            if path.as_str() == BAD_SECTOR {
                return Err(Fault::OfCell("input/output error".into()));
            }
            let known = self.0.iter().find(|(name, _)| *name == path.as_str());
            let any = self.0.last().filter(|(name, _)| *name == "*" && path.as_str().ends_with("xml"));
            let found = known.or(any).map(|(_, text)| (*text).into());
            found.ok_or_else(|| Fault::OfArtifact("it is not there".into()))
        }

        fn load_policy(&self, _: &[u8], _: &GoldenVectors) -> Result<Arc<Mutex<dyn Policy>>, Fault> {
            Err(Fault::OfArtifact("there are no policies here".into()))
        }

        fn load_chunked(
            &self,
            _: &[u8],
            _: &ModelShape,
            _: &GoldenVectors,
            _: Duration,
        ) -> Result<Box<dyn PolicyRunner>, Fault> {
            Err(Fault::OfArtifact("there are no policies here".into()))
        }
    }

    #[test]
    fn a_role_without_robot_and_every_other_problem_are_listed_at_once() {
        let source = SkillSource::parse(
            "schema_version: 1\nskill_id: s\nversion: 1.0.0\nenvelope: e.yaml\nroles:\n\
             \x20 leader: {tree: a.xml, tree_id: Main, robot_group: ur5e}\n\
             \x20 spotter: {tree: b.xml, tree_id: Watch, robot_group: panda, policy: see}\n\
             policies:\n  see: {file: see.onnx, golden: see.json, deadline_us: 2000}\n",
        )
        .unwrap();
        let problems =
            Skill::assemble(&source, &BTreeMap::new(), &Vec::new(), &Trees(&[("*", TREE)])).unwrap_err();
        let texts: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 4, "{texts:?}");
        assert!(texts[0].starts_with("the tree of role spotter: b.xml"), "{}", texts[0]);
        assert_eq!(texts[1], "see.json cannot be read: it is not there");
        assert_eq!(texts[2], "role leader has no robot: the cell's declaration gives it none");
        assert_eq!(texts[3], "role spotter has no robot: the cell's declaration gives it none");
        assert_eq!(problems.to_string(), texts.join("; "));
    }

    #[test]
    fn a_tree_that_never_ends_is_refused_with_the_finding() {
        const FOR_EVER: &str = r#"<root BTCPP_format="4"><BehaviorTree ID="Main"><Sequence><EnterPhase phase="go"/>
            <RetryUntilSuccessful num_attempts="-1"><AlwaysFailure/></RetryUntilSuccessful></Sequence></BehaviorTree></root>"#;
        let source = SkillSource::parse(
            "schema_version: 1\nskill_id: s\nversion: 1.0.0\nenvelope: e.yaml\nroles:\n\
             \x20 leader: {tree: a.xml, tree_id: Main, robot_group: ur5e}\n",
        )
        .unwrap();
        let problems =
            Skill::assemble(&source, &BTreeMap::new(), &Vec::new(), &Trees(&[("*", FOR_EVER)])).unwrap_err();
        let text = problems.0[0].to_string();
        assert!(
            text.starts_with("the trees do not pass the check: a.xml:2: error BT302 (role leader) at Retry"),
            "{text}"
        );
    }

    /// What a leader whose tree is `trees/a.xml` is refused for, apart from the robot that there is none of.
    fn problems_of(files: &[(&str, &str)]) -> SkillProblems {
        let source = SkillSource::parse(
            "schema_version: 1\nskill_id: s\nversion: 1.0.0\nenvelope: e.yaml\nroles:\n\
             \x20 leader: {tree: trees/a.xml, tree_id: Main, robot_group: ur5e}\n",
        )
        .unwrap();
        let problems = Skill::assemble(&source, &BTreeMap::new(), &Vec::new(), &Trees(files)).unwrap_err().0;
        let other = |problem: &SkillProblem| !matches!(problem, SkillProblem::NoRobot { .. });
        SkillProblems(problems.into_iter().filter(other).collect())
    }

    fn refused_for(files: &[(&str, &str)]) -> Vec<String> {
        problems_of(files).0.iter().map(ToString::to_string).collect()
    }

    fn including(path: &str) -> String {
        format!(
            r#"<root BTCPP_format="4"><include {path}/><BehaviorTree ID="Main"><SubTree ID="Go"/></BehaviorTree></root>"#
        )
    }

    #[test]
    fn a_tree_has_what_it_includes_from_the_artifact_written_for_its_role() {
        let library = r#"<root BTCPP_format="4"><include path="more/out.xml"/><BehaviorTree ID="Go">
            <Sequence><EnterPhase phase="go"/><SubTree ID="Out" role="leader"/><SubTree ID="In" role="spotter"/></Sequence>
            </BehaviorTree></root>"#;
        let out = r#"<root BTCPP_format="4"><BehaviorTree ID="Out"><Sleep msec="10"/></BehaviorTree></root>"#;
        let main = including(r#"path="../lib/go.xml""#);
        let files = [("trees/a.xml", &*main), ("lib/go.xml", library), ("lib/more/out.xml", out)];
        // Of the tree `In` there is nothing; it is not for the leader.
        assert_eq!(refused_for(&files), [""; 0]);
        assert_eq!(
            refused_for(&files[..2]),
            [
                r#"the tree of role leader: lib/go.xml:1:24: <include path="more/out.xml">: cannot read 'lib/more/out.xml': it is not there"#
            ]
        );
    }

    #[test]
    fn an_include_that_leaves_the_artifact_is_refused() {
        let outside =
            r#"<root BTCPP_format="4"><BehaviorTree ID="Go"><EnterPhase phase="go"/></BehaviorTree></root>"#;
        for (path, expected) in [
            (r#"path="../../go.xml""#, "the path leaves the place that holds the tree"),
            (r#"path="/etc/go.xml""#, "the path leaves the place that holds the tree"),
            (
                r#"ros_pkg="lib" path="go.xml""#,
                "cannot read 'package://lib/go.xml': it is in the ROS package lib, and nothing outside of the artifact is signed",
            ),
            (r#"path=".hidden.xml""#, "cannot read 'trees/.hidden.xml': 'trees/.hidden.xml' has the segment"),
        ] {
            // Whatever is asked for would be there.
            let refusal = refused_for(&[("trees/a.xml", &including(path)), ("*", outside)]);
            assert!(refusal.first().is_some_and(|text| text.contains(expected)), "{path}: {refusal:?}");
        }
    }
    #[test]
    fn what_the_cell_lacks_is_not_the_artifacts_fault() {
        let asking = TREE.replace(
            r#"<EnterPhase phase="go"/>"#,
            r#"<PublishTopic peripheral="light" message="json:{}"/>"#,
        );
        let tree =
            swarm_bt::Loader::new(&crate::leaves::registry()).document("a.xml", &asking).load().unwrap();
        let mut undeclared = Vec::new();
        check_peripherals(Role::Leader, &tree, &Vec::new(), &mut undeclared);
        let including = |path: &str| problems_of(&[("trees/a.xml", &including(path))]).0;
        for (what, problems, is_of_cell) in [
            ("a robot that is not declared", vec![SkillProblem::NoRobot { role: Role::Leader }], true),
            ("a peripheral that is not declared", undeclared, true),
            ("a file that the disk does not give back", including(r#"path="bad.xml""#), true),
            ("a file that the artifact does not have", including(r#"path="none.xml""#), false),
        ] {
            assert_eq!(problems.len(), 1, "{what}: {problems:?}");
            let fault = Fault::from(SkillProblems(problems));
            assert_eq!(matches!(fault, Fault::OfCell(_)), is_of_cell, "{what}: {fault:?}");
        }
    }
}
