"""The registry's image, judged from its file (no Docker engine needed)."""

import fnmatch
import json
import re
import shlex
import subprocess
import sys

import sources

DOCKERFILE = sources.DOCKER / "registry.Dockerfile"
IGNORED = sources.DOCKER / "registry.Dockerfile.dockerignore"


def instructions():
    """(word, arguments) of each instruction, continued lines joined, comments dropped."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines()]


def runtime():
    words = instructions()
    return words[max(index for index, (word, _) in enumerate(words) if word == "FROM"):]


def copied():
    """(stage or None, sources, target) of each COPY."""
    for word, arguments in instructions():
        if word == "COPY":
            parts = shlex.split(arguments)
            stage = next((part.removeprefix("--from=") for part in parts if part.startswith("--from=")), None)
            paths = [part for part in parts if not part.startswith("--")]
            yield stage, paths[:-1], paths[-1]


def is_sent(path):
    sent = True
    for line in IGNORED.read_text().splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and (fnmatch.fnmatch(path, pattern) or path.startswith(pattern + "/")):
            sent = line.startswith("!")
    return sent


def test_what_is_copied_exists_and_is_sent():
    paths = [path for stage, paths, _ in copied() if stage is None for path in paths]
    assert paths
    for path in paths:
        assert (sources.REPOSITORY / path).exists() and is_sent(path), path
    for path in ["target/debug", ".git/config", ".ros/jazzy", "docker/.env", "tests/data"]:
        assert not is_sent(path), path


def test_the_programs_it_builds_are_the_ones_it_copies_and_starts():
    [build] = [arguments for word, arguments in instructions() if word == "RUN" and "cargo build" in arguments]
    assert "--locked" in build and "--release" in build
    built = set(re.findall(r"--package (\S+)", build))
    for name in built:
        [manifest] = sources.REPOSITORY.glob(f"packages/*/{name}/Cargo.toml")
        assert f'name = "{name}"' in manifest.read_text()
    [(paths, target)] = [(paths, target) for stage, paths, target in copied() if stage == "builder"]
    assert {path.rpartition("/")[2] for path in paths} == built and target == "/usr/local/bin/"
    assert ("ENTRYPOINT", '["swarm_registry"]') in runtime()


def test_it_runs_as_user_1000_and_without_a_shell_line():
    words = dict(runtime())
    assert words["USER"] == "1000:1000"
    assert "--uid 1000" in words["RUN"]
    for word in ("CMD", "ENTRYPOINT"):
        if word in words:
            assert isinstance(json.loads(words[word]), list), words[word]


def test_it_says_whether_it_is_healthy():
    [health] = [arguments for word, arguments in runtime() if word == "HEALTHCHECK"]
    options, _, command = health.partition("CMD ")
    values = dict(re.findall(r"--([a-z-]+)=(\S+)", options))
    sources.assert_healthy_as_the_manual_says(values["interval"], values["timeout"], values["start-period"], values["retries"])
    program, *arguments = json.loads(command)
    [install] = [arguments for word, arguments in runtime() if word == "RUN"]
    assert program in install.split()
    assert arguments[-1].removeprefix("http://127.0.0.1:8080") in sources.routes()


def test_settings_in_the_image_are_settings_of_the_registry():
    [environment] = [arguments for word, arguments in runtime() if word == "ENV"]
    assert set(re.findall(r"(\w+)=", environment)) <= sources.registry_settings()


def test_base_images_have_a_version():
    for word, arguments in instructions():
        if word == "FROM":
            tag = arguments.split()[0].partition(":")[2]
            assert tag and tag != "latest", arguments


def test_hadolint_finds_nothing():
    # Beside this interpreter, where the environment's packages put their programs.
    found = subprocess.run([f"{sys.prefix}/bin/hadolint", DOCKERFILE], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
