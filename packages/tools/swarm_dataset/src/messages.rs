//! Messages that only an export reads; those of `swarm_bag::msg` are the others.

use serde::{Deserialize, Serialize};
use swarm_bag::msg::{Header, Message, Time};

/// `msg/swarm_msgs/msg/RuntimeStatus.msg`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuntimeStatus {
    pub header: Header,
    pub skill: String,
    pub version: String,
    pub artifact: String,
    pub last_good: String,
    pub trace_id: String,
    pub running: bool,
    pub roles: Vec<RoleState>,
    pub started: Time,
}

impl Message for RuntimeStatus {
    const TYPE: &'static str = "swarm_msgs/msg/RuntimeStatus";
}

/// `msg/swarm_msgs/msg/RoleState.msg`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoleState {
    pub role: String,
    pub robot: String,
    pub phase: String,
    pub progress: f64,
    pub state: u8,
    pub message: String,
}

/// `msg/swarm_msgs/msg/GripperState.msg`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GripperState {
    pub header: Header,
    pub robot: String,
    /// Measured opening, m.
    pub width: f64,
    /// Measured, N.
    pub force: f64,
    pub holding: bool,
}

impl Message for GripperState {
    const TYPE: &'static str = "swarm_msgs/msg/GripperState";
}
