"""What every node of the suite promises a ROS 2 user, seen from rclpy. The node is the example of swarm_ros."""

import json
import time
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from harness import LATCHED, TIMEOUT_S, repository
from lifecycle_msgs.msg import State, Transition, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetAvailableStates, GetAvailableTransitions, GetState
from rcl_interfaces.msg import Log, LoggerLevel, Parameter, ParameterEvent, ParameterType, ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetLoggerLevels,
    SetParameters,
    SetParametersAtomically,
)
from std_msgs.msg import Float64
from std_srvs.srv import SetBool

NODE = "examples/minimal_node"
NAME = "/minimal_node"


def state(probe, name=NAME) -> str:
    return probe.call(GetState, f"{name}/get_state").current_state.label


def change(probe, label: str, name=NAME) -> bool:
    return probe.call(ChangeState, f"{name}/change_state", ChangeState.Request(transition=Transition(label=label))).success


def double(name, value):
    return Parameter(name=name, value=ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value))


def integer(name, value):
    return Parameter(name=name, value=ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=value))


@pytest.mark.parametrize("named", [{"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, {"ROS_LOCALHOST_ONLY": "1"}, {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}])
def test_no_memory_is_shared_with_another_process_and_others_hear_the_node(start, probe, domain, named):
    profile = repository() / "config" / "fastdds.xml"
    launched = {"FASTRTPS_DEFAULT_PROFILES_FILE": str(profile), "FASTDDS_BUILTIN_TRANSPORTS": "", "ROS_AUTOMATIC_DISCOVERY_RANGE": ""}
    node = start(NODE, env={**launched, **named})
    probe.wait_for(lambda: state(probe) == "active", "the node is active")
    maps = Path(f"/proc/{node.process.pid}/maps").read_text()
    assert "libfastrtps" in maps and "/dev/shm/fastrtps" not in maps
    assert "XMLPARSER" not in node.log, "the middleware reads the profile"
    # Fast DDS names its threads after the ports that they listen on; this one is for multicast (RTPS 9.6.1).
    threads = [thread.read_text().strip() for thread in Path(f"/proc/{node.process.pid}/task").glob("*/comm")]
    assert (f"dds.udp.{7400 + 250 * domain.id}" in threads) == ("SUBNET" in named.values()), threads


def set_one(probe, parameter):
    request = SetParameters.Request(parameters=[parameter])
    return probe.call(SetParameters, f"{NAME}/set_parameters", request).results[0]


def get(probe, *names):
    return probe.call(GetParameters, f"{NAME}/get_parameters", GetParameters.Request(names=list(names))).values


# --- life cycle


def test_a_plain_start_leads_to_active(start, probe):
    start(NODE)
    probe.wait_for(lambda: state(probe) == "active", "the node is active")


def test_without_autostart_the_node_waits_for_its_transitions(start, probe):
    start(NODE, parameters={"autostart": False})
    events = probe.collect(TransitionEvent, f"{NAME}/transition_event")
    probe.wait_for(lambda: probe.node.count_publishers(f"{NAME}/transition_event"), "events are offered")
    assert state(probe) == "unconfigured"
    assert change(probe, "configure")
    assert state(probe) == "inactive"
    assert change(probe, "activate")
    assert state(probe) == "active"
    probe.wait_for(lambda: len(events) >= 4, "four transition events")
    assert [event.goal_state.label for event in events] == ["configuring", "inactive", "activating", "active"]
    assert events[0].transition.id == Transition.TRANSITION_CONFIGURE


def test_a_transition_that_the_state_does_not_have_is_refused(start, probe):
    start(NODE, parameters={"autostart": False})
    assert not change(probe, "activate")
    assert state(probe) == "unconfigured"


def test_a_failed_activation_leaves_the_node_inactive_and_can_be_tried_again(start, probe):
    start(NODE, parameters={"autostart": False})
    probe.call(SetBool, f"{NAME}/fail_next", SetBool.Request(data=True))
    assert change(probe, "configure")
    assert not change(probe, "activate")
    assert state(probe) == "inactive"
    assert change(probe, "activate")


def test_the_whole_life_ends_in_finalized(start, probe):
    start(NODE)
    for label, after in [
        ("deactivate", "inactive"),
        ("cleanup", "unconfigured"),
        ("configure", "inactive"),
        ("activate", "active"),
        ("shutdown", "finalized"),
    ]:
        assert change(probe, label), label
        assert state(probe) == after
    assert not change(probe, "configure")


def test_the_graph_is_the_one_that_ros2_lifecycle_knows(start, probe):
    start(NODE)
    states = probe.call(GetAvailableStates, f"{NAME}/get_available_states").available_states
    assert {s.label: s.id for s in states}["errorprocessing"] == State.TRANSITION_STATE_ERRORPROCESSING
    graph = probe.call(GetAvailableTransitions, f"{NAME}/get_transition_graph").available_transitions
    assert len(graph) == 25
    now = probe.call(GetAvailableTransitions, f"{NAME}/get_available_transitions").available_transitions
    assert {(t.transition.label, t.goal_state.label) for t in now} == {
        ("deactivate", "deactivating"),
        ("shutdown", "shuttingdown"),
    }


def test_an_inactive_node_does_not_act(start, probe):
    start(NODE)
    numbers, doubled = probe.publisher(Float64, f"{NAME}/in"), probe.collect(Float64, f"{NAME}/out")
    probe.wait_for(lambda: probe.node.count_publishers(f"{NAME}/out") and state(probe) == "active", "the node is active")

    def answered():
        numbers.publish(Float64(data=21.0))
        return doubled

    probe.wait_for(answered, "an active node answers")
    assert doubled[0].data == 42.0
    assert change(probe, "deactivate")
    for _ in range(5):
        numbers.publish(Float64(data=1.0))
    probe.holds_for(lambda: all(message.data == 42.0 for message in doubled), 0.5, "an inactive node stays silent")


# --- parameters


def test_parameters_are_described_with_type_range_and_rule(start, probe):
    start(NODE)
    request = DescribeParameters.Request(names=["factor", "unit", "even", "unknown"])
    factor, unit, even, unknown = probe.call(DescribeParameters, f"{NAME}/describe_parameters", request).descriptors
    assert (factor.type, factor.description) == (ParameterType.PARAMETER_DOUBLE, "What each number is multiplied by")
    assert (factor.floating_point_range[0].from_value, factor.floating_point_range[0].to_value) == (-10.0, 10.0)
    assert unit.read_only and not factor.read_only
    assert (even.integer_range[0].to_value, even.additional_constraints) == (100, "even")
    assert unknown.type == ParameterType.PARAMETER_NOT_SET


def test_the_standard_parameters_are_declared(start, probe):
    start(NODE)
    names = probe.call(ListParameters, f"{NAME}/list_parameters").result.names
    assert {"use_sim_time", "autostart", "log_level", "log_format"} <= set(names)
    types = probe.call(GetParameterTypes, f"{NAME}/get_parameter_types", GetParameterTypes.Request(names=["autostart", "x"]))
    assert list(types.types) == [ParameterType.PARAMETER_BOOL, ParameterType.PARAMETER_NOT_SET]


def test_a_change_takes_effect_and_is_announced(start, probe):
    start(NODE)
    numbers, doubled = probe.publisher(Float64, f"{NAME}/in"), probe.collect(Float64, f"{NAME}/out")
    events = probe.collect(ParameterEvent, "/parameter_events")
    probe.wait_for(lambda: probe.node.count_publishers(f"{NAME}/out"), "the output is offered")
    assert set_one(probe, double("factor", -1.5)).successful

    def answered():
        numbers.publish(Float64(data=2.0))
        return any(message.data == -3.0 for message in doubled)

    probe.wait_for(answered, "the new factor is used")
    changed = [p.name for event in events if event.node == NAME for p in event.changed_parameters]
    assert changed == ["factor"]


@pytest.mark.parametrize(
    "parameter, reason",
    [
        (double("factor", 10.5), "parameter 'factor': 10.5 is outside of -10.0..10.0"),
        (double("factor", float("nan")), "parameter 'factor': NaN is outside of -10.0..10.0"),
        (integer("even", 3), "parameter 'even': 3 is odd"),
        (double("even", 4.0), "parameter 'even': expected integer, got double 4.0"),
        (
            Parameter(name="unit", value=ParameterValue(type=ParameterType.PARAMETER_STRING, string_value="inch")),
            "parameter 'unit' is read-only while the node runs (now 'metre'); give it at start instead",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_the_reason(start, probe, parameter, reason):
    start(NODE)
    before = get(probe, parameter.name)
    result = set_one(probe, parameter)
    assert (result.successful, result.reason) == (False, reason)
    assert get(probe, parameter.name) == before


def test_an_undeclared_parameter_is_refused(start, probe):
    start(NODE)
    result = set_one(probe, integer("evne", 2))
    assert not result.successful and "is not declared; this node has: " in result.reason


def test_an_atomic_change_is_all_or_nothing(start, probe):
    start(NODE)
    request = SetParametersAtomically.Request(parameters=[double("factor", 4.0), integer("even", 5)])
    assert not probe.call(SetParametersAtomically, f"{NAME}/set_parameters_atomically", request).result.successful
    assert get(probe, "factor")[0].double_value == 2.0


def test_parameter_file_remap_and_namespace_are_obeyed(start, probe, tmp_path):
    file = tmp_path / "parameters.yaml"
    file.write_text("/cell/tripler:\n  ros__parameters:\n    factor: 3\n")
    start(NODE, "--params-file", str(file), "-r", "__ns:=/cell", "-r", "__node:=tripler", "-r", "~/out:=/cell/result")
    numbers, results = probe.publisher(Float64, "/cell/tripler/in"), probe.collect(Float64, "/cell/result")

    def answered():
        numbers.publish(Float64(data=5.0))
        return results

    probe.wait_for(answered, "the remapped node answers on the remapped topic")
    assert results[0].data == 15.0


def test_all_wrong_overrides_are_named_at_once_and_the_node_does_not_start(start):
    node = start(NODE, parameters={"factor": 30.0, "even": 7})
    assert node.wait() == 1
    assert "2 parameter(s) cannot be used" in node.log
    assert "30.0 is outside of -10.0..10.0" in node.log and "7 is odd" in node.log


def test_a_misspelt_override_is_warned_of(start, probe):
    node = start(NODE, parameters={"facter": 3.0})
    probe.wait_for(lambda: "the parameter 'facter' was given and this node does not have it" in node.log, "the warning")


def test_a_malformed_ros_argument_is_named(start):
    node = start(NODE, "-p", "no colon")
    assert node.wait() == 1
    assert "Couldn't parse parameter override rule: '-p no colon'" in node.log


# --- log, diagnostics, end


def test_the_log_goes_to_rosout_with_level_name_and_place(start, probe):
    records = probe.collect(Log, "/rosout", LATCHED)
    start(NODE, "-r", "__ns:=/cell")
    record = probe.wait_for(lambda: next((r for r in records if r.msg == "doubling"), None), "the record on /rosout")
    assert (record.name, record.level) == ("cell.minimal_node", 20)
    assert record.file.endswith("minimal_node.rs") and record.line > 0


def test_the_log_level_can_be_changed_at_run_time(start, probe):
    start(NODE, "--log-level", "warn")
    records = probe.collect(Log, "/rosout", LATCHED)
    level = get(probe, "log_level")[0].string_value
    assert level == "warn"
    request = SetLoggerLevels.Request(levels=[LoggerLevel(name="", level=LoggerLevel.LOG_LEVEL_DEBUG)])
    assert probe.call(SetLoggerLevels, f"{NAME}/set_logger_levels", request).results[0].successful
    change(probe, "deactivate")
    probe.wait_for(lambda: any("active -> deactivating" in r.msg for r in records), "debug records appear")


def test_the_console_can_be_json(start, probe):
    node = start(NODE, parameters={"log_format": "json"})
    probe.wait_for(lambda: "doubling" in node.log, "the record on the console")
    records = [json.loads(line) for line in node.log.splitlines() if line.startswith("{")]
    record = next(r for r in records if r["message"] == "doubling")
    assert (record["level"], record["target"]) == ("INFO", "minimal_node")


def test_diagnostics_come_by_themselves_and_count_losses(start, probe):
    start(NODE)
    arrays = probe.collect(DiagnosticArray, "/diagnostics")
    first = probe.wait_for(lambda: arrays, "diagnostics arrive")[0]
    assert {"minimal_node: node", "minimal_node: subscription ~/in"} <= {status.name for status in first.status}
    numbers = probe.publisher(Float64, f"{NAME}/in")
    for _ in range(10):
        numbers.publish(Float64(data=1.0))

    def received():
        last = {status.name: status for status in arrays[-1].status}["minimal_node: subscription ~/in"]
        values = {value.key: int(value.value) for value in last.values}
        return values["received"] == 10

    probe.wait_for(received, "all ten messages are counted")


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice, as under ros2 launch"])
@pytest.mark.parametrize("end", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_node_cleanly_within_two_seconds(start, probe, end, times):
    node = start(NODE)
    probe.wait_for(lambda: state(probe) == "active", "the node is active")
    told = time.monotonic()
    for _ in range(times):
        node.interrupt() if end == "SIGINT" else node.process.terminate()
    assert node.wait(TIMEOUT_S) == 0
    assert time.monotonic() - told < 2.0
    assert f"{end}: shutting down" in node.log
