//! What the node says: wishes to the safety gate, and its status.

use std::sync::Arc;

use r2r::builtin_interfaces::msg::Time;
use r2r::std_msgs::msg::Bool;
use r2r::swarm_msgs::msg::{GripperCommand, JointCommand, RuntimeStatus};
use swarm_ros::stamp::{RosClock, wall_now};
use swarm_ros::{NodeShell, qos};

use crate::deployer::ActiveSkill;
use crate::engine::Turn;
use crate::messages;
use crate::robots::Robots;

pub(super) struct Publishers {
    robots: Arc<Robots>,
    motion: Vec<r2r::Publisher<JointCommand>>,
    grippers: Vec<r2r::Publisher<GripperCommand>>,
    pub(super) status: r2r::Publisher<RuntimeStatus>,
    emergency_stop: r2r::Publisher<Bool>,
    clock: RosClock,
    started: Time,
}

impl Publishers {
    pub(super) fn create(shell: &mut NodeShell, robots: Arc<Robots>) -> anyhow::Result<Self> {
        let mut motion = Vec::new();
        let mut grippers = Vec::new();
        for robot in &robots.robots {
            motion.push(shell.publisher(&format!("/{}/skill_command", robot.name), qos::COMMAND)?);
            grippers.push(shell.publisher(&format!("/{}/skill_gripper_command", robot.name), qos::COMMAND)?);
        }
        let status = shell.publisher("/skill_runtime/status", qos::LATCHED)?;
        let emergency_stop = shell.publisher("/emergency_stop", qos::STOP_RELIABLE)?;
        Ok(Self {
            robots,
            motion,
            grippers,
            status,
            emergency_stop,
            clock: shell.clock(),
            started: wall_now(),
        })
    }

    /// Stops the cell through the safety monitor, which a person then has to reset.
    pub(super) fn press_emergency_stop(&self) {
        warn_if_failed(self.emergency_stop.publish(&Bool { data: true }));
    }

    pub(super) fn send(&self, turn: &Turn) {
        for command in &turn.commands {
            let robot = &self.robots.robots[command.robot];
            let joints = robot.arm.joints();
            let message = JointCommand {
                header: self.clock.header("world"),
                robot: robot.name.clone(),
                joint_names: joints.iter().map(|joint| joint.name.clone()).collect(),
                velocity: command.wish.velocity.iter().take(joints.len()).copied().collect(),
                skill: turn.skill.clone(),
                artifact: turn.artifact.clone(),
                role: command.role.to_string(),
                trace_id: turn.trace_id.clone(),
                epoch: command.epoch,
                sequence: command.sequence,
            };
            warn_if_failed(self.motion[command.robot].publish(&message));
            if let Some(target) = command.wish.gripper {
                let message = GripperCommand {
                    header: self.clock.header("world"),
                    robot: robot.name.clone(),
                    width: target.width_m,
                    force: target.force_n,
                    artifact: turn.artifact.clone(),
                    epoch: command.epoch,
                    sequence: command.sequence,
                };
                warn_if_failed(self.grippers[command.robot].publish(&message));
            }
        }
    }

    pub(super) fn status(&self, turn: &Turn, active: Option<&ActiveSkill>, last_good: &str) -> RuntimeStatus {
        RuntimeStatus {
            header: self.clock.header("world"),
            skill: active.map(|active| active.skill_id.clone()).unwrap_or_default(),
            version: active.map(|active| active.version.to_string()).unwrap_or_default(),
            artifact: active.map(|active| active.artifact.to_string()).unwrap_or_default(),
            last_good: last_good.to_owned(),
            trace_id: turn.trace_id.clone(),
            running: turn.running,
            roles: turn.roles.iter().map(messages::role_state).collect(),
            started: self.started.clone(),
        }
    }
}

pub(super) fn warn_if_failed(published: Result<(), r2r::Error>) {
    if let Err(error) = published {
        tracing::warn!("cannot publish: {error}");
    }
}
