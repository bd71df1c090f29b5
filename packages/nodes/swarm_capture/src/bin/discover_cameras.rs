//! `ros2 run swarm_capture discover_cameras`: the ONVIF cameras on the network. No ROS node; see `swarm_onvif`.

use std::process::ExitCode;

use clap::Parser as _;
use swarm_onvif::discover_command::{Arguments, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(&Arguments::parse(), &mut std::io::stdout(), &mut std::io::stderr()).await
}
