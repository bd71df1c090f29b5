"""python-tuf's client against a running registry.

    update_client.py URL FOLDER NAME...     updates from the image repository as a new client that pinned FOLDER/root.json, and
                                            downloads the targets into FOLDER; prints their SHA-256 and the versions as JSON
"""

import hashlib
import json
import sys
from pathlib import Path

from tuf.ngclient import Updater


def main(url: str, folder: Path, names: list[str]) -> None:
    image = f"{url}/api/v1/update/image"
    targets = folder / "targets"
    targets.mkdir()
    updater = Updater(
        str(folder / "metadata"),
        f"{image}/metadata/",
        str(targets),
        f"{image}/targets/",
        bootstrap=(folder / "root.json").read_bytes(),
    )
    updater.refresh()
    found = {}
    for name in names:
        info = updater.get_targetinfo(name)
        found[name] = None
        if info is not None:
            data = Path(updater.download_target(info)).read_bytes()
            found[name] = hashlib.sha256(data).hexdigest()
    trusted = updater._trusted_set
    versions = {
        "root": trusted.root.version,
        "timestamp": trusted.timestamp.version,
        "snapshot": trusted.snapshot.version,
        "targets": trusted.targets.version,
    }
    print(json.dumps({"targets": found, "versions": versions}))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
