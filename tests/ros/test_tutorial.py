"""The tutorial, typed: every block of it is a file that is written or commands that are run, in an empty folder, and what they
print is compared with the page. `...` on the page stands for anything.

The commands run in the installed tree (SWARM_INSTALL_DIR), in a shell that has sourced its setup.bash as the page says. The ROS of
wheels has no `ros2`, so that: `ros2 run PACKAGE EXECUTABLE` is the executable that it would find, `ros2 pkg prefix --share` is the
folder that it would print, and `ros2 launch` executes the installed launch file (tests/launch/doubles.py) and starts each node that
the file starts, with the parameters that the file gives it. The view's ports are free ones.
"""

import contextlib
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
from harness import repository
from test_live_view import free_ports

sys.path.append(str(repository() / "tests" / "launch"))
import doubles  # noqa: E402 - it lies in the folder named above

PAGE = repository() / "packages" / "core" / "swarm_skill_core" / "doc" / "first_skill.md"

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
        self.install = installed()
        self.port = free_ports(8)

    def type(self, command: str, expected: str):
        if command.startswith("ros2 launch "):
            self.launch(shlex.split(command)[2:])
            return
        if " deploy_csa " in command:
            # Refused until the runtime has heard every arm.
            self.probe.wait_for(lambda: self.run(command).returncode == 0, lambda: self.said)
        else:
            assert self.run(command).returncode == 0, f"$ {command}\n{self.said}"
        assert looks_like(expected, self.printed), f"$ {command}\n{self.said}\n--- the page says:\n{expected}"

    def run(self, command: str):
        command = re.sub(r"\bros2 run (\w+) (\w+)", rf"{self.install}/lib/\1/\2", command)
        command = re.sub(r"\$\(ros2 pkg prefix --share (\w+)\)", rf"{self.install}/share/\1", command)
        command = re.sub(r"^cell watch", f"cell watch --at 127.0.0.1:{self.port + 6}", command)
        command = re.sub(r"\b16(67|69|71)\b", lambda port: str(self.port + int(port[0]) - 1667), command)
        script = f'source "{self.install}/setup.bash" && set -e\n{command}'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.domain.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.printed, self.said = done.stdout, done.stdout + done.stderr
        return done

    def launch(self, words: list):
        package, file, *given = words
        arguments = dict(word.split(":=", 1) for word in given)
        with contextlib.chdir(self.folder):
            actions = doubles.execute(self.install / "share" / package / "launch" / file, self.install, **arguments)
        places = {
            "black_box.folder": str(self.folder / "black_box"),
            "recordings.folder": str(self.folder / "recordings"),
            "view.groot_port": self.port,
            "view.foxglove_port": self.port + 6,
            "view.metrics_port": 0,
        }
        nodes = [action for action in actions if action.kind in ("Node", "LifecycleNode") and "name" in action.named]
        assert nodes, "the launch file starts nodes"
        for node in nodes:
            [parameters] = node.parameters
            parameters.update({name: place for name, place in places.items() if name in parameters})
            executable = self.install / "lib" / node.package / node.executable
            self.start(str(executable), "-r", f"__node:={node.name}", parameters=parameters)


def installed() -> pathlib.Path:
    folder = os.environ.get("SWARM_INSTALL_DIR")
    assert folder, 'SWARM_INSTALL_DIR names no install tree: run "cargo xtask install" and set it'
    return pathlib.Path(folder).resolve()


# With the time-outs that a user's cell has, which a machine that runs other tests meanwhile does not keep.
@pytest.mark.alone
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
