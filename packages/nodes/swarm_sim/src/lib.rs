//! ROS 2 shell of the simulated cell.
