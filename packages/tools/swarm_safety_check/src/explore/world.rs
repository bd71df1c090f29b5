//! The cell around the decision: three arms that do as they are told unless a letter says otherwise, and what is heard of them.

use std::hash::{Hash, Hasher};

use swarm_base::{Duration, Time};
use swarm_kinematics::JointVector;
use swarm_safety_core::ingest::Refused;
use swarm_safety_core::{
    CommandSample, Config, GripperSample, Input, InputFault, Inputs, JointSample, MAX_ROBOTS, PresenceSample,
    ResetRequest, State, Verdict, WrenchSample, step,
};

use super::alphabet::{Action, Asked, Clock, Command, Gripper, Joints, Letter, Presence, Press, Wrench};
use super::key;
use crate::cell::Cell;

/// Time between steps. The decision knows no scale of time but its configuration's; ten times the shipped period make a ramp two
/// steps and a time-out three, and so every history short.
pub const PERIOD: Duration = Duration::from_millis(10);

/// Velocity of the joint that moves, rad/s: above what counts as motion, reached in two steps.
pub(super) const SPEED: f64 = 0.15;

/// The joint that moves, far from every limit.
const JOINT: usize = 5;

/// It turns to and fro between these, rad from the rest pose, so that a history of any length stays where the shorter ones were.
const SWING: f64 = 0.05;

const RUN: u64 = 77;
const FIRST_EPOCH: u64 = 1000;

/// Everything between two steps.
#[derive(Clone, Debug)]
pub struct World {
    pub state: State,
    pub inputs: Inputs,
    /// Time of the next step, if it comes in time.
    pub now: Time,
    /// What the arms really do.
    pub q: [JointVector; MAX_ROBOTS],
    pub qd: [JointVector; MAX_ROBOTS],
    /// Way that the next motion takes: +1 or -1.
    turn: [f64; MAX_ROBOTS],
    /// +10 per cycle, so that there are numbers between.
    sequence: u64,
    stamp_ns: u64,
    /// Which of the two sets of limits is in force.
    pub limits: usize,
    /// Cycles since the search began.
    pub depth: usize,
    /// Invariants that the last step broke, one bit each.
    pub broken: u32,
    key: u64,
}

/// One step, with everything that it depended on.
#[derive(Debug)]
pub struct Transition<'a> {
    pub config: &'a Config,
    pub before: &'a World,
    pub after: &'a World,
    /// As handed to the step.
    pub inputs: &'a Inputs,
    pub now: Time,
    pub action: &'a Action,
    pub verdict: &'a Verdict,
}

impl World {
    /// The monitor has just started, and nothing has been heard.
    pub fn new(cell: &Cell) -> Self {
        let mut world = Self {
            state: State::new(&cell.config, FIRST_EPOCH),
            inputs: Inputs::default(),
            // Late enough for clocks that go backwards.
            now: Time::from_millis(100_000),
            q: cell.home,
            qd: [JointVector::zeros(); MAX_ROBOTS],
            turn: [1.0; MAX_ROBOTS],
            sequence: 1000,
            stamp_ns: 0,
            limits: 0,
            depth: 0,
            broken: 0,
            key: 0,
        };
        world.key = key::of(&world);
        world
    }

    /// One cycle. `cells` are the same cell under the two sets of limits; `check` judges the step.
    #[must_use]
    pub fn next(&self, cells: &[Cell], action: &Action, check: impl FnOnce(&Transition<'_>) -> u32) -> Self {
        let mut world = self.clone();
        if action.has(Letter::Limits) {
            world.limits = 1 - world.limits;
        }
        let cell = &cells[world.limits];
        world.pass_time(action);
        world.hear(cell, action);
        let (inputs, now) = (world.inputs, world.now);
        let (state, verdict) = step(&cell.config, &self.state, &inputs, now);
        world.state = state;
        world.inputs.forget_events();
        for (i, robot) in verdict.robots.iter().enumerate() {
            world.qd[i] = robot.velocity;
            world.q[i] += world.qd[i] * PERIOD.as_secs_f64();
            let off = world.q[i][JOINT] - cell.home[i][JOINT];
            if off.abs() > SWING {
                world.turn[i] = -off.signum();
            }
        }
        world.now = now + PERIOD;
        world.depth += 1;
        world.broken = 0;
        let transition = Transition {
            config: &cell.config,
            before: self,
            after: &world,
            inputs: &inputs,
            now,
            action,
            verdict: &verdict,
        };
        world.broken = check(&transition);
        world.key = key::of(&world);
        world
    }

    fn pass_time(&mut self, action: &Action) {
        for letter in action.letters.iter().flatten() {
            match letter {
                Letter::Clock(Clock::Overrun) => {
                    self.now = self.now + Duration(4 * PERIOD.0);
                    self.stamp_ns += 4 * PERIOD.0;
                    for (q, qd) in self.q.iter_mut().zip(&self.qd) {
                        *q += qd * (4.0 * PERIOD.as_secs_f64());
                    }
                }
                Letter::Clock(Clock::Backwards) => self.now = Time(self.now.0 - 4 * PERIOD.0),
                Letter::Joints(i, Joints::Stray) => {
                    let mut stray = JointVector::zeros();
                    stray[JOINT] = SPEED * self.turn[*i];
                    self.q[*i] += (stray - self.qd[*i]) * PERIOD.as_secs_f64();
                    self.qd[*i] = stray;
                }
                _ => {}
            }
        }
        self.sequence += 10;
        self.stamp_ns += PERIOD.0;
    }

    fn hear(&mut self, cell: &Cell, action: &Action) {
        let held = self.inputs;
        for i in 0..cell.config.arms().len() {
            let (joints, wrench) = (self.joints(i), self.wrench(cell, i));
            let command = self.command(i);
            let input = &mut self.inputs.robots[i];
            input.joints = Some(joints);
            input.wrench = Some(wrench);
            if action.work {
                input.command = Some(command);
            }
        }
        if cell.config.in_force().humans.is_monitored() {
            let sample = PresenceSample { range_m: f64::INFINITY, stamp_ns: self.stamp_ns, sent: self.now };
            self.inputs.presence[0] = Some(sample);
        }
        for letter in action.letters.iter().flatten() {
            self.spell(cell, &held, *letter);
        }
    }

    fn spell(&mut self, cell: &Cell, held: &Inputs, letter: Letter) {
        let refused = Refused { fault: InputFault::StampBackwards, joint: None, value: 0.0, limit: 0.0 };
        let (now, epoch) = (self.now, self.state.epoch());
        match letter {
            Letter::Joints(i, joints) => {
                let input = &mut self.inputs.robots[i];
                let sample = input.joints.as_mut().expect("heard just now");
                match joints {
                    Joints::Silent => input.joints = held.robots[i].joints,
                    Joints::Refused => {
                        input.joints = held.robots[i].joints;
                        input.refuse(Input::JointState, refused);
                    }
                    Joints::NotANumber => sample.qd[1] = f64::NAN,
                    Joints::TooFast => {
                        sample.qd[JOINT] = 2.0 * cell.config.ceiling().robots[i].joints.velocity[JOINT];
                    }
                    Joints::OutOfRange => {
                        sample.q[JOINT] = cell.config.ceiling().robots[i].joints.upper[JOINT] + 0.1;
                    }
                    Joints::Stray => {}
                }
            }
            Letter::Wrench(i, wrench) => {
                let limits = &cell.config.ceiling().robots[i].wrench;
                let input = &mut self.inputs.robots[i];
                let sample = input.wrench.as_mut().expect("heard just now");
                match wrench {
                    Wrench::Silent => input.wrench = held.robots[i].wrench,
                    Wrench::Refused => {
                        input.wrench = held.robots[i].wrench;
                        input.refuse(Input::Wrench, refused);
                    }
                    Wrench::NotANumber => sample.torque.z = f64::NAN,
                    Wrench::Contact => {
                        sample.force.x += f64::midpoint(limits.contact_force_n, limits.collision_force_n);
                    }
                    Wrench::Collision => sample.force.x += 2.0 * limits.collision_force_n,
                }
            }
            Letter::Command(i, command) => self.inputs.robots[i].command = self.said(i, held, command),
            Letter::Gripper(i, gripper) => {
                let old = u64::from(gripper == Gripper::OldEpoch);
                let width_m = if gripper == Gripper::NotANumber { f64::NAN } else { 0.03 };
                let sample = GripperSample {
                    width_m,
                    force_n: 10.0,
                    epoch: epoch - old,
                    artifact_matches: true,
                    arrival: now,
                };
                self.inputs.robots[i].gripper = Some(sample);
            }
            Letter::EmergencyStop(press) => {
                self.inputs.hear_emergency_stop(press != Press::Released);
                if press == Press::Tapped {
                    self.inputs.hear_emergency_stop(false);
                }
            }
            Letter::Reset(asked) => {
                let epoch = match asked {
                    Asked::Present => epoch,
                    Asked::Past => epoch - 1,
                    Asked::Future => epoch + 1,
                };
                self.inputs.reset = Some(ResetRequest { epoch });
            }
            Letter::Presence(presence) => match presence {
                Presence::Silent => self.inputs.presence = held.presence,
                Presence::Near | Presence::NotANumber => {
                    if let Some(sample) = &mut self.inputs.presence[0] {
                        sample.range_m = if presence == Presence::Near { 0.5 } else { f64::NAN };
                    }
                }
            },
            Letter::Clock(_) | Letter::Limits => {}
        }
        if let Letter::Command(i, Command::Refused) = letter {
            self.inputs.robots[i].refuse(Input::Command, refused);
        }
    }

    fn joints(&self, i: usize) -> JointSample {
        let effort = Some(JointVector::zeros());
        let (stamp_ns, sent, sequence) = (self.stamp_ns, self.now, self.sequence);
        JointSample { q: self.q[i], qd: self.qd[i], effort, stamp_ns, sent, sequence }
    }

    fn wrench(&self, cell: &Cell, i: usize) -> WrenchSample {
        // As at home: the swing turns the payload's weight by half a newton.
        let (force, torque) = cell.weight[i];
        let (stamp_ns, sent, sequence) = (self.stamp_ns, self.now, self.sequence);
        WrenchSample { force, torque, stamp_ns, sent, sequence }
    }

    /// A valid command to move.
    fn command(&self, i: usize) -> CommandSample {
        let mut velocity = JointVector::zeros();
        velocity[JOINT] = SPEED * self.turn[i];
        CommandSample {
            velocity,
            epoch: self.state.epoch(),
            run: RUN,
            sequence: self.sequence,
            artifact_matches: true,
            sent: self.now,
        }
    }

    fn said(&self, i: usize, held: &Inputs, command: Command) -> Option<CommandSample> {
        let valid = self.command(i);
        let before = held.robots[i].command;
        Some(match command {
            Command::Missing | Command::Refused => return before,
            Command::Motion => valid,
            Command::Standstill => CommandSample { velocity: JointVector::zeros(), ..valid },
            Command::OldEpoch => CommandSample { epoch: valid.epoch - 1, ..valid },
            Command::OtherArtifact => CommandSample { artifact_matches: false, ..valid },
            Command::Repeated => CommandSample { sent: self.now, ..before? },
            Command::Back => {
                CommandSample { sequence: before?.sequence.saturating_sub(5), run: RUN, ..valid }
            }
            Command::OtherRun => CommandSample { run: RUN + 1, ..valid },
            Command::Absurd => CommandSample { velocity: valid.velocity * 100.0, ..valid },
            Command::NotANumber => CommandSample { velocity: valid.velocity * f64::NAN, ..valid },
            Command::Queued => CommandSample { sent: Time(self.now.0 - 1_000_000_000), ..valid },
        })
    }

    pub(super) fn is_of_run(run: u64) -> bool {
        run == RUN
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.broken == other.broken
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.key, self.broken).hash(hasher);
    }
}
