//! The topics of the simulated cell, and how often each is published.

use std::sync::Arc;

use r2r::geometry_msgs::msg::WrenchStamped;
use r2r::rosgraph_msgs::msg::Clock;
use r2r::sensor_msgs::msg::JointState;
use r2r::std_msgs::msg::String as StringMsg;
use r2r::swarm_msgs::msg::{GripperState, PartPoses, SimReport};
use r2r::tf2_msgs::msg::TFMessage;
use r2r::{Publisher, WrappedTypesupport};
use swarm_base::{Clock as _, MonotonicClock};
use swarm_mujoco::urdf::{JointKind, Scene};
use swarm_mujoco::{Cell, Observation, urdf};
use swarm_ros::stamp::{self, RosClock};
use swarm_ros::{NodeShell, ShellError, qos};

use crate::inbox::{Arrival, Inbox};
use crate::messages::{self, WORLD};
use crate::pace::Pace;
use crate::report::Watch;
use crate::stamping::Stamping;

/// Control cycles between two messages: 100 Hz.
const GRIPPER_CYCLES: u64 = 5;
/// 50 Hz, as robot_state_publisher's default is of that order.
const DISPLAY_CYCLES: u64 = 10;
/// Where RViz and Foxglove find the meshes of the description.
pub const MESH_PREFIX: &str = "package://swarm_bringup/";

/// What stamps messages carry.
#[derive(Clone, Debug)]
pub enum Stamps {
    /// ROS time, as far apart as what is measured, see [`Stamping`].
    Ros(RosClock, Stamping),
    Simulated,
}

/// What is published beside the sensors.
#[derive(Clone, Copy, Debug)]
pub struct Extras {
    pub clock: bool,
    pub tf: bool,
}

/// All publishers.
#[derive(Debug)]
pub struct Topics {
    stamps: Stamps,
    joint_states: Publisher<JointState>,
    wrenches: Vec<Publisher<WrenchStamped>>,
    grippers: Vec<Publisher<GripperState>>,
    part_poses: Publisher<PartPoses>,
    report: Publisher<SimReport>,
    description: Publisher<StringMsg>,
    clock: Option<Publisher<Clock>>,
    tf: Option<(Publisher<TFMessage>, Publisher<TFMessage>)>,
    failures: u64,
}

impl Topics {
    /// Creates the topics of `robots`, named as in the declaration.
    pub fn create(
        shell: &mut NodeShell,
        robots: &[String],
        stamps: Stamps,
        extras: Extras,
    ) -> Result<Self, ShellError> {
        let mut wrenches = Vec::new();
        let mut grippers = Vec::new();
        for robot in robots {
            wrenches.push(shell.publisher(&format!("/{robot}/wrench"), qos::SENSOR_BACKLOG)?);
            grippers.push(shell.publisher(&format!("/{robot}/gripper_state"), qos::SENSOR_BACKLOG)?);
        }
        let clock = if extras.clock { Some(shell.publisher("/clock", qos::SENSOR)?) } else { None };
        let tf = if extras.tf {
            Some((shell.publisher("/tf", qos::EVENTS)?, shell.publisher("/tf_static", qos::LATCHED)?))
        } else {
            None
        };
        Ok(Self {
            stamps,
            // Reliable, as ros2_control's joint_state_broadcaster publishes: it serves both kinds of subscriptions.
            joint_states: shell.publisher("/joint_states", qos::EVENTS)?,
            wrenches,
            grippers,
            part_poses: shell.publisher("/part_poses", qos::SENSOR_BACKLOG)?,
            report: shell.publisher("/sim/report", qos::EVENTS)?,
            description: shell.publisher("/robot_description", qos::LATCHED)?,
            clock,
            tf,
            failures: 0,
        })
    }

    /// Messages that the middleware did not take.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// What does not change: the description and the fixed frames.
    pub fn describe(&mut self, cell: &Cell) {
        let scene = cell.scene();
        let data = urdf::to_urdf(&scene.tree, MESH_PREFIX);
        send(&self.description, &StringMsg { data }, &mut self.failures);
        let stamp = stamp::wall_now();
        if let Some((_, fixed)) = &self.tf {
            let transforms = frames(cell, |kind| kind == JointKind::Fixed)
                .map(|(parent, child, pose)| messages::transform(parent, child, &pose, &stamp))
                .collect();
            send(fixed, &TFMessage { transforms }, &mut self.failures);
        }
    }

    /// What one cycle measured.
    pub fn publish(&mut self, cell: &Cell, observation: &Observation) {
        let stamp = self.stamps.of(observation);
        let (scene, cycle) = (cell.scene(), observation.cycle);
        let failures = &mut self.failures;
        if let Some(clock) = &self.clock {
            send(clock, &Clock { clock: stamp::from_nanos(observation.time.0) }, failures);
        }
        send(&self.joint_states, &messages::arm_states(scene, observation, &stamp), failures);
        for ((links, state), wrench) in scene.robots.iter().zip(&observation.robots).zip(&self.wrenches) {
            send(wrench, &messages::wrench(links, state, &stamp), failures);
        }
        if cycle.is_multiple_of(GRIPPER_CYCLES) {
            for ((links, state), gripper) in scene.robots.iter().zip(&observation.robots).zip(&self.grippers)
            {
                send(gripper, &messages::gripper_state(links, state, &stamp), failures);
            }
        }
        if let Some(parts) = &observation.camera {
            send(&self.part_poses, &messages::part_poses(parts, &stamp), failures);
        }
        if cycle.is_multiple_of(DISPLAY_CYCLES) {
            send(&self.joint_states, &messages::finger_states(scene, observation, &stamp), failures);
            if let Some((moving, _)) = &self.tf {
                let mut transforms: Vec<_> = frames(cell, |kind| kind != JointKind::Fixed)
                    .map(|(parent, child, pose)| messages::transform(parent, child, &pose, &stamp))
                    .collect();
                let parts = &observation.parts;
                transforms.push(messages::transform(WORLD, "part_a", &parts.pocket_in_world, &stamp));
                transforms.push(messages::transform(WORLD, "part_b", &parts.tip_in_world, &stamp));
                send(moving, &TFMessage { transforms }, failures);
            }
        }
    }

    pub fn report(&mut self, scene: &Scene, observation: &Observation, watch: &Watch, pace: &Pace) {
        let message = messages::report(scene, observation, watch, pace, &self.stamps.of(observation));
        send(&self.report, &message, &mut self.failures);
    }
}

impl Stamps {
    fn of(&mut self, observation: &Observation) -> r2r::builtin_interfaces::msg::Time {
        match self {
            Self::Ros(clock, stamping) => {
                stamp::from_nanos(stamping.stamp(stamp::to_nanos(&clock.now()), observation.time))
            }
            Self::Simulated => stamp::from_nanos(observation.time.0),
        }
    }
}

/// Creates the subscriptions that fill `inbox`; `clock` tells when something arrived.
pub fn subscribe(
    shell: &mut NodeShell,
    robots: &[String],
    inbox: &Arc<Inbox>,
    clock: MonotonicClock,
) -> Result<(), ShellError> {
    let permits = Arc::clone(inbox);
    shell.subscribe("/safety_monitor/permit", qos::SENSOR, move |message| {
        permits.permit(&message, Arrival { at: clock.now(), wall_ns: stamp::to_nanos(&stamp::wall_now()) });
    })?;
    for profile in [qos::STOP_RELIABLE, qos::STOP_BEST_EFFORT, qos::STOP_LATCHED] {
        let stops = Arc::clone(inbox);
        shell.subscribe("/emergency_stop", profile, move |message: r2r::std_msgs::msg::Bool| {
            stops.emergency_stop(message.data);
        })?;
    }
    for (index, robot) in robots.iter().enumerate() {
        let commands = Arc::clone(inbox);
        shell.subscribe(&format!("/{robot}/joint_command"), qos::COMMAND_STREAM, move |message| {
            commands.velocities(index, message, clock.now());
        })?;
        let grippers = Arc::clone(inbox);
        shell.subscribe(&format!("/{robot}/gripper_command"), qos::COMMAND, move |message| {
            grippers.gripper(index, &message);
        })?;
    }
    Ok(())
}

fn frames(
    cell: &Cell,
    wanted: impl Fn(JointKind) -> bool,
) -> impl Iterator<Item = (&str, &str, nalgebra::Isometry3<f64>)> {
    let joints = cell.scene().tree.joints.iter();
    cell.link_poses()
        .into_iter()
        .zip(joints)
        .filter(move |(_, joint)| wanted(joint.kind))
        .map(|(pose, _)| pose)
}

fn send<T: WrappedTypesupport + 'static>(publisher: &Publisher<T>, message: &T, failures: &mut u64) {
    if publisher.publish(message).is_err() {
        *failures += 1;
    }
}
