"""The safety monitor's black box: recorded by the node, verified and derived again by the `cell` command."""

import json
import os
import shutil
import subprocess

import pytest
from cell import MONITOR, ON_ANY_MACHINE, diagnosed, press
from diagnostic_msgs.msg import DiagnosticStatus
from harness import RELIABLE, bin_dir
from std_msgs.msg import Bool
from test_safety_gate import ARM, Cell


class RecordedCell(Cell):
    """A cell whose gate keeps a black box."""

    def __init__(self, start, probe, folder):
        super().__init__(start, probe, folder)
        keys = folder / "keys"
        run("keys", "generate", "--out", keys, "--signer", "cell")
        self.folder, self.public_key = folder / "black_box", keys / "cell.pub.pem"
        self.recording = {"black_box.folder": str(self.folder), "black_box.key_file": str(keys / "cell.pem")}

    def start_monitor(self):
        parameters = {"cell_config": self.config, **ON_ANY_MACHINE, **self.store.parameters, **self.recording}
        self.monitor = self.start(MONITOR, parameters=parameters)


def run(*arguments, code=0):
    """What `cell ARGUMENTS` prints; it has to end with `code`."""
    done = subprocess.run([bin_dir() / "cell", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def cell(start, probe, tmp_path):
    return RecordedCell(start, probe, tmp_path)


def health(probe):
    """The newest diagnostics of the black box."""
    return diagnosed(probe, "black box")


def stop_in_motion(cell):
    """The cell runs, and is stopped by hand."""
    cell.running()
    stop = cell.probe.publisher(Bool, "/emergency_stop", RELIABLE)
    press(cell.probe, stop, RELIABLE, lambda: cell.safety.state == "ESTOP")
    return cell.safety.wait("ESTOP", cause="emergency_stop")


def test_a_stop_is_recorded_and_every_verdict_can_be_derived_again(cell):
    stop = stop_in_motion(cell)
    cell.wait_standing()
    cell.monitor.interrupt()
    assert cell.monitor.wait() == 0
    verified = json.loads(run("blackbox", "verify", "--json", "--public-key", cell.public_key, cell.folder))
    replayed = json.loads(run("blackbox", "replay", "--json", cell.folder))
    assert replayed["cycles"] > 100 and replayed["exact"] == replayed["cycles"], (verified, replayed)
    incident = json.loads(run("incident", "--json", cell.folder))
    last = incident["all_stops"][-1]
    assert (last["state"], last["cause"]["code"]) == ("ESTOP", "emergency_stop")
    # The status that was waited for may be a later one of the same stop.
    assert last["cycle"] <= stop.cycle, (last, stop)
    command = next(i for i in incident["inputs"] if (i["robot"], i["input"]) == (ARM, "command"))
    assert command["samples"] > 0


def test_a_monitor_that_is_killed_leaves_a_recording_that_can_be_read(cell):
    diagnostics = health(cell.probe)
    cell.recording["black_box.mode"] = "continuous"
    cell.running()
    cell.probe.wait_for(lambda: diagnostics() and value(diagnostics(), "last_seal"), "a segment was sealed")
    cell.monitor.kill()
    verified = json.loads(run("blackbox", "verify", "--json", "--open-end", "--public-key", cell.public_key, cell.folder))
    replayed = json.loads(run("blackbox", "replay", "--json", cell.folder))
    assert replayed["cycles"] > 100 and replayed["exact"] == replayed["cycles"], (verified, replayed)


def value(status, key):
    return next(pair.value for pair in status.values if pair.key == key)


@pytest.mark.parametrize("policy", ["stop", "continue"])
def test_a_black_box_that_cannot_be_written_stops_the_cell_where_it_is_told_so(cell, policy):
    cell.folder.write_text("a file where the folder should be")
    cell.recording["black_box.on_failure"] = policy
    diagnostics = health(cell.probe)
    cell.begin()
    status = cell.probe.wait_for(diagnostics, "the black box is diagnosed")
    assert status.level == DiagnosticStatus.ERROR and "cannot write to the folder" in status.message
    if policy == "continue":
        assert cell.safety.make_ready().cause == ""
        return
    cell.safety.wait("STOP2", "DENY", cause="not_recorded")
    answer = cell.safety.reset()
    assert not answer.success and "the black box cannot be written" in answer.message, answer.message
    # Mended while the cell waits; nothing needs to be started again.
    cell.folder.unlink()
    cell.probe.wait_for(lambda: diagnostics().level == DiagnosticStatus.OK, "the black box has recovered")
    assert cell.safety.make_ready().cause == ""


def ready_or_stopped(cell):
    """The cell is READY, its disk works, and without the disk it has to stop; gives the diagnostics of the black box."""
    cell.recording["black_box.on_failure"] = "stop"
    diagnostics = health(cell.probe)
    cell.begin()
    cell.probe.wait_for(lambda: diagnostics() and diagnostics().level == DiagnosticStatus.OK, "the black box is ready")
    cell.safety.make_ready()
    return diagnostics


# SR-22
def test_a_disk_that_dies_is_found_before_a_stop_needs_it(cell):
    diagnostics = ready_or_stopped(cell)
    shutil.rmtree(cell.folder)
    cell.folder.write_text("a file where the folder was")
    cell.safety.wait("STOP2", cause="not_recorded")
    cell.probe.wait_for(lambda: "cannot begin a file" in diagnostics().message, lambda: f"the trouble is diagnosed: {diagnostics()}")
    assert not cell.safety.reset().success
    cell.folder.unlink()
    # This very stop has waited in memory.
    cell.probe.wait_for(lambda: diagnostics().level == DiagnosticStatus.OK, lambda: f"the black box has recovered: {diagnostics()}")
    assert list(cell.folder.iterdir()), "the stop is recorded"
    assert cell.safety.make_ready().cause == ""


# SR-22
def test_a_disk_that_hangs_stops_the_cell_and_what_it_does_not_take_is_counted(cell):
    diagnostics = ready_or_stopped(cell)
    # Opening it waits for somebody at the other end, as a network disk does that has gone away.
    pipe = cell.folder / ".probe"
    os.mkfifo(pipe)
    cell.safety.wait("STOP2", cause="not_recorded")
    cell.probe.wait_for(lambda: int(value(diagnostics(), "not_taken_cycles")) > 0, "more cycles than may wait were decided")
    assert diagnostics().level == DiagnosticStatus.ERROR
    assert not cell.safety.reset().success
    pipe.read_bytes()
    cell.probe.wait_for(lambda: diagnostics().level == DiagnosticStatus.WARN, "all is recorded again, and what is missing is said")
    assert cell.safety.make_ready().cause == ""


def test_a_key_that_cannot_be_read_is_said_at_the_start(cell, start):
    cell.recording["black_box.key_file"] = "/nowhere/cell.pem"
    cell.start_monitor()
    assert cell.monitor.wait() == 1
    assert "cannot read the black box's key /nowhere/cell.pem" in cell.monitor.log
