"""Cameras for the ROS tests: gst-rtsp-server in a process of its own, ended with the test."""

import subprocess
from pathlib import Path

from harness import TIMEOUT_S

PROGRAM = Path(__file__).with_name("rtsp_cameras.py")


class Cameras:
    """RTSP cameras at one port of this machine; `stop` pulls the plug, `start` puts it in again."""

    def __init__(self, count: int):
        self.count, self.port, self.process = count, 0, None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", str(PROGRAM), str(self.count), str(self.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
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
