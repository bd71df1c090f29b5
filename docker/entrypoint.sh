#!/bin/bash
# Runs the given command in the environment of ROS 2 and of our install tree, in the place of this shell (signals reach it).
set -e
source /opt/ros/jazzy/setup.bash
source /opt/swarm/local_setup.bash
exec "$@"
