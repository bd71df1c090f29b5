//! The faults, as data.

use std::sync::Arc;

use swarm_base::{Duration, Time};
use swarm_safety_core::EnvelopeFile;

use super::rig::{CommandMessage, JointMessage, PERIOD, WrenchMessage};
use super::{Begins, Fault, Moment, Observable, Reaction};

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
];

const fn fault(
    id: &'static str,
    says: &'static str,
    observable: Observable,
    reaction: Reaction,
    inject: fn(&mut Moment<'_>),
) -> Fault {
    Fault { id, says, begins: Begins::Moving, observable, reaction, inject, act: |_| () }
}

impl Fault {
    const fn begins(self, begins: Begins) -> Self {
        Self { begins, ..self }
    }

    /// What the arm does, on top.
    const fn acts(self, act: fn(&mut Moment<'_>)) -> Self {
        Self { act, ..self }
    }
}

use Observable::{After, AtOnce, Contradiction, Disobedience, Overdue, Standing};
use Reaction::{Deepen, Estop, RefuseCommand, RefuseReset, Slow, Stop};

/// All of them.
#[rustfmt::skip]
pub const FAULTS: &[Fault] = &[
    // Joint states.
    fault("joint-position-nan", "a position is not a number", AtOnce, Stop, |m| joint(m).position[2] = f64::NAN),
    fault("joint-position-infinite", "a position is infinite", AtOnce, Stop, |m| joint(m).position[2] = f64::INFINITY),
    fault("joint-velocity-nan", "a velocity is not a number", AtOnce, Stop, |m| joint(m).velocity[2] = f64::NAN),
    fault("joint-effort-nan", "an effort is not a number", AtOnce, Stop, |m| joint(m).effort[2] = f64::NAN),
    fault("joint-effort-missing", "the driver sends no efforts any more", AtOnce, Stop, |m| joint(m).effort.clear()),
    fault("joint-effort-high", "a joint works against something", AtOnce, Stop, |m| joint(m).effort[2] = 160.0),
    fault("joint-wrong-size", "a position too few", AtOnce, Stop, |m| joint(m).position.truncate(5)),
    fault("joint-no-velocities", "velocities are missing", AtOnce, Stop, |m| joint(m).velocity.clear()),
    fault("joint-missing-name", "a joint is not named", AtOnce, Stop, |m| {
        let message = joint(m);
        Arc::make_mut(&mut message.names).pop();
        let left = message.names.len();
        for values in [&mut message.position, &mut message.velocity, &mut message.effort] {
            values.truncate(left);
        }
    }),
    fault("joint-duplicate-name", "a joint is named twice", AtOnce, Stop, |m| {
        let names = Arc::make_mut(&mut joint(m).names);
        names[1] = names[0].clone();
    }),
    fault("joint-names-permuted", "names are permuted and values are not", AtOnce, Stop, |m| Arc::make_mut(&mut joint(m).names).rotate_left(1)),
    fault("gripper-as-arm", "a gripper's joint stands in the place of an arm's", AtOnce, Stop, |m| "gripper_finger_joint".clone_into(&mut Arc::make_mut(&mut joint(m).names)[4])),
    fault("robots-swapped", "the joint state of the next arm comes under this arm's names", AtOnce, Stop, |m| {
        let next = m.said.joints[(m.arm + 1) % 3][0].clone();
        let names = Arc::clone(&joint(m).names);
        *joint(m) = JointMessage { names, ..next };
    }),
    fault("joint-stamp-frozen", "the stamp stands still", AtOnce, Stop, |m| joint(m).sent_ns = m.first.1.joints[m.arm][0].sent_ns - PERIOD.0),
    fault("joint-stamp-back", "the stamp goes back by three cycles", AtOnce, Stop, |m| joint(m).sent_ns -= 3 * PERIOD.0),
    fault("joint-stamp-future", "the stamp lies 10 ms ahead", AtOnce, Stop, |m| joint(m).sent_ns += 10_000_000),
    fault("sender-clock-forward", "the sender's clock steps forward by a second", AtOnce, Stop, |m| joint(m).sent_ns += 1_000_000_000),
    fault("sender-clock-back", "the sender's clock steps back by a second", AtOnce, Stop, |m| joint(m).sent_ns -= 1_000_000_000),
    fault("joint-duplicate", "every joint state comes twice", AtOnce, Stop, |m| {
        let again = joint(m).clone();
        m.said.joints[m.arm].push(again);
    }),
    fault("joint-overtaken", "two joint states come in the wrong order", AtOnce, Stop, |m| {
        let mut older = joint(m).clone();
        older.sent_ns -= PERIOD.0 / 2;
        m.said.joints[m.arm].push(older);
    }),
    fault("joint-mute", "joint states cease", Overdue(0.02), Stop, |m| m.said.joints[m.arm].clear()),
    fault("joint-late", "joint states come one cycle later than their time-out", Overdue(0.02), Stop, |m| {
        let delay = 12;
        let joints = &mut m.said.joints[m.arm];
        if m.age < delay { joints.clear() } else { joints[0].sent_ns -= u64::from(delay) * PERIOD.0 }
    }),
    fault("burst-after-silence", "joint states queue up for 26 ms and then come all at once", Overdue(0.02), Stop, |m| {
        let message = joint(m).clone();
        m.said.joints[m.arm] = match m.age {
            0..=12 => Vec::new(),
            13 => (0..13).rev().map(|ago| JointMessage { sent_ns: message.sent_ns - ago * PERIOD.0, ..message.clone() }).collect(),
            _ => vec![message],
        };
    }),
    fault("values-frozen", "values stand still and stamps go on", Contradiction, Stop, |m| {
        let first = &m.first.1.joints[m.arm][0];
        let (position, velocity) = (first.position.clone(), first.velocity.clone());
        let message = joint(m);
        (message.position, message.velocity) = (position, velocity);
    }),
    fault("positions-frozen", "positions stand still and velocities go on", Contradiction, Stop, |m| {
        let position = m.first.1.joints[m.arm][0].position.clone();
        joint(m).position = position;
    }),
    fault("joint-spike", "one position is off by 0.05 rad, once", AtOnce, Stop, |m| if m.age == 0 { joint(m).position[3] += 0.05 }),
    fault("velocity-spike", "one velocity is off by 1 rad/s, once", AtOnce, Stop, |m| if m.age == 0 { joint(m).velocity[1] += 1.0 }),
    fault("position-drift", "a position drifts by 0.1 rad/s", Contradiction, Stop, |m| {
        let off = 0.1 * f64::from(m.age) * PERIOD.as_secs_f64();
        joint(m).position[3] += off;
    }),
    fault("velocity-of-nothing", "velocities are zero while positions move", Contradiction, Stop, |m| joint(m).velocity.fill(0.0)),
    fault("velocity-sign", "velocities have the wrong sign", Contradiction, Stop, |m| joint(m).velocity.iter_mut().for_each(|v| *v = -*v)),
    fault("position-sign", "positions have the wrong sign", AtOnce, Stop, |m| joint(m).position.iter_mut().for_each(|q| *q = -*q)),
    fault("degrees", "positions and velocities are in degrees", AtOnce, Stop, |m| {
        let message = joint(m);
        message.position.iter_mut().chain(&mut message.velocity).for_each(|value| *value = value.to_degrees());
    }),
    fault("joint-out-of-range", "a joint is outside its range", AtOnce, Stop, |m| joint(m).position[3] = 4.0),
    fault("joint-too-fast", "a joint moves at twice its limit", AtOnce, Stop, |m| joint(m).velocity[3] = 3.2),
    fault("two-drivers-behind", "a second driver publishes, half a cycle behind", AtOnce, Stop, |m| {
        let mut other = joint(m).clone();
        other.sent_ns -= PERIOD.0 / 2;
        m.said.joints[m.arm].push(other);
    }),
    fault("two-drivers", "a second driver, half as fast, says that the arm stands in its rest pose", Contradiction, Stop, |m| if m.age % 2 == 0 { stand_in(m) }),
    fault("two-drivers-masked", "as before, and its message always comes after the true one", Standing(0.5), Stop, stand_in),
    // Wrenches.
    fault("wrench-nan", "a force is not a number", AtOnce, Stop, |m| wrench(m).force[1] = f64::NAN),
    fault("wrench-mute", "wrenches cease", Overdue(0.02), Stop, |m| m.said.wrench[m.arm].clear()),
    fault("wrench-zero", "all six values are zero", AtOnce, Stop, |m| (wrench(m).force, wrench(m).torque) = ([0.0; 3], [0.0; 3])),
    fault("wrench-saturated", "a force is at the sensor's end", AtOnce, Stop, |m| wrench(m).force[2] = 500.0),
    fault("wrench-other-frame", "the wrench is given in another frame", AtOnce, Stop, |m| "world".clone_into(&mut wrench(m).frame)),
    fault("wrench-stamp-frozen", "the stamp of the wrench stands still", AtOnce, Stop, |m| wrench(m).sent_ns = m.first.1.wrench[m.arm][0].sent_ns - PERIOD.0),
    fault("wrench-stamp-future", "the stamp of the wrench lies 10 ms ahead", AtOnce, Stop, |m| wrench(m).sent_ns += 10_000_000),
    fault("wrench-bias", "forces are off by half of the way from contact to collision level", AtOnce, Slow, |m| wrench(m).force[0] += 55.0),
    fault("payload-heavier", "what the gripper holds is 10 kg heavier than declared", AtOnce, Stop, |m| heavier(m, 10.0)),
    fault("payload-half-known", "what the gripper holds is 5 kg heavier than declared", AtOnce, Slow, |m| heavier(m, 5.0)),
    fault("collision", "the tool strikes something", AtOnce, Stop, |m| wrench(m).force[0] += 150.0),
    // Whole arms.
    fault("arm-mute", "nothing comes from the arm", Overdue(0.02), Stop, |m| {
        m.said.joints[m.arm].clear();
        m.said.wrench[m.arm].clear();
    }),
    fault("all-mute", "nothing comes from any arm", Overdue(0.02), Stop, |m| {
        m.said.joints = Default::default();
        m.said.wrench = Default::default();
    }),
    fault("arm-stands", "the arm does not move although it is told to", Standing(0.5), Stop, |_| ()).acts(|m| m.rig.qd[m.arm].fill(0.0)),
    fault("arm-runs-away", "a joint speeds up by itself", Disobedience, Stop, |_| ()).acts(|m| {
        m.rig.qd[m.arm][1] = (0.01 * f64::from(m.age + 1)).min(0.6);
    }),
    fault("arm-other-way", "a joint turns the other way", Disobedience, Stop, |_| ()).acts(|m| {
        m.rig.qd[m.arm] = -m.rig.qd[m.arm];
    }),
    fault("stop-ignored", "the arm goes on after a stop", After(101), Deepen, |m| if m.age == 0 { wrench(m).force[0] += 150.0 }).acts(|m| {
        m.rig.qd[m.arm][1] = 0.3;
    }),
    // Commands.
    fault("command-nan", "a commanded velocity is not a number", AtOnce, Stop, |m| command(m).velocity[1] = f64::NAN),
    fault("command-size", "a command has a value too few", AtOnce, Stop, |m| command(m).velocity.truncate(5)),
    fault("command-other-robot", "a command for another robot comes", AtOnce, Stop, |m| "somebody".clone_into(&mut command(m).robot)),
    fault("command-unknown-joint", "a command names a joint that the arm has not", AtOnce, Stop, |m| "elbow".clone_into(&mut Arc::make_mut(&mut command(m).names)[2])),
    fault("command-degrees", "a skill thinks in degrees", AtOnce, Stop, |m| command(m).velocity.iter_mut().for_each(|v| *v = v.to_degrees())),
    fault("command-old-epoch", "a run from before the last reset commands", AtOnce, RefuseCommand, |m| command(m).epoch -= 1),
    fault("command-other-artifact", "a skill whose envelope is not loaded commands", AtOnce, RefuseCommand, |m| command(m).artifact = "2c26b46b68ffc68f"),
    fault("command-sequence-back", "the sequence number goes back", AtOnce, Stop, |m| command(m).sequence -= 5),
    fault("command-repeated", "a sender hangs and repeats itself", Overdue(0.05), Stop, |m| command(m).sequence = m.first.1.command[m.arm][0].sequence - 1),
    fault("command-mute", "commands cease in motion", Overdue(0.05), Stop, |m| m.said.command[m.arm].clear()),
    fault("command-queued", "a command lay in a queue for 0.1 s", AtOnce, Stop, |m| command(m).sent_ns -= 100_000_000),
    fault("command-future", "a command's stamp lies 10 ms ahead", AtOnce, Stop, |m| command(m).sent_ns += 10_000_000),
    fault("second-commander", "a second run commands the moving arm", AtOnce, Stop, |m| {
        let other = CommandMessage { trace: "other", ..command(m).clone() };
        m.said.command[m.arm].push(other);
    }),
    // The emergency stop and the reset.
    fault("estop-flapping", "the emergency stop says true and false in turns", AtOnce, Estop, |m| m.said.emergency_stop = vec![true, false, true, false]),
    fault("estop-tap", "true and false come within one cycle", AtOnce, Estop, |m| if m.age == 0 { m.said.emergency_stop = vec![true, false] }),
    fault("estop-before-start", "the emergency stop is pressed before the first reset", AtOnce, Estop, |m| m.said.emergency_stop = vec![true]).begins(Begins::Cold),
    fault("estop-during-reset", "it is pressed in the cycle of a reset", AtOnce, Estop, |m| {
        m.said.emergency_stop = vec![true, false];
        m.said.reset = Some(m.rig.state.epoch());
    }).begins(Begins::Stopped),
    fault("reset-while-pressed", "a reset comes while the emergency stop is held", AtOnce, RefuseReset, |m| {
        m.said.emergency_stop = vec![true];
        m.said.reset = Some(m.rig.state.epoch());
    }).begins(Begins::Stopped),
    fault("reset-with-cause", "a reset comes while a collision lasts", AtOnce, RefuseReset, |m| {
        wrench(m).force[0] += 150.0;
        m.said.reset = Some(m.rig.state.epoch());
    }).begins(Begins::Stopped),
    fault("reset-replayed", "the reset that ended the last stop is sent again", AtOnce, RefuseReset, |m| m.said.reset = Some(m.rig.state.epoch() - 1)).begins(Begins::Stopped),
    fault("reset-held-down", "a reset is held down through a new stop", After(1), RefuseReset, |m| {
        m.said.reset = Some(m.first.0.state.epoch());
        if m.age == 1 { m.said.emergency_stop = vec![true, false] }
    }).begins(Begins::Stopped),
    fault("reset-in-motion", "a reset comes while the arms move", AtOnce, RefuseReset, |m| m.said.reset = Some(m.rig.state.epoch())),
    // Time and limits.
    fault("clock-back", "the monitor's clock goes back by 10 ms", AtOnce, Stop, |m| if m.age == 0 { m.rig.now = Time(m.rig.now.0 - 10_000_000) }),
    fault("overrun", "the monitor decides two cycles late", AtOnce, Stop, |m| if m.age == 0 { late(m, 2) }),
    fault("overrun-long", "the monitor decides 1 to 50 cycles later than that", AtOnce, Stop, |m| if m.age == 0 {
        let cycles = 3 + (m.chance * 49.0) as u64;
        late(m, cycles);
    }),
    fault("limits-exchanged", "limits are exchanged while the arms move", AtOnce, Stop, |m| if m.age == 0 {
        let text = format!("schema: 1\nrobots: {{{}: {{tcp: {{speed_m_s: 0.4}}}}}}", m.rig.config.arms()[m.arm].name);
        // A file that is not taken changes nothing, and the episode shows it.
        let config = EnvelopeFile::parse(&text).and_then(|file| m.rig.config.with_envelope(Some(&file), &[], 1));
        if let Ok(config) = config { m.rig.config = Arc::new(config) }
    }),
    // People.
    fault("presence-mute", "the sensor that looks for people falls silent", Overdue(0.1), Stop, |m| m.said.presence.clear()),
    fault("presence-nan", "its range is not a number", AtOnce, Stop, |m| m.said.presence[0].0 = f64::NAN),
    fault("presence-stamp-frozen", "its stamp stands still", AtOnce, Stop, |m| m.said.presence[0].1 -= PERIOD.0),
    fault("person-appears", "a person stands beside the arms", AtOnce, Stop, |m| m.said.presence[0].0 = 0.5),
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
