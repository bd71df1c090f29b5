"""The demo cell as the tests see it, and a stand-in for the safety monitor that drives the simulated arms directly."""

import json
import math
import re
import shutil
import subprocess
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from harness import RELIABLE, SENSOR, Probe, bin_dir, repository
from rclpy.qos import ReliabilityPolicy
from std_msgs.msg import Bool, Float64MultiArray
from swarm_msgs.msg import JointCommand, Permit, SafetyStatus, SimReport
from swarm_msgs.srv import LoadEnvelope, ResetSafety

ROBOTS = {"ur5e_left": 6, "ur5e_right": 6, "panda": 7}
CYCLE_S = 0.002
JOINTS = {
    robot: [
        f"{robot}_{joint}"
        for joint in (
            [f"panda_joint{n}" for n in range(1, 8)]
            if robot == "panda"
            else ["shoulder_pan_joint", "shoulder_lift_joint", "elbow_joint", "wrist_1_joint", "wrist_2_joint", "wrist_3_joint"]
        )
    ]
    for robot in ROBOTS
}
CELL_CONFIG = str(repository() / "config" / "cell.yaml")
# The sim's drivers: a permit this old stops them.
PERMIT_TIMEOUT_US = 100_000
SIM = "swarm_sim"
MONITOR = "swarm_safety_monitor"
# A gate that arms on any machine, and bears as long a pause as the drivers here, and a simulator whose clock goes on while its
# arms do not.
ON_ANY_MACHINE = {"degraded": True, "max_cycle_gap_us": PERMIT_TIMEOUT_US, "max_joint_state_gap_us": 7_000}


def press(probe: Probe, stop, profile, heard):
    """Publishes a stop as a user of that profile has to: once where the middleware sends it again by itself; else until `heard()`,
    because what a best-effort publisher sends before the other side has met it is lost."""
    stop.publish(Bool(data=True))
    if profile.reliability == ReliabilityPolicy.BEST_EFFORT:
        probe.wait_for(lambda: heard() or stop.publish(Bool(data=True)), "the stop is heard")


class Reports:
    """The simulator's reports, newest last."""

    def __init__(self, probe: Probe):
        self.probe = probe
        self.all = probe.collect(SimReport, "/sim/report", SENSOR)

    def newest(self) -> SimReport:
        return self.probe.wait_for(lambda: self.all, "the simulator reports")[-1]

    def driver(self, robot: str):
        return next(driver for driver in self.newest().drivers if driver.robot == robot)

    def wait(self, robot: str, condition, what: str):
        """Waits until the newest report of `robot`'s driver fulfils `condition`."""
        self.probe.wait_for(lambda: self.all and condition(self.driver(robot)), lambda: f"{what}; last: {self._last(robot)}")
        return self.driver(robot)

    def _last(self, robot):
        return self.driver(robot) if self.all else None


class StandInGate:
    """Publishes permits and joint commands as the safety monitor would, for tests of the simulator alone."""

    def __init__(self, probe: Probe):
        self.probe, self.sequence, self.epoch = probe, 0, 1
        self.permits = probe.publisher(Permit, "/safety_monitor/permit", SENSOR)
        self.commands = {robot: probe.publisher(Float64MultiArray, f"/{robot}/joint_command", RELIABLE) for robot in ROBOTS}

    def permit(self, scale: float = 1.0, robots=tuple(ROBOTS)):
        self.sequence += 1
        permit = Permit(epoch=self.epoch, sequence=self.sequence, robots=list(robots), speed_scale=[scale] * len(robots))
        permit.header.stamp = self.probe.stamp()
        self.permits.publish(permit)

    def command(self, robot: str, velocity: float):
        self.commands[robot].publish(Float64MultiArray(data=[velocity] + [0.0] * (ROBOTS[robot] - 1)))

    def drive_until(self, robot: str, velocity: float, condition, what: str):
        """Goes on permitting and commanding until `condition()` holds."""

        def turn():
            self.permit()
            self.command(robot, velocity)
            return condition()

        return self.probe.wait_for(turn, what)


def close(a: float, b: float, tolerance: float) -> bool:
    return math.isfinite(a) and abs(a - b) <= tolerance


def patient_cell(folder: Path, timeout_s: float = 0.5) -> str:
    """The demo cell with input time-outs that a busy test machine keeps up with; returns the path of its cell.yaml."""
    shutil.copytree(repository() / "config", folder / "config")
    (folder / "urdf").symlink_to(repository() / "urdf")
    ceiling = folder / "config" / "safety_ceiling.yaml"
    text, changed = re.subn(r"(joint_state_s|wrench_s|command_s): [0-9.]+", rf"\1: {timeout_s}", ceiling.read_text())
    assert changed == 3, "the ceiling names three time-outs"
    ceiling.write_text(text)
    return str(folder / "config" / "cell.yaml")


class ArtifactStore:
    """A store with signed artifacts that hold an envelope each; `digests` names them."""

    def __init__(self, folder: Path):
        made = subprocess.run([bin_dir() / "make_test_store", folder], check=True, capture_output=True, text=True)
        self.digests = json.loads(made.stdout)
        self.parameters = {"artifact_store": str(folder / "store"), "trust_file": str(folder / "trust.yaml")}


class Safety:
    """What the monitor says, and its services."""

    STATES = ("DENY", "READY", "RUN", "SLOW", "STOP2", "STOP1", "ESTOP")

    def __init__(self, probe: Probe):
        self.probe = probe
        self.all = probe.collect(SafetyStatus, "/safety_monitor", SENSOR)

    def newest(self) -> SafetyStatus:
        return self.probe.wait_for(lambda: self.all, "the safety monitor speaks")[-1]

    @property
    def state(self) -> str:
        return self.STATES[self.newest().state]

    def wait(self, *states: str, cause: str | None = None, meanwhile=lambda: None) -> SafetyStatus:
        """Waits for one of `states` (with `cause`), doing `meanwhile` over and over."""

        def there():
            meanwhile()
            return self.all and self.state in states and (cause is None or self.newest().cause == cause)

        wanted = f"{' or '.join(states)} {cause or ''}"
        self.probe.wait_for(there, lambda: f"{wanted}; now {self.state if self.all else 'silent'}: {self.newest().detail}")
        return self.newest()

    def reset(self, epoch: int | None = None, by: str = "test"):
        request = ResetSafety.Request(epoch=self.newest().epoch if epoch is None else epoch, reset_by=by)
        return self.probe.call(ResetSafety, "/safety_monitor/reset", request)

    def load(self, artifact: str):
        return self.probe.call(LoadEnvelope, "/safety_monitor/load_envelope", LoadEnvelope.Request(artifact=artifact))

    def make_ready(self) -> SafetyStatus:
        """Resets until the cell is ready: inputs have to arrive first."""

        def ready():
            # A reset that was granted is seen in the next status; another one would only begin a further epoch.
            return self.state == "READY" or (self.reset().success and self.wait("READY"))

        self.probe.wait_for(ready, lambda: f"the cell is ready; now {self.state}: {self.newest().detail}")
        return self.newest()


def diagnosed(probe: Probe, part: str):
    """A function that gives the newest diagnostics of a node's `part`, none before the first."""
    arrays = probe.collect(DiagnosticArray, "/diagnostics")

    def newest():
        found = [status for array in arrays for status in array.status if status.name.endswith(f": {part}")]
        return found[-1] if found else None

    return newest


class Skill:
    """Commands one robot as the skill runtime would."""

    def __init__(self, probe: Probe, robot: str, artifact: str, profile=RELIABLE, matched: bool = True):
        self.probe, self.robot, self.artifact = probe, robot, artifact
        self.epoch, self.sequence, self.trace_id = 0, 0, "test_run"
        self.names = list(JOINTS[robot])
        self.publisher = probe.publisher(JointCommand, f"/{robot}/skill_command", profile, matched)

    def command(self, speed: float, /, **changes):
        """One command: the first joint at `speed` rad/s, the others at rest; `changes` replaces fields of the message."""
        self.sequence += 1
        message = JointCommand(
            robot=self.robot,
            joint_names=self.names,
            velocity=[speed] + [0.0] * (len(self.names) - 1),
            skill="tight@1.0.0",
            artifact=self.artifact,
            role="leader",
            trace_id=self.trace_id,
            epoch=self.epoch,
            sequence=self.sequence,
        )
        message.header.stamp = self.probe.stamp()
        for field, value in changes.items():
            setattr(message, field, value)
        self.publisher.publish(message)
