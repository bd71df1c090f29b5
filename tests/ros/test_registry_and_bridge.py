"""A cell and the real registry: publish, assign, roll back, quarantine, and a registry that ends and comes back."""

import hashlib
import json
import os
import urllib.request
from datetime import datetime, timedelta, timezone

import pytest
from artifacts import SKILL
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from real_registry import RealRegistry
from registry import SITE, target_path
from securesystemslib.signer import CryptoSigner
from test_registry_bridge import Bridged, outcome
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Root, TargetFile, Targets
from tuf.api.serialization.json import JSONSerializer

ROLES = ("root", "targets", "snapshot", "timestamp")


class People:
    """Those who hold the keys that the registry does not have; python-tuf signs."""

    def __init__(self, folder):
        self.expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=30)
        online = Ed25519PrivateKey.generate()
        self.key_path = folder / "online.pem"
        self.key_path.write_bytes(online.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        os.chmod(self.key_path, 0o600)
        self.online = CryptoSigner(online)
        self.root, self.top, self.skill_signer = (CryptoSigner.generate_ed25519() for _ in range(3))
        self.top_role, self.skill = Targets(expires=self.expires), Targets(expires=self.expires)
        key = self.skill_signer.public_key
        role = DelegatedRole(SKILL, [key.keyid], 1, terminating=True, paths=[f"{SKILL}/*"])
        self.top_role.delegations = Delegations({key.keyid: key}, {SKILL: role})
        for name, offline in (("image", ("root", "targets")), ("director", ("root",))):
            root = Root(expires=self.expires, consistent_snapshot=True)
            for role in ROLES:
                signer = {"root": self.root, "targets": self.top}[role] if role in offline else self.online
                root.add_key(signer.public_key, role)
            (folder / f"{name}_root.json").write_text(self.sign(root, self.root))

    @staticmethod
    def sign(signed, signer) -> str:
        metadata = Metadata(signed)
        metadata.sign(signer)
        return metadata.to_bytes(JSONSerializer(compact=True)).decode()


class RealFleet:
    """What `Bridged` expects of a registry, done through the real one's interface."""

    def __init__(self, folder, trust, probe):
        self.folder, self.people = folder, People(folder)
        self.process = RealRegistry(folder, trust, UPDATE_KEY_PATH=str(self.people.key_path)).begin(probe)
        self.ids, self.published = {}, 0

    @property
    def url(self) -> str:
        return self.process.url

    def ask(self, path: str, body=None, kind: str = "application/json"):
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.status} {error.read().decode()}") from error

    def add(self, archive, version: str) -> str:
        """Uploads an artifact, and lists it in the image repository."""
        content, signature = archive.read_bytes(), (archive.parent / f"{archive.name}.sig").read_text()
        mark = "--------a-boundary-that-is-nowhere"
        fields = {"signature": signature, "uploaded_by": "test"}
        parts = [f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
        head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{archive.name}"\r\nContent-Type: application/gzip\r\n\r\n'
        body = b"".join(parts) + head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        self.ids[version] = self.ask("/api/v1/csa/upload", body, f"multipart/form-data; boundary={mark}")["id"]
        self.people.skill.targets[target_path(version)] = TargetFile.from_data(target_path(version), content, ["sha256"])
        self.publish()
        return hashlib.sha256(content).hexdigest()

    def publish(self):
        people, files = self.people, []
        if not self.published:
            files = [{"role": "root", "text": (self.folder / "image_root.json").read_text()}]
            files.append({"role": "targets", "text": people.sign(people.top_role, people.top)})
            root = [{"role": "root", "text": (self.folder / "director_root.json").read_text()}]
            self.ask("/api/v1/update/director/publish", {"files": root})
        self.published += 1
        people.skill.version = self.published
        files.append({"role": SKILL, "text": people.sign(people.skill, people.skill_signer)})
        self.ask("/api/v1/update/image/publish", {"files": files})

    def assign(self, version: str):
        self.ask("/api/v1/deployments", {"site_id": SITE, "csa_id": self.ids[version], "reason": "test"})

    def roll_back(self, version: str, site_id: str = "ALL"):
        return self.ask("/api/v1/deployment/rollback", {"site_id": site_id, "target_csa_id": self.ids[version], "reason": "it fails"})

    def cell(self):
        return self.ask(f"/api/v1/cells/{SITE}")


@pytest.fixture
def fleet(cell, probe, start, tmp_path, request):
    registry = RealFleet(tmp_path, cell.workshop.trust, probe)
    request.addfinalizer(registry.process.stop)
    return Bridged(cell, probe, start, registry, tmp_path)


def test_a_fleet_of_one_cell_goes_forward_is_rolled_back_and_is_known_to_the_registry(fleet, probe):
    for version in ("1.0.0", "1.1.0"):
        fleet.add(version)
    fleet.registry.assign("1.0.0")
    fleet.begin()
    fleet.wait_in_step("1.0.0")
    fleet.registry.assign("1.1.0")
    fleet.wait_in_step("1.1.0")

    def known(version):
        cell = fleet.registry.cell()
        report = cell["report"]
        return cell["online"] and report and outcome("deployed")(report) and report["running"]["version"] == version and cell

    cell = probe.wait_for(lambda: known("1.1.0"), "the registry knows what the cell runs")
    assert cell["assigned"] == fleet.versions["1.1.0"] == cell["report"]["running"]["digest"]
    fleet.registry.roll_back("1.0.0")
    reason = {"reason": "it drops parts"}
    fleet.registry.ask(f"/api/v1/csa/{fleet.registry.ids['1.1.0']}/quarantine", reason)
    fleet.wait_in_step("1.0.0")
    probe.wait_for(lambda: known("1.0.0"), "the registry knows that it was rolled back")
    history = fleet.registry.ask(f"/api/v1/deployments?site_id={SITE}")["items"]
    assert [(entry["version"], entry["cause"], entry["state"]) for entry in history] == [
        ("1.0.0", "rollback", "deployed"),
        ("1.1.0", "deploy", "deployed"),
        ("1.0.0", "deploy", "deployed"),
    ]


def test_a_registry_that_ends_and_comes_back_finds_its_cell_in_step(fleet, probe):
    fleet.add("1.0.0")
    fleet.registry.assign("1.0.0")
    fleet.begin()
    fleet.wait_in_step("1.0.0")
    fleet.registry.process.stop()
    fleet.sync()
    fleet.wait("OFFLINE", "1.0.0 runs, as assigned")
    fleet.registry.process.begin(probe)
    fleet.add("1.1.0")
    fleet.registry.assign("1.1.0")
    fleet.wait_in_step("1.1.0")
