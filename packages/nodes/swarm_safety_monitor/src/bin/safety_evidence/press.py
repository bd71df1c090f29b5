"""Presses and releases the emergency stop as its standard input says; prints when it began to publish (CLOCK_MONOTONIC, ns)."""

import sys
import time

import rclpy
from std_msgs.msg import Bool

rclpy.init()
publisher = rclpy.create_node("stop_button").create_publisher(Bool, "/emergency_stop", 10)
while not publisher.get_subscription_count():
    time.sleep(0.01)
print("ready", flush=True)
for line in sys.stdin:
    message = Bool(data=line == "press\n")
    began = time.monotonic_ns()
    publisher.publish(message)
    print(began, flush=True)
