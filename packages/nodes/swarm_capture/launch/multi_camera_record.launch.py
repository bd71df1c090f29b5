"""Records a cell's cameras, its arms and its safety monitor into one rosbag2 bag.

    ros2 launch swarm_capture multi_camera_record.launch.py \\
        camera_ips:="['192.168.1.101', '192.168.1.102']" output_bag:=/data/demo_001.db3

Recording begins as soon as the node is up and ends with Ctrl-C; whatever ends it, the bag is readable. A path that ends in
.db3 or .mcap becomes that one file, any other rosbag2's directory. `ros2 run swarm_capture discover_cameras` tells the
addresses. Name and password of the cameras: credentials:=FILE, or SWARM_CAMERA_USER and SWARM_CAMERA_PASSWORD.
"""

import os

import yaml
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch_ros.actions import LifecycleNode
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory


def generate_launch_description():
    return LaunchDescription([
        *find_each_other_soon(),
        DeclareLaunchArgument(
            'camera_ips', description="Addresses of the cameras, as a list: \"['192.168.1.101', '192.168.1.102']\""),
        DeclareLaunchArgument('output_bag', description='The bag to be written; it must not be there yet'),
        DeclareLaunchArgument(
            'camera_names', default_value='[]', description='Name of each camera, as a list; empty: cam1, cam2, ...'),
        DeclareLaunchArgument(
            'camera_info_urls', default_value='[]',
            description='Calibration of each lens, as a list: file:///..., package://...; or one with ${NAME}; empty: not calibrated'),
        DeclareLaunchArgument(
            'topics', default_value='', description='Topics to record beside the cameras, as a list; empty: those of the cell'),
        DeclareLaunchArgument(
            'cell_config', default_value='', description="The cell's declaration, for the topics of its robots; empty: none"),
        DeclareLaunchArgument('credentials', default_value='', description='File with names and passwords of the cameras'),
        DeclareLaunchArgument(
            'overrides', default_value='{}', description='Further parameters of the node, as YAML: "{snapshot.seconds: 60.0}"'),
        DeclareLaunchArgument('log_level', default_value='info', description='Least level of the log messages'),
        OpaqueFunction(function=start_capture),
    ])


def find_each_other_soon():
    """The middleware's profile, unless the user has one."""
    variable = 'FASTRTPS_DEFAULT_PROFILES_FILE'
    if os.environ.get(variable):
        return []
    try:
        share = get_package_share_directory('swarm_bringup')
    except PackageNotFoundError:
        return []
    return [SetEnvironmentVariable(variable, os.path.join(share, 'config', 'fastdds.xml'))]


def start_capture(context):
    argument = context.launch_configurations
    parameters = {
        'camera_ips': strings('camera_ips', argument),
        'output_bag': os.path.abspath(argument['output_bag']),
    }
    for name in ('camera_names', 'camera_info_urls', 'topics'):
        given = strings(name, argument)
        if given:
            parameters[name] = given
    for name, given in [('cell_config', argument['cell_config']), ('credentials_file', argument['credentials'])]:
        if given:
            parameters[name] = os.path.abspath(given)
    further = yaml.safe_load(argument['overrides']) or {}
    if not isinstance(further, dict):
        raise RuntimeError(f"overrides:={argument['overrides']}: expected names and values, as in \"{{snapshot.seconds: 60.0}}\"")
    parameters.update(further)
    return [LifecycleNode(
        package='swarm_capture',
        executable='swarm_capture',
        name='capture',
        namespace='',
        parameters=[parameters],
        ros_arguments=['--log-level', argument['log_level']],
        output='screen',
        emulate_tty=True,
        on_exit=Shutdown(reason='the recording has ended'),
    )]


def strings(name, argument):
    """A launch argument that is a list of strings."""
    text = argument[name]
    try:
        values = yaml.safe_load(text) if text else []
    except yaml.YAMLError as error:
        raise RuntimeError(f"{name}:={text}: not readable as a list: {error}") from error
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise RuntimeError(f"{name}:={text}: expected a list of strings, as in \"['192.168.1.101', '192.168.1.102']\"")
    return values
