#!/usr/bin/env python3
"""Reads a .btlog (BTCPP4-FileLogger2) from the description of the format alone, and prints it as JSON lines.

First {"xml": .., "first_us": ..}, then {"us": .., "uid": .., "name": .., "status": ..} for each transition. Shares no code with
what writes the file; exits with 1 where the file is not as described, or names a node that its own XML does not have.
"""

import json
import struct
import sys
import xml.etree.ElementTree as ET

STATUS = ["IDLE", "RUNNING", "SUCCESS", "FAILURE", "SKIPPED"]


def main(path):
    with open(path, "rb") as file:
        data = file.read()
    magic = b"BTCPP4-FileLogger2"
    if not data.startswith(magic + b"\x01"):
        sys.exit(f"not a FileLogger2 file of protocol 1: {data[:19]!r}")
    at = len(magic) + 1
    (length,) = struct.unpack_from("<i", data, at)
    text = data[at + 4 : at + 4 + length].decode()
    (first,) = struct.unpack_from("<q", data, at + 4 + length)
    at += 4 + length + 8
    if (len(data) - at) % 9:
        sys.exit(f"{(len(data) - at) % 9} bytes are left over behind the last transition")
    nodes = {int(e.get("_uid")): e.get("name") for e in ET.fromstring(text).iter() if e.get("_uid")}
    print(json.dumps({"xml": text, "first_us": first}))
    for i in range(at, len(data), 9):
        us = int.from_bytes(data[i : i + 6], "little")
        uid, status = struct.unpack_from("<HB", data, i + 6)
        if uid not in nodes:
            sys.exit(f"transition of node {uid}, which the XML does not have")
        print(json.dumps({"us": us, "uid": uid, "name": nodes[uid], "status": STATUS[status]}))


if __name__ == "__main__":
    main(sys.argv[1])
