"""A registry for tests: signed update metadata made with python-tuf, and a server that hands it out, well or badly.

It has the routes that a cell's bridge uses and nothing else; what it says is under the test's control, so that it can lie.
"""

import hashlib
import json
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from artifacts import SKILL
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

SITE = "test_cell"


def target_path(version: str) -> str:
    return f"{SKILL}/{SKILL}_v{version}.tar.gz"


class UpdateRepository:
    """A repository of The Update Framework with one key for each role; `delegate` adds a role for the skill."""

    def __init__(self, delegate: bool):
        self.expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=1)
        self.signers = {role: CryptoSigner.generate_ed25519() for role in ("root", "targets", "snapshot", "timestamp", SKILL)}
        self.files, self.version = {}, 0
        root = Root(expires=self.expires, consistent_snapshot=True)
        for role in ("root", "targets", "snapshot", "timestamp"):
            root.add_key(self.signers[role].public_key, role)
        self._sign("root", root, "1.root.json")
        self.top = Targets(expires=self.expires)
        self.skill = Targets(expires=self.expires) if delegate else None
        if delegate:
            key = self.signers[SKILL].public_key
            role = DelegatedRole(SKILL, [key.keyid], 1, terminating=True, paths=[f"{SKILL}/*"])
            self.top.delegations = Delegations({key.keyid: key}, {SKILL: role})
        self.publish()

    @property
    def targets(self) -> dict:
        return (self.skill or self.top).targets

    def publish(self):
        self.version += 1
        snapshot = Snapshot(version=self.version, expires=self.expires)
        roles = {"targets": self.top, **({SKILL: self.skill} if self.skill else {})}
        for name, role in roles.items():
            role.version = self.version
            self._sign(name, role, f"{self.version}.{name}.json")
            snapshot.meta[f"{name}.json"] = MetaFile(self.version)
        self._sign("snapshot", snapshot, f"{self.version}.snapshot.json")
        timestamp = Timestamp(version=self.version, expires=self.expires, snapshot_meta=MetaFile(self.version))
        self._sign("timestamp", timestamp, "timestamp.json")

    def _sign(self, role: str, signed, name: str):
        metadata = Metadata(signed)
        metadata.sign(self.signers[role])
        self.files[name] = metadata.to_bytes(JSONSerializer(compact=True))


class Registry:
    """The server; `stop` takes it away and `begin` brings it back under the same address."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.changed = threading.Condition()
        self.image, self.director = UpdateRepository(delegate=True), UpdateRepository(delegate=False)
        self.archives, self.signatures, self.quarantined = {}, {}, {}
        self.reports, self.asked = [], []
        self.slow_s_per_mb = 0.0
        self.port, self._server = 0, None
        for name, repository in (("image", self.image), ("director", self.director)):
            (folder / f"{name}_root.json").write_bytes(repository.files["1.root.json"])
        self.begin()

    # --- what is in it

    def add(self, archive: Path, version: str) -> str:
        """Takes a signed artifact in, and lists it in the image repository; gives its digest."""
        content = archive.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        with self.changed:
            self.archives[digest] = content
            self.signatures[digest] = Path(f"{archive}.sig").read_bytes()
            self.image.targets[target_path(version)] = TargetFile.from_data(target_path(version), content, ["sha256"])
            self.image.publish()
        return digest

    def assign(self, version: str | None, content: bytes | None = None):
        """The director sends the cell to a version, or nowhere; to other bytes than the image repository's where they are given."""
        with self.changed:
            self.director.targets.clear()
            if version is not None:
                path = target_path(version)
                known = self.image.targets.get(path) or TargetFile.from_data(path, content or b"forged", ["sha256"])
                file = TargetFile.from_data(path, content, ["sha256"]) if content else known
                custom = {"custom": {"cells": [SITE]}}
                self.director.targets[path] = TargetFile(file.length, file.hashes, path, unrecognized_fields=custom)
            self.director.publish()
            self.changed.notify_all()

    def send_away(self, version: str):
        """The director assigns nothing any more, and has the cell leave this version."""
        with self.changed:
            path = target_path(version)
            known = self.image.targets[path]
            self.director.targets.clear()
            self.director.targets[path] = TargetFile(known.length, known.hashes, path, unrecognized_fields={"custom": {"leave": [SITE]}})
            self.director.publish()
            self.changed.notify_all()

    def withdraw(self, version: str):
        with self.changed:
            del self.image.targets[target_path(version)]
            self.image.publish()
            self.changed.notify_all()

    # --- the server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def begin(self):
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.get(self)

            def do_POST(self):
                registry.post(self)

            def log_message(self, *_):
                pass

        self.ended = False
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        if self._server:
            with self.changed:
                self.ended = True
                self.changed.notify_all()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def get(self, request: BaseHTTPRequestHandler):
        url = urlsplit(request.path)
        self.asked.append(url.path)
        if self.ended:
            request.close_connection = True
            return
        match url.path.strip("/").split("/"):
            case ["api", "v1", "update", which, "metadata", name]:
                with self.changed:
                    content = getattr(self, which).files.get(name)
                self.answer(request, 200 if content else 404, content or b"{}")
            case ["api", "v1", "update", which, "versions"]:
                query = {key: int(value[0]) for key, value in parse_qs(url.query).items()}
                repository = getattr(self, which)
                with self.changed:
                    self.changed.wait_for(lambda: self.ended or repository.version > query["newer_than"], query["wait_s"])
                    version = repository.version
                if self.ended:
                    request.close_connection = True
                    return
                versions = {"root": 1, "timestamp": version, "snapshot": version, "targets": version}
                self.answer(request, 200, json.dumps(versions).encode())
            case ["api", "v1", "csa", digest, "signature"] if digest in self.signatures:
                self.answer(request, 200, self.signatures[digest])
            case ["api", "v1", "csa", digest, "download"] if digest in self.quarantined:
                problem = {
                    "type": "urn:swarm-registry:problem:quarantined",
                    "title": "Forbidden",
                    "status": 403,
                    "code": "quarantined",
                    "detail": f"Artifact {digest} is quarantined: {self.quarantined[digest]}",
                    "action": "Use another version.",
                }
                self.answer(request, 403, json.dumps(problem).encode())
            case ["api", "v1", "csa", digest, "download"] if digest in self.archives:
                self.download(request, digest)
            case _:
                self.answer(request, 404, b"{}")

    def download(self, request, digest: str):
        content = self.archives[digest]
        start = 0
        if (wanted := request.headers.get("Range")) and request.headers.get("If-Range") == f'"{digest}"':
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        request.send_response(206 if start else 200)
        request.send_header("ETag", f'"{digest}"')
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        for at in range(start, len(content), 4096):
            if self.ended:
                request.close_connection = True
                return
            request.wfile.write(content[at : at + 4096])
            request.wfile.flush()
            if self.slow_s_per_mb:
                time.sleep(self.slow_s_per_mb * 4096 / 1e6)

    def post(self, request: BaseHTTPRequestHandler):
        body = request.rfile.read(int(request.headers["Content-Length"]))
        if self.ended:
            request.close_connection = True
            return
        if request.path != f"/api/v1/cells/{SITE}/report":
            self.answer(request, 404, b"{}")
            return
        self.reports.append(json.loads(body))
        self.answer(request, 200, json.dumps({"image": self.image.version, "director": self.director.version}).encode())

    @staticmethod
    def answer(request, status: int, content: bytes):
        request.send_response(status)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)
