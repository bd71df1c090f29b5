//! The lock-step cell; see the crate's page for what one cycle does.

use std::path::Path;

use mujoco_rs::prelude::*;
use nalgebra::{DMatrix, DVector, Isometry3, Quaternion, Translation3, UnitQuaternion, Vector3};
use swarm_base::{Duration, Time};
use swarm_cell::{CellConfig, GripperConfig};

use crate::SimError;
use crate::camera::{self, PoseNoise};
use crate::driver::{Drive, Driver, DriverCounters, DriverLimits, Permit, VelocityCommand};
use crate::gripper::{Gripper, GripperState};
use crate::mjcf::{self, TIMESTEP_S};
use crate::noise::Noise;
use crate::parts;
use crate::servo::Servo;
use crate::urdf::{Joint, JointKind, Scene, compose};

/// One call of [`Cell::step`].
pub const CONTROL_PERIOD: Duration = Duration::from_millis(2);
const SUBSTEPS: u32 = 2;

/// Of normal motion, rad/s²; well above what the safety envelope of a skill allows, so that the driver is not what limits.
const ACCELERATION_RAD_S2: f64 = 20.0;
/// Of a stop, rad/s². A UR5e's category 1 stop from full speed (3.1 rad/s) ends within 0.3 s. Not below what a cell's ceiling lets
/// joints accelerate with (8 in the shipped one): distances are kept for that (AoU-16).
const DECELERATION_RAD_S2: f64 = 10.0;

/// How the simulated drivers are set, and how the cell looks when it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    pub permit_timeout: Duration,
    pub command_timeout: Duration,
    pub look: Look,
}

/// How pictures of a cell look. Its physics is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// Shadows, reflections, smooth edges.
    #[default]
    Fine,
    /// None of these: drawn by software, a picture of 640x480 takes 16 ms of a core in place of 160.
    Plain,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            permit_timeout: Duration::from_millis(20),
            command_timeout: Duration::from_millis(100),
            look: Look::default(),
        }
    }
}

/// What arrived since the last cycle, per robot in the order of the declaration.
#[derive(Clone, Debug, PartialEq)]
pub struct Commands {
    /// Time by which the age of permits and commands is judged; the same clock as their `received`.
    pub now: Time,
    pub robots: Vec<RobotInbox>,
}

/// Messages of one robot in order of arrival.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RobotInbox {
    pub permits: Vec<Permit>,
    pub velocities: Vec<VelocityCommand>,
    pub gripper: Vec<GripperCommand>,
}

/// Opening (m) and largest force per finger (N). Clamped to the gripper's range; not finite = refused, the last one counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GripperCommand {
    pub width_m: f64,
    pub force_n: f64,
}

impl Commands {
    /// Nothing arrived.
    pub fn none(now: Time, robots: usize) -> Self {
        Self { now, robots: vec![RobotInbox::default(); robots] }
    }
}

/// What the sensors measured after a cycle.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Cycles since the reset.
    pub cycle: u64,
    /// Simulated time since the reset.
    pub time: Time,
    /// In the order of the declaration.
    pub robots: Vec<RobotState>,
    /// True poses.
    pub parts: Parts,
    /// What a camera estimates; only in cycles in which it has a new picture (30 Hz).
    pub camera: Option<Parts>,
    pub mating: Mating,
}

/// Sensors and driver of one robot.
#[derive(Clone, Debug, PartialEq)]
pub struct RobotState {
    pub position_rad: Vec<f64>,
    pub velocity_rad_s: Vec<f64>,
    /// Motor torques.
    pub effort_nm: Vec<f64>,
    /// Force (N) and torque (N m) which the gripper and all beyond it exert on the flange, in and about the flange frame. Raw:
    /// the gripper's weight is in it. Mean over the cycle.
    pub wrench: [f64; 6],
    pub gripper: GripperState,
    /// Position (m) and velocity (m/s) of the two finger joints.
    pub fingers: [(f64, f64); 2],
    pub drive: Drive,
    /// What the driver wants of the joints now.
    pub reference_rad_s: Vec<f64>,
    pub counters: DriverCounters,
}

/// Frames of the two parts in world; see [`crate::parts`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parts {
    /// Part A: the pocket's mouth.
    pub pocket_in_world: Isometry3<f64>,
    /// Part B: the peg's tip.
    pub tip_in_world: Isometry3<f64>,
}

/// How the parts stand to each other, in truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mating {
    /// Depth of the tip in the pocket, m; 0 while it is outside.
    pub depth_m: f64,
    /// Distance of the tip from the pocket's axis, m.
    pub lateral_m: f64,
    /// Sum of the contact forces between the parts, N.
    pub contact_n: f64,
    /// The tip is inside and at least [`parts::MATED_DEPTH_M`] deep.
    pub mated: bool,
}

/// A simulated cell.
pub struct Cell {
    scene: Scene,
    robots: Vec<Robot>,
    part_bodies: [usize; 2],
    part_qpos: [usize; 2],
    data: MjData<Box<MjModel>>,
    cameras: [PoseNoise; 2],
    cycle: u64,
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cell")
            .field("cycle", &self.cycle)
            .field("robots", &self.scene.robots)
            .finish_non_exhaustive()
    }
}

/// One robot: where its joints are in MuJoCo's arrays, and its controllers.
struct Robot {
    home_rad: Vec<f64>,
    limits: DriverLimits,
    effort_limit_nm: Vec<f64>,
    gripper_config: GripperConfig,
    arm_qpos: Vec<usize>,
    arm_dofs: Vec<usize>,
    finger_qpos: [usize; 2],
    finger_dofs: [usize; 2],
    driver: Driver,
    servo: Servo,
    gripper: Gripper,
    effort_nm: DVector<f64>,
    wrench_sum: [f64; 6],
}

impl Cell {
    /// Builds the cell that `config` declares; files are found under `root`, the folder that holds `config/` and `urdf/`. It is
    /// reset to seed 0.
    pub fn new(config: &CellConfig, root: &Path, options: Options) -> Result<Self, SimError> {
        let scene = compose(config, root)?;
        let root =
            std::path::absolute(root).map_err(|source| SimError::Read { path: root.to_owned(), source })?;
        let model = MjModel::from_xml_string(&mjcf::model_text(&scene, &root, options.look))
            .map_err(|error| SimError::Model(error.to_string()))?;
        let robots = scene
            .robots
            .iter()
            .zip(&config.robots)
            .map(|(links, robot)| {
                let arm: Vec<&Joint> =
                    links.arm_joints.iter().map(|name| joint_named(&scene, name)).collect();
                let limit = |joint: &Joint| joint.limit.expect("joints that move have limits");
                let limits = DriverLimits {
                    permit_timeout: options.permit_timeout,
                    command_timeout: options.command_timeout,
                    velocity_rad_s: arm.iter().map(|joint| limit(joint).velocity).collect(),
                    acceleration_rad_s2: ACCELERATION_RAD_S2,
                    deceleration_rad_s2: DECELERATION_RAD_S2,
                };
                let effort_limit_nm: Vec<f64> = arm.iter().map(|joint| limit(joint).effort).collect();
                let fingers = links.finger_joints.each_ref().map(|name| address(&model, name));
                let arm: Vec<_> = links.arm_joints.iter().map(|name| address(&model, name)).collect();
                Robot {
                    driver: Driver::new(limits.clone()),
                    servo: Servo::new(&robot.home_rad, effort_limit_nm.clone()),
                    gripper: Gripper::new(robot.gripper),
                    effort_nm: DVector::zeros(arm.len()),
                    wrench_sum: [0.0; 6],
                    home_rad: robot.home_rad.clone(),
                    gripper_config: robot.gripper,
                    limits,
                    effort_limit_nm,
                    arm_qpos: arm.iter().map(|a| a.0).collect(),
                    arm_dofs: arm.iter().map(|a| a.1).collect(),
                    finger_qpos: fingers.map(|a| a.0),
                    finger_dofs: fingers.map(|a| a.1),
                }
            })
            .collect();
        let parts = ["part_a", "part_b"];
        let mut cell = Self {
            scene,
            robots,
            part_bodies: parts.map(|name| {
                model.name_to_id(MjtObjBase::mjOBJ_BODY, name).expect("the model has both parts")
            }),
            part_qpos: parts.map(|name| address(&model, name).0),
            data: MjData::new(Box::new(model)),
            cameras: [(); 2].map(|()| PoseNoise::new(Noise::new(0, 0))),
            cycle: 0,
        };
        cell.reset(0);
        Ok(cell)
    }

    /// Links and joint names; the composed URDF is written from its tree.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Back to the start: arms at home, grippers open, the parts on the table where `seed` puts them, drivers as after power-on.
    pub fn reset(&mut self, seed: u64) -> Observation {
        self.data.reset();
        let mut start = Noise::new(seed, 1);
        let mut place = |nominal: Isometry3<f64>| {
            let shift =
                Vector3::new(start.within(parts::START_OFFSET_M), start.within(parts::START_OFFSET_M), 0.0);
            let yaw = UnitQuaternion::from_scaled_axis(Vector3::z() * start.within(parts::START_YAW_RAD));
            Isometry3::from_parts(
                Translation3::from(nominal.translation.vector + shift),
                yaw * nominal.rotation,
            )
        };
        let poses = [place(parts::part_a_start_in_world()), place(parts::part_b_start_in_world())];
        let qpos = self.data.qpos_mut();
        for (address, pose) in self.part_qpos.into_iter().zip(poses) {
            let (p, q) = (pose.translation, pose.rotation);
            qpos[address..address + 7].copy_from_slice(&[p.x, p.y, p.z, q.w, q.i, q.j, q.k]);
        }
        for robot in &mut self.robots {
            for (&address, &position) in robot.arm_qpos.iter().zip(&robot.home_rad) {
                qpos[address] = position;
            }
            for address in robot.finger_qpos {
                qpos[address] = robot.gripper_config.max_width_m / 2.0;
            }
            robot.driver = Driver::new(robot.limits.clone());
            robot.servo = Servo::new(&robot.home_rad, robot.effort_limit_nm.clone());
            robot.gripper = Gripper::new(robot.gripper_config);
        }
        self.cameras = [2, 3].map(|stream| PoseNoise::new(Noise::new(seed, stream)));
        self.cycle = 0;
        self.physics();
        self.data.set_time(0.0);
        self.observe()
    }

    /// One control cycle.
    pub fn step(&mut self, commands: &Commands) -> Result<Observation, SimError> {
        if commands.robots.len() != self.robots.len() {
            return Err(SimError::Robots { expected: self.robots.len(), actual: commands.robots.len() });
        }
        for (robot, inbox) in self.robots.iter_mut().zip(&commands.robots) {
            robot.driver.cycle(commands.now, &inbox.permits, &inbox.velocities);
            // AoU-15
            let permitted = robot.driver.permit_at(commands.now).is_ok();
            robot.gripper.cycle(commands.now, &inbox.gripper, permitted, robot.driver.command_timeout());
        }
        self.physics();
        self.cycle += 1;
        Ok(self.observe())
    }

    /// Every link's pose in its parent's frame, as `(parent, child, pose)`: what `/tf` carries.
    pub fn link_poses(&self) -> Vec<(&str, &str, Isometry3<f64>)> {
        let qpos = self.data.qpos();
        let model = self.data.model();
        self.scene
            .tree
            .joints
            .iter()
            .map(|joint| {
                let motion = match joint.kind {
                    JointKind::Fixed => Isometry3::identity(),
                    JointKind::Revolute | JointKind::Continuous => {
                        Isometry3::rotation(Vector3::from(joint.axis) * qpos[address(model, &joint.name).0])
                    }
                    JointKind::Prismatic => Isometry3::from_parts(
                        (Vector3::from(joint.axis) * qpos[address(model, &joint.name).0]).into(),
                        UnitQuaternion::identity(),
                    ),
                };
                (joint.parent.as_str(), joint.child.as_str(), joint.origin * motion)
            })
            .collect()
    }

    /// Puts arms, fingers and parts where an observation of an equal cell says, for drawing: nothing moves by itself.
    #[cfg(feature = "render")]
    pub fn pose_as(&mut self, observation: &Observation) {
        let qpos = self.data.qpos_mut();
        for (robot, state) in self.robots.iter().zip(&observation.robots) {
            for (&address, &position) in robot.arm_qpos.iter().zip(&state.position_rad) {
                qpos[address] = position;
            }
            for (address, (position, _)) in robot.finger_qpos.into_iter().zip(state.fingers) {
                qpos[address] = position;
            }
        }
        let poses = [observation.parts.pocket_in_world, observation.parts.tip_in_world];
        for (address, pose) in self.part_qpos.into_iter().zip(poses) {
            let (p, q) = (pose.translation, pose.rotation);
            qpos[address..address + 7].copy_from_slice(&[p.x, p.y, p.z, q.w, q.i, q.j, q.k]);
        }
        self.data.forward();
    }

    #[cfg(feature = "render")]
    pub(crate) fn model(&self) -> &MjModel {
        self.data.model()
    }

    #[cfg(feature = "render")]
    pub(crate) fn data_mut(&mut self) -> &mut MjData<Box<MjModel>> {
        &mut self.data
    }

    fn physics(&mut self) {
        for robot in &mut self.robots {
            robot.wrench_sum = [0.0; 6];
        }
        let nv = self.data.qvel().len();
        let mut inertia = vec![0.0; nv * nv];
        for _ in 0..SUBSTEPS {
            // mj_step1 brings positions, velocities, inertia and bias up to date; the torques then enter mj_step2.
            self.data.step1();
            self.data.full_m(&mut inertia).expect("the buffer holds nv x nv numbers");
            for robot in &mut self.robots {
                robot.drive(&mut self.data, &inertia, nv);
            }
            self.data.step2();
            for (index, robot) in self.robots.iter_mut().enumerate() {
                for (axis, sum) in robot.wrench_sum.iter_mut().enumerate() {
                    // The sensor gives what the parent exerts on the child.
                    *sum -= self.data.sensordata()[6 * index + axis];
                }
            }
        }
    }

    fn observe(&mut self) -> Observation {
        let parts = self.parts();
        let period_ns = CONTROL_PERIOD.0;
        let picture = |cycle: u64| cycle * period_ns * camera::RATE_HZ / 1_000_000_000;
        let new_picture = self.cycle == 0 || picture(self.cycle) != picture(self.cycle - 1);
        let camera = new_picture.then(|| Parts {
            pocket_in_world: self.cameras[0].look(&parts.pocket_in_world),
            tip_in_world: self.cameras[1].look(&parts.tip_in_world),
        });
        let (qpos, qvel) = (self.data.qpos(), self.data.qvel());
        let robots = self
            .robots
            .iter_mut()
            .map(|robot| {
                let fingers = [0, 1].map(|i| (qpos[robot.finger_qpos[i]], qvel[robot.finger_dofs[i]]));
                RobotState {
                    position_rad: robot.arm_qpos.iter().map(|&i| qpos[i]).collect(),
                    velocity_rad_s: robot.arm_dofs.iter().map(|&i| qvel[i]).collect(),
                    effort_nm: robot.effort_nm.iter().copied().collect(),
                    wrench: robot.wrench_sum.map(|sum| sum / f64::from(SUBSTEPS)),
                    gripper: robot.gripper.observe(fingers.map(|f| f.0), fingers.map(|f| f.1)),
                    fingers,
                    drive: robot.driver.drive(),
                    reference_rad_s: robot.driver.reference_rad_s().to_vec(),
                    counters: robot.driver.counters(),
                }
            })
            .collect();
        Observation {
            cycle: self.cycle,
            time: Time(self.cycle * period_ns),
            robots,
            parts,
            camera,
            mating: self.mating(&parts),
        }
    }

    fn parts(&self) -> Parts {
        let qpos = self.data.qpos();
        let [pocket_in_world, tip_in_world] = self.part_qpos.map(|a| {
            Isometry3::from_parts(
                Translation3::new(qpos[a], qpos[a + 1], qpos[a + 2]),
                UnitQuaternion::from_quaternion(Quaternion::new(
                    qpos[a + 3],
                    qpos[a + 4],
                    qpos[a + 5],
                    qpos[a + 6],
                )),
            )
        });
        Parts { pocket_in_world, tip_in_world }
    }

    fn mating(&self, parts: &Parts) -> Mating {
        let tip = (parts.pocket_in_world.inverse() * parts.tip_in_world).translation;
        let lateral_m = tip.x.hypot(tip.y);
        // Half of the mouth with its chamfer: further out the tip is beside the pocket, however low.
        let inside = tip.x.abs().max(tip.y.abs()) < parts::POCKET_EDGE_M / 2.0 + parts::CHAMFER_M;
        let depth_m = if inside { (-tip.z).max(0.0) } else { 0.0 };
        Mating {
            depth_m,
            lateral_m,
            contact_n: self.contact_between_parts_n(),
            mated: depth_m >= parts::MATED_DEPTH_M,
        }
    }

    fn contact_between_parts_n(&self) -> f64 {
        let bodies = self.data.model().geom_bodyid();
        let mut sum = Vector3::zeros();
        for (id, contact) in self.data.contact().iter().enumerate() {
            let pair = contact.geom.map(|geom| usize::try_from(geom).map_or(0, |g| bodies[g] as usize));
            let [a, b] = self.part_bodies;
            let sign = match pair {
                p if p == [a, b] => 1.0,
                p if p == [b, a] => -1.0,
                _ => continue,
            };
            let force = self.data.contact_force(id);
            // Rows of `frame` are the contact's axes in world.
            let frame = nalgebra::Matrix3::from_row_slice(&contact.frame);
            sum += frame.transpose() * Vector3::new(force[0], force[1], force[2]) * sign;
        }
        sum.norm()
    }
}

impl Robot {
    /// One physics step's torques and finger forces, from the driver's and gripper's references.
    fn drive(&mut self, data: &mut MjData<Box<MjModel>>, inertia: &[f64], nv: usize) {
        self.driver.advance(TIMESTEP_S);
        self.gripper.advance(TIMESTEP_S);
        let dofs = &self.arm_dofs;
        let at = |values: &[f64], indices: &[usize]| {
            DVector::from_iterator(indices.len(), indices.iter().map(|&i| values[i]))
        };
        let block = DMatrix::from_fn(dofs.len(), dofs.len(), |r, c| inertia[dofs[r] * nv + dofs[c]]);
        let bias = at(data.qfrc_bias(), dofs);
        self.effort_nm = self.servo.torque(
            &at(data.qpos(), &self.arm_qpos),
            &at(data.qvel(), dofs),
            self.driver.reference_rad_s(),
            &block,
            &bias,
            TIMESTEP_S,
        );
        let fingers: [f64; 2] = [0, 1].map(|i| {
            let (position, velocity) = (data.qpos()[self.finger_qpos[i]], data.qvel()[self.finger_dofs[i]]);
            self.gripper.finger_force(position, velocity) + data.qfrc_bias()[self.finger_dofs[i]]
        });
        let applied = data.qfrc_applied_mut();
        for (&dof, &torque) in dofs.iter().zip(self.effort_nm.iter()) {
            applied[dof] = torque;
        }
        for (&dof, force) in self.finger_dofs.iter().zip(fingers) {
            applied[dof] = force;
        }
    }
}

fn joint_named<'a>(scene: &'a Scene, name: &str) -> &'a Joint {
    scene.tree.joints.iter().find(|joint| joint.name == name).expect("joints of the scene are named by it")
}

/// Places of a joint in `qpos` and `qvel`.
fn address(model: &MjModel, joint: &str) -> (usize, usize) {
    let id =
        model.name_to_id(MjtObjBase::mjOBJ_JOINT, joint).expect("joints of the model are those of the scene");
    (model.jnt_qposadr()[id] as usize, model.jnt_dofadr()[id] as usize)
}
