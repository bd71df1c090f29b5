"""The systemd units, judged by systemd itself."""

import configparser
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import sources

FOLDER = sources.DOCKER / "systemd"
UNITS = sorted(FOLDER.iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
# Of `systemd-analyze security`, from 0 (shut in) to 10 (open). What is left is the network, which the registry is there for.
MOST_EXPOSURE = {"swarm-registry.service": 2.0, "swarm-registry-backup.service": 2.0, "swarm-registry-bridge.service": 2.0}


def read(unit):
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str
    parser.read_string(unit.read_text())
    return parser


def run(*arguments):
    found = subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, env={**os.environ, "SYSTEMD_COLORS": "0"})
    return found.returncode, found.stdout + found.stderr


needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture
def root(tmp_path):
    """A system with our units, the programs that they start, and what they wait for."""
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    for unit in UNITS:
        shutil.copy(unit, units)
        for program in re.findall(r"^Exec\w+=[-+!@:]*(/\S+)", unit.read_text(), re.M):
            path = tmp_path / program.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
            path.chmod(0o755)
    for name in ("network-online", "multi-user", "timers", "sysinit", "basic", "shutdown"):
        (units / f"{name}.target").write_text("[Unit]\nDescription=a target of the system\n")
    (units / "postgresql.service").write_text("[Unit]\nDescription=the database\n[Service]\nExecStart=/bin/true\n")
    (tmp_path / "bin").mkdir(exist_ok=True)
    (tmp_path / "bin/true").write_text("")
    (tmp_path / "bin/true").chmod(0o755)
    return tmp_path


@needs_systemd
def test_systemd_understands_every_line(root):
    for unit in UNITS:
        code, said = run("verify", f"--root={root}", "--man=no", "--recursive-errors=no", unit.name)
        ours = [line for line in said.splitlines() if "swarm-registry" in line]
        assert not ours, said
        assert code == 0, said


@needs_systemd
def test_a_line_that_systemd_does_not_understand_is_found(root):
    unit = root / "etc/systemd/system/swarm-registry.service"
    unit.write_text(unit.read_text().replace("ProtectSystem=strict", "ProtectSytem=strict"))
    _, said = run("verify", f"--root={root}", "--man=no", unit.name)
    assert "ProtectSytem" in said


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_is_shut_in(unit):
    code, said = run("security", "--offline=true", f"--threshold={int(MOST_EXPOSURE[unit.name] * 10)}", unit)
    assert code == 0, said


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_starts_programs_of_ours_as_nobody_in_particular(unit):
    service = read(unit)["Service"]
    assert service["User"] not in ("root", "0")
    assert service["ProtectSystem"] == "strict" and service["NoNewPrivileges"] == "yes"
    for program in re.findall(r"^Exec(?:Start|StartPre)=(/\S+)", unit.read_text(), re.M):
        name = pathlib.PurePath(program).name
        known = [path.parent.name for path in sources.REPOSITORY.glob("packages/*/*/Cargo.toml")] + ["entrypoint.sh"]
        assert program.startswith("/opt/swarm/") and name in known, program


def test_the_registry_checks_its_settings_first_and_gets_time_to_end():
    service = read(FOLDER / "swarm-registry.service")["Service"]
    assert service["ExecStartPre"] == service["ExecStart"] + " --check"
    assert int(service["TimeoutStopSec"]) > sources.drain_seconds()


def test_every_timer_has_its_service():
    timers = [unit for unit in UNITS if unit.suffix == ".timer"]
    assert timers
    for timer in timers:
        assert timer.with_suffix(".service") in SERVICES


@needs_systemd
def test_the_backup_runs_at_two_every_night():
    calendar = read(FOLDER / "swarm-registry-backup.timer")["Timer"]["OnCalendar"]
    code, said = run("calendar", "--base-time=2030-01-01 12:00:00 UTC", "--iterations=2", calendar)
    assert code == 0 and re.findall(r"2030-01-0\d 02:00:00", said), said
