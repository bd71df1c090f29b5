#!/usr/bin/env python3
"""Second opinion on a skill artifact, written from the format's description alone; shares no code with the suite.

    verify_csa.py ARTIFACT SIGNATURE TRUST [DEPLOYED_VERSION]     exit 0 = good, 1 = refused

Needs `cryptography` and `pyyaml`.
"""
import base64, hashlib, io, re, sys, tarfile, zlib
from datetime import datetime, timezone
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

def need(true, why):
    if not true: raise ValueError(why)

def signers(message, entries, trust, now=datetime.now(timezone.utc)):
    keys = {hashlib.sha256(base64.b64decode(k["public_key"])).hexdigest(): k for k in trust["keys"]}
    for key, entry in [(keys.get(e["key_id"]), e) for e in entries]:
        if (key and not key.get("revoked") and "artifact" in key["roles"]
                and key.get("not_before", now) <= now <= key.get("not_after", now)):
            try:
                Ed25519PublicKey.from_public_bytes(base64.b64decode(key["public_key"])).verify(
                    base64.b64decode(entry["signature"], validate=True), message)
                yield key["signer"]
            except Exception: pass   # a signature that does not count never blocks the others

def check(archive, signature, trust, deployed=None):
    raw, trust = open(archive, "rb").read(), yaml.safe_load(open(trust))
    message = hashlib.sha256(b"swarm-csa-v1\0" + len(raw).to_bytes(8, "big") + hashlib.sha256(raw).digest()).digest()
    entries = yaml.safe_load(open(signature))["signatures"]
    need(all(len(base64.b64decode(e["signature"])) == 64 for e in entries), "signature of another length")
    need(len(set(signers(message, entries, trust))) >= max(1, trust["threshold"]), "too few trusted signers")
    gzip, cap = zlib.decompressobj(31), max(200 * len(raw), 4 << 20) + (1 << 16)
    data = gzip.decompress(raw, cap)
    need(gzip.eof and not gzip.unused_data, "cut off, gzip bomb, or bytes behind the gzip data")
    members = tarfile.open(fileobj=io.BytesIO(data), errors="strict").getmembers()
    name = re.compile(r"(?=.{1,100}\Z)[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*){0,7}\Z")
    need(all(m.type == tarfile.REGTYPE and not m.pax_headers and name.match(m.name) for m in members), "not a plain file")
    need(all(data[m.offset + 257:m.offset + 265] == b"ustar\x0000" for m in members), "not a ustar header")
    need(0 < len(members) <= 1024 and all(m.size <= 2 << 30 for m in members), "too many files, or too large")
    end = members[-1].offset_data + -(-members[-1].size // 512) * 512
    need(1024 <= len(data) - end <= 20 * 512 and not any(data[end:]), "no clean end of the archive")
    files = [(m.name, data[m.offset_data:m.offset_data + m.size]) for m in members]
    need(files[0][0] == "manifest.yaml" and len(files[0][1]) <= 1 << 20, "manifest.yaml is not the first entry")
    manifest = yaml.safe_load(files[0][1])
    need(manifest["schema_version"] == 1, "another schema version")
    need(re.fullmatch(r"[a-z][a-z0-9_]{0,63}", manifest["skill_id"]), "bad skill id")
    version = tuple(map(int, re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", manifest["version"]).groups()))
    need(not deployed or version > tuple(map(int, deployed.split("."))), "not newer than what is deployed")
    listed = sorted((f["path"], f["size"], f["sha256"]) for f in manifest["files"])
    need(manifest["roles"] and manifest["envelope"] in [f[0] for f in listed], "no roles, or no envelope")
    needed = [role["tree"] for role in manifest["roles"].values()] + [
        policy[file] for policy in (manifest.get("policies") or {}).values() for file in ("file", "golden", "statistics") if file in policy]
    need({f[0] for f in listed}.issuperset(needed), "a tree, or a policy's file, is missing")
    need(listed == sorted((n, len(b), hashlib.sha256(b).hexdigest()) for n, b in files[1:]), "files differ from the manifest")

if __name__ == "__main__":
    try:
        check(*sys.argv[1:])
        print("good")
    except Exception as why:
        sys.exit(f"refused: {type(why).__name__}: {why}")
