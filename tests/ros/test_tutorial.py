"""The tutorial, typed: every block of it is a file that is written or commands that are run, in an empty folder, and what they
print is compared with the page. `...` on the page stands for anything.

What stands in the place of what, since the ROS of wheels has no `ros2`: `ros2 run PACKAGE EXECUTABLE` is that executable,
`ros2 pkg prefix --share swarm_bringup` is the repository, and `ros2 launch` starts the nodes that the declaration lists. The
view's ports are free ones.
"""

import os
import re
import shlex
import subprocess

import yaml
from harness import bin_dir, repository
from test_live_view import free_ports

PAGE = repository() / "packages" / "core" / "swarm_skill_core" / "doc" / "first_skill.md"
# Time-outs of inputs, permits and cycles that a busy test machine keeps up with.
PATIENCE_S = 0.5

BLOCK = re.compile(r"^```(?P<kind>\w+)(?: file=(?P<file>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str):
    found = list(BLOCK.finditer(page))
    assert page.count("```") == 2 * len(found), "every fence belongs to a block that is understood"
    for block in found:
        yield block["kind"], block["file"], block["text"]


def commands(text: str):
    """Each command with the lines that it is to print."""
    for part in text.removeprefix("$ ").split("\n$ "):
        command, _, expected = part.partition("\n")
        yield command, expected.strip()


def looks_like(expected: str, printed: str) -> bool:
    pattern = ".*".join(map(re.escape, expected.split("...")))
    trimmed = "\n".join(line.rstrip() for line in printed.strip().splitlines())
    return re.fullmatch(pattern, trimmed, re.DOTALL) is not None


class Terminal:
    def __init__(self, folder, start, probe, domain):
        self.folder, self.start, self.probe, self.domain = folder, start, probe, domain
        self.port = free_ports(8)

    def type(self, command: str, expected: str):
        if command.startswith("ros2 launch "):
            self.launch(dict(word.split(":=") for word in shlex.split(command) if ":=" in word))
            return
        if " deploy_csa " in command:
            # Refused until the runtime has heard every arm.
            self.probe.wait_for(lambda: self.run(command).returncode == 0, lambda: self.said)
        else:
            assert self.run(command).returncode == 0, f"$ {command}\n{self.said}"
        assert looks_like(expected, self.printed), f"$ {command}\n{self.said}\n--- the page says:\n{expected}"

    def run(self, command: str):
        command = re.sub(r"\bros2 run \w+ ", "", command)
        command = command.replace("$(ros2 pkg prefix --share swarm_bringup)", str(repository()))
        command = re.sub(r"^cell watch", f"cell watch --at 127.0.0.1:{self.port + 6}", command)
        command = re.sub(r"\b16(67|69|71)\b", lambda port: str(self.port + int(port[0]) - 1667), command)
        environment = {**self.domain.environment, "PATH": f"{bin_dir()}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-ec", command], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        self.printed, self.said = done.stdout, done.stdout + done.stderr
        return done

    def launch(self, arguments: dict):
        """As the launch file does, but with patience."""
        config = self.folder / arguments["cell_config"]
        ceiling = config.with_name("safety_ceiling.yaml")
        ceiling.write_text(re.sub(r"(joint_state_s|wrench_s|command_s): [0-9.]+", rf"\1: {PATIENCE_S}", ceiling.read_text()))
        patience_us = int(PATIENCE_S * 1e6)
        store = {
            "cell_config": str(config),
            "artifact_store": str(self.folder / arguments["store"]),
            "trust_file": str(self.folder / arguments["trust_file"]),
        }
        self.start("swarm_sim", parameters={"cell_config": str(config), "permit_timeout_us": patience_us})
        simulated = {"degraded": True, "max_cycle_gap_us": patience_us, "max_joint_state_gap_us": 7_000}
        self.start("swarm_safety_monitor", parameters={**store, **simulated})
        ports = {"view.groot_port": self.port, "view.foxglove_port": self.port + 6}
        runtime = yaml.safe_load(arguments["overrides"])["skill_runtime"]
        runtime["recordings.folder"] = str(self.folder / runtime["recordings.folder"])
        self.start("swarm_skill_runtime", parameters={**store, "peer_timeout_ms": 2000, **ports, **runtime})


def test_every_command_of_the_tutorial_does_what_the_page_says(tmp_path, start, probe, domain):
    folder = tmp_path / "empty"
    folder.mkdir()
    terminal = Terminal(folder, start, probe, domain)
    typed = 0
    for kind, file, text in blocks(PAGE.read_text()):
        if file:
            (folder / file).write_text(text)
            continue
        assert kind == "console", f"nobody runs a block of {kind}:\n{text}"
        for command, expected in commands(text):
            terminal.type(command, expected)
            typed += 1
    assert typed > 10


def test_a_page_that_says_something_else_is_noticed():
    assert looks_like("a ... c", "a b\nb c") and looks_like("...\nend", "begin\nend  \n") and looks_like("", "\n")
    assert not looks_like("a ... c", "a b") and not looks_like("end", "begin\nend") and not looks_like("", "words")
    assert list(commands("$ one\n1\n2\n$ two\n")) == [("one", "1\n2"), ("two", "")]
