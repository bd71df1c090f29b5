"""Reads the Groot2 server on the port given with btview's commands and its client, and prints what it found as JSON."""

import json
import pathlib
import subprocess
import sys
import tempfile

from btview.client import Groot2Client
from btview.protocol.groot2 import ProtocolError

PORT = int(sys.argv[1])


def btview(command, *options):
    line = [sys.executable, "-m", "btview", command, "--host", "127.0.0.1", "--port", str(PORT), *options]
    return subprocess.run(line, check=True, capture_output=True, text=True, timeout=60).stdout


def transitions(client):
    """Times of all transitions of a recording, us."""
    client._exchange(ord("r"), b"start")
    times = []
    while len(times) < 20:
        payload = client._exchange(ord("t"))[1]
        times += [int.from_bytes(payload[at : at + 6], "little") for at in range(0, len(payload), 9)]
        assert len(payload) % 9 == 0
    return times


def refusal(client):
    hook = {"enabled": True, "uid": 6, "mode": 1, "once": False, "desired_status": "SUCCESS", "position": 0}
    try:
        client._exchange(ord("I"), json.dumps(hook).encode())
    except ProtocolError as error:
        return str(error)
    return "taken"


def main():
    client = Groot2Client(port=PORT)
    with tempfile.TemporaryDirectory() as folder:
        record = pathlib.Path(folder) / "run.btv.jsonl"
        btview("record", "-o", str(record), "--duration", "1")
        recorded = len(record.read_text().splitlines())
    echoed = btview("echo", "--json", "--duration", "1.5")
    found = {
        "snapshot": btview("snapshot", "--no-color"),
        "info": btview("info"),
        "echo": [json.loads(line) for line in echoed.splitlines()],
        "recorded": recorded,
        "blackboards": client.fetch_blackboard(),
        "refused": refusal(client),
        "transition_times": transitions(client),
    }
    json.dump(found, sys.stdout)


main()
