"""What the simulated cell publishes and obeys, seen from rclpy."""

import math
import xml.etree.ElementTree as ET

import pytest
from cell import CELL_CONFIG, ROBOTS, SIM, Reports, StandInGate, close
from geometry_msgs.msg import WrenchStamped
from harness import LATCHED, RELIABLE, SENSOR
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String
from swarm_msgs.msg import GripperCommand, GripperState, PartPoses
from swarm_msgs.srv import ResetSim
from test_node_basics import change
from tf2_msgs.msg import TFMessage

# A permit time-out that an rclpy publisher on a busy machine keeps up with; 100 cycles of simulated time.
PERMIT_TIMEOUT_US = 200_000
PERMIT_TIMEOUT_CYCLES = 100
GRAVITY = 9.81


@pytest.fixture
def sim(start):
    def start_sim(**parameters):
        return start(SIM, parameters={"cell_config": CELL_CONFIG, "permit_timeout_us": PERMIT_TIMEOUT_US, **parameters})

    return start_sim


def test_every_arm_joint_is_published_each_cycle_with_position_velocity_and_effort(sim, probe):
    sim()
    states, reports = probe.collect(JointState, "/joint_states", RELIABLE), Reports(probe)
    arms = probe.wait_for(lambda: [s for s in states if "panda_panda_joint1" in s.name], "arm states")
    assert len(arms[0].name) == sum(ROBOTS.values()) == len(set(arms[0].name))
    assert len(arms[0].position) == len(arms[0].velocity) == len(arms[0].effort) == len(arms[0].name)
    assert {name.removeprefix(robot + "_") for robot in ROBOTS for name in arms[0].name if name.startswith(robot + "_")} >= {
        "shoulder_pan_joint",
        "wrist_3_joint",
        "panda_joint7",
    }
    # Between two reports there is one message per cycle (a few may still be under way).
    probe.wait_for(lambda: len(reports.all) >= 3, "three reports")
    first = reports.newest().cycle
    states.clear()
    probe.wait_for(lambda: reports.newest().cycle >= first + 500, "500 more cycles")
    cycles = reports.newest().cycle - first
    received = sum("panda_panda_joint1" in state.name for state in states)
    assert abs(received - cycles) <= 0.05 * cycles


def test_the_wrench_at_rest_is_the_grippers_weight(sim, probe):
    sim()
    wrenches = probe.collect(WrenchStamped, "/ur5e_left/wrench", SENSOR)
    wrench = probe.wait_for(lambda: wrenches[50:], "wrenches")[0]
    assert wrench.header.frame_id == "ur5e_left_tool0"
    force = wrench.wrench.force
    assert close(math.sqrt(force.x**2 + force.y**2 + force.z**2), 0.9 * GRAVITY, 0.05)


def test_a_late_joiner_gets_a_description_that_holds_every_joint(sim, probe):
    sim()
    states = probe.collect(JointState, "/joint_states", RELIABLE)
    probe.wait_for(lambda: len(states) > 100, "the simulation runs for a while")
    descriptions = probe.collect(String, "/robot_description", LATCHED)
    root = ET.fromstring(probe.wait_for(lambda: descriptions, "the description")[0].data)
    published = {name for state in states for name in state.name}
    movable = {joint.get("name") for joint in root.iter("joint") if joint.get("type") != "fixed"}
    assert published == movable


def test_the_transforms_are_one_tree_from_world(sim, probe):
    sim()
    fixed, moving = probe.collect(TFMessage, "/tf_static", LATCHED), probe.collect(TFMessage, "/tf", RELIABLE)
    probe.wait_for(lambda: fixed and moving, "both kinds of transforms")
    parents = {t.child_frame_id: t.header.frame_id for message in (fixed[0], moving[0]) for t in message.transforms}

    def root(frame):
        seen = set()
        while frame in parents:
            assert frame not in seen, f"{frame} is its own ancestor"
            seen.add(frame)
            frame = parents[frame]
        return frame

    assert {root(frame) for frame in parents} == {"world"}
    assert {"ur5e_left_tool0", "panda_panda_link8", "part_a", "part_b"} <= set(parents)


def test_the_camera_sees_both_parts_at_thirty_hertz_of_simulated_time(sim, probe):
    sim()
    seen, reports = probe.collect(PartPoses, "/part_poses", SENSOR), Reports(probe)
    poses = probe.wait_for(lambda: seen, "part poses")[-1]
    assert [part.part for part in poses.parts] == ["part_a", "part_b"] and poses.header.frame_id == "world"
    report = reports.newest()
    assert close(poses.parts[0].pose.position.x, report.pocket.position.x, 0.01)
    assert 0.0 < poses.parts[0].position_std < 0.002
    first, seen[:] = report.cycle, []
    probe.wait_for(lambda: reports.newest().cycle >= first + 500, "a second of simulated time")
    assert 25 <= len(seen) <= 36


def test_without_a_permit_a_command_moves_nothing(sim, probe):
    sim()
    reports, gate = Reports(probe), StandInGate(probe)
    begin = reports.newest().cycle

    def passed():
        gate.command("ur5e_left", 0.3)
        return reports.newest().cycle > begin + 250

    probe.wait_for(passed, "half a simulated second of commands")
    assert all(driver.standing and driver.drive == "no_permit" for report in reports.all for driver in report.drivers)


def test_an_arm_follows_while_permitted_and_stops_when_the_permit_ends_counted_in_cycles(sim, probe):
    """Silence means stop: the driver itself ends the motion, a fixed number of simulated cycles after the last permit."""
    sim()
    reports, gate = Reports(probe), StandInGate(probe)
    gate.drive_until("ur5e_left", 0.3, lambda: reports.driver("ur5e_left").reference_speed > 0.299, "the arm moves at 0.3 rad/s")

    # The permits end here; commands go on.
    def stopped():
        gate.command("ur5e_left", 0.3)
        driver = reports.driver("ur5e_left")
        return driver.drive == "permit_old" and driver.cycles_to_stand > 0

    probe.wait_for(stopped, "the arm stands")
    driver = reports.driver("ur5e_left")
    # The first cycle in which the age exceeds the time-out. What the permit was under way and waited for its cycle counts.
    assert PERMIT_TIMEOUT_CYCLES // 2 < driver.stop_permit_age_cycles <= PERMIT_TIMEOUT_CYCLES
    # 0.3 rad/s at 10 rad/s^2 of deceleration are 15 cycles of 2 ms.
    assert 1 <= driver.cycles_to_stand <= 18


def test_a_permit_of_zero_or_for_others_stops_at_once(sim, probe):
    sim()
    reports, gate = Reports(probe), StandInGate(probe)
    for withdraw in (lambda: gate.permit(0.0), lambda: gate.permit(1.0, robots=["panda"])):
        gate.drive_until("ur5e_left", 0.2, lambda: reports.driver("ur5e_left").reference_speed > 0.1, "the arm moves")

        def stopped(withdraw=withdraw):
            withdraw()
            gate.command("ur5e_left", 0.2)
            driver = reports.driver("ur5e_left")
            return driver.drive == "permit_zero" and driver.standing

        probe.wait_for(stopped, "the arm stands")
        assert reports.driver("ur5e_left").stop_permit_age_cycles < PERMIT_TIMEOUT_CYCLES


def test_a_permit_of_an_older_epoch_is_refused_and_stops(sim, probe):
    sim()
    reports, gate = Reports(probe), StandInGate(probe)
    gate.epoch = 5
    gate.drive_until("panda", 0.2, lambda: reports.driver("panda").reference_speed > 0.1, "the arm moves")
    gate.epoch = 4

    def stopped():
        gate.permit()
        gate.command("panda", 0.2)
        return reports.driver("panda").standing

    probe.wait_for(stopped, "the arm stands")
    driver = reports.driver("panda")
    assert driver.drive == "permit_backwards" and driver.permits_refused > 0


@pytest.mark.parametrize("bad", [[math.nan] * 6, [0.1] * 5, [math.inf] + [0.0] * 5])
def test_a_command_that_cannot_be_followed_stops_the_arm(sim, probe, bad):
    sim()
    reports, gate = Reports(probe), StandInGate(probe)
    gate.drive_until("ur5e_right", 0.2, lambda: reports.driver("ur5e_right").reference_speed > 0.1, "the arm moves")

    def stopped():
        gate.permit()
        gate.commands["ur5e_right"].publish(Float64MultiArray(data=bad))
        return reports.driver("ur5e_right").standing

    probe.wait_for(stopped, "the arm stands")
    driver = reports.driver("ur5e_right")
    assert driver.drive == "command_refused" and driver.commands_refused > 0


def test_silence_on_the_command_topic_stops_the_arm(sim, probe):
    sim()
    reports, gate = Reports(probe), StandInGate(probe)
    gate.drive_until("ur5e_left", 0.2, lambda: reports.driver("ur5e_left").reference_speed > 0.1, "the arm moves")

    def stopped():
        gate.permit()
        return reports.driver("ur5e_left").drive == "command_old" and reports.driver("ur5e_left").standing

    probe.wait_for(stopped, "the arm stands")


def test_a_gripper_obeys_the_permit_and_holds_when_it_ends(sim, probe):
    sim()
    reports, gate = Reports(probe), StandInGate(probe)
    states = probe.collect(GripperState, "/ur5e_left/gripper_state", SENSOR)
    commands = probe.publisher(GripperCommand, "/ur5e_left/gripper_command", RELIABLE)
    open_width = probe.wait_for(lambda: states, "the gripper's state")[-1].width
    commands.publish(GripperCommand(robot="ur5e_left", width=0.02, force=20.0))
    begin = reports.newest().cycle
    probe.wait_for(lambda: reports.newest().cycle > begin + 250, "half a simulated second")
    assert close(states[-1].width, open_width, 0.001), "there has been no permit at all"

    def closed():
        gate.permit()
        commands.publish(GripperCommand(robot="ur5e_left", width=0.02, force=20.0))
        return close(states[-1].width, 0.02, 0.001)

    probe.wait_for(closed, "the gripper is at 20 mm")
    begin = reports.newest().cycle
    probe.wait_for(lambda: reports.newest().cycle > begin + 250, "half a simulated second without permits")
    assert close(states[-1].width, 0.02, 0.001), "it stays closed"


def test_reset_is_refused_while_an_arm_moves_and_the_same_seed_gives_the_same_parts(sim, probe):
    sim()
    reports, gate = Reports(probe), StandInGate(probe)
    poses = {}
    for seed in (7, 8, 7):
        assert probe.call(ResetSim, "/sim/reset", ResetSim.Request(seed=seed)).success
        reports.all.clear()
        probe.wait_for(lambda: reports.all and reports.newest().cycle < 400, "a report after the reset")
        position = reports.newest().pocket.position
        poses.setdefault(seed, []).append((round(position.x, 4), round(position.y, 4)))
    assert poses[7][0] == poses[7][1] != poses[8][0]

    gate.drive_until("ur5e_left", 0.2, lambda: reports.driver("ur5e_left").reference_speed > 0.19, "the arm moves")
    client = probe.node.create_client(ResetSim, "/sim/reset")
    probe.wait_for(client.service_is_ready, "the reset service")
    future = client.call_async(ResetSim.Request(seed=1))
    gate.drive_until("ur5e_left", 0.2, future.done, "the reset is answered")
    answer = future.result()
    assert not answer.success and "commanded to move" in answer.message


def test_the_clock_comes_on_request_only_and_then_stamps_are_simulated(sim, probe):
    node = sim(publish_clock=True)
    clocks, states = probe.collect(Clock, "/clock", SENSOR), probe.collect(JointState, "/joint_states", RELIABLE)
    probe.wait_for(lambda: len(clocks) > 10 and states, "the clock")
    assert clocks[-1].clock.sec < 1000 and states[-1].header.stamp.sec < 1000
    node.stop()
    sim()
    probe.wait_for(lambda: states[-1].header.stamp.sec > 1_000_000_000, "stamps are the wall clock's")
    probe.wait_for(lambda: probe.node.count_publishers("/clock") == 0, "nobody publishes /clock")


def test_an_inactive_simulation_stands_still(sim, probe):
    sim()
    reports = Reports(probe)
    probe.wait_for(lambda: reports.all, "the simulation runs")
    assert change(probe, "deactivate", "/swarm_sim")
    last = reports.newest().cycle
    probe.holds_for(lambda: reports.newest().cycle <= last + 1, 0.3, "no cycle is made")
    assert change(probe, "activate", "/swarm_sim")
    probe.wait_for(lambda: reports.newest().cycle > last + 50, "the simulation goes on where it was")


def test_pictures_are_drawn_or_their_absence_is_explained_and_the_physics_goes_on(sim, probe, tmp_path):
    """Drawing needs EGL, which a machine may lack; the simulation does not depend on it."""
    folder = tmp_path / "view"
    node = sim(view_dir=str(folder))
    reports = Reports(probe)
    probe.wait_for(lambda: list(folder.glob("frame_*.png")) or "no pictures:" in node.log, "a picture or a reason")
    for picture in folder.glob("frame_*.png"):
        assert picture.read_bytes()[:4] in (b"\x89PNG", b"")
    after = reports.newest().cycle
    probe.wait_for(lambda: reports.newest().cycle > after + 50, "the simulation goes on")


def test_a_cell_that_cannot_be_read_is_an_error_at_start(start, tmp_path):
    node = start(SIM, parameters={"cell_config": str(tmp_path / "none.yaml")})
    assert node.wait() == 1
    assert "cannot read" in node.log and "none.yaml" in node.log
