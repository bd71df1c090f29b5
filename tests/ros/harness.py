"""What the ROS tests share: processes of nodes under test, an rclpy node that watches them, waits with an end.

No test sleeps: everything that takes time is waited for as a condition, with a time-out that only a failure reaches.
"""

import fcntl
import os
import signal
import subprocess
import time
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# Generous: reached on failure only, and a loaded two-core machine is slow to discover.
TIMEOUT_S = 30.0
# Share of a wait that is spent inside the executor before the condition is looked at again.
TURN_S = 0.02


def qos(reliable: bool, transient_local: bool, depth: int = 10) -> QoSProfile:
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if transient_local else DurabilityPolicy.VOLATILE,
    )


RELIABLE = qos(reliable=True, transient_local=False)
SENSOR = qos(reliable=False, transient_local=False)
LATCHED = qos(reliable=True, transient_local=True)


def bin_dir() -> Path:
    """Folder of the built executables; `cargo xtask test` sets it."""
    folder = os.environ.get("SWARM_BIN_DIR")
    if not folder:
        raise RuntimeError("SWARM_BIN_DIR is not set: run these tests with `cargo xtask test`, or set it to target/debug")
    return Path(folder)


def repository() -> Path:
    return Path(__file__).resolve().parents[2]


class Domain:
    """A ROS domain that no other test process on this machine uses, held by a file lock."""

    def __init__(self):
        for number in range(1, 100):
            lock = open(f"/tmp/swarm_ros_domain_{number}.lock", "w")  # noqa: SIM115 - held as long as the domain
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                continue
            self.id, self._lock = number, lock
            return
        raise RuntimeError("all 99 ROS domains are in use by other test processes")

    @property
    def environment(self) -> dict:
        """Variables of a process in this domain."""
        return {**os.environ, "ROS_DOMAIN_ID": str(self.id), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}

    def close(self):
        self._lock.close()


class NodeProcess:
    """One node under test, ended by its own process id."""

    def __init__(self, executable: str, domain: Domain, log: Path, ros_args=(), parameters=None, env=None):
        path = bin_dir() / executable
        if not path.exists():
            raise RuntimeError(f"{path} does not exist: build it first (cargo build, see `cargo xtask test`)")
        command = [str(path), "--ros-args", *ros_args]
        for name, value in (parameters or {}).items():
            command += ["-p", f"{name}:={_yaml(value)}"]
        self.name, self.log_path = executable, log
        self._log = open(log, "ab")  # noqa: SIM115 - closed in stop()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            cwd=repository(),
            env={**domain.environment, **(env or {})},
        )

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def running(self) -> bool:
        return self.process.poll() is None

    def thread(self, name: str) -> int:
        """The number of its thread of this name."""
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        return next(int(thread.name) for thread in threads if (thread / "comm").read_text().strip() == name)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def kill(self):
        """As the kernel's OOM killer or a power cut would: no clean-up runs."""
        self.process.kill()
        self.process.wait(TIMEOUT_S)

    def wait(self, timeout: float = TIMEOUT_S) -> int:
        return self.process.wait(timeout)

    def stop(self):
        if self.running():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self._log.close()


def _yaml(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class Probe:
    """An rclpy node that watches and drives the nodes under test."""

    def __init__(self, domain: Domain, name: str = "probe"):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain.id)
        self.node = rclpy.create_node(name, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self._clients = {}

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def wait_for(self, condition, what: str, timeout: float = TIMEOUT_S):
        """Spins until `condition()` is truthy and returns its value; fails with `what` after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout} s: {what() if callable(what) else what}")
            self.executor.spin_once(timeout_sec=TURN_S)

    def holds_for(self, condition, seconds: float, what: str):
        """Spins for `seconds` during which `condition()` must stay true; for promises that nothing happens."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert condition(), f"did not hold for {seconds} s: {what}"
            self.executor.spin_once(timeout_sec=TURN_S)

    def call(self, service_type, name: str, request=None, timeout: float = TIMEOUT_S):
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self.node.create_client(service_type, name)
        self.wait_for(client.service_is_ready, f"service {name} is offered", timeout)
        future = client.call_async(request if request is not None else service_type.Request())
        self.wait_for(future.done, f"service {name} answers", timeout)
        return future.result()

    def collect(self, message_type, topic: str, profile=RELIABLE) -> list:
        """A list that fills with the topic's messages while the probe spins."""
        messages = []
        self.node.create_subscription(message_type, topic, messages.append, profile)
        return messages

    def publisher(self, message_type, topic: str, profile=RELIABLE, matched: bool = True):
        publisher = self.node.create_publisher(message_type, topic, profile)
        if matched:
            self.wait_for(lambda: publisher.get_subscription_count() > 0, f"somebody subscribes to {topic}")
        return publisher

    def stamp(self):
        return self.node.get_clock().now().to_msg()
