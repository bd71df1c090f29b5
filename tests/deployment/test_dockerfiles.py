"""What holds for both images."""

import subprocess
import sys

import pytest
import sources
from dockerfile import Dockerfile

DOCKERFILES = [Dockerfile(sources.DOCKER / name) for name in ("Dockerfile", "registry.Dockerfile")]
both = pytest.mark.parametrize("image", DOCKERFILES, ids=lambda image: image.path.name)


@both
def test_what_is_copied_from_the_repository_exists_and_is_sent(image):
    paths = image.of_the_repository()
    assert paths
    for path in paths:
        assert (sources.REPOSITORY / path).exists() and image.is_sent(path), path


@both
def test_what_is_built_or_private_is_not_sent(image):
    for path in ["target/debug", ".git/config", ".ros/jazzy", "install/setup.bash", "docker/.env", "docker/compose.yaml"]:
        assert not image.is_sent(path), path


@both
def test_what_is_copied_from_a_stage_comes_from_an_earlier_one(image):
    assert {stage for stage, _, _ in image.copies() if stage} <= set(image.stages()[:-1])


@both
def test_base_images_have_a_version(image):
    for arguments in image.all("FROM"):
        tag = arguments.split()[0].partition(":")[2]
        assert tag and tag != "latest", arguments


@both
def test_it_runs_as_a_user_without_rights(image):
    users = [arguments for word, arguments in image.runtime() if word == "USER"]
    assert users and users[-1].split(":")[0] not in ("0", "root")


@both
def test_hadolint_finds_nothing(image):
    # Beside this interpreter, where the environment's packages put their programs.
    found = subprocess.run([f"{sys.prefix}/bin/hadolint", image.path], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
