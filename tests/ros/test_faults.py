"""The published faults (`safety_check fault-list`) on the production monitor: injected by messages, one after the other into a running
cell, each until the monitor does what the list says and names a cause that the list allows.

The decision alone meets the same list in `cargo xtask evidence safety-faults`, at thousands of moments and to the cycle; here the
way of the messages counts: middleware, intake, threads, status."""

import json
import subprocess

import pytest
from cell import ROBOTS
from fault_injectors import INJECTORS, Fault
from harness import bin_dir, repository
from played_cell import PlayedCell

STOPS = ("STOP1", "STOP2", "ESTOP")
OF_ARM = ("joint state", "wrench", "command", "arm")
# The played cell speaks every 10 ms. A try in which it could not for this long shows nothing but the machine.
HELD_UP_S, TRIES = 0.03, 5
# What an arm may have moved since its last joint state grows with the time-out, which is twenty times the shipped one here. The links
# of the Panda's wrist are so near each other that it would be stopped by that before the time-out is over.
SPACIOUS = [robot for robot in ROBOTS if robot != "panda"]
# What the answer to a reset says for each of the list's words.
REFUSED = {
    "wrong_epoch": "the cell is in epoch",
    "running": "the cell runs: there is nothing to reset",
    "emergency_stop_held": "publish false there, then reset",
    "collision_force": "collision_force persists",
}


def listed() -> list:
    """The faults of the list that are injected by messages."""
    done = subprocess.run([bin_dir() / "safety_check", "fault-list", "--format", "json"], cwd=repository(), check=True, capture_output=True, text=True)
    return [fault for fault in json.loads(done.stdout) if fault["by_messages"]]


SUBJECTS = ["joint state", "wrench", "arm", "cell", "command", "emergency stop and reset", "human presence"]


def test_every_listed_fault_has_an_injector_and_every_injector_is_listed():
    faults = listed()
    assert [fault["id"] for fault in faults] == list(INJECTORS)
    assert {fault["subject"] for fault in faults} == set(SUBJECTS)


# SR-03 SR-04 SR-05 SR-09 SR-11 SR-12 SR-14 SR-15
@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_monitor_finds_every_fault_of(subject, start, probe, tmp_path):
    cell = PlayedCell(start, probe, tmp_path)
    missed = {}
    faults = [fault for fault in listed() if fault["subject"] == subject]
    for number, listing in enumerate(faults):
        victims = SPACIOUS if "joint_state_timeout" in listing["causes"] else list(ROBOTS)
        robot = victims[number % len(victims)]
        wrong = undisturbed(cell, listing, robot)
        if wrong:
            missed[listing["id"]] = wrong
    assert not missed, "\n".join(f"{fault}: {wrong}" for fault, wrong in missed.items())
    assert faults, "the list has faults of every subject"


def undisturbed(cell: PlayedCell, listing: dict, robot: str) -> str | None:
    """What is wrong with the monitor's reaction, in a try in which the machine let the played cell speak. A held-up cell says something
    else than the fault: what was to be said in turns is said at once, or not at all."""
    for _ in range(TRIES):
        (cell.run if listing["begins"] == "moving" else cell.stand_in_a_stop)(robot)
        cell.longest_turn_s = 0.0
        wrong = injected(cell, listing, robot)
        if not wrong or cell.longest_turn_s < HELD_UP_S:
            break
        print(f"{listing['id']}: {wrong}; the played cell was held up for {cell.longest_turn_s:.3f} s")
    return wrong and f"{wrong}; longest turn {cell.longest_turn_s:.3f} s"


def injected(cell: PlayedCell, listing: dict, robot: str) -> str | None:
    """Injects one fault; what is wrong with the monitor's reaction, if anything."""
    fault = Fault(cell, robot, *INJECTORS[listing["id"]])
    seen, logged = len(cell.safety.all), len(cell.monitor.log)
    find = {
        "stop": stopped,
        "emergency stop": stopped,
        "deeper stop": deepened,
        "slow down": slowed,
        "command refused": refused,
        "reset refused": reset_refused,
    }[listing["reaction"]]
    fault.begin()
    try:
        return find(cell, listing, robot, seen, logged)
    except AssertionError as late:
        return str(late)


def statuses(cell: PlayedCell, seen: int):
    return [(cell.safety.STATES[status.state], status) for status in cell.safety.all[seen:]]


def judged(listing: dict, robot: str, status) -> str | None:
    if status.cause not in listing["causes"]:
        return f"{status.cause} instead of {listing['causes']}: {status.detail}"
    if listing["subject"] in OF_ARM and status.robot not in (robot, ""):
        return f"{status.cause} of {status.robot} instead of {robot}"
    return None


def stopped(cell, listing, robot, seen, _):
    wanted = ("ESTOP",) if listing["reaction"] == "emergency stop" else STOPS
    find = lambda: next((status for state, status in statuses(cell, seen) if state in STOPS), None)  # noqa: E731
    status = cell.probe.wait_for(find, f"a stop by {listing['causes']}", 10.0)
    if cell.safety.STATES[status.state] not in wanted:
        return f"{cell.safety.STATES[status.state]} instead of {wanted}"
    return judged(listing, robot, status)


def deepened(cell, listing, robot, seen, _):
    find = lambda: next((status for _, status in statuses(cell, seen) if status.cause in listing["causes"]), None)  # noqa: E731
    return judged(listing, robot, cell.probe.wait_for(find, f"a deeper stop by {listing['causes']}", 10.0))


def slowed(cell, listing, robot, seen, _):
    status = cell.probe.wait_for(
        lambda: next((status for state, status in statuses(cell, seen) if state not in ("READY", "RUN")), None), "a slow-down", 10.0
    )
    mine = next(measured for measured in status.robots if measured.robot == robot)
    if cell.safety.STATES[status.state] != "SLOW" or not 0.0 < mine.speed_scale < 1.0:
        return f"{cell.safety.STATES[status.state]}, scale {mine.speed_scale}: {status.detail}"
    return None if mine.contact_force > 25.0 else f"slow without a contact: {mine.contact_force} N"


def refused(cell, listing, robot, seen, logged):
    (code,) = listing["causes"]
    find = lambda: [line for line in cell.monitor.log[logged:].splitlines() if "command not taken" in line]  # noqa: E731
    line = cell.probe.wait_for(find, "the refusal is logged", 10.0)[0]
    return None if code in line and robot in line else f"{line} instead of {code}"


def reset_refused(cell, listing, robot, seen, _):
    epoch, since = cell.safety.newest().epoch, cell.turns
    # The cause has to be there before the reset.
    cell.probe.wait_for(lambda: cell.turns > since + 20, "20 turns with the fault")
    if listing["id"] == "reset-replayed":
        epoch -= 1
    if listing["id"] == "reset-held-down":
        assert cell.safety.reset(epoch).success
        cell.safety.wait("READY")
        cell.inject = lambda said: said.emergency_stop.extend([True, False])
        cell.safety.wait("ESTOP")
        cell.inject = None
    answer = cell.safety.reset(epoch)
    (code,) = listing["causes"]
    if answer.success or REFUSED[code] not in answer.message:
        return f"'{answer.message}' instead of '{REFUSED[code]}'"
    return None
