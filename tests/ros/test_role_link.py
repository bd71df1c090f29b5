"""Roles on two hosts: two network namespaces with a cable between them, which is cut.

What is asserted is counted in ticks of the roles themselves: a slow machine makes fewer of them in the same time, never more.
"""

import json
import os
import shutil
import subprocess
import uuid

import pytest
from harness import TIMEOUT_S, bin_dir, repository

# Of the default timing, in ticks of 10 ms, and one tick to judge.
PEER_TIMEOUT = 20
HOLD_TIMEOUT = 200

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None,
    reason="network namespaces are made by root with iproute2 (`ip netns`)",
)


def ip(*arguments, namespace=None):
    prefix = ["ip", "-n", namespace] if namespace else ["ip"]
    subprocess.run([*prefix, *arguments], check=True, capture_output=True, text=True)


class Host:
    """A network namespace with one end of the cable."""

    def __init__(self, name: str):
        self.name = name
        ip("netns", "add", name)
        ip("link", "set", "lo", "up", namespace=name)

    def plug(self, end: str, address: str):
        self.end = end
        ip("link", "set", end, "netns", self.name)
        ip("address", "add", f"{address}/24", "dev", end, namespace=self.name)
        ip("link", "set", end, "up", namespace=self.name)
        # Discovery is multicast.
        ip("route", "add", "224.0.0.0/4", "dev", end, namespace=self.name)

    def cut(self):
        ip("link", "set", self.end, "down", namespace=self.name)

    def check(self, role: str, other: str, duration: float) -> subprocess.Popen:
        environment = {
            **os.environ,
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET",
            # One machine after all: nothing may go through its shared memory.
            "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4",
        }
        command = [bin_dir() / "check_role_link", "--role", role, "--with", other, "--duration", str(duration)]
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=repository(),
            env=environment,
        )


@pytest.fixture
def hosts():
    unique = uuid.uuid4().hex[:6]
    made = []
    try:
        for number in range(2):
            made.append(Host(f"swarm{unique}{number}"))
        ends = [f"sw{unique}{number}" for number in range(2)]
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for number, (host, end) in enumerate(zip(made, ends, strict=True)):
            host.plug(end, f"10.77.0.{number + 1}")
        yield made
    finally:
        # The cable goes with the namespaces.
        for host in made:
            subprocess.run(["ip", "netns", "delete", host.name], check=False, capture_output=True)


def lines_until(process: subprocess.Popen, event: str) -> list:
    """What a role says until that event, which is the last."""
    said = []
    for line in process.stdout:
        if not line.startswith("{"):
            continue
        said.append(json.loads(line))
        if said[-1]["event"] == event:
            return said
    raise AssertionError(f"ended with {process.wait()} before '{event}': {said}")


def test_two_hosts_enter_a_phase_together_and_stay_together(hosts):
    roles = [hosts[0].check("leader", "follower", 1.0), hosts[1].check("follower", "leader", 1.0)]
    try:
        for role in roles:
            lines_until(role, "entered")
        for role in roles:
            lines_until(role, "done")
            assert role.wait(TIMEOUT_S) == 0
    finally:
        for role in roles:
            role.kill()


def test_a_host_that_is_cut_off_makes_both_hold_and_then_abort_within_bounded_ticks(hosts):
    roles = [hosts[0].check("leader", "follower", 60.0), hosts[1].check("follower", "leader", 60.0)]
    try:
        for role in roles:
            lines_until(role, "entered")
        hosts[1].cut()
        for role in roles:
            said = lines_until(role, "abort")
            abort = said[-1]
            holds = [line for line in said if line["event"] == "hold"]
            assert holds, said
            # Of several holds, the one that lasted.
            hold = holds[-1]
            assert 0 < hold["silent_ticks"] <= PEER_TIMEOUT + 1, said
            assert abort["tick"] - hold["tick"] <= HOLD_TIMEOUT + 1, said
            assert "no message from" in abort["reason"], said
            assert role.wait(TIMEOUT_S) == 1
    finally:
        for role in roles:
            role.kill()
