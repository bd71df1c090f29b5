"""Reads bags with readers that nobody here wrote, each as it is, with no repair before: [{reader: {"count", "newest"} or {"error"}}]."""

import contextlib
import json
import pathlib
import sqlite3
import sys

from mcap.reader import NonSeekingReader, make_reader
from rosbags.rosbag2 import Reader


def found(times):
    times = list(times)
    return {"count": len(times), "newest": max(times, default=0)}


def by_rosbags(path):
    with Reader(path) as bag:
        return found(time for _, time, _ in bag.messages())


def by_sqlite(path):
    # As rosbag2 opens it: read-only, and SQLite looks at the log beside it.
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as bag:
        return found(time for (time,) in bag.execute("SELECT timestamp FROM messages ORDER BY timestamp"))


def by_mcap(path):
    with path.open("rb") as stream:
        return found(message.log_time for _, _, message in make_reader(stream, validate_crcs=True).iter_messages())


def by_mcap_forward(path):
    with path.open("rb") as stream:
        return found(message.log_time for _, _, message in NonSeekingReader(stream).iter_messages(log_time_order=False))


def read(path):
    readers = {"rosbags": by_rosbags}
    if path.suffix == ".mcap":
        readers |= {"mcap": by_mcap, "mcap forward": by_mcap_forward}
    else:
        readers |= {"sqlite": by_sqlite}
    said = {}
    for name, reader in readers.items():
        try:
            said[name] = reader(path)
        except Exception as error:
            said[name] = {"error": f"{type(error).__name__}: {error}"}
    return said


print(json.dumps([read(pathlib.Path(path)) for path in sys.argv[1:]]))
