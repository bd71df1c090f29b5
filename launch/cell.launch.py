"""Starts the cell that cell.yaml declares: the safety monitor, the skill runtime, and what else it lists.

    ros2 launch swarm_bringup cell.launch.py drivers:=/etc/swarm/drivers.launch.py

The robots' drivers are not ours: `drivers` names a launch file that starts them. A robot with a `driver:` block gets a shell
between the gate and its driver (swarm_driver); any other driver takes /<robot>/joint_command and obeys
/safety_monitor/permit itself. For a simulated cell use sim.launch.py, which includes this file.

What happens when a node dies: the arms stand at once, because they get no fresh permit or no fresh command. The safety
monitor is never restarted by a machine: its end ends the launch, and a person starts the cell again. Any other node comes
back after RESPAWN_DELAY_S, RESPAWNS times at most; motion needs a deliberate reset and a new run then. A driver's shell comes
back at once and as often as it ends, because the first that it says is "stand", and nobody else says it.
"""

import os
import shutil
import subprocess

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, LogInfo, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.launch_description_sources import AnyLaunchDescriptionSource
from launch_ros.actions import LifecycleNode, Node

SAFETY_MONITOR = 'swarm_safety_monitor'
DRIVER_SHELL = 'swarm_driver'
REGISTRY_BRIDGE = 'swarm_registry_bridge'
READERS_OF_ARTIFACTS = (SAFETY_MONITOR, 'swarm_skill_runtime')
RESPAWN_DELAY_S = 2.0
# A node that has ended this often has a reason that another start does not mend.
RESPAWNS = 10
# As `launch` says it (AoU-12).
ENDLESSLY = -1


def generate_launch_description():
    share = get_package_share_directory('swarm_bringup')
    return LaunchDescription([
        *find_each_other_soon(share),
        DeclareLaunchArgument(
            'cell_config', default_value=os.path.join(share, 'config', 'cell.yaml'),
            description="The cell's declaration; paths in it start at the folder that holds its config/"),
        DeclareLaunchArgument(
            'drivers', default_value='', description="Launch file that starts the robots' drivers; empty: none"),
        DeclareLaunchArgument(
            'simulation', default_value='false', choices=['true', 'false'],
            description='Also start the nodes that only a simulated cell has'),
        DeclareLaunchArgument(
            'autostart', default_value='true', choices=['true', 'false'],
            description='Managed nodes configure and activate themselves; false: "ros2 lifecycle set" does it'),
        DeclareLaunchArgument(
            'real_time', default_value='wanted', choices=['wanted', 'required'],
            description='Where this user may not use a declared real-time priority: say so and go on, or do not start'),
        DeclareLaunchArgument(
            'overrides', default_value='{}',
            description='Parameters in the place of the declared ones, as YAML: "{swarm_sim: {seed: 3}}"'),
        DeclareLaunchArgument('store', default_value='', description='Artifact store; empty: as declared'),
        DeclareLaunchArgument('trust_file', default_value='', description='File of trusted keys; empty: as declared'),
        DeclareLaunchArgument('log_level', default_value='info', description='Least level of the nodes\' log messages'),
        OpaqueFunction(function=start_cell),
    ])


def find_each_other_soon(share):
    """The middleware's profile, unless the user has one."""
    variable = 'FASTRTPS_DEFAULT_PROFILES_FILE'
    if os.environ.get(variable):
        return []
    return [SetEnvironmentVariable(variable, os.path.join(share, 'config', 'fastdds.xml'))]


def start_cell(context):
    argument = context.launch_configurations
    cell_config = os.path.abspath(argument['cell_config'])
    cell = read_yaml(cell_config)
    simulation = argument['simulation'] == 'true'
    overrides = yaml.safe_load(argument['overrides']) or {}
    declared = [node for node in cell['nodes'] if simulation or not node.get('simulation_only', False)]
    if not simulation:
        declared += [driver_shell(robot) for robot in cell['robots'] if 'driver' in robot]
    if 'registry' in cell:
        declared.append(registry_bridge(cell['registry']))
    unknown = sorted(set(overrides) - {node['name'] for node in declared})
    if unknown:
        raise RuntimeError(f"overrides: no node of this launch is named {', '.join(unknown)}")

    actions = []
    description = describe(cell_config) if simulation else None
    if description is not None:
        actions.append(description)
        overrides.setdefault('swarm_sim', {}).setdefault('publish_tf', False)
    for node in declared:
        if not may_run_in_real_time(node['schedule']):
            note = missing_real_time(node)
            if argument['real_time'] == 'required':
                raise RuntimeError(note)
            actions.append(LogInfo(msg=note))
        parameters = {'cell_config': cell_config, **node.get('parameters', {}), **places_of_artifacts(node, argument),
                      **overrides.get(node['name'], {})}
        if simulation and node['package'] == SAFETY_MONITOR:
            # A simulated arm hurts nobody: the gate may arm without real time, and says so in its status.
            parameters.setdefault('degraded', True)
        actions.append(start_node(node, parameters, argument))
    if argument['drivers']:
        actions.append(IncludeLaunchDescription(AnyLaunchDescriptionSource(os.path.abspath(argument['drivers']))))
    elif not simulation:
        actions.append(LogInfo(msg="No robot drivers are started here (drivers:=FILE does): the cell waits for /joint_states"))
    return actions


def start_node(node, parameters, argument):
    managed = node['lifecycle'] == 'managed'
    if managed:
        parameters['autostart'] = argument['autostart'] == 'true'
    guards, tells_an_arm = node['package'] == SAFETY_MONITOR, node['package'] == DRIVER_SHELL
    return (LifecycleNode if managed else Node)(
        package=node['package'],
        executable=node['executable'],
        name=node['name'],
        namespace=node.get('namespace', ''),
        parameters=[parameters],
        remappings=sorted(node.get('remappings', {}).items()),
        ros_arguments=['--log-level', argument['log_level']],
        prefix=on_core(node['schedule']['cpu']),
        output='screen',
        respawn=not guards,
        respawn_delay=0.0 if tells_an_arm else RESPAWN_DELAY_S,
        respawn_max_retries=ENDLESSLY if tells_an_arm else RESPAWNS,
        on_exit=end_launch if guards else None,
    )


def driver_shell(robot):
    """The node between the gate and the driver of a robot that declares one: a process for each robot."""
    priority = robot['driver'].get('priority', 0)
    return {'name': f"{robot['name']}_driver", 'package': DRIVER_SHELL, 'executable': 'swarm_driver', 'lifecycle': 'managed',
            'schedule': {'policy': 'fifo' if priority else 'other', 'priority': priority, 'cpu': 'any'},
            'parameters': {'robot': robot['name']}}


def registry_bridge(registry):
    """The node that keeps the cell in step with a central registry, where the cell declares one; it reads the rest itself."""
    return {'name': 'registry_bridge', 'package': REGISTRY_BRIDGE, 'executable': 'swarm_registry_bridge', 'lifecycle': 'managed',
            'schedule': {'policy': 'other', 'priority': 0, 'cpu': 'any'}, 'parameters': dict(registry.get('parameters', {}))}


def places_of_artifacts(node, argument):
    """Store and trust file, where the operator names others than the declaration's."""
    named = {'trust_file': argument['trust_file']}
    if node['package'] in READERS_OF_ARTIFACTS:
        named['artifact_store'] = argument['store']
    elif node['package'] != REGISTRY_BRIDGE:
        return {}
    return {name: os.path.abspath(path) for name, path in named.items() if path}


def end_launch(event, context):
    if context.is_shutdown:
        return []
    reason = 'the safety monitor has ended: the arms have no permit and stand; this launch ends'
    return [LogInfo(msg=reason), Shutdown(reason=reason)]


def on_core(cpu):
    """The command that keeps a process on its declared core."""
    return None if cpu == 'any' else f'taskset --cpu-list {cpu}'


def may_run_in_real_time(schedule):
    """Whether this user may use the declared priority. A node asks for it itself, for the one thread that needs it."""
    if schedule['policy'] != 'fifo':
        return True
    trial = ['chrt', '--fifo', str(schedule['priority']), 'true']
    if shutil.which(trial[0]) is None:
        return True  # no way to try it here; the node finds out, and its status says so
    return subprocess.run(trial, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def missing_real_time(node):
    return (f"{node['name']}: this user may not use SCHED_FIFO priority {node['schedule']['priority']}, so the node's "
            'reaction times have no bound. Grant rtprio in /etc/security/limits.d, or to the container')


def describe(cell_config):
    """robot_state_publisher with the whole cell's description, where both it and the simulator's describe_cell are installed."""
    try:
        get_package_prefix('robot_state_publisher')
        describe_cell = os.path.join(get_package_prefix('swarm_sim'), 'lib', 'swarm_sim', 'describe_cell')
    except PackageNotFoundError:
        return None
    if not os.path.exists(describe_cell):
        return None
    text = subprocess.run([describe_cell, cell_config], check=True, capture_output=True, text=True).stdout
    return Node(package='robot_state_publisher', executable='robot_state_publisher', output='screen',
                parameters=[{'robot_description': text}])


def read_yaml(path):
    try:
        with open(path, encoding='utf-8') as file:
            return yaml.safe_load(file)
    except (OSError, yaml.YAMLError) as error:
        raise RuntimeError(f"cannot read the cell's declaration {path}: {error}; 'cell config check' lists its mistakes")
