"""The skill runtime records every run, and `cell bt replay` carries each recording out again, bit for bit."""

import subprocess

import pytest
from artifacts import SLOW
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from harness import bin_dir

ROLES = ("leader", "follower", "spotter")


@pytest.fixture
def cell(cell, tmp_path):
    cell.runtime_parameters["recordings.folder"] = str(tmp_path / "recordings")
    cell.recordings = tmp_path / "recordings"
    return cell


def replay(recording) -> str:
    """What `cell bt replay` says of a recording of which every step has to be the same."""
    done = subprocess.run([bin_dir() / "cell", "bt", "replay", recording], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every step is the same in every bit" in done.stdout
    return done.stdout.splitlines()[0]


def steps(summary: str) -> int:
    return int(summary.split(" steps of ")[0])


def test_a_run_is_replayed_bit_for_bit_for_every_role(cell, workshop):
    cell.ready(workshop.make("1.0.0"))
    result = cell.execute(trace_id="../seventh run").result()
    assert result.outcome == result.SUCCEEDED, result.message
    # On the disk when the runtime has ended, if not before.
    cell.runtime.interrupt()
    assert cell.runtime.wait() == 0
    assert [folder.name for folder in cell.recordings.iterdir()] == ["_._seventh_run"]
    for role in ROLES:
        summary = replay(cell.recordings / "_._seventh_run" / f"{role}.run")
        assert summary.endswith("; closed") and f"{role}.xml" in summary, summary
        assert steps(summary) > 10, summary


def test_a_runtime_that_is_killed_leaves_recordings_that_are_replayed_up_to_there(cell, workshop):
    cell.ready(workshop.make("1.0.0", SLOW))
    cell.running(trace_id="killed")
    recording = cell.recordings / "killed" / "leader.run"
    size = recording.stat().st_size
    cell.probe.wait_for(lambda: recording.stat().st_size > size + 2000, "the recording grows while the run goes on")
    cell.runtime.kill()
    for role in ROLES:
        summary = replay(cell.recordings / "killed" / f"{role}.run")
        assert "; open end" in summary or "; cut: " in summary, summary
        assert steps(summary) > 20, summary


def test_a_folder_that_cannot_be_written_to_is_said_once_and_the_cell_runs(cell, workshop):
    cell.recordings.write_text("a file where the folder should be")
    arrays = cell.probe.collect(DiagnosticArray, "/diagnostics")

    def recordings():
        found = [status for array in arrays for status in array.status if status.name.endswith(": recordings")]
        return found[-1] if found else None

    cell.ready(workshop.make("1.0.0"))
    cell.probe.wait_for(lambda: recordings() and recordings().level == DiagnosticStatus.OK, "nothing is wrong before the first run")
    for _ in range(2):
        cell.succeeds()
    cell.probe.wait_for(lambda: recordings().level == DiagnosticStatus.WARN, "the recordings are diagnosed")
    assert "is not recorded: cannot make the folder" in recordings().message
    cell.probe.wait_for(lambda: "the cell runs on" in cell.runtime.log, "it is in the log")
    cell.succeeds()
    assert cell.runtime.log.count("the cell runs on") == 1
    # Mended while the cell works; nothing needs to be started again.
    cell.recordings.unlink()
    cell.succeeds()
    cell.probe.wait_for(lambda: recordings().level == DiagnosticStatus.OK, "runs are recorded again")
    cell.probe.wait_for(lambda: "runs are recorded again" in cell.runtime.log, "that is in the log too")
