//! What the cell says in one cycle, already in the robots' order and in fixed-size values.
//!
//! The shell keeps one [`Inputs`], overwrites samples as they arrive, hands a copy to [`crate::step`] and then calls
//! [`Inputs::forget_events`]: samples stay, what happened once (faults, a reset, a press) does not.
//!
//! A sample is as old as the time since it was sent, not since it was heard: one that is late for ever is old for ever. `sent` is
//! by the monotonic clock of the steps ([`ingest::Stamp`](crate::ingest::Stamp) says how it is known).

use nalgebra::Vector3;
use swarm_base::Time;
use swarm_kinematics::JointVector;

use crate::MAX_ROBOTS;
use crate::limits::MAX_ZONES;

/// Which input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    JointState,
    Wrench,
    Command,
    GripperCommand,
    HumanPresence,
}

impl Input {
    pub const fn name(self) -> &'static str {
        match self {
            Self::JointState => "joint state",
            Self::Wrench => "wrench",
            Self::Command => "command",
            Self::GripperCommand => "gripper command",
            Self::HumanPresence => "human presence",
        }
    }
}

/// Why a message was refused before it became a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFault {
    /// A value is not a number or infinite.
    NotFinite,
    /// The arrays differ in length, or lack a value per joint.
    WrongSize,
    /// Some of the robot's joints are there and some are not.
    MissingJoint,
    /// A joint is named twice.
    DuplicateJoint,
    /// A joint that is not the robot's.
    UnknownJoint,
    /// The message is meant for another robot, or measured in another frame.
    WrongRobot,
    /// Same stamp as the message before.
    StampFrozen,
    /// Stamp before that of the message before.
    StampBackwards,
    /// Stamp later than the time of arrival.
    StampFuture,
    /// Stamp older than the input's time-out.
    StampOld,
    /// Efforts are limited and the message carries none.
    NoEffort,
    /// All six values of a wrench are exactly zero: no sensor that is connected says so.
    DeadSensor,
}

impl InputFault {
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotFinite => "not_finite",
            Self::WrongSize => "wrong_size",
            Self::MissingJoint => "missing_joint",
            Self::DuplicateJoint => "duplicate_joint",
            Self::UnknownJoint => "unknown_joint",
            Self::WrongRobot => "wrong_robot",
            Self::StampFrozen => "stamp_frozen",
            Self::StampBackwards => "stamp_backwards",
            Self::StampFuture => "stamp_future",
            Self::StampOld => "stamp_old",
            Self::NoEffort => "no_effort",
            Self::DeadSensor => "dead_sensor",
        }
    }

    /// Unit of the value and limit that come with it.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::StampFrozen | Self::StampBackwards | Self::StampFuture | Self::StampOld => "s",
            Self::WrongSize => "values",
            _ => "",
        }
    }

    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::NotFinite => "a value is not a number or infinite; check the sender",
            Self::WrongSize => "the number of values differs from the number of joints; check the sender",
            Self::MissingJoint => {
                "a message names some of the robot's joints but not all; check the joint names of the sender"
            }
            Self::DuplicateJoint => "a joint is named twice; check the joint names of the sender",
            Self::UnknownJoint => {
                "a joint is named that the robot does not have; check the joint names of the sender"
            }
            Self::WrongRobot => {
                "the message is meant for another robot or frame; check remappings and frame_id"
            }
            Self::StampFrozen => "the stamp stands still; the sender repeats an old message",
            Self::StampBackwards => {
                "the stamp went backwards; two senders share the topic, or the sender's clock was set"
            }
            Self::StampFuture => "the stamp lies in the future; set the clocks of the cell's computers alike",
            Self::StampOld => {
                "the message was older than its time-out when it arrived; check network and clocks"
            }
            Self::NoEffort => {
                "efforts or power are limited and the joint state carries no efforts; let the driver send them, or write unmonitored in the ceiling"
            }
            Self::DeadSensor => {
                "all six values are exactly zero, as of a sensor that is not connected; check its cable and driver"
            }
        }
    }
}

/// A refused message: the fault, and what it measured against what it expected, in the fault's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refused {
    pub fault: InputFault,
    /// Index of the robot's joint concerned.
    pub joint: Option<usize>,
    pub value: f64,
    pub limit: f64,
}

/// Measured motion of one robot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JointSample {
    /// rad
    pub q: JointVector,
    /// rad/s
    pub qd: JointVector,
    /// N m; `None` if the driver measures none.
    pub effort: Option<JointVector>,
    /// Sender's time, ns.
    pub stamp_ns: u64,
    pub sent: Time,
    /// +1 per accepted message.
    pub sequence: u64,
}

/// Load that the tool and what it touches put on the flange, along the flange's axes: a tool at rest that touches nothing
/// gives its weight, pointing down in the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WrenchSample {
    /// N
    pub force: Vector3<f64>,
    /// N m, about the flange's origin
    pub torque: Vector3<f64>,
    pub stamp_ns: u64,
    pub sent: Time,
    pub sequence: u64,
}

/// A skill's wish for one robot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CommandSample {
    /// rad/s
    pub velocity: JointVector,
    /// Epoch under which the run was started.
    pub epoch: u64,
    /// Which run: equal for equal trace ids.
    pub run: u64,
    /// +1 per command of this run and robot.
    pub sequence: u64,
    /// It names the artifact whose envelope is in force.
    pub artifact_matches: bool,
    pub sent: Time,
}

/// A skill's wish for one gripper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GripperSample {
    pub width_m: f64,
    pub force_n: f64,
    pub epoch: u64,
    pub artifact_matches: bool,
    /// Tells it from the one before: two may carry one stamp.
    pub arrival: Time,
}

/// What a sensor of `/human_presence` says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PresenceSample {
    /// Distance from the zone's point within which nobody is, m; infinite if nobody is in range.
    pub range_m: f64,
    pub stamp_ns: u64,
    pub sent: Time,
}

/// Everything of one robot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RobotInputs {
    pub joints: Option<JointSample>,
    pub wrench: Option<WrenchSample>,
    pub command: Option<CommandSample>,
    pub gripper: Option<GripperSample>,
    /// First message refused since the last step, if any.
    pub refused: Option<(Input, Refused)>,
}

impl RobotInputs {
    /// Notes a refused message; the first one of a cycle stays.
    pub fn refuse(&mut self, input: Input, refused: Refused) {
        self.refused.get_or_insert((input, refused));
    }
}

/// A wish to leave a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetRequest {
    /// Epoch that the caller has seen.
    pub epoch: u64,
}

/// The software stop request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmergencyStop {
    /// The last message said true.
    pub held: bool,
    /// A message said true since the last step, even if false followed.
    pub pressed: bool,
}

/// Everything of one cycle; robots in the order of the cell's declaration.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Inputs {
    pub robots: [RobotInputs; MAX_ROBOTS],
    /// In the order of the ceiling's zones. A missing one means that somebody is there.
    pub presence: [Option<PresenceSample>; MAX_ZONES],
    pub emergency_stop: EmergencyStop,
    pub reset: Option<ResetRequest>,
    /// The cell must be recorded, and cannot be at present.
    pub not_recorded: bool,
    /// The cell was armed in real time, and what decides or publishes is no longer in it.
    pub not_real_time: bool,
}

impl Inputs {
    /// Takes a message of `/emergency_stop`. `false` takes back neither a press nor a latched stop.
    pub fn hear_emergency_stop(&mut self, stop: bool) {
        self.emergency_stop.held = stop;
        self.emergency_stop.pressed |= stop;
    }

    /// After a step: what happened once has been dealt with.
    pub fn forget_events(&mut self) {
        self.emergency_stop.pressed = false;
        self.reset = None;
        for robot in &mut self.robots {
            robot.refused = None;
        }
    }
}
