"""Starts the cell that cell.yaml declares: the safety monitor, the skill runtime, and what else it lists.

    ros2 launch swarm_bringup cell.launch.py cell_config:=/etc/swarm/config/cell.yaml drivers:=/etc/swarm/drivers.launch.py

The robots' drivers are not ours: `drivers` names a launch file that starts them. A robot with a `driver:` block gets a shell
between the gate and its driver (swarm_driver); any other driver takes /<robot>/joint_command and obeys
/safety_monitor/permit itself. For a simulated cell use sim.launch.py, which includes this file.

What happens when a node dies: the arms stand at once, because they get no fresh permit or no fresh command. The safety
monitor is never restarted by a machine: its end ends the launch, and a person starts the cell again. Any other node comes
back after RESPAWN_DELAY_S, RESPAWNS times at most while the launch lasts; motion needs a deliberate reset and a new run then.
A driver's shell comes back at once and as often as it ends, because the first that it says is "stand".
"""

import atexit
import os
import re
import shutil
import subprocess
import tempfile

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, LogInfo, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.launch_description_sources import AnyLaunchDescriptionSource
from launch_ros.actions import LifecycleNode, Node

SAFETY_MONITOR = 'swarm_safety_monitor'
SIMULATOR = 'swarm_sim'
DRIVER_SHELL = 'swarm_driver'
REGISTRY_BRIDGE = 'swarm_registry_bridge'
READERS_OF_ARTIFACTS = (SAFETY_MONITOR, 'swarm_skill_runtime')
RESPAWN_DELAY_S = 2.0
# A node that has ended this often has a reason that another start does not mend. launch counts over its whole life.
RESPAWNS = 10
# A velocity controller goes on with the last velocity until the shell is back: no pause, and no last time.
SHELL_RESPAWN_DELAY_S = 0.0
SHELL_RESPAWNS = -1
# Says 1 on a kernel with PREEMPT_RT. On another one threads are now and then held up for tens of milliseconds, and a simulated cell
# that stopped each time would show nothing of the skill: there its time-outs are longer. Those of a real cell never are.
REAL_TIME_KERNEL = '/sys/kernel/realtime'
WITHOUT_REAL_TIME_MS = 200
# A simulator that falls behind lets its clock go on and its arms not; four of its cycles explain no contradiction.
SIMULATED_GAP_US = 7_000
INPUT_TIMEOUTS = re.compile(r'^(\s*(?:joint_state_s|wrench_s|command_s): *)([0-9.]+)', re.MULTILINE)


def generate_launch_description():
    share = get_package_share_directory('swarm_bringup')
    return LaunchDescription([
        *find_each_other_soon(share),
        DeclareLaunchArgument(
            'cell_config', default_value='',
            description="The cell's declaration; paths in it start at the folder that holds its config/. A real cell has to name its own; "
                        "a simulated one that names none is the demo's"),
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
    simulation = argument['simulation'] == 'true'
    cell_config = declaration_of(argument['cell_config'], simulation)
    cell = read_yaml(cell_config)
    overrides = read_core_yaml(argument['overrides']) or {}
    declared = [node for node in cell['nodes'] if simulation or not node.get('simulation_only', False)]
    if not simulation:
        declared += [driver_shell(robot) for robot in cell['robots'] if 'driver' in robot]
    if 'registry' in cell:
        declared.append(registry_bridge(cell['registry']))
    unknown = sorted(set(overrides) - {node['name'] for node in declared})
    if unknown:
        raise RuntimeError(f"overrides: no node of this launch is named {', '.join(unknown)}")

    actions = []
    timeout_ms = None
    if simulation and not has_real_time_kernel():
        timeout_ms = WITHOUT_REAL_TIME_MS
        cell_config = with_longer_timeouts(cell_config, cell, timeout_ms)
        actions.append(LogInfo(msg=f'No real-time kernel here: the time-outs of this simulated cell are {timeout_ms} ms; a real cell keeps '
                                   f'those that it declares. The declaration as it is run: {cell_config}'))
    description = describe(cell_config) if simulation else None
    if description is not None:
        actions.append(description)
    for node in declared:
        # A simulated arm that is late hurts nobody, and says so itself.
        if not node.get('simulation_only') and not may_run_in_real_time(node['schedule']):
            note = missing_real_time(node)
            if argument['real_time'] == 'required':
                raise RuntimeError(note)
            actions.append(LogInfo(msg=note))
        parameters = {'cell_config': cell_config, **node.get('parameters', {}), **places_of_artifacts(node, argument),
                      **of_simulation(node, simulation, timeout_ms)}
        if node['package'] == SIMULATOR and description is not None:
            parameters['publish_tf'] = False
        parameters.update(overrides.get(node['name'], {}))
        actions.append(start_node(node, parameters, argument))
    if argument['drivers']:
        actions.append(IncludeLaunchDescription(AnyLaunchDescriptionSource(os.path.abspath(argument['drivers']))))
    elif not simulation:
        actions.append(LogInfo(msg="No robot drivers are started here (drivers:=FILE does): the cell waits for /joint_states"))
    return actions


def declaration_of(given, simulation):
    """The path of the cell's declaration. The shipped one has the demo's limits: no real cell takes it without being told."""
    if given:
        return os.path.abspath(given)
    if simulation:
        return os.path.join(get_package_share_directory('swarm_bringup'), 'config', 'cell.yaml')
    raise RuntimeError('cell_config is missing: a real cell has to name its own declaration, with its own limits, as in '
                       'cell_config:=/etc/swarm/config/cell.yaml; the shipped one is for simulated cells (sim.launch.py)')


def of_simulation(node, simulation, timeout_ms):
    """What a simulated cell is told beside its declaration; `timeout_ms` where this machine needs longer time-outs. `cargo xtask
    demo` tells its nodes the same (packages/tools/xtask/src/demo/programs.rs)."""
    if not simulation:
        return {}
    longer = {} if timeout_ms is None else {
        SIMULATOR: {'permit_timeout_us': timeout_ms * 1000, 'command_timeout_us': timeout_ms * 1000},
        SAFETY_MONITOR: {'max_cycle_gap_us': timeout_ms * 1000, 'max_joint_state_gap_us': SIMULATED_GAP_US},
    }.get(node['package'], {})
    # A simulated arm hurts nobody: the gate may arm without real time, and says so in its status.
    return {**longer, 'degraded': True} if node['package'] == SAFETY_MONITOR else longer


def has_real_time_kernel():
    try:
        with open(REAL_TIME_KERNEL, encoding='ascii') as file:
            return file.read().strip() == '1'
    except OSError:
        return False


def with_longer_timeouts(cell_config, cell, timeout_ms):
    """A copy of the declaration, kept while the launch lasts, in whose ceiling no input times out sooner; every other limit stays."""
    root = os.path.dirname(os.path.dirname(cell_config))
    ceiling = cell['safety']['file']
    copy = tempfile.mkdtemp(prefix='swarm_sim_')
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    copied = {os.path.relpath(cell_config, root).split(os.sep)[0], ceiling.split('/')[0]}
    for entry in os.scandir(root):
        place = os.path.join(copy, entry.name)
        if entry.name not in copied:
            os.symlink(entry.path, place)
        elif entry.is_dir():
            shutil.copytree(entry.path, place)
        else:
            shutil.copy(entry.path, place)
    place = os.path.join(copy, ceiling)
    try:
        with open(place, encoding='utf-8') as file:
            text = file.read()
    except OSError as error:
        raise RuntimeError(f"cannot read the cell's ceiling {os.path.join(root, ceiling)}: {error}") from error
    longer = INPUT_TIMEOUTS.sub(lambda found: found[1] + str(max(float(found[2]), timeout_ms * 1e-3)), text)
    os.chmod(place, 0o600)
    with open(place, 'w', encoding='utf-8') as file:
        file.write(longer)
    return os.path.join(copy, os.path.relpath(cell_config, root))


def start_node(node, parameters, argument):
    managed = node['lifecycle'] == 'managed'
    if managed:
        parameters['autostart'] = argument['autostart'] == 'true'
    guards = node['package'] == SAFETY_MONITOR
    shell = node['package'] == DRIVER_SHELL
    return (LifecycleNode if managed else Node)(
        package=node['package'],
        executable=node['executable'],
        name=node['name'],
        namespace=node.get('namespace', ''),
        # launch_ros finds no type for an empty list and refuses it; a node's own default is what it gets instead.
        parameters=[{name: value for name, value in parameters.items() if value != []}],
        remappings=sorted(node.get('remappings', {}).items()),
        ros_arguments=['--log-level', argument['log_level']],
        prefix=on_core(node['schedule']['cpu']),
        output='screen',
        respawn=not guards,
        respawn_delay=SHELL_RESPAWN_DELAY_S if shell else RESPAWN_DELAY_S,
        respawn_max_retries=SHELL_RESPAWNS if shell else RESPAWNS,
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


class CoreLoader(yaml.SafeLoader):
    """Reads the core schema of YAML 1.2, as the nodes and `cell config check` do. PyYAML's own is that of 1.1, in which off is false,
    014 is 12 and 10:00 is 600."""

    yaml_implicit_resolvers = {}


def core_integer(loader, node):
    text = loader.construct_scalar(node)
    return int(text, 0) if text[:2] in ('0o', '0x') else int(text)


for tag, pattern, begin in [
    ('null', r'~|null|Null|NULL|', ['~', 'n', 'N', '']),
    ('bool', r'true|True|TRUE|false|False|FALSE', list('tTfF')),
    ('int', r'[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+', list('-+0123456789')),
    ('float', r'[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)', list('-+.0123456789')),
]:
    CoreLoader.add_implicit_resolver(f'tag:yaml.org,2002:{tag}', re.compile(f'^(?:{pattern})$'), begin)
CoreLoader.add_constructor('tag:yaml.org,2002:int', core_integer)


def read_core_yaml(text):
    return yaml.load(text, Loader=CoreLoader)


def read_yaml(path):
    try:
        with open(path, encoding='utf-8') as file:
            return read_core_yaml(file)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RuntimeError(f"cannot read the cell's declaration {path}: {error}; 'cell config check' lists its mistakes") from error
