"""Every bad artifact is refused with one exact sentence, while the deployed skill goes on running.

One cell runs one long run; all bad artifacts are offered to its runtime during it.
"""

import gzip
import io
import json
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


# Name, how it is made, what is said. {id} is the artifact's id, {path} its path, {signers} who is trusted.
SHORT = "0 of 2 needed signers"
CASES = {
    "wrong_signature": (lambda w: spoil(w.make("2.0.0", name="wrong_signature")), ""),
    "no_signature": (lambda w: w.make("2.0.0", name="no_signature", sign=()), ""),
    "unknown_key": (lambda w: w.make("2.0.0", name="unknown_key", sign=("author", "stranger")), ""),
    "too_few_signatures": (lambda w: w.make("2.0.0", name="too_few_signatures", sign=("author",)), ""),
    "expired_key": (lambda w: w.make("2.0.0", name="expired_key", sign=("author", "former")), ""),
    "revoked_key": (lambda w: w.make("2.0.0", name="revoked_key", sign=("author", "thief")), ""),
    "truncated": (lambda w: w.raw("truncated", good(w)[:-40]), ""),
    "path_traversal": (lambda w: w.rebuilt("path_traversal", lambda e: [*e, entry("../../evil.sh")]), ""),
    "absolute_path": (lambda w: w.rebuilt("absolute_path", lambda e: [*e, entry("/etc/evil.sh")]), ""),
    "symlink": (lambda w: w.rebuilt("symlink", lambda e: [*e, link("link.xml", tarfile.SYMTYPE)]), ""),
    "hard_link": (lambda w: w.rebuilt("hard_link", lambda e: [*e, link("link.xml", tarfile.LNKTYPE)]), ""),
    "duplicate_entry": (lambda w: w.rebuilt("duplicate_entry", lambda e: [*e, e[-1]]), ""),
    "gzip_bomb": (lambda w: w.raw("gzip_bomb", bomb()), ""),
    "file_not_in_manifest": (lambda w: w.rebuilt("file_not_in_manifest", lambda e: [*e, entry("extra.bin")]), ""),
    "hash_mismatch": (lambda w: w.rebuilt("hash_mismatch", lambda e: [*e[:-1], (e[-1][0], e[-1][1].swapcase())]), ""),
    "wrong_schema_version": (
        lambda w: w.rebuilt("wrong_schema", lambda e: [(e[0][0], e[0][1].replace(b"schema_version: 1", b"schema_version: 2")), *e[1:]]),
        "",
    ),
    "older_version": (lambda w: w.make("0.9.0", name="older_version"), ""),
    "looser_envelope": (
        lambda w: w.make("2.0.0", name="looser", envelope="schema: 1\nrobots:\n  leader: {tcp: {speed_m_s: 2.0, provenance: t}}\n"),
        "",
    ),
    "unknown_node": (lambda w: w.make("2.0.0", tree("leader", "<MovJoints/>", "<MoveJoints/>"), name="unknown_node"), ""),
    "tree_with_a_cycle": (lambda w: w.make("2.0.0", tree("leader", '<SubTree ID="Leader"/>', "<MoveJoints/>"), name="cycle"), ""),
    "onnx_that_does_not_load": (lambda w: w.make("2.0.0", name="no_onnx", policy=b"no model at all", golden=GOLDEN), ""),
    "golden_vectors_that_differ": (lambda w: w.make("2.0.0", name="golden", policy=ONNX, golden=golden_changed()), ""),
    "role_without_robot": (lambda w: w.make("2.0.0", name="robotless", group="scara"), ""),
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


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_with_its_sentence_and_the_deployed_skill_goes_on(cell, workshop, case):
    make, sentence = CASES[case]
    archive = make(workshop)
    before = cell.statuses[-1].artifact
    answer = cell.deploy(archive)
    assert not answer.success
    print(case, answer.message)
    cell.wait_moving(lambda: cell.run.ended and cell.run.result().message)
    assert cell.statuses[-1].artifact == before and cell.statuses[-1].running
    assert not any((cell.store / "staging").iterdir()), "nothing is left behind"
