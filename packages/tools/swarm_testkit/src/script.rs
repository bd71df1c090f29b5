//! The simulated cell driven by a script: straight motions of the tools, grips, looks. No runtime, no gate.
//!
//! A *tick* is 10 ms, the period of the skill runtime: five cycles of the simulator under one command.

use std::path::Path;

use anyhow::{Result, bail};
use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use swarm_base::Time;
use swarm_cell::CellConfig;
use swarm_kinematics::{ArmModel, JointVector, Twist};
use swarm_mujoco::driver::{Permit, VelocityCommand};
use swarm_mujoco::{CONTROL_PERIOD, Cell, Commands, GripperCommand, Observation, Options, parts};
use swarm_skill_core::{InsertionInputs, MeanPose, MeanWrench, tcp_twist_in_world};

use crate::arms::{load_arms, to_isometry};

const CYCLES_PER_TICK: u64 = 5;
const TICK_S: f64 = 0.01;

/// Where the leader holds the pocket for mating, in world: a millimetre above where part A would stand on the table. The table
/// then takes what the peg pushes with; in the air the handle, gripped 0.16 m away, would turn between the pads.
pub fn mating_place_in_world() -> Isometry3<f64> {
    Isometry3::translation(0.0, -0.05, parts::BLOCK_HEIGHT_M + 0.001)
}

/// Robots by their place in the declaration.
pub const LEADER: usize = 0;
pub const FOLLOWER: usize = 1;

/// A cell at the end of a script's strings.
#[derive(Debug)]
pub struct ScriptedCell {
    cell: Cell,
    arms: Vec<ArmModel>,
    now: Time,
    sequence: u64,
    gripper: Vec<Option<GripperCommand>>,
    pub last: Observation,
}

/// What is known before the peg goes in, and then frozen.
#[derive(Clone, Copy, Debug)]
pub struct Approach {
    pub pocket_in_world: Isometry3<f64>,
    pub tip_in_tcp: Isometry3<f64>,
    pub wrench_tare: [f64; 6],
}

impl ScriptedCell {
    pub fn new(config: &CellConfig, root: &Path) -> Result<Self> {
        let mut cell = Cell::new(config, root, Options::default())?;
        let arms = load_arms(config, root)?;
        let last = cell.reset(0);
        Ok(Self { gripper: vec![None; arms.len()], cell, arms, now: Time::ZERO, sequence: 0, last })
    }

    pub fn reset(&mut self, seed: u64) {
        self.last = self.cell.reset(seed);
        self.gripper.fill(None);
        self.now = Time::ZERO;
        self.sequence = 0;
    }

    /// Tool centre point in world.
    pub fn tcp_in_world(&self, robot: usize) -> Isometry3<f64> {
        let arm = &self.arms[robot];
        to_isometry(&arm.tool(&arm.forward(&self.joints(robot))))
    }

    pub fn flange_in_world(&self, robot: usize) -> Isometry3<f64> {
        let arm = &self.arms[robot];
        to_isometry(&arm.flange(&arm.forward(&self.joints(robot))))
    }

    /// Moves the tools with these twists (world axes) for one tick; the other robots stand.
    pub fn tick(&mut self, twists: &[(usize, Twist)]) -> Result<()> {
        let mut velocities: Vec<JointVector> = vec![JointVector::zeros(); self.arms.len()];
        for (robot, twist) in twists {
            let arm = &self.arms[*robot];
            let options = arm.servo_options(JointVector::repeat(5.0));
            velocities[*robot] = arm.differential_ik(&self.joints(*robot), twist, &options).qd;
        }
        for _ in 0..CYCLES_PER_TICK {
            let mut commands = Commands::none(self.now, self.arms.len());
            self.sequence += 1;
            for (robot, inbox) in commands.robots.iter_mut().enumerate() {
                let received = self.now;
                inbox.permits.push(Permit { received, epoch: 1, sequence: self.sequence, speed_scale: 1.0 });
                let velocity_rad_s = velocities[robot].as_slice()[..self.arms[robot].dof()].to_vec();
                inbox.velocities.push(VelocityCommand { received, velocity_rad_s });
                inbox.gripper.extend(self.gripper[robot].take());
            }
            self.last = self.cell.step(&commands)?;
            self.now = self.now + CONTROL_PERIOD;
        }
        Ok(())
    }

    pub fn wait(&mut self, ticks: u32) -> Result<()> {
        (0..ticks).try_for_each(|_| self.tick(&[]))
    }

    /// Brings tools to poses, each at up to `speed_m_s`; ends when all are within 0.3 mm and 2 mrad.
    pub fn go(&mut self, goals: &[(usize, Isometry3<f64>)], speed_m_s: f64) -> Result<()> {
        const GAIN: f64 = 6.0;
        for _ in 0..1500 {
            let mut arrived = true;
            let mut twists = Vec::new();
            for (robot, goal) in goals {
                let tcp = self.tcp_in_world(*robot);
                let shift = goal.translation.vector - tcp.translation.vector;
                let turn = (goal.rotation * tcp.rotation.inverse()).scaled_axis();
                arrived &= shift.norm() < 0.0003 && turn.norm() < 0.002;
                let (linear, angular) = (capped(shift * GAIN, speed_m_s), capped(turn * GAIN, 1.0));
                twists.push((
                    *robot,
                    Twist::new(linear.x, linear.y, linear.z, angular.x, angular.y, angular.z),
                ));
            }
            if arrived {
                return self.wait(10);
            }
            self.tick(&twists)?;
        }
        bail!(
            "the tools did not reach their goals within 15 s: {goals:?}, now at {:?}",
            self.tcp_in_world(goals[0].0)
        )
    }

    /// Fingers to a width; waits until they hold something or stand there.
    pub fn grip(&mut self, robot: usize, width_m: f64, force_n: f64) -> Result<()> {
        self.gripper[robot] = Some(GripperCommand { width_m, force_n });
        self.wait(5)?;
        for _ in 0..200 {
            self.tick(&[])?;
            let gripper = self.last.robots[robot].gripper;
            if gripper.holding || (gripper.width_m - width_m).abs() < 0.001 {
                return self.wait(10);
            }
        }
        bail!(
            "gripper of robot {robot} neither holds nor is at {width_m} m: {:?}",
            self.last.robots[robot].gripper
        )
    }

    /// Mean of what the camera sees of both parts in half a second.
    pub fn look(&mut self) -> Result<(Isometry3<f64>, Isometry3<f64>)> {
        let (mut pocket, mut tip) = (MeanPose::default(), MeanPose::default());
        for _ in 0..50 {
            self.tick(&[])?;
            if let Some(seen) = self.last.camera {
                pocket.add(&seen.pocket_in_world);
                tip.add(&seen.tip_in_world);
            }
        }
        match (pocket.get(), tip.get()) {
            (Some(pocket), Some(tip)) => Ok((pocket, tip)),
            _ => bail!("the camera saw nothing for half a second"),
        }
    }

    /// Picks both parts and brings them together: the tip stands `height_m` above the pocket's mouth, as far as the camera can
    /// tell.
    pub fn bring_together(&mut self, height_m: f64) -> Result<Approach> {
        let (pocket, tip) = self.look()?;
        let above = |pose: &Isometry3<f64>| Isometry3::translation(0.0, 0.0, 0.10) * pose;
        let (grasp_a, grasp_b) =
            (upright(&pocket) * parts::grasp_in_pocket(), upright(&tip) * parts::grasp_in_tip());
        self.grip(LEADER, 0.06, 40.0)?;
        self.grip(FOLLOWER, 0.05, 40.0)?;
        self.go(&[(LEADER, above(&grasp_a)), (FOLLOWER, above(&grasp_b))], 0.25)?;
        self.go(&[(LEADER, grasp_a), (FOLLOWER, grasp_b)], 0.10)?;
        self.grip(LEADER, 0.0, 40.0)?;
        self.grip(FOLLOWER, 0.0, 40.0)?;
        self.go(&[(LEADER, above(&grasp_a)), (FOLLOWER, above(&grasp_b))], 0.10)?;

        let place = mating_place_in_world();
        let over = Isometry3::translation(0.0, 0.0, 0.08) * place;
        let above_place = Isometry3::translation(0.0, 0.0, 0.05) * place;
        self.go(&[(LEADER, above_place * parts::grasp_in_pocket())], 0.20)?;
        self.go(&[(LEADER, place * parts::grasp_in_pocket())], 0.05)?;
        // Now the pocket stands; the peg goes over it, first by what the hand should hold, then by what the camera sees.
        self.go(&[(FOLLOWER, over * parts::grasp_in_tip())], 0.20)?;
        let (pocket_in_world, tip) = self.look()?;
        let tip_in_tcp = self.tcp_in_world(FOLLOWER).inverse() * tip;
        let goal = pocket_in_world * Isometry3::translation(0.0, 0.0, height_m) * tip_in_tcp.inverse();
        self.go(&[(FOLLOWER, goal)], 0.05)?;
        let mut tare = MeanWrench::default();
        for _ in 0..10 {
            self.tick(&[])?;
            tare.add(&self.last.robots[FOLLOWER].wrench);
        }
        let wrench_tare = tare.get().expect("ten wrenches were added");
        Ok(Approach { pocket_in_world, tip_in_tcp, wrench_tare })
    }

    /// What the policy's observation is made from, as the follower believes it to be.
    pub fn insertion_inputs(&self, approach: &Approach, previous_action: [f64; 6]) -> InsertionInputs {
        InsertionInputs {
            tip_in_world: self.tcp_in_world(FOLLOWER) * approach.tip_in_tcp,
            pocket_in_world: approach.pocket_in_world,
            flange_in_world: self.flange_in_world(FOLLOWER),
            wrench_flange: self.last.robots[FOLLOWER].wrench,
            wrench_tare: approach.wrench_tare,
            previous_action,
        }
    }

    /// Moves the peg's tip as an action says, for one tick.
    pub fn act(&mut self, approach: &Approach, action: &[f64; 6]) -> Result<()> {
        let tcp = self.tcp_in_world(FOLLOWER);
        let tip = tcp * approach.tip_in_tcp;
        self.tick(&[(FOLLOWER, tcp_twist_in_world(action, &approach.pocket_in_world, &tip, &tcp))])
    }

    fn joints(&self, robot: usize) -> JointVector {
        let q = &self.last.robots[robot].position_rad;
        JointVector::from_fn(|i, _| q.get(i).copied().unwrap_or(0.0))
    }
}

/// The pose without its tilt: parts on a table stand upright, whatever the camera's noise says.
fn upright(pose: &Isometry3<f64>) -> Isometry3<f64> {
    let x = pose.rotation * Vector3::x();
    let yaw = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), x.y.atan2(x.x));
    Isometry3::from_parts(Translation3::from(pose.translation.vector), yaw)
}

fn capped(vector: Vector3<f64>, length: f64) -> Vector3<f64> {
    let norm = vector.norm();
    if norm > length { vector * (length / norm) } else { vector }
}

/// Seconds of a tick.
pub const fn tick_s() -> f64 {
    TICK_S
}
