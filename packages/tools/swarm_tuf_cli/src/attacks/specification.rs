//! The attacks of the specification, 1.5.2.

use swarm_tuf::{
    ROOT, Root, SNAPSHOT, Snapshot, TARGETS, TIMESTAMP, TargetFile, Targets, Timestamp, remote_file,
};

use super::world::{
    Cell, DAY, NOW, Outcome, PICK_KEY, ROOT_KEYS, Reply, SNAPSHOT_KEY, Site, TARGETS_KEYS, TIMESTAMP_KEY,
    key, path, say, version_only,
};
use super::{Attack, refused, same};

const GOOD: &[u8] = b"pick, as its team made it";
const EVIL: &[u8] = b"pick, as the thief made..";
const PICK: &str = "skills/pick/pick.tar.gz";
const PLACE: &str = "place.tar.gz";

pub(super) const ATTACKS: &[Attack] = &[
    Attack { name: "arbitrary installation: other bytes of the same length on the server", run: other_bytes },
    Attack { name: "arbitrary installation: targets metadata signed by a stranger", run: stranger },
    Attack { name: "arbitrary installation: the signatures of other metadata", run: borrowed_signatures },
    Attack { name: "arbitrary installation: a snapshot served as the timestamp", run: wrong_type },
    Attack { name: "arbitrary installation: a skill's team signs another skill", run: other_skill },
    Attack { name: "wrong software: another signed target under this one's name", run: other_target },
    Attack { name: "extraneous dependencies: a target that nobody asked for", run: not_asked_for },
    Attack { name: "endless data: metadata without an end", run: endless_metadata },
    Attack { name: "endless data: a target without an end", run: endless_target },
    Attack { name: "slow retrieval: metadata byte by byte", run: slow_metadata },
    Attack { name: "slow retrieval: a target byte by byte", run: slow_target },
    Attack { name: "rollback: the whole server as it was", run: old_server },
    Attack { name: "rollback: a new timestamp names an older snapshot", run: older_snapshot },
    Attack { name: "rollback: a new snapshot names older targets", run: older_targets },
    Attack { name: "rollback: a new snapshot leaves a role out", run: role_left_out },
    Attack { name: "rollback: an old root as the next one", run: old_root },
    Attack { name: "indefinite freeze: nothing new until it expires", run: freeze },
    Attack { name: "indefinite freeze: a root that is withheld", run: withheld_root },
    Attack { name: "fast-forward: the timestamp counted up", run: timestamp_forward },
    Attack { name: "fast-forward: snapshot and targets counted up", run: snapshot_forward },
    Attack { name: "mix-and-match: older targets under the new name", run: mixed_targets },
    Attack { name: "mix-and-match: a skill's older metadata under the new name", run: mixed_skill },
    Attack { name: "mix-and-match: a snapshot of another state", run: mixed_snapshot },
    Attack { name: "malicious mirror: files are missing", run: missing },
    Attack { name: "wrong threshold: one signature where two are needed", run: one_of_two },
    Attack { name: "wrong threshold: one signature twice", run: one_twice },
    Attack { name: "wrong threshold: one key under two names", run: two_names },
    Attack { name: "wrong threshold: the next root without the old keys", run: root_without_old_keys },
    Attack { name: "wrong threshold: the next root without its own keys", run: root_without_new_keys },
    Attack { name: "key compromise: the keys of snapshot and timestamp", run: online_keys },
    Attack { name: "key compromise: one key of each role that has two", run: below_threshold },
    Attack { name: "key compromise: keys that were revoked", run: revoked_keys },
];

/// A server with two targets, and a cell that has got them.
fn begin() -> Outcome<(Site, Cell)> {
    let mut site = Site::new()?;
    site.put("pick", PICK, GOOD)?;
    site.put(TARGETS, PLACE, b"place, as its team made it")?;
    site.publish(NOW)?;
    let cell = Cell::new()?;
    same(&cell.get(&site, PICK).map_err(say)?, &GOOD.to_vec())?;
    Ok((site, cell))
}

fn remote(bytes: &[u8], name: &str) -> Outcome<String> {
    Ok(path(name)?.remote_file(TargetFile::of(bytes).hashes.get("sha256").map(String::as_str)))
}

/// The cell still has what it had.
fn kept(cell: &Cell) -> Outcome {
    same(&cell.on_disk(PICK), &Some(GOOD.to_vec()))
}

fn evil_target(targets: &mut Targets) {
    targets.head.version = targets.head.version.saturating_add(1);
    targets.targets.insert(PICK.to_owned(), TargetFile::of(EVIL));
}

/// The thief publishes targets metadata with snapshot and timestamp for it, for which the keys were stolen.
fn publish_forged(site: &Site, role: &str, bytes: Vec<u8>, version: u64) -> Outcome {
    site.serve_metadata(&remote_file(role, Some(version)), Reply::File(bytes));
    let mut number = 0;
    let listed = version_only(version)?;
    let snapshot = site.forge(SNAPSHOT, &[SNAPSHOT_KEY], |snapshot: &mut Snapshot| {
        snapshot.head.version = snapshot.head.version.saturating_add(1);
        snapshot.meta.insert(format!("{role}.json"), listed);
        number = snapshot.head.version.get();
    })?;
    site.serve_metadata(&remote_file(SNAPSHOT, Some(number)), Reply::File(snapshot));
    point_to_snapshot(site, number)
}

/// The thief signs a timestamp for a snapshot; its key was stolen.
fn point_to_snapshot(site: &Site, version: u64) -> Outcome {
    let listed = version_only(version)?;
    let timestamp = site.forge(TIMESTAMP, &[TIMESTAMP_KEY], |timestamp: &mut Timestamp| {
        timestamp.head.version = timestamp.head.version.saturating_add(1);
        timestamp.meta.insert("snapshot.json".to_owned(), listed);
    })?;
    site.serve_metadata(&remote_file(TIMESTAMP, None), Reply::File(timestamp));
    Ok(())
}

fn other_bytes() -> Outcome {
    let (site, _) = begin()?;
    site.serve_target(&remote(GOOD, PICK)?, Reply::File(EVIL.to_vec()));
    let cell = Cell::new()?;
    refused(cell.get(&site, PICK), "digest")?;
    same(&cell.on_disk(PICK), &None)
}

fn stranger() -> Outcome {
    let (site, cell) = begin()?;
    let version = site.repository.role("pick").map_err(say)?.head.version.get() + 1;
    site.serve_target(&remote(EVIL, PICK)?, Reply::File(EVIL.to_vec()));
    // The keys of snapshot and timestamp were stolen too, or the stranger's metadata would not even be fetched.
    publish_forged(&site, "pick", site.forge("pick", &[99], evil_target)?, version)?;
    refused(cell.get(&site, PICK), "signatures")?;
    kept(&cell)
}

fn borrowed_signatures() -> Outcome {
    let (site, cell) = begin()?;
    let name = site.newest(TIMESTAMP)?;
    let text = String::from_utf8(site.metadata(&name)?).map_err(say)?;
    let version = site.repository.timestamp().ok_or("no timestamp")?.version();
    let changed = text.replace(&format!("\"version\":{version}"), "\"version\":900");
    if changed == text {
        return Err("the timestamp does not have the version that was to be changed".to_owned());
    }
    site.serve_metadata(&name, Reply::File(changed.into_bytes()));
    refused(cell.get(&site, PICK), "signatures")?;
    kept(&cell)
}

fn wrong_type() -> Outcome {
    let (mut site, cell) = begin()?;
    // One key for both roles, so that only the type tells them apart.
    site.rotate(SNAPSHOT, &[TIMESTAMP_KEY])?;
    site.publish(NOW)?;
    // A snapshot of one file looks like a timestamp.
    let listed = version_only(1)?;
    let snapshot = site.forge(SNAPSHOT, &[TIMESTAMP_KEY], |snapshot: &mut Snapshot| {
        snapshot.head.version = snapshot.head.version.saturating_add(100);
        snapshot.meta = [("snapshot.json".to_owned(), listed)].into();
    })?;
    site.serve_metadata("timestamp.json", Reply::File(snapshot));
    refused(cell.get(&site, PICK), "format")?;
    kept(&cell)
}

fn other_skill() -> Outcome {
    let (mut site, cell) = begin()?;
    let forged = site.forge("pick", &[PICK_KEY], |targets: &mut Targets| {
        targets.head.version = targets.head.version.saturating_add(1);
        targets.targets.insert("skills/place/place.tar.gz".to_owned(), TargetFile::of(EVIL));
    })?;
    site.repository.adopt_role("pick", &forged).map_err(say)?;
    site.publish(NOW)?;
    site.serve_target(&remote(EVIL, "skills/place/place.tar.gz")?, Reply::File(EVIL.to_vec()));
    cell.get(&site, PICK).map_err(say)?;
    refused(cell.get(&site, "skills/place/place.tar.gz"), "no_such_target")
}

fn other_target() -> Outcome {
    let (site, _) = begin()?;
    site.serve_target(&remote(GOOD, PICK)?, Reply::File(b"place, as its team made it".to_vec()));
    let cell = Cell::new()?;
    refused(cell.get(&site, PICK), "endless_data")?; // it is a byte longer
    same(&cell.on_disk(PICK), &None)
}

fn not_asked_for() -> Outcome {
    let (mut site, cell) = begin()?;
    site.put("pick", "skills/pick/malware.so", EVIL)?;
    site.publish(NOW)?;
    cell.get(&site, PICK).map_err(say)?;
    same(&cell.on_disk("skills/pick/malware.so"), &None)?;
    same(&cell.on_disk(PLACE), &None)
}

fn endless_metadata() -> Outcome {
    let (site, cell) = begin()?;
    let root = remote_file(ROOT, Some(site.repository.root().head.version.get() + 1));
    site.serve_metadata(&root, Reply::Endless);
    refused(cell.get(&site, PICK), "endless_data")?;
    kept(&cell)?;
    let (site, cell) = (Site::new()?, Cell::new()?);
    for name in [site.newest(TARGETS)?, site.newest(SNAPSHOT)?, site.newest(TIMESTAMP)?] {
        site.serve_metadata(&name, Reply::Endless);
        refused(cell.get(&site, PICK), "endless_data")?;
    }
    Ok(())
}

fn endless_target() -> Outcome {
    let (site, _) = begin()?;
    site.serve_target(&remote(GOOD, PICK)?, Reply::Endless);
    let cell = Cell::new()?;
    refused(cell.get(&site, PICK), "endless_data")?;
    same(&cell.on_disk(PICK), &None)
}

fn slow_metadata() -> Outcome {
    let (site, cell) = begin()?;
    site.serve_metadata("timestamp.json", Reply::Trickle);
    refused(cell.get(&site, PICK), "slow")?;
    kept(&cell)
}

fn slow_target() -> Outcome {
    let (mut site, _) = begin()?;
    let long = vec![b'x'; 10_000];
    site.put(TARGETS, "long", &long)?;
    site.publish(NOW)?;
    site.serve_target(&remote(&long, "long")?, Reply::Trickle);
    let cell = Cell::new()?;
    refused(cell.get(&site, "long"), "slow")?;
    same(&cell.on_disk("long"), &None)
}

fn old_server() -> Outcome {
    let (mut site, cell) = begin()?;
    let before = site.recording();
    site.put("pick", PICK, b"pick, mended")?;
    site.publish(NOW)?;
    same(&cell.get(&site, PICK).map_err(say)?, &b"pick, mended".to_vec())?;
    site.replay(before);
    refused(cell.get(&site, PICK), "rollback")?;
    same(&cell.on_disk(PICK), &Some(b"pick, mended".to_vec()))
}

fn older_snapshot() -> Outcome {
    let (mut site, cell) = begin()?;
    let old = site.repository.snapshot().ok_or("no snapshot")?.version();
    site.put("pick", PICK, b"pick, mended")?;
    site.publish(NOW)?;
    cell.get(&site, PICK).map_err(say)?;
    point_to_snapshot(&site, old)?;
    refused(cell.get(&site, PICK), "rollback")
}

fn older_targets() -> Outcome {
    let (mut site, cell) = begin()?;
    let old = site.repository.role("pick").map_err(say)?.head.version.get();
    let bytes = site.metadata(&site.newest("pick")?)?;
    site.put("pick", PICK, b"pick, mended")?;
    site.publish(NOW)?;
    cell.get(&site, PICK).map_err(say)?;
    publish_forged(&site, "pick", bytes, old)?;
    refused(cell.get(&site, PICK), "rollback")
}

fn role_left_out() -> Outcome {
    let (site, cell) = begin()?;
    let mut number = 0;
    let snapshot = site.forge(SNAPSHOT, &[SNAPSHOT_KEY], |snapshot: &mut Snapshot| {
        snapshot.head.version = snapshot.head.version.saturating_add(1);
        snapshot.meta.remove("pick.json");
        number = snapshot.head.version.get();
    })?;
    site.serve_metadata(&remote_file(SNAPSHOT, Some(number)), Reply::File(snapshot));
    point_to_snapshot(&site, number)?;
    refused(cell.get(&site, PICK), "vanished_role")
}

fn old_root() -> Outcome {
    let (mut site, cell) = begin()?;
    site.repository.touch(ROOT).map_err(say)?;
    site.publish(NOW)?;
    cell.get(&site, PICK).map_err(say)?;
    let next = remote_file(ROOT, Some(site.repository.root().head.version.get() + 1));
    site.serve_metadata(&next, Reply::File(site.metadata("1.root.json")?));
    refused(cell.get(&site, PICK), "rollback")?;
    kept(&cell)
}

fn freeze() -> Outcome {
    let (mut site, mut cell) = begin()?;
    let before = site.recording();
    site.put("pick", PICK, b"pick, mended")?;
    site.publish(NOW)?;
    site.replay(before);
    cell.now = NOW.plus(DAY - 1);
    cell.get(&site, PICK).map_err(say)?; // nobody can know yet
    cell.now = NOW.plus(DAY);
    refused(cell.get(&site, PICK), "expired")?;
    // A cell that begins now must not take it either.
    let mut late = Cell::new()?;
    late.now = NOW.plus(DAY);
    refused(late.get(&site, PICK), "expired")
}

fn withheld_root() -> Outcome {
    let (mut site, mut cell) = begin()?;
    let year = NOW.plus(365 * DAY);
    site.repository.touch(ROOT).map_err(say)?;
    site.publish(year)?;
    cell.now = year;
    let name = site.newest(ROOT)?;
    let withheld = site.metadata(&name)?;
    let mut without = site.recording();
    without.remove(&format!("/metadata/{name}"));
    site.replay(without);
    refused(cell.get(&site, PICK), "expired")?;
    site.serve_metadata(&name, Reply::File(withheld));
    site.repository.touch(SNAPSHOT).map_err(say)?;
    site.repository.touch(TARGETS).map_err(say)?;
    site.repository.touch("pick").map_err(say)?;
    site.publish(year)?;
    cell.get(&site, PICK).map(|_| ()).map_err(say)
}

fn timestamp_forward() -> Outcome {
    let (mut site, cell) = begin()?;
    let before = site.recording();
    let timestamp = site.forge(TIMESTAMP, &[TIMESTAMP_KEY], |timestamp: &mut Timestamp| {
        timestamp.head.version = std::num::NonZeroU64::MAX;
    })?;
    site.serve_metadata("timestamp.json", Reply::File(timestamp));
    cell.get(&site, PICK).map_err(say)?; // its key was stolen: it counts
    site.replay(before);
    refused(cell.get(&site, PICK), "rollback")?;
    recovers(&mut site, &cell, &[TIMESTAMP])
}

fn snapshot_forward() -> Outcome {
    let (mut site, cell) = begin()?;
    let before = site.recording();
    let far = 1 << 40;
    let listed = version_only(far)?;
    let forged =
        site.forge("pick", &[PICK_KEY], |targets: &mut Targets| targets.head.version = listed.version)?;
    publish_forged(&site, "pick", forged, far)?;
    cell.get(&site, PICK).map_err(say)?;
    site.replay(before);
    // Only the snapshot's keys are changed: the timestamp that was believed must not stand in the way.
    recovers(&mut site, &cell, &[SNAPSHOT])
}

/// The people change the keys of these roles, and the cell gets the next update.
fn recovers(site: &mut Site, cell: &Cell, roles: &[&str]) -> Outcome {
    for (i, role) in roles.iter().enumerate() {
        site.rotate(role, &[50 + i as u8])?;
    }
    site.put("pick", PICK, b"pick, mended")?;
    site.publish(NOW)?;
    same(&cell.get(site, PICK).map_err(say)?, &b"pick, mended".to_vec())
}

fn mixed_targets() -> Outcome {
    let (mut site, cell) = begin()?;
    let old = site.metadata(&site.newest(TARGETS)?)?;
    site.put(TARGETS, PLACE, b"place, mended")?;
    site.publish(NOW)?;
    site.serve_metadata(&site.newest(TARGETS)?, Reply::File(old.clone()));
    refused(cell.get(&site, PLACE), "digest")?;
    // Where the snapshot has no digest, the version still says it.
    let version = site.repository.role(TARGETS).map_err(say)?.head.version.get();
    publish_forged(&site, TARGETS, old, version)?;
    refused(cell.get(&site, PLACE), "mix_and_match")
}

fn mixed_skill() -> Outcome {
    let (mut site, cell) = begin()?;
    let old = site.metadata(&site.newest("pick")?)?;
    site.put("pick", PICK, b"pick, mended")?;
    site.publish(NOW)?;
    let version = site.repository.role("pick").map_err(say)?.head.version.get();
    site.serve_metadata(&site.newest("pick")?, Reply::File(old.clone()));
    refused(cell.get(&site, PICK), "digest")?;
    publish_forged(&site, "pick", old, version)?;
    refused(cell.get(&site, PICK), "mix_and_match")?;
    kept(&cell)
}

fn mixed_snapshot() -> Outcome {
    let (mut site, cell) = begin()?;
    let old = site.metadata(&site.newest(SNAPSHOT)?)?;
    site.put("pick", PICK, b"pick, mended")?;
    site.publish(NOW)?;
    let name = site.newest(SNAPSHOT)?;
    site.serve_metadata(&name, Reply::File(old.clone()));
    refused(cell.get(&site, PICK), "length").or_else(|_| refused(cell.get(&site, PICK), "digest"))?;
    point_to_snapshot(&site, site.repository.snapshot().ok_or("no snapshot")?.version())?;
    refused(cell.get(&site, PICK), "mix_and_match")?;
    kept(&cell)
}

fn missing() -> Outcome {
    let (mut site, cell) = begin()?;
    site.put("pick", PICK, b"pick, mended")?;
    site.publish(NOW)?;
    let whole = site.recording();
    for name in [site.newest(TIMESTAMP)?, site.newest(SNAPSHOT)?, site.newest("pick")?] {
        let mut without = whole.clone();
        without.remove(&format!("/metadata/{name}"));
        site.replay(without);
        refused(cell.get(&site, PICK), "missing")?;
        kept(&cell)?;
    }
    site.replay(whole);
    same(&cell.get(&site, PICK).map_err(say)?, &b"pick, mended".to_vec())
}

/// Targets metadata that only the first of the two keys signed.
fn one_of_two() -> Outcome {
    let (site, cell) = begin()?;
    let version = site.repository.role(TARGETS).map_err(say)?.head.version.get() + 1;
    publish_forged(&site, TARGETS, site.forge(TARGETS, &TARGETS_KEYS[..1], evil_target)?, version)?;
    refused(cell.get(&site, PICK), "signatures")?;
    kept(&cell)
}

fn one_twice() -> Outcome {
    let (site, cell) = begin()?;
    let version = site.repository.role(TARGETS).map_err(say)?.head.version.get() + 1;
    let forged = site.forge(TARGETS, &TARGETS_KEYS[..1], evil_target)?;
    let mut json: serde_json::Value = serde_json::from_slice(&forged).map_err(say)?;
    let signatures = json["signatures"].as_array_mut().ok_or("no signatures")?;
    signatures.push(signatures[0].clone());
    publish_forged(&site, TARGETS, serde_json::to_vec(&json).map_err(say)?, version)?;
    refused(cell.get(&site, PICK), "format")?;
    kept(&cell)
}

/// A person with one key of the role `targets` gets it into the root twice, as two keys with another field each.
fn two_names() -> Outcome {
    use swarm_tuf::{Draft, Signed, Signer};
    let (mut site, cell) = begin()?;
    let one = key(TARGETS_KEYS[0]);
    let again = key(TARGETS_KEYS[0]).created(NOW);
    let two = std::num::NonZeroU64::MIN.saturating_add(1);
    site.repository.set_keys(TARGETS, &[one.public(), again.public()], two).map_err(say)?;
    let mut draft = site.repository.draft_root(NOW).map_err(say)?;
    for number in ROOT_KEYS {
        let signer = key(number);
        draft.add(signer.public().id(), &signer.sign(&draft.signing_bytes())?);
    }
    let root = draft.to_bytes();
    let number = Signed::<Root>::parse(ROOT, "root.json", &root).map_err(say)?.version();
    site.serve_metadata(&remote_file(ROOT, Some(number)), Reply::File(root));
    let version = site.repository.role(TARGETS).map_err(say)?.head.version.get() + 1;
    let forged = site.forge(TARGETS, &[], evil_target)?;
    let mut draft = Draft::from(Signed::<Targets>::parse(TARGETS, "targets.json", &forged).map_err(say)?);
    for signer in [one, again] {
        draft.add(signer.public().id(), &signer.sign(&draft.signing_bytes())?);
    }
    publish_forged(&site, TARGETS, draft.to_bytes(), version)?;
    refused(cell.get(&site, PICK), "signatures")?;
    kept(&cell)
}

/// A root in which the thief's keys are those of all roles, signed with `numbers`.
fn evil_root(site: &Site, numbers: &[u8]) -> Outcome {
    use swarm_tuf::Signer;
    let mut version = 0;
    let root = site.forge(ROOT, numbers, |root: &mut Root| {
        root.head.version = root.head.version.saturating_add(1);
        version = root.head.version.get();
        let evil = key(99).public();
        for role in root.roles.values_mut() {
            role.keyids = vec![evil.id()];
            role.threshold = std::num::NonZeroU64::MIN;
        }
        root.keys.insert(evil.id(), evil);
    })?;
    site.serve_metadata(&remote_file(ROOT, Some(version)), Reply::File(root));
    Ok(())
}

fn root_without_old_keys() -> Outcome {
    let (site, cell) = begin()?;
    let before = site.recording();
    for numbers in [&[99][..], &[99, ROOT_KEYS[0]]] {
        evil_root(&site, numbers)?;
        refused(cell.get(&site, PICK), "signatures")?;
        // It was not even kept: with the honest server the cell goes on.
        site.replay(before.clone());
        cell.get(&site, PICK).map_err(say)?;
    }
    kept(&cell)
}

fn root_without_new_keys() -> Outcome {
    let (site, cell) = begin()?;
    let before = site.recording();
    evil_root(&site, &ROOT_KEYS)?;
    refused(cell.get(&site, PICK), "signatures")?;
    site.replay(before);
    cell.get(&site, PICK).map_err(say)?;
    kept(&cell)
}

/// All that a registry which was taken over can sign by itself.
fn online_keys() -> Outcome {
    let (site, cell) = begin()?;
    let version = site.repository.role("pick").map_err(say)?.head.version.get() + 1;
    for keys in [&[SNAPSHOT_KEY][..], &[TIMESTAMP_KEY, SNAPSHOT_KEY]] {
        let forged = site.forge("pick", keys, evil_target)?;
        site.serve_target(&remote(EVIL, PICK)?, Reply::File(EVIL.to_vec()));
        publish_forged(&site, "pick", forged, version)?;
        refused(cell.get(&site, PICK), "signatures")?;
    }
    kept(&cell)
}

fn below_threshold() -> Outcome {
    let (site, cell) = begin()?;
    evil_root(&site, &[ROOT_KEYS[1], TARGETS_KEYS[1], 99])?;
    refused(cell.get(&site, PICK), "signatures")?;
    let (site, cell) = begin()?;
    let version = site.repository.role(TARGETS).map_err(say)?.head.version.get() + 1;
    let forged = site.forge(TARGETS, &[ROOT_KEYS[1], TARGETS_KEYS[1]], evil_target)?;
    publish_forged(&site, TARGETS, forged, version)?;
    refused(cell.get(&site, PICK), "signatures")?;
    kept(&cell)
}

fn revoked_keys() -> Outcome {
    let (mut site, cell) = begin()?;
    let version = site.repository.role("pick").map_err(say)?.head.version.get() + 2;
    let forged = site.forge("pick", &[PICK_KEY], |targets: &mut Targets| {
        evil_target(targets);
        evil_target(targets);
    })?;
    // Its delegator revokes the team's key; the keys of snapshot and timestamp are in the thief's hands still.
    site.rotate("pick", &[60])?;
    site.publish(NOW)?;
    publish_forged(&site, "pick", forged, version)?;
    refused(cell.get(&site, PICK), "signatures")?;
    kept(&cell)
}
