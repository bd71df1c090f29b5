"""Starts a simulated cell: the physics in the place of the robots and their drivers, everything else as in cell.launch.py.

    ros2 launch swarm_bringup sim.launch.py overrides:="{swarm_sim: {seed: 3}}"

Without cell_config:=FILE it is the demo's cell. Where the kernel is no real-time kernel the time-outs are longer than declared, and
the safety monitor's status says that it is degraded: an ordinary kernel does not keep 20 ms.
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource


def generate_launch_description():
    cell = os.path.join(get_package_share_directory('swarm_bringup'), 'launch', 'cell.launch.py')
    # Arguments of cell.launch.py other than these two are passed on as they are given.
    return LaunchDescription([
        DeclareLaunchArgument('simulation', default_value='true', choices=['true'], description='Always'),
        DeclareLaunchArgument('drivers', default_value='', choices=[''], description='The simulator stands in for them'),
        IncludeLaunchDescription(PythonLaunchDescriptionSource(cell)),
    ])
