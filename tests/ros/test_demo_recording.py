"""What `cargo xtask demo --record` records: the simulator's own cameras over RTSP, the arms and the safety monitor, in one bag."""

import json
import subprocess
from statistics import median

from bag_readers import OTHERS, by_cell
from cameras import bag_of
from cell import MONITOR, ON_ANY_MACHINE, SIM, ArtifactStore, patient_cell
from harness import LATCHED
from swarm_msgs.msg import CaptureStatus, FrameTiming
from test_live_view import free_ports

# Small and slow enough for a processor that draws, and does everything else too.
WIDTH, HEIGHT, RATE_HZ = 320, 240, 10
CAMERAS = ("overview", "panda_wrist")
FRAMES = 40


def frames_of(stream: bytes, path) -> list:
    """What ffprobe decodes of a coded stream."""
    path.write_bytes(stream)
    command = ["ffprobe", "-v", "error", "-f", "h264", "-show_frames", "-print_format", "json", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return json.loads(done.stdout)["frames"]


def nanoseconds(stamp) -> int:
    return stamp.sec * 10**9 + stamp.nanosec


def test_the_cells_own_cameras_arms_and_safety_state_are_in_a_bag_that_all_readers_count_alike(start, probe, tmp_path):
    config, store, port = patient_cell(tmp_path), ArtifactStore(tmp_path), free_ports(1)
    specs = [f"{camera} {WIDTH}x{HEIGHT} {RATE_HZ}" for camera in CAMERAS]
    start(SIM, parameters={"cell_config": config, "cameras": str(specs), "cameras_address": f"127.0.0.1:{port}"})
    start(MONITOR, parameters={"cell_config": config, **ON_ANY_MACHINE, **store.parameters})
    bag = tmp_path / "recording"
    statuses = probe.collect(CaptureStatus, "/capture/status", LATCHED)
    urls = [f"rtsp://127.0.0.1:{port}/{camera}" for camera in CAMERAS]
    recorder = {"camera_ips": str(urls), "camera_names": str(list(CAMERAS)), "output_bag": str(bag), "cell_config": config, "reserve_mb": 1}
    capture = start("swarm_capture", parameters=recorder)

    def recorded():
        cameras = statuses[-1].cameras if statuses else []
        return len(cameras) == 2 and all(c.frames >= FRAMES and c.clock_state == FrameTiming.LOCKED for c in cameras)

    probe.wait_for(recorded, lambda: f"{FRAMES} frames of each camera; {statuses[-1:]}\n{capture.log}")
    capture.interrupt()
    assert capture.wait() == 0, capture.log

    assert "time stamps jumped" not in capture.log, capture.log

    counts = by_cell(bag)
    for reader, count in OTHERS.items():
        assert count(bag) == counts, reader

    found = bag_of(bag)
    for camera in CAMERAS:
        video, timing = ([message for _, message in found[f"/{camera}/{topic}"]] for topic in ("video", "timing"))
        assert len(video) >= FRAMES
        # One message of timing for each frame, of the same moment. Stamps are those of the pictures: drawing and coding come after.
        assert [nanoseconds(frame.timestamp) for frame in video] == [nanoseconds(each.header.stamp) for each in timing]
        stamps = [nanoseconds(each.header.stamp) for each in timing]
        assert median(nanoseconds(each.arrival) - stamp for each, stamp in zip(timing, stamps)) > 0
        assert all(each.lost_packets == each.lost_frames == 0 for each in timing)
        first = frames_of(bytes(video[0].data), tmp_path / f"{camera}_first.h264")
        assert timing[0].key_frame and [(f["key_frame"], f["width"], f["height"]) for f in first] == [(1, WIDTH, HEIGHT)]
        decoded = frames_of(b"".join(bytes(frame.data) for frame in video), tmp_path / f"{camera}.h264")
        assert len(decoded) == len(video)
        assert {f["pict_type"] for f in decoded} == {"I", "P"}
        keys = [index for index, f in enumerate(decoded) if f["key_frame"]]
        assert all(after - before <= RATE_HZ for before, after in zip(keys, keys[1:]))
        assert [index for index, each in enumerate(timing) if each.key_frame] == keys
        # An empty picture of this size takes some hundred bytes.
        assert len(video[0].data) > 3000
    assert bytes(found["/overview/video"][0][1].data) != bytes(found["/panda_wrist/video"][0][1].data)

    arms = [set(message.name) for _, message in found["/joint_states"]]
    assert any({"ur5e_left_elbow_joint", "ur5e_right_elbow_joint", "panda_panda_joint4"} <= names for names in arms)
    assert found["/safety_monitor"] and found["/ur5e_left/wrench"] and found["/tf"] and found["/robot_description"]

    last = {loss.topic: loss for _, loss in found["/capture/loss"]}
    assert set(found) - {"/capture/loss"} <= set(last)
    for topic, loss in last.items():
        assert loss.received == loss.recorded + loss.dropped_queue + loss.dropped_disk, loss
        assert loss.recorded == counts[topic], loss
    assert all(last[f"/{camera}/video"].received == counts[f"/{camera}/video"] for camera in CAMERAS)
