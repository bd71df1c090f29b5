"""Driver shells against scripted peers that speak the interfaces of real arms' ROS 2 drivers."""

import signal
import time

import pytest
from builtin_interfaces.msg import Time
from cell import SIM, ArtifactStore, Reports, Safety, Skill
from cell import MONITOR as SAFETY_MONITOR
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from driver_peers import (
    ALL,
    ARM,
    DRIVER,
    ESTOP,
    FRANKA,
    LOWEST_SLIDER,
    OTHER,
    PERIOD_US,
    READY,
    STOP1,
    STOP2,
    TRAJECTORY,
    UR,
    VELOCITY,
    Arm,
    ScriptedMonitor,
    cell_with_driver,
    is_stand,
    near,
    stands,
)
from std_msgs.msg import Float64MultiArray, Header

# A busy test machine lets the scripted monitor speak when it can.
PERMIT_TIMEOUT_US = 500_000
SPEED = 0.3


class Bench:
    """A shell, its monitor and its arm."""

    def __init__(self, start, probe, folder):
        self.start_node, self.probe, self.folder = start, probe, folder
        self.arm = Arm(probe)

    def start(self, driver: dict):
        self.driver = self.start_node(DRIVER, parameters={
            "cell_config": cell_with_driver(self.folder, driver),
            "permit_timeout_us": PERMIT_TIMEOUT_US,
            "command_timeout_us": 1_000_000,
            "stamp_tolerance_us": 500_000,
        })
        self.monitor = ScriptedMonitor(self.probe)
        # Met, and active.
        self.monitor.until(lambda: self.arm.heard or "stands" in self.driver.log, "the shell says something")
        return self

    def speak(self, messages: int):
        """The shell goes on for that many of its messages to a velocity controller."""
        target = len(self.arm.of("told")) + messages
        self.monitor.until(lambda: len(self.arm.of("told")) >= target, f"{messages} more messages")
        return self.arm.of("told")[target - messages:]

    def running(self, speed: float = SPEED):
        self.monitor.until(lambda: "monitor_stopped" in self.driver.log, "the shell has heard the monitor")
        self.monitor.reset()
        self.monitor.until(lambda: "no_command" in self.driver.log or "follows" in self.driver.log, "the reset is heard")
        self.monitor.run(speed)
        self.monitor.until(self.moving, "the arm moves")
        return self

    def moving(self) -> bool:
        told, trajectories = self.arm.of("told"), self.arm.of("trajectory")
        return bool(told and not stands(told[-1])) or bool(trajectories and not is_stand(trajectories[-1]))

    def wait_standing(self):
        self.monitor.until(lambda: not self.moving(), "the arm is told to stand")


@pytest.fixture
def bench(start, probe, tmp_path):
    return Bench(start, probe, tmp_path)


# --- forward velocity


def test_velocities_pass_while_permitted_and_zeros_follow_without_end(bench):
    bench.arm.velocity_controller()
    bench.start(VELOCITY).running()
    assert bench.arm.of("told")[-1] == [SPEED] + [0.0] * 5
    bench.monitor.scale = 0.0
    bench.wait_standing()
    assert all(stands(told) for told in bench.speak(100))


def test_a_smaller_scale_bounds_the_velocity(bench):
    bench.arm.velocity_controller()
    bench.start(VELOCITY).running(1.0)
    # UR5e joints turn at up to pi rad/s.
    bench.monitor.scale = 0.1
    bench.monitor.until(lambda: near(bench.arm.of("told")[-1], [0.314159265] + [0.0] * 5, 1e-3), "slower")


@pytest.mark.parametrize("wrong", ["nan_scale", "other_robot", "old_sequence", "other_epoch", "old_stamp", "nan_command", "short_command"])
def test_one_wrong_message_stops_the_arm(bench, wrong):
    bench.arm.velocity_controller()
    bench.start(VELOCITY).running()
    monitor, before = bench.monitor, len(bench.arm.of("told"))
    if wrong == "nan_command":
        monitor.commands.publish(Float64MultiArray(data=[float("nan")] * 6))
    elif wrong == "short_command":
        monitor.commands.publish(Float64MultiArray(data=[SPEED]))
    else:
        stamp = monitor.probe.stamp()
        stamp.sec -= 10
        changes = {
            "nan_scale": {"speed_scale": [1.0, float("nan")]},
            "other_robot": {"robots": [OTHER], "speed_scale": [1.0]},
            "old_sequence": {"sequence": 1},
            "other_epoch": {"epoch": monitor.epoch + 1},
            "old_stamp": {"header": monitor.permits.msg_type().header.__class__(stamp=stamp)},
        }[wrong]
        monitor.permit(**changes)
    # Nothing else is said until the zeros are there; the permits before would have lasted longer.
    bench.probe.wait_for(lambda: any(stands(told) for told in bench.arm.of("told")[before:]), "zeros")
    moved = [told for told in bench.arm.of("told")[before:] if not stands(told)]
    assert len(moved) < PERMIT_TIMEOUT_US / PERIOD_US / 2, "stopped by the message, and not by the permit's age"


def test_a_shell_that_comes_back_in_the_middle_of_a_run_waits_for_a_reset(bench):
    bench.arm.velocity_controller()
    bench.start(VELOCITY).running()
    bench.driver.kill()
    bench.arm.heard.clear()
    bench.driver = bench.start_node(DRIVER, parameters={
        "cell_config": str(bench.folder / "config" / "cell.yaml"), "permit_timeout_us": PERMIT_TIMEOUT_US,
    })
    bench.monitor.until(lambda: "no_reset" in bench.driver.log, "the shell hears the run that goes on")
    assert all(stands(told) for told in bench.speak(100))
    bench.monitor.reset()
    bench.monitor.until(bench.moving, "it moves after a reset")


# SR-16 AoU-12
def test_a_shell_that_comes_back_in_ready_is_not_armed_by_a_deploy(bench):
    bench.arm.velocity_controller()
    bench.start(VELOCITY).running()
    monitor = bench.monitor
    monitor.state = READY
    bench.driver.kill()
    bench.arm.heard.clear()
    bench.driver = bench.start_node(DRIVER, parameters={
        "cell_config": str(bench.folder / "config" / "cell.yaml"), "permit_timeout_us": PERMIT_TIMEOUT_US,
    })
    monitor.until(lambda: "no_reset" in bench.driver.log, "the shell hears the cell")
    monitor.load_limits()
    monitor.run(SPEED)
    assert all(stands(told) for told in bench.speak(200))
    monitor.reset()
    monitor.run(SPEED)
    monitor.until(bench.moving, "it moves after a reset")


# SR-16
def test_a_permit_that_was_long_on_its_way_is_not_believed_longer_for_it(bench):
    bench.arm.velocity_controller()
    bench.start(VELOCITY).running()
    monitor = bench.monitor
    # All but a tenth of its time is over when it comes. The command after it is what the shell's messages are known by.
    sent_ns = time.time_ns() - PERMIT_TIMEOUT_US * 900
    stamp = Time(sec=sent_ns // 10**9, nanosec=sent_ns % 10**9)
    slower = [SPEED / 2] + [0.0] * 5
    monitor.permit(header=Header(stamp=stamp))
    monitor.commands.publish(Float64MultiArray(data=slower))
    bench.probe.wait_for(lambda: slower in bench.arm.of("told") and stands(bench.arm.of("told")[-1]), "zeros")
    moved = bench.arm.of("told").count(slower)
    assert moved < PERMIT_TIMEOUT_US / PERIOD_US / 2, "its age counts from when it was sent"


# SR-16 AoU-13
def test_an_arm_without_means_follows_again_when_a_protective_stop_ends_by_itself(bench):
    bench.arm.velocity_controller()
    bench.start(VELOCITY).running()
    monitor, before = bench.monitor, bench.driver.log.count("monitor_stopped")
    monitor.stop(STOP2)
    monitor.until(lambda: bench.driver.log.count("monitor_stopped") > before, "the shell hears the stop")
    bench.wait_standing()
    monitor.run(SPEED)
    monitor.until(bench.moving, "it moves without a reset")


def test_a_shell_that_is_ended_leaves_the_arm_standing(bench):
    bench.arm.velocity_controller()
    bench.start({**VELOCITY, "deceleration_rad_s2": 8.0}).running()
    bench.driver.interrupt()
    bench.monitor.until(lambda: not bench.driver.running(), "the shell ends")
    bench.probe.wait_for(lambda: stands(bench.arm.of("told")[-1]), "the last it said is zero")
    speeds = [told[0] for told in bench.arm.of("told")]
    braking = speeds[max(index for index, speed in enumerate(speeds) if speed == SPEED):]
    # 0.3 rad/s at 8 rad/s^2 in steps of 4 ms: 9 of them, however long each took.
    assert len([speed for speed in braking if 0.0 < speed < SPEED]) >= 2 and braking == sorted(braking, reverse=True)


def test_an_arm_that_does_not_obey_is_reported(bench):
    bench.arm.velocity_controller()
    bench.start(VELOCITY).running()
    diagnostics = bench.probe.collect(DiagnosticArray, "/diagnostics")
    bench.monitor.stop(STOP1)
    bench.monitor.measured_velocity = [0.0, 0.0, 0.4, 0.0, 0.0, 0.0]

    def reported():
        statuses = [s for array in diagnostics for s in array.status if s.name.endswith(f"robot {ARM}")]
        return next((s for s in statuses if s.level == DiagnosticStatus.ERROR), None)

    bench.monitor.until(reported, "an error")
    assert "elbow_joint moves with 0.400 rad/s" in reported().message


# --- the real monitor ends


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSTOP, signal.SIGABRT], ids=lambda ending: ending.name)
def test_the_end_of_the_real_monitor_stops_the_arm_within_the_permits_time(start, probe, tmp_path, ending):
    """SR-16. Counted in the shell's own messages, from the time that they bear: a shell that says one every period says at most
    time-out / period of them, whenever the probe takes them off."""
    permit_timeout_us = 100_000
    config, store = cell_with_driver(tmp_path, VELOCITY), ArtifactStore(tmp_path)
    arm = Arm(probe).velocity_controller()
    sent = []
    probe.node.create_subscription(
        Float64MultiArray, VELOCITY["controller"] + "/commands", lambda m, info: sent.append((info["source_timestamp"], m.data)), ALL
    )
    sim = start(SIM, parameters={"cell_config": config, "permit_timeout_us": permit_timeout_us})
    start(DRIVER, parameters={
        "cell_config": config,
        "permit_timeout_us": permit_timeout_us,
        # The commands cease too: only the permits shall count.
        "command_timeout_us": 1_000_000,
        "stamp_tolerance_us": 100_000,
    })
    safety, reports = Safety(probe), Reports(probe)
    probe.wait_for(lambda: arm.heard, "the shell speaks")
    simulated = {"degraded": True, "max_joint_state_gap_us": 7_000}
    monitor = start(SAFETY_MONITOR, parameters={"cell_config": config, **simulated, **store.parameters})
    assert safety.load(store.digests["tight"]).success
    skill = Skill(probe, ARM, store.digests["tight"])
    skill.epoch = safety.make_ready().epoch
    told = arm.of

    def moves():
        skill.command(0.2)
        return len(told("told")) > 20 and not stands(told("told")[-1]) and reports.driver(ARM).reference_speed > 0.1

    probe.wait_for(moves, "the arm moves")
    monitor.process.send_signal(ending)
    ended = time.time_ns()

    def since():
        return [velocities for at, velocities in sent if at > ended]

    probe.wait_for(lambda: since() and stands(since()[-1]), "zeros")
    moved = [velocities for velocities in since() if not stands(velocities)]
    # A permit that was under way, and the monitor's last ones until the signal was delivered.
    under_way = 5
    assert len(moved) <= permit_timeout_us / PERIOD_US + 2 + under_way
    after = len(sent)
    probe.wait_for(lambda: len(sent) > after + 100, "a hundred more")
    assert all(stands(velocities) for _, velocities in sent[after:])
    if ending == signal.SIGSTOP:
        monitor.process.send_signal(signal.SIGCONT)
        after = len(sent)
        probe.wait_for(lambda: len(sent) > after + 100, "a hundred more")
        assert all(stands(velocities) for _, velocities in sent[after:]), "nothing resumes by itself"
    assert sim.running()


# --- trajectories


def test_a_trajectory_always_ends_standing_and_a_stop_holds_where_the_arm_is(bench):
    bench.arm.trajectory_controller()
    bench.start(TRAJECTORY).running(0.02)
    newest = bench.arm.of("trajectory")[-1]
    assert list(newest.joint_names)[0] == f"{ARM}_shoulder_pan_joint"
    assert (newest.header.stamp.sec, newest.header.stamp.nanosec) == (0, 0), "it begins at once"
    [ahead, stand] = newest.points
    assert near(ahead.velocities, [0.02] + [0.0] * 5) and stands(stand.velocities)
    assert stand.positions[0] > ahead.positions[0] > 0.1

    bench.monitor.position = [0.11] + [0.1] * 5
    bench.monitor.stop(STOP1)
    before = len(bench.arm.heard)
    bench.monitor.until(lambda: ("cancel", "all") in bench.arm.heard[before:], "goals of others are cancelled")
    bench.wait_standing()
    first = next(t for what, t in bench.arm.heard[before:] if what == "trajectory" and is_stand(t))
    assert near(first.points[0].positions, [0.11] + [0.1] * 5, 0.011)
    more = len(bench.arm.of("trajectory")) + 3
    bench.monitor.until(lambda: len(bench.arm.of("trajectory")) >= more, "the stand is repeated")
    assert all(is_stand(trajectory) for trajectory in bench.arm.of("trajectory")[more - 3:])


# --- Universal Robots


def test_a_ur_arm_is_slowed_paused_stopped_and_let_go_of_by_a_reset_alone(bench):
    arm = bench.arm.trajectory_controller().universal_robots()
    bench.start({**TRAJECTORY, **UR})
    monitor = bench.monitor
    monitor.until(lambda: ("slider", LOWEST_SLIDER) in arm.heard, "the slider is down before the first reset")
    bench.running(0.02)
    assert arm.of("slider") == [LOWEST_SLIDER, 0.8]

    arm.heard.clear()
    monitor.stop(STOP2)
    monitor.until(lambda: ("pause", None) in arm.heard and arm.of("slider"), "slowed and paused")
    assert sorted(word for word, _ in arm.calls()) == ["cancel", "pause", "slider"]
    assert arm.of("slider") == [LOWEST_SLIDER]
    monitor.stop(STOP1)
    monitor.until(lambda: ("stop", None) in arm.heard, "stopped")

    # The monitor says RUN again without a reset: nothing may come back.
    arm.heard.clear()
    monitor.run(0.02)
    monitor.until(lambda: len(arm.of("trajectory")) >= 5, "half a second of standing")
    assert arm.calls() == [] and all(is_stand(trajectory) for trajectory in arm.of("trajectory"))

    # A paused arm was moved; after the reset it is told to stand there, and only then let go of.
    arm.heard.clear()
    monitor.position = [0.7] + [0.1] * 5
    monitor.stop(STOP1)
    monitor.turn()
    monitor.reset()
    monitor.until(lambda: arm.of("slider"), "the slider rises")
    released = arm.heard.index(("slider", 0.8))
    stood = [t for what, t in arm.heard[:released] if what == "trajectory"]
    assert stood and near(stood[-1].points[0].positions, monitor.position)
    monitor.run(0.02)
    monitor.until(bench.moving, "it moves")
    assert [entry for entry in arm.calls() if entry[0] in ("stop", "pause")] == []


def test_an_emergency_stop_calls_the_stop_service_once(bench):
    arm = bench.arm.velocity_controller().universal_robots()
    bench.start({**VELOCITY, **UR}).running()
    arm.heard.clear()
    bench.monitor.stop(ESTOP)
    bench.monitor.until(lambda: ("stop", None) in arm.heard, "the stop service")
    bench.speak(300)
    assert sorted(word for word, _ in arm.calls()) == ["slider", "stop"]


@pytest.mark.parametrize("slider", ["absent", "refuses"])
def test_a_slider_that_fails_holds_up_no_zeros_and_no_motion_begins(bench, slider):
    arm = bench.arm.velocity_controller()
    if slider == "refuses":
        arm.universal_robots().refuse.add("slider")
    diagnostics = bench.probe.collect(DiagnosticArray, "/diagnostics")
    bench.start({**VELOCITY, **UR})
    bench.monitor.until(lambda: "monitor_stopped" in bench.driver.log, "the shell has heard the monitor")
    bench.monitor.reset()
    bench.monitor.until(lambda: "arm_not_ready" in bench.driver.log, "the shell has heard the reset")
    bench.monitor.run(SPEED)

    def warned():
        statuses = [s for array in diagnostics for s in array.status if s.name.endswith(f"robot {ARM}")]
        return any(s.level == DiagnosticStatus.WARN and "does not do what was asked" in s.message for s in statuses)

    bench.monitor.until(warned, "a warning")
    assert all(stands(told) for told in bench.speak(200))


# --- Franka


def test_a_franka_arm_leaves_errors_on_a_reset_and_never_by_itself(bench):
    arm = bench.arm.velocity_controller().franka()
    bench.start({**VELOCITY, **FRANKA})
    bench.speak(200)
    assert arm.calls() == []
    bench.running()
    assert arm.calls() == [("recovery", None)]
    bench.monitor.stop(STOP1)
    bench.wait_standing()
    bench.monitor.run(SPEED)
    assert all(stands(told) for told in bench.speak(200))
    assert arm.calls() == [("recovery", None)]


# SR-16
def test_a_franka_arm_does_not_leave_errors_because_of_a_deploy(bench):
    """Somebody pushes an arm at rest into a reflex; the cell stays READY, and the next artifact is deployed."""
    arm = bench.arm.velocity_controller().franka()
    bench.start({**VELOCITY, **FRANKA}).running()
    bench.monitor.state = READY
    bench.speak(50)
    bench.monitor.load_limits()
    bench.speak(200)
    assert arm.calls() == [("recovery", None)], "that of the reset"


def test_a_recovery_that_fails_leaves_the_arm_standing(bench):
    arm = bench.arm.velocity_controller().franka()
    arm.refuse.add("recovery")
    bench.start({**VELOCITY, **FRANKA})
    bench.monitor.until(lambda: "monitor_stopped" in bench.driver.log, "the shell has heard the monitor")
    bench.monitor.reset()
    bench.monitor.until(lambda: "ended as aborted" in bench.driver.log.lower(), "the failure is logged")
    bench.monitor.run(SPEED)
    assert all(stands(told) for told in bench.speak(500))
    assert arm.calls() == [("recovery", None)]


# --- start


@pytest.mark.parametrize(("robot", "words"), [("", "no robot of the cell has a 'driver:' block"), ("panda", "no robot 'panda' with a 'driver:' block")])
def test_a_cell_without_such_a_driver_is_refused(start, tmp_path, robot, words):
    from cell import patient_cell

    config = patient_cell(tmp_path) if not robot else cell_with_driver(tmp_path, VELOCITY)
    node = start(DRIVER, parameters={"cell_config": config, **({"robot": robot} if robot else {})})
    assert node.wait() != 0
    assert words in node.log
