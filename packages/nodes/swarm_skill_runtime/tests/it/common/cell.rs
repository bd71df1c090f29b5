//! A cell whose arms go where they are told, on a clock that is moved by hand.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use swarm_base::{Duration, Role, Time};
use swarm_kinematics::JointVector;
use swarm_skill_core::{Goal, Timing};
use swarm_skill_runtime::deployer::{ActiveSkill, InForce};
use swarm_skill_runtime::engine::{Engine, Finished, GoalSink, GoalUpdate, Turn};
use swarm_skill_runtime::robots::Robots;
use swarm_skill_runtime::world::{Safety, World};

use super::{Around, Bench, SkillFolder};

pub(crate) const TICK: Duration = Duration::from_millis(10);

pub(crate) struct Sink(Sender<GoalUpdate>);

impl GoalSink for Sink {
    fn update(&self, update: GoalUpdate) {
        self.0.send(update).unwrap();
    }
}

/// An engine with a deployed skill, in a cell without physics.
pub(crate) struct Cell {
    pub(crate) engine: Engine,
    pub(crate) world: World,
    pub(crate) robots: Arc<Robots>,
    pub(crate) skill: Arc<ActiveSkill>,
    pub(crate) safety: Safety,
    pub(crate) q: Vec<JointVector>,
    pub(crate) now: Time,
    pub(crate) deaf: bool,
    /// An order is being carried out.
    pub(crate) changing: bool,
    /// The force sensor of this robot says nothing.
    pub(crate) without_wrench: Option<usize>,
}

impl Cell {
    pub(crate) fn new() -> Self {
        Self::of(&Bench::new(), "1.0.0", &SkillFolder::default())
    }

    /// In which this version is in force.
    pub(crate) fn of(bench: &Bench, version: &str, files: &SkillFolder) -> Self {
        let deployer = bench.deployer();
        let skill = deployer.carry_out(&bench.order(version, files), &Around::default()).unwrap();
        let robots = bench.robots();
        // Everybody is 0.3 rad off home in the first joint.
        let away = |spec: &swarm_skill_core::RoleSpec| {
            let mut q = spec.home;
            q[0] += 0.3;
            q
        };
        let safety = Safety {
            epoch: 3,
            permits_motion: true,
            state: "READY".into(),
            artifact: skill.artifact.to_string(),
            ..Safety::default()
        };
        Self {
            engine: Engine::new(Arc::clone(&robots), Timing::default()),
            world: World::new(&robots),
            q: skill.skill.roles.iter().map(away).collect(),
            robots,
            skill,
            safety,
            now: Time::ZERO,
            deaf: false,
            changing: false,
            without_wrench: None,
        }
    }

    pub(crate) fn ask(&mut self, role: Option<Role>) -> Receiver<GoalUpdate> {
        let (sender, receiver) = channel();
        let goal = Goal { role, trace_id: "t1".into(), patience: Duration::from_millis(1_000) };
        self.engine.ask(&goal, Some(&self.skill), None, Box::new(Sink(sender)), self.now);
        receiver
    }

    pub(crate) fn turn(&mut self) -> Turn {
        self.now = self.now + TICK;
        if !self.deaf {
            for (robot, known) in self.robots.robots.iter().enumerate() {
                let names: Vec<String> = known.arm.joints().iter().map(|joint| joint.name.clone()).collect();
                let q: Vec<f64> = self.q[robot].iter().take(names.len()).copied().collect();
                self.world.hear_joints(&names, &q, &vec![0.0; names.len()], self.now);
                if self.without_wrench != Some(robot) {
                    self.world.hear_wrench(robot, [0.0; 6], self.now);
                }
            }
            self.world.hear_safety(self.safety.clone(), self.now);
        }
        let in_force =
            if self.changing { InForce::Changing } else { InForce::Skill(Arc::clone(&self.skill)) };
        let turn = self.engine.turn(&self.world, &in_force, &mut (), self.now);
        for command in &turn.commands {
            self.q[command.robot] += command.wish.velocity * TICK.as_secs_f64();
        }
        turn
    }

    /// Turns until the goal has its result; gives it, and the last turn in which something was commanded.
    pub(crate) fn result(&mut self, goal: &Receiver<GoalUpdate>) -> (Finished, Turn) {
        let mut last = Turn::default();
        for _ in 0..3_000 {
            let turn = self.turn();
            if !turn.commands.is_empty() {
                last = turn;
            }
            while let Ok(update) = goal.try_recv() {
                if let GoalUpdate::Finished(finished) = update {
                    return (finished, last);
                }
            }
        }
        panic!("no result after {:.0} s", self.now.as_secs_f64());
    }
}
