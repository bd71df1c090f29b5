"""The safety gate between a skill and the simulated arms, seen from rclpy."""

import math
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cell import (
    JOINTS,
    MONITOR,
    ON_ANY_MACHINE,
    PERMIT_TIMEOUT_US,
    ROBOTS,
    SIM,
    ArtifactStore,
    Reports,
    Safety,
    Skill,
    close,
    diagnosed,
    patient_cell,
    press,
)
from diagnostic_msgs.msg import DiagnosticStatus
from harness import LATCHED, RELIABLE, SENSOR, bin_dir, qos
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray
from swarm_msgs.msg import GripperCommand, Permit, SafetyStatus
from swarm_msgs.srv import LoadEnvelope
from test_node_basics import change

# Of PERMIT_TIMEOUT_US, counted in cycles of 2 ms of simulated time.
PERMIT_TIMEOUT_CYCLES = 50
ARM = "ur5e_left"


class Cell:
    """Simulator and gate as processes, with everything to drive and watch them."""

    def __init__(self, start, probe, folder):
        self.start, self.probe = start, probe
        self.config, self.store = patient_cell(folder), ArtifactStore(folder)
        self.sim = self.monitor = None

    def start_sim(self):
        self.sim = self.start(SIM, parameters={"cell_config": self.config, "permit_timeout_us": PERMIT_TIMEOUT_US})

    def start_monitor(self, **parameters):
        parameters = {"cell_config": self.config, **ON_ANY_MACHINE, **self.store.parameters, **parameters}
        self.monitor = self.start(MONITOR, parameters=parameters)

    def begin(self):
        self.start_sim()
        self.start_monitor()
        self.safety, self.reports = Safety(self.probe), Reports(self.probe)
        return self

    def ready(self):
        """Both nodes run, an envelope is loaded, the cell is READY."""
        self.begin()
        self.safety.newest()
        self.reports.newest()
        loaded = self.safety.load(self.store.digests["tight"])
        assert loaded.success, loaded.message
        self.skill = Skill(self.probe, ARM, self.store.digests["tight"])
        self.skill.epoch = self.safety.make_ready().epoch
        return self

    def move(self, velocity=0.2):
        """A run moves the arm at `velocity` rad/s when this returns."""

        def fast():
            self.skill.command(velocity)
            return self.reports.driver(ARM).reference_speed > 0.9 * abs(velocity)

        self.probe.wait_for(fast, lambda: f"the arm moves; {self.safety.state}: {self.safety.newest().detail}; {self.reports.driver(ARM)}")
        return self

    def move_when_followed(self):
        """As `move`, after a start of the drivers: until one hears the gate's commands, its arm is stopped for not following."""

        def fast():
            if self.safety.state == "STOP1":
                assert self.safety.newest().cause == "not_following", self.safety.newest().detail
                self.skill.epoch = self.safety.make_ready().epoch
            self.skill.command(0.2)
            return self.reports.driver(ARM).reference_speed > 0.18

        self.probe.wait_for(fast, lambda: f"the arm moves; {self.safety.state}: {self.safety.newest().detail}; {self.reports.driver(ARM)}")
        return self

    def running(self):
        return self.ready().move_when_followed()

    def wait_standing(self, meanwhile=lambda: None):
        after = self.reports.newest().cycle

        def stands():
            meanwhile()
            return self.reports.newest().cycle > after and self.reports.driver(ARM).standing

        self.probe.wait_for(stands, "the arm stands")


@pytest.fixture
def cell(start, probe, tmp_path):
    return Cell(start, probe, tmp_path)


# --- deny by default, reset


def test_without_inputs_everything_is_denied_and_the_missing_input_is_named(cell, probe):
    cell.start_monitor()
    safety = Safety(probe)
    permits = probe.collect(Permit, "/safety_monitor/permit", SENSOR)
    commands = probe.collect(Float64MultiArray, f"/{ARM}/joint_command", RELIABLE)
    status = safety.wait("DENY", cause="joint_state_timeout")
    assert status.robot in ROBOTS and "check the robot's driver" in status.detail
    probe.wait_for(lambda: len(permits) > 20 and len(commands) > 20, "permits and commands")
    assert all(scale == 0.0 for permit in permits for scale in permit.speed_scale)
    assert all(list(command.data) == [0.0] * 6 for command in commands)
    answer = safety.reset()
    assert not answer.success and "joint_state_timeout persists" in answer.message


def test_fresh_inputs_alone_do_not_make_the_cell_ready(cell):
    cell.begin()
    status = cell.safety.wait("DENY", cause="start_up")
    first = status.cycle
    cell.probe.wait_for(lambda: cell.safety.newest().cycle > first + 250, "half a second of cycles")
    assert cell.safety.state == "DENY"


def test_reset_needs_the_present_epoch_and_begins_a_new_one(cell):
    cell.begin()
    epoch = cell.safety.wait("DENY", cause="start_up").epoch
    for wrong in (epoch - 1, epoch + 1, 0):
        answer = cell.safety.reset(wrong)
        assert not answer.success and f"the cell is in epoch {epoch}" in answer.message
    answer = cell.safety.reset(epoch)
    assert (answer.success, answer.epoch) == (True, epoch + 1)
    assert cell.safety.wait("READY").epoch == epoch + 1


# SR-02
def test_the_epoch_of_the_last_reset_is_told_from_that_of_an_envelope(cell, probe):
    cell.begin()
    assert cell.safety.wait("DENY", cause="start_up").reset_epoch == 0
    ready = cell.safety.make_ready()
    assert ready.reset_epoch == ready.epoch
    loaded = cell.safety.load(cell.store.digests["tight"])
    assert loaded.success and loaded.epoch == ready.epoch + 1
    # Nor does a reset that has nothing to do count as one.
    assert cell.safety.reset(loaded.epoch).success
    first = cell.safety.newest().cycle
    status = probe.wait_for(lambda: cell.safety.newest().cycle > first + 50 and cell.safety.newest(), "50 cycles")
    assert (cell.safety.state, status.epoch, status.reset_epoch) == ("READY", loaded.epoch, ready.epoch)
    stop = probe.publisher(Bool, "/emergency_stop")
    stop.publish(Bool(data=True))
    assert cell.safety.wait("ESTOP").reset_epoch == ready.epoch
    stop.publish(Bool(data=False))
    status = cell.safety.make_ready()
    assert status.reset_epoch == status.epoch == loaded.epoch + 1


# SR-16
def test_permits_are_a_heartbeat_with_growing_sequence(cell, probe):
    cell.begin()
    permits = probe.collect(Permit, "/safety_monitor/permit", SENSOR)
    probe.wait_for(lambda: len(permits) > 100, "a hundred permits")
    sequence = [permit.sequence for permit in permits]
    assert sequence == sorted(set(sequence))
    assert list(permits[0].robots) == list(ROBOTS)


def test_a_late_joiner_learns_the_state_at_once(cell, probe):
    cell.ready()
    late = probe.collect(SafetyStatus, "/safety_monitor", LATCHED)
    # The last ten are kept, so the first that a late joiner gets was published before it came.
    first = probe.wait_for(lambda: late, "the latched status")[0]
    assert first.cycle <= cell.safety.newest().cycle
    status = probe.wait_for(lambda: late[-1].skill and late[-1], "the envelope is named")
    assert status.skill == "tight@1.0.0" and status.artifact == cell.store.digests["tight"]
    assert [robot.robot for robot in status.robots] == list(ROBOTS)


# --- commands


def test_a_valid_command_moves_the_arm_as_asked(cell):
    cell.running()
    status = cell.safety.wait("RUN", "SLOW", meanwhile=lambda: cell.skill.command(0.2))
    assert status.trace_id == "test_run" and status.cause == ""
    assert close(cell.reports.driver(ARM).reference_speed, 0.2, 0.02)


def test_a_finished_run_leaves_the_cell_ready(cell):
    cell.running()
    cell.safety.wait("READY", meanwhile=lambda: cell.skill.command(0.0) if cell.reports.driver(ARM).reference_speed else None)
    cell.wait_standing()


@pytest.mark.parametrize("wrong", ["artifact", "no_artifact", "old_epoch", "future_epoch"])
def test_a_command_of_another_artifact_or_epoch_is_refused(cell, probe, wrong):
    cell.ready()
    changes = {
        "artifact": {"artifact": cell.store.digests["loose"]},
        "no_artifact": {"artifact": ""},
        "old_epoch": {"epoch": cell.skill.epoch - 1},
        "future_epoch": {"epoch": cell.skill.epoch + 1},
    }[wrong]

    def refused():
        cell.skill.command(0.2, **changes)
        return "command not taken" in cell.monitor.log

    probe.wait_for(refused, "the refusal is logged")
    first = cell.reports.newest().cycle
    probe.wait_for(lambda: cell.skill.command(0.2, **changes) or cell.reports.newest().cycle > first + 100, "100 more cycles")
    assert cell.safety.state == "READY"
    assert all(driver.reference_speed == 0.0 for report in cell.reports.all for driver in report.drivers)


def test_without_a_loaded_envelope_no_command_passes(cell, probe):
    cell.begin()
    epoch = cell.safety.make_ready().epoch
    skill = Skill(probe, ARM, "")
    skill.epoch = epoch

    def refused():
        skill.command(0.2)
        return "command not taken" in cell.monitor.log and "other_artifact" in cell.monitor.log

    probe.wait_for(refused, "the refusal is logged")
    assert cell.safety.state == "READY"


def test_a_run_that_was_stopped_cannot_go_on_after_the_reset(cell, probe):
    cell.running()
    stop = probe.publisher(Bool, "/emergency_stop")
    stop.publish(Bool(data=True))
    cell.safety.wait("ESTOP", meanwhile=lambda: cell.skill.command(0.2))
    cell.wait_standing(lambda: cell.skill.command(0.2))
    stop.publish(Bool(data=False))
    cell.safety.make_ready()
    first = cell.reports.newest().cycle
    probe.wait_for(lambda: cell.skill.command(0.2) or cell.reports.newest().cycle > first + 200, "the old run goes on commanding")
    assert cell.safety.state == "READY" and cell.reports.driver(ARM).standing
    # The same run under the new epoch would pass.
    cell.skill.epoch = cell.safety.newest().epoch
    cell.move()


@pytest.mark.parametrize(
    "changes, cause",
    [
        ({"velocity": [math.nan] + [0.0] * 5}, "not_finite"),
        ({"velocity": [0.1] * 5}, "wrong_size"),
        ({"joint_names": ["elbow"] + JOINTS[ARM][1:]}, "unknown_joint"),
        ({"joint_names": [JOINTS[ARM][1]] + JOINTS[ARM][1:]}, "duplicate_joint"),
        ({"robot": "panda"}, "wrong_robot"),
        ({"velocity": [50.0] + [0.0] * 5}, "joint_velocity_command"),
    ],
)
def test_a_malformed_or_absurd_command_stops_the_cell(cell, changes, cause):
    cell.running()
    status = cell.safety.wait("STOP1", cause=cause, meanwhile=lambda: cell.skill.command(0.2, **changes))
    assert status.robot == ARM and status.detail
    cell.wait_standing()


def test_commands_that_cease_in_motion_stop_the_cell(cell):
    cell.running()
    assert cell.safety.wait("STOP2").cause == "command_timeout"
    cell.wait_standing()


def test_a_gripper_command_with_a_lesser_quality_of_service_is_not_heard(cell, probe):
    """QoS mismatch: what is said once must be reliable; a best-effort publisher matches no subscription and moves nothing."""
    cell.ready()
    passed = probe.collect(GripperCommand, f"/{ARM}/gripper_command", RELIABLE)
    lossy = probe.publisher(GripperCommand, f"/{ARM}/skill_gripper_command", SENSOR, matched=False)
    message = GripperCommand(robot=ARM, width=0.01, force=5.0, artifact=cell.skill.artifact, epoch=cell.skill.epoch)
    first = cell.reports.newest().cycle

    def passed_over():
        message.sequence += 1
        lossy.publish(message)
        return cell.reports.newest().cycle > first + 250

    probe.wait_for(passed_over, "250 cycles")
    assert lossy.get_subscription_count() == 0 and not passed
    assert cell.safety.state == "READY"


def test_a_driver_that_asks_for_reliable_permits_hears_none(cell, probe):
    """QoS mismatch on the other side: permits are best effort; a subscription that asks for more gets silence, which means stop."""
    cell.ready()
    reliable, heard = (probe.collect(Permit, "/safety_monitor/permit", profile) for profile in (RELIABLE, SENSOR))
    probe.wait_for(lambda: len(heard) > 100, "permits are heard with the right profile")
    assert not reliable


def test_a_best_effort_commander_is_heard_too(cell, probe):
    """A stream of commands needs no repetition; the gate takes it with either reliability."""
    cell.ready()
    reliable, cell.skill = cell.skill, Skill(probe, ARM, cell.skill.artifact, SENSOR)
    cell.skill.epoch = reliable.epoch
    cell.move()


def test_a_gripper_is_limited_and_a_stop_does_not_open_it(cell, probe):
    cell.ready()
    passed = probe.collect(GripperCommand, f"/{ARM}/gripper_command", RELIABLE)
    commands = probe.publisher(GripperCommand, f"/{ARM}/skill_gripper_command", RELIABLE)
    message = GripperCommand(robot=ARM, width=0.01, force=500.0, artifact=cell.skill.artifact, epoch=cell.skill.epoch)

    def heard():
        message.header.stamp = probe.stamp()
        message.sequence += 1
        commands.publish(message)
        return passed

    probe.wait_for(heard, "the gripper command passes the gate")
    assert (passed[-1].width, passed[-1].force) == (0.01, 40.0)
    cell.move()
    stop = probe.publisher(Bool, "/emergency_stop")
    passed.clear()
    stop.publish(Bool(data=True))
    cell.safety.wait("ESTOP")
    cell.wait_standing()
    assert all(command.width == 0.01 for command in passed)


# --- emergency stop

PUBLISHERS = {
    "reliable volatile": qos(reliable=True, transient_local=False),
    "best effort volatile": qos(reliable=False, transient_local=False),
    "reliable transient local": qos(reliable=True, transient_local=True),
    "best effort transient local": qos(reliable=False, transient_local=True),
}


# SR-03
@pytest.mark.parametrize("profile", PUBLISHERS.values(), ids=PUBLISHERS.keys())
def test_an_emergency_stop_is_heard_from_every_kind_of_publisher(cell, probe, profile):
    cell.running()
    stop = probe.publisher(Bool, "/emergency_stop", profile)
    press(probe, stop, profile, lambda: cell.skill.command(0.2) or cell.safety.state == "ESTOP")
    status = cell.safety.wait("ESTOP", meanwhile=lambda: cell.skill.command(0.2))
    assert status.cause == "emergency_stop"
    cell.wait_standing(lambda: cell.skill.command(0.2))
    assert all(robot.speed_scale == 0.0 for robot in cell.safety.newest().robots)


def test_a_stop_that_was_latched_before_the_monitor_started_is_heard(cell, probe):
    stop = probe.publisher(Bool, "/emergency_stop", LATCHED, matched=False)
    stop.publish(Bool(data=True))
    cell.begin()
    cell.safety.wait("ESTOP", cause="emergency_stop")


@pytest.mark.parametrize("profile", PUBLISHERS.values(), ids=PUBLISHERS.keys())
def test_a_publisher_that_was_there_before_the_monitor_is_heard(cell, probe, profile):
    stop = probe.publisher(Bool, "/emergency_stop", profile, matched=False)
    cell.begin()
    cell.safety.make_ready()
    probe.wait_for(lambda: stop.get_subscription_count() > 0, "the monitor subscribes")
    press(probe, stop, profile, lambda: cell.safety.state == "ESTOP")
    cell.safety.wait("ESTOP")


def test_false_never_releases_a_stop_and_the_reset_needs_it(cell, probe):
    cell.ready()
    stop = probe.publisher(Bool, "/emergency_stop")
    stop.publish(Bool(data=True))
    cell.safety.wait("ESTOP")
    answer = cell.safety.reset()
    assert not answer.success and "publish false there, then reset" in answer.message
    stop.publish(Bool(data=False))
    first = cell.safety.newest().cycle
    probe.wait_for(lambda: cell.safety.newest().cycle > first + 250, "half a second of cycles")
    assert cell.safety.state == "ESTOP"
    cell.safety.make_ready()


# --- inputs that lie or cease


@pytest.mark.parametrize(
    "broken, cause",
    [
        (lambda m: m.position.__setitem__(0, math.nan), "not_finite"),
        (lambda m: m.velocity.__setitem__(1, math.inf), "not_finite"),
        (lambda m: m.name.__setitem__(0, "ur5e_left_elbow"), "missing_joint"),
        (lambda m: m.name.__setitem__(0, m.name[1]), "duplicate_joint"),
        (lambda m: m.velocity.pop(), "wrong_size"),
        (lambda m: setattr(m.header.stamp, "sec", m.header.stamp.sec - 100), "stamp_old"),
        (lambda m: setattr(m.header.stamp, "sec", m.header.stamp.sec + 100), "stamp_future"),
    ],
    ids=["nan", "inf", "wrong name", "twice", "short", "old", "future"],
)
def test_a_joint_state_that_cannot_be_believed_stops_the_cell(cell, probe, broken, cause):
    cell.running()
    liar = probe.publisher(JointState, "/joint_states", RELIABLE)

    def lie():
        cell.skill.command(0.2)
        message = JointState(name=JOINTS[ARM], position=[0.0] * 6, velocity=[0.0] * 6)
        message.header.stamp = probe.stamp()
        message.name, message.position, message.velocity = list(message.name), list(message.position), list(message.velocity)
        broken(message)
        liar.publish(message)

    status = cell.safety.wait("STOP1", meanwhile=lie)
    assert (status.cause, status.robot) == (cause, ARM)
    cell.wait_standing()


def test_a_simulation_that_pauses_in_motion_stops_the_cell(cell, probe):
    cell.running()
    assert change(probe, "deactivate", "/swarm_sim")
    status = cell.safety.wait("STOP1", meanwhile=lambda: cell.skill.command(0.2))
    assert status.cause in ("joint_state_timeout", "wrench_timeout") and status.value > status.limit


# --- nodes that die


# SR-16 SR-23 AoU-02
@pytest.mark.alone  # The pause has to show in the cycles, and in nothing else.
@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGSTOP, signal.SIGABRT], ids=lambda ended_by: ended_by.name)
def test_a_monitor_that_is_killed_stuck_or_crashed_means_that_the_arms_stop_by_themselves(cell, probe, ended_by):
    """Counted in simulated cycles: the permit may get as old as the driver's time-out and not one cycle older. A panic ends in
    SIGABRT."""
    cell.running()
    cell.monitor.process.send_signal(ended_by)
    driver = cell.reports.wait(ARM, lambda d: d.cycles_to_stand > 0 and d.standing, "the arm stands")
    assert driver.drive == "permit_old"
    # What the permit was under way and waited for its cycle counts.
    assert PERMIT_TIMEOUT_CYCLES // 2 < driver.stop_permit_age_cycles <= PERMIT_TIMEOUT_CYCLES
    assert driver.cycles_to_stand <= 15
    if ended_by == signal.SIGSTOP:
        # Commands come as if nothing had happened, and still nothing goes on by itself.
        moved = len(cell.reports.all)
        cell.monitor.process.send_signal(signal.SIGCONT)
        cell.safety.wait("STOP1", cause="cycle_overrun", meanwhile=lambda: cell.skill.command(0.2))
        probe.wait_for(lambda: len(cell.reports.all) > moved + 20, "reports after the pause")
        since = [next(d for d in report.drivers if d.robot == ARM) for report in cell.reports.all[moved:]]
        assert all(driver.standing for driver in since)


def test_a_restarted_monitor_denies_until_reset_and_takes_no_command_from_before(cell, probe):
    cell.running()
    before = cell.safety.newest().epoch
    cell.monitor.kill()
    cell.reports.wait(ARM, lambda d: d.standing, "the arm stands")
    cell.safety.all.clear()
    cell.start_monitor()
    assert cell.safety.wait("DENY", meanwhile=lambda: cell.skill.command(0.2)).epoch > before
    assert cell.safety.load(cell.store.digests["tight"]).success
    cell.safety.make_ready()
    first = cell.reports.newest().cycle
    probe.wait_for(lambda: cell.skill.command(0.2) or cell.reports.newest().cycle > first + 100, "100 cycles")
    assert cell.safety.state == "READY" and cell.reports.driver(ARM).standing
    cell.skill.epoch = cell.safety.newest().epoch
    cell.move()


def test_a_killed_simulation_stops_the_cell_and_its_restart_recovers(cell, probe):
    cell.running()
    cell.sim.kill()
    status = cell.safety.wait("STOP1", meanwhile=lambda: cell.skill.command(0.2))
    assert status.cause in ("joint_state_timeout", "wrench_timeout")
    cell.reports.all.clear()
    cell.start_sim()
    # The drivers hear the gate before the arm is moved; an arm that is told to move and does not is stopped.
    cell.reports.wait(ARM, lambda driver: driver.drive != "no_permit", "the driver hears permits")
    cell.skill.epoch = cell.safety.make_ready().epoch
    cell.move_when_followed()


def test_an_interrupted_monitor_stops_the_arms_at_once_and_ends_within_two_seconds(cell):
    cell.running()
    told = time.monotonic()
    cell.monitor.interrupt()
    assert cell.monitor.wait() == 0
    assert time.monotonic() - told < 2.0
    driver = cell.reports.wait(ARM, lambda d: d.cycles_to_stand > 0 and d.standing, "the arm stands")
    assert driver.stop_permit_age_cycles < PERMIT_TIMEOUT_CYCLES


# SR-18 AoU-05
def test_without_real_time_the_gate_does_not_arm_unless_it_is_told_to(cell, probe):
    config = Path(cell.config)
    text, changed = re.subn(r"policy: fifo, priority: 80", "policy: other, priority: 0", config.read_text())
    assert changed == 1
    config.write_text(text)
    refusing = cell.start(MONITOR, parameters={"cell_config": cell.config, **cell.store.parameters})
    assert refusing.wait() == 1
    assert "refuses to arm without real time" in refusing.log and "--degraded" in refusing.log, refusing.log
    cell.start_monitor()
    status = Safety(probe).newest()
    assert (status.real_time, status.degraded) == (False, True)


# AoU-02
def test_a_gate_that_keeps_distances_for_less_time_than_its_drivers_take_does_not_start(cell):
    parameters = {"cell_config": cell.config, "reaction_us": 16_000, **ON_ANY_MACHINE, **cell.store.parameters}
    refusing = cell.start(MONITOR, parameters=parameters)
    assert refusing.wait() == 1
    assert "timing.reaction_s is 0.016, expected at least 0.025" in refusing.log, refusing.log
    assert "drivers stop without a permit" in refusing.log, refusing.log


# SR-18 AoU-05
@pytest.mark.parametrize("thread", ["decide", "publish"])
def test_a_cell_that_was_armed_in_real_time_stops_when_somebody_takes_that_away(cell, probe, thread):
    """As `chrt --other` would."""
    diagnostics = diagnosed(probe, "gate")
    cell.start_sim()
    cell.start_monitor(degraded=False)
    cell.safety = Safety(probe)
    probe.wait_for(lambda: cell.safety.all or not cell.monitor.running(), "the monitor arms or refuses to")
    if not cell.monitor.running():
        assert "refuses to arm without real time" in cell.monitor.log, cell.monitor.log
        pytest.skip("this machine grants no real time that could be taken away")
    ready = cell.safety.make_ready()
    assert (ready.real_time, ready.degraded) == (True, False)
    number = cell.monitor.thread(thread)
    policy, parameters = os.sched_getscheduler(number), os.sched_getparam(number)
    os.sched_setscheduler(number, os.SCHED_OTHER, os.sched_param(0))
    assert not cell.safety.wait("STOP1", cause="not_real_time").real_time
    probe.wait_for(lambda: diagnostics() and "SCHED_OTHER" in diagnostics().message, "the loss is diagnosed")
    assert diagnostics().level == DiagnosticStatus.ERROR
    assert f"chrt --fifo --reset-on-fork --pid {parameters.sched_priority} {number}" in diagnostics().message
    answer = cell.safety.reset()
    assert not answer.success and "not_real_time persists" in answer.message, answer.message
    os.sched_setscheduler(number, policy, parameters)
    probe.wait_for(lambda: cell.safety.newest().real_time, "the status says real time again")
    assert cell.safety.make_ready().cause == ""


# SR-16
def test_an_inactive_monitor_lets_nothing_move_and_does_nothing_later(cell, probe):
    def reset_while_inactive():
        assert change(probe, "deactivate", "/safety_monitor")
        cell.wait_standing(lambda: cell.skill.command(0.2))
        answer = cell.safety.reset()
        assert not answer.success and "the node is not active, and nothing was done" in answer.message, answer.message
        cell.safety.all.clear()
        assert change(probe, "activate", "/safety_monitor")

    def keeps(name, epoch):
        first = cell.safety.wait(name).cycle
        probe.wait_for(lambda: cell.safety.newest().cycle > first + 250, "250 cycles")
        state = getattr(SafetyStatus, f"STATE_{name}")
        assert {(status.state, status.epoch) for status in cell.safety.all} == {(state, epoch)}

    cell.running()
    epoch = cell.safety.newest().epoch
    reset_while_inactive()
    # Nobody watched meanwhile: it waits for a reset, and knows of no command from before.
    keeps("DENY", epoch + 1)
    cell.ready()
    epoch = cell.safety.newest().epoch
    reset_while_inactive()
    keeps("DENY", epoch + 1)


# --- envelopes


@pytest.mark.parametrize(
    "artifact, words",
    [
        ("loose", "tcp.speed_m_s"),
        ("expired", "was valid until 2020-01-01T00:00:00Z"),
        ("elsewhere", "the envelope is for another_bench, and this cell is 'demo_bench'"),
        ("broken", "not YAML"),
        ("untrusted", "not accepted from the store"),
        ("00" * 32, "not accepted from the store"),
        ("nonsense", "64 hexadecimal digits"),
    ],
)
# SR-17
def test_an_envelope_that_may_not_be_loaded_is_refused_and_the_loaded_one_stays(cell, artifact, words):
    cell.ready()
    before = cell.safety.newest()
    answer = cell.safety.load(cell.store.digests.get(artifact, artifact))
    assert not answer.success and words in answer.message, answer.message
    assert (cell.safety.newest().artifact, cell.safety.newest().epoch) == (before.artifact, before.epoch)
    cell.move()


def test_an_envelope_tightens_the_limits_in_force(cell):
    cell.ready()
    limits = {robot.robot: robot.tcp_speed_limit for robot in cell.safety.newest().robots}
    assert limits == {"ur5e_left": 0.3, "ur5e_right": 0.5, "panda": 0.5}
    assert cell.safety.load("").success
    cell.probe.wait_for(lambda: cell.safety.newest().artifact == "", "the envelope is unloaded")
    assert cell.safety.newest().robots[0].tcp_speed_limit == 0.5


def test_an_envelope_is_not_exchanged_while_an_arm_moves(cell, probe):
    cell.running()
    client = probe.node.create_client(LoadEnvelope, "/safety_monitor/load_envelope")
    probe.wait_for(lambda: cell.skill.command(0.2) or client.service_is_ready(), "the service")
    answer = client.call_async(LoadEnvelope.Request(artifact=cell.store.digests["tight"]))
    probe.wait_for(lambda: cell.skill.command(0.2) or answer.done(), "the answer")
    assert not answer.result().success and "while every arm is at rest" in answer.result().message
    assert cell.safety.state in ("RUN", "SLOW")


# --- operator


def reset_safety(domain, *arguments):
    return subprocess.Popen(
        [bin_dir() / "reset_safety", *arguments],
        env=domain.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_operators_command_resets_and_says_why_it_was_needed(cell, domain, probe):
    cell.begin()
    cell.safety.wait("DENY", cause="start_up")
    command = reset_safety(domain, "--by", "anna")
    probe.wait_for(lambda: command.poll() is not None, "reset_safety ends")
    output, errors = command.communicate()
    assert command.returncode == 0, errors
    assert "DENY" in output and "start_up" in output and "READY, epoch" in output
    assert cell.safety.wait("READY")
    assert "anna" in cell.monitor.log


def test_the_operators_command_says_when_nobody_is_there(domain, probe):
    command = reset_safety(domain, "--timeout", "0.5")
    probe.wait_for(lambda: command.poll() is not None, "reset_safety ends")
    _, errors = command.communicate()
    assert command.returncode == 1 and "nothing heard on /safety_monitor within 0.5 s" in errors
