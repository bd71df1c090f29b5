"""Every bad artifact is refused with one exact sentence, while the deployed skill goes on running.

One cell runs one long run; all bad artifacts are offered to its runtime during it.
"""

import gzip
import hashlib
import io
import json
import re
import tarfile

import pytest
from artifacts import POLICY, SKILL, SLOW, Workshop, tree
from harness import Domain, NodeProcess, Probe
from skill_cell import SkillCell

ONNX = (POLICY / "insert_peg.onnx").read_bytes()
GOLDEN = (POLICY / "insert_peg.golden.json").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bad")


@pytest.fixture(scope="module")
def workshop(folder):
    return Workshop(folder)


@pytest.fixture(scope="module")
def cell(folder, workshop):
    """The deployed 1.0.0 is running, and still runs when all tests are over."""
    domain, nodes = Domain(), []

    def start(executable, *ros_args, parameters=None, env=None):
        nodes.append(NodeProcess(executable, domain, folder / f"{executable}.log", ros_args, parameters, env))
        return nodes[-1]

    probe = Probe(domain)
    try:
        cell = SkillCell(start, probe, folder, workshop).ready(workshop.make("1.0.0", SLOW))
        cell.run = cell.running(trace_id="long")
        yield cell
        assert not cell.run.ended, cell.run.result().message
    finally:
        probe.close()
        for node in nodes:
            node.stop()
        domain.close()


def entry(name: str, content: bytes = b"x", **fields):
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def link(name: str, kind: bytes):
    return entry(name, b"", type=kind, linkname="leader.xml")


def golden_changed() -> str:
    golden = json.loads(GOLDEN)
    golden["vectors"][0]["action"][0] += 1.0
    return json.dumps(golden)


# How it is made, and what is said of it. In braces: the artifact's id, path and size, the keys' ids, hashes of a file.
CASES = {
    "wrong_signature": (
        lambda w: spoil(w.make("2.0.0", name="wrong_signature")),
        "bad signature on artifact {id}: {unmatched}; 0 of 2 needed signers count; the archive or its signature was changed: "
        "get both again from the signer",
    ),
    "no_signature": (
        lambda w: w.make("2.0.0", name="no_signature", sign=()),
        "there is no signature file '{path}.sig'; sign the artifact with `cell sign`, or name its signature file",
    ),
    "unknown_key": (
        lambda w: w.make("2.0.0", name="unknown_key", sign=("author", "stranger")),
        "unknown key on artifact {id}: key {stranger} (which calls itself 'stranger') is not in the trust "
        "file; 1 of 2 needed signers count (author); if the signer is to be believed, add its public key to "
        "the trust file",
    ),
    "too_few_signatures": (
        lambda w: w.make("2.0.0", name="too_few_signatures", sign=("author",)),
        "too few signatures on artifact {id}: 1 of 2 needed signers count (author); have further signers sign it",
    ),
    "expired_key": (
        lambda w: w.make("2.0.0", name="expired_key", sign=("author", "former")),
        "expired key on artifact {id}: key {former} of former expired at 2020-01-01T00:00:00Z, and it is NOW;"
        " 1 of 2 needed signers count (author); have it signed again with a current key (and check this "
        "machine's clock)",
    ),
    "revoked_key": (
        lambda w: w.make("2.0.0", name="revoked_key", sign=("author", "thief")),
        "revoked key on artifact {id}: key {thief} of thief is revoked; 1 of 2 needed signers count (author);"
        " have it signed again with a key that is not revoked",
    ),
    "truncated": (
        lambda w: w.raw("truncated", good(w)[:-40]),
        "artifact {id} is refused: the archive cannot be decompressed (truncated or damaged gzip data): "
        "unexpected end of the file",
    ),
    "path_traversal": (
        lambda w: w.rebuilt("path_traversal", lambda e: [*e, entry("../../evil.sh")]),
        "artifact {id} is refused: entry 5 has a name that is refused: '../../evil.sh' contains a '..' "
        "segment and would leave the artifact's folder",
    ),
    "absolute_path": (
        lambda w: w.rebuilt("absolute_path", lambda e: [*e, entry("/etc/evil.sh")]),
        "artifact {id} is refused: entry 5 has a name that is refused: '/etc/evil.sh' is absolute; paths in "
        "an artifact are relative to its root",
    ),
    "symlink": (
        lambda w: w.rebuilt("symlink", lambda e: [*e, link("link.xml", tarfile.SYMTYPE)]),
        "artifact {id} is refused: 'link.xml' is a symbolic link; an artifact contains regular files only "
        "(make it with `cell package`)",
    ),
    "hard_link": (
        lambda w: w.rebuilt("hard_link", lambda e: [*e, link("link.xml", tarfile.LNKTYPE)]),
        "artifact {id} is refused: 'link.xml' is a hard link; an artifact contains regular files only (make "
        "it with `cell package`)",
    ),
    "duplicate_entry": (
        lambda w: w.rebuilt("duplicate_entry", lambda e: [*e, e[-1]]),
        "artifact {id} is refused: 'spotter.xml' is in the archive twice",
    ),
    "gzip_bomb": (
        lambda w: w.raw("gzip_bomb", bomb()),
        "artifact {id} is refused: gzip bomb: 67109376 bytes would come out of {size}, more than 200 to 1; "
        "nothing real is packed that tightly",
    ),
    "file_not_in_manifest": (
        lambda w: w.rebuilt("file_not_in_manifest", lambda e: [*e, entry("extra.bin")]),
        "artifact {id} is refused: 'extra.bin' is in the archive but not in the manifest",
    ),
    "hash_mismatch": (
        lambda w: w.rebuilt("hash_mismatch", lambda e: [*e[:-1], (e[-1][0], e[-1][1].swapcase())]),
        "artifact {id} is refused: 'spotter.xml' has SHA-256 {swapped}, the manifest says {original}",
    ),
    "wrong_schema_version": (
        lambda w: w.rebuilt(
            "wrong_schema", lambda e: [(e[0][0], e[0][1].replace(b"schema_version: 1", b"schema_version: 2")), *e[1:]]
        ),
        "artifact {id} is refused: manifest.yaml has schema version 2, this program reads 1; package the "
        "skill again, or use the program version that belongs to it",
    ),
    "older_version": (
        lambda w: w.make("0.9.0", name="older_version"),
        "skill 'shuttle': version 0.9.0 is older than the deployed 1.0.0; to go back on purpose, ask for a rollback",
    ),
    "looser_envelope": (
        lambda w: w.make(
            "2.0.0", name="looser", envelope="schema: 1\nrobots:\n  leader: {tcp: {speed_m_s: 2.0, provenance: t}}\n"
        ),
        "envelope.yaml: the skill's safety envelope is looser than the cell's ceiling: "
        "robots.ur5e_left.tcp.speed_m_s is 2, the cell allows at most 0.5",
    ),
    "expired_envelope": (
        lambda w: w.make("2.0.0", name="expired", envelope="schema: 1\nvalid: {until: 2020-01-01T00:00:00Z}\n"),
        "envelope.yaml: the envelope was valid until 2020-01-01T00:00:00Z; have it looked at, and package the skill with a newer one",
    ),
    "envelope_for_another_cell": (
        lambda w: w.make("2.0.0", name="elsewhere", envelope="schema: 1\nvalid: {cells: [another_bench]}\n"),
        "envelope.yaml: the envelope is for another_bench, and this cell is 'demo_bench'; package the skill with an envelope for "
        "this cell",
    ),
    "unknown_node": (
        lambda w: w.make("2.0.0", tree("leader", "<MovJoints/>", "<MoveJoints/>"), name="unknown_node"),
        "the tree of role leader: leader.xml:1:87: unknown node 'MovJoints'; did you mean 'MoveJoints'? (in "
        "Leader/Sequence/MovJoints)",
    ),
    "tree_with_a_cycle": (
        lambda w: w.make("2.0.0", tree("leader", '<SubTree ID="Leader"/>', "<MoveJoints/>"), name="cycle"),
        "the tree of role leader: leader.xml:1:87: tree contains itself: Leader -> Leader (in Leader/Sequence/SubTree)",
    ),
    "onnx_that_does_not_load": (
        lambda w: w.make("2.0.0", name="no_onnx", policy=b"no model at all", golden=GOLDEN),
        "policy 'mate' (mate.onnx): cannot load the ONNX model: Failed to load model because protobuf parsing failed.",
    ),
    "golden_vectors_that_differ": (
        lambda w: w.make("2.0.0", name="golden", policy=ONNX, golden=golden_changed()),
        "policy 'mate' (mate.onnx): golden vector 0: value 0 of the answer is 0.016739683, expected 1.0167397 within 0.00001",
    ),
    "role_without_robot": (
        lambda w: w.make("2.0.0", name="robotless", group="scara"),
        "role leader needs a robot of group 'scara', but the cell gives it ur5e_left, a ur5e",
    ),
}


def good(workshop) -> bytes:
    return (workshop.folder / f"{SKILL}_v1.0.0.tar.gz").read_bytes()


def spoil(archive):
    """Changes the archive after it was signed."""
    content = bytearray(archive.read_bytes())
    content[-1] ^= 1
    archive.write_bytes(content)
    return archive


def bomb() -> bytes:
    """64 MiB of zeros in one entry."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        member = tarfile.TarInfo("manifest.yaml")
        member.size = 64 * 1024 * 1024
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    return gzip.compress(raw.getvalue())


def facts(archive, workshop) -> dict:
    content, spotter = archive.read_bytes(), tree("spotter").encode()
    digest = {
        name: hashlib.sha256(value).hexdigest()
        for name, value in {"id": content, "original": spotter, "swapped": spotter.swapcase()}.items()
    }
    signers = sorted(("author", "reviewer"), key=workshop.keys.get, reverse=True)
    unmatched = "; ".join(
        f"the signature of {name} with key {workshop.keys[name]} does not match this archive" for name in signers
    )
    return {**digest, "unmatched": unmatched, **workshop.keys, "path": archive, "size": len(content)}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_with_its_sentence_and_the_deployed_skill_goes_on(cell, workshop, case):
    make, sentence = CASES[case]
    archive = make(workshop)
    before = cell.statuses[-1].artifact
    answer = cell.deploy(archive)
    assert not answer.success
    said = re.sub(r"it is [0-9T:-]+Z", "it is NOW", answer.message)
    assert said == sentence.format(**facts(archive, workshop)) + f"; {SKILL} 1.0.0 stays deployed"
    cell.wait_moving(lambda: cell.run.ended and cell.run.result().message)
    assert cell.statuses[-1].artifact == before and cell.statuses[-1].running
    assert not any((cell.store / "staging").iterdir()), "nothing is left behind"
