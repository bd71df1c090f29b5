"""What the skill runtime shows of a run: trees to btview, roles and safety to Foxglove, figures to Prometheus."""

import asyncio
import json
import socket
import struct
import threading
import urllib.request

import pytest
from artifacts import SKILL, SLOW, Workshop
from btview.client import Groot2Client
from btview.protocol.groot2 import ProtocolError
from cell import press
from harness import RELIABLE
from prometheus_client.parser import text_string_to_metric_families
from skill_cell import RUNTIME, SkillCell
from std_msgs.msg import Bool
from websockets.asyncio.client import connect

ROLES = ("leader", "follower", "spotter")


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody listens on."""
    for first in range(21_000, 31_000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise AssertionError("no free ports")


class WatchedCell(SkillCell):
    """A cell whose runtime serves all views."""

    def start_runtime(self):
        self.groot_port = free_ports(8)
        self.foxglove_port, self.metrics_port = self.groot_port + 6, self.groot_port + 7
        ports = {
            "view.groot_port": self.groot_port,
            "view.foxglove_port": self.foxglove_port,
            "view.metrics_port": self.metrics_port,
        }
        self.runtime = self.start(RUNTIME, parameters={**self._with_store(), "peer_timeout_ms": 2000, **ports})

    def metrics(self) -> dict:
        """Samples by name and labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as page:
            assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            text = page.read().decode()
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def watch(self):
        return Viewer(self.foxglove_port)


class Viewer:
    """Collects the views of a Foxglove WebSocket in a thread of its own."""

    def __init__(self, port: int):
        self.views, self.scenes, self.channels, self.error = [], 0, {}, None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._read(port)))
        self._thread.start()

    async def _read(self, port):
        try:
            async with connect(f"ws://127.0.0.1:{port}", subprotocols=["foxglove.sdk.v1"]) as stream:
                while not self._stop.is_set():
                    try:
                        message = await asyncio.wait_for(stream.recv(), 0.2)
                    except TimeoutError:
                        continue
                    if isinstance(message, str):
                        await self._hear(stream, json.loads(message))
                    elif message[0] == 1:
                        (subscription,) = struct.unpack("<I", message[1:5])
                        if self.subscribed[subscription] == "/cell/view":
                            self.views.append(json.loads(message[13:]))
                        else:
                            self.scenes += 1
        except OSError as error:
            self.error = error

    async def _hear(self, stream, message):
        if message["op"] != "advertise":
            return
        self.channels |= {channel["topic"]: channel for channel in message["channels"]}
        self.subscribed = {channel["id"]: topic for topic, channel in self.channels.items()}
        wanted = [{"id": channel["id"], "channelId": channel["id"]} for channel in message["channels"]]
        await stream.send(json.dumps({"op": "subscribe", "subscriptions": wanted}))

    def close(self):
        self._stop.set()
        self._thread.join()


@pytest.fixture
def cell(start, probe, tmp_path):
    return WatchedCell(start, probe, tmp_path, Workshop(tmp_path))


def test_a_run_is_seen_by_every_viewer(cell, probe):
    cell.ready(cell.workshop.make("1.0.0"))
    viewer = cell.watch()
    try:
        probe.wait_for(lambda: viewer.views or viewer.error, "a view is shown")
        assert viewer.error is None
        assert viewer.channels["/cell/view"]["schemaName"] == "swarm.CellView"
        cell.execute(trace_id="watched").result()
        probe.wait_for(lambda: viewer.views[-1]["run"] == "watched" and not viewer.views[-1]["running"], "its end is shown")
    finally:
        viewer.close()
    during = [view for view in viewer.views if view["running"]]
    assert {role["role"] for role in during[-1]["roles"]} == set(ROLES)
    assert any(role["leaves"] for view in during for role in view["roles"]), "leaves are named while they run"
    assert {role["phase"] for view in viewer.views for role in view["roles"]} >= {"leave", "return"}
    assert [role["activity"] for role in viewer.views[-1]["roles"]] == ["succeeded"] * 3
    safety = during[-1]["safety"]
    assert safety["state"] in ("RUN", "SLOW", "READY") and len(safety["robots"]) == 3
    assert all(robot["tcp_speed"]["limit"] > 0 for robot in safety["robots"])
    assert viewer.scenes > 0, "the arms are drawn"

    metrics = cell.metrics()
    assert metrics["skill_execution_total", (("skill_id", SKILL), ("status", "succeeded"))] == 1
    assert metrics["phase_transition_duration_seconds_count", (("from", "start"), ("to", "leave"))] == 1
    assert metrics["phase_transition_duration_seconds_count", (("from", "leave"), ("to", "return"))] == 1
    assert metrics["control_tick_seconds_count", ()] > 10
    assert ("control_overruns_total", ()) in metrics


def test_every_role_has_its_tree_and_nobody_changes_it(cell):
    cell.ready(cell.workshop.make("1.0.0", SLOW))
    cell.running()
    for place, role in enumerate(ROLES):
        client = Groot2Client(port=cell.groot_port + 2 * place)
        assert client.fetch_tree().size > 3
        assert f'<BehaviorTree ID="{role.capitalize()}"' in client.fetch_tree_xml()
        polled = client.poll().statuses
        assert any(state.status.name == "RUNNING" for state in polled.values()), polled
        with pytest.raises(ProtocolError, match="this monitor only shows"):
            client._exchange(ord("I"), b"{}")
        client.close()


def test_a_stop_is_counted_once_with_its_cause(cell, probe):
    cell.ready(cell.workshop.make("1.0.0", SLOW))
    run = cell.running()
    stop = probe.publisher(Bool, "/emergency_stop", RELIABLE)
    press(probe, stop, RELIABLE, lambda: run.ended)
    run.result()
    counted = ("safety_violations_total", (("type", "emergency_stop"),))
    probe.wait_for(lambda: counted in cell.metrics(), "the stop is counted")
    assert cell.metrics()[counted] == 1
    assert cell.metrics()["skill_execution_total", (("skill_id", SKILL), ("status", "aborted"))] == 1


def test_a_taken_port_leaves_out_one_view_and_nothing_else(cell, start, probe):
    with socket.socket() as taken:
        first_free = free_ports(8)
        taken.bind(("127.0.0.1", first_free + 7))
        taken.listen()
        cell.start_sim()
        cell.start_monitor()
        parameters = {**cell._with_store(), "view.foxglove_port": first_free + 6, "view.metrics_port": first_free + 7}
        cell.foxglove_port = first_free + 6
        runtime = start(RUNTIME, parameters=parameters)
        probe.wait_for(lambda: "cannot serve metrics on" in runtime.log, "the taken port is named")
        viewer = cell.watch()
        try:
            probe.wait_for(lambda: viewer.views or viewer.error, "the other view is served")
        finally:
            viewer.close()
        assert viewer.error is None
