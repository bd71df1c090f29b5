//! The reference that the memory of the cell's nodes is measured against: a bare `r2r` node that hears what the skill runtime
//! hears, and does nothing with it. Its arguments are the names of the robots.

use std::time::Duration;

use futures::executor::LocalPool;
use futures::task::LocalSpawnExt as _;
use futures::{Stream, StreamExt as _};
use r2r::geometry_msgs::msg::WrenchStamped;
use r2r::sensor_msgs::msg::JointState;
use r2r::swarm_msgs::msg::{GripperState, PartPoses, SafetyStatus};
use swarm_ros::qos;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    swarm_ros::leave_shared_memory();
    let mut node = r2r::Node::create(r2r::Context::create()?, "listener_node", "")?;
    let mut pool = LocalPool::new();
    ignore(&pool, node.subscribe::<JointState>("/joint_states", qos::SENSOR_BACKLOG)?)?;
    for robot in std::env::args().skip(1) {
        ignore(&pool, node.subscribe::<WrenchStamped>(&format!("/{robot}/wrench"), qos::SENSOR)?)?;
        ignore(&pool, node.subscribe::<GripperState>(&format!("/{robot}/gripper_state"), qos::SENSOR)?)?;
    }
    ignore(&pool, node.subscribe::<PartPoses>("/part_poses", qos::SENSOR)?)?;
    ignore(&pool, node.subscribe::<SafetyStatus>("/safety_monitor", qos::SENSOR_BACKLOG)?)?;
    loop {
        node.spin_once(Duration::from_millis(10));
        pool.run_until_stalled();
    }
}

/// Takes messages off as they come.
fn ignore<T: 'static>(
    pool: &LocalPool,
    messages: impl Stream<Item = T> + 'static,
) -> Result<(), futures::task::SpawnError> {
    pool.spawner().spawn_local(messages.for_each(|_| futures::future::ready(())))
}
