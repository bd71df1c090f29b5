"""For each line of standard input: waits until the permit lets every arm move, presses the emergency stop, waits until the permit is zero
for every arm, releases the stop, and prints the time from `publish` to the callback (ns)."""

import sys
import time

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool
from swarm_msgs.msg import Permit

PATIENCE_S = 10.0

rclpy.init()
node = rclpy.create_node("stop_button")
executor = SingleThreadedExecutor()
executor.add_node(node)
button = node.create_publisher(Bool, "/emergency_stop", 10)
# Newest permit, and when it came.
heard = []
newest_only = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
permits = node.create_subscription(
    Permit, "/safety_monitor/permit", lambda permit: heard.append((time.monotonic_ns(), permit.speed_scale)), newest_only
)


def spin_until(condition, what):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"no {what} within {PATIENCE_S} s")
        executor.spin_once(timeout_sec=0.1)


def may_move():
    """By several permits, so that none of them has waited for this process."""
    return len(heard) > 3 and all(scale > 0.0 for _, scales in heard[-3:] for scale in scales)


spin_until(lambda: button.get_subscription_count() and node.count_publishers("/safety_monitor/permit"), "gate")
print("ready", flush=True)
for _ in sys.stdin:
    heard.clear()
    spin_until(may_move, "permit to move")
    heard.clear()
    began = time.monotonic_ns()
    button.publish(Bool(data=True))
    spin_until(lambda: heard and not any(heard[-1][1]), "permit of zero")
    print(heard[-1][0] - began, flush=True)
    button.publish(Bool(data=False))
