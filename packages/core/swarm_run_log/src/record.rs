//! The kinds of records. Every field that a recorder may not know has a default, so that a short log is still a log.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Version of the format, in [`RunHeader::format`]. It goes up when the meaning of a field changes, not when one is added.
pub const FORMAT: u32 = 1;

/// What one line says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// First line: under which conditions the run took place.
    Run(RunHeader),
    /// A `SafetyStatus` as heard on `/safety_monitor`.
    Status(Status),
    /// A `RuntimeStatus` as heard on `/skill_runtime/status`.
    Runtime(Runtime),
    /// Something that was done to the cell.
    Event(Event),
    /// Last line: how the run ended.
    Result(RunResult),
    /// A kind that this version does not know.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// Under which conditions a run took place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    pub format: u32,
    /// Name of the cell.
    pub cell: String,
    /// Start of the recording, UTC, RFC 3339.
    #[serde(default)]
    pub started_utc: String,
    /// Seed that perturbed the part poses; absent on a real cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    #[serde(default)]
    pub simulated: bool,
    /// Age of a permit, s, at which this run's drivers stop.
    pub permit_timeout_s: f64,
    /// The same as the cell declares it; a longer time-out in force is pointed out in the report.
    pub permit_timeout_default_s: f64,
    /// The computer, in words.
    #[serde(default)]
    pub machine: String,
    #[serde(default)]
    pub robots: Vec<RobotInfo>,
}

/// A robot of the cell and the role it plays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RobotInfo {
    pub name: String,
    pub model: String,
    #[serde(default)]
    pub role: String,
}

/// State of the safety monitor, `STATE_*` of `SafetyStatus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusState {
    #[default]
    Deny,
    Ready,
    Run,
    Slow,
    Stop2,
    Stop1,
    Estop,
}

impl StatusState {
    /// Every state, in the order of the message's constants 0 to 6.
    pub const ALL: [Self; 7] =
        [Self::Deny, Self::Ready, Self::Run, Self::Slow, Self::Stop2, Self::Stop1, Self::Estop];

    /// The state of the message's constant.
    pub fn from_constant(state: u8) -> Option<Self> {
        Self::ALL.get(usize::from(state)).copied()
    }

    /// Whether the monitor has stopped a motion that it had let pass or was ready to let pass.
    pub const fn is_stop(self) -> bool {
        matches!(self, Self::Stop2 | Self::Stop1 | Self::Estop)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Ready => "ready",
            Self::Run => "run",
            Self::Slow => "slow",
            Self::Stop2 => "stop2",
            Self::Stop1 => "stop1",
            Self::Estop => "estop",
        }
    }
}

impl fmt::Display for StatusState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The safety monitor's status; fields as in `SafetyStatus`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    pub state: StatusState,
    pub cause: String,
    pub detail: String,
    pub robot: String,
    pub joint: String,
    #[serde(deserialize_with = "null_is_nan")]
    pub value: f64,
    #[serde(deserialize_with = "null_is_nan")]
    pub limit: f64,
    pub skill: String,
    pub artifact: String,
    pub trace_id: String,
    pub epoch: u64,
    pub cycle: u64,
    pub cause_cycle: u64,
    pub real_time: bool,
    pub robots: Vec<RobotSafety>,
}

/// What the monitor sees of one robot; fields as in the message of that name. NaN is not valid JSON and is written as null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RobotSafety {
    pub robot: String,
    #[serde(deserialize_with = "null_is_nan")]
    pub speed_scale: f64,
    /// m/s
    #[serde(deserialize_with = "null_is_nan")]
    pub tcp_speed: f64,
    #[serde(deserialize_with = "null_is_nan")]
    pub tcp_speed_limit: f64,
    /// N
    #[serde(deserialize_with = "null_is_nan")]
    pub contact_force: f64,
    #[serde(deserialize_with = "null_is_nan")]
    pub contact_force_limit: f64,
    /// m
    #[serde(deserialize_with = "null_is_nan")]
    pub separation: f64,
    #[serde(deserialize_with = "null_is_nan")]
    pub separation_limit: f64,
    #[serde(deserialize_with = "null_is_nan")]
    pub joint_velocity_ratio: f64,
    /// s
    #[serde(deserialize_with = "null_is_nan")]
    pub input_age: f64,
}

/// A figure that the recorder did not give is unknown, not zero.
impl Default for RobotSafety {
    fn default() -> Self {
        Self {
            robot: String::new(),
            speed_scale: f64::NAN,
            tcp_speed: f64::NAN,
            tcp_speed_limit: f64::NAN,
            contact_force: f64::NAN,
            contact_force_limit: f64::NAN,
            separation: f64::NAN,
            separation_limit: f64::NAN,
            joint_velocity_ratio: f64::NAN,
            input_age: f64::NAN,
        }
    }
}

fn null_is_nan<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// The runtime's status; fields as in `RuntimeStatus`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Runtime {
    pub skill: String,
    pub version: String,
    pub artifact: String,
    pub last_good: String,
    pub trace_id: String,
    pub running: bool,
    pub roles: Vec<RoleProgress>,
}

/// One role of the run; fields as in `RoleState`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoleProgress {
    pub role: String,
    pub robot: String,
    pub phase: String,
    pub progress: f64,
    pub state: RoleState,
    pub message: String,
}

/// State of one role, the constants of the message `RoleState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleState {
    #[default]
    Idle,
    Joining,
    Running,
    Holding,
    Succeeded,
    Aborted,
    Canceled,
}

impl RoleState {
    /// Every state, in the order of the message's constants 0 to 6.
    pub const ALL: [Self; 7] = [
        Self::Idle,
        Self::Joining,
        Self::Running,
        Self::Holding,
        Self::Succeeded,
        Self::Aborted,
        Self::Canceled,
    ];

    /// The state of the message's constant.
    pub fn from_constant(state: u8) -> Option<Self> {
        Self::ALL.get(usize::from(state)).copied()
    }

    /// Whether the role takes part in a run at this moment.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Joining | Self::Running | Self::Holding)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Joining => "joining",
            Self::Running => "running",
            Self::Holding => "holding",
            Self::Succeeded => "succeeded",
            Self::Aborted => "aborted",
            Self::Canceled => "canceled",
        }
    }
}

impl fmt::Display for RoleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that was done to the cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Stable `snake_case` word: `deploy`, `reset`, `execute`, `cancel`, `emergency_stop`, `rollback`, ...
    pub name: String,
    /// By whom, on what, with which answer.
    #[serde(default)]
    pub text: String,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Succeeded,
    Aborted,
    Canceled,
}

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Aborted => "aborted",
            Self::Canceled => "canceled",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Last line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    pub outcome: Outcome,
    #[serde(default)]
    pub message: String,
    /// Time from the first role's start to the result, s.
    pub duration_s: f64,
    /// Measured figures by name; the unit ends the name, as in `insertion_depth_mm`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
}
