"""The cell played by rclpy: arms that do as the gate tells them, their sensors, a sensor that looks for people, a skill. What is said in
one turn is data first (`Said`), so that a fault can change it before it is published."""

import copy
import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from builtin_interfaces.msg import Time
from cell import JOINTS, MONITOR, ROBOTS, ArtifactStore, Safety, patient_cell
from geometry_msgs.msg import Vector3, Wrench, WrenchStamped
from harness import RELIABLE, repository
from sensor_msgs.msg import JointState, Range
from std_msgs.msg import Bool, Float64MultiArray
from swarm_msgs.msg import JointCommand

TURN_S = 0.01
# Time-outs of every input in the played cell: far above what a busy machine holds a turn up by.
TIMEOUT_S = 0.4
SPEED = 0.2
# Faults begin where the moving joint is this near its rest pose, so that none takes an arm far from it.
NEAR_RAD = 0.15
ZONE = "door"
HOME = {robot["name"]: robot["home_rad"] for robot in yaml.safe_load((repository() / "config" / "cell.yaml").read_text())["robots"]}
HUMANS = (
    "humans: {provenance: test, zones: [{name: door, point_m: [-0.55, 0, 0]}], "
    f"timeout_s: {TIMEOUT_S}, speed_m_s: 1.6, intrusion_m: 0.1, sensor_uncertainty_m: 0.05, robot_uncertainty_m: 0.01}}"
)


def nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def to_stamp(ns: int) -> Time:
    return Time(sec=ns // 1_000_000_000, nanosec=ns % 1_000_000_000)


@dataclass
class Joints:
    names: list
    position: list
    velocity: list
    effort: list
    stamp: int

    def message(self) -> JointState:
        message = JointState(name=self.names, position=self.position, velocity=self.velocity, effort=self.effort)
        message.header.stamp = to_stamp(self.stamp)
        return message


@dataclass
class Load:
    frame: str
    force: list
    torque: list
    stamp: int

    def message(self) -> WrenchStamped:
        vector = lambda values: Vector3(**dict(zip("xyz", values, strict=True)))  # noqa: E731
        message = WrenchStamped(wrench=Wrench(force=vector(self.force), torque=vector(self.torque)))
        message.header.frame_id, message.header.stamp = self.frame, to_stamp(self.stamp)
        return message


@dataclass
class Command:
    robot: str
    artifact: str
    trace: str
    epoch: int
    sequence: int
    names: list
    velocity: list
    stamp: int

    def message(self) -> JointCommand:
        message = JointCommand(
            robot=self.robot, joint_names=self.names, velocity=self.velocity, skill="tight@1.0.0", artifact=self.artifact,
            role="leader", trace_id=self.trace, epoch=self.epoch, sequence=self.sequence,
        )
        message.header.stamp = to_stamp(self.stamp)
        return message


@dataclass
class Seen:
    range: float
    stamp: int

    def message(self) -> Range:
        message = Range(range=self.range)
        message.header.frame_id, message.header.stamp = ZONE, to_stamp(self.stamp)
        return message


@dataclass
class Said:
    """Everything that is published in one turn, in this order."""

    joints: dict = field(default_factory=dict)
    wrench: dict = field(default_factory=dict)
    command: dict = field(default_factory=dict)
    presence: list = field(default_factory=list)
    emergency_stop: list = field(default_factory=list)


class PlayedCell:
    """The production monitor, and everything that it hears. One arm is commanded; the others stand."""

    def __init__(self, start, probe, folder: Path):
        self.probe, self.store = probe, ArtifactStore(folder)
        config = patient_cell(folder, TIMEOUT_S)
        ceiling = folder / "config" / "safety_ceiling.yaml"
        text, changed = re.subn(r"humans: unmonitored.*", HUMANS, ceiling.read_text())
        assert changed == 1, "the ceiling says that nobody is looked for"
        ceiling.write_text(text)
        # A test machine may stop for longer than the monitor may; its own lateness is the subject of other tests.
        parameters = {"cell_config": config, "degraded": True, "max_cycle_gap_us": 0, "command_period_us": 20_000}
        self.monitor = start(MONITOR, parameters={**parameters, **self.store.parameters})
        self.artifact = self.store.digests["tight"]
        self.safety = Safety(probe)
        self.position = {robot: list(HOME[robot]) for robot in ROBOTS}
        self.velocity = {robot: [0.0] * count for robot, count in ROBOTS.items()}
        self.told = {robot: [0.0] * count for robot, count in ROBOTS.items()}
        self.last_ns, self.turns, self.sequence = self.now_ns(), 0, 0
        # The longest time between two turns since somebody set it to zero: a busy machine stops processes, this one and the monitor.
        self.longest_turn_s = 0.0
        self.moving, self.epoch, self.speed = None, 0, SPEED
        # Change what is said, and what an arm does; both are asked in every turn.
        self.inject = self.act = None
        self.silent_until_ns = 0
        self.before = self.said = None
        self._publish(probe)
        probe.node.create_timer(TURN_S, self._turn)
        loaded = self.safety.load(self.artifact)
        assert loaded.success, loaded.message

    def _publish(self, probe):
        self.joint_states = probe.publisher(JointState, "/joint_states", RELIABLE)
        self.presence = probe.publisher(Range, "/human_presence", RELIABLE)
        self.button = probe.publisher(Bool, "/emergency_stop", RELIABLE)
        self.wrenches = {robot: probe.publisher(WrenchStamped, f"/{robot}/wrench", RELIABLE) for robot in ROBOTS}
        self.commands = {robot: probe.publisher(JointCommand, f"/{robot}/skill_command", RELIABLE) for robot in ROBOTS}
        for robot in ROBOTS:
            heard = lambda message, robot=robot: self.told.__setitem__(robot, list(message.data))  # noqa: E731
            probe.node.create_subscription(Float64MultiArray, f"/{robot}/joint_command", heard, RELIABLE)

    def now_ns(self) -> int:
        return self.probe.node.get_clock().now().nanoseconds

    # --- one turn: the arms move, the healthy cell speaks, the fault changes it, all of it is published

    def _turn(self):
        now, self.turns = self.now_ns(), self.turns + 1
        passed = (now - self.last_ns) * 1e-9
        self.longest_turn_s = max(self.longest_turn_s, passed)
        for robot in ROBOTS:
            does = list(self.told[robot])
            if self.act:
                does = self.act(robot, does)
            pairs = zip(self.velocity[robot], does, strict=True)
            moved = [(before + after) / 2 * passed for before, after in pairs]
            self.position[robot] = [q + way for q, way in zip(self.position[robot], moved, strict=True)]
            self.velocity[robot] = does
        self.last_ns, self.before, self.said = now, self.said, self._say(now)
        said = copy.deepcopy(self.said)
        if self.inject:
            self.inject(said)
        if now < self.silent_until_ns:
            said.joints = {}
        self._send(said)

    def _say(self, now: int) -> Said:
        said = Said(presence=[Seen(float("inf"), now)])
        for robot, count in ROBOTS.items():
            state = Joints(list(JOINTS[robot]), list(self.position[robot]), list(self.velocity[robot]), [1.0] * count, now)
            said.joints[robot] = [state]
            frame = f"{robot}_{'panda_link8' if robot == 'panda' else 'tool0'}"
            # Next to nothing on the flange: the declared payload is then a load of 10 N, below every level.
            said.wrench[robot] = [Load(frame, [0.1, 0.0, 0.0], [0.0, 0.0, 0.0], now)]
            said.command[robot] = [self._command(robot, now)] if robot == self.moving else []
        return said

    def _command(self, robot: str, now: int) -> Command:
        self.sequence += 1
        velocity = [0.0] * (ROBOTS[robot] - 1) + [self.speed]
        return Command(robot, self.artifact, "nominal", self.epoch, self.sequence, list(JOINTS[robot]), velocity, now)

    def _send(self, said: Said):
        for message in itertools.chain.from_iterable(said.joints.values()):
            self.joint_states.publish(message.message())
        for robot in ROBOTS:
            for message in said.wrench.get(robot, ()):
                self.wrenches[robot].publish(message.message())
            for message in said.command.get(robot, ()):
                self.commands[robot].publish(message.message())
        for message in said.presence:
            self.presence.publish(message.message())
        for press in said.emergency_stop:
            self.button.publish(Bool(data=press))

    # --- what a test asks of it

    def healthy(self):
        """Ends every fault; the arms stand when this returns, and the emergency stop is released."""
        self.inject = self.act = self.moving = None
        self.button.publish(Bool(data=False))
        self.probe.wait_for(lambda: not any(any(told) for told in self.told.values()), "every arm is told to stand")

    def ready(self):
        """Resets until the cell is ready. What lies have left in the monitor's sum of velocities, a silence ends."""

        def ready():
            if self.safety.state == "READY":
                return True
            if self.now_ns() < self.silent_until_ns:
                return False
            answer = self.safety.reset()
            if "joint_inconsistent" in answer.message:
                self.silent_until_ns = self.now_ns() + nanoseconds(TIMEOUT_S * 1.2)
            return answer.success and self.safety.wait("READY")

        self.probe.wait_for(ready, lambda: f"the cell is ready; now {self.safety.state}: {self.safety.newest().detail}")
        self.epoch = self.safety.newest().epoch

    def run(self, robot: str):
        """That arm moves steadily when this returns, towards its rest pose."""
        for _ in range(5):
            self.healthy()
            self.ready()
            self.moving, self.speed = robot, -SPEED if self._off(robot) > 0.0 else SPEED
            begin, stops = self.turns, ("STOP1", "STOP2", "ESTOP", "DENY")
            self.probe.wait_for(lambda: self._steady(robot) or self._held_up(begin, stops), f"{robot} moves")
            since = self.turns
            near = lambda: self.turns > since + 20 and abs(self._off(robot)) < NEAR_RAD  # noqa: E731
            self.probe.wait_for(lambda: near() or self._held_up(begin, stops), f"{robot} comes near its rest pose")
            if self.safety.state == "RUN" and self._steady(robot):
                return
        raise AssertionError(f"{robot} does not move steadily: {self.safety.newest().detail}")

    def _off(self, robot: str) -> float:
        return self.position[robot][-1] - HOME[robot][-1]

    def _steady(self, robot: str) -> bool:
        return abs(self.told[robot][-1] - self.speed) < 0.01

    def _held_up(self, begin: int, stops) -> bool:
        return self.turns > begin + 50 and self.safety.state in stops

    def stand_in_a_stop(self, robot: str):
        """Stopped by a short press, at rest, with nothing wrong any more."""
        self.run(robot)
        self.button.publish(Bool(data=True))
        self.safety.wait("ESTOP")
        self.healthy()
        self.probe.wait_for(lambda: self.position[robot] and not any(self.velocity[robot]), "the arm stands")
