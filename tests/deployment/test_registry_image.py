"""The registry's image: it builds, copies and starts the same programs, and says whether it is healthy."""

import json
import re

import sources
from dockerfile import Dockerfile

IMAGE = Dockerfile(sources.DOCKER / "registry.Dockerfile")


def test_the_programs_it_builds_are_the_ones_it_copies_and_starts():
    [build] = [arguments for arguments in IMAGE.all("RUN") if "cargo build" in arguments]
    assert "--locked" in build and "--release" in build
    built = set(re.findall(r"--package (\S+)", build))
    for name in built:
        [manifest] = sources.REPOSITORY.glob(f"packages/*/{name}/Cargo.toml")
        assert f'name = "{name}"' in manifest.read_text()
    [(paths, target)] = [(paths, target) for stage, paths, target in IMAGE.copies() if stage == "builder"]
    assert {path.rpartition("/")[2] for path in paths} == built and target == "/usr/local/bin/"
    assert ("ENTRYPOINT", '["swarm_registry"]') in IMAGE.runtime()


def test_it_runs_as_user_1000_and_without_a_shell_line():
    words = dict(IMAGE.runtime())
    assert words["USER"] == "1000:1000"
    assert "--uid 1000" in words["RUN"]
    for word in ("CMD", "ENTRYPOINT"):
        if word in words:
            assert isinstance(json.loads(words[word]), list), words[word]


def test_it_says_whether_it_is_healthy():
    [health] = [arguments for word, arguments in IMAGE.runtime() if word == "HEALTHCHECK"]
    options, _, command = health.partition("CMD ")
    values = dict(re.findall(r"--([a-z-]+)=(\S+)", options))
    sources.assert_health_is_asked_alike(values["interval"], values["timeout"], values["start-period"], values["retries"])
    program, *arguments = json.loads(command)
    [install] = [arguments for word, arguments in IMAGE.runtime() if word == "RUN"]
    assert program in install.split()
    assert arguments[-1].removeprefix("http://127.0.0.1:8080") in sources.routes()


def test_settings_in_the_image_are_settings_of_the_registry():
    [environment] = [arguments for word, arguments in IMAGE.runtime() if word == "ENV"]
    assert set(re.findall(r"(\w+)=", environment)) <= sources.registry_settings()
