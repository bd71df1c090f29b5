"""Programs of a cell beside its robots, that a skill's tree asks: a screwdriver that brakes, a light, a lamp, a torque sensor.

They spin by themselves, so that a test can wait while they think. Everything that they are asked is written into `heard`."""

import threading
import time

import rclpy
from artifacts import tree
from harness import RELIABLE, SENSOR
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from std_msgs.msg import ColorRGBA, Float64
from std_srvs.srv import SetBool
from swarm_msgs.action import ExecuteSkill

# ExecuteSkill stands for any vendor's action: it has texts and a number.
DECLARED = """
peripherals:
  - {name: screwdriver, action: /screwdriver/turn, type: swarm_msgs/action/ExecuteSkill}
  - {name: light, service: /light/set, type: std_srvs/srv/SetBool}
  - {name: lamp, publish: /lamp/color, type: std_msgs/msg/ColorRGBA}
  - {name: torque, subscribe: /screwdriver/torque, type: std_msgs/msg/Float64}
"""


def declare(cell_yaml: str):
    with open(cell_yaml, "a") as file:
        file.write(DECLARED)


def turn(torque: float = 1.5, timeout_s: float = 30.0, more: str = "") -> str:
    return (
        f'<CallAction peripheral="screwdriver" goal=\'json:{{"skill_id": "m4", "join_timeout": {torque}}}\''
        f' timeout_s="{timeout_s}" {more}/>'
    )


def leader(*steps: str) -> str:
    return tree("leader", f"<Sequence>{''.join(steps)}</Sequence>", "<MoveJoints/>")


class Peripherals:
    """`accept_after` and `brake` are seconds; `cancel` is what a cancellation is answered with."""

    def __init__(self, domain, turn_s=0.1, accept_after=0.0, brake_s=0.0, cancel=CancelResponse.ACCEPT):
        self.turn_s, self.accept_after, self.brake_s, self.cancel = turn_s, accept_after, brake_s, cancel
        self.heard, self.stands_since, self.turns = [], time.monotonic(), False
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain.id)
        self.node = rclpy.create_node("peripherals", context=self.context)
        group = ReentrantCallbackGroup()
        self.server = ActionServer(
            self.node,
            ExecuteSkill,
            "/screwdriver/turn",
            self._turn,
            goal_callback=self._accept,
            cancel_callback=self._cancel,
            callback_group=group,
        )
        self.node.create_service(SetBool, "/light/set", self._light, callback_group=group)
        self.node.create_subscription(ColorRGBA, "/lamp/color", lambda m: self.heard.append(("lamp", m.r)), RELIABLE)
        self.torque = self.node.create_publisher(Float64, "/screwdriver/torque", SENSOR)
        self.node.create_timer(0.02, lambda: self.torque.publish(Float64(data=3.5)))
        self.executor = MultiThreadedExecutor(4, context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.thread.start()

    def _spin(self):
        try:
            self.executor.spin()
        except ExternalShutdownException:
            pass

    def close(self):
        self.executor.shutdown(timeout_sec=5.0)
        if self.server in self.node.waitables:  # a test may have taken it away
            self.server.destroy()
        # Or it goes on serving until it is collected, in a domain that another test has by then.
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
        self.thread.join(timeout=5.0)

    def words(self, who: str) -> list:
        return [what for peer, what in self.heard if peer == who]

    def _accept(self, goal):
        self.heard.append(("screwdriver", "goal"))
        time.sleep(self.accept_after)
        return GoalResponse.ACCEPT

    def _cancel(self, _goal):
        self.heard.append(("screwdriver", "cancel"))
        return self.cancel

    def _turn(self, goal):
        self.heard.append(("screwdriver", goal.request.join_timeout))
        self.turns, over = True, time.monotonic() + self.turn_s
        while time.monotonic() < over and not goal.is_cancel_requested and self.context.ok():
            time.sleep(0.01)
        if goal.is_cancel_requested:
            time.sleep(self.brake_s)
            goal.canceled()
        else:
            goal.succeed()
        self.turns, self.stands_since = False, time.monotonic()
        return ExecuteSkill.Result(message="turned", duration=6.28)

    def _light(self, request, response):
        self.heard.append(("light", request.data))
        response.success, response.message = True, "on"
        return response
