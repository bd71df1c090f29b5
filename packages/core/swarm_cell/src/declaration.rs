//! The declaration as plain values. Units stand in the field names; the frame of a pose is in its name.

use std::collections::BTreeMap;
use std::fmt;

use swarm_base::Role;
use swarm_kinematics::Load;

use crate::model::Model;
use crate::{ConfigError, declaration_reader};

/// A whole cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellConfig {
    /// Version of the declaration's form; 1.
    pub schema: u32,
    /// Name of the cell.
    pub cell: String,
    /// One to three.
    pub robots: Vec<RobotConfig>,
    pub roles: RoleMap,
    /// What a skill's trees may call besides the robots; nothing else.
    pub peripherals: Vec<PeripheralConfig>,
    pub artifacts: ArtifactPaths,
    pub safety: SafetyFile,
    /// The central registry that the cell keeps in step with; absent: a person deploys.
    pub registry: Option<RegistryConfig>,
    pub nodes: Vec<NodeConfig>,
}

/// Where the central registry is, and by what the cell knows it. Paths are absolute, or relative to the node's working directory.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistryConfig {
    pub url: String,
    /// Name of the cell in the registry: its certificate's.
    pub site_id: String,
    /// First roots of the two update repositories, which came here by a way that is trusted.
    pub image_root: String,
    pub director_root: String,
    /// The site's certificate chain and key (PEM); absent: a registry on this machine, without TLS.
    pub certificate: Option<String>,
    pub key: Option<String>,
    /// Who may certify the registry (PEM); absent: the authorities that are built in.
    pub ca: Option<String>,
    /// Further ROS parameters of `swarm_registry_bridge`.
    pub parameters: BTreeMap<String, serde_json::Value>,
}

/// A device or program of the cell that skills may call through ROS 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeripheralConfig {
    /// What trees call it.
    pub name: String,
    pub kind: PeripheralKind,
    /// Absolute name of the action, service or topic.
    pub ros_name: String,
    /// `package/action/Name`, `package/srv/Name` or `package/msg/Name`.
    pub message_type: String,
}

/// How a peripheral is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeripheralKind {
    Action,
    Service,
    /// A topic that skills publish.
    Publish,
    /// A topic that skills listen to.
    Subscribe,
}

impl PeripheralKind {
    /// The middle word of its types' names.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Service => "srv",
            Self::Publish | Self::Subscribe => "msg",
        }
    }
}

impl fmt::Display for PeripheralKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Action => "an action",
            Self::Service => "a service",
            Self::Publish => "a topic that skills publish",
            Self::Subscribe => "a topic that skills listen to",
        })
    }
}

/// One manipulator.
#[derive(Clone, Debug, PartialEq)]
pub struct RobotConfig {
    /// Name of the robot; prefix of its joints, links and topics.
    pub name: String,
    pub model: Model,
    /// URDF of the arm, relative to the folder that holds `config/`.
    pub urdf: String,
    /// URDF of a gripper to mount on the flange; absent where the arm's URDF holds one.
    pub gripper_urdf: Option<String>,
    pub base_in_world: PoseConfig,
    /// Joint positions of the rest pose, in the order of the URDF chain.
    pub home_rad: Vec<f64>,
    pub gripper: GripperConfig,
    pub payload: PayloadConfig,
    /// How `swarm_driver` reaches the real arm; absent where the simulator or a driver of one's own obeys the gate.
    pub driver: Option<DriverConfig>,
}

/// What an arm's ROS 2 driver offers. Names of services and actions are absolute.
#[derive(Clone, Debug, PartialEq)]
pub struct DriverConfig {
    pub controller_kind: ControllerKind,
    /// The controller's node; its topics lie below.
    pub controller: String,
    /// Time between two messages to the controller.
    pub period_us: u64,
    /// Of `SCHED_FIFO`, for the thread that tells the controller; none = the system's fair time sharing.
    pub priority: Option<u8>,
    /// With which a stop brakes; a cell is refused whose safety ceiling lets the robot's joints accelerate harder. A
    /// forward-velocity controller without one hears zeros at once, and the arm's own limits brake.
    pub deceleration_rad_s2: Option<f64>,
    pub speed_slider: Option<SpeedSlider>,
    /// `std_srvs/Trigger`, called on a protective stop.
    pub protective_stop: Option<String>,
    /// `std_srvs/Trigger`, called on the stops after faults and `/emergency_stop`.
    pub stop: Option<String>,
    /// `franka_msgs/ErrorRecovery`, an action: called on a reset.
    pub error_recovery: Option<String>,
}

/// The controller that takes the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControllerKind {
    /// Velocities as `std_msgs/Float64MultiArray`.
    ForwardVelocity,
    /// `trajectory_msgs/JointTrajectory`.
    JointTrajectory,
}

/// The speed slider of a UR arm, `ur_msgs/SetSpeedSliderFraction`.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeedSlider {
    pub service: String,
    /// Where a reset puts it, 0.01 to 1.
    pub fraction: f64,
}

/// Position and orientation (fixed-axis roll, pitch, yaw as in URDF).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoseConfig {
    pub xyz_m: [f64; 3],
    pub rpy_rad: [f64; 3],
}

/// A parallel gripper; positions in the flange frame.
#[derive(Clone, Copy, Debug, PartialEq)]
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PayloadConfig {
    pub mass_kg: f64,
}

/// Which robot plays which role.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleMap(pub BTreeMap<Role, String>);

/// Where artifacts live and whom the cell trusts: absolute, or relative to the working directory of the node.
#[derive(Clone, Debug, PartialEq)]
pub struct ArtifactPaths {
    pub store: String,
    pub trust_file: String,
}

/// The file of the cell's safety ceiling, relative to the folder that holds `config/`.
#[derive(Clone, Debug, PartialEq)]
pub struct SafetyFile {
    pub file: String,
}

/// One node and how it is run.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    pub name: String,
    pub package: String,
    pub executable: String,
    pub namespace: String,
    pub lifecycle: Lifecycle,
    /// Started only with a simulated cell.
    pub simulation_only: bool,
    pub schedule: Schedule,
    /// Topics and services that the node finds under another name: its own name for it, name on the graph.
    pub remappings: BTreeMap<String, String>,
    /// ROS parameters handed to the node.
    pub parameters: BTreeMap<String, serde_json::Value>,
}

/// How a node's main loop is scheduled.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub policy: SchedulePolicy,
    /// 1 (lowest) to 99 for `Fifo`, 0 for `Other`.
    pub priority: u8,
    pub cpu: Cpu,
    /// Time from one cycle's start to the next.
    pub period_us: u64,
    /// Time from a cycle's start by which it must have ended; not above the period.
    pub deadline_us: u64,
}

impl Schedule {
    /// Priority of `SCHED_FIFO`; none = the system's fair time sharing.
    pub fn fifo(&self) -> Option<u8> {
        (self.policy == SchedulePolicy::Fifo).then_some(self.priority)
    }
}

/// Who drives a node's life cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Has the life-cycle services; the launch configures and activates it.
    Managed,
    /// Runs from its start to its end.
    Unmanaged,
}

/// Where a node may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cpu {
    /// The scheduler chooses.
    Any,
    /// Pinned to the core of this number, from 0.
    Core(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedulePolicy {
    /// The system's fair time sharing.
    Other,
    /// Real time, first in first out within a priority (`SCHED_FIFO`).
    Fifo,
}

impl RobotConfig {
    /// Gripper, and what is declared to hang at the tool centre point, as one body on the flange.
    pub fn load(&self) -> Load {
        let gripper = &self.gripper;
        let hand = Load { mass_kg: gripper.mass_kg, com_m: gripper.com_m.into() };
        hand.and(Load { mass_kg: self.payload.mass_kg, com_m: gripper.tcp_m.into() })
    }

    /// Name of the flange's frame, in which the robot's wrench is given.
    pub fn flange_frame(&self) -> String {
        format!("{}_{}", self.name, self.model.flange_link())
    }
}

impl CellConfig {
    /// Reads a declaration, or lists all its mistakes.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        declaration_reader::read(text)
    }

    /// The robot of that name.
    pub fn robot(&self, name: &str) -> Option<&RobotConfig> {
        self.robots.iter().find(|robot| robot.name == name)
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&NodeConfig> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The role that the robot of that name plays.
    pub fn role_of(&self, robot: &str) -> Option<Role> {
        self.roles.0.iter().find(|(_, name)| *name == robot).map(|(role, _)| *role)
    }

    /// The robot that plays `role`.
    pub fn robot_for(&self, role: Role) -> Option<&RobotConfig> {
        self.roles.0.get(&role).and_then(|name| self.robot(name))
    }
}
