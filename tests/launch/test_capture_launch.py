"""multi_camera_record.launch.py, executed against stand-ins for `launch`, and what it names in the install tree."""

import os
import pathlib

import doubles
import pytest
from test_launch_files import install, kinds, mark, nodes_of  # noqa: F401 - install is a fixture

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
FILE = REPOSITORY / "packages/nodes/swarm_capture/launch/multi_camera_record.launch.py"
CAMERAS = {"camera_ips": "['192.168.1.101', '192.168.1.102']", "output_bag": "/data/demo_001.db3"}


def node(tmp_path, **arguments):
    return nodes_of(doubles.execute(FILE, tmp_path, **arguments))["capture"]


def test_the_documented_command_starts_one_node_with_cameras_and_bag(tmp_path):
    started = node(tmp_path, **CAMERAS)
    assert (started.kind, started.package, started.executable) == ("LifecycleNode", "swarm_capture", "swarm_capture")
    assert started.parameters == [{"camera_ips": ["192.168.1.101", "192.168.1.102"], "output_bag": "/data/demo_001.db3"}]
    assert started.on_exit.kind == "Shutdown"


def test_further_arguments_become_parameters(tmp_path):
    started = node(
        tmp_path,
        **CAMERAS,
        camera_names="['left', 'right']",
        camera_info_urls="['file:///etc/swarm/${NAME}.yaml']",
        topics="['/joint_states', '/imu sensor_msgs/msg/Imu']",
        credentials="/etc/swarm/cameras.yaml",
        cell_config="/etc/swarm/cell.yaml",
        overrides="{snapshot.seconds: 60.0, output_bag: /data/other}",
    )
    assert started.parameters == [
        {
            "camera_ips": ["192.168.1.101", "192.168.1.102"],
            "camera_names": ["left", "right"],
            "camera_info_urls": ["file:///etc/swarm/${NAME}.yaml"],
            "topics": ["/joint_states", "/imu sensor_msgs/msg/Imu"],
            "credentials_file": "/etc/swarm/cameras.yaml",
            "cell_config": "/etc/swarm/cell.yaml",
            "snapshot.seconds": 60.0,
            "output_bag": "/data/other",
        }
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"camera_ips": "192.168.1.101"}, "camera_ips:=192.168.1.101: expected a list of strings"),
        ({"camera_ips": "['192.168.1.101'"}, "camera_ips:=\\['192.168.1.101': not readable as a list"),
        ({"camera_ips": "[1, 2]"}, "camera_ips:=\\[1, 2\\]: expected a list of strings"),
        ({"overrides": "nonsense"}, "overrides:=nonsense: expected names and values"),
    ],
)
def test_an_argument_of_another_form_is_refused(tmp_path, arguments, told):
    with pytest.raises(RuntimeError, match=told):
        node(tmp_path, **{**CAMERAS, **arguments})


def test_cameras_and_bag_must_be_given(tmp_path):
    with pytest.raises(RuntimeError, match="'camera_ips' was not given"):
        node(tmp_path)


def test_the_middlewares_profile_is_named_where_it_is_installed(tmp_path, monkeypatch):
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE", raising=False)
    assert not kinds(doubles.execute(FILE, tmp_path, **CAMERAS), "SetEnvironmentVariable")
    mark(tmp_path, "swarm_bringup")
    [named] = kinds(doubles.execute(FILE, tmp_path, **CAMERAS), "SetEnvironmentVariable")
    assert named.values[1] == str(tmp_path / "share/swarm_bringup/config/fastdds.xml")


def test_file_and_executables_are_installed(install):  # noqa: F811
    assert (install / "share/swarm_capture/launch/multi_camera_record.launch.py").is_file()
    assert (install / "share/swarm_capture/package.xml").is_file()
    for executable in ("swarm_capture", "discover_cameras"):
        assert os.access(install / "lib/swarm_capture" / executable, os.X_OK), executable
