//! Where a limit comes from: the field of the ceiling or envelope, and the reason that stands beside it.

use serde::Serialize;
use swarm_black_box::{Header, Limits};
use swarm_yaml::{Document, Value};

use swarm_safety_setup::roles;

/// Field and reason of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LimitSource {
    /// `cell ceiling` or `envelope of SKILL`.
    pub document: String,
    /// Such as `robots.panda.tcp.speed_m_s`.
    pub field: String,
    /// Why the figure is what it is, in the words of who wrote it.
    pub provenance: String,
}

/// Group and field of the written limits that a cause is about; the group of a robot, or of the whole cell.
fn place(code: &str) -> Option<(Scope, &'static str, &'static str)> {
    use Scope::{Cell, Robot};
    Some(match code {
        "joint_position" => (Robot, "joints", "lower_rad"),
        "joint_velocity" | "joint_velocity_command" => (Robot, "joints", "velocity_rad_s"),
        "joint_acceleration" => (Robot, "joints", "acceleration_rad_s2"),
        "joint_effort" => (Robot, "joints", "effort_nm"),
        "tcp_speed" | "tcp_speed_command" => (Robot, "tcp", "speed_m_s"),
        "elbow_speed" => (Robot, "tcp", "elbow_speed_m_s"),
        "momentum" => (Robot, "dynamics", "momentum_kg_m_s"),
        "power" => (Robot, "dynamics", "power_w"),
        "workspace" => (Robot, "workspace", "allowed"),
        "keep_out" => (Robot, "workspace", "keep_out"),
        "collision_force" => (Robot, "wrench", "collision_force_n"),
        "collision_torque" => (Robot, "wrench", "collision_torque_nm"),
        "separation" => (Cell, "separation", "min_m"),
        "self_separation" => (Cell, "separation", "self_m"),
        "fixture_separation" => (Cell, "separation", "fixture_m"),
        "joint_state_timeout" => (Cell, "timeouts", "joint_state_s"),
        "wrench_timeout" => (Cell, "timeouts", "wrench_s"),
        "command_timeout" | "gripper_command_timeout" => (Cell, "timeouts", "command_s"),
        "human_separation" | "human_presence_timeout" => (Cell, "humans", "zones"),
        _ => return None,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Robot,
    Cell,
}

/// The limit behind a cause of that code: the envelope's where it names the field, else the ceiling's. `None` if the cause has
/// no limit that stands in a file (an emergency stop, say).
pub(crate) fn limit_source(header: &Header, limits: &Limits, code: &str, robot: &str) -> Option<LimitSource> {
    let (scope, group, field) = place(code)?;
    let cell = header.sources.cell().ok()?;
    let index = cell.robots.iter().position(|known| known.name == robot);
    let role = index.and_then(|index| roles(&cell)[index]);
    // An envelope may call a robot by its role.
    let names: Vec<&str> = match scope {
        Scope::Robot => [Some(robot), role].into_iter().flatten().collect(),
        Scope::Cell => vec![""],
    };
    let envelope = limits.envelope.as_ref().map(|text| (format!("envelope of {}", limits.skill), text));
    let ceiling = header.sources.files.get(&cell.safety.file).map(|text| ("cell ceiling".to_owned(), text));
    for (document, text) in [envelope, ceiling].into_iter().flatten() {
        let Ok(read) = Document::parse(text) else { continue };
        for name in &names {
            let (path, at) = match scope {
                Scope::Robot => (format!("robots.{name}"), read.get("robots").and_then(|at| at.get(name))),
                Scope::Cell => ("cell".to_owned(), read.get("cell")),
            };
            let Some(at) = at.and_then(|at| at.get(group)) else { continue };
            if at.get(field).is_some() {
                let provenance = match at.get("provenance") {
                    Some(Value::Text(text)) => text.clone(),
                    _ => String::new(),
                };
                return Some(LimitSource { document, field: format!("{path}.{group}.{field}"), provenance });
            }
        }
    }
    None
}
