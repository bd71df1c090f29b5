//! A cell at work, for recordings: ideal arms that do what they are told, commands, stops, resets, messages that are refused,
//! a collision, and an exchange of limits. The same every time.

use std::f64::consts::TAU;
use std::path::Path;

use anyhow::Context as _;
use nalgebra::Vector3;
use swarm_base::{Duration, Time};
use swarm_black_box::{Cycle, Entry, Header, Limits, Place};
use swarm_kinematics::JointVector;
use swarm_safety_core::ingest::Refused;
use swarm_safety_core::{
    CommandSample, Config, EnvelopeFile, GripperSample, Input, InputFault, Inputs, JointSample, ResetRequest,
    State, Timing, Tolerances, WrenchSample, step,
};
use swarm_safety_setup::roles;

use crate::cell_file::sources;

/// Time between cycles.
pub const PERIOD: Duration = Duration::from_millis(1);
/// Cycles between two recorded states.
pub const SNAPSHOT_CYCLES: u64 = 100;
/// Cycles from one stop to the next.
const ROUND: u64 = 3_000;
/// Cycle in which the limits are exchanged, the arms being at rest.
const EXCHANGE: u64 = 5;
/// What the first start of the monitor shows on the calendar, 2026-01-01; each further one comes an hour later.
const BEGIN_UNIX_NS: u64 = 1_767_225_600_000_000_000;
const HOUR_NS: u64 = 3_600_000_000_000;
const ENVELOPE: &str = "schema: 1\nrobots: {panda: {tcp: {provenance: evidence, speed_m_s: 0.2}}}\n";

/// The cell and where its work has come to.
#[derive(Debug)]
pub struct Work {
    header: Header,
    ceiling: Config,
    tightened: Config,
    homes: Vec<JointVector>,
    state: State,
    inputs: Inputs,
    positions: Vec<JointVector>,
    told: Vec<JointVector>,
    now: Time,
}

impl Work {
    /// The cell that `declaration` declares.
    pub fn start(declaration: &Path) -> anyhow::Result<Self> {
        Self::start_again(declaration, 0)
    }

    /// The same after so many earlier starts of its monitor.
    pub fn start_again(declaration: &Path, earlier: u64) -> anyhow::Result<Self> {
        let first_epoch = 1 + 1_000 * earlier;
        let sources = sources(declaration)?;
        let timing = Timing::every(PERIOD.as_secs_f64());
        let ceiling = sources.config(timing, Tolerances::default())?;
        let cell = sources.cell()?;
        let envelope = EnvelopeFile::parse(ENVELOPE)?;
        let tightened = ceiling.with_envelope(Some(&envelope), &roles(&cell), 1)?;
        let homes = cell.robots.iter().zip(ceiling.arms()).map(|(robot, arm)| {
            arm.model.joint_vector(&robot.home_rad).with_context(|| format!("home_rad of {}", robot.name))
        });
        let homes = homes.collect::<anyhow::Result<Vec<_>>>()?;
        let header = Header {
            software: concat!("cell evidence-black-box ", env!("CARGO_PKG_VERSION")).to_owned(),
            started_unix_ns: BEGIN_UNIX_NS + earlier * HOUR_NS,
            started_at: Time::ZERO,
            first_epoch,
            sources,
            timing,
            tolerances: Tolerances::default(),
            limits: Limits::default(),
            public_key: [0; 32],
            place: Place::default(),
        };
        Ok(Self {
            state: State::new(&ceiling, first_epoch),
            header,
            ceiling,
            tightened,
            positions: homes.clone(),
            told: vec![JointVector::zeros(); homes.len()],
            homes,
            inputs: Inputs::default(),
            now: Time::ZERO,
        })
    }

    /// Header for a recording of it.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The limits that come into force.
    pub fn limits() -> Limits {
        Limits {
            generation: 1,
            envelope: Some(ENVELOPE.to_owned()),
            skill: "evidence".to_owned(),
            artifact: String::new(),
        }
    }

    /// The entries of the next cycle: a state now and then, and the cycle.
    pub fn cycle(&mut self) -> (Option<Entry>, Entry) {
        let snapshot =
            self.state.cycle().is_multiple_of(SNAPSHOT_CYCLES).then_some(Entry::Snapshot(self.state));
        let cycle = self.state.cycle() + 1;
        self.now = self.now + PERIOD;
        self.inputs.forget_events();
        self.sense(cycle);
        self.act(cycle);
        let config = if cycle < EXCHANGE { &self.ceiling } else { &self.tightened };
        let (state, verdict) = step(config, &self.state, &self.inputs, self.now);
        self.state = state;
        for (told, robot) in self.told.iter_mut().zip(&verdict.robots) {
            *told = robot.velocity;
        }
        let (now, inputs, generation) = (self.now, self.inputs, config.generation());
        (snapshot, Entry::Cycle { generation, cycle: Cycle { now, inputs, verdict } })
    }

    /// Joint states come every other cycle, as of arms with 500 Hz.
    fn sense(&mut self, cycle: u64) {
        if !cycle.is_multiple_of(2) {
            return;
        }
        let (sent, stamp_ns, sequence) = (self.now, self.header.unix_ns(self.now), cycle);
        for (i, robot) in self.inputs.robots.iter_mut().enumerate().take(self.homes.len()) {
            self.positions[i] += self.told[i] * (2.0 * PERIOD.as_secs_f64());
            let (q, qd) = (self.positions[i], self.told[i]);
            let effort = Some(qd * 2.0);
            robot.joints = Some(JointSample { q, qd, effort, stamp_ns, sent, sequence });
            // The gripper's weight along no axis in particular, and a little noise.
            let noise = ((cycle * 31 + i as u64 * 17) % 97) as f64 * 1e-3;
            let pressed_n = if i == 0 { pressed_n(cycle) } else { 0.0 };
            let force = Vector3::new(noise + pressed_n, 1.0, 2.0 - noise);
            let torque = Vector3::new(0.1, noise * 0.1, 0.0);
            robot.wrench = Some(WrenchSample { force, torque, stamp_ns, sent, sequence });
        }
    }

    /// In each round: a reset, motion, a message that is refused in every third one and a collision in the next, and an
    /// emergency stop.
    fn act(&mut self, cycle: u64) {
        let at = cycle % ROUND;
        let epoch = self.state.epoch();
        if at == 10 {
            self.inputs.hear_emergency_stop(false);
        }
        if at == 20 {
            self.inputs.reset = Some(ResetRequest { epoch });
        }
        if (30..2_600).contains(&at) && at.is_multiple_of(10) {
            let wave = (at - 30) as f64 / 1_000.0 * TAU;
            for (i, robot) in self.inputs.robots.iter_mut().enumerate().take(self.homes.len()) {
                // Back to where the round began, in the long run.
                let drift = self.homes[i] - self.positions[i];
                let mut velocity = drift * 0.5;
                velocity[0] += 0.15 * (wave + i as f64).sin();
                robot.command = Some(CommandSample {
                    velocity,
                    epoch,
                    run: cycle / ROUND,
                    sequence: at,
                    artifact_matches: true,
                    sent: self.now,
                });
            }
        }
        if at == 40 {
            let (width_m, force_n, arrival) = (0.04, 20.0, self.now);
            self.inputs.robots[0].gripper =
                Some(GripperSample { width_m, force_n, epoch, artifact_matches: true, arrival });
        }
        if at == 2_000 && (cycle / ROUND) % 3 == 1 {
            let refused = Refused { fault: InputFault::NotFinite, joint: Some(2), value: 0.0, limit: 0.0 };
            self.inputs.robots[1].refuse(Input::JointState, refused);
        }
        if at == 2_600 {
            self.inputs.hear_emergency_stop(true);
        }
    }
}

/// Force with which the first robot presses against something: in every third round it grows beyond the collision level.
fn pressed_n(cycle: u64) -> f64 {
    let at = cycle % ROUND;
    if (cycle / ROUND) % 3 == 2 && (1_700..2_000).contains(&at) { (at - 1_700) as f64 * 0.3 } else { 0.0 }
}
