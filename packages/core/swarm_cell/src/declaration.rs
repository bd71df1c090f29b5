//! The declaration as plain values. Units stand in the field names; the frame of a pose is in its name.

use std::collections::BTreeMap;

use serde::Deserialize;
use swarm_base::Role;

use crate::ConfigError;

/// A whole cell.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellConfig {
    pub schema: u32,
    pub cell: String,
    pub robots: Vec<RobotConfig>,
    pub roles: RoleMap,
    pub artifacts: ArtifactPaths,
    pub safety: SafetyFile,
    pub nodes: Vec<NodeConfig>,
}

/// One manipulator.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobotConfig {
    /// Name of the robot; prefix of its joints, links and topics.
    pub name: String,
    /// Model, `ur5e` or `panda`.
    pub model: String,
    /// URDF of the arm, relative to the folder that holds `config/`.
    pub urdf: String,
    /// URDF of a gripper to mount on the flange; absent where the arm's URDF holds one.
    #[serde(default)]
    pub gripper_urdf: Option<String>,
    pub base_in_world: PoseConfig,
    /// Joint positions of the rest pose, in the order of the URDF chain.
    pub home_rad: Vec<f64>,
    pub gripper: GripperConfig,
    pub payload: PayloadConfig,
}

/// Position and orientation (fixed-axis roll, pitch, yaw as in URDF).
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoseConfig {
    pub xyz_m: [f64; 3],
    pub rpy_rad: [f64; 3],
}

/// A parallel gripper; positions in the flange frame.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GripperConfig {
    pub min_width_m: f64,
    pub max_width_m: f64,
    pub max_force_n: f64,
    pub mass_kg: f64,
    pub com_m: [f64; 3],
    /// Tool centre point, between the finger tips.
    pub tcp_m: [f64; 3],
}

/// What hangs on the gripper besides itself, at the tool centre point.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayloadConfig {
    pub mass_kg: f64,
}

/// Which robot plays which role.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct RoleMap(pub BTreeMap<Role, String>);

/// Where artifacts live and whom the cell trusts.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactPaths {
    pub store: String,
    pub trust_file: String,
}

/// The file of the cell's safety ceiling, relative to the folder that holds `config/`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SafetyFile {
    pub file: String,
}

/// One node and how it is run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    pub name: String,
    pub package: String,
    pub executable: String,
    #[serde(default)]
    pub namespace: String,
    /// `managed` nodes have life-cycle services and are configured and activated by the launch.
    pub lifecycle: String,
    #[serde(default)]
    pub simulation_only: bool,
    pub schedule: Schedule,
    /// ROS parameters handed to the node.
    #[serde(default)]
    pub parameters: BTreeMap<String, serde_json::Value>,
}

/// How a node's main loop is scheduled.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    pub policy: SchedulePolicy,
    pub priority: u8,
    /// Core to run on, or `any`.
    pub cpu: serde_json::Value,
    pub period_us: u64,
    pub deadline_us: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchedulePolicy {
    Other,
    Fifo,
}

impl CellConfig {
    /// Reads a declaration.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        serde_saphyr::from_str(text).map_err(|error| ConfigError(error.to_string()))
    }

    /// The robot of that name.
    pub fn robot(&self, name: &str) -> Option<&RobotConfig> {
        self.robots.iter().find(|robot| robot.name == name)
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&NodeConfig> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The robot that plays `role`.
    pub fn robot_for(&self, role: Role) -> Option<&RobotConfig> {
        self.roles.0.get(&role).and_then(|name| self.robot(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_declaration_is_read() {
        let cell = CellConfig::parse(include_str!("../../../../config/cell.yaml")).unwrap();
        assert_eq!(cell.robots.len(), 3);
        assert_eq!(cell.robot_for(Role::Spotter).unwrap().name, "panda");
        assert_eq!(cell.node("safety_monitor").unwrap().schedule.policy, SchedulePolicy::Fifo);
    }
}
