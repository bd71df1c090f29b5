//! `ros2 run swarm_capture discover_cameras`: the ONVIF cameras on the network. No ROS node; see `swarm_onvif`.

use std::process::ExitCode;

fn main() -> ExitCode {
    swarm_onvif::discover_command::main()
}
