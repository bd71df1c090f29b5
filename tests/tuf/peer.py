"""python-tuf beside swarm_tuf: reads what we write with its own client, and writes what we read.

    peer.py read FOLDER NAME...     updates from FOLDER/metadata and FOLDER/targets as a new client; prints the targets as JSON
    peer.py write FOLDER            writes a repository with every key type and both kinds of delegation
    peer.py canonical               canonical JSON of what is on standard input, in hexadecimal
"""

import hashlib
import json
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import unquote

from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import DownloadHTTPError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface


class FolderFetcher(FetcherInterface):
    """Serves files instead of URLs; what is not there is a 404."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _fetch(self, url: str):
        path = self.folder / url.removeprefix("http://peer/")
        if not path.is_file():
            path = self.folder / unquote(url.removeprefix("http://peer/"))
        if not path.is_file():
            raise DownloadHTTPError(f"no {url}", 404)
        yield path.read_bytes()


def read(folder: Path, names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as cell:
        updater = Updater(
            f"{cell}/metadata",
            "http://peer/metadata/",
            f"{cell}/targets",
            "http://peer/targets/",
            fetcher=FolderFetcher(folder),
            bootstrap=(folder / "metadata/1.root.json").read_bytes(),
        )
        Path(cell, "targets").mkdir()
        updater.refresh()
        found = {}
        for name in names:
            info = updater.get_targetinfo(name)
            found[name] = None
            if info is not None:
                found[name] = Path(updater.download_target(info)).read_bytes().decode()
        trusted = updater._trusted_set
        versions = {
            "root": trusted.root.version,
            "timestamp": trusted.timestamp.version,
            "snapshot": trusted.snapshot.version,
            "targets": trusted.targets.version,
        }
        print(json.dumps({"targets": found, "versions": versions}))


def write(folder: Path) -> None:
    (folder / "metadata").mkdir(parents=True)
    (folder / "targets").mkdir()
    expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=2)
    rsa, ecdsa = CryptoSigner.generate_rsa(), CryptoSigner.generate_ecdsa()
    one, two, three = (CryptoSigner.generate_ed25519() for _ in range(3))

    def target(targets: Targets, name: str, data: bytes, hashes: list[str]) -> None:
        targets.targets[name] = TargetFile.from_data(name, data, hashes)
        for digest in targets.targets[name].hashes.values():
            head, slash, last = name.rpartition("/")
            path = folder / "targets" / f"{head}{slash}{digest}.{last}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def put(md: Metadata, name: str, signers: list[CryptoSigner]) -> bytes:
        md.signatures.clear()
        for signer in signers:
            md.sign(signer, append=True)
        data = md.to_bytes()
        (folder / "metadata" / name).write_bytes(data)
        return data

    def described(data: bytes, version: int) -> MetaFile:
        return MetaFile(version, len(data), {"sha256": hashlib.sha256(data).hexdigest()})

    root = Root(expires=expires)
    for role, signer in (("root", rsa), ("root", ecdsa), ("root", one)):
        root.add_key(signer.public_key, role)
    root.roles["root"].threshold = 3
    root.add_key(ecdsa.public_key, "targets")
    root.add_key(rsa.public_key, "snapshot")
    root.add_key(two.public_key, "timestamp")
    # Fields that nobody knows, characters that JSON and the canonical form write in different ways.
    root.unrecognized_fields["x-note"] = {"é": ["\u0301", "\n\"\\/", 1, None, True], "\U0001F600": -7, "｡": ""}
    put(Metadata(root), "1.root.json", [rsa, ecdsa, one])
    # The keys of the root and of the snapshot change.
    root.version = 2
    root.revoke_key(one.public_key.keyid, "root")
    root.add_key(three.public_key, "root")
    root.add_key(two.public_key, "snapshot")
    put(Metadata(root), "2.root.json", [rsa, ecdsa, one, three])

    bins = Targets(expires=expires)
    succinct = SuccinctRoles([], 1, 5, "bin")
    bins.delegations = Delegations({}, None, succinct)
    bins.add_key(three.public_key)
    pick = Targets(expires=expires)
    target(pick, "skills/pick/a b.gz", b"pick", ["sha256", "sha512"])
    prefixed = Targets(expires=expires)
    target(prefixed, "other/x", b"by digest", ["sha512"])

    targets = Targets(expires=expires)
    target(targets, "top", b"top", ["sha256"])
    targets.delegations = Delegations(
        {},
        roles={
            "skills/pick": DelegatedRole("skills/pick", [], 1, True, ["skills/pick/*"]),
            "digest": DelegatedRole(
                "digest", [], 1, False, path_hash_prefixes=[hashlib.sha256(b"other/x").hexdigest()[:2]]
            ),
            "bins": DelegatedRole("bins", [], 1, False, ["bins/[a-c]?*"]),
        },
    )
    targets.add_key(one.public_key, "skills/pick")
    targets.add_key(ecdsa.public_key, "digest")
    targets.add_key(rsa.public_key, "bins")

    snapshot = Snapshot(expires=expires)
    in_bins = {name: Targets(expires=expires) for name in succinct.get_roles()}
    for name in ("bins/a1", "bins/b2", "bins/c3"):
        target(in_bins[succinct.get_role_for_target(name)], name, name.encode(), ["sha256"])
    roles = [("targets", targets, ecdsa), ("skills/pick", pick, one), ("digest", prefixed, ecdsa), ("bins", bins, rsa)]
    roles += [(name, role, three) for name, role in in_bins.items()]
    for name, role, signer in roles:
        data = put(Metadata(role), f"1.{name.replace('/', '%2F')}.json", [signer])
        snapshot.meta[f"{name}.json"] = described(data, 1)
    data = put(Metadata(snapshot), "1.snapshot.json", [rsa, two])
    timestamp = Timestamp(expires=expires, snapshot_meta=described(data, 1))
    put(Metadata(timestamp), "timestamp.json", [two])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["read", folder, *names]:
            read(Path(folder), names)
        case ["write", folder]:
            write(Path(folder))
        case ["canonical"]:
            print(encode_canonical(json.load(sys.stdin)).encode().hex())
        case _:
            sys.exit(__doc__)
