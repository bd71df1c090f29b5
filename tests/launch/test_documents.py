"""Every command that the documents show exists, with the options that they give it: programs of the install tree
(SWARM_INSTALL_DIR) are asked for their help, launch files and interfaces are looked up."""

import functools
import os
import pathlib
import re
import shlex
import subprocess

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "packages").glob("**/*.md"))]
PROGRAMS = ("cell ", "csactl ", "cargo xtask ", "ros2 ")


def lines(text):
    """Lines of code blocks, and code within sentences; a line that ends with a backslash goes on in the next one."""
    text = text.replace("\\\n", " ")
    blocks = re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE)
    return blocks + [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


def commands():
    found = {}
    for document in DOCUMENTS:
        for line in lines(document.read_text()):
            for part in re.split(r" && | \| ", re.sub(r"\s{2,}#.*| {1,}# .*", "", line)):
                command = part.strip().removeprefix("sudo ")
                # `ros2 launch` alone is a word, no command.
                if command.startswith(PROGRAMS) and (len(command.split()) > 2 or not command.startswith("ros2 ")):
                    found.setdefault(command, document.relative_to(REPOSITORY))
    return sorted(found.items())


def install():
    folder = os.environ.get("SWARM_INSTALL_DIR")
    assert folder, 'SWARM_INSTALL_DIR names no install tree: run "cargo xtask install" and set it'
    return pathlib.Path(folder).resolve()


@functools.cache
def help_of(*words):
    answer = subprocess.run([*words, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, f"{' '.join(words)} --help: {answer.stderr}"
    return answer.stdout


def subcommands(text):
    section = re.search(r"^Commands:\n((?: +.*\n|\n)+)", text, re.MULTILINE)
    return set(re.findall(r"^  (\S+)", section[1], re.MULTILINE)) if section else set()


def check_options(text, words):
    for word in words:
        if word.startswith("--"):
            option = re.escape(word.split("=")[0])
            assert re.search(rf"{option}(?![\w-])", text), f"there is no option {word}"


def check_program(program, words):
    """Subcommands as far as they go, then options."""
    asked, text = [str(program)], help_of(str(program))
    while (known := subcommands(text)) and words and not words[0].startswith("-"):
        # `verify|replay` stands for both.
        names, words = words[0].split("|"), words[1:]
        for name in names:
            assert name in known, f"'{name}' is none of {sorted(known)}"
        asked.append(names[0])
        text = help_of(*asked)
    check_options(text, words)
    return asked, words


def check_ros(verb, words):
    if verb == "run":
        executable = install() / "lib" / words[0] / words[1]
        assert executable.is_file(), f"{words[0]} has no executable {words[1]}"
        options = [word for word in words[2:] if word.startswith("--") and word != "--ros-args"]
        if options:
            check_options(help_of(str(executable)), options)
    elif verb == "launch":
        folder = install() / "share" / words[0] / "launch"
        assert (folder / words[1]).is_file(), f"{words[0]} has no launch file {words[1]}"
        # One includes another.
        text = "".join(file.read_text() for file in folder.glob("*.py"))
        for name in [word.split(":=")[0] for word in words[2:] if ":=" in word]:
            assert re.search(rf"""["']{name}["']""", text), f"{words[1]} has no argument {name}"
    elif verb in ("service", "topic", "action") and words[0] in ("call", "pub", "send_goal"):
        kinds = [word for word in words if re.fullmatch(r"swarm_msgs/\w+/\w+", word)]
        for _, folder, name in (kind.split("/") for kind in kinds):
            assert (REPOSITORY / f"msg/swarm_msgs/{folder}/{name}.{folder}").is_file(), f"there is no {name}.{folder}"
    elif verb == "param" and len(words) > 2:
        node = f'NodeShell::create("{words[1].removeprefix("/")}")'
        sources = [file.read_text() for file in (REPOSITORY / "packages/nodes").glob("*/src/**/*.rs")]
        assert any(node in text for text in sources), f"there is no node {words[1]}"
        assert any(f'"{words[2]}"' in text for text in sources), f"there is no parameter {words[2]}"


@pytest.mark.parametrize(("command", "document"), commands(), ids=lambda value: str(value)[:60])
def test_a_command_of_the_documents_exists(command, document):
    program, *words = shlex.split(command.replace("...", ""))
    if program in ("cell", "csactl"):
        check_program(install() / "bin" / program, words)
    elif program == "cargo":
        binary = pathlib.Path(os.environ["SWARM_BIN_DIR"]) / "xtask"
        asked, rest = check_program(binary, words[1:])
        if asked[1:] == ["evidence"] and rest and not rest[0].startswith("-") and rest[0] != "NAME":
            assert re.search(rf"^ *- {rest[0]}:", help_of(*asked), re.MULTILINE), f"there is no evidence {rest[0]}"
    else:
        check_ros(words[0], words[1:])


def test_the_documents_have_commands_of_each_kind():
    for program in PROGRAMS:
        assert sum(command.startswith(program) for command, _ in commands()) > 5, program
