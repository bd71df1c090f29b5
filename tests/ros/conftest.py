"""Fixtures of the ROS tests: a domain of one's own, a probe in it, and nodes that are ended whatever happens."""

import os

import pytest

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")

# The range must be set before rcl starts.
from artifacts import Workshop  # noqa: E402
from harness import Domain, NodeProcess, Probe  # noqa: E402
from skill_cell import SkillCell  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: needs the whole machine, so that nothing runs beside it")
    config.addinivalue_line("markers", "first: takes minutes, so that it begins before the others and nobody waits for it alone at the end")


# What these promise has to hold at the first try: whether an arm stops is not asked twice.
AT_THE_FIRST_TRY = {"test_safety_gate", "test_driver", "test_black_box"}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem in AT_THE_FIRST_TRY:
            item.add_marker(pytest.mark.flaky(reruns=0))
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


@pytest.fixture
def domain():
    domain = Domain()
    yield domain
    domain.close()


@pytest.fixture
def probe(domain):
    probe = Probe(domain)
    yield probe
    probe.close()


@pytest.fixture
def start(domain, tmp_path, request):
    """Starts nodes of the suite; their logs are shown when a test fails."""
    started = []

    def start(executable, *ros_args, parameters=None, env=None):
        log = tmp_path / f"{len(started)}_{os.path.basename(executable)}.log"
        node = NodeProcess(executable, domain, log, ros_args, parameters, env)
        started.append(node)
        return node

    yield start
    for node in started:
        node.stop()
    if request.node.stash.get(FAILED, False):
        for node in started:
            print(f"--- log of {node.name} (exit code {node.process.returncode})\n{node.log}")


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path)


@pytest.fixture
def cell(start, probe, tmp_path, workshop):
    return SkillCell(start, probe, tmp_path, workshop)


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report
