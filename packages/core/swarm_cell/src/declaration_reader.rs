//! From the tree to the declaration: every field with its range, then what must agree between parts.
//!
//! A reader gives `None` after it has noted why. Parts are read to their end before their `?`s, so that one mistake does
//! not hide the next.

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::TAU;

use serde_json::Value as Json;
use swarm_base::Role;
use swarm_yaml::{Cursor, Value};

use crate::declaration::{
    ArtifactPaths, CellConfig, Cpu, GripperConfig, Lifecycle, NodeConfig, PayloadConfig, PoseConfig,
    RobotConfig, RoleMap, SafetyFile, Schedule, SchedulePolicy,
};
use crate::driver_reader::read_driver;
use crate::mistake::ConfigError;
use crate::model::Model;
use crate::peripheral_reader::read_peripherals;
use crate::registry_reader::read_registry;

/// Form of the declaration that this version reads.
const SCHEMA: u64 = 1;
const MAX_ROBOTS: usize = 3;
/// A cell is a bench or a room: nothing stands further from the world's origin.
const ROOM_M: f64 = 20.0;
/// A gripper with its payload is smaller than this.
const TOOL_M: f64 = 1.0;
const LONGEST_PERIOD_US: u64 = 10_000_000;
/// The package whose node alone gives arms leave to move.
const SAFETY_MONITOR: &str = "swarm_safety_monitor";

pub(crate) fn read(text: &str) -> Result<CellConfig, ConfigError> {
    swarm_yaml::read(text, read_cell).map_err(|mistakes| ConfigError { mistakes })
}

fn read_cell(at: &Cursor<'_>) -> Option<CellConfig> {
    let mut names = Names::default();
    let [schema, cell, robots, roles, peripherals, artifacts, safety, registry, nodes] = at.fields([
        "schema",
        "cell",
        "robots",
        "roles",
        "peripherals",
        "artifacts",
        "safety",
        "registry",
        "nodes",
    ])?;
    let schema = schema.required("1", |at| at.schema(SCHEMA));
    let cell = cell.required("the cell's name", lower_case_name);
    let robots = robots.required("the cell's robots", |at| read_robots(at, &mut names));
    let roles = roles.required("which robot plays which role", |at| read_roles(at, &names));
    let known = robots.as_deref().unwrap_or_default();
    let peripherals = peripherals.optional(Vec::new(), |at| read_peripherals(at, known));
    let artifacts = artifacts.required("where artifacts are kept", read_artifacts);
    let safety = safety.required("the file of the safety ceiling", read_safety);
    let registry = registry.optional(None, |at| read_registry(at).map(Some));
    let nodes = nodes.required("the cell's nodes", read_nodes);
    Some(CellConfig {
        schema: schema? as u32,
        cell: cell?,
        robots: robots?,
        roles: roles?,
        peripherals: peripherals?,
        artifacts: artifacts?,
        safety: safety?,
        registry: registry?,
        nodes: nodes?,
    })
}

/// Names of the robots, also of those with mistakes, so that a role naming one of them is not called wrong too.
#[derive(Default)]
struct Names(Vec<String>);

fn read_robots(at: &Cursor<'_>, names: &mut Names) -> Option<Vec<RobotConfig>> {
    const EXPECTED: &str = "a list of one to three robots";
    let count = at.items(EXPECTED)?.len();
    if !(1..=MAX_ROBOTS).contains(&count) {
        at.note(format!("expected one to three robots, found {count}"));
    }
    let mut lines = BTreeMap::new();
    at.list(EXPECTED, |item| read_robot(item, names, &mut lines))
}

fn read_robot(
    at: &Cursor<'_>,
    names: &mut Names,
    lines: &mut BTreeMap<String, usize>,
) -> Option<RobotConfig> {
    let [name, model, urdf, gripper_urdf, base_in_world, home_rad, gripper, payload, driver] =
        at.fields([
            "name",
            "model",
            "urdf",
            "gripper_urdf",
            "base_in_world",
            "home_rad",
            "gripper",
            "payload",
            "driver",
        ])?;
    let name = name.required("the robot's name", |at| unique(at, lower_case_name(at)?, lines));
    names.0.extend(name.clone());
    let model =
        model.required("ur5e or panda", |at| at.one_of(&Model::ALL.map(|model| (model.as_str(), model))));
    let urdf = urdf.required("the path of the arm's URDF", relative_path);
    let gripper_urdf = gripper_urdf.optional(None, |at| relative_path(at).map(Some));
    let base_in_world = base_in_world.required("the pose of the base in the world", read_pose);
    let home_rad = home_rad.required("the joint positions of the rest pose", |at| read_home(at, model));
    let gripper = gripper.required("the gripper", read_gripper);
    let payload = payload.required("the payload", |at| read_payload(at, model, gripper.as_ref()));
    let driver = driver.optional(None, |at| read_driver(at).map(Some));
    Some(RobotConfig {
        name: name?,
        model: model?,
        urdf: urdf?,
        gripper_urdf: gripper_urdf?,
        base_in_world: base_in_world?,
        home_rad: home_rad?,
        gripper: gripper?,
        payload: payload?,
        driver: driver?,
    })
}

fn read_pose(at: &Cursor<'_>) -> Option<PoseConfig> {
    let [xyz_m, rpy_rad] = at.fields(["xyz_m", "rpy_rad"])?;
    let xyz_m = xyz_m.required("three numbers (m)", |at| at.triple(-ROOM_M..=ROOM_M, "m"));
    let rpy_rad = rpy_rad.required("three numbers (rad)", |at| at.triple(-TAU..=TAU, "rad"));
    Some(PoseConfig { xyz_m: xyz_m?, rpy_rad: rpy_rad? })
}

/// The rest pose; joint count and ranges are checked where the model is known.
fn read_home(at: &Cursor<'_>, model: Option<Model>) -> Option<Vec<f64>> {
    const EXPECTED: &str = "a list of joint positions (rad)";
    let Some(model) = model else { return at.list(EXPECTED, |item| item.number(-TAU..=TAU, "rad")) };
    let (ranges, found) = (model.joint_range_rad(), at.items(EXPECTED)?.len());
    if found != ranges.len() {
        let expected = format!("{} positions, one per joint of a {}", ranges.len(), model.as_str());
        return at.wrong(format!("expected {expected}, found {found}"));
    }
    let mut ranges = ranges.iter();
    at.list(EXPECTED, |item| {
        let (low, high) = ranges.next()?;
        item.number(*low..=*high, "rad")
    })
}

fn read_gripper(at: &Cursor<'_>) -> Option<GripperConfig> {
    let [min_width_m, max_width_m, max_force_n, mass_kg, com_m, tcp_m] =
        at.fields(["min_width_m", "max_width_m", "max_force_n", "mass_kg", "com_m", "tcp_m"])?;
    let min_width_m = min_width_m.required("the smallest opening (m)", |at| at.number(0.0..=TOOL_M, "m"));
    let max_width_m = max_width_m.required("the largest opening (m)", |at| {
        let width = at.number(0.0..=TOOL_M, "m")?;
        match min_width_m {
            Some(min) if width <= min => at.expected(format!("more than min_width_m, {min} m")),
            _ => Some(width),
        }
    });
    let max_force_n = max_force_n.required("the largest grip force (N)", |at| at.number(0.0..=1000.0, "N"));
    let mass_kg = mass_kg.required("the gripper's mass (kg)", |at| at.number(0.0..=50.0, "kg"));
    let com_m =
        com_m.required("the centre of mass in the flange frame (m)", |at| at.triple(-TOOL_M..=TOOL_M, "m"));
    let tcp_m = tcp_m
        .required("the tool centre point in the flange frame (m)", |at| at.triple(-TOOL_M..=TOOL_M, "m"));
    Some(GripperConfig {
        min_width_m: min_width_m?,
        max_width_m: max_width_m?,
        max_force_n: max_force_n?,
        mass_kg: mass_kg?,
        com_m: com_m?,
        tcp_m: tcp_m?,
    })
}

fn read_payload(
    at: &Cursor<'_>,
    model: Option<Model>,
    gripper: Option<&GripperConfig>,
) -> Option<PayloadConfig> {
    let [mass_kg] = at.fields(["mass_kg"])?;
    let mass_kg = mass_kg.required("the payload's mass (kg)", |at| {
        let mass = at.number(0.0..=50.0, "kg")?;
        if let (Some(model), Some(gripper)) = (model, gripper) {
            let rated = model.rated_payload_kg();
            if gripper.mass_kg + mass > rated {
                return at.wrong(format!(
                    "expected at most {rated} kg in all, what a {} may carry, found {mass} kg on a gripper of {} kg",
                    model.as_str(),
                    gripper.mass_kg
                ));
            }
        }
        Some(mass)
    });
    Some(PayloadConfig { mass_kg: mass_kg? })
}

fn read_roles(at: &Cursor<'_>, robots: &Names) -> Option<RoleMap> {
    let [leader, follower, spotter] = at.fields(["leader", "follower", "spotter"])?;
    let mut players = BTreeMap::new();
    let mut role = |at: &Cursor<'_>| {
        let name = non_empty(at, "a robot's name")?;
        if !robots.0.contains(&name) {
            return at.expected(format!("a robot of this cell ({})", robots.0.join(", ")));
        }
        match players.insert(name.clone(), at.path().to_owned()) {
            Some(other) => at.expected(format!("another robot: this one plays {other} already")),
            None => Some(name),
        }
    };
    let leader = leader.required("the robot that leads", &mut role).map(Some);
    let follower = follower.optional(None, |at| role(at).map(Some));
    let spotter = spotter.optional(None, |at| role(at).map(Some));
    let played = [(Role::Leader, leader?), (Role::Follower, follower?), (Role::Spotter, spotter?)];
    Some(RoleMap(played.into_iter().filter_map(|(role, robot)| Some((role, robot?))).collect()))
}

fn read_artifacts(at: &Cursor<'_>) -> Option<ArtifactPaths> {
    let [store, trust_file] = at.fields(["store", "trust_file"])?;
    let store = store.required("the folder of the artifact store", |at| non_empty(at, "a path"));
    let trust_file = trust_file.required("the file of trusted keys", |at| non_empty(at, "a path"));
    Some(ArtifactPaths { store: store?, trust_file: trust_file? })
}

fn read_safety(at: &Cursor<'_>) -> Option<SafetyFile> {
    let [file] = at.fields(["file"])?;
    Some(SafetyFile { file: file.required("the path of the safety ceiling", relative_path)? })
}

fn read_nodes(at: &Cursor<'_>) -> Option<Vec<NodeConfig>> {
    let mut lines = BTreeMap::new();
    let nodes = at.list("a list of nodes", |item| read_node(item, &mut lines))?;
    let monitors =
        nodes.iter().filter(|node: &&NodeConfig| node.package == SAFETY_MONITOR && !node.simulation_only);
    match monitors.count() {
        1 => Some(nodes),
        several => at.wrong(format!(
            "expected exactly one node of package {SAFETY_MONITOR} that is not simulation_only (it alone gives arms leave \
             to move), found {several}"
        )),
    }
}

fn read_node(at: &Cursor<'_>, lines: &mut BTreeMap<String, usize>) -> Option<NodeConfig> {
    let [name, package, executable, namespace, lifecycle, simulation_only, schedule, remappings, parameters] =
        at.fields([
            "name",
            "package",
            "executable",
            "namespace",
            "lifecycle",
            "simulation_only",
            "schedule",
            "remappings",
            "parameters",
        ])?;
    let name = name.required("the node's name", |at| {
        let name = at.text_that(is_ros_name, "a ROS name: letters, digits and _, a letter first")?;
        unique(at, name, lines)
    });
    let package = package.required("the node's package", lower_case_name);
    let executable = executable.required("the package's executable", |at| {
        at.text_that(|text| !text.is_empty() && !text.contains(['/', ' ']), "a file name")
    });
    let namespace =
        namespace.optional(String::new(), |at| at.text_that(is_namespace, "'' or ROS names joined by /"));
    let lifecycle = lifecycle.required("managed or unmanaged", |at| {
        at.one_of(&[("managed", Lifecycle::Managed), ("unmanaged", Lifecycle::Unmanaged)])
    });
    let simulation_only = simulation_only.optional(false, Cursor::boolean);
    let schedule = schedule.required("how the node is scheduled", read_schedule);
    let remappings = remappings.optional(BTreeMap::new(), read_remappings);
    let parameters = parameters.optional(BTreeMap::new(), read_parameters);
    Some(NodeConfig {
        name: name?,
        package: package?,
        executable: executable?,
        namespace: namespace?,
        lifecycle: lifecycle?,
        simulation_only: simulation_only?,
        schedule: schedule?,
        remappings: remappings?,
        parameters: parameters?,
    })
}

fn read_schedule(at: &Cursor<'_>) -> Option<Schedule> {
    let [policy, priority, cpu, period_us, deadline_us] =
        at.fields(["policy", "priority", "cpu", "period_us", "deadline_us"])?;
    let policy = policy.required("other or fifo", |at| {
        at.one_of(&[("other", SchedulePolicy::Other), ("fifo", SchedulePolicy::Fifo)])
    });
    let priority = priority.required("a priority", |at| match (policy, at.integer(0..=99)?) {
        (Some(SchedulePolicy::Fifo), 0) => at.expected("1 to 99 with policy fifo"),
        (Some(SchedulePolicy::Other), 1..) => at.expected("0 with policy other: only fifo has priorities"),
        (_, priority) => Some(priority as u8),
    });
    let cpu = cpu.required("any, or a core's number", |at| match *at.value() {
        Value::Text(ref word) if word == "any" => Some(Cpu::Any),
        Value::Integer(core @ 0..=1023) => Some(Cpu::Core(core as u16)),
        _ => at.expected("any, or a core's number from 0 to 1023"),
    });
    let period_us = period_us.required("the period (us)", |at| at.integer(1..=LONGEST_PERIOD_US));
    let deadline_us = deadline_us.required("the deadline (us)", |at| {
        let deadline = at.integer(1..=LONGEST_PERIOD_US)?;
        match period_us {
            Some(period) if deadline > period => at.expected(format!("at most period_us, {period}")),
            _ => Some(deadline),
        }
    });
    Some(Schedule {
        policy: policy?,
        priority: priority?,
        cpu: cpu?,
        period_us: period_us?,
        deadline_us: deadline_us?,
    })
}

fn read_remappings(at: &Cursor<'_>) -> Option<BTreeMap<String, String>> {
    at.mapping("a mapping of names to names", |_, at| {
        at.text_that(is_graph_name, "the name of a topic or service")
    })
}

/// ROS parameters: single values, or lists of one type.
pub(crate) fn read_parameters(at: &Cursor<'_>) -> Option<BTreeMap<String, Json>> {
    at.mapping("a mapping of ROS parameters", |_, at| read_parameter(at))
}

fn read_parameter(at: &Cursor<'_>) -> Option<Json> {
    const EXPECTED: &str =
        "a value ROS parameters have: true/false, a number, a text, or a list of one of these";
    if !matches!(at.value(), Value::List(_)) {
        return single(at, EXPECTED);
    }
    let items = at.list(EXPECTED, |item| single(item, EXPECTED))?;
    let kinds: BTreeSet<_> = items.iter().map(ros_kind).collect();
    if kinds.len() > 1 {
        at.wrong(format!("expected {EXPECTED}, found a list of several types"))
    } else {
        Some(Json::Array(items))
    }
}

fn single(at: &Cursor<'_>, expected: &str) -> Option<Json> {
    match at.value() {
        Value::Boolean(value) => Some((*value).into()),
        Value::Integer(value) => Some((*value).into()),
        Value::Number(value) if value.is_finite() => Some((*value).into()),
        Value::Text(value) => Some(value.as_str().into()),
        _ => at.expected(expected),
    }
}

/// The parameter type that a list's item makes of its list.
fn ros_kind(value: &Json) -> &'static str {
    match value {
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_i64() => "integer",
        Json::Number(_) => "double",
        _ => "string",
    }
}

pub(crate) fn unique(at: &Cursor<'_>, name: String, lines: &mut BTreeMap<String, usize>) -> Option<String> {
    if let Some(line) = lines.get(&name) {
        return at.wrong(format!(
            "expected a name of its own, found '{name}' a second time (first on line {line})"
        ));
    }
    lines.insert(name.clone(), at.line());
    Some(name)
}

pub(crate) fn non_empty(at: &Cursor<'_>, expected: &str) -> Option<String> {
    at.text_that(|text| !text.is_empty(), expected)
}

/// A name that prefixes joints, links and topics.
pub(crate) fn lower_case_name(at: &Cursor<'_>) -> Option<String> {
    let good = |text: &str| is_ros_name(text) && !text.contains(|c: char| c.is_ascii_uppercase());
    at.text_that(good, "a name of lower-case letters, digits and _, a letter first")
}

/// A path inside the folder that holds `config/`.
fn relative_path(at: &Cursor<'_>) -> Option<String> {
    let good =
        |text: &str| !text.is_empty() && !text.starts_with('/') && text.split('/').all(|part| part != "..");
    at.text_that(good, "a path below the folder that holds config/, without '..'")
}

pub(crate) fn is_ros_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A topic or service: absolute, relative, or private (`~/`).
fn is_graph_name(text: &str) -> bool {
    let relative = text.strip_prefix("~/").or_else(|| text.strip_prefix('/')).unwrap_or(text);
    relative.split('/').all(is_ros_name)
}

fn is_namespace(text: &str) -> bool {
    text.is_empty() || text.strip_prefix('/').unwrap_or(text).split('/').all(is_ros_name)
}
