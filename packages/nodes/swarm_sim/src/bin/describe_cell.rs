//! `describe_cell CELL_YAML`: prints the whole cell as one URDF, for robot_state_publisher. The simulator publishes the same
//! on /robot_description.

use std::path::Path;
use std::process::ExitCode;

use swarm_base::ErrorChain;
use swarm_mujoco::urdf;
use swarm_ros::CellFile;
use swarm_sim::topics::MESH_PREFIX;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: describe_cell CELL_YAML");
        return ExitCode::FAILURE;
    };
    match describe(Path::new(&path)) {
        Ok(description) => {
            print!("{description}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("describe_cell: {}", ErrorChain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn describe(path: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let cell = CellFile::read(path)?;
    Ok(urdf::to_urdf(&urdf::compose(&cell.config, &cell.path(""))?.tree, MESH_PREFIX))
}
