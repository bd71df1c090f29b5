//! A cell whose arms go where they are told, ten times as fast as the clock on the wall; the runtime's engine at work in it.
//!
//! It begins as a runtime finds it that was killed in the middle of a run: the arms brake still. Now and then its gate refuses an
//! envelope, or the disk fails when the pointer is to be flipped.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use rand::RngExt as _;
use rand::rngs::StdRng;
use swarm_artifact::ArtifactId;
use swarm_base::{Duration, Time};
use swarm_cell::CellConfig;
use swarm_kinematics::JointVector;
use swarm_skill_core::{ArmAtRest, Goal, REST_RAD_PER_S, Timing};
use swarm_skill_runtime::beside::{self, Candidate, Telling};
use swarm_skill_runtime::deployer::{Deployer, Surroundings};
use swarm_skill_runtime::engine::{Engine, GoalSink, GoalUpdate};
use swarm_skill_runtime::robots::Robots;
use swarm_skill_runtime::world::{Safety, World};

/// Time that passes in the cell with each turn.
const TICK: Duration = Duration::from_millis(10);
/// The same on the wall.
const PACE: std::time::Duration = std::time::Duration::from_millis(1);
/// Chance that the gate refuses an envelope, and that the disk fails behind it.
const TROUBLE: f64 = 0.15;
/// What the gate says then.
pub(crate) const BUSY: &str = "the gate of the evidence is busy";
/// The file that the store makes before it flips the pointer. A folder stands in its place while the disk fails.
pub(crate) const STAGED: &str = "deployed.json.new";
/// Speed of joint 0 of every arm at the beginning, rad/s, and what it loses of it in a turn.
const COASTING: (f64, f64) = (0.6, 0.02);
/// Joint, and rad, that every arm is away from home at the beginning of a run: half a second of motion.
const AWAY: (usize, f64) = (0, 0.3);

pub(crate) struct Cell {
    inside: Mutex<Inside>,
    pub(crate) deployer: Deployer,
    robots: Arc<Robots>,
    store: PathBuf,
    random: Mutex<StdRng>,
    /// No further run begins.
    pub(crate) idle: AtomicBool,
    /// Exchanges of the skill in force that should not have been.
    pub(crate) violations: AtomicU64,
}

struct Inside {
    engine: Engine,
    world: World,
    now: Time,
    q: Vec<JointVector>,
    qd: Vec<JointVector>,
    /// What the gate holds.
    loaded: Option<ArtifactId>,
    in_force: Option<ArtifactId>,
}

/// Nobody listens; the runs go on.
struct Nobody;

impl GoalSink for Nobody {
    fn update(&self, _: GoalUpdate) {}
}

pub(crate) fn robots(root: &Path) -> anyhow::Result<Robots> {
    let read =
        |file: &str| std::fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"));
    let cell = CellConfig::parse(&read("config/cell.yaml")?)?;
    Robots::load(&cell, &read)
}

impl Cell {
    pub(crate) fn new(robots: Robots, places: swarm_skill_runtime::deployer::Places, random: StdRng) -> Self {
        let robots = Arc::new(robots);
        let still = vec![JointVector::zeros(); robots.robots.len()];
        let mut coasting = still.clone();
        for qd in &mut coasting {
            qd[0] = COASTING.0;
        }
        let store = places.store.clone();
        let inside = Inside {
            engine: Engine::new(Arc::clone(&robots), Timing::default()),
            world: World::new(&robots),
            now: Time::ZERO,
            q: still,
            qd: coasting,
            loaded: None,
            in_force: None,
        };
        Self {
            inside: Mutex::new(inside),
            deployer: Deployer::new(places, Arc::clone(&robots)),
            robots,
            store,
            random: Mutex::new(random),
            idle: AtomicBool::new(false),
            violations: AtomicU64::new(0),
        }
    }

    /// Lives for ever; the process is killed.
    pub(crate) fn live(&self) -> ! {
        loop {
            self.turn();
            std::thread::sleep(PACE);
        }
    }

    /// Whether the gate holds the envelope of what is in force. If not, the node's keeper thread would reload.
    pub(crate) fn is_consistent(&self) -> bool {
        self.deployer.active().map(|active| active.artifact) == self.inside().loaded
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) {
        let mut inside = self.inside();
        let inside = &mut *inside;
        inside.now = inside.now + TICK;
        let active = self.deployer.active();
        let artifact = active.as_ref().map(|active| active.artifact);
        if artifact != inside.in_force {
            let runs = inside.engine.run_in_progress().is_some();
            let moves = inside.qd.iter().any(|qd| qd.amax() > REST_RAD_PER_S);
            if runs || moves || artifact != inside.loaded {
                self.violations.fetch_add(1, Ordering::SeqCst);
            }
            inside.in_force = artifact;
        }
        for (robot, known) in self.robots.robots.iter().enumerate() {
            let names: Vec<String> = known.arm.joints().iter().map(|joint| joint.name.clone()).collect();
            let first = |values: &JointVector| values.iter().take(names.len()).copied().collect::<Vec<f64>>();
            let (q, qd) = (first(&inside.q[robot]), first(&inside.qd[robot]));
            inside.world.hear_joints(&names, &q, &qd, inside.now);
            inside.world.hear_wrench(robot, [0.0; 6], inside.now);
        }
        let loaded = inside.loaded.map(|artifact| artifact.to_string()).unwrap_or_default();
        let safety = Safety {
            epoch: 1,
            permits_motion: true,
            state: "READY".into(),
            artifact: loaded,
            ..Safety::default()
        };
        inside.world.hear_safety(safety, inside.now);
        if let Some(active) = &active
            && inside.engine.run_in_progress().is_none()
            && !self.idle.load(Ordering::SeqCst)
            && !self.deployer.is_busy()
        {
            for (q, spec) in inside.q.iter_mut().zip(&active.skill.roles) {
                *q = spec.home;
                q[AWAY.0] += AWAY.1;
            }
            let goal = Goal { role: None, trace_id: String::new(), patience: TICK };
            inside.engine.ask(&goal, Some(active), None, Box::new(Nobody), inside.now);
        }
        let turn = inside.engine.turn(&inside.world, &self.deployer.in_force(), &mut (), inside.now);
        if turn.commands.is_empty() {
            for qd in &mut inside.qd {
                qd[0] = (qd[0] - COASTING.1).max(0.0);
            }
        }
        for command in &turn.commands {
            inside.qd[command.robot] = command.wish.velocity;
            inside.q[command.robot] += command.wish.velocity * TICK.as_secs_f64();
        }
    }
}

impl beside::Cell for Cell {
    fn motion(&self) -> (Option<String>, Vec<ArmAtRest>) {
        let inside = self.inside();
        (inside.engine.run_in_progress().map(str::to_owned), inside.world.arms(inside.now))
    }

    fn telling(&self) -> Option<Arc<Telling>> {
        self.inside().engine.telling()
    }

    fn given_up(&self) -> Option<String> {
        None
    }
}

impl Surroundings for Cell {
    fn await_rest(&self, candidate: &Candidate<'_>) -> Result<Option<String>, String> {
        beside::await_rest(self, candidate, std::time::Duration::from_secs(30))
    }

    fn load_envelope(&self, artifact: Option<ArtifactId>) -> Result<(), String> {
        let staged = self.store.join(STAGED);
        // The disk works again; mostly it has never failed.
        let _ = std::fs::remove_dir(&staged);
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        if random.random_bool(TROUBLE) {
            return Err(BUSY.into());
        }
        if random.random_bool(TROUBLE) {
            match std::fs::create_dir(&staged) {
                // What a kill left half-written: the disk goes on working.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                made => made.map_err(|error| format!("cannot make the disk fail: {error}"))?,
            }
        }
        self.inside().loaded = artifact;
        Ok(())
    }
}
