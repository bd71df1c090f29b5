#!/usr/bin/env python3
"""Pins build.in, ros.in and tools.in, with their whole closure and the hash of every file, into build.txt, ros.txt, tools.txt.

    python3 lock.py python3.11 python3.12 python3.13

Each named interpreter resolves for itself (pip's own resolver, `pip install --dry-run --report`), in a throw-away virtual
environment; nothing is installed. A package whose version, or presence, differs between interpreters gets an environment
marker; its hashes are those of the wheels that the named interpreters would take (manylinux, x86-64).
The files are resolved together, so that they agree, and installed with `--no-deps --require-hashes`. build.txt comes first:
what is only to be had as source (empy 3) is built with it, so that nothing unpinned is fetched.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
from collections import defaultdict

HERE = pathlib.Path(__file__).parent


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def resolve(python, inputs):
    """{name: (version, sha256, names it requires)} as this interpreter sees it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        venv = f"{folder}/bin/python"
        subprocess.run([venv, "-m", "pip", "install", "--quiet", "--upgrade", "pip"], check=True)
        report = f"{folder}/report.json"
        command = [venv, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--prefer-binary"]
        command += ["--report", report]
        for each in inputs:
            command += ["-r", str(each)]
        subprocess.run(command, check=True)
        version = subprocess.check_output([venv, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], text=True).strip()
        found = {}
        for item in json.loads(pathlib.Path(report).read_text())["install"]:
            meta = item["metadata"]
            needs = {canonical(re.match(r"[A-Za-z0-9._-]+", r).group()) for r in meta.get("requires_dist", []) if "extra ==" not in r}
            if not item["download_info"]["url"].endswith(".whl"):
                print(f"{version}: {meta['name']} {meta['version']} has no wheel, its source is pinned")
            digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
            found[canonical(meta["name"])] = (meta["version"], digest, needs)
        return version, found


def asked(path):
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [canonical(re.match(r"[A-Za-z0-9._-]+", line).group()) for line in lines if line]


def closure(roots, found):
    seen, left = set(), list(roots)
    while left:
        name = left.pop()
        if name in found and name not in seen:
            seen.add(name)
            left += found[name][2]
    return seen


def write(path, source, names, by_python):
    entries = defaultdict(lambda: (set(), set()))  # (name, version) -> (interpreters, hashes)
    for python, found in by_python.items():
        for name in names[python]:
            version, digest, _ = found[name]
            interpreters, hashes = entries[name, version]
            interpreters.add(python)
            hashes.add(digest)
    lines = [f"# Made by lock.py from {source.name} for Python {', '.join(by_python)}; do not edit."]
    for (name, version), (interpreters, hashes) in sorted(entries.items()):
        marker = " or ".join(f'python_version == "{p}"' for p in sorted(interpreters))
        marker = "" if len(interpreters) == len(by_python) else f" ; {marker}"
        lines.append(f"{name}=={version}{marker}" + "".join(f" \\\n    --hash=sha256:{h}" for h in sorted(hashes)))
    path.write_text("\n".join(lines) + "\n")
    print(f"{path.name}: {len(entries)} pins")


def main():
    build, ros, tools = HERE / "build.in", HERE / "ros.in", HERE / "tools.in"
    by_python = dict(resolve(python, [build, ros, tools]) for python in sys.argv[1:] or [sys.executable])
    build_names = {p: closure(asked(build), found) for p, found in by_python.items()}
    # What tools.txt shares with ros.txt (numpy above all) must come from the distribution beside a Jazzy of Debian
    # packages, whose compiled messages are tied to the distribution's numpy.
    tool_names = {p: closure(asked(tools), found) - {"numpy"} - build_names[p] for p, found in by_python.items()}
    ros_names = {p: closure(asked(ros), found) - tool_names[p] - build_names[p] for p, found in by_python.items()}
    write(HERE / "build.txt", build, build_names, by_python)
    write(HERE / "ros.txt", ros, ros_names, by_python)
    write(HERE / "tools.txt", tools, tool_names, by_python)


if __name__ == "__main__":
    main()
