//! What the node hears, into the [`World`](crate::world::World).

use std::sync::Arc;

use r2r::geometry_msgs::msg::WrenchStamped;
use r2r::sensor_msgs::msg::JointState;
use r2r::swarm_msgs::msg::{GripperState, PartPoses, SafetyStatus};
use swarm_base::Clock as _;
use swarm_ros::stamp::to_nanos;
use swarm_ros::{NodeShell, qos};
use swarm_safety_core::ingest::Stamp;
use swarm_skill_core::GripperSample;

use super::shared::Shared;
use crate::messages;
use crate::robots::Robots;

/// Subscribes to everything that a run looks at.
pub(super) fn listen(shell: &mut NodeShell, shared: &Arc<Shared>, robots: &Robots) -> anyhow::Result<()> {
    let heard = Arc::clone(shared);
    shell.subscribe::<JointState>("/joint_states", qos::SENSOR_BACKLOG, move |message| {
        heard.world().hear_joints(&message.name, &message.position, &message.velocity, heard.clock.now());
    })?;
    for (robot, known) in robots.robots.iter().enumerate() {
        let heard = Arc::clone(shared);
        shell.subscribe::<WrenchStamped>(
            &format!("/{}/wrench", known.name),
            qos::SENSOR,
            move |message| {
                heard.world().hear_wrench(robot, messages::wrench(&message.wrench), heard.clock.now());
            },
        )?;
        let heard = Arc::clone(shared);
        shell.subscribe::<GripperState>(
            &format!("/{}/gripper_state", known.name),
            qos::SENSOR,
            move |message| {
                let gripper = GripperSample {
                    width_m: message.width,
                    force_n: message.force,
                    holding: message.holding,
                    at: heard.clock.now(),
                };
                heard.world().hear_gripper(robot, gripper);
            },
        )?;
    }
    let heard = Arc::clone(shared);
    let stamps = shell.clock();
    shell.subscribe::<PartPoses>("/part_poses", qos::SENSOR, move |message| {
        let stamp = Stamp {
            sent_ns: to_nanos(&message.header.stamp),
            received_ns: to_nanos(&stamps.now()),
            arrival: heard.clock.now(),
        };
        for part in &message.parts {
            if let Some(pose) = messages::pose(&part.pose) {
                heard.world().hear_part(&part.part, pose, &stamp);
            }
        }
    })?;
    let heard = Arc::clone(shared);
    shell.subscribe::<SafetyStatus>("/safety_monitor", qos::SENSOR_BACKLOG, move |message| {
        let safety = messages::safety(&message);
        heard.count_stop(&safety.view.state, &safety.view.cause);
        heard.world().hear_safety(safety, heard.clock.now());
    })?;
    Ok(())
}
