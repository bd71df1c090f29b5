"""The bridge between a cell and its registry, with a real runtime, safety monitor and simulator, seen from rclpy."""

import json
import os
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from artifacts import SKILL, SLOW
from cell import press
from harness import LATCHED, TIMEOUT_S
from real_registry import Certificates, RealRegistry
from registry import SITE, Registry
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from swarm_msgs.msg import BridgeStatus

BRIDGE = "swarm_registry_bridge"
STATES = ("STARTING", "IN_STEP", "WORKING", "WAITING", "OFFLINE", "EXPIRED", "REFUSED")
# Days on which the maintenance window is not open, whenever this runs.
CLOSED = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][(datetime.now(timezone.utc) + timedelta(days=3)).weekday()] + " 00:00-01:00"


def outcome(state: str):
    """Whether a report says that the assignment has come so far."""
    return lambda report: bool(report["outcome"]) and report["outcome"]["state"] == state


class Bridged:
    """A cell with a bridge to a registry."""

    def __init__(self, cell, probe, start, registry, folder):
        self.cell, self.probe, self.start, self.registry, self.folder = cell, probe, start, registry, folder
        self.parameters = {}
        self.statuses = probe.collect(BridgeStatus, "/registry_bridge/status", LATCHED)
        self.versions = {}

    def add(self, version: str, *arguments, **changes) -> str:
        """Makes an artifact, and puts it into the registry."""
        self.versions[version] = self.registry.add(self.cell.workshop.make(version, *arguments, **changes), version)
        return self.versions[version]

    def begin(self, **parameters):
        self.cell.begin()
        self.parameters = parameters
        self.start_bridge()
        return self

    def start_bridge(self):
        self.bridge = self.start(
            BRIDGE,
            parameters={
                "cell_config": self.cell.config,
                "trust_file": str(self.cell.workshop.trust),
                "registry_url": self.registry.url,
                "site_id": SITE,
                "image_root": str(self.registry.folder / "image_root.json"),
                "director_root": str(self.registry.folder / "director_root.json"),
                "data_folder": str(self.folder / "bridge"),
                **self.parameters,
            },
        )

    @property
    def state(self) -> str:
        return STATES[self.statuses[-1].state] if self.statuses else "silent"

    def wait(self, state: str, detail: str = "", **fields):
        """Waits for a status said from now on."""
        self.statuses.clear()

        def there():
            newest = self.statuses[-1] if self.statuses else None
            return newest and self.state == state and detail in newest.detail and all(getattr(newest, k) == v for k, v in fields.items())

        self.probe.wait_for(there, lambda: f"{state} with '{detail}' {fields}; now {self.state}: {self.statuses[-1:]}", 2 * TIMEOUT_S)
        return self.statuses[-1]

    def wait_in_step(self, version: str):
        status = self.wait("IN_STEP", version=version)
        assert (status.running, status.wanted) == (self.versions[version],) * 2
        self.cell.wait_in_force(version)
        return status

    def wait_report(self, what: str, condition):
        return self.probe.wait_for(
            lambda: next((report for report in reversed(self.registry.reports) if condition(report)), None),
            lambda: f"a report that {what}; the last: {self.registry.reports[-1:]}",
        )

    def sync(self):
        return self.probe.call(Trigger, "/registry_bridge/sync", timeout=2 * TIMEOUT_S)

    def rollback(self):
        return self.probe.call(Trigger, "/registry_bridge/rollback", timeout=2 * TIMEOUT_S)

    def downloads(self, version: str) -> int:
        return self.registry.asked.count(f"/api/v1/csa/{self.versions[version]}/download")


@pytest.fixture
def registry(tmp_path):
    registry = Registry(tmp_path)
    yield registry
    registry.stop()


@pytest.fixture
def bridged(cell, probe, start, registry, tmp_path):
    return Bridged(cell, probe, start, registry, tmp_path)


def test_a_cell_follows_the_director_forward_and_back(bridged):
    for version in ("1.0.0", "1.1.0"):
        bridged.add(version)
    bridged.registry.assign("1.0.0")
    bridged.begin()
    bridged.wait_in_step("1.0.0")
    bridged.registry.assign("1.1.0")
    bridged.wait_in_step("1.1.0")
    first, second = bridged.versions.values()

    def deployed(report):
        running = report["running"]
        return outcome("deployed")(report) and running and (running["digest"], report["last_good"]) == (second, first)

    assert bridged.wait_report("1.1.0 is deployed, and what was good before", deployed)["motion"] == "at_rest"
    bridged.registry.assign("1.0.0")
    status = bridged.wait_in_step("1.0.0")
    assert bridged.downloads("1.0.0") == 1, "the runtime still had it"
    assert status.director_version == bridged.registry.director.version and status.cache_bytes > 0
    sequences = [report["sequence"] for report in bridged.registry.reports]
    assert sequences == sorted(set(sequences)), "numbered upwards"


def test_an_older_version_that_this_cell_never_had_is_deployed_if_the_director_says_so(bridged):
    for version in ("1.0.0", "1.1.0"):
        bridged.add(version)
    bridged.registry.assign("1.1.0")
    bridged.begin()
    bridged.wait_in_step("1.1.0")
    bridged.registry.assign("1.0.0")
    bridged.wait_in_step("1.0.0")


def test_nothing_is_exchanged_while_an_arm_moves(bridged):
    bridged.add("1.0.0", SLOW)
    bridged.add("1.1.0")
    bridged.registry.assign("1.0.0")
    bridged.begin()
    bridged.wait_in_step("1.0.0")
    bridged.cell.safety.make_ready()
    run = bridged.cell.running()
    bridged.registry.assign("1.1.0")
    bridged.wait("WAITING", "waits until nothing moves", version="1.0.0")
    bridged.wait_report("it waits", lambda it: outcome("waiting")(it) and it["motion"] == "moving")
    assert not run.ended
    bridged.cell.wait_moving()
    run.cancel()
    bridged.wait_in_step("1.1.0")
    moved = [status.version for status in bridged.cell.statuses if status.running]
    assert set(moved) == {"1.0.0"}


def test_a_newer_version_waits_for_the_maintenance_window_and_a_way_back_does_not(bridged):
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        bridged.add(version)
    bridged.cell.deployed(bridged.cell.workshop.folder / f"{SKILL}_v1.1.0.tar.gz")
    bridged.parameters = {"maintenance_windows": f"['{CLOSED}']"}
    bridged.registry.assign("1.2.0")
    bridged.start_bridge()
    bridged.wait("WAITING", "maintenance window", version="1.1.0")
    report = bridged.wait_report("it waits", outcome("waiting"))
    assert report["window_open"] is False
    answer = bridged.sync()
    assert not answer.success and "maintenance window" in answer.message, answer.message
    bridged.registry.assign("1.0.0")
    bridged.wait_in_step("1.0.0")


def test_an_offline_cell_goes_on_and_is_in_step_as_soon_as_the_registry_is_back(bridged):
    for version in ("1.0.0", "1.1.0"):
        bridged.add(version)
    bridged.registry.assign("1.0.0")
    bridged.begin()
    bridged.wait_in_step("1.0.0")
    bridged.registry.stop()
    answer = bridged.sync()
    assert "was last heard" in answer.message, answer.message
    bridged.wait("OFFLINE", "1.0.0 runs, as assigned", version="1.0.0")
    bridged.bridge.kill()
    bridged.start_bridge()
    bridged.wait("OFFLINE", "1.0.0 runs, as assigned", version="1.0.0")
    bridged.cell.safety.make_ready()
    bridged.cell.succeeds()
    bridged.registry.assign("1.1.0")
    bridged.registry.begin()
    bridged.wait_in_step("1.1.0")


def test_a_cell_that_is_offline_for_too_long_begins_no_run_until_the_registry_is_back(bridged):
    bridged.add("1.0.0")
    bridged.registry.assign("1.0.0")
    bridged.begin(**{"offline.keep_running_for_s": 3, "offline.then": "refuse_new_runs"})
    bridged.wait_in_step("1.0.0")
    bridged.cell.safety.make_ready()
    bridged.registry.stop()
    bridged.wait("EXPIRED", "no run is begun")
    assert bridged.cell.execute().result().message == "the runtime is not active"
    bridged.registry.begin()
    bridged.wait_in_step("1.0.0")

    def succeeds():
        result = bridged.cell.execute().result()
        return result.message != "the runtime is not active" and result

    result = bridged.probe.wait_for(succeeds, "the runtime takes runs again")
    assert result.outcome == result.SUCCEEDED, result.message


def test_a_cell_that_is_sent_away_goes_back_and_without_anything_good_begins_no_run_also_on_a_runtime_that_starts_again(bridged):
    bridged.add("1.0.0")
    bridged.add("1.1.0")
    bridged.registry.assign("1.0.0")
    bridged.begin()
    bridged.wait_in_step("1.0.0")
    bridged.registry.assign("1.1.0")
    bridged.wait_in_step("1.1.0")
    bridged.registry.send_away("1.1.0")
    bridged.cell.wait_in_force("1.0.0")
    # Nothing is left that was good before this one.
    bridged.registry.withdraw("1.1.0")
    bridged.registry.send_away("1.0.0")
    begins_none = lambda: bridged.cell.execute().result().message == "the runtime is not active"  # noqa: E731
    bridged.probe.wait_for(begins_none, "no run is begun")
    bridged.cell.runtime.kill()
    bridged.cell.start_runtime()
    bridged.cell.wait_in_force("1.0.0")
    bridged.probe.wait_for(begins_none, "the runtime that was started again is told so, too")


@pytest.mark.parametrize("forged", ["bytes", "signature"])
def test_a_forged_artifact_is_never_deployed(bridged, forged):
    bridged.add("1.0.0")
    bridged.registry.assign("1.0.0")
    bridged.begin()
    bridged.wait_in_step("1.0.0")
    digest = bridged.add("1.1.0")
    good = dict(bridged.registry.archives), dict(bridged.registry.signatures)
    if forged == "bytes":
        content = bytearray(bridged.registry.archives[digest])
        content[-1] ^= 1
        bridged.registry.archives[digest] = bytes(content)
    else:
        archive = bridged.cell.workshop.folder / f"{SKILL}_v1.1.0.tar.gz"
        os.remove(f"{archive}.sig")
        bridged.cell.workshop.sign(archive, "stranger")
        bridged.registry.signatures[digest] = (archive.parent / f"{archive.name}.sig").read_bytes()
    bridged.registry.assign("1.1.0")
    if forged == "bytes":
        bridged.wait("WAITING", "SHA-256 digest", version="1.0.0")
    else:
        bridged.wait("REFUSED", "unknown key", version="1.0.0")
        bridged.wait_report("it is refused", outcome("refused"))
    assert {status.version for status in bridged.cell.statuses} <= {"", "1.0.0"}
    # The true ones, and the cell is told to try again.
    bridged.registry.archives, bridged.registry.signatures = good
    answer = bridged.sync()
    assert answer.success or forged == "bytes", answer.message
    bridged.wait_in_step("1.1.0")


def test_a_director_that_says_what_the_image_repository_does_not_have_is_not_obeyed(bridged):
    bridged.add("1.0.0")
    bridged.registry.assign("1.0.0")
    bridged.begin()
    bridged.wait_in_step("1.0.0")
    bridged.registry.assign("6.6.6", b"made up")
    bridged.wait("REFUSED", "the image repository does not have", version="1.0.0")
    bridged.registry.assign("1.0.0", b"other bytes under a known name")
    bridged.wait("REFUSED", "director and image repository disagree", version="1.0.0")
    report = bridged.wait_report("it is refused", outcome("refused"))
    assert report["troubles"] and report["running"]["version"] == "1.0.0"
    bridged.registry.assign("1.0.0")
    bridged.wait_in_step("1.0.0")


def test_what_is_withdrawn_is_left_for_what_was_good_even_if_the_director_insists(bridged):
    for version in ("1.0.0", "1.1.0"):
        bridged.add(version)
    bridged.registry.assign("1.0.0")
    bridged.begin()
    bridged.wait_in_step("1.0.0")
    bridged.registry.assign("1.1.0")
    bridged.wait_in_step("1.1.0")
    bridged.registry.withdraw("1.1.0")
    bridged.sync()
    bridged.wait("REFUSED", "does not have", version="1.0.0")
    bridged.cell.wait_in_force("1.0.0")


def test_a_quarantined_artifact_is_not_handed_out_and_the_cell_says_so(bridged):
    bridged.add("1.0.0")
    bridged.registry.assign("1.0.0")
    bridged.begin()
    bridged.wait_in_step("1.0.0")
    digest = bridged.add("1.1.0")
    bridged.registry.quarantined[digest] = "it drops parts"
    bridged.registry.assign("1.1.0")
    bridged.wait("WAITING", "quarantined: it drops parts", version="1.0.0")
    report = bridged.wait_report("it failed", outcome("failed"))
    assert "it drops parts" in report["outcome"]["detail"]


def test_an_artifact_that_this_cell_cannot_run_is_refused_for_good(bridged):
    bridged.add("1.0.0")
    bridged.registry.assign("1.0.0")
    bridged.begin()
    bridged.wait_in_step("1.0.0")
    bridged.add("1.1.0", group="panda")
    bridged.registry.assign("1.1.0")
    bridged.wait("REFUSED", "needs a robot of group 'panda'", version="1.0.0")
    bridged.wait_report("it is refused", outcome("refused"))
    bridged.registry.assign("1.0.0")
    bridged.wait_in_step("1.0.0")


def test_a_bridge_that_is_killed_at_any_moment_gets_in_step_again(bridged):
    """kill -9 in the middle of downloads and deployments; what is deployed is always one of the two versions, whole."""
    bridged.add("1.0.0")
    bridged.registry.assign("1.0.0")
    bridged.begin()
    bridged.wait_in_step("1.0.0")
    bridged.registry.slow_s_per_mb = 50.0
    version = "1.0.0"
    for minor, turns in enumerate((1, 5, 20, 60), start=1):
        candidate = f"1.{minor}.0"
        bridged.add(candidate)
        bridged.registry.assign(candidate)
        for _ in range(turns):
            bridged.probe.executor.spin_once(timeout_sec=0.02)
        bridged.bridge.kill()
        assert bridged.cell.wait_in_force(version, candidate) in (version, candidate)
        bridged.start_bridge()
        bridged.wait_in_step(candidate)
        version = candidate
    assert not [name for name in os.listdir(bridged.folder / "bridge" / "cache") if name.endswith(".tmp")]


def test_a_rollback_by_hand_is_not_undone_until_something_else_is_assigned(bridged):
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        bridged.add(version)
    bridged.registry.assign("1.0.0")
    bridged.begin()
    bridged.wait_in_step("1.0.0")
    bridged.registry.assign("1.1.0")
    bridged.wait_in_step("1.1.0")
    answer = bridged.rollback()
    assert answer.success and f"{SKILL} 1.0.0 is deployed" in answer.message, answer.message
    bridged.wait("REFUSED", "was left by hand", version="1.0.0")
    bridged.wait_report("it was left", lambda it: it["troubles"] == ["the assignment was left by hand on this cell"])
    assert not bridged.sync().success
    bridged.bridge.stop()
    bridged.start_bridge()
    bridged.wait("REFUSED", "was left by hand", version="1.0.0")
    bridged.registry.assign("1.2.0")
    bridged.wait_in_step("1.2.0")


def test_a_rollback_that_an_operator_asks_the_runtime_for_counts_as_by_hand_too(bridged):
    for version in ("1.0.0", "1.1.0"):
        bridged.add(version)
        bridged.registry.assign(version)
        if version == "1.0.0":
            bridged.begin()
        bridged.wait_in_step(version)
    assert bridged.cell.rollback().success
    bridged.wait("REFUSED", "was left by hand", version="1.0.0")


def test_runs_stops_and_crashes_are_counted_for_the_registry(bridged, probe):
    bridged.add("1.0.0", SLOW)
    bridged.registry.assign("1.0.0")
    bridged.begin()
    bridged.wait_in_step("1.0.0")
    bridged.cell.safety.make_ready()
    health = lambda it: it["running"] and it["running"]["health"]  # noqa: E731

    def running():
        bridged.cell.wait_standing()
        bridged.cell.reports.all.clear()
        return bridged.cell.running_again()

    run = running()
    run.cancel()
    run.result()
    stop = probe.publisher(Bool, "/emergency_stop", LATCHED)
    run = running()
    press(probe, stop, LATCHED, lambda: run.ended)
    run.result()
    counted = bridged.wait_report("a run failed", lambda it: health(it) and health(it)["runs_failed"] == 1)
    assert health(counted) == {"runs_succeeded": 0, "runs_failed": 1, "safety_violations": 0, "crashes": 0}, "a person stopped it"
    stop.publish(Bool(data=False))
    bridged.cell.safety.make_ready()
    running()
    bridged.cell.runtime.kill()
    bridged.cell.start_runtime()
    bridged.cell.wait_in_force("1.0.0")
    counted = bridged.wait_report("the runtime crashed", lambda it: health(it) and health(it)["crashes"] == 1)
    assert health(counted)["runs_failed"] == 2


def spooled(bridged, version: str, mark: str = ""):
    """An artifact in the bridge's spool, marked for upload."""
    archive = bridged.cell.workshop.make(version)
    spool = bridged.folder / "bridge" / "spool"
    spool.mkdir(parents=True, exist_ok=True)
    for file in (archive, Path(f"{archive}.sig")):
        shutil.copy(file, spool)
    (spool / f"{archive.name}.upload").write_text(mark)
    return spool / archive.name


@pytest.mark.parametrize("tls", [False, True], ids=["development", "tls"])
def test_what_is_marked_is_handed_in_as_soon_as_the_registry_is_there(bridged, probe, tmp_path, request, tls):
    certificates = Certificates(tmp_path, SITE) if tls else None
    registry = RealRegistry(tmp_path, bridged.cell.workshop.trust, certificates).begin(probe)
    request.addfinalizer(registry.stop)
    registry.stop()
    bridged.parameters = {"registry_url": registry.url}
    if tls:
        names = {"certificate": "site.pem", "key": "site.key", "ca": "ca.pem"}
        bridged.parameters |= {name: str(tmp_path / file) for name, file in names.items()}
    archive = spooled(bridged, "1.0.0", '{"training_data": "set 4"}')
    refused = spooled(bridged, "1.1.0")
    Path(f"{refused}.sig").write_text(Path(f"{archive}.sig").read_text())
    bridged.start_bridge()
    bridged.wait("OFFLINE", "is not there")
    registry.begin(probe)
    probe.wait_for(Path(f"{archive}.uploaded").exists, lambda: f"it is handed in; {bridged.bridge.log}")
    answer = json.loads(Path(f"{archive}.uploaded").read_text())
    assert (answer["skill_name"], answer["version"], answer["provenance"]["training_data"]) == (SKILL, "1.0.0", "set 4")
    assert answer["provenance"]["uploader"] == (SITE if tls else "developer"), answer["provenance"]
    probe.wait_for(lambda: not archive.exists(), "what was handed in is removed")
    probe.wait_for(Path(f"{refused}.refused").exists, lambda: f"the other is refused; {bridged.bridge.log}")
    assert "signature" in Path(f"{refused}.refused").read_text() and refused.exists()
    if tls:
        # Also on the connection that stands: it is revoked for whoever has the key.
        certificates.revoke("site")
        registry.hang_up()
        bridged.wait("OFFLINE", "CertificateRevoked")
        waiting = spooled(bridged, "1.2.0")
        bridged.sync()
        assert waiting.exists() and not Path(f"{waiting}.uploaded").exists() and not Path(f"{waiting}.refused").exists()


def test_without_an_assignment_nothing_is_done(bridged):
    bridged.begin()
    bridged.wait("IN_STEP", "assigns nothing", wanted="", running="")
    answer = bridged.sync()
    assert answer.success and "assigns nothing" in answer.message, answer.message


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"registry_url": "http://registry.example.com"}, "plain http is for a registry on this machine"),
        ({"image_root": "/nowhere/root.json"}, "root of the image repository"),
        ({"maintenance_windows": "['moon 01:00-02:00']"}, "is no maintenance window"),
        ({"utc_offset": "'+1'"}, "is no offset from UTC"),
        ({"key": "/nowhere/key.pem"}, "certificate and key need each other"),
        ({"trust_file": "/nowhere/trust.yaml"}, "/nowhere/trust.yaml"),
    ],
)
def test_a_bridge_that_is_set_up_wrongly_does_not_start_and_says_why(bridged, parameters, problem):
    bridged.parameters = parameters
    bridged.start_bridge()
    assert bridged.bridge.wait() == 1
    assert problem in bridged.bridge.log, bridged.bridge.log
