//! From the tree to the declaration: every field with its range, then what must agree between parts.
//!
//! A reader gives `None` after it has noted why. Parts are read to their end before their `?`s, so that one mistake does
//! not hide the next.

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::TAU;

use serde_json::Value as Json;
use swarm_base::Role;

use crate::cursor::{Cursor, Notes};
use crate::declaration::{
    ArtifactPaths, CellConfig, Cpu, GripperConfig, Lifecycle, NodeConfig, PayloadConfig, PoseConfig,
    RobotConfig, RoleMap, SafetyFile, Schedule, SchedulePolicy,
};
use crate::model::Model;
use crate::tree::{self, Value};
use crate::{ConfigError, Mistake};

/// Form of the declaration that this version reads.
const SCHEMA: i64 = 1;
const MAX_ROBOTS: usize = 3;
/// A cell is a bench or a room: nothing stands further from the world's origin.
const ROOM_M: f64 = 20.0;
/// A gripper with its payload is smaller than this.
const TOOL_M: f64 = 1.0;
const LONGEST_PERIOD_US: i64 = 10_000_000;
/// The package whose node alone gives arms leave to move.
const SAFETY_MONITOR: &str = "swarm_safety_monitor";

pub(crate) fn read(text: &str) -> Result<CellConfig, ConfigError> {
    let root = tree::parse(text).map_err(|mistake| ConfigError::new(vec![mistake]))?;
    let notes = Notes::default();
    let config = cell(&Cursor::new(&root, &notes));
    let mistakes: Vec<Mistake> = notes.into_mistakes();
    match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => Err(ConfigError::new(mistakes)),
    }
}

fn cell(at: &Cursor<'_>) -> Option<CellConfig> {
    let mut names = Names::default();
    let mut f = at.fields("a mapping with the cell's declaration")?;
    let schema = f.required("schema", "1", |at| match at.value() {
        Value::Integer(SCHEMA) => Some(1),
        _ => at.refuse("1, the form that this version reads"),
    });
    let cell = f.required("cell", "the cell's name", lower_case_name);
    let robots = f.required("robots", "the cell's robots", |at| robots(at, &mut names));
    let roles = f.required("roles", "which robot plays which role", |at| roles(at, &names));
    let artifacts = f.required("artifacts", "where artifacts are kept", artifacts);
    let safety = f.required("safety", "the file of the safety ceiling", |at| {
        let mut f = at.fields("a mapping with 'file'")?;
        let file = f.required("file", "the path of the safety ceiling", relative_path);
        f.end();
        Some(SafetyFile { file: file? })
    });
    let nodes = f.required("nodes", "the cell's nodes", nodes);
    f.end();
    Some(CellConfig {
        schema: schema?,
        cell: cell?,
        robots: robots?,
        roles: roles?,
        artifacts: artifacts?,
        safety: safety?,
        nodes: nodes?,
    })
}

/// Names of the robots, also of those with mistakes, so that a role naming one of them is not called wrong too.
#[derive(Default)]
struct Names(Vec<String>);

fn robots(at: &Cursor<'_>, names: &mut Names) -> Option<Vec<RobotConfig>> {
    let items = at.items("a list of one to three robots")?;
    if items.is_empty() || items.len() > MAX_ROBOTS {
        at.refuse_found::<()>(format!("{} robots", items.len()), "one to three");
    }
    let mut lines = BTreeMap::new();
    let robots: Vec<_> = items.iter().map(|item| robot(item, names, &mut lines)).collect();
    robots.into_iter().collect()
}

fn robot(at: &Cursor<'_>, names: &mut Names, lines: &mut BTreeMap<String, usize>) -> Option<RobotConfig> {
    let mut f = at.fields("a mapping with one robot")?;
    let name = f.required("name", "the robot's name", |at| unique(at, lower_case_name(at)?, lines));
    names.0.extend(name.clone());
    let model = f
        .required("model", "ur5e or panda", |at| at.one_of(&Model::ALL.map(|model| (model.as_str(), model))));
    let urdf = f.required("urdf", "the path of the arm's URDF", relative_path);
    let gripper_urdf = f.optional("gripper_urdf", None, |at| relative_path(at).map(Some));
    let base_in_world = f.required("base_in_world", "the pose of the base in the world", pose);
    let home_rad = f.required("home_rad", "the joint positions of the rest pose", |at| home(at, model));
    let gripper = f.required("gripper", "the gripper", gripper);
    let payload = f.required("payload", "the payload", |at| payload(at, model, gripper.as_ref()));
    f.end();
    Some(RobotConfig {
        name: name?,
        model: model?.as_str().to_owned(),
        urdf: urdf?,
        gripper_urdf: gripper_urdf?,
        base_in_world: base_in_world?,
        home_rad: home_rad?,
        gripper: gripper?,
        payload: payload?,
    })
}

fn pose(at: &Cursor<'_>) -> Option<PoseConfig> {
    let mut f = at.fields("a mapping with 'xyz_m' and 'rpy_rad'")?;
    let xyz_m = f.required("xyz_m", "three numbers (m)", |at| at.triple(-ROOM_M..=ROOM_M, "m"));
    let rpy_rad = f.required("rpy_rad", "three numbers (rad)", |at| at.triple(-TAU..=TAU, "rad"));
    f.end();
    Some(PoseConfig { xyz_m: xyz_m?, rpy_rad: rpy_rad? })
}

/// The rest pose; joint count and ranges are checked where the model is known.
fn home(at: &Cursor<'_>, model: Option<Model>) -> Option<Vec<f64>> {
    let items = at.items("a list of joint positions (rad)")?;
    let Some(model) = model else {
        return items.iter().map(|item| item.number(-TAU..=TAU, "rad")).collect();
    };
    let ranges = model.joint_range_rad();
    if items.len() != ranges.len() {
        let expected = format!("{}, one per joint of a {}", ranges.len(), model.as_str());
        return at.refuse_found(format!("{} positions", items.len()), expected);
    }
    let read = |(item, &(low, high)): (&Cursor<'_>, &(f64, f64))| item.number(low..=high, "rad");
    let positions: Vec<_> = items.iter().zip(ranges).map(read).collect();
    positions.into_iter().collect()
}

fn gripper(at: &Cursor<'_>) -> Option<GripperConfig> {
    let mut f = at.fields("a mapping with the gripper")?;
    let min_width_m =
        f.required("min_width_m", "the smallest opening (m)", |at| at.number(0.0..=TOOL_M, "m"));
    let max_width_m = f.required("max_width_m", "the largest opening (m)", |at| {
        let width = at.number(0.0..=TOOL_M, "m")?;
        match min_width_m {
            Some(min) if width <= min => at.refuse(format!("more than min_width_m, {min} m")),
            _ => Some(width),
        }
    });
    let max_force_n =
        f.required("max_force_n", "the largest grip force (N)", |at| at.number(0.0..=1000.0, "N"));
    let mass_kg = f.required("mass_kg", "the gripper's mass (kg)", |at| at.number(0.0..=50.0, "kg"));
    let com_m = f.required("com_m", "the centre of mass in the flange frame (m)", |at| {
        at.triple(-TOOL_M..=TOOL_M, "m")
    });
    let tcp_m = f.required("tcp_m", "the tool centre point in the flange frame (m)", |at| {
        at.triple(-TOOL_M..=TOOL_M, "m")
    });
    f.end();
    Some(GripperConfig {
        min_width_m: min_width_m?,
        max_width_m: max_width_m?,
        max_force_n: max_force_n?,
        mass_kg: mass_kg?,
        com_m: com_m?,
        tcp_m: tcp_m?,
    })
}

fn payload(at: &Cursor<'_>, model: Option<Model>, gripper: Option<&GripperConfig>) -> Option<PayloadConfig> {
    let mut f = at.fields("a mapping with 'mass_kg'")?;
    let mass_kg = f.required("mass_kg", "the payload's mass (kg)", |at| {
        let mass = at.number(0.0..=50.0, "kg")?;
        if let (Some(model), Some(gripper)) = (model, gripper) {
            let rated = model.rated_payload_kg();
            if gripper.mass_kg + mass > rated {
                let found = format!("{mass} kg on a gripper of {} kg", gripper.mass_kg);
                return at.refuse_found(
                    found,
                    format!("at most {rated} kg in all, what a {} may carry", model.as_str()),
                );
            }
        }
        Some(mass)
    });
    f.end();
    Some(PayloadConfig { mass_kg: mass_kg? })
}

fn roles(at: &Cursor<'_>, robots: &Names) -> Option<RoleMap> {
    let mut f = at.fields("a mapping of roles to robots")?;
    let mut players = BTreeMap::new();
    let mut role = |at: &Cursor<'_>| {
        let name = at.text("a robot's name")?;
        if !robots.0.contains(&name) {
            return at.refuse(format!("a robot of this cell ({})", robots.0.join(", ")));
        }
        match players.insert(name.clone(), at.path().to_owned()) {
            Some(other) => at.refuse(format!("another robot: this one plays {other} already")),
            None => Some(name),
        }
    };
    let leader = f.required("leader", "the robot that leads", &mut role).map(Some);
    let follower = f.optional("follower", None, |at| role(at).map(Some));
    let spotter = f.optional("spotter", None, |at| role(at).map(Some));
    f.end();
    let played = [(Role::Leader, leader?), (Role::Follower, follower?), (Role::Spotter, spotter?)];
    Some(RoleMap(played.into_iter().filter_map(|(role, robot)| Some((role, robot?))).collect()))
}

fn artifacts(at: &Cursor<'_>) -> Option<ArtifactPaths> {
    let mut f = at.fields("a mapping with 'store' and 'trust_file'")?;
    let store = f.required("store", "the folder of the artifact store", |at| at.text("a path"));
    let trust_file = f.required("trust_file", "the file of trusted keys", |at| at.text("a path"));
    f.end();
    Some(ArtifactPaths { store: store?, trust_file: trust_file? })
}

fn nodes(at: &Cursor<'_>) -> Option<Vec<NodeConfig>> {
    let items = at.items("a list of nodes")?;
    let mut lines = BTreeMap::new();
    let nodes: Vec<_> = items.iter().map(|item| node(item, &mut lines)).collect();
    let nodes: Vec<_> = nodes.into_iter().collect::<Option<_>>()?;
    let monitors =
        nodes.iter().filter(|node: &&NodeConfig| node.package == SAFETY_MONITOR && !node.simulation_only);
    match monitors.count() {
        1 => Some(nodes),
        several => at.refuse_found(
            format!("{several} nodes of package {SAFETY_MONITOR}"),
            "exactly one that is not simulation_only: it alone gives arms leave to move",
        ),
    }
}

fn node(at: &Cursor<'_>, lines: &mut BTreeMap<String, usize>) -> Option<NodeConfig> {
    let mut f = at.fields("a mapping with one node")?;
    let name = f.required("name", "the node's name", |at| {
        let name = at.text_that(is_ros_name, "a ROS name: letters, digits and _, a letter first")?;
        unique(at, name, lines)
    });
    let package = f.required("package", "the node's package", lower_case_name);
    let executable = f.required("executable", "the package's executable", |at| {
        at.text_that(|text| !text.is_empty() && !text.contains(['/', ' ']), "a file name")
    });
    let namespace = f
        .optional("namespace", String::new(), |at| at.text_that(is_namespace, "'' or ROS names joined by /"));
    let lifecycle = f.required("lifecycle", "managed or unmanaged", |at| {
        at.one_of(&[("managed", Lifecycle::Managed), ("unmanaged", Lifecycle::Unmanaged)])
    });
    let simulation_only = f.optional("simulation_only", false, Cursor::boolean);
    let schedule = f.required("schedule", "how the node is scheduled", schedule);
    let remappings = f.optional("remappings", BTreeMap::new(), remappings);
    let parameters = f.optional("parameters", BTreeMap::new(), parameters);
    f.end();
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

fn schedule(at: &Cursor<'_>) -> Option<Schedule> {
    let mut f = at.fields("a mapping with the schedule")?;
    let policy = f.required("policy", "other or fifo", |at| {
        at.one_of(&[("other", SchedulePolicy::Other), ("fifo", SchedulePolicy::Fifo)])
    });
    let priority = f.required("priority", "a priority", |at| match (policy, at.integer(0..=99)?) {
        (Some(SchedulePolicy::Fifo), 0) => at.refuse("1 to 99 with policy fifo"),
        (Some(SchedulePolicy::Other), 1..) => at.refuse("0 with policy other: only fifo has priorities"),
        (_, priority) => Some(priority as u8),
    });
    let cpu = f.required("cpu", "any, or a core's number", |at| match *at.value() {
        Value::String(ref word) if word == "any" => Some(Cpu::Any),
        Value::Integer(core @ 0..=1023) => Some(Cpu::Core(core as u16)),
        _ => at.refuse("any, or a core's number from 0 to 1023"),
    });
    let period_us = f.required("period_us", "the period (us)", |at| at.integer(1..=LONGEST_PERIOD_US));
    let deadline_us = f.required("deadline_us", "the deadline (us)", |at| {
        let deadline = at.integer(1..=LONGEST_PERIOD_US)?;
        match period_us {
            Some(period) if deadline > period => at.refuse(format!("at most period_us, {period}")),
            _ => Some(deadline),
        }
    });
    f.end();
    Some(Schedule {
        policy: policy?,
        priority: priority?,
        cpu: cpu?,
        period_us: period_us? as u64,
        deadline_us: deadline_us? as u64,
    })
}

fn remappings(at: &Cursor<'_>) -> Option<BTreeMap<String, String>> {
    let entries = at.entries("a mapping of names to names")?;
    let to = |at: &Cursor<'_>| at.text_that(is_graph_name, "the name of a topic or service");
    let read: Vec<_> = entries.into_iter().map(|(from, at)| Some((from, to(&at)?))).collect();
    read.into_iter().collect()
}

/// ROS parameters: single values, or lists of one type.
fn parameters(at: &Cursor<'_>) -> Option<BTreeMap<String, Json>> {
    let entries = at.entries("a mapping of ROS parameters")?;
    let read: Vec<_> = entries.into_iter().map(|(name, at)| Some((name, parameter(&at)?))).collect();
    read.into_iter().collect()
}

fn parameter(at: &Cursor<'_>) -> Option<Json> {
    const EXPECTED: &str =
        "a value ROS parameters have: true/false, a number, a text, or a list of one of these";
    if !matches!(at.value(), Value::Sequence(_)) {
        return single(at, EXPECTED);
    }
    let items: Vec<_> = at.items(EXPECTED)?.iter().map(|item| single(item, EXPECTED)).collect();
    let items: Vec<_> = items.into_iter().collect::<Option<_>>()?;
    let kinds: BTreeSet<_> = items.iter().map(ros_kind).collect();
    if kinds.len() > 1 {
        at.refuse_found("a list of several types", EXPECTED)
    } else {
        Some(Json::Array(items))
    }
}

fn single(at: &Cursor<'_>, expected: &str) -> Option<Json> {
    match at.value() {
        Value::Boolean(value) => Some((*value).into()),
        Value::Integer(value) => Some((*value).into()),
        Value::Number(value) if value.is_finite() => Some((*value).into()),
        Value::String(value) => Some(value.as_str().into()),
        _ => at.refuse(expected),
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

fn unique(at: &Cursor<'_>, name: String, lines: &mut BTreeMap<String, usize>) -> Option<String> {
    match lines.insert(name.clone(), at.line()) {
        Some(line) => {
            at.refuse_found::<()>(
                format!("'{name}' a second time (first on line {line})"),
                "a name of its own",
            );
            lines.insert(name, line);
            None
        }
        None => Some(name),
    }
}

/// A name that prefixes joints, links and topics.
fn lower_case_name(at: &Cursor<'_>) -> Option<String> {
    let good = |text: &str| is_ros_name(text) && !text.contains(|c: char| c.is_ascii_uppercase());
    at.text_that(good, "a name of lower-case letters, digits and _, a letter first")
}

/// A path inside the folder that holds `config/`.
fn relative_path(at: &Cursor<'_>) -> Option<String> {
    let good =
        |text: &str| !text.is_empty() && !text.starts_with('/') && text.split('/').all(|part| part != "..");
    at.text_that(good, "a path below the folder that holds config/, without '..'")
}

fn is_ros_name(text: &str) -> bool {
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
