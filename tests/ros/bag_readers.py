"""Counts of a bag's messages, topic by topic, by our own command and by readers that nobody here wrote."""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

from harness import bin_dir, repository

READ_CJS = repository() / "tests" / "mcap_js" / "read.cjs"


def by_cell(bag: Path) -> Counter:
    done = subprocess.run([bin_dir() / "cell", "bag", "info", "--json", bag], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    info = json.loads(done.stdout)
    assert info["damage"] == []
    counts = Counter({topic["name"]: topic["messages"] for topic in info["topics"]})
    assert info["messages"] == sum(counts.values())
    return +counts


def by_rosbags(bag: Path) -> Counter:
    from rosbags.rosbag2 import Reader

    with Reader(bag) as reader:
        counts = Counter(connection.topic for connection, _, _ in reader.messages())
        assert reader.message_count == sum(counts.values())
    return counts


def by_mcap(bag: Path) -> Counter:
    """With mcap-ros2-support, which decodes every message by the definition in the bag."""
    from mcap.reader import make_reader
    from mcap_ros2.decoder import DecoderFactory

    counts = Counter()
    for file in sorted(bag.glob("*.mcap")):
        with file.open("rb") as stream:
            messages = make_reader(stream, decoder_factories=[DecoderFactory()]).iter_decoded_messages()
            counts.update(channel.topic for _, channel, _, _ in messages)
    return counts


def by_mcap_core(bag: Path) -> Counter:
    """npm's @mcap/core, in the folder that `cargo xtask test` installs it in."""
    modules = os.environ.get("SWARM_TEST_NODE_MODULES")
    if not modules:
        raise RuntimeError("SWARM_TEST_NODE_MODULES is not set: run these tests with `cargo xtask test`, or name node_modules made of tests/mcap_js")
    done = subprocess.run(["node", READ_CJS, bag], capture_output=True, text=True, env={**os.environ, "NODE_PATH": modules}, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["indexed"], "a finished recording has an index"
    return Counter(topic for topic, _, _ in found["messages"])


OTHERS = {"rosbags": by_rosbags, "mcap with mcap-ros2-support": by_mcap, "@mcap/core": by_mcap_core}
