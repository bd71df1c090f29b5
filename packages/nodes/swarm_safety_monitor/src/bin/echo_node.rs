//! The reference that the gate's time is measured against: a bare `r2r` node that turns each command on `/echo/skill_command`
//! into the message that the gate would send, on `/echo/joint_command`, with nothing in between.

use std::time::Duration;

use futures::StreamExt as _;
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt as _;
use r2r::QosProfile;
use r2r::std_msgs::msg::Float64MultiArray;
use r2r::swarm_msgs::msg::JointCommand;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    swarm_ros::leave_shared_memory();
    let mut node = r2r::Node::create(r2r::Context::create()?, "echo_node", "")?;
    // The profiles of the gate.
    let (heard, said) =
        (QosProfile::default().best_effort().keep_last(1), QosProfile::default().reliable().keep_last(1));
    let commands = node.subscribe::<JointCommand>("/echo/skill_command", heard)?;
    let echoes = node.create_publisher::<Float64MultiArray>("/echo/joint_command", said)?;
    let mut pool = LocalPool::new();
    pool.spawner().spawn_local(commands.for_each(move |command| {
        if let Err(error) =
            echoes.publish(&Float64MultiArray { data: command.velocity, ..Float64MultiArray::default() })
        {
            eprintln!("echo_node: cannot publish: {error}");
        }
        futures::future::ready(())
    }))?;
    loop {
        node.spin_once(Duration::from_millis(10));
        pool.run_until_stalled();
    }
}
