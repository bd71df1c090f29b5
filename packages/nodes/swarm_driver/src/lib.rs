//! Between the safety gate and the ROS 2 driver of a real arm. The rules are `swarm_driver_core`'s; here they get topics,
//! services and threads.
//!
//! A robot has a shell where its `driver:` block in `cell.yaml` says what the arm's driver offers:
//!
//! | `kind` | the controller | hears |
//! |---|---|---|
//! | `forward_velocity` | `velocity_controllers/JointGroupVelocityController`, `forward_command_controller` | velocities on `<controller>/commands` |
//! | `joint_trajectory` | `joint_trajectory_controller`, UR's scaled one | trajectories on `<controller>/joint_trajectory`, cancellations on `<controller>/follow_joint_trajectory` |
//!
//! and beside it, where declared: UR's speed slider (`ur_msgs/SetSpeedSliderFraction`), services for stops
//! (`std_srvs/Trigger`), Franka's error recovery (`franka_msgs/ErrorRecovery`). The vendors' two types are looked for when the
//! node starts; it must have been built where their packages are installed.
//!
//! Prefer `joint_trajectory`: its every message ends standing, so that the arm stands even if this process is killed. A
//! forward-velocity controller keeps the last velocity for ever; nobody but a living shell can send it zeros. So a panic of any
//! thread ends the process, the launch starts it again, and zeros are the first that it says.
//!
//! Flow:
//! 1. the spin thread hands messages to the robot's [`Shell`](shell::Shell) as they arrive, and wakes its cycle where one
//!    takes the leave to move away;
//! 2. the [`cycle`] thread of each robot, every `period_us`, decides and tells the controller. A permit or a command that comes to
//!    its end in between wakes it, so that a stop waits for no turn;
//! 3. the [`acts`] thread of each robot carries out what the decision asks of the arm. It is a thread of its own so that a
//!    service that is dead or slow holds up no zeros.
//!
//! `/diagnostics` says per robot what it does and why, how the arm's means answer, and whether the arm obeys.

pub mod acts;
pub mod cycle;
pub mod listen;
pub mod report;
pub mod setup;
pub mod shell;
