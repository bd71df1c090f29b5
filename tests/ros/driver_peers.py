"""The other ends of a driver shell, scripted: a safety monitor that says what it is told to, and the ROS 2 drivers of real arms.

Everything that the arms' drivers hear is written into one list, so that a test can tell what came before what."""

import json
import math
import re

from action_msgs.srv import CancelGoal
from cell import JOINTS, patient_cell
from harness import LATCHED, RELIABLE, SENSOR, Probe
from rclpy.action import ActionServer
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger
from swarm_msgs.msg import Permit, SafetyStatus
from trajectory_msgs.msg import JointTrajectory

ARM = "ur5e_left"
OTHER = "panda"
DRIVER = "swarm_driver"
PERIOD_US = 4_000
DENY, READY, RUN, SLOW, STOP2, STOP1, ESTOP = range(7)
# The UR driver refuses a slider fraction below this (ur_controllers, GPIO controller).
LOWEST_SLIDER = 0.01
# Nothing that a controller is told gets lost on its way to the list.
ALL = QoSProfile(depth=5000)

VELOCITY = {"kind": "forward_velocity", "controller": f"/{ARM}/forward_velocity_controller", "period_us": PERIOD_US}
TRAJECTORY = {
    "kind": "joint_trajectory",
    "controller": f"/{ARM}/scaled_joint_trajectory_controller",
    "period_us": PERIOD_US,
    "deceleration_rad_s2": 8.0,
}
UR = {
    "speed_slider": {"service": f"/{ARM}/io_and_status_controller/set_speed_slider", "fraction": 0.8},
    "protective_stop": f"/{ARM}/dashboard_client/pause",
    "stop": f"/{ARM}/dashboard_client/stop",
}
FRANKA = {"error_recovery": f"/{ARM}/action_server/error_recovery"}


def cell_with_driver(folder, driver: dict, robot: str = ARM) -> str:
    """The demo cell, patient, in which `robot` declares `driver`; returns the path of its cell.yaml."""
    path = patient_cell(folder)
    with open(path) as file:
        text = file.read()
    text, changed = re.subn(rf"(?m)^(  - name: {robot}\n)", rf"\1    driver: {json.dumps(driver)}\n", text)
    assert changed == 1
    with open(path, "w") as file:
        file.write(text)
    return path


class ScriptedMonitor:
    """Says once per turn what a safety monitor says all the time, and the arm's /joint_states with it."""

    def __init__(self, probe: Probe, robot: str = ARM):
        self.probe, self.robot = probe, robot
        self.epoch, self.reset_epoch = 41, 0
        self.sequence, self.state, self.scale = 0, DENY, 0.0
        self.velocity = [0.0] * len(JOINTS[robot])
        self.position, self.measured_velocity = [0.1] * len(self.velocity), [0.0] * len(self.velocity)
        self.permits = probe.publisher(Permit, "/safety_monitor/permit", SENSOR)
        self.statuses = probe.publisher(SafetyStatus, "/safety_monitor", LATCHED)
        self.commands = probe.publisher(Float64MultiArray, f"/{robot}/joint_command", RELIABLE)
        self.joints = probe.publisher(JointState, "/joint_states", RELIABLE)

    def permit(self, **changes):
        self.sequence += 1
        message = Permit(
            epoch=self.epoch, sequence=self.sequence, robots=[OTHER, self.robot], speed_scale=[1.0, self.scale]
        )
        message.header.stamp = self.probe.stamp()
        for field, value in changes.items():
            setattr(message, field, value)
        self.permits.publish(message)

    def turn(self):
        joints = JointState(name=JOINTS[self.robot], position=self.position, velocity=self.measured_velocity)
        joints.header.stamp = self.probe.stamp()
        self.joints.publish(joints)
        self.permit()
        self.statuses.publish(SafetyStatus(state=self.state, epoch=self.epoch, reset_epoch=self.reset_epoch))
        self.commands.publish(Float64MultiArray(data=self.velocity))

    def until(self, condition, what):
        """Goes on speaking until `condition()` holds."""
        return self.probe.wait_for(lambda: self.turn() or condition(), what)

    def stop(self, state):
        self.state, self.scale = state, 0.0

    def reset(self):
        self.epoch += 1
        self.reset_epoch = self.epoch
        self.state, self.scale = READY, 1.0

    def load_limits(self):
        """In READY, as a deploy does: a new epoch, and nobody has reset anything."""
        self.epoch += 1
        self.state, self.scale = READY, 1.0

    def run(self, velocity: float):
        self.state, self.scale = RUN, 1.0
        self.velocity = [velocity] + [0.0] * (len(self.velocity) - 1)


class Arm:
    """What an arm's driver heard, in order: ("told", velocities), ("trajectory", message), ("slider", fraction), ..."""

    def __init__(self, probe: Probe):
        self.probe, self.heard = probe, []
        self.refuse = set()

    def of(self, kind: str) -> list:
        return [value for what, value in self.heard if what == kind]

    def calls(self) -> list:
        """Everything but motion."""
        return [entry for entry in self.heard if entry[0] not in ("told", "trajectory")]

    def velocity_controller(self, driver: dict = VELOCITY):
        """velocity_controllers/JointGroupVelocityController."""
        self.probe.node.create_subscription(
            Float64MultiArray, driver["controller"] + "/commands", lambda m: self.heard.append(("told", list(m.data))), ALL
        )
        return self

    def trajectory_controller(self, driver: dict = TRAJECTORY):
        """joint_trajectory_controller: its topic, and the service with which its action is cancelled."""
        self.probe.node.create_subscription(
            JointTrajectory, driver["controller"] + "/joint_trajectory", lambda m: self.heard.append(("trajectory", m)), ALL
        )

        def cancel(request, response):
            everything = not any(request.goal_info.goal_id.uuid) and request.goal_info.stamp.sec == 0
            self.heard.append(("cancel", "all" if everything else "some"))
            return response

        self.probe.node.create_service(
            CancelGoal, driver["controller"] + "/follow_joint_trajectory/_action/cancel_goal", cancel
        )
        return self

    def universal_robots(self, driver: dict = UR):
        """ur_controllers' GPIO controller, and the dashboard client."""
        from ur_msgs.srv import SetSpeedSliderFraction

        def slider(request, response):
            fraction = request.speed_slider_fraction
            self.heard.append(("slider", fraction))
            response.success = LOWEST_SLIDER <= fraction <= 1.0 and "slider" not in self.refuse
            return response

        self.probe.node.create_service(SetSpeedSliderFraction, driver["speed_slider"]["service"], slider)
        for means, word in (("protective_stop", "pause"), ("stop", "stop")):
            self._trigger(driver[means], word)
        return self

    def franka(self, driver: dict = FRANKA):
        """franka_hardware's action server."""
        from franka_msgs.action import ErrorRecovery

        def recover(goal):
            self.heard.append(("recovery", None))
            goal.abort() if "recovery" in self.refuse else goal.succeed()
            return ErrorRecovery.Result()

        self.recovery = ActionServer(self.probe.node, ErrorRecovery, driver["error_recovery"], recover)
        return self

    def _trigger(self, name: str, word: str):
        def call(_request, response):
            self.heard.append((word, None))
            response.success = word not in self.refuse
            return response

        self.probe.node.create_service(Trigger, name, call)


def stands(velocities: list) -> bool:
    return all(velocity == 0.0 for velocity in velocities)


def is_stand(trajectory: JointTrajectory) -> bool:
    """A trajectory of one point, at which no joint moves."""
    return len(trajectory.points) == 1 and stands(trajectory.points[0].velocities)


def near(a, b, tolerance: float = 1e-6) -> bool:
    return len(a) == len(b) and all(math.isclose(x, y, abs_tol=tolerance) for x, y in zip(a, b, strict=True))
