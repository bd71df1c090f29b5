//! ROS 2 shell of the skill runtime.
