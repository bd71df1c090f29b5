"""The launch files, run by `ros2 launch` where it is on the PATH, against the installed nodes."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
import yaml

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
NODES = yaml.safe_load((REPOSITORY / "config/cell.yaml").read_text())["nodes"]
# Long enough for a loaded computer with two cores; each wait ends as soon as its condition holds.
PATIENCE_S = 60.0

pytestmark = pytest.mark.skipif(shutil.which("ros2") is None, reason="ros2 is not on the PATH")


def sourced():
    """This process's variables after it sourced the install tree's setup.bash, as a user's shell does."""
    install = os.environ.get("SWARM_INSTALL_DIR")
    assert install, 'SWARM_INSTALL_DIR names no install tree: run "cargo xtask install" and set it'
    script = 'source "$1/setup.bash" >&2 && env --null'
    done = subprocess.run(["bash", "-c", script, "bash", pathlib.Path(install).resolve()], stdout=subprocess.PIPE, text=True, check=True)
    return dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)


@pytest.fixture
def environment(tmp_path):
    """That of the install tree, with a domain of its own on this computer alone, and logs in the test's folder."""
    domain = str(1 + os.getpid() % 100)
    return {
        **sourced(),
        "ROS_DOMAIN_ID": domain,
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOG_DIR": str(tmp_path / "log"),
    }


@pytest.fixture
def places(tmp_path):
    """Places of the test's own, and free ports. No key is trusted: nothing can be deployed, which no test here needs."""
    trust_file = tmp_path / "trust.yaml"
    trust_file.write_text("schema_version: 1\nthreshold: 1\nkeys: []\n")
    runtime = {"recordings.folder": str(tmp_path / "recordings"), **{f"view.{of}_port": 0 for of in ("groot", "foxglove", "metrics")}}
    overrides = {"safety_monitor": {"black_box.folder": str(tmp_path / "black_box")}, "skill_runtime": runtime}
    return [f"store:={tmp_path / 'store'}", f"trust_file:={trust_file}", f"overrides:={json.dumps(overrides)}"]


@pytest.fixture
def launched(environment, places, tmp_path):
    output = tmp_path / "launch.txt"
    with open(output, "w") as file:
        process = subprocess.Popen(
            ["ros2", "launch", "swarm_bringup", "sim.launch.py", *places],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    yield process, output
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(condition, what, output):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"not within {PATIENCE_S} s: {what}\n{output.read_text()[-4000:]}"


def is_active(node, environment):
    # Without ros2's daemon, which would stay behind in the test's domain.
    command = ["ros2", "lifecycle", "get", "--no-daemon", "--spin-time", "1", f"{node.get('namespace', '')}/{node['name']}"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert "Traceback" not in answer.stderr, answer.stderr
    return answer.stdout.startswith("active")


def pid_of(executable, of):
    """The process of the launch's session that runs this executable."""
    found = subprocess.run(["pgrep", "--session", str(of.pid), "--full", f"/{executable} "], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


def test_every_managed_node_becomes_active_and_an_interrupt_ends_all(launched, environment):
    process, output = launched
    for node in NODES:
        if node["lifecycle"] == "managed":
            until(lambda node=node: is_active(node, environment), f"{node['name']} is active", output)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE_S) == 0, output.read_text()[-4000:]
    for node in NODES:
        assert not pid_of(node["executable"], process), f"{node['name']} still runs"


def test_the_end_of_the_safety_monitor_ends_the_launch(launched, environment):
    process, output = launched
    monitor = next(node for node in NODES if node["package"] == "swarm_safety_monitor")
    until(lambda: is_active(monitor, environment), "the safety monitor is active", output)
    [pid] = pid_of(monitor["executable"], process)
    os.kill(pid, signal.SIGKILL)
    process.wait(timeout=PATIENCE_S)
    assert "the safety monitor has ended" in output.read_text()
    assert not pid_of("swarm_sim", process)


def test_another_node_comes_back(launched, environment):
    process, output = launched
    runtime = next(node for node in NODES if node["package"] == "swarm_skill_runtime")
    until(lambda: is_active(runtime, environment), "the runtime is active", output)
    [first] = pid_of(runtime["executable"], process)
    os.kill(first, signal.SIGKILL)
    until(lambda: pid_of(runtime["executable"], process) not in ([], [first]), "the runtime is started again", output)
    until(lambda: is_active(runtime, environment), "the runtime is active again", output)
