"""The robot image and its container: what streams and messages need, its health, and no more rights than it needs."""

import json
import re
import subprocess

import sources
import yaml
from dockerfile import Dockerfile

REPOSITORY = sources.REPOSITORY
IMAGE = Dockerfile(sources.DOCKER / "Dockerfile")


def test_every_member_of_the_workspace_is_copied():
    manifest = (REPOSITORY / "Cargo.toml").read_text()
    members = re.search(r"members = \[(.*?)\]", manifest, re.S).group(1)
    folders = {member.split("/")[0] for member in re.findall(r'"([^"]+)"', members)}
    assert folders <= set(IMAGE.of_the_repository())


def test_the_image_has_what_streams_need():
    listed = (REPOSITORY / "packages/tools/xtask/src/ros/debian.rs").read_text()
    [tools] = re.findall(r"const STREAM_TOOLS.*?\n\];", listed, re.S)
    needed = {name for names in re.findall(r"packages: &\[([^]]+)\]", tools) for name in re.findall(r'"([^"]+)"', names)}
    text = IMAGE.all("RUN")
    build = {name for name in needed if name.endswith("-dev") or name == "pkg-config"}
    assert build and needed > build
    assert all(name in text[0].split() for name in build), build
    assert all(name in text[-1].split() for name in needed - build), needed - build


def test_the_image_has_the_messages_that_no_base_image_has():
    """Nodes are linked to them. tf2_msgs comes with the builder's ros-base; a vendor's are used where they are installed."""
    listed = (REPOSITORY / "packages/tools/xtask/src/ros/overlay.rs").read_text()
    [used] = re.findall(r"const USED_BY_NODES.*?\n\];", listed, re.S)
    here = {folder.name for folder in (REPOSITORY / "msg/underlay").iterdir() if folder.is_dir()}
    needed = {f"ros-jazzy-{name.replace('_', '-')}" for name in here & set(re.findall(r'"(\w+)"', used))}
    assert len(needed) == 3
    runs = [arguments.split() for arguments in IMAGE.all("RUN")]
    assert needed <= {*runs[0], "ros-jazzy-tf2-msgs"} and needed <= set(runs[-1])


def test_a_monitor_that_is_not_active_is_not_healthy():
    """What `ros2 lifecycle get` prints goes through the condition of the health check."""
    [health] = IMAGE.all("HEALTHCHECK")
    line = json.loads(health[health.index("["):])[-1]
    asked, condition = line.split(" | ")
    assert asked == "ros2 lifecycle get /safety_monitor"
    for printed, healthy in [("active [3]", True), ("inactive [2]", False), ("unconfigured [1]", False), ("Node not found", False)]:
        found = subprocess.run(["sh", "-c", condition], input=printed + "\n", text=True)
        assert (found.returncode == 0) == healthy, printed


def test_the_container_has_no_more_rights_than_it_needs():
    [service] = yaml.safe_load((REPOSITORY / "docker/compose.yaml").read_text())["services"].values()
    assert "privileged" not in service and "cap_add" not in service and "devices" not in service
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["read_only"] is True


def test_the_container_may_have_the_priorities_that_the_cell_declares():
    [service] = yaml.safe_load((REPOSITORY / "docker/compose.yaml").read_text())["services"].values()
    cell = yaml.safe_load((REPOSITORY / "config/cell.yaml").read_text())
    assert service["ulimits"]["rtprio"] >= max(node["schedule"]["priority"] for node in cell["nodes"])


def test_the_compose_file_builds_this_dockerfile():
    compose = REPOSITORY / "docker/compose.yaml"
    [service] = yaml.safe_load(compose.read_text())["services"].values()
    context = compose.parent / service["build"]["context"]
    assert (context / service["build"]["dockerfile"]).samefile(IMAGE.path)


def test_the_entry_point_is_a_shell_script_without_mistakes():
    script = REPOSITORY / "docker/entrypoint.sh"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)
