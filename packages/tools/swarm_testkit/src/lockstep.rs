//! Runtime, safety gate and physics in one process on a virtual clock.
//!
//! The parts are the ones that the nodes run: `swarm_skill_core::Run` at 100 Hz, `swarm_safety_core::step` at 500 Hz,
//! `swarm_mujoco::Cell` at 500 Hz. Only the topics between them are missing: what one says in a cycle the next one hears
//! in the same or the next cycle, and never late. So a seed means a run, bit for bit, and a run takes a fraction of its time.
//!
//! One cycle of 2 ms
//! 1. The gate steps on the sensors of the last cycle and the latest commands. A [`Bystander`] may add to what it hears.
//! 2. The drivers get its velocities, its permit and its gripper targets; the physics moves on.
//! 3. Every fifth cycle the runtime ticks; its wishes become commands for the next cycle.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use nalgebra::Vector3;
use swarm_artifact::{EntryPath, SkillSource};
use swarm_base::{Duration, Role, Time};
use swarm_cell::CellConfig;
use swarm_kinematics::JointVector;
use swarm_mujoco::driver::{Permit, VelocityCommand};
use swarm_mujoco::{CONTROL_PERIOD, Cell, Commands, GripperCommand, Observation, Options, Parts, RobotState};
use swarm_onnx::VirtualTime;
use swarm_safety_core::{
    CommandSample, Config, EnvelopeFile, GripperSample, Inputs, JointSample, ResetRequest, SafetyState,
    State, Tolerances, Verdict, WrenchSample, step,
};
use swarm_skill_core::{
    LocalLink, Outcome, PartSighting, RoleInputs, Run, RunIdentity, RunState, SafetyView, Skill, Timing,
    cell_robots,
};

use crate::arms::load_arms;

const CYCLES_PER_TICK: u64 = 5;
/// No run of the demo skill takes longer, s.
const TOO_LONG_S: f64 = 180.0;

/// The whole cell in one process.
#[derive(Debug)]
pub struct LockstepCell {
    cell: Cell,
    skill: Skill,
    safety_config: Config,
    /// Robots of the declaration by the place of their role in the skill.
    robots_by_role: Vec<usize>,
    names: Vec<String>,
    now: Time,
    safety: State,
    inputs: Inputs,
    epochs: u64,
    pub last: Observation,
    pub verdict: Verdict,
}

/// How a run went.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    pub outcome: Outcome,
    /// Parts mated, in truth.
    pub mated: bool,
    /// From the first tick to the end, s.
    pub duration_s: f64,
    /// What the monitor measured at worst: contact force N, tool speed m/s, distance between robots m.
    pub largest_force_n: f64,
    pub largest_speed_m_s: f64,
    pub least_separation_m: f64,
    /// Every change of the safety state: time, state, cause.
    pub safety: Vec<(Time, SafetyState, String)>,
    /// When each role entered each phase.
    pub phases: Vec<(Time, Role, String)>,
    /// Cycles of 2 ms from the emergency stop, the one that heard it included, to the one after which every velocity that a
    /// driver commands is zero.
    pub stop_cycles: Option<u64>,
}

/// What happens to a cell besides the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    None,
    /// `/emergency_stop` says true, so long after the run's start.
    EmergencyStop {
        after: Duration,
    },
}

/// Somebody beside the cell, while a run goes on.
pub trait Bystander {
    /// Before each decision: may change what the gate hears. `since_start` is the time since the run began.
    fn before(&mut self, _since_start: Duration, _now: Time, _inputs: &mut Inputs) {}

    /// After each decision: what the gate heard, and what it decided.
    fn after(&mut self, _inputs: &Inputs, _verdict: &Verdict) {}
}

/// Nobody.
#[derive(Debug)]
struct Nobody;

impl Bystander for Nobody {}

impl LockstepCell {
    /// Loads cell and skill: `root` holds `config/` and `urdf/`, `skill_dir` is a skill's source folder with `skill.yaml`.
    pub fn new(config: &CellConfig, root: &Path, skill_dir: &Path) -> Result<Self> {
        let path = root.join(&config.safety.file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::under(config, &EnvelopeFile::parse(&text)?, root, skill_dir)
    }

    /// The same under another ceiling than the declared one.
    pub fn under(config: &CellConfig, ceiling: &EnvelopeFile, root: &Path, skill_dir: &Path) -> Result<Self> {
        let arms = load_arms(config, root)?;
        let read =
            |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        let source = SkillSource::parse(&read(&skill_dir.join("skill.yaml"))?)?;
        let envelope = EnvelopeFile::parse(&read(&skill_dir.join(source.envelope.as_str()))?)?;

        let role_of = swarm_safety_setup::roles(config);
        let safety_config = swarm_safety_setup::config(
            config,
            arms,
            ceiling,
            swarm_safety_core::Timing::default(),
            Tolerances::default(),
        )?
        .with_envelope(Some(&envelope), &role_of, 1)?;
        let robots = cell_robots(config, &safety_config);
        let skill = Skill::assemble(&source, &robots, &Vec::new(), &skill_folder(skill_dir))?;
        let robots_by_role = skill
            .roles
            .iter()
            .map(|spec| config.robots.iter().position(|robot| robot.name == spec.robot))
            .collect::<Option<_>>()
            .context("a role's robot is not in the declaration")?;
        let mut cell = Cell::new(config, root, Options::default())?;
        let last = cell.reset(0);
        let safety = State::new(&safety_config, 1);
        let (_, verdict) = step(&safety_config, &safety, &Inputs::default(), Time::ZERO);
        Ok(Self {
            cell,
            skill,
            safety_config,
            robots_by_role,
            names: config.robots.iter().map(|robot| robot.name.clone()).collect(),
            now: Time::ZERO,
            safety,
            inputs: Inputs::default(),
            epochs: 1,
            last,
            verdict,
        })
    }

    /// What the gate decides by: the ceiling under the skill's envelope.
    pub fn safety_config(&self) -> &Config {
        &self.safety_config
    }

    /// Where the parts lie when a run of that seed starts.
    pub fn parts_at_start(&mut self, seed: u64) -> Parts {
        self.last = self.cell.reset(seed);
        self.last.parts
    }

    /// The skill as it is run here.
    pub fn skill(&self) -> &Skill {
        &self.skill
    }

    /// Runs the skill once from the start that `seed` gives.
    pub fn run(&mut self, seed: u64, disturbance: Disturbance) -> Result<RunReport> {
        self.run_beside(seed, disturbance, &mut Nobody)
    }

    /// The same with somebody beside the cell.
    pub fn run_beside(
        &mut self,
        seed: u64,
        disturbance: Disturbance,
        bystander: &mut dyn Bystander,
    ) -> Result<RunReport> {
        self.start(seed, bystander)?;
        let started = self.now;
        let identity = RunIdentity {
            run: format!("seed-{seed}"),
            epoch: 1,
            instance: 1,
            roles: self.skill.role_names(),
            phases: self.skill.phases.clone(),
            timing: Timing::default(),
        };
        let links = LocalLink::connect(&self.skill.role_names())
            .into_iter()
            .map(|link| Box::new(link) as _)
            .collect();
        let mut run = Run::new(self.skill.roles.clone(), identity, links, self.verdict.epoch, self.now);
        let mut report = RunReport {
            outcome: Outcome::Aborted(format!("not over after {TOO_LONG_S} s")),
            mated: false,
            duration_s: 0.0,
            largest_force_n: 0.0,
            largest_speed_m_s: 0.0,
            least_separation_m: f64::INFINITY,
            safety: Vec::new(),
            phases: Vec::new(),
            stop_cycles: None,
        };
        let mut sightings = BTreeMap::new();
        let (mut cycle, mut cycles_since_press) = (0, 0);
        while self.now.since(started).as_secs_f64() < TOO_LONG_S {
            self.see(&mut sightings);
            if cycle % CYCLES_PER_TICK == 0 {
                let state = self.tick(&mut run, &sightings, cycle / CYCLES_PER_TICK);
                note_phases(&run, self.now, &mut report);
                if let RunState::Ended(outcome) = state {
                    report.outcome = outcome;
                    // The last commands, to stand still, go out too.
                    self.cycle(false, self.now.since(started), bystander)?;
                    break;
                }
            }
            let stop = match disturbance {
                Disturbance::EmergencyStop { after } => self.now.since(started) >= after,
                Disturbance::None => false,
            };
            self.cycle(stop, self.now.since(started), bystander)?;
            self.note(&mut report);
            if stop && report.stop_cycles.is_none() {
                cycles_since_press += 1;
                let still =
                    |robot: &RobotState| robot.reference_rad_s.iter().all(|&velocity| velocity == 0.0);
                report.stop_cycles = self.last.robots.iter().all(still).then_some(cycles_since_press);
            }
            cycle += 1;
        }
        report.mated = self.last.mating.mated;
        report.duration_s = self.now.since(started).as_secs_f64();
        Ok(report)
    }

    /// Back to the beginning, gate reset to READY.
    fn start(&mut self, seed: u64, bystander: &mut dyn Bystander) -> Result<()> {
        self.last = self.cell.reset(seed);
        self.now = Time::from_millis(1_000);
        self.epochs += 1;
        self.safety = State::new(&self.safety_config, 1000 * self.epochs);
        self.inputs = Inputs::default();
        for _ in 0..50 {
            self.cycle(false, Duration::ZERO, bystander)?;
        }
        self.inputs.reset = Some(ResetRequest { epoch: self.safety.epoch() });
        self.cycle(false, Duration::ZERO, bystander)?;
        match self.verdict.reset {
            Some(Ok(_)) => Ok(()),
            Some(Err(refusal)) => {
                bail!("the gate refuses the reset: {}", refusal.detail(&self.safety_config))
            }
            None => bail!("the gate did not answer the reset; it is in {:?}", self.verdict.state),
        }
    }

    /// Gate, drivers, physics.
    fn cycle(
        &mut self,
        emergency_stop: bool,
        since_start: Duration,
        bystander: &mut dyn Bystander,
    ) -> Result<()> {
        if emergency_stop {
            self.inputs.hear_emergency_stop(true);
        }
        let stamp_ns = self.now.0;
        for (robot, state) in self.inputs.robots.iter_mut().zip(&self.last.robots) {
            let sequence = self.last.cycle + 1;
            robot.joints = Some(JointSample {
                q: vector(&state.position_rad),
                qd: vector(&state.velocity_rad_s),
                effort: Some(vector(&state.effort_nm)),
                stamp_ns,
                sent: self.now,
                sequence,
            });
            let w = state.wrench;
            robot.wrench = Some(WrenchSample {
                force: Vector3::new(w[0], w[1], w[2]),
                torque: Vector3::new(w[3], w[4], w[5]),
                stamp_ns,
                sent: self.now,
                sequence,
            });
        }
        bystander.before(since_start, self.now, &mut self.inputs);
        (self.safety, self.verdict) = step(&self.safety_config, &self.safety, &self.inputs, self.now);
        bystander.after(&self.inputs, &self.verdict);
        self.inputs.forget_events();

        let mut commands = Commands::none(self.now, self.names.len());
        for (robot, inbox) in commands.robots.iter_mut().enumerate() {
            let verdict = &self.verdict.robots[robot];
            inbox.permits.push(Permit {
                received: self.now,
                epoch: self.verdict.epoch,
                sequence: self.verdict.cycle,
                speed_scale: verdict.scale,
            });
            let joints = self.last.robots[robot].position_rad.len();
            inbox.velocities.push(VelocityCommand {
                received: self.now,
                velocity_rad_s: verdict.velocity.as_slice()[..joints].to_vec(),
            });
            let target = verdict.gripper.filter(|_| verdict.gripper_new);
            inbox.gripper.extend(target.map(|t| GripperCommand { width_m: t.width_m, force_n: t.force_n }));
        }
        self.last = self.cell.step(&commands)?;
        self.now = self.now + CONTROL_PERIOD;
        Ok(())
    }

    /// Runtime: what is measured in, wishes out.
    fn tick(
        &mut self,
        run: &mut Run,
        sightings: &BTreeMap<&'static str, PartSighting>,
        tick: u64,
    ) -> RunState {
        let inputs: Vec<RoleInputs> =
            self.robots_by_role.iter().map(|&robot| self.role_inputs(robot, sightings)).collect();
        let view = SafetyView {
            epoch: self.verdict.epoch,
            permits_motion: matches!(
                self.verdict.state,
                SafetyState::Ready | SafetyState::Run | SafetyState::Slow
            ),
            state: format!("{:?}", self.verdict.state),
        };
        let state = run.tick(&inputs, &view, self.now).clone();
        for ((_, wish), &robot) in run.outputs().zip(&self.robots_by_role) {
            let (epoch, run, sequence) = (run.safety_epoch(), 1, tick + 1);
            let inputs = &mut self.inputs.robots[robot];
            inputs.command = Some(CommandSample {
                velocity: wish.velocity,
                epoch,
                run,
                sequence,
                artifact_matches: true,
                sent: self.now,
            });
            if let Some(target) = wish.gripper {
                inputs.gripper = Some(GripperSample {
                    width_m: target.width_m,
                    force_n: target.force_n,
                    epoch,
                    artifact_matches: true,
                    arrival: self.now,
                });
            }
        }
        state
    }

    fn role_inputs(&self, robot: usize, sightings: &BTreeMap<&'static str, PartSighting>) -> RoleInputs {
        let state = &self.last.robots[robot];
        RoleInputs {
            joints: swarm_skill_core::JointSample {
                q: vector(&state.position_rad),
                qd: vector(&state.velocity_rad_s),
                at: self.now,
            },
            wrench: swarm_skill_core::WrenchSample { flange: state.wrench, at: self.now },
            gripper: Some(swarm_skill_core::GripperSample {
                width_m: state.gripper.width_m,
                force_n: state.gripper.force_n,
                holding: state.gripper.holding,
                at: self.now,
            }),
            parts: sightings.values().cloned().collect(),
            words: Vec::new(),
            topics: Vec::new(),
        }
    }

    fn see(&self, sightings: &mut BTreeMap<&'static str, PartSighting>) {
        let Some(seen) = self.last.camera else { return };
        for (part, in_world) in [("part_a", seen.pocket_in_world), ("part_b", seen.tip_in_world)] {
            sightings.insert(part, PartSighting { part: part.to_owned(), in_world, at: self.now });
        }
    }

    fn note(&self, report: &mut RunReport) {
        for robot in &self.verdict.robots[..self.names.len()] {
            report.largest_force_n = report.largest_force_n.max(robot.measures.contact_force_n);
            report.largest_speed_m_s = report.largest_speed_m_s.max(robot.measures.tcp_speed_m_s);
            report.least_separation_m = report.least_separation_m.min(robot.measures.separation_m);
        }
        if self.verdict.changed {
            let cause = self
                .verdict
                .cause
                .as_ref()
                .map_or_else(String::new, |cause| cause.detail(&self.safety_config));
            report.safety.push((self.now, self.verdict.state, cause));
        }
    }
}

/// A skill's source folder, its policies on the virtual clock.
fn skill_folder(folder: &Path) -> VirtualTime<impl Fn(&EntryPath) -> Result<Vec<u8>, String>> {
    let read = |path: &EntryPath| {
        let file = folder.join(path.as_str());
        fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))
    };
    VirtualTime { read, library: std::env::var_os("ORT_DYLIB_PATH").map(Into::into) }
}

fn note_phases(run: &Run, now: Time, report: &mut RunReport) {
    for state in run.role_states() {
        let last = report.phases.iter().rev().find(|(_, role, _)| *role == state.role);
        if !state.phase.is_empty() && last.is_none_or(|(_, _, phase)| *phase != state.phase) {
            report.phases.push((now, state.role, state.phase));
        }
    }
}

fn vector(values: &[f64]) -> JointVector {
    JointVector::from_fn(|i, _| values.get(i).copied().unwrap_or(0.0))
}
