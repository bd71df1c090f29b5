"""Cameras for the ROS tests: gst-rtsp-server in a process of its own, ended with the test."""

import json
import subprocess
import time
from pathlib import Path

from harness import TIMEOUT_S, repository

PROGRAM = repository() / "packages/tools/swarm_camera_bed/src/rtsp.py"
LAUNCH = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=30/1 ! x264enc tune=zerolatency "
    "speed-preset=ultrafast key-int-max=30 bitrate=500 ! video/x-h264,profile=baseline ! h264parse ! "
    "rtph264pay name=pay0 pt=96 config-interval=-1 )"
)


class Cameras:
    """RTSP cameras at one port of this machine; `stop` pulls the plug, `start` puts it in again."""

    def __init__(self, count: int):
        self.count, self.port, self.process = count, 0, None
        self.start()

    def start(self):
        # Both clocks at one moment, as near as Python gets.
        offset = time.time_ns() - time.monotonic_ns()
        wish = {
            "address": "127.0.0.1",
            "port": self.port,
            "streams": [{"path": f"/cam{index + 1}", "launch": LAUNCH} for index in range(self.count)],
            "user": None,
            "password": None,
            "sender_reports": True,
            "truth": None,
            "host_minus_monotonic_ns": offset,
        }
        self.process = subprocess.Popen(  # noqa: S603
            ["/usr/bin/python3", str(PROGRAM), json.dumps(wish)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        ready = self.process.stdout.readline().split()
        assert ready[:1] == ["ready"], f"{PROGRAM} said {ready} in the place of 'ready PORT'"
        self.port = int(ready[1])

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait(TIMEOUT_S)
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None

    @property
    def addresses(self) -> list:
        return [f"rtsp://127.0.0.1:{self.port}/cam{index + 1}" for index in range(self.count)]


def bag_of(path: Path):
    """A bag by an independent reader: messages of each topic, decoded."""
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    found = {}
    with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        for connection, stamp, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            found.setdefault(connection.topic, []).append((stamp, message))
    return found
