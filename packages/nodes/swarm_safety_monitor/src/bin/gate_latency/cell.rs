//! Plays the cell for the gate: arms that stand at home, with grippers that weigh what the declaration says.

use r2r::geometry_msgs::msg::{Vector3, WrenchStamped};
use r2r::sensor_msgs::msg::JointState;
use r2r::{Node, Publisher};
use swarm_kinematics::{ArmModel, JointVector};
use swarm_ros::stamp::wall_now;
use swarm_ros::{CellFile, qos};

const GRAVITY_M_S2: f64 = 9.81;

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
            let mass_kg = robot.gripper.mass_kg + robot.payload.mass_kg;
            message.wrench.force = weight_in_flange(arm, &robot.home_rad, mass_kg);
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

fn weight_in_flange(arm: &ArmModel, home_rad: &[f64], mass_kg: f64) -> Vector3 {
    let q = arm.joint_vector(home_rad).unwrap_or_else(JointVector::zeros);
    let flange_in_world = arm.flange(&arm.forward(&q));
    let down = flange_in_world.rotation.inverse() * nalgebra::Vector3::new(0.0, 0.0, -mass_kg * GRAVITY_M_S2);
    Vector3 { x: down.x, y: down.y, z: down.z }
}
