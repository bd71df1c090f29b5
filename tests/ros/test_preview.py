"""Previews by `/skill_runtime/execute` with `preview`: what the deployed skill would do, while nothing moves."""

import json
import subprocess

from action_msgs.msg import GoalStatus
from artifacts import HOME, SKILL, base_joint, tree
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from harness import RELIABLE, bin_dir
from skill_cell import ABORTED, CANCELED, SUCCEEDED
from swarm_msgs.msg import JointCommand

ROLES = {"leader": "ur5e_left", "follower": "ur5e_right", "spotter": "panda"}
# Of virtual time; long enough to be canceled in.
LONG = tree("leader", base_joint(0.1, 1.0), '<Sleep msec="170000"/>')


def test_a_preview_says_what_the_skill_takes_and_moves_nothing(cell, workshop):
    cell.deployed(workshop.make("1.0.0"))
    commands = cell.probe.collect(JointCommand, "/ur5e_left/skill_command", RELIABLE)
    preview = cell.execute(preview=True, trace_id="looked at")
    result = preview.result()
    assert (result.outcome, result.message, result.trace_id) == (SUCCEEDED, "", "looked at")
    assert preview.status == GoalStatus.STATUS_SUCCEEDED
    assert {(arm.role, arm.robot) for arm in result.swept} == set(ROLES.items())
    for arm in result.swept:
        box = [getattr(arm.max, axis) - getattr(arm.min, axis) for axis in "xyz"]
        assert 0.0 < arm.volume <= box[0] * box[1] * box[2] + 1e-9 and arm.voxel > 0.0, arm
    margins = {(margin.limit, margin.robot): margin for margin in result.margins}
    assert all(margin.margin >= 0.0 for margin in result.margins)
    speed = margins["tool speed", "ur5e_left"]
    assert (speed.unit, speed.allowed, speed.role) == ("m/s", 0.3, "leader")
    assert 0.0 < speed.value <= speed.allowed and abs(speed.margin - (speed.allowed - speed.value)) < 1e-9
    assert 0.0 < speed.at < result.duration and speed.phase in ("leave", "return") and "MoveJoints" in speed.node
    # Of something that does not stand still, to compare with: a run, which needs a reset.
    assert cell.safety.state == "DENY" and not commands
    cell.safety.make_ready()
    assert cell.succeeds().duration > 0.0 and commands


def test_a_skill_that_breaks_its_envelope_is_refused_with_the_place(cell, workshop):
    """The leader turns its base joint 0.1 rad; its envelope ends half way."""
    ends = [HOME[0] + 0.05, 3.6, 3.1, 3.6, 3.6, 3.6]
    envelope = f"schema: 1\nrobots:\n  leader: {{joints: {{upper_rad: {ends}, provenance: test}}}}\n"
    cell.deployed(workshop.make("1.0.0", envelope=envelope))
    preview = cell.execute(preview=True)
    result = preview.result()
    assert (result.outcome, preview.status) == (ABORTED, GoalStatus.STATUS_ABORTED)
    assert result.message.startswith("the preview breaks the envelope: joint position of ur5e_left ("), result.message
    assert ", role leader, phase leave, node " in result.message and "MoveJoints" in result.message
    broken = [margin for margin in result.margins if margin.margin < 0.0]
    assert [(margin.limit, margin.robot, margin.phase) for margin in broken] == [("joint position", "ur5e_left", "leave")]
    assert abs(broken[0].margin + 0.05) < 0.005, broken


def test_a_preview_is_canceled_and_keeps_others_out(cell, workshop):
    cell.deployed(workshop.make("1.0.0", LONG))
    refused = canceled = False
    # Minutes are computed in parts of a second: a preview may end before what is asked of it arrives. Then once more.
    for _ in range(20):
        preview = cell.execute(preview=True)
        second = cell.execute(preview=True).result()
        if second.outcome != SUCCEEDED:
            assert (second.outcome, second.message) == (ABORTED, "another preview is being computed; cancel it or wait for its end")
            refused = True
        cell.probe.wait_for(lambda: preview.feedback, "the preview says how far it is")
        assert {state.role for state in preview.feedback[-1].roles} == set(ROLES)
        was_running = preview.cancel_if_running()
        result = preview.result()
        if was_running and result.outcome != SUCCEEDED:
            assert (result.outcome, result.message, preview.status) == (CANCELED, "canceled by the operator", GoalStatus.STATUS_CANCELED)
            assert result.duration < 170.0
            canceled = True
        if refused and canceled:
            return
    raise AssertionError(f"of 20 previews: a second one refused: {refused}, canceled: {canceled}")


def test_a_preview_of_what_is_not_deployed_or_during_a_run_is_refused(cell, workshop):
    cell.ready(workshop.make("1.0.0", tree("leader", base_joint(1.0, 0.02), "<MoveJoints/>")))
    result = cell.execute(preview=True, skill_id="painting").result()
    assert (result.outcome, result.message) == (ABORTED, f"the deployed skill is {SKILL} 1.0.0, not 'painting'")
    run = cell.running(trace_id="long")
    result = cell.execute(preview=True).result()
    assert (result.outcome, result.message) == (ABORTED, "run long is in progress; cancel it or wait for its end")
    run.cancel()
    assert run.result().outcome == CANCELED


def test_the_operators_command_prints_a_preview(cell, workshop, domain):
    cell.deployed(workshop.make("1.0.0"))
    command = [bin_dir() / "execute_skill", "--skill-id", SKILL, "--preview"]
    run = {"env": domain.environment, "capture_output": True, "text": True, "timeout": 120}
    said = subprocess.run(command, **run)
    assert said.returncode == 0 and "the preview succeeded after " in said.stdout, said
    assert "swept space" in said.stdout and "tool speed of ur5e_left" in said.stdout
    lines = subprocess.run([*command, "--json"], **run)
    last = json.loads(lines.stdout.splitlines()[-1])
    assert lines.returncode == 0 and last["outcome"] == "succeeded"
    assert {arm["robot"] for arm in last["arms"]} == set(ROLES.values()) and last["margins"] and last["leases"] == []


def test_what_the_static_check_warns_of_is_logged_and_diagnosed(cell, workshop):
    arrays = cell.probe.collect(DiagnosticArray, "/diagnostics")
    # Nothing comes to the second child.
    leader = tree("leader", "<Fallback><AlwaysSuccess/><MoveJoints/></Fallback>", "<MoveJoints/>")
    cell.deployed(workshop.make("1.0.0", leader))

    def skill():
        found = [status for array in arrays for status in array.status if status.name == "skill_runtime: skill"]
        return found[-1] if found else None

    status = cell.probe.wait_for(lambda: skill() and skill().message.startswith("deployed") and skill(), "the skill is diagnosed")
    assert status.level == DiagnosticStatus.WARN and "warns of" in status.message, status
    values = {pair.key: pair.value for pair in status.values}
    assert "leader.xml" in values["warning_1"] and "BT201" in values["warning_1"] and values["warning_1"] in cell.runtime.log
