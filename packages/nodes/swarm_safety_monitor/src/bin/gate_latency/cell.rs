//! Plays the cell for the gate: arms that stand at home, with grippers that weigh what the declaration says.

use r2r::geometry_msgs::msg::{Vector3, Wrench, WrenchStamped};
use r2r::sensor_msgs::msg::JointState;
use r2r::{Node, Publisher};
use swarm_cell::RobotConfig;
use swarm_kinematics::{ArmModel, JointVector};
use swarm_ros::stamp::wall_now;
use swarm_ros::{CellFile, qos};

#[derive(Debug)]
pub(crate) struct StandingCell {
    joint_states: Publisher<JointState>,
    wrenches: Vec<(Publisher<WrenchStamped>, WrenchStamped)>,
    state: JointState,
}

impl StandingCell {
    pub(crate) fn create(node: &mut Node, cell: &CellFile, arms: &[ArmModel]) -> anyhow::Result<Self> {
        let mut state = JointState::default();
        let mut wrenches = Vec::new();
        for (robot, arm) in cell.config.robots.iter().zip(arms) {
            state.name.extend(arm.joints().iter().map(|joint| joint.name.clone()));
            state.position.extend(&robot.home_rad);
            state.velocity.extend(vec![0.0; arm.dof()]);
            let mut message = WrenchStamped::default();
            message.header.frame_id = robot.flange_frame();
            message.wrench = weight(robot, arm);
            wrenches.push((node.create_publisher(&format!("/{}/wrench", robot.name), qos::SENSOR)?, message));
        }
        state.effort = vec![0.0; state.name.len()];
        Ok(Self { joint_states: node.create_publisher("/joint_states", qos::SENSOR)?, wrenches, state })
    }

    /// One sample of every sensor.
    pub(crate) fn publish(&mut self) -> r2r::Result<()> {
        self.state.header.stamp = wall_now();
        self.joint_states.publish(&self.state)?;
        for (publisher, message) in &mut self.wrenches {
            message.header.stamp = wall_now();
            publisher.publish(message)?;
        }
        Ok(())
    }
}

fn weight(robot: &RobotConfig, arm: &ArmModel) -> Wrench {
    let q = arm.joint_vector(&robot.home_rad).unwrap_or_else(JointVector::zeros);
    let weight = robot.load().weight(&arm.flange(&arm.forward(&q)));
    let vector = |at: usize| Vector3 { x: weight[at], y: weight[at + 1], z: weight[at + 2] };
    Wrench { force: vector(0), torque: vector(3) }
}
