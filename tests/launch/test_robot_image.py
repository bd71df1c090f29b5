"""The robot image, judged from its files (no Docker engine needed): everything it copies exists and is sent to the builder,
and neither image nor container has more rights than it needs."""

import fnmatch
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest
import yaml

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DOCKERFILE = REPOSITORY / "docker/Dockerfile"


def instructions():
    """(word, arguments) of each instruction, continued lines joined, comments dropped."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines()]


def copies():
    """(stage it is copied from or None, source) of each source of each COPY."""
    for word, arguments in instructions():
        if word == "COPY":
            flags = [part for part in shlex.split(arguments) if part.startswith("--")]
            paths = [part for part in shlex.split(arguments) if not part.startswith("--")]
            stage = next((flag.removeprefix("--from=") for flag in flags if flag.startswith("--from=")), None)
            yield from ((stage, source) for source in paths[:-1])


def stages():
    return [arguments.split(" AS ")[1] for word, arguments in instructions() if word == "FROM"]


def is_sent(path):
    """Whether .dockerignore lets a path of the repository through; its last matching line decides."""
    sent = True
    for line in (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        if fnmatch.fnmatch(path, pattern) or path.startswith(pattern + "/"):
            sent = line.startswith("!")
    return sent


def test_what_is_copied_from_the_repository_exists_and_is_sent():
    sources = [source for stage, source in copies() if stage is None]
    assert sources
    for source in sources:
        assert (REPOSITORY / source).exists(), source
        assert is_sent(source), f"{source} is ignored"


def test_what_is_built_or_private_is_not_sent():
    for path in ["target/debug", ".git/config", ".ros/jazzy", "install/setup.bash", "docker/compose.yaml"]:
        assert not is_sent(path), path


def test_what_is_copied_from_a_stage_comes_from_an_earlier_one():
    assert {stage for stage, _ in copies() if stage} <= set(stages()[:-1])


def test_every_member_of_the_workspace_is_copied():
    manifest = (REPOSITORY / "Cargo.toml").read_text()
    members = re.search(r"members = \[(.*?)\]", manifest, re.S).group(1)
    folders = {member.split("/")[0] for member in re.findall(r'"([^"]+)"', members)}
    assert folders <= {source for stage, source in copies() if stage is None}


def test_the_image_has_what_streams_need():
    listed = (REPOSITORY / "packages/tools/xtask/src/ros/debian.rs").read_text()
    [tools] = re.findall(r"const STREAM_TOOLS.*?\n\];", listed, re.S)
    needed = {name for names in re.findall(r"packages: &\[([^]]+)\]", tools) for name in re.findall(r'"([^"]+)"', names)}
    text = [arguments for word, arguments in instructions() if word == "RUN"]
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
    runs = [arguments.split() for word, arguments in instructions() if word == "RUN"]
    assert needed <= {*runs[0], "ros-jazzy-tf2-msgs"} and needed <= set(runs[-1])


def test_base_images_have_a_version():
    for word, arguments in instructions():
        if word == "FROM":
            tag = arguments.split()[0].partition(":")[2]
            assert tag and tag != "latest", arguments


def test_the_image_runs_as_a_user_without_rights():
    words = instructions()
    last_stage = max(index for index, (word, _) in enumerate(words) if word == "FROM")
    users = [arguments for word, arguments in words[last_stage:] if word == "USER"]
    assert users and users[-1].split(":")[0] not in ("0", "root")


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
    assert (context / service["build"]["dockerfile"]).samefile(DOCKERFILE)


def test_the_entry_point_is_a_shell_script_without_mistakes():
    script = REPOSITORY / "docker/entrypoint.sh"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_finds_nothing():
    found = subprocess.run(["hadolint", DOCKERFILE], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
