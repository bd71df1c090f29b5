//! Why motion was refused: which check, of which robot, with the measured value and the limit.

use crate::config::{ArmConfig, Config};
use crate::inputs::{Input, InputFault};
use crate::wire::every;

/// What a cause asks for; a higher one outweighs a lower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing may move yet.
    Deny,
    /// Protective stop.
    Stop2,
    /// Stop after a fault.
    Stop1,
    /// Emergency stop.
    Estop,
}

/// The check that found the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CauseKind {
    /// Nothing is wrong; the monitor has just started and waits for a reset.
    StartUp,
    /// `/emergency_stop` said true.
    EmergencyStop,
    /// An input is missing or older than its time-out; value and limit in s.
    Timeout(Input),
    /// A message was refused; value and limit as the fault says.
    Malformed(Input, InputFault),
    /// Joint outside its range, or unable to stop inside it; rad.
    JointPosition,
    /// Measured; rad/s.
    JointVelocity,
    /// Commanded far beyond the limit; rad/s.
    JointVelocityCommand,
    /// Measured, filtered; rad/s^2.
    JointAcceleration,
    /// Measured; N m.
    JointEffort,
    /// Measured; m/s.
    ElbowSpeed,
    /// Linear, of arm and load; kg m/s.
    Momentum,
    /// Mechanical, of all joints together; W.
    Power,
    /// Measured; m/s.
    TcpSpeed,
    /// Commanded far beyond the limit; m/s.
    TcpSpeedCommand,
    /// Tool centre point outside its workspace, or unable to stop inside it; depth inside, m.
    Workspace,
    /// Tool centre point in a keep-out box, or unable to stop before it; depth outside, m.
    KeepOut,
    /// Compensated force above the collision level; N.
    CollisionForce,
    /// Compensated torque above the collision level; N m.
    CollisionTorque,
    /// Two robots too close, or unable to stop before they are; m.
    Separation,
    /// Two links of one robot too close, or unable to stop before they are; m.
    SelfSeparation,
    /// A link too close to a fixture, or unable to stop before it is; m.
    FixtureSeparation,
    /// A person too close for the robot's speed; m, separation and what the speed asks for.
    HumanSeparation,
    /// Moves otherwise than it was told; rad/s, measured and the nearest velocity that was told.
    UnexpectedMotion,
    /// Was told to stand and has moved away; rad, from its place.
    LeftStandstill,
    /// Was told to move and does not; rad/s, measured and told.
    NotFollowing,
    /// Still moves after a stop, faster than braking explains; rad/s.
    StopIneffective,
    /// Positions and velocities of a joint state contradict each other; rad.
    JointInconsistent,
    /// Sequence number of a run went back.
    CommandSequence,
    /// Commands of a second run arrived while the first one moves the robot.
    CommandSource,
    /// Limits were exchanged while a robot moved; rad/s.
    EnvelopeChange,
    /// The time given to this step is before that of the last; s.
    ClockBackwards,
    /// The decision came later than allowed after the last one; s.
    CycleOverrun,
    /// The black box cannot be written, and the cell may not move without it.
    NotRecorded,
    /// The monitor's threads have lost the real-time scheduling that the cell was armed with.
    NotRealTime,
}

/// The other side of a distance. Capsules are indices into the robots' [`ArmModel::link_capsules`].
///
/// [`ArmModel::link_capsules`]: swarm_kinematics::ArmModel::link_capsules
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// Another robot, and the capsules of both.
    Robot { robot: usize, own: usize, theirs: usize },
    /// Two own capsules.
    Own { first: usize, second: usize },
    /// A fixture of the limits in force, and the capsule next to it.
    Fixture { fixture: usize, own: usize },
    /// A zone in which people are looked for.
    Zone(usize),
}

/// One finding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cause {
    pub kind: CauseKind,
    /// Index of the robot concerned; `None` for the whole cell.
    pub robot: Option<usize>,
    /// Index of the joint concerned.
    pub joint: Option<usize>,
    /// What it concerns beside the robot.
    pub other: Option<Other>,
    pub value: f64,
    pub limit: f64,
}

impl CauseKind {
    /// Stable name for messages and logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::StartUp => "start_up",
            Self::EmergencyStop => "emergency_stop",
            Self::Timeout(Input::JointState) => "joint_state_timeout",
            Self::Timeout(Input::Wrench) => "wrench_timeout",
            Self::Timeout(Input::Command) => "command_timeout",
            Self::Timeout(Input::GripperCommand) => "gripper_command_timeout",
            Self::Timeout(Input::HumanPresence) => "human_presence_timeout",
            Self::Malformed(_, fault) => fault.code(),
            Self::JointPosition => "joint_position",
            Self::JointVelocity => "joint_velocity",
            Self::JointVelocityCommand => "joint_velocity_command",
            Self::JointAcceleration => "joint_acceleration",
            Self::JointEffort => "joint_effort",
            Self::ElbowSpeed => "elbow_speed",
            Self::Momentum => "momentum",
            Self::Power => "power",
            Self::TcpSpeed => "tcp_speed",
            Self::TcpSpeedCommand => "tcp_speed_command",
            Self::Workspace => "workspace",
            Self::KeepOut => "keep_out",
            Self::CollisionForce => "collision_force",
            Self::CollisionTorque => "collision_torque",
            Self::Separation => "separation",
            Self::SelfSeparation => "self_separation",
            Self::FixtureSeparation => "fixture_separation",
            Self::HumanSeparation => "human_separation",
            Self::UnexpectedMotion => "unexpected_motion",
            Self::LeftStandstill => "left_standstill",
            Self::NotFollowing => "not_following",
            Self::StopIneffective => "stop_ineffective",
            Self::JointInconsistent => "joint_inconsistent",
            Self::CommandSequence => "command_sequence",
            Self::CommandSource => "command_source",
            Self::EnvelopeChange => "envelope_change",
            Self::ClockBackwards => "clock_backwards",
            Self::CycleOverrun => "cycle_overrun",
            Self::NotRecorded => "not_recorded",
            Self::NotRealTime => "not_real_time",
        }
    }

    /// A kind that has this code. The code of a malformed input does not say which input it was; neither does the kind then.
    pub fn of_code(code: &str) -> Option<Self> {
        every::<Self>().into_iter().find(|kind| kind.code() == code)
    }

    /// Unit of value and limit, empty where there is none.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::JointPosition | Self::LeftStandstill | Self::JointInconsistent => "rad",
            Self::JointVelocity
            | Self::JointVelocityCommand
            | Self::UnexpectedMotion
            | Self::NotFollowing
            | Self::StopIneffective
            | Self::EnvelopeChange => "rad/s",
            Self::JointAcceleration => "rad/s^2",
            Self::TcpSpeed | Self::TcpSpeedCommand | Self::ElbowSpeed => "m/s",
            Self::Workspace
            | Self::KeepOut
            | Self::Separation
            | Self::SelfSeparation
            | Self::FixtureSeparation
            | Self::HumanSeparation => "m",
            Self::CollisionForce => "N",
            Self::CollisionTorque | Self::JointEffort => "N m",
            Self::Momentum => "kg m/s",
            Self::Power => "W",
            Self::Timeout(_) | Self::ClockBackwards | Self::CycleOverrun => "s",
            Self::Malformed(_, fault) => fault.unit(),
            Self::StartUp
            | Self::EmergencyStop
            | Self::CommandSequence
            | Self::CommandSource
            | Self::NotRecorded
            | Self::NotRealTime => "",
        }
    }

    /// What it asks for while robots may move.
    pub const fn severity(self) -> Severity {
        match self {
            Self::StartUp => Severity::Deny,
            // The robots did as they were told, but must not go on: a stop in time, nothing is broken.
            Self::Timeout(Input::Command | Input::GripperCommand | Input::HumanPresence)
            | Self::JointPosition
            | Self::Workspace
            | Self::KeepOut
            | Self::Separation
            | Self::SelfSeparation
            | Self::FixtureSeparation
            | Self::HumanSeparation
            | Self::NotRecorded => Severity::Stop2,
            Self::EmergencyStop => Severity::Estop,
            _ => Severity::Stop1,
        }
    }

    /// A silent input: while nothing moves it only takes the readiness away. People may be near a cell at rest, so that their
    /// sensor is asked for when something is to move.
    pub(crate) const fn is_silence(self) -> bool {
        let presence = matches!(self, Self::Timeout(Input::HumanPresence));
        matches!(self, Self::Timeout(_) | Self::StartUp) && !presence
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::StartUp => {
                "the monitor has started and every input is fresh; reset it to make the cell ready"
            }
            Self::EmergencyStop => {
                "/emergency_stop said true; make the cell safe, publish false on /emergency_stop, then reset"
            }
            Self::Timeout(Input::JointState) => {
                "the joint state is too old (an infinite age means none came); check the robot's driver, then reset"
            }
            Self::Timeout(Input::Wrench) => {
                "the wrench is too old (an infinite age means none came); check the force sensor's driver, then reset"
            }
            Self::Timeout(Input::Command) => {
                "commands ceased while the robot was moving; check the skill runtime, then reset and start the skill again"
            }
            Self::Timeout(Input::GripperCommand) => {
                "gripper commands ceased; check the skill runtime, then reset"
            }
            Self::Timeout(Input::HumanPresence) => {
                "the sensor that looks for people is silent (an infinite age means it never spoke), so that somebody may be there; check the sensor, then reset"
            }
            Self::Malformed(_, fault) => fault.sentence(),
            Self::JointPosition => {
                "the joint is outside its range or could not have stopped inside it; move it back by hand if it is outside, then reset"
            }
            Self::JointVelocity => "the joint moved faster than allowed; check the driver, then reset",
            Self::JointVelocityCommand => {
                "the skill commanded far more than the joint's limit; check the units of its output"
            }
            Self::JointAcceleration => "the joint sped up or braked harder than a robot under control does",
            Self::JointEffort => {
                "the joint's effort is above its limit; free the arm, check its load, then reset"
            }
            Self::ElbowSpeed => "the elbow moved faster than allowed",
            Self::Momentum => "the arm with its load had more momentum than allowed",
            Self::Power => "the joints did more work per second than allowed",
            Self::TcpSpeed => "the tool centre point moved faster than allowed",
            Self::TcpSpeedCommand => "the skill commanded far more than the tool's speed limit",
            Self::Workspace => {
                "the tool centre point is outside its workspace or could not have stopped inside it; move it back by hand if it is outside, then reset"
            }
            Self::KeepOut => {
                "the tool centre point is in a keep-out box or could not have stopped before it; move it out by hand if it is inside, then reset"
            }
            Self::CollisionForce | Self::CollisionTorque => {
                "the load at the flange reached the collision level; free the tool, then reset"
            }
            Self::Separation => {
                "two robots are too close or could not have stopped before; move them apart by hand if they still are, then reset"
            }
            Self::SelfSeparation => {
                "two links of the robot are too close or could not have stopped before; move them apart by hand if they still are, then reset"
            }
            Self::FixtureSeparation => {
                "a link is too close to a fixture or could not have stopped before it; move it away by hand if it still is, then reset"
            }
            Self::HumanSeparation => {
                "a person is nearer than the robot's speed allows; wait until nobody is near, then reset"
            }
            Self::UnexpectedMotion => {
                "the joint moves otherwise than it was told; check the driver, its units and whether another program commands it"
            }
            Self::LeftStandstill => {
                "the joint was told to stand and has moved away, too slowly for a velocity to tell; check its brake, the driver and what pushes the arm"
            }
            Self::NotFollowing => {
                "the robot was told to move and does not; check the driver, its permit and the robot's own stops"
            }
            Self::StopIneffective => {
                "the joint goes on moving after the stop; use the hard-wired emergency stop, then check the driver"
            }
            Self::JointInconsistent => {
                "positions and velocities of the joint state contradict each other; check encoder and driver"
            }
            Self::CommandSequence => {
                "the sequence number of a run went back; two programs may be commanding this robot"
            }
            Self::CommandSource => {
                "a second run commanded the robot while the first one moved it; stop one of them, then reset"
            }
            Self::EnvelopeChange => {
                "the limits were exchanged while a robot moved; load an envelope only at rest"
            }
            Self::ClockBackwards => "the clock of the monitor went backwards",
            Self::CycleOverrun => "the monitor decided too late; it lacks computing time",
            Self::NotRecorded => {
                "the black box cannot be written, and the cell is set to stop for that; look at the monitor's diagnostics, mend the disk, then reset"
            }
            Self::NotRealTime => {
                "somebody took away the real-time scheduling of the monitor's threads; look at the monitor's diagnostics, give it back, then reset"
            }
        }
    }
}

impl Cause {
    /// A cause that concerns the whole cell.
    pub(crate) const fn cell(kind: CauseKind, value: f64, limit: f64) -> Self {
        Self { kind, robot: None, joint: None, other: None, value, limit }
    }

    pub(crate) const fn robot(kind: CauseKind, robot: usize, value: f64, limit: f64) -> Self {
        Self { kind, robot: Some(robot), joint: None, other: None, value, limit }
    }

    pub(crate) const fn joint(kind: CauseKind, robot: usize, joint: usize, value: f64, limit: f64) -> Self {
        Self { kind, robot: Some(robot), joint: Some(joint), other: None, value, limit }
    }

    /// Name of the robot concerned; empty for the whole cell.
    pub fn robot_name<'a>(&self, config: &'a Config) -> &'a str {
        self.robot.and_then(|i| config.arms().get(i)).map_or("", |arm| arm.name.as_str())
    }

    /// Name of the joint, or of the two things that are close, concerned; empty if none. Allocates: not for the loop.
    pub fn joint_name(&self, config: &Config) -> String {
        let Some(arm) = self.robot.and_then(|i| config.arms().get(i)) else { return String::new() };
        if let Some(other) = self.other {
            return other.text(arm, config);
        }
        let joint = self.joint.and_then(|i| arm.model.joints().get(i));
        joint.map_or_else(String::new, |joint| joint.name.clone())
    }

    /// The cause as a sentence: what, where, measured and limit, what to do. Allocates: not for the loop.
    pub fn detail(&self, config: &Config) -> String {
        let mut text = match self.kind {
            CauseKind::Malformed(input, _) => format!("{} of ", input.name()),
            _ => String::new(),
        };
        let (robot, joint) = (self.robot_name(config), self.joint_name(config));
        match (robot.is_empty(), joint.is_empty()) {
            (true, _) => text.clear(),
            (false, true) => text.push_str(robot),
            (false, false) => text.extend([robot, " ", &joint]),
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(self.kind.sentence());
        let unit = self.kind.unit();
        if !unit.is_empty() {
            text.push_str(&measured(self, unit));
        }
        text
    }
}

impl Other {
    fn text(self, arm: &ArmConfig, config: &Config) -> String {
        let link = |arm: &ArmConfig, i: usize| {
            arm.model.link_capsules().get(i).map_or_else(String::new, |capsule| capsule.link.clone())
        };
        let (one, two) = match self {
            Self::Robot { robot, own, theirs } => {
                (link(arm, own), config.arms().get(robot).map_or_else(String::new, |arm| link(arm, theirs)))
            }
            Self::Own { first, second } => (link(arm, first), link(arm, second)),
            Self::Fixture { fixture, own } => {
                let fixture = config.in_force().fixtures.as_slice().get(fixture);
                (link(arm, own), fixture.map_or("", |fixture| fixture.name.as_str()).to_owned())
            }
            Self::Zone(zone) => {
                let zone = config.in_force().humans.zones.as_slice().get(zone);
                return zone.map_or("", |zone| zone.name.as_str()).to_owned();
            }
        };
        format!("{one} - {two}")
    }
}

fn measured(cause: &Cause, unit: &str) -> String {
    format!(" (measured {:.4} {unit}, limit {:.4} {unit})", cause.value, cause.limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_code_and_has_that_of_no_other_unit() {
        let kinds = every::<CauseKind>();
        assert!(kinds.contains(&CauseKind::StartUp) && kinds.contains(&CauseKind::CycleOverrun));
        assert!(kinds.contains(&CauseKind::Malformed(Input::HumanPresence, InputFault::DeadSensor)));
        for kind in kinds {
            let found = CauseKind::of_code(kind.code()).unwrap();
            assert_eq!((found.code(), found.unit()), (kind.code(), kind.unit()));
        }
        assert_eq!(CauseKind::of_code("warp_core_breach"), None);
    }
}
