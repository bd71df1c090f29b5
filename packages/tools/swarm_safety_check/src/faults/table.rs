//! The faults, as data.

use std::sync::Arc;

use swarm_base::{Duration, Time};
use swarm_safety_core::{EnvelopeFile, Input};

use super::rig::{CommandMessage, JointMessage, PERIOD, WrenchMessage};
use super::{Begins, Codes, Fault, Moment, Observable, OnBinary, Reaction, Subject};

/// What the monitor cannot see, and the assumption of use that covers it.
pub const UNSEEN: &[(&str, &str)] = &[
    (
        "an arm stands elsewhere than declared",
        "base poses are measured when the cell is built, and after every change of it",
    ),
    (
        "the wrench is off by less than the contact level",
        "force sensors are zeroed without contact before each run",
    ),
    (
        "a payload differs from the declared one by less than the contact level",
        "payloads are declared, and weighed when they change",
    ),
    (
        "a zone's sensor says that nobody is there although somebody is",
        "presence sensors have a safety rating of their own",
    ),
    (
        "position and velocity are wrong alike and consistently",
        "encoders are the drives' own, with their own monitoring",
    ),
    (
        "the monitor decides up to 20 ms late",
        "drivers stop their arm when the last permit is older than 20 ms (AoU-02); a longer gap is found (`overrun`)",
    ),
    (
        "the CPU that the deciding thread is bound to is taken away while the cell runs",
        "the machine grants the declared CPU (AoU-05)",
    ),
];

/// What every row begins with: `subject(id, what goes wrong, when it can be seen, what must come, injection)`.
macro_rules! of {
    ($($name:ident: $subject:ident,)*) => { $(
        const fn $name(
            id: &'static str,
            says: &'static str,
            observable: Observable,
            reaction: Reaction,
            inject: fn(&mut Moment<'_>),
        ) -> Fault {
            let (begins, binary) = (Begins::Moving, OnBinary::Messages);
            Fault { id, subject: Subject::$subject, says, begins, observable, reaction, binary, inject, act: |_| () }
        }
    )* };
}

of! {
    joints: JointState,
    wrenches: Wrench,
    arm: Arm,
    arms: Cell,
    commands: Command,
    operator: Operator,
    monitor: Monitor,
    people: Presence,
}

impl Fault {
    const fn begins(self, begins: Begins) -> Self {
        Self { begins, ..self }
    }

    /// What the arm does, on top.
    const fn acts(self, act: fn(&mut Moment<'_>)) -> Self {
        Self { act, ..self }
    }

    const fn on_binary(self, binary: OnBinary) -> Self {
        Self { binary, ..self }
    }
}

use Observable::{After, AtOnce, Contradiction, Disobedience, Overdue, Stale, Standing};
use Reaction::{Deepen, Estop, RefuseCommand, RefuseReset, Slow, Stop};

/// What is said of values that jump, or that drift from the sum of their velocities.
const INCONSISTENT: Codes = &["joint_inconsistent"];

/// Tests that run a fault on the production binary which messages alone cannot bring about.
const PRESSED_BEFORE: &str =
    "tests/ros/test_safety_gate.py::test_a_stop_that_was_latched_before_the_monitor_started_is_heard";
const PAUSED: &str = "tests/ros/test_safety_gate.py::test_a_monitor_that_is_killed_stuck_or_crashed_means_that_the_arms_stop_by_themselves";
const EXCHANGED: &str = "tests/ros/test_safety_gate.py::test_an_envelope_is_not_exchanged_while_an_arm_moves";

/// All of them.
#[rustfmt::skip]
pub const FAULTS: &[Fault] = &[
    // Joint states.
    joints("joint-position-nan", "a position is not a number", AtOnce, Stop(&["not_finite"]), |m| joint(m).position[2] = f64::NAN),
    joints("joint-position-infinite", "a position is infinite", AtOnce, Stop(&["not_finite"]), |m| joint(m).position[2] = f64::INFINITY),
    joints("joint-velocity-nan", "a velocity is not a number", AtOnce, Stop(&["not_finite"]), |m| joint(m).velocity[2] = f64::NAN),
    joints("joint-effort-nan", "an effort is not a number", AtOnce, Stop(&["not_finite"]), |m| joint(m).effort[2] = f64::NAN),
    joints("joint-effort-missing", "the driver sends no efforts any more", AtOnce, Stop(&["no_effort"]), |m| joint(m).effort.clear()),
    joints("joint-effort-high", "a joint works against something", AtOnce, Stop(&["joint_effort"]), |m| joint(m).effort[2] = 160.0),
    joints("joint-wrong-size", "a position too few", AtOnce, Stop(&["wrong_size"]), |m| joint(m).position.truncate(5)),
    joints("joint-no-velocities", "velocities are missing", AtOnce, Stop(&["wrong_size"]), |m| joint(m).velocity.clear()),
    joints("joint-missing-name", "a joint is not named", AtOnce, Stop(&["missing_joint"]), |m| {
        let message = joint(m);
        Arc::make_mut(&mut message.names).pop();
        let left = message.names.len();
        for values in [&mut message.position, &mut message.velocity, &mut message.effort] {
            values.truncate(left);
        }
    }),
    joints("joint-duplicate-name", "a joint is named twice", AtOnce, Stop(&["duplicate_joint"]), |m| {
        let names = Arc::make_mut(&mut joint(m).names);
        names[1] = names[0].clone();
    }),
    joints("joint-names-permuted", "names are permuted and values are not", AtOnce, Stop(INCONSISTENT), |m| Arc::make_mut(&mut joint(m).names).rotate_left(1)),
    joints("gripper-as-arm", "a gripper's joint stands in the place of an arm's", AtOnce, Stop(&["missing_joint"]), |m| "gripper_finger_joint".clone_into(&mut Arc::make_mut(&mut joint(m).names)[4])),
    joints("robots-swapped", "the joint state of the next arm comes under this arm's names", AtOnce, Stop(&["joint_inconsistent", "wrong_size"]), |m| {
        let next = m.said.joints[(m.arm + 1) % 3][0].clone();
        let names = Arc::clone(&joint(m).names);
        *joint(m) = JointMessage { names, ..next };
    }),
    joints("joint-stamp-frozen", "the stamp stands still", AtOnce, Stop(&["stamp_frozen"]), |m| joint(m).sent_ns = m.first.1.joints[m.arm][0].sent_ns - PERIOD.0),
    joints("joint-stamp-back", "the stamp goes back by three cycles", AtOnce, Stop(&["stamp_backwards"]), |m| joint(m).sent_ns -= 3 * PERIOD.0),
    joints("joint-stamp-future", "the stamp lies 10 ms ahead", AtOnce, Stop(&["stamp_future"]), |m| joint(m).sent_ns += 10_000_000),
    joints("sender-clock-forward", "the sender's clock steps forward by a second", AtOnce, Stop(&["stamp_future"]), |m| joint(m).sent_ns += 1_000_000_000),
    joints("sender-clock-back", "the sender's clock steps back by a second", AtOnce, Stop(&["stamp_old"]), |m| joint(m).sent_ns -= 1_000_000_000),
    joints("joint-duplicate", "every joint state comes twice", AtOnce, Stop(&["stamp_frozen"]), |m| {
        let again = joint(m).clone();
        m.said.joints[m.arm].push(again);
    }),
    joints("joint-overtaken", "two joint states come in the wrong order", AtOnce, Stop(&["stamp_backwards"]), |m| {
        let mut older = joint(m).clone();
        older.sent_ns -= PERIOD.0 / 2;
        m.said.joints[m.arm].push(older);
    }),
    joints("joint-mute", "joint states cease", Overdue(Input::JointState), Stop(&["joint_state_timeout"]), |m| m.said.joints[m.arm].clear()),
    joints("joint-delayed", "joint states come later and later, in the end by 23 ms and none is lost", Stale(Input::JointState), Stop(&["joint_state_timeout"]), |m| {
        m.said.joints[m.arm] = delayed(m, 23).map_or_else(Vec::new, |at| m.past[at].joints[m.arm].clone());
    }),
    joints("burst-after-silence", "joint states queue up for 26 ms and then come all at once", Overdue(Input::JointState), Stop(&["joint_state_timeout"]), |m| {
        let message = joint(m).clone();
        m.said.joints[m.arm] = match m.age {
            0..26 => Vec::new(),
            26 => (0..26).rev().map(|ago| JointMessage { sent_ns: message.sent_ns - ago * PERIOD.0, ..message.clone() }).collect(),
            _ => vec![message],
        };
    }),
    joints("values-frozen", "values stand still and stamps go on", Contradiction, Stop(INCONSISTENT), |m| {
        let first = &m.first.1.joints[m.arm][0];
        let (position, velocity) = (first.position.clone(), first.velocity.clone());
        let message = joint(m);
        (message.position, message.velocity) = (position, velocity);
    }),
    joints("positions-frozen", "positions stand still and velocities go on", Contradiction, Stop(INCONSISTENT), |m| {
        let position = m.first.1.joints[m.arm][0].position.clone();
        joint(m).position = position;
    }),
    joints("joint-spike", "one position is off by 0.05 rad, once", AtOnce, Stop(INCONSISTENT), |m| if m.age == 0 { joint(m).position[3] += 0.05 }),
    joints("velocity-spike", "one velocity is off by 1 rad/s, once", AtOnce, Stop(&["joint_acceleration"]), |m| if m.age == 0 { joint(m).velocity[1] += 1.0 }),
    joints("position-drift", "a position drifts by 0.1 rad/s", Contradiction, Stop(INCONSISTENT), |m| {
        let off = 0.1 * f64::from(m.age) * PERIOD.as_secs_f64();
        joint(m).position[3] += off;
    }),
    joints("velocity-of-nothing", "velocities are zero while positions move", Contradiction, Stop(INCONSISTENT), |m| joint(m).velocity.fill(0.0)),
    joints("velocity-sign", "velocities have the wrong sign", AtOnce, Stop(&["unexpected_motion"]), |m| joint(m).velocity.iter_mut().for_each(|v| *v = -*v)),
    joints("position-sign", "positions have the wrong sign", AtOnce, Stop(INCONSISTENT), |m| joint(m).position.iter_mut().for_each(|q| *q = -*q)),
    joints("degrees", "positions and velocities are in degrees", AtOnce, Stop(INCONSISTENT), |m| {
        let message = joint(m);
        message.position.iter_mut().chain(&mut message.velocity).for_each(|value| *value = value.to_degrees());
    }),
    joints("joint-out-of-range", "a joint is outside its range", AtOnce, Stop(INCONSISTENT), |m| joint(m).position[3] = 4.0),
    joints("joint-too-fast", "a joint moves at twice its limit", AtOnce, Stop(&["joint_velocity"]), |m| joint(m).velocity[3] = 3.2),
    joints("two-drivers-behind", "a second driver publishes, half a cycle behind", AtOnce, Stop(&["stamp_backwards"]), |m| {
        let mut other = joint(m).clone();
        other.sent_ns -= PERIOD.0 / 2;
        m.said.joints[m.arm].push(other);
    }),
    joints("two-drivers", "a second driver, half as fast, says that the arm stands in its rest pose", Contradiction, Stop(INCONSISTENT), |m| if m.age % 2 == 0 { stand_in(m) }),
    joints("two-drivers-masked", "as before, and its message always comes after the true one", Standing(0.5), Stop(&["joint_inconsistent", "not_following"]), stand_in),
    // Wrenches.
    wrenches("wrench-nan", "a force is not a number", AtOnce, Stop(&["not_finite"]), |m| wrench(m).force[1] = f64::NAN),
    wrenches("wrench-mute", "wrenches cease", Overdue(Input::Wrench), Stop(&["wrench_timeout"]), |m| m.said.wrench[m.arm].clear()),
    wrenches("wrench-delayed", "wrenches come later and later, in the end by 23 ms and none is lost", Stale(Input::Wrench), Stop(&["wrench_timeout"]), |m| {
        m.said.wrench[m.arm] = delayed(m, 23).map_or_else(Vec::new, |at| m.past[at].wrench[m.arm].clone());
    }),
    wrenches("wrench-zero", "all six values are zero", AtOnce, Stop(&["dead_sensor"]), |m| (wrench(m).force, wrench(m).torque) = ([0.0; 3], [0.0; 3])),
    wrenches("wrench-saturated", "a force is at the sensor's end", AtOnce, Stop(&["collision_force"]), |m| wrench(m).force[2] = 500.0),
    wrenches("wrench-other-frame", "the wrench is given in another frame", AtOnce, Stop(&["wrong_robot"]), |m| "world".clone_into(&mut wrench(m).frame)),
    wrenches("wrench-stamp-frozen", "the stamp of the wrench stands still", AtOnce, Stop(&["stamp_frozen"]), |m| wrench(m).sent_ns = m.first.1.wrench[m.arm][0].sent_ns - PERIOD.0),
    wrenches("wrench-stamp-future", "the stamp of the wrench lies 10 ms ahead", AtOnce, Stop(&["stamp_future"]), |m| wrench(m).sent_ns += 10_000_000),
    wrenches("wrench-bias", "forces are off by half of the way from contact to collision level", AtOnce, Slow, |m| wrench(m).force[0] += 55.0),
    wrenches("payload-heavier", "what the gripper holds is 10 kg heavier than declared", AtOnce, Stop(&["collision_force"]), |m| heavier(m, 10.0)),
    wrenches("payload-half-known", "what the gripper holds is 5 kg heavier than declared", AtOnce, Slow, |m| heavier(m, 5.0)),
    wrenches("collision", "the tool strikes something", AtOnce, Stop(&["collision_force"]), |m| wrench(m).force[0] += 150.0),
    // Whole arms.
    arm("arm-mute", "nothing comes from the arm", Overdue(Input::JointState), Stop(&["joint_state_timeout"]), |m| {
        m.said.joints[m.arm].clear();
        m.said.wrench[m.arm].clear();
    }),
    arms("all-mute", "nothing comes from any arm", Overdue(Input::JointState), Stop(&["joint_state_timeout"]), |m| {
        m.said.joints = Default::default();
        m.said.wrench = Default::default();
    }),
    arm("arm-stands", "the arm does not move although it is told to", Standing(0.5), Stop(&["not_following"]), |_| ()).acts(|m| m.rig.qd[m.arm].fill(0.0)),
    arm("arm-runs-away", "a joint speeds up by itself", Disobedience, Stop(&["unexpected_motion"]), |_| ()).acts(|m| {
        m.rig.qd[m.arm][1] = (0.005 * f64::from(m.age + 1)).min(0.6);
    }),
    arm("arm-other-way", "a joint turns the other way", Disobedience, Stop(&["unexpected_motion"]), |_| ()).acts(|m| {
        m.rig.qd[m.arm] = -m.rig.qd[m.arm];
    }),
    arm("stop-ignored", "the arm goes on after a stop", After(201), Deepen, |m| if m.age == 0 { wrench(m).force[0] += 150.0 }).acts(|m| {
        m.rig.qd[m.arm][1] = 0.3;
    }),
    // Commands.
    commands("command-nan", "a commanded velocity is not a number", AtOnce, Stop(&["not_finite"]), |m| command(m).velocity[1] = f64::NAN),
    commands("command-size", "a command has a value too few", AtOnce, Stop(&["wrong_size"]), |m| command(m).velocity.truncate(5)),
    commands("command-other-robot", "a command for another robot comes", AtOnce, Stop(&["wrong_robot"]), |m| "somebody".clone_into(&mut command(m).robot)),
    commands("command-unknown-joint", "a command names a joint that the arm has not", AtOnce, Stop(&["unknown_joint"]), |m| "elbow".clone_into(&mut Arc::make_mut(&mut command(m).names)[2])),
    commands("command-degrees", "a skill thinks in degrees", AtOnce, Stop(&["joint_velocity_command"]), |m| command(m).velocity.iter_mut().for_each(|v| *v = v.to_degrees())),
    commands("command-old-epoch", "a run from before the last reset commands", AtOnce, RefuseCommand(&["old_epoch"]), |m| command(m).epoch -= 1),
    commands("command-other-artifact", "a skill whose envelope is not loaded commands", AtOnce, RefuseCommand(&["other_artifact"]), |m| command(m).artifact = "2c26b46b68ffc68f"),
    commands("command-sequence-back", "the sequence number goes back", AtOnce, Stop(&["command_sequence"]), |m| command(m).sequence -= 5),
    commands("command-repeated", "a sender hangs and repeats itself", Overdue(Input::Command), Stop(&["command_timeout"]), |m| command(m).sequence = m.first.1.command[m.arm][0].sequence - 1),
    commands("command-mute", "commands cease in motion", Overdue(Input::Command), Stop(&["command_timeout"]), |m| m.said.command[m.arm].clear()),
    commands("command-delayed", "commands come later and later, in the end by 53 ms and none is lost", Stale(Input::Command), Stop(&["command_timeout"]), |m| {
        m.said.command[m.arm] = delayed(m, 53).map_or_else(Vec::new, |at| m.past[at].command[m.arm].clone());
    }),
    commands("command-queued", "a command lay in a queue for 0.1 s", AtOnce, Stop(&["stamp_old"]), |m| command(m).sent_ns -= 100_000_000),
    commands("command-future", "a command's stamp lies 10 ms ahead", AtOnce, Stop(&["stamp_future"]), |m| command(m).sent_ns += 10_000_000),
    commands("second-commander", "a second run commands the moving arm", AtOnce, Stop(&["command_source"]), |m| {
        let other = CommandMessage { trace: "other", ..command(m).clone() };
        m.said.command[m.arm].push(other);
    }),
    // The emergency stop and the reset.
    operator("estop-flapping", "the emergency stop says true and false in turns", AtOnce, Estop, |m| m.said.emergency_stop = vec![true, false, true, false]),
    operator("estop-tap", "true and false come within one cycle", AtOnce, Estop, |m| if m.age == 0 { m.said.emergency_stop = vec![true, false] }),
    operator("estop-before-start", "the emergency stop is pressed before the first reset", AtOnce, Estop, |m| m.said.emergency_stop = vec![true]).begins(Begins::Cold).on_binary(OnBinary::Test(PRESSED_BEFORE)),
    operator("estop-during-reset", "it is pressed in the cycle of a reset", AtOnce, RefuseReset(&["emergency_stop_held"]), |m| {
        m.said.emergency_stop = vec![true, false];
        m.said.reset = Some(m.rig.state.epoch());
    }).begins(Begins::Stopped).on_binary(OnBinary::No("messages cannot be made to meet in one cycle from outside")),
    operator("reset-while-pressed", "a reset comes while the emergency stop is held", AtOnce, RefuseReset(&["emergency_stop_held"]), |m| {
        m.said.emergency_stop = vec![true];
        m.said.reset = Some(m.rig.state.epoch());
    }).begins(Begins::Stopped),
    operator("reset-with-cause", "a reset comes while a collision lasts", AtOnce, RefuseReset(&["collision_force"]), |m| {
        wrench(m).force[0] += 150.0;
        m.said.reset = Some(m.rig.state.epoch());
    }).begins(Begins::Stopped),
    operator("reset-replayed", "the reset that ended the last stop is sent again", AtOnce, RefuseReset(&["wrong_epoch"]), |m| m.said.reset = Some(m.rig.state.epoch() - 1)).begins(Begins::Stopped),
    operator("reset-held-down", "a reset is held down through a new stop", After(1), RefuseReset(&["wrong_epoch"]), |m| {
        m.said.reset = Some(m.first.0.state.epoch());
        if m.age == 1 { m.said.emergency_stop = vec![true, false] }
    }).begins(Begins::Stopped),
    operator("reset-in-motion", "a reset comes while the arms move", AtOnce, RefuseReset(&["running"]), |m| m.said.reset = Some(m.rig.state.epoch())),
    // Time and limits.
    monitor("clock-back", "the monitor's clock goes back by 10 ms", AtOnce, Stop(&["clock_backwards"]), |m| if m.age == 0 { m.rig.now = Time(m.rig.now.0 - 10_000_000) })
        .on_binary(OnBinary::No("the kernel's monotonic clock does not go back")),
    monitor("overrun", "the monitor decides 20 cycles late: more than drivers wait for a permit", AtOnce, Stop(&["cycle_overrun"]), |m| if m.age == 0 { late(m, 20) })
        .on_binary(OnBinary::Test(PAUSED)),
    monitor("overrun-long", "the monitor decides 1 to 50 cycles later than that", AtOnce, Stop(&["cycle_overrun"]), |m| if m.age == 0 {
        let cycles = 21 + (m.chance * 49.0) as u64;
        late(m, cycles);
    }).on_binary(OnBinary::Test(PAUSED)),
    monitor("limits-exchanged", "limits are exchanged while the arms move", AtOnce, Stop(&["envelope_change"]), |m| if m.age == 0 {
        let text = format!("schema: 1\nrobots: {{{}: {{tcp: {{speed_m_s: 0.4}}}}}}", m.rig.config.arms()[m.arm].name);
        // A file that is not taken changes nothing, and the episode shows it.
        let config = EnvelopeFile::parse(&text).and_then(|file| m.rig.config.with_envelope(Some(&file), &[], 1));
        if let Ok(config) = config { m.rig.config = Arc::new(config) }
    }).on_binary(OnBinary::Test(EXCHANGED)),
    // People.
    people("presence-mute", "the sensor that looks for people falls silent", Overdue(Input::HumanPresence), Stop(&["human_presence_timeout"]), |m| m.said.presence.clear()),
    people("presence-delayed", "its messages come later and later, in the end by 103 ms and none is lost", Stale(Input::HumanPresence), Stop(&["human_presence_timeout"]), |m| {
        m.said.presence = delayed(m, 103).map_or_else(Vec::new, |at| m.past[at].presence.clone());
    }),
    people("presence-nan", "its range is not a number", AtOnce, Stop(&["human_presence_timeout"]), |m| m.said.presence[0].0 = f64::NAN),
    people("presence-stamp-frozen", "its stamp stands still", AtOnce, Stop(&["human_presence_timeout"]), |m| m.said.presence[0].1 -= PERIOD.0),
    people("person-appears", "a person stands beside the arms", AtOnce, Stop(&["human_separation"]), |m| m.said.presence[0].0 = 0.5),
];

fn joint<'a>(moment: &'a mut Moment<'_>) -> &'a mut JointMessage {
    &mut moment.said.joints[moment.arm][0]
}

fn wrench<'a>(moment: &'a mut Moment<'_>) -> &'a mut WrenchMessage {
    &mut moment.said.wrench[moment.arm][0]
}

fn command<'a>(moment: &'a mut Moment<'_>) -> &'a mut CommandMessage {
    &mut moment.said.command[moment.arm][0]
}

/// Which healthy message comes in this cycle through a queue that grows, by one cycle in two, until it delays by `most` cycles: the
/// cycle in which it was sent; `None` if none comes.
fn delayed(moment: &Moment<'_>, most: u32) -> Option<usize> {
    let sent = |age: u32| if age < 2 * most { age / 2 } else { age - most };
    let age = moment.age;
    (age == 0 || sent(age) != sent(age - 1)).then(|| sent(age) as usize)
}

/// A second joint state: the arm stands in its rest pose.
fn stand_in(moment: &mut Moment<'_>) {
    let home = moment.rig.cell.home[moment.arm];
    let mut other = joint(moment).clone();
    other.sent_ns += PERIOD.0 / 4;
    other.position = home.iter().take(other.position.len()).copied().collect();
    other.velocity.fill(0.0);
    moment.said.joints[moment.arm].push(other);
}

/// The force at the flange grows by so many kilograms, at the flange's origin.
fn heavier(moment: &mut Moment<'_>, mass_kg: f64) {
    let arm = &moment.rig.config.arms()[moment.arm];
    let load = swarm_kinematics::Load { mass_kg, com_m: nalgebra::Vector3::zeros() };
    let weight = load.weight(&arm.model.flange(&arm.model.forward(&moment.rig.q[moment.arm])));
    let message = wrench(moment);
    for (axis, force) in message.force.iter_mut().enumerate() {
        *force += weight[axis];
    }
}

/// The step comes so many cycles late, and what is heard is as new as ever.
fn late(moment: &mut Moment<'_>, cycles: u64) {
    let gap = Duration(cycles * PERIOD.0);
    let rig = &mut *moment.rig;
    rig.now = rig.now + gap;
    for (q, qd) in rig.q.iter_mut().zip(&rig.qd) {
        *q += qd * gap.as_secs_f64();
    }
    *moment.said = moment.rig.say();
}
