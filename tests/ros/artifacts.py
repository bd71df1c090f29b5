"""Signed artifacts for the tests of a deployment, good ones and every kind of bad one.

Packaged and signed by the `cell` command, as a user would; what `cell` refuses to make is made here, with Python's own
`tarfile` and `gzip`, and then signed like any other.
"""

import gzip
import io
import json
import subprocess
import tarfile
from pathlib import Path

import yaml
from harness import bin_dir, repository

SKILL = "shuttle"
HOME = [-1.0, -1.5708, 1.5708, -1.5708, -1.5708, 0.5708]
POLICY = repository() / "tests" / "data" / "cooperative_assembly" / "policies"
ENVELOPE = "schema: 1\nrobots:\n  leader: {tcp: {speed_m_s: 0.3, provenance: test}}\n"


def tree(role: str, *leaves: str, phases=("leave", "return")) -> str:
    """A role that enters each phase and does that phase's leaf in it; the arm is at home, so going there takes no time."""
    steps = "".join(f'<EnterPhase phase="{phase}"/>{leaf}' for phase, leaf in zip(phases, leaves or ["<MoveJoints/>"] * 2))
    return f'<root BTCPP_format="4"><BehaviorTree ID="{role.capitalize()}"><Sequence>{steps}</Sequence></BehaviorTree></root>'


def base_joint(radians: float, speed: float) -> str:
    """A leaf that turns the leader's base joint by `radians` from home."""
    q = ";".join(str(value) for value in [HOME[0] + radians, *HOME[1:]])
    return f'<MoveJoints q="{q}" speed="{speed}"/>'


QUICK = tree("leader", base_joint(0.1, 1.0), "<MoveJoints/>")
# Long enough for a deployment to be asked for during it.
STEADY = tree("leader", base_joint(0.3, 0.2), "<MoveJoints/>")
# Long enough for anything to happen during it, and slow enough that the way back to home stays short.
SLOW = tree("leader", base_joint(1.0, 0.02), "<MoveJoints/>")


class Workshop:
    """Keys, a trust file that asks for two signers, and a folder that artifacts are made in."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.trust = folder / "trust.yaml"
        self.keys = {}
        for signer in ("author", "reviewer", "former", "thief", "stranger"):
            self.keys[signer] = self.new_key(signer)
        for number, signer in enumerate(("author", "reviewer", "former", "thief")):
            self._cell(
                *("keys", "trust", "--trust", self.trust, "--threshold", min(number + 1, 2)),
                *("--signer", signer, "--public-key", self.folder / "keys" / f"{signer}.pub.pem"),
            )
        self._edit_trust()

    def make(self, version: str, leader: str = QUICK, *, name: str | None = None, sign=("author", "reviewer"), **changes) -> Path:
        """A signed artifact; `changes` are other texts for follower, envelope, policy, golden or group."""
        source = self.folder / f"source_{name or version}"
        source.mkdir()
        policy = changes.get("policy")
        (source / "skill.yaml").write_text(
            f"schema_version: 1\nskill_id: {SKILL}\nversion: {version}\nroles:\n"
            f"  leader: {{tree: leader.xml, tree_id: Leader, robot_group: {changes.get('group', 'ur5e')}}}\n"
            f"  follower: {{tree: follower.xml, tree_id: Follower, robot_group: ur5e{', policy: mate' if policy else ''}}}\n"
            "  spotter: {tree: spotter.xml, tree_id: Spotter, robot_group: panda}\n"
            + ("policies:\n  mate: {file: mate.onnx, golden: mate.golden.json, deadline_us: 100000}\n" if policy else "")
            + f'envelope: envelope.yaml\nprovenance: {{note: "{name or version}"}}\n'
        )
        if policy:
            (source / "mate.onnx").write_bytes(policy)
            (source / "mate.golden.json").write_text(changes["golden"])
        (source / "leader.xml").write_text(leader)
        (source / "follower.xml").write_text(changes.get("follower", tree("follower")))
        (source / "spotter.xml").write_text(tree("spotter"))
        (source / "envelope.yaml").write_text(changes.get("envelope", ENVELOPE))
        archive = self.folder / f"{name or SKILL}_v{version}.tar.gz"
        self._cell("package", "--model-dir", source, "--output", archive)
        self.sign(archive, *sign)
        return archive

    def sign(self, archive: Path, *signers: str):
        for signer in signers:
            self._cell(
                "sign", "--artifact", archive, "--private-key", self.folder / "keys" / f"{signer}.pem", "--signer-id", signer
            )

    def rebuilt(self, name: str, change) -> Path:
        """A good artifact taken apart, changed by `change(entries)`, put together again, and signed."""
        good = self.folder / f"{SKILL}_v1.0.0.tar.gz"
        with tarfile.open(good) as archive:
            entries = [(member, archive.extractfile(member).read()) for member in archive]
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for member, content in change(entries):
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return self.raw(name, gzip.compress(raw.getvalue(), mtime=0))

    def raw(self, name: str, content: bytes) -> Path:
        path = self.folder / f"{name}.tar.gz"
        path.write_bytes(content)
        self.sign(path, "author", "reviewer")
        return path

    def new_key(self, signer: str) -> str:
        """Makes a key; gives its id."""
        made = self._cell("keys", "generate", "--out", self.folder / "keys", "--signer", signer, "--json")
        return json.loads(made)["key_id"]

    def _edit_trust(self):
        """The former signer's key has expired, the thief's is revoked."""
        trust = yaml.safe_load(self.trust.read_text())
        keys = {key["signer"]: key for key in trust["keys"]}
        keys["former"]["not_after"] = "2020-01-01T00:00:00Z"
        keys["thief"]["revoked"] = True
        self.trust.write_text(yaml.safe_dump(trust))

    @staticmethod
    def _cell(*arguments) -> str:
        done = subprocess.run([bin_dir() / "cell", *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, f"cell {' '.join(map(str, arguments))}: {done.stderr}"
        return done.stdout
