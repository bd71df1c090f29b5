//! ROS 2 shell of the safety gate.
