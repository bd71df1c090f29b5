"""swarm_capture seen from rclpy, with cameras and bag readers that nobody here wrote."""

import signal
from pathlib import Path

import pytest
from cameras import Cameras, bag_of
from foxglove_msgs.msg import CompressedVideo
from harness import LATCHED, RELIABLE, SENSOR
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger
from swarm_msgs.msg import CameraStatus, CaptureStatus, FrameGroup, FrameTiming
from swarm_msgs.srv import StartRecording, TakeSnapshot
from test_node_basics import change

NODE = "swarm_capture"
# Less than any machine that runs tests has free.
RESERVE_MB = 1


@pytest.fixture
def cameras():
    made = []

    def make(count):
        made.append(Cameras(count))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def capture(start, probe):
    """The node, and the newest status that it said."""

    class Capture:
        def __init__(self, cameras, **parameters):
            addresses = str(cameras.addresses) if cameras else "[]"
            parameters = {"camera_ips": addresses, "topics": "['/joint_states', '/robot_description']", "reserve_mb": RESERVE_MB, **parameters}
            if not cameras:
                del parameters["camera_ips"]
            self.statuses = probe.collect(CaptureStatus, "/capture/status", LATCHED)
            self.process = start(NODE, parameters=parameters)

        def wait_for(self, condition, what):
            def newest():
                return self.statuses[-1] if self.statuses and condition(self.statuses[-1]) else None

            return probe.wait_for(newest, lambda: f"{what}; last status {self.statuses[-1:]}\n{self.process.log}")

        def wait_for_frames(self, count):
            return self.wait_for(
                lambda status: status.cameras and all(camera.frames >= count for camera in status.cameras),
                f"{count} frames of each camera",
            )

        def wait_until_locked(self):
            """Until sender reports have come: frames before them wait, and are stamped then."""
            return self.wait_for(
                lambda status: status.cameras and all(camera.clock_state == FrameTiming.LOCKED for camera in status.cameras),
                "the cameras' clocks are followed",
            )

        def end(self):
            self.process.interrupt()
            assert self.process.wait() == 0, self.process.log

    return Capture


def sequences(messages):
    return [message.sequence for _, message in messages]


@pytest.mark.parametrize("name", ["demo_001.db3", "demo_001.mcap", "demo_001"])
def test_cameras_and_arms_are_in_one_bag_that_another_reader_counts_alike(cameras, capture, probe, tmp_path, name):
    description = probe.publisher(String, "/robot_description", LATCHED, matched=False)
    description.publish(String(data="<robot/>"))
    bag = tmp_path / name
    node = capture(cameras(2), output_bag=str(bag))
    states = probe.publisher(JointState, "/joint_states", RELIABLE)
    probe.wait_for(lambda: node.statuses and node.statuses[-1].recording, "it records")
    sent = 0

    def send():
        nonlocal sent
        states.publish(JointState(name=["elbow"], position=[float(sent)]))
        sent += 1
        return node.statuses[-1]

    groups = probe.collect(FrameGroup, "/capture/groups", RELIABLE)

    def done():
        status = send()
        locked = all(camera.clock_state == FrameTiming.LOCKED for camera in status.cameras)
        return locked and sum(len(group.cameras) == 2 for group in groups) >= 60

    probe.wait_for(done, lambda: f"60 groups; {node.statuses[-1]}\n{node.process.log}")
    node.end()

    found = bag_of(bag)
    last = {}
    for _, loss in found["/capture/loss"]:
        last[loss.topic] = loss
    for camera in ("cam1", "cam2"):
        video, timing = found[f"/{camera}/video"], found[f"/{camera}/timing"]
        assert len(video) == len(timing) >= 90
        assert last[f"/{camera}/video"].received == last[f"/{camera}/video"].recorded == len(video)
        assert bytes(video[0][1].data[:4]) == b"\x00\x00\x00\x01" and timing[0][1].key_frame
        assert sequences(timing) == list(range(sequences(timing)[0], sequences(timing)[0] + len(timing)))
        stamps = [message.header.stamp.sec * 10**9 + message.header.stamp.nanosec for _, message in timing]
        assert stamps == sorted(set(stamps))
        assert [(m.timestamp.sec, m.timestamp.nanosec) for _, m in video] == [
            (m.header.stamp.sec, m.header.stamp.nanosec) for _, m in timing
        ]
        info = found[f"/{camera}/camera_info"][0][1]
        assert (info.width, info.height) == (320, 240)
    positions = [message.position[0] for _, message in found["/joint_states"]]
    assert positions == sorted(positions) and len(positions) >= 0.9 * sent
    assert [message.data for _, message in found["/robot_description"]] == ["<robot/>"]
    both = [group for _, group in found["/capture/groups"] if group.cameras == ["cam1", "cam2"]]
    assert len(both) >= 60 and all(group.complete for group in both)
    assert all(0 <= group.residual <= 0.02 for group in both)
    received = [stamp for messages in found.values() for stamp, _ in messages]
    assert len(received) == sum(loss.recorded for loss in last.values()) + len(found["/capture/loss"])


def test_frames_are_published_as_they_are_recorded(cameras, capture, probe):
    node = capture(cameras(1))
    videos = probe.collect(CompressedVideo, "/cam1/video", SENSOR)
    timings = probe.collect(FrameTiming, "/cam1/timing", SENSOR)
    groups = probe.collect(FrameGroup, "/capture/groups", RELIABLE)
    probe.wait_for(lambda: len(videos) >= 30 and len(timings) >= 30 and groups, lambda: f"30 frames\n{node.process.log}")
    assert {video.format for video in videos} == {"h264"}
    assert {video.frame_id for video in videos} == {"cam1_optical"}
    status = node.wait_for(lambda status: status.cameras[0].frame_rate > 20, "the frame rate")
    camera = status.cameras[0]
    assert (camera.camera, camera.state, camera.width, camera.height) == ("cam1", CameraStatus.STREAMING, 320, 240)
    assert not status.recording and status.disk_left == -1.0
    node.end()


def test_pictures_are_decoded_while_somebody_looks(cameras, capture, probe):
    node = capture(cameras(1))
    node.wait_until_locked()
    assert "decoding" not in node.process.log
    images = probe.collect(Image, "/cam1/image", RELIABLE)
    probe.wait_for(lambda: len(images) >= 10, lambda: f"10 pictures\n{node.process.log}")
    image = images[-1]
    assert (image.width, image.height, image.encoding, image.step) == (320, 240, "rgb8", 960)
    assert image.header.frame_id == "cam1_optical" and len(image.data) == 320 * 240 * 3
    # A white ball on black.
    assert max(image.data) > 200 and min(image.data) < 30
    node.end()


def test_a_camera_that_reboots_is_back_in_the_same_bag_and_the_gap_is_known(cameras, capture, tmp_path):
    bench = cameras(1)
    node = capture(bench, output_bag=str(tmp_path / "bag.mcap"))
    node.wait_for_frames(30)
    bench.stop()
    node.wait_for(lambda status: status.cameras[0].state == CameraStatus.LOST, "the camera is lost")
    before = node.statuses[-1].cameras[0].frames
    bench.start()
    node.wait_for(lambda status: status.cameras[0].frames >= before + 30, "30 more frames")
    status = node.wait_for(lambda status: status.cameras[0].reconnects == 1, "one reconnection")
    assert status.cameras[0].state == CameraStatus.STREAMING and status.recording
    node.end()
    timing = bag_of(tmp_path / "bag.mcap")["/cam1/timing"]
    assert len(timing) >= before + 20
    assert sequences(timing) == sorted(set(sequences(timing)))
    assert any(message.key_frame for _, message in timing[before:])


def test_recordings_are_begun_and_ended_by_service_and_bad_requests_are_refused(cameras, capture, probe, tmp_path):
    node = capture(cameras(1))
    start, stop = StartRecording, Trigger

    refused = probe.call(stop, "/capture/stop")
    assert (refused.success, refused.message) == (False, "nothing is being recorded")
    node.wait_until_locked()
    (tmp_path / "there.mcap").write_bytes(b"somebody's")
    refused = probe.call(start, "/capture/start", start.Request(output_bag=str(tmp_path / "there.mcap")))
    assert not refused.success and "there.mcap" in refused.message and "exists" in refused.message, refused.message
    assert (tmp_path / "there.mcap").read_bytes() == b"somebody's"
    refused = probe.call(start, "/capture/start", start.Request(output_bag="/proc/nowhere/bag.mcap"))
    assert not refused.success and "/proc/nowhere" in refused.message, refused.message

    bag = str(tmp_path / "one.db3")
    begun = probe.call(start, "/capture/start", start.Request(output_bag=bag))
    assert (begun.success, begun.output_bag) == (True, bag), begun.message
    refused = probe.call(start, "/capture/start", start.Request(output_bag=str(tmp_path / "two.db3")))
    assert (refused.success, refused.message) == (False, f"a recording into '{bag}' is running; stop it first")
    frames = node.statuses[-1].cameras[0].frames
    node.wait_for_frames(frames + 30)
    ended = probe.call(stop, "/capture/stop")
    assert (ended.success, ended.message) == (True, f"{bag} is finished")
    assert len(bag_of(tmp_path / "one.db3")["/cam1/video"]) >= 20
    assert not list(tmp_path.glob("one.db3-*")), "a finished bag is one file"

    begun = probe.call(start, "/capture/start", start.Request(output_bag=str(tmp_path / "three")))
    assert begun.success, begun.message
    node.end()
    assert "/capture/status" in bag_of(tmp_path / "three")


def test_a_bag_that_nobody_names_is_beside_that_of_the_parameter(cameras, capture, probe, tmp_path):
    node = capture(cameras(1), output_bag=str(tmp_path / "run"), max_file_mb=10)
    node.wait_until_locked()
    assert probe.call(Trigger, "/capture/stop").success
    begun = probe.call(StartRecording, "/capture/start", StartRecording.Request(output_bag=""))
    assert begun.success and begun.output_bag.startswith(str(tmp_path / "run_")), begun
    node.wait_for_frames(node.statuses[-1].cameras[0].frames + 30)
    node.end()
    assert len(bag_of(Path(begun.output_bag))["/cam1/video"]) >= 20


def test_a_bag_that_is_named_nowhere_is_refused(cameras, capture, probe):
    node = capture(cameras(1))
    node.wait_until_locked()
    refused = probe.call(StartRecording, "/capture/start", StartRecording.Request(output_bag=""))
    assert not refused.success and "output_bag is empty" in refused.message, refused.message
    refused = probe.call(TakeSnapshot, "/capture/snapshot", TakeSnapshot.Request(output_bag="", seconds=1.0))
    assert not refused.success and "output_bag is empty" in refused.message, refused.message
    node.end()


def test_a_snapshot_holds_the_last_seconds_from_a_key_frame_and_what_was_latched(cameras, capture, probe, tmp_path):
    description = probe.publisher(String, "/robot_description", LATCHED, matched=False)
    description.publish(String(data="<robot/>"))
    node = capture(cameras(1))
    node.wait_until_locked()
    node.wait_for_frames(150)
    bag = tmp_path / "incident.mcap"
    taken = probe.call(TakeSnapshot, "/capture/snapshot", TakeSnapshot.Request(output_bag=str(bag), seconds=2.0))
    assert taken.success, taken.message
    found = bag_of(bag)
    assert sum(map(len, found.values())) == taken.messages
    timing = found["/cam1/timing"]
    assert 45 <= len(found["/cam1/video"]) <= 110
    keys = {message.sequence: message.key_frame for _, message in timing}
    first = found["/cam1/video"][0][1].timestamp
    begins = [m for _, m in timing if (m.header.stamp.sec, m.header.stamp.nanosec) == (first.sec, first.nanosec)]
    assert not begins or keys[begins[0].sequence]
    assert [message.data for _, message in found["/robot_description"]] == ["<robot/>"]

    refused = probe.call(TakeSnapshot, "/capture/snapshot", TakeSnapshot.Request(output_bag=str(bag), seconds=2.0))
    assert not refused.success and "exists" in refused.message, refused.message
    refused = probe.call(TakeSnapshot, "/capture/snapshot", TakeSnapshot.Request(output_bag=str(bag), seconds=-1.0))
    assert (refused.success, refused.message) == (False, "seconds is -1, expected 0 (all there is) to 86400")
    node.end()


@pytest.mark.parametrize("name", ["cut.db3", "cut.mcap"])
def test_a_recorder_that_is_killed_leaves_a_bag_that_opens(cameras, capture, tmp_path, name):
    node = capture(cameras(1), output_bag=str(tmp_path / name))
    node.wait_until_locked()
    status = node.wait_for_frames(120)
    node.process.process.send_signal(signal.SIGKILL)
    node.process.wait()
    video = bag_of(tmp_path / name)["/cam1/video"]
    # What came within the last sync is lost: 250 ms, and the time until the status was said and heard.
    assert len(video) >= status.cameras[0].frames - 30


def test_a_recording_begun_by_service_opens_after_its_recorder_was_killed(cameras, capture, probe, tmp_path):
    node = capture(cameras(1))
    node.wait_until_locked()
    begun = probe.call(StartRecording, "/capture/start", StartRecording.Request(output_bag=str(tmp_path / "new" / "cut")))
    assert begun.success, begun.message
    before = node.statuses[-1].cameras[0].frames
    after = node.wait_for_frames(before + 120).cameras[0].frames
    node.process.kill()
    assert len(bag_of(tmp_path / "new" / "cut")["/cam1/video"]) >= after - before - 30


def test_the_life_cycle_ends_and_begins_cameras_and_recording(cameras, capture, probe, tmp_path):
    node = capture(cameras(1), output_bag=str(tmp_path / "bag.mcap"))
    node.wait_for_frames(10)
    assert change(probe, "deactivate", "/capture")
    status = node.wait_for(lambda status: not status.recording, "it does not record")
    assert len(bag_of(tmp_path / "bag.mcap")["/cam1/video"]) >= 10
    assert status.cameras[0].state == CameraStatus.CONNECTING
    assert status.cameras[0].detail == "not followed: the node is inactive"
    refused = probe.call(StartRecording, "/capture/start", StartRecording.Request(output_bag=str(tmp_path / "more.mcap")))
    assert not refused.success and "the node is inactive" in refused.message, refused.message
    assert not (tmp_path / "more.mcap").exists()
    # The bag is there now, and is never replaced: activation says so and the node stays inactive.
    assert not change(probe, "activate", "/capture")
    assert "bag.mcap" in node.process.log and "exists" in node.process.log
    node.end()


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"transport": "udp"}, "transport is udp, which needs backend: gstreamer"),
        ({"camera_ips": "['10.0.0.1', '10.0.0.1']"}, "'10.0.0.1' is there twice"),
        ({"topics": "['joint_states']"}, "topics: 'joint_states' is neither"),
        ({"topics": "['/nobodys_topic']"}, "nobody publishes '/nobodys_topic' yet, and its type is not known here"),
        ({"topics": "['/x no_such_msgs/msg/X']"}, "no_such_msgs/msg/X"),
        ({"output_bag": "/tmp/a.db3", "max_file_mb": 10}, "a bag in several files is a directory"),
        ({"credentials_file": "/nowhere/cameras.yaml"}, "cannot read the credentials file /nowhere/cameras.yaml"),
        ({"calibration_file": "/nowhere/biases.yaml"}, "cannot read the calibration /nowhere/biases.yaml"),
        ({"camera_ips": "['10.0.0.1']", "camera_info_urls": "['file:///nowhere/cam1.yaml']"}, "the calibration /nowhere/cam1.yaml cannot be read"),
        ({"camera_ips": "['10.0.0.1']", "camera_info_urls": "['a.yaml', 'b.yaml']"}, "camera_info_urls has 2 addresses for 1 cameras"),
        ({"reserve_mb": 1_000_000, "output_bag": "/tmp/swarm_capture_never_made.mcap"}, "bytes are free there and 1000000000000 must stay so"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(start, parameters, told):
    node = start(NODE, parameters=parameters)
    assert node.wait() == 1
    assert told in node.log, node.log


# As camera_calibration writes it.
LENS = """\
image_width: {width}
image_height: 240
camera_name: cam1
camera_matrix: {{rows: 3, cols: 3, data: [310.5, 0.0, 160.2, 0.0, 311.0, 119.5, 0.0, 0.0, 1.0]}}
distortion_model: {model}
distortion_coefficients: {{rows: 1, cols: 5, data: [-0.36, 0.15, 0.0002, -0.0001, 0.0]}}
rectification_matrix: {{rows: 3, cols: 3, data: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]}}
projection_matrix: {{rows: 3, cols: 4, data: [300.0, 0.0, 160.0, 0.0, 0.0, 301.0, 120.0, 0.0, 0.0, 0.0, 1.0, 0.0]}}
"""


def test_a_calibrated_lens_is_in_the_camera_info_and_one_of_another_size_is_not(cameras, capture, probe, tmp_path):
    (tmp_path / "cam1.yaml").write_text(LENS.format(width=320, model="plumb_bob"))
    (tmp_path / "cam2.yaml").write_text(LENS.format(width=640, model="plumb_bob"))
    node = capture(cameras(2), camera_info_urls=f"['file://{tmp_path}/${{NAME}}.yaml']")
    infos = [probe.collect(CameraInfo, f"/cam{number}/camera_info", SENSOR) for number in (1, 2)]
    probe.wait_for(lambda: all(infos), lambda: f"camera_info of both\n{node.process.log}")
    calibrated, other = (info[-1] for info in infos)
    assert (calibrated.width, calibrated.height, calibrated.distortion_model) == (320, 240, "plumb_bob")
    assert list(calibrated.k) == [310.5, 0.0, 160.2, 0.0, 311.0, 119.5, 0.0, 0.0, 1.0]
    assert list(calibrated.d) == [-0.36, 0.15, 0.0002, -0.0001, 0.0] and calibrated.p[5] == 301.0 and calibrated.r[0] == 1.0
    assert (other.width, other.height, other.distortion_model, other.k[0]) == (320, 240, "", 0.0)
    assert "cam2: the calibration is for 640x240 and the stream is 320x240" in node.process.log
    assert "cam2.yaml names its camera 'cam1'" in node.process.log
    node.end()


def test_a_calibration_that_makes_no_sense_is_refused_with_its_place(start, tmp_path):
    (tmp_path / "lens.yaml").write_text(LENS.format(width=320, model="fisheye"))
    node = start(NODE, parameters={"camera_ips": "['10.0.0.1']", "camera_info_urls": f"['{tmp_path}/lens.yaml']"})
    assert node.wait() == 1
    assert "lens.yaml" in node.log and "expected plumb_bob, rational_polynomial or equidistant, found 'fisheye'" in node.log, node.log


def test_a_camera_that_is_not_there_is_said_and_the_others_are_recorded(cameras, capture, tmp_path):
    bench = cameras(1)
    addresses = [*bench.addresses, "rtsp://127.0.0.1:9/none"]
    node = capture(bench, camera_ips=str(addresses), output_bag=str(tmp_path / "bag.mcap"))
    status = node.wait_for(
        lambda status: len(status.cameras) == 2 and status.cameras[0].frames >= 30 and status.cameras[1].detail, "one streams"
    )
    assert status.cameras[1].state == CameraStatus.CONNECTING
    assert "refuses connections to port 9" in status.cameras[1].detail
    node.end()
    assert len(bag_of(tmp_path / "bag.mcap")["/cam1/video"]) >= 30
