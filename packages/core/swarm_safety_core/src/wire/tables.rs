//! Every recorded type with its fields in their order, and every enumeration with its numbers: the layout itself.

use super::{Bytes, Leaf, Wire, WireError, variant, wire_enum, wire_struct};
use crate::cause::{Cause, CauseKind, Other};
use crate::config::{Timing, Tolerances};
use crate::inputs::{
    CommandSample, EmergencyStop, GripperSample, Input, InputFault, Inputs, JointSample, PresenceSample,
    Refused, ResetRequest, RobotInputs, WrenchSample,
};
use crate::state::{RobotState, SafetyState, State};
use crate::verdict::{GripperTarget, Measures, Refusal, ResetRefusal, RobotVerdict, Verdict};

// What the cell said.
wire_struct!(Inputs { robots, presence, emergency_stop, reset, not_recorded, not_real_time });
wire_struct!(RobotInputs { joints, wrench, command, gripper, refused });
wire_struct!(JointSample { q, qd, effort, stamp_ns, sent, sequence });
wire_struct!(WrenchSample { force, torque, stamp_ns, sent, sequence });
wire_struct!(CommandSample { velocity, epoch, run, sequence, artifact_matches, sent });
wire_struct!(GripperSample { width_m, force_n, epoch, artifact_matches, arrival });
wire_struct!(PresenceSample { range_m, stamp_ns, sent });
wire_struct!(Refused { fault, joint, value, limit });
wire_struct!(ResetRequest { epoch });
wire_struct!(EmergencyStop { held, pressed });
wire_enum!(Input, 4 { 0 = JointState, 1 = Wrench, 2 = Command, 3 = GripperCommand, 4 = HumanPresence });
wire_enum!(InputFault, 11 {
    0 = NotFinite,
    1 = WrongSize,
    2 = MissingJoint,
    3 = DuplicateJoint,
    4 = UnknownJoint,
    5 = WrongRobot,
    6 = StampFrozen,
    7 = StampBackwards,
    8 = StampFuture,
    9 = StampOld,
    10 = NoEffort,
    11 = DeadSensor,
});

// What was decided.
wire_struct!(Verdict { state, cause, cause_cycle, epoch, cycle, changed, reset, robots });
wire_struct!(RobotVerdict { velocity, scale, gripper, gripper_new, refusal, stop_ineffective, measures });
wire_struct!(GripperTarget { width_m, force_n });
wire_struct!(Measures {
    tcp_speed_m_s,
    tcp_speed_limit_m_s,
    elbow_speed_m_s,
    elbow_speed_limit_m_s,
    momentum_kg_m_s,
    momentum_limit_kg_m_s,
    power_w,
    power_limit_w,
    contact_force_n,
    contact_force_limit_n,
    separation_m,
    separation_limit_m,
    self_separation_m,
    fixture_separation_m,
    human_separation_m,
    joint_velocity_ratio,
    input_age_s,
});
wire_struct!(Cause { kind, robot, joint, other, value, limit });
wire_enum!(SafetyState, 6 { 0 = Deny, 1 = Ready, 2 = Run, 3 = Slow, 4 = Stop2, 5 = Stop1, 6 = Estop });
wire_enum!(Refusal, 2 { 0 = NotReady, 1 = OldEpoch { command, current }, 2 = OtherArtifact });
wire_enum!(ResetRefusal, 4 {
    0 = WrongEpoch { request, current },
    1 = Running,
    2 = EmergencyStopHeld,
    3 = CausePersists(cause),
    4 = Moving { robot, velocity },
});
wire_enum!(Other, 3 {
    0 = Robot { robot, own, theirs },
    1 = Own { first, second },
    2 = Fixture { fixture, own },
    3 = Zone(zone),
});
wire_enum!(CauseKind, 33 {
    0 = StartUp,
    1 = EmergencyStop,
    2 = Timeout(input),
    3 = Malformed(input, fault),
    4 = JointPosition,
    5 = JointVelocity,
    6 = JointVelocityCommand,
    7 = JointAcceleration,
    8 = JointEffort,
    9 = ElbowSpeed,
    10 = Momentum,
    11 = Power,
    12 = TcpSpeed,
    13 = TcpSpeedCommand,
    14 = Workspace,
    15 = KeepOut,
    16 = CollisionForce,
    17 = CollisionTorque,
    18 = Separation,
    19 = SelfSeparation,
    20 = FixtureSeparation,
    21 = HumanSeparation,
    22 = UnexpectedMotion,
    23 = NotFollowing,
    24 = StopIneffective,
    25 = JointInconsistent,
    26 = CommandSequence,
    27 = CommandSource,
    28 = EnvelopeChange,
    29 = ClockBackwards,
    30 = CycleOverrun,
    31 = NotRecorded,
    32 = LeftStandstill,
    33 = NotRealTime,
});

// What is known beforehand.
wire_struct!(Timing { period_s, permit_period_s, reaction_s, max_cycle_gap_s });
wire_struct!(Tolerances {
    measured_speed,
    measured_acceleration,
    acceleration_filter_s,
    absurd_command,
    rest_rad_s,
    unexpected_rad_s,
    response_s,
    follow_s,
    standstill_rad,
    consistency_rad,
    max_joint_state_gap_s,
    slowest_scale,
});

// What one step hands to the next.
wire_struct!(State { safety, epoch, cycle, cause, cause_cycle, last_step, generation, clear_since, robots });
wire_struct!(RobotState {
    output,
    target,
    target_since,
    seen_command,
    last_command,
    seen_gripper,
    gripper,
    joints,
    acceleration,
    told,
    stopping,
    resting,
});

/// The answer to a reset: 0 and the epoch that it began, or 1 and why it was refused.
impl Wire for Result<u64, ResetRefusal> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_err().put(out);
        match self {
            Ok(epoch) => epoch.put(out),
            Err(refusal) => refusal.put(out),
        }
    }

    fn take(bytes: &mut Bytes<'_>) -> Result<Self, WireError> {
        Ok(if bytes.tag(1, "answer to a reset")? == 0 {
            Ok(u64::take(bytes)?)
        } else {
            Err(ResetRefusal::take(bytes)?)
        })
    }

    fn leaves(&self, path: &str, out: &mut Vec<Leaf>) {
        match self {
            Ok(epoch) => {
                variant(path, "Done", out);
                epoch.leaves(path, out);
            }
            Err(refusal) => refusal.leaves(path, out),
        }
    }
}
