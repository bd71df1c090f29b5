//! A running cell in which every input comes as a message: what is said, heard, decided and done in one cycle.

use std::sync::Arc;

use swarm_base::{Duration, Time};
use swarm_kinematics::JointVector;
use swarm_safety_core::ingest::{
    CommandIngest, JointStateIngest, Origin, PresenceIngest, Refused, Repeats, Stamp, StampRules,
    WrenchIngest,
};
use swarm_safety_core::{
    Config, Input, Inputs, MAX_ROBOTS, ResetRequest, State, Tolerances, Verdict, shipped, step,
};

use crate::cell::{Ceiling, Cell, CellError, People, Shapes, Timeouts, cell, shipped_timing};

/// Time between steps, as shipped: [`Rig::cold`] refuses a declaration that says otherwise. Sensors speak as often, as those of
/// 1 kHz drivers do; with slower ones a fault is observable when the message comes that shows it.
pub const PERIOD: Duration = Duration::from_millis(1);

/// The skill that runs.
const ARTIFACT: &str = "9f86d081884c7d65";
const TRACE: &str = "nominal";
/// Longest age of what a presence sensor says, s; the shipped ceiling looks for nobody.
const PRESENCE_S: f64 = 0.1;
/// Amplitude (rad/s) and angular frequency (rad/s) of the nominal motion of each moving joint.
const SPEED: f64 = 0.25;
const OMEGA: f64 = std::f64::consts::PI;
/// Cycles of one period of the nominal motion: 2 s.
pub(super) const MOTION_CYCLES: usize = (2_000_000_000 / PERIOD.0) as usize;
/// Wall clock of the cell when its monotonic clock is 0, ns.
const WALL_NS: u64 = 1_700_000_000_000_000_000;

/// A joint state as it is published.
#[derive(Clone, Debug)]
pub struct JointMessage {
    pub names: Arc<Vec<String>>,
    pub position: Vec<f64>,
    pub velocity: Vec<f64>,
    pub effort: Vec<f64>,
    pub sent_ns: u64,
}

#[derive(Clone, Debug)]
pub struct WrenchMessage {
    pub frame: String,
    pub force: [f64; 3],
    pub torque: [f64; 3],
    pub sent_ns: u64,
}

#[derive(Clone, Debug)]
pub struct CommandMessage {
    pub robot: String,
    pub artifact: &'static str,
    pub trace: &'static str,
    pub epoch: u64,
    pub sequence: u64,
    pub names: Arc<Vec<String>>,
    pub velocity: Vec<f64>,
    pub sent_ns: u64,
}

/// Everything that is published in one cycle, in the order of its arrival.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub joints: [Vec<JointMessage>; MAX_ROBOTS],
    pub wrench: [Vec<WrenchMessage>; MAX_ROBOTS],
    pub command: [Vec<CommandMessage>; MAX_ROBOTS],
    /// Range and stamp.
    pub presence: Vec<(f64, u64)>,
    pub emergency_stop: Vec<bool>,
    pub reset: Option<u64>,
}

#[derive(Clone, Debug)]
struct Ears {
    joints: JointStateIngest,
    wrench: WrenchIngest,
    command: CommandIngest,
}

/// Cell, messages and decision. Cloned at a moment, it goes on from there.
#[derive(Clone, Debug)]
pub struct Rig {
    pub cell: Arc<Cell>,
    /// The limits in force; others than the cell's after an exchange.
    pub config: Arc<Config>,
    pub state: State,
    pub inputs: Inputs,
    pub now: Time,
    /// What the arms really do.
    pub q: [JointVector; MAX_ROBOTS],
    pub qd: [JointVector; MAX_ROBOTS],
    /// Skills command the nominal motion.
    pub working: bool,
    ears: Vec<Ears>,
    presence: PresenceIngest,
    names: [Arc<Vec<String>>; MAX_ROBOTS],
    cycle: u64,
}

impl Rig {
    /// A cell that has not been reset.
    pub fn cold() -> Result<Self, CellError> {
        let ceiling = Ceiling {
            timeouts: Timeouts::Shipped,
            presence_s: PRESENCE_S,
            people: People::OneZone,
            release_after_s: None,
        };
        let timing = shipped_timing()?;
        if (timing.period_s - PERIOD.as_secs_f64()).abs() > 1e-9 {
            return Err(CellError::Period { declared_s: timing.period_s, stepped_s: PERIOD.as_secs_f64() });
        }
        let cell = cell(Shapes::Whole, &ceiling, timing, Tolerances::default())?;
        let limits = cell.config.ceiling().cell;
        let clocks_s = f64::from(shipped::STAMP_TOLERANCE_US) * 1e-6;
        let rules = |timeout_s: f64, repeats| StampRules {
            future_tolerance_s: clocks_s,
            max_age_s: timeout_s + clocks_s,
            repeats,
        };
        let ears = cell.config.arms().iter().zip(&cell.flange_frames).map(|(arm, frame)| Ears {
            joints: JointStateIngest::new(&arm.model, rules(limits.joint_state_timeout_s, Repeats::Refused)),
            wrench: WrenchIngest::new(frame, rules(limits.wrench_timeout_s, Repeats::Refused)),
            command: CommandIngest::new(
                &arm.name,
                &arm.model,
                rules(limits.command_timeout_s, Repeats::Allowed),
            ),
        });
        let ears = ears.collect();
        let names = std::array::from_fn(|i| {
            let joints = cell.config.arms()[i].model.joints();
            Arc::new(joints.iter().map(|joint| joint.name.clone()).collect())
        });
        Ok(Self {
            state: State::new(&cell.config, 1000),
            config: Arc::new(cell.config.clone()),
            inputs: Inputs::default(),
            now: Time::from_millis(10_000),
            q: cell.home,
            qd: [JointVector::zeros(); MAX_ROBOTS],
            working: false,
            ears,
            presence: PresenceIngest::new(rules(PRESENCE_S, Repeats::Refused)),
            names,
            cycle: 0,
            cell: Arc::new(cell),
        })
    }

    /// Joints of an arm.
    pub fn dof(&self, arm: usize) -> usize {
        self.names[arm].len()
    }

    pub fn wall_ns(&self) -> u64 {
        WALL_NS + self.now.0
    }

    /// What a healthy cell says now.
    pub fn say(&self) -> Said {
        let mut said = Said::default();
        let sent_ns = self.wall_ns();
        for i in 0..MAX_ROBOTS {
            let dof = self.dof(i);
            let own = |vector: &JointVector| vector.iter().take(dof).copied().collect::<Vec<f64>>();
            let names = Arc::clone(&self.names[i]);
            said.joints[i].push(JointMessage {
                names,
                position: own(&self.q[i]),
                velocity: own(&self.qd[i]),
                effort: vec![1.0; dof],
                sent_ns,
            });
            let arm = &self.config.arms()[i];
            let weight = arm.payload.weight(&arm.model.flange(&arm.model.forward(&self.q[i])));
            said.wrench[i].push(WrenchMessage {
                frame: self.cell.flange_frames[i].clone(),
                force: [weight[0], weight[1], weight[2]],
                torque: [weight[3], weight[4], weight[5]],
                sent_ns,
            });
            if self.working {
                said.command[i].push(self.command(i));
            }
        }
        said.presence.push((f64::INFINITY, sent_ns));
        said
    }

    /// The nominal command of this cycle: two joints to and fro, a quarter period apart, so that one of them always moves.
    pub fn command(&self, arm: usize) -> CommandMessage {
        let dof = self.dof(arm);
        let phase = OMEGA * self.cycle as f64 * PERIOD.as_secs_f64() + arm as f64;
        let mut velocity = vec![0.0; dof];
        velocity[dof - 3] = SPEED * phase.cos();
        velocity[dof - 1] = SPEED * phase.sin();
        CommandMessage {
            robot: self.config.arms()[arm].name.clone(),
            artifact: ARTIFACT,
            trace: TRACE,
            epoch: self.state.epoch(),
            sequence: self.cycle,
            names: Arc::clone(&self.names[arm]),
            velocity,
            sent_ns: self.wall_ns(),
        }
    }

    /// Takes in what was said, as the node does.
    pub fn hear(&mut self, said: &Said) {
        let (received_ns, arrival) = (self.wall_ns(), self.now);
        let stamp = |sent_ns| Stamp { sent_ns, received_ns, arrival };
        for (i, (ears, input)) in self.ears.iter_mut().zip(&mut self.inputs.robots).enumerate() {
            for message in &said.joints[i] {
                let JointMessage { names, position, velocity, effort, sent_ns } = message;
                match ears.joints.accept(names, position, velocity, effort, &stamp(*sent_ns)) {
                    Ok(Some(sample)) => input.joints = Some(sample),
                    Ok(None) => {}
                    Err(refused) => input.refuse(Input::JointState, refused),
                }
            }
            for message in &said.wrench[i] {
                let accepted = ears.wrench.accept(
                    &message.frame,
                    message.force,
                    message.torque,
                    &stamp(message.sent_ns),
                );
                taken(accepted, &mut input.wrench)
                    .unwrap_or_else(|refused| input.refuse(Input::Wrench, refused));
            }
            for message in &said.command[i] {
                let origin = Origin {
                    robot: &message.robot,
                    artifact: message.artifact,
                    trace_id: message.trace,
                    epoch: message.epoch,
                    sequence: message.sequence,
                };
                let (names, velocity, stamp) = (&message.names, &message.velocity, stamp(message.sent_ns));
                let accepted = ears.command.accept(&origin, names, velocity, Some(ARTIFACT), &stamp);
                taken(accepted, &mut input.command)
                    .unwrap_or_else(|refused| input.refuse(Input::Command, refused));
            }
        }
        for (range, sent_ns) in &said.presence {
            let stamp = stamp(*sent_ns);
            self.inputs.presence[0] = self.presence.accept(*range, &stamp).ok();
        }
        said.emergency_stop.iter().for_each(|stop| self.inputs.hear_emergency_stop(*stop));
        self.inputs.reset = said.reset.map(|epoch| ResetRequest { epoch });
    }

    /// Decides; the arms do as they are told until the next cycle.
    pub fn decide(&mut self) -> Verdict {
        let (state, verdict) = step(&self.config, &self.state, &self.inputs, self.now);
        self.state = state;
        self.inputs.forget_events();
        for (qd, robot) in self.qd.iter_mut().zip(&verdict.robots) {
            *qd = robot.velocity;
        }
        verdict
    }

    /// Time passes; arms move as `qd` says.
    pub fn pass(&mut self) {
        for (q, qd) in self.q.iter_mut().zip(&self.qd) {
            *q += qd * PERIOD.as_secs_f64();
        }
        self.now = self.now + PERIOD;
        self.cycle += 1;
    }

    /// One healthy cycle.
    pub fn cycle(&mut self) -> Verdict {
        let said = self.say();
        self.hear(&said);
        let verdict = self.decide();
        self.pass();
        verdict
    }
}

fn taken<T>(accepted: Result<T, Refused>, place: &mut Option<T>) -> Result<(), Refused> {
    *place = Some(accepted?);
    Ok(())
}
