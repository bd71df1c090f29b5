"""Deployment and execution of skills by the skill runtime, seen from rclpy."""

import contextlib
import os
import re
import subprocess

import pytest
from action_msgs.msg import GoalStatus
from artifacts import QUICK, SKILL, SLOW, STEADY
from cell import press
from harness import LATCHED, RELIABLE, Probe, bin_dir, qos
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from skill_cell import ABORTED, CANCELED, SUCCEEDED
from std_msgs.msg import Bool
from swarm_msgs.msg import RuntimeStatus
from swarm_msgs.srv import Deploy

ROLES = ("leader", "follower", "spotter")


# --- execution


def test_a_run_of_all_roles_reports_phases_and_succeeds(cell, workshop):
    cell.ready(workshop.make("1.0.0"))
    run = cell.execute(trace_id="run-7")
    result = run.result()
    assert (result.outcome, result.message, result.trace_id) == (SUCCEEDED, "", "run-7")
    assert result.duration > 0.2
    assert {feedback.phase for feedback in run.feedback} >= {"leave", "return"}
    assert {state.role for state in run.feedback[-1].roles} == set(ROLES)
    assert [feedback.progress for feedback in run.feedback] == sorted(feedback.progress for feedback in run.feedback)
    assert run.feedback[-1].progress == 1.0
    cell.wait_standing()


def test_roles_and_simulated_arms_run_in_real_time_where_it_is_granted(cell, workshop):
    cell.ready(workshop.make("1.0.0"))
    for node, thread, priority in [(cell.sim, "physics", 70), (cell.runtime, "control", 60)]:
        trial = subprocess.run(["chrt", "--fifo", str(priority), "true"], capture_output=True)
        if trial.returncode == 0:
            number = node.thread(thread)
            policy = os.sched_getscheduler(number) & ~os.SCHED_RESET_ON_FORK
            assert (policy, os.sched_getparam(number).sched_priority) == (os.SCHED_FIFO, priority)
        else:
            assert f"asked for SCHED_FIFO with priority {priority}" in node.log, node.log
    cell.succeeds()


def test_three_separate_goals_make_one_run(cell, workshop):
    cell.ready(workshop.make("1.0.0"))
    runs = {role: cell.execute(role=role, trace_id="joined", join_timeout=60.0) for role in ROLES}
    for role, run in runs.items():
        result = run.result()
        assert (result.outcome, result.trace_id) == (SUCCEEDED, "joined"), result.message
        assert {feedback.role for feedback in run.feedback} == {role}


def test_a_run_that_lacks_a_role_starts_for_nobody(cell, workshop):
    cell.ready(workshop.make("1.0.0", SLOW))
    runs = [cell.execute(role=role, join_timeout=0.5) for role in ("leader", "spotter")]
    for run in runs:
        result = run.result()
        assert result.outcome == ABORTED
        assert result.message.startswith("waited 0.") and result.message.endswith("for the other roles; still missing: follower")
    assert cell.standing_now()


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        ({"skill_id": "painting"}, f"the deployed skill is {SKILL} 1.0.0, not 'painting'"),
        ({"role": "boss"}, "'boss' is not a role; expected leader, follower or spotter"),
    ],
)
def test_a_goal_that_cannot_be_carried_out_says_why(cell, workshop, goal, message):
    cell.ready(workshop.make("1.0.0"))
    result = cell.execute(**goal).result()
    assert (result.outcome, result.message) == (ABORTED, message)
    cell.succeeds()


def test_a_second_goal_during_a_run_is_refused_and_the_run_goes_on(cell, workshop):
    cell.ready(workshop.make("1.0.0", SLOW))
    run = cell.running(trace_id="first")
    result = cell.execute(role="leader").result()
    assert (result.outcome, result.message) == (ABORTED, "run first is in progress; cancel it or wait for its end")
    assert not run.ended
    cell.wait_moving()


def test_a_cancel_is_answered_when_the_arms_stand(cell, workshop):
    cell.ready(workshop.make("1.0.0", SLOW))
    run = cell.running()
    run.cancel()
    result = run.result()
    assert (result.outcome, result.message) == (CANCELED, "canceled by the operator")
    # What the runtime had measured when it answered is older than the next report.
    cell.wait_standing()
    cell.safety.wait("READY", "DENY", "STOP2", "STOP1", "ESTOP")
    assert cell.safety.state == "READY", "a cancel is no stop"
    assert cell.deploy(workshop.make("1.1.0")).success, "the arms are at rest"
    cell.succeeds()


def test_a_goal_that_waits_for_others_can_be_canceled(cell, workshop):
    cell.ready(workshop.make("1.0.0"))
    waiting = cell.execute(role="leader", join_timeout=60.0)
    waiting.cancel()
    assert waiting.result().outcome == CANCELED
    cell.succeeds()


def test_a_goal_that_waits_starts_nothing_of_a_version_that_comes_meanwhile(cell, workshop):
    cell.ready(workshop.make("1.0.0"))
    old = cell.execute(role="leader", join_timeout=60.0)
    assert cell.deploy(workshop.make("1.1.0")).success
    result = old.result()
    assert result.outcome == ABORTED
    now = f"the skill in force was {SKILL} 1.0.0 when the goal came and is {SKILL} 1.1.0 now; start again"
    assert result.message == now
    assert cell.standing_now()


def test_the_cancel_of_one_role_halts_them_all(cell, workshop):
    cell.ready(workshop.make("1.0.0", SLOW))
    runs = [cell.execute(role=role, join_timeout=60.0) for role in ROLES]
    cell.wait_moving()
    runs[2].cancel()
    assert [run.result().outcome for run in runs] == [CANCELED] * 3
    # In ROS only a goal that was asked to cancel may end as canceled.
    assert [run.status for run in runs] == [GoalStatus.STATUS_ABORTED, GoalStatus.STATUS_ABORTED, GoalStatus.STATUS_CANCELED]
    cell.wait_standing()


@pytest.mark.parametrize("profile", [qos(reliable, latched) for reliable in (False, True) for latched in (False, True)], ids=str)
def test_an_emergency_stop_aborts_the_run_and_a_reset_does_not_resume_it(cell, workshop, probe, profile):
    cell.ready(workshop.make("1.0.0", SLOW))
    run = cell.running()
    stop = probe.publisher(Bool, "/emergency_stop", profile)
    press(probe, stop, profile, lambda: run.ended)
    result = run.result()
    assert result.outcome == ABORTED
    assert result.message.startswith("the safety monitor stopped the cell: ESTOP: emergency_stop"), result.message
    cell.wait_standing()
    refused = cell.execute().result()
    assert refused.outcome == ABORTED and "permits no motion: ESTOP" in refused.message, refused.message
    stop.publish(Bool(data=False))
    cell.safety.make_ready()
    ready_since = cell.reports.newest().cycle
    probe.wait_for(lambda: cell.reports.newest().cycle > ready_since + 250, "half a second of simulated time")
    assert cell.standing_now(), "the stopped run does not go on"
    cell.running().cancel()


# --- deployment


def test_before_the_first_deployment_there_is_nothing_to_run_reload_or_roll_back(cell, workshop):
    cell.begin()
    assert cell.reload().message == "no skill has been deployed yet; use /skill_runtime/deploy; nothing is deployed"
    assert cell.rollback().message == f"nothing is deployed in '{cell.store}'; nothing is deployed"
    result = cell.execute().result()
    assert (result.outcome, result.message) == (ABORTED, "no skill is deployed; use /skill_runtime/deploy")


def test_deploy_rollback_reload_and_a_named_version(cell, workshop, probe):
    first, second = workshop.make("1.0.0"), workshop.make("1.1.0")
    cell.ready(first)
    answer = cell.deploy(second, skill_id=SKILL)
    assert (answer.success, answer.skill, answer.version) == (True, SKILL, "1.1.0"), answer.message
    assert answer.message == f"{SKILL} 1.1.0 is deployed"
    cell.wait_in_force("1.1.0")
    assert cell.statuses[-1].last_good == "1.0.0"

    answer = cell.rollback()
    assert (answer.success, answer.message) == (True, f"{SKILL} 1.0.0 is deployed")
    cell.wait_in_force("1.0.0")

    answer = cell.rollback_to("1.1.0")
    assert (answer.success, answer.version) == (True, "1.1.0"), answer.message
    cell.wait_in_force("1.1.0")

    answer = cell.rollback_to("9.0.0")
    assert (answer.success, answer.version) == (False, "1.1.0")
    assert answer.message == (
        f"version 9.0.0 of skill '{SKILL}' was not good here before; versions to go back to: 1.0.0; {SKILL} 1.1.0 stays deployed"
    )
    answer = cell.rollback_to("one")
    assert not answer.success and answer.message.startswith("'one' is no version such as 1.0.0: "), answer.message

    answer = cell.reload()
    assert (answer.success, answer.message) == (True, f"{SKILL} 1.1.0 is deployed")
    late = probe.collect(RuntimeStatus, "/skill_runtime/status", LATCHED)
    status = probe.wait_for(lambda: late, "a late joiner learns what is deployed")[-1]
    assert (status.skill, status.version) == (SKILL, "1.1.0")
    cell.safety.make_ready()
    cell.succeeds()


def test_an_older_version_that_was_never_here_is_deployed_only_if_older_is_allowed(cell, workshop, domain):
    older = workshop.make("0.9.0")
    cell.deployed(workshop.make("1.0.0"))
    answer = cell.deploy(older)
    assert (answer.success, answer.unacceptable) == (False, True)
    assert "to go back on purpose, ask for a rollback" in answer.message and f"{SKILL} 1.0.0 stays deployed" in answer.message
    answer = cell.deploy(older, allow_older=True)
    assert (answer.success, answer.version, answer.unacceptable) == (True, "0.9.0", False), answer.message
    cell.wait_in_force("0.9.0")
    newer, oldest = workshop.make("1.1.0"), workshop.make("0.8.0")
    assert cell.deploy(newer).success
    done = command(domain, "deploy_csa", "--csa-path", oldest)
    assert done.returncode == 1 and "ask for a rollback" in done.stderr, done
    done = command(domain, "deploy_csa", "--csa-path", oldest, "--allow-older")
    assert done.returncode == 0 and f"{SKILL} 0.8.0 is deployed" in done.stdout, done


def test_nothing_is_deployed_while_a_run_is_in_progress(cell, workshop):
    cell.ready(workshop.make("1.0.0", SLOW))
    cell.running(trace_id="busy")
    better = workshop.make("1.1.0")
    for answer in (cell.deploy(better), cell.reload()):
        assert not answer.success
        assert answer.message == f"run busy is in progress; cancel it or wait for its end; {SKILL} 1.0.0 stays deployed"
    assert not cell.deploy(better).unacceptable, "it is only a bad moment"
    cell.wait_moving()


@pytest.mark.parametrize(
    "tree, compared",
    [
        (STEADY, r"it did the same for all \d+ ticks$"),
        (QUICK, r"it first parted at tick \d+ \(\d+\.\d\d s into the run\): leader in phase 'leave' wants .* rad/s of joint 0, the run .* rad/s$"),
    ],
    ids=["same", "other"],
)
def test_a_deployment_that_may_wait_swaps_between_two_runs_and_says_how_the_versions_compared(cell, workshop, probe, tree, compared):
    cell.ready(workshop.make("1.0.0", STEADY))
    patience = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=50.0)
    request = SetParameters.Request(parameters=[Parameter(name="swap_wait_s", value=patience)])
    assert probe.call(SetParameters, "/skill_runtime/set_parameters", request).results[0].successful
    better = workshop.make("1.1.0", tree)
    run = cell.running(trace_id="steady")
    answer = cell.deploy(better)
    assert (answer.success, answer.version) == (True, "1.1.0"), answer.message
    assert re.match(f"{SKILL} 1.1.0 is deployed; beside run steady {compared}", answer.message), answer.message
    result = run.result()
    assert result.outcome == SUCCEEDED, result.message
    assert not any(status.running and status.version == "1.1.0" for status in cell.statuses), "never in the middle of a run"
    cell.wait_in_force("1.1.0")
    cell.safety.make_ready()
    cell.succeeds()


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_what_is_deployed_or_rolled_back_survives_a_restart(cell, workshop, version):
    cell.ready(workshop.make("1.0.0"))
    assert cell.deploy(workshop.make("1.1.0")).success
    if version == "1.0.0":
        assert cell.rollback().success
    cell.runtime.stop()
    cell.start_runtime()
    cell.wait_in_force(version)
    cell.safety.make_ready()
    cell.succeeds()


def test_a_runtime_killed_while_deploying_comes_back_with_the_old_or_the_new_version(cell, workshop, probe):
    """kill -9 at five moments of a deployment, from its first message to after its end; the store is never half-written."""
    cell.ready(workshop.make("1.0.0"))
    version = "1.0.0"
    for minor, turns in enumerate((0, 1, 2, 4, 8), start=1):
        candidate = f"1.{minor}.0"
        client = probe.node.create_client(Deploy, "/skill_runtime/deploy")
        probe.wait_for(client.service_is_ready, "the runtime is there")
        client.call_async(Deploy.Request(csa_path=str(workshop.make(candidate))))
        for _ in range(turns):
            probe.executor.spin_once(timeout_sec=0.005)
        cell.runtime.kill()
        probe.node.destroy_client(client)
        cell.start_runtime()
        version = cell.wait_in_force(version, candidate)
    cell.safety.make_ready()
    cell.succeeds()


# --- nodes that die


@pytest.mark.parametrize("victim", ["sim", "monitor", "runtime"])
def test_a_node_killed_during_a_run_stops_the_arms_and_its_restart_recovers(cell, workshop, victim):
    cell.ready(workshop.make("1.0.0", SLOW))
    run = cell.running()
    getattr(cell, victim).kill()
    if victim != "runtime":
        result = run.result()
        assert result.outcome == ABORTED
        # Without the arms' states runtime and safety monitor both stop the run; either may be first.
        words = (
            "the last /safety_monitor status is" if victim == "monitor" else "the joint state of ur5e_.* old|joint_state_timeout"
        )
        assert re.search(words, result.message), result.message
    if victim != "sim":
        cell.wait_standing()
    getattr(cell, f"start_{victim}")()
    cell.wait_in_force("1.0.0")
    cell.reports.all.clear()
    cell.safety.make_ready()
    cell.running_again().cancel()


def test_a_deactivated_runtime_halts_its_run_and_does_nothing_more(cell, workshop, probe):
    cell.ready(workshop.make("1.0.0", SLOW))
    run = cell.running()

    def change(transition):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert probe.call(ChangeState, "/skill_runtime/change_state", request).success

    change(Transition.TRANSITION_DEACTIVATE)
    assert run.result().message == "the runtime is being deactivated"
    cell.wait_standing()
    for answer in (cell.reload(), cell.rollback(), cell.deploy(workshop.make("1.1.0"))):
        assert (answer.success, answer.message) == (False, "the runtime is not active")
    assert cell.execute().result().message == "the runtime is not active"
    change(Transition.TRANSITION_ACTIVATE)
    cell.running().cancel()


def test_ctrl_c_halts_the_run_before_the_node_ends(cell, workshop):
    cell.ready(workshop.make("1.0.0", SLOW))
    cell.running()
    cell.runtime.interrupt()
    assert cell.runtime.wait() == 0
    cell.wait_standing()
    assert cell.safety.state in ("READY", "RUN"), "the arms were brought to rest by the runtime, not stopped"


# --- the commands that users type


def command(domain, name, *arguments):
    return subprocess.run(
        [bin_dir() / name, *map(str, arguments)], env=domain.environment, capture_output=True, text=True, timeout=120
    )


def test_the_operators_commands(cell, workshop, domain):
    first, second = workshop.make("1.0.0"), workshop.make("1.1.0")
    cell.ready(first)
    done = command(domain, "deploy_csa", "--csa-path", second, "--skill-id", SKILL)
    assert done.returncode == 0 and f"{SKILL} 1.1.0 is deployed" in done.stdout, done
    cell.safety.make_ready()
    done = command(domain, "execute_skill", "--skill-id", SKILL, "--trace-id", "typed")
    assert done.returncode == 0 and "succeeded" in done.stdout, done
    done = command(domain, "rollback_skill")
    assert done.returncode == 0 and f"{SKILL} 1.0.0 is deployed" in done.stdout, done
    done = command(domain, "deploy_csa", "--csa-path", workshop.folder / "missing.tar.gz")
    assert done.returncode == 1 and "missing.tar.gz" in done.stderr, done
    done = command(domain, "execute_skill", "--skill-id", "painting")
    assert done.returncode == 1 and f"the deployed skill is {SKILL} 1.0.0, not 'painting'" in done.stdout + done.stderr, done


def test_three_operators_in_three_terminals(cell, workshop, domain):
    cell.ready(workshop.make("1.0.0"))
    terminals = [
        subprocess.Popen(
            [bin_dir() / "execute_skill", "--skill-id", SKILL, "--role", role, "--join-timeout", "60"],
            env=domain.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for role in ROLES
    ]
    for role, terminal in zip(ROLES, terminals, strict=True):
        said, _ = terminal.communicate(timeout=120)
        assert terminal.returncode == 0, f"{role}: {said}"


def test_the_commands_say_when_nobody_is_there(domain, workshop):
    archive = workshop.make("1.0.0")
    for name, *arguments in (
        ("deploy_csa", "--csa-path", archive, "--timeout", "0.5"),
        ("execute_skill", "--skill-id", SKILL, "--timeout", "0.5"),
        ("rollback_skill", "--timeout", "0.5"),
    ):
        done = subprocess.run([bin_dir() / name, *arguments], env=domain.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1, done
        assert re.search("no node offers the (service|action) .*is the (node|skill runtime) running", done.stderr), done


def test_a_command_whose_server_goes_away_does_not_wait_for_it(domain, probe):
    called = []

    def never_answers(request, response):
        called.append(request)
        silent.executor.remove_node(silent.node)
        silent.node.destroy_node()
        return response

    silent = Probe(domain, "silent")
    silent.node.create_service(Deploy, "/skill_runtime/deploy", never_answers)
    arguments = [bin_dir() / "deploy_csa", "--csa-path", "any.tar.gz"]
    caller = subprocess.Popen(arguments, env=domain.environment, stderr=subprocess.PIPE, text=True)
    with contextlib.suppress(Exception):  # rclpy cannot answer with a node that is gone
        silent.wait_for(lambda: called, "the command calls")
    assert called
    _, said = caller.communicate(timeout=60)
    assert caller.returncode == 1 and "went away before it answered" in said, said


# --- quality of service


def test_an_observer_with_a_lesser_quality_of_service_sees_the_status(cell, workshop, probe):
    """The status is reliable and latched, which serves whoever asks for less."""
    cell.ready(workshop.make("1.0.0"))
    for profile in (qos(False, False), RELIABLE, qos(False, True)):
        seen = probe.collect(RuntimeStatus, "/skill_runtime/status", profile)
        probe.wait_for(lambda seen=seen: seen and seen[-1].version == "1.0.0", f"a status under {profile}")
