"""The demo cell as the tests see it, and a stand-in for the safety monitor that drives the simulated arms directly."""

import math

from harness import RELIABLE, SENSOR, Probe, repository
from std_msgs.msg import Float64MultiArray
from swarm_msgs.msg import Permit, SimReport

ROBOTS = {"ur5e_left": 6, "ur5e_right": 6, "panda": 7}
CYCLE_S = 0.002
CELL_CONFIG = str(repository() / "config" / "cell.yaml")
SIM = "swarm_sim"
MONITOR = "swarm_safety_monitor"


class Reports:
    """The simulator's reports, newest last."""

    def __init__(self, probe: Probe):
        self.probe = probe
        self.all = probe.collect(SimReport, "/sim/report", RELIABLE)

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
        self.permits.publish(
            Permit(epoch=self.epoch, sequence=self.sequence, robots=list(robots), speed_scale=[scale] * len(robots))
        )

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
