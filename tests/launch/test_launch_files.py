"""The launch files, executed against stand-ins for `launch`: what they start is what cell.yaml declares, and everything
that they name exists in the install tree (SWARM_INSTALL_DIR, as `cargo xtask install` or colcon lay it)."""

import json
import os
import pathlib
import shutil
import subprocess
from xml.etree import ElementTree

import doubles
import pytest
import yaml

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CELL = yaml.safe_load((REPOSITORY / "config/cell.yaml").read_text())
NODES = {node["name"]: node for node in CELL["nodes"]}
# A real cell has to name its declaration; these tests give it the shipped one as its own.
OWN = str(REPOSITORY / "config/cell.yaml")


@pytest.fixture(scope="module")
def install():
    folder = os.environ.get("SWARM_INSTALL_DIR")
    assert folder, 'SWARM_INSTALL_DIR names no install tree: run "cargo xtask install" and set it'
    return pathlib.Path(folder).resolve()


@pytest.fixture
def source(tmp_path):
    """An install tree with swarm_bringup alone, laid from the sources: enough to execute the files."""
    share = tmp_path / "share/swarm_bringup"
    (share / "launch").mkdir(parents=True)
    for file in (REPOSITORY / "launch").glob("*.launch.py"):
        shutil.copy(file, share / "launch")
    (share / "config").symlink_to(REPOSITORY / "config")
    (share / "urdf").symlink_to(REPOSITORY / "urdf")
    mark(tmp_path, "swarm_bringup")
    return tmp_path


def mark(install, package):
    index = install / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True, exist_ok=True)
    (index / package).touch()


@pytest.fixture(autouse=True)
def real_time_kernel(tmp_path, monkeypatch):
    """Every test has a computer with a real-time kernel, unless it takes that away."""
    file = tmp_path / "realtime"
    file.write_text("1\n")
    monkeypatch.setattr(doubles, "GLOBALS", {"REAL_TIME_KERNEL": str(file)})
    return file


def run(install, name, **arguments):
    if name == "cell.launch.py":
        arguments.setdefault("cell_config", OWN)
    return doubles.execute(install / "share/swarm_bringup/launch" / name, install, **arguments)


def nodes_of(actions):
    return {action.name: action for action in actions if action.kind in ("Node", "LifecycleNode") and "name" in action.named}


def kinds(actions, kind):
    return [action for action in actions if action.kind == kind]


def test_the_real_cell_has_every_declared_node_but_the_simulators(source):
    nodes = nodes_of(run(source, "cell.launch.py"))
    assert set(nodes) == {name for name, node in NODES.items() if not node.get("simulation_only", False)}


def test_the_simulated_cell_has_every_declared_node(source):
    assert set(nodes_of(run(source, "sim.launch.py"))) == set(NODES)


def test_a_node_is_started_as_declared(source):
    nodes = nodes_of(run(source, "sim.launch.py"))
    for name, declared in NODES.items():
        node = nodes[name]
        assert node.kind == ("LifecycleNode" if declared["lifecycle"] == "managed" else "Node")
        assert (node.package, node.executable) == (declared["package"], declared["executable"])
        assert node.namespace == declared.get("namespace", "")
        [parameters] = node.parameters
        assert declared["parameters"].items() <= parameters.items()
        assert parameters.get("degraded", False) is (name == "safety_monitor"), "a simulated cell's gate, and nothing else"
        assert parameters["autostart"] is True
        assert pathlib.Path(parameters["cell_config"]).samefile(REPOSITORY / "config/cell.yaml")
        assert node.prefix is None


def test_only_the_safety_monitor_is_not_restarted_and_its_end_ends_the_launch(source):
    for name, node in nodes_of(run(source, "sim.launch.py")).items():
        if name == "safety_monitor":
            assert node.respawn is False
            ending = doubles.Context({})
            assert [action.kind for action in node.on_exit(None, ending)] == ["LogInfo", "Shutdown"]
            ending.is_shutdown = True
            assert node.on_exit(None, ending) == []
        else:
            assert node.respawn is True and node.on_exit is None


@pytest.mark.parametrize("kernel", ["real-time kernel", "ordinary kernel"])
def test_a_simulated_cell_is_started_as_listed(source, real_time_kernel, tmp_path, kernel):
    """`cargo xtask demo` starts the same: packages/tools/xtask/src/demo/programs.rs is held against the same list."""
    own = tmp_path / "own"
    shutil.copytree(REPOSITORY / "config", own / "config")
    registry = 'registry: {url: "https://localhost:1", site_id: a, image_root: i, director_root: d, parameters: {utc_offset: "+01:00"}}\n'
    (own / "config/cell.yaml").write_text((own / "config/cell.yaml").read_text() + registry)
    real_time_kernel.write_text("1\n" if kernel == "real-time kernel" else "0\n")
    started = {}
    for name, node in nodes_of(run(source, "sim.launch.py", cell_config=str(own / "config/cell.yaml"))).items():
        [parameters] = node.parameters
        names = [f"__node:={name}"] + ([f"__ns:={node.namespace}"] if node.namespace else [])
        names += [f"{origin}:={target}" for origin, target in node.remappings]
        started[name] = {"executable": node.executable, "names": names, "parameters": {**parameters, "cell_config": "THE DECLARATION"}}
    assert started == json.loads((REPOSITORY / "tests/launch/simulated_cell.json").read_text())[kernel]


def test_an_override_takes_the_place_of_a_declared_parameter(source):
    nodes = nodes_of(run(source, "sim.launch.py", overrides="{swarm_sim: {seed: 3}}"))
    assert nodes["swarm_sim"].parameters[0]["seed"] == 3
    assert nodes["swarm_sim"].parameters[0]["realtime_factor"] == NODES["swarm_sim"]["parameters"]["realtime_factor"]


def test_an_override_of_no_node_is_refused(source):
    with pytest.raises(RuntimeError, match="overrides: no node of this launch is named swarm_simm"):
        run(source, "sim.launch.py", overrides="{swarm_simm: {seed: 3}}")


def test_another_store_and_trust_file_reach_who_reads_artifacts_and_nobody_else(source):
    nodes = nodes_of(run(source, "sim.launch.py", store="/srv/store", trust_file="/srv/trust.yaml"))
    for path in ("/srv/store", "/srv/trust.yaml"):
        told = {name for name, node in nodes.items() if path in node.parameters[0].values()}
        assert told == {"safety_monitor", "skill_runtime"}


def test_a_remapping_is_handed_on(source, tmp_path):
    cell = yaml.safe_load((REPOSITORY / "config/cell.yaml").read_text())
    cell["nodes"][1]["remappings"] = {"/panda/joint_command": "/panda/velocity_controller/commands"}
    (tmp_path / "cell.yaml").write_text(yaml.safe_dump(cell))
    nodes = nodes_of(run(source, "cell.launch.py", cell_config=str(tmp_path / "cell.yaml")))
    assert nodes["safety_monitor"].remappings == [("/panda/joint_command", "/panda/velocity_controller/commands")]


def test_a_node_is_kept_on_its_declared_core(source, tmp_path):
    cell = yaml.safe_load((REPOSITORY / "config/cell.yaml").read_text())
    cell["nodes"][1]["schedule"]["cpu"] = 1
    (tmp_path / "cell.yaml").write_text(yaml.safe_dump(cell))
    nodes = nodes_of(run(source, "cell.launch.py", cell_config=str(tmp_path / "cell.yaml")))
    assert nodes["safety_monitor"].prefix == "taskset --cpu-list 1"
    assert nodes["skill_runtime"].prefix is None


def test_a_priority_that_is_permitted_is_not_spoken_of(source, tmp_path, monkeypatch):
    tools(tmp_path, monkeypatch, chrt='shift 2; exec "$@"')
    actions = run(source, "cell.launch.py", real_time="required")
    assert not [action.msg for action in kinds(actions, "LogInfo") if "SCHED_FIFO" in action.msg]


def test_a_priority_that_is_not_permitted_is_told_and_the_cell_starts(source, tmp_path, monkeypatch):
    tools(tmp_path, monkeypatch, chrt="exit 1")
    actions = run(source, "cell.launch.py")
    notes = [action.msg for action in kinds(actions, "LogInfo") if "SCHED_FIFO" in action.msg]
    # Of the simulated cell nobody asks that it is in time.
    for note, name in zip(notes, ["safety_monitor", "skill_runtime"], strict=True):
        priority = NODES[name]["schedule"]["priority"]
        assert note.startswith(f"{name}: this user may not use SCHED_FIFO priority {priority}")
    assert "safety_monitor" in nodes_of(actions)


def test_a_priority_that_is_required_and_not_permitted_starts_nothing(source, tmp_path, monkeypatch):
    tools(tmp_path, monkeypatch, chrt="exit 1")
    with pytest.raises(RuntimeError, match="safety_monitor: this user may not use SCHED_FIFO"):
        run(source, "cell.launch.py", real_time="required")


def tools(folder, monkeypatch, **scripts):
    """Puts shell scripts of these names first on the PATH."""
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_the_drivers_are_included_where_they_are_named(source, tmp_path):
    drivers = tmp_path / "drivers.launch.py"
    drivers.write_text("def generate_launch_description():\n    return []\n")
    included = kinds(run(source, "cell.launch.py", drivers=str(drivers)), "IncludeLaunchDescription")
    assert [action.values[0] for action in included] == [str(drivers)]


@pytest.mark.parametrize("name", ["cell.launch.py", "sim.launch.py"])
def test_the_middlewares_profile_is_named_and_installed_unless_the_user_has_one(source, install, monkeypatch, name):
    variable = "FASTRTPS_DEFAULT_PROFILES_FILE"
    monkeypatch.delenv(variable, raising=False)
    for tree in (source, install):
        [action] = kinds(run(tree, name), "SetEnvironmentVariable")
        assert action.values[0] == variable
        assert ElementTree.parse(action.values[1]).getroot().tag.endswith("dds")
    monkeypatch.setenv(variable, "/etc/own.xml")
    assert not kinds(run(source, name), "SetEnvironmentVariable")


@pytest.fixture
def with_driver(tmp_path):
    """The declaration of a cell in which one robot has a driver."""
    cell = yaml.safe_load((REPOSITORY / "config/cell.yaml").read_text())
    cell["robots"][2]["driver"] = {"kind": "forward_velocity", "controller": "/panda/velocity_controller", "period_us": 4000, "priority": 70}
    (tmp_path / "cell.yaml").write_text(yaml.safe_dump(cell))
    return str(tmp_path / "cell.yaml")


def test_a_robot_that_declares_a_driver_gets_a_shell_of_its_own(source, with_driver):
    nodes = nodes_of(run(source, "cell.launch.py", cell_config=with_driver, overrides="{panda_driver: {permit_timeout_us: 10000}}"))
    assert set(nodes) - set(NODES) == {"panda_driver"}
    shell = nodes["panda_driver"]
    assert (shell.kind, shell.package, shell.executable) == ("LifecycleNode", "swarm_driver", "swarm_driver")
    [parameters] = shell.parameters
    assert parameters == {"cell_config": with_driver, "robot": "panda", "autostart": True, "permit_timeout_us": 10000}
    assert shell.respawn is True and shell.respawn_delay == 0.0, "what comes back says zeros"
    assert shell.respawn_max_retries == -1, "launch counts over its whole life, and the arm is there as long"


def test_a_shells_priority_that_is_not_permitted_is_told(source, tmp_path, monkeypatch, with_driver):
    tools(tmp_path, monkeypatch, chrt="exit 1")
    with pytest.raises(RuntimeError, match="SCHED_FIFO priority"):
        run(source, "cell.launch.py", cell_config=with_driver, real_time="required")
    notes = [action.msg for action in kinds(run(source, "cell.launch.py", cell_config=with_driver), "LogInfo")]
    assert any(note.startswith("panda_driver: this user may not use SCHED_FIFO priority 70") for note in notes)


def test_a_simulated_robot_needs_no_shell(source, with_driver):
    assert set(nodes_of(run(source, "sim.launch.py", cell_config=with_driver))) == set(NODES)


def test_a_cell_that_declares_a_registry_gets_a_bridge_to_it(source, tmp_path):
    cell = yaml.safe_load((REPOSITORY / "config/cell.yaml").read_text())
    assert "registry" not in cell, "the demo's cell has none"
    cell["registry"] = {"url": "http://127.0.0.1:8080", "site_id": "cell_1", "parameters": {"utc_offset": "+01:00"}}
    config = tmp_path / "cell.yaml"
    config.write_text(yaml.safe_dump(cell))
    nodes = nodes_of(run(source, "cell.launch.py", cell_config=str(config), trust_file="/etc/trust.yaml", store="/store"))
    assert set(nodes) - set(NODES) == {"registry_bridge"}
    bridge = nodes["registry_bridge"]
    assert (bridge.kind, bridge.package, bridge.executable) == ("LifecycleNode", "swarm_registry_bridge", "swarm_registry_bridge")
    [parameters] = bridge.parameters
    assert parameters == {"cell_config": str(config), "utc_offset": "+01:00", "autostart": True, "trust_file": "/etc/trust.yaml"}


def test_without_drivers_the_operator_is_told(source):
    notes = [action.msg for action in kinds(run(source, "cell.launch.py"), "LogInfo")]
    assert any(note.startswith("No robot drivers are started here") for note in notes)


def test_a_real_cell_is_not_started_with_the_demos_limits(source):
    with pytest.raises(RuntimeError, match="cell_config is missing: a real cell has to name its own declaration"):
        run(source, "cell.launch.py", cell_config="")


def test_an_empty_list_is_left_to_the_nodes_default(source):
    nodes = nodes_of(run(source, "sim.launch.py", overrides="{swarm_sim: {cameras: []}}"))
    assert "cameras" not in nodes["swarm_sim"].parameters[0]


def test_a_parameter_is_read_as_the_nodes_read_it(source, tmp_path):
    """YAML 1.2's core schema; that of 1.1 makes false, 600 and 12 of the first three."""
    text = (REPOSITORY / "config/cell.yaml").read_text()
    odd = "{mode: off, window: 10:00, count: 014, octal: 0o14, hexadecimal: 0x1F, big: 1_000, share: 1e3, on_top: true}"
    changed = text.replace("parameters: {permit_period_us: 4000,", f"parameters: {odd}  #", 1)
    assert changed != text
    changed = changed.replace("black_box.folder: /var/lib/swarm/black_box}", "", 1)
    (tmp_path / "cell.yaml").write_text(changed)
    [parameters] = nodes_of(run(source, "cell.launch.py", cell_config=str(tmp_path / "cell.yaml")))["safety_monitor"].parameters
    expected = {"mode": "off", "window": "10:00", "count": 14, "octal": 12, "hexadecimal": 31, "big": "1_000", "share": 1000.0, "on_top": True}
    assert {name: parameters[name] for name in expected} == expected


def test_a_simulated_cell_on_an_ordinary_kernel_waits_longer_and_says_so(source, real_time_kernel):
    real_time_kernel.unlink()
    actions = run(source, "sim.launch.py")
    nodes = nodes_of(actions)
    assert nodes["swarm_sim"].parameters[0]["permit_timeout_us"] == 200_000
    gate = nodes["safety_monitor"].parameters[0]
    assert (gate["max_cycle_gap_us"], gate["degraded"]) == (200_000, True)
    [note] = [action.msg for action in kinds(actions, "LogInfo") if "real-time kernel" in action.msg]
    assert note.startswith("No real-time kernel here: the time-outs of this simulated cell are 200 ms")

    config = pathlib.Path(gate["cell_config"])
    assert {node.parameters[0]["cell_config"] for node in nodes.values()} == {str(config)}
    shipped = yaml.safe_load((REPOSITORY / "config/safety_ceiling.yaml").read_text())
    run_with = yaml.safe_load((config.parent / "safety_ceiling.yaml").read_text())
    timeouts = {"joint_state_s": 0.2, "wrench_s": 0.2, "command_s": 0.2}
    assert run_with["cell"]["timeouts"].items() >= timeouts.items()
    for ceiling in (shipped, run_with):
        for name in timeouts:
            del ceiling["cell"]["timeouts"][name]
    assert run_with == shipped, "every other limit stays"
    assert (config.parent.parent / "urdf").samefile(REPOSITORY / "urdf")


def test_a_cell_that_waits_longer_already_keeps_its_own_time_outs(source, real_time_kernel, tmp_path):
    real_time_kernel.unlink()
    own = tmp_path / "own"
    shutil.copytree(REPOSITORY / "config", own / "config")
    ceiling = own / "config/safety_ceiling.yaml"
    ceiling.write_text(ceiling.read_text().replace("wrench_s: 0.02", "wrench_s: 0.5"))
    before = ceiling.read_text()
    gate = nodes_of(run(source, "sim.launch.py", cell_config=str(own / "config/cell.yaml")))["safety_monitor"].parameters[0]
    run_with = yaml.safe_load((pathlib.Path(gate["cell_config"]).parent / "safety_ceiling.yaml").read_text())
    assert run_with["cell"]["timeouts"]["wrench_s"] == 0.5
    assert ceiling.read_text() == before, "the user's file is not touched"


def test_a_real_cell_keeps_its_limits_whatever_the_kernel(source, real_time_kernel):
    with_it = nodes_of(run(source, "cell.launch.py"))
    real_time_kernel.unlink()
    without = nodes_of(run(source, "cell.launch.py"))
    assert [node.parameters for node in without.values()] == [node.parameters for node in with_it.values()]
    assert all(node.parameters[0]["cell_config"] == OWN and "degraded" not in node.parameters[0] for node in without.values())


def test_container_manual_and_launch_agree_on_the_declaration(source):
    """Whoever starts a real cell names its declaration, in the same place everywhere."""
    named = "cell_config:=/etc/swarm/config/cell.yaml"
    [service] = yaml.safe_load((REPOSITORY / "docker/compose.yaml").read_text())["services"].values()
    assert "cell_config:=${CELL_CONFIG:-/etc/swarm/config/cell.yaml}" in service["command"]
    assert any(volume.endswith(":/etc/swarm:ro") for volume in service["volumes"])
    [command] = [line for line in (REPOSITORY / "docker/Dockerfile").read_text().splitlines() if line.startswith("CMD ")]
    assert json.loads(command.removeprefix("CMD "))[:4] == service["command"][:4] and f'"{named}"' in command
    [line] = [line for line in (REPOSITORY / "README.md").read_text().splitlines() if "ros2 launch swarm_bringup cell.launch.py" in line]
    assert named in line
    assert named in (REPOSITORY / "launch/cell.launch.py").read_text().splitlines()[2]


def test_a_declaration_that_cannot_be_read_is_named(source, tmp_path):
    with pytest.raises(RuntimeError, match="cannot read the cell's declaration /nowhere/cell.yaml: "):
        run(source, "cell.launch.py", cell_config="/nowhere/cell.yaml")


def test_robot_state_publisher_takes_over_the_frames_where_it_is_installed(source):
    mark(source, "robot_state_publisher")
    mark(source, "swarm_sim")
    executable = source / "lib/swarm_sim/describe_cell"
    executable.parent.mkdir(parents=True)
    executable.write_text('#!/bin/sh\nprintf "<robot name=\\"cell\\"/>"\n')
    executable.chmod(0o755)
    actions = run(source, "sim.launch.py")
    [publisher] = [action for action in kinds(actions, "Node") if action.package == "robot_state_publisher"]
    assert publisher.parameters == [{"robot_description": '<robot name="cell"/>'}]
    assert nodes_of(actions)["swarm_sim"].parameters[0]["publish_tf"] is False


@pytest.mark.parametrize("name", ["cell.launch.py", "sim.launch.py"])
def test_everything_that_a_launch_file_names_is_installed(install, name):
    for node in nodes_of(run(install, name)).values():
        assert (install / "share/ament_index/resource_index/packages" / node.package).is_file(), node.package
        assert (install / "share" / node.package / "package.xml").is_file(), node.package
        executable = install / "lib" / node.package / node.executable
        assert os.access(executable, os.X_OK), f"{executable} is missing or not executable"
        assert pathlib.Path(node.parameters[0]["cell_config"]).is_file()


@pytest.mark.parametrize("program", ["cell", "csactl", "swarm_registry", "swarm_report"])
def test_what_an_operator_types_is_on_the_path_of_who_sources_the_tree(install, program):
    script = f'source "{install}/setup.bash" && command -v {program}'
    done = subprocess.run(["bash", "-c", script], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    assert pathlib.Path(done.stdout.strip()).samefile(install / "bin" / program)


def test_every_file_that_the_declaration_names_is_installed(install):
    share = install / "share/swarm_bringup"
    cell = yaml.safe_load((share / "config/cell.yaml").read_text())
    named = [cell["safety"]["file"]]
    for robot in cell["robots"]:
        named += [robot["urdf"]] + ([robot["gripper_urdf"]] if "gripper_urdf" in robot else [])
    missing = [path for path in named if not (share / path).is_file()]
    assert not missing


def test_every_mesh_that_a_description_names_is_installed(install):
    urdf = install / "share/swarm_bringup/urdf"
    for description in urdf.rglob("*.urdf"):
        for mesh in description.read_text().split('filename="')[1:]:
            path = description.parent / mesh.split('"')[0]
            assert path.is_file(), f"{description.name} names {path}"
