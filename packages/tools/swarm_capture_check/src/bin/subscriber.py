"""Counts the messages on the topics that it is told, coded video, until its standard input ends; prints how many."""

import sys
import threading

import rclpy
from foxglove_msgs.msg import CompressedVideo
from rclpy.qos import QoSProfile, ReliabilityPolicy

heard = 0


def count(_):
    global heard
    heard += 1


rclpy.init()
node = rclpy.create_node("subscriber")
profile = QoSProfile(depth=30, reliability=ReliabilityPolicy.BEST_EFFORT)
subscriptions = [node.create_subscription(CompressedVideo, topic, count, profile, raw=True) for topic in sys.argv[1:]]
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
while not ended.is_set():
    rclpy.spin_once(node, timeout_sec=0.1)
print(heard)
