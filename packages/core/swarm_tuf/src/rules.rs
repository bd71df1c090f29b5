//! What makes new metadata believed, given what is believed already. Section numbers are those of the specification 1.0.34.

use sha2::{Digest, Sha256, Sha512};

use crate::key::KeyId;
use crate::metadata::{MetaFile, Metadata, Root, Signed, Snapshot, Targets, Timestamp};
use crate::moment::Moment;
use crate::names::{ROOT, SNAPSHOT, TIMESTAMP, local_file, remote_file};
use crate::refusal::Refusal;
use crate::threshold::Authority;

/// The time against which everything in one update is held (5.1), and for how long behind its end metadata still counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) now: Moment,
    pub(crate) grace_s: i64,
}

impl Clock {
    pub(crate) fn check<T: Metadata>(self, role: &str, metadata: &Signed<T>) -> Result<(), Refusal> {
        let expires = metadata.expires();
        if expires.plus(self.grace_s) > self.now {
            return Ok(());
        }
        Err(Refusal::Expired { role: role.to_owned(), expires, now: self.now })
    }
}

/// A root that believes itself: the one that was shipped, or that was believed at the end of the last update.
pub(crate) fn first_root(bytes: &[u8]) -> Result<Signed<Root>, Refusal> {
    let root = Signed::<Root>::parse(ROOT, &local_file(ROOT), bytes)?;
    check_top_level(&root, &root, ROOT)?;
    Ok(root)
}

/// 5.3.4 and 5.3.5: signed as the root before it and as it says itself, and exactly one version newer.
pub(crate) fn next_root(trusted: &Signed<Root>, bytes: &[u8]) -> Result<Signed<Root>, Refusal> {
    let expected = trusted.version().saturating_add(1);
    let root = Signed::<Root>::parse(ROOT, &remote_file(ROOT, Some(expected)), bytes)?;
    check_top_level(trusted, &root, ROOT)?;
    check_top_level(&root, &root, ROOT)?;
    if root.version() != expected {
        let (trusted, offered) = (trusted.version(), root.version());
        return Err(Refusal::Rollback { role: ROOT.to_owned(), trusted, offered });
    }
    Ok(root)
}

/// 5.3.11: whether keys of timestamp or snapshot were taken away, and not only added. What was believed of both is then
/// forgotten, so that a version number that a thief counted up does not block the recovery. A key that is only added takes
/// no signature's worth away; forgetting then would let a mirror go back to any older metadata that has not expired.
pub(crate) fn rotated(old: &Root, new: &Root) -> bool {
    [TIMESTAMP, SNAPSHOT].into_iter().any(|role| {
        let keyids = |root: &Root| root.roles.get(role).map(|keys| keys.keyids.clone()).unwrap_or_default();
        let now: Vec<KeyId> = keyids(new);
        keyids(old).iter().any(|keyid| !now.contains(keyid))
    })
}

/// What came over the network as the newest timestamp.
pub(crate) enum NewTimestamp {
    Newer(Signed<Timestamp>),
    /// The version is that of the one that is believed, which stays (5.4.3.1).
    Same,
}

/// 5.4.2 to 5.4.4.
pub(crate) fn next_timestamp(
    root: &Signed<Root>,
    trusted: Option<&Signed<Timestamp>>,
    bytes: &[u8],
    clock: Clock,
) -> Result<NewTimestamp, Refusal> {
    let timestamp = local_timestamp(root, bytes)?;
    if let Some(trusted) = trusted {
        not_older(TIMESTAMP, trusted.version(), timestamp.version())?;
        if timestamp.version() == trusted.version() {
            return Ok(NewTimestamp::Same);
        }
        let version = |timestamp: &Signed<Timestamp>| timestamp.body().snapshot().version.get();
        not_older(SNAPSHOT, version(trusted), version(&timestamp))?;
    }
    clock.check(TIMESTAMP, &timestamp)?;
    Ok(NewTimestamp::Newer(timestamp))
}

/// A timestamp from the local folder; it may have expired, and still says what must not be undercut.
pub(crate) fn local_timestamp(root: &Signed<Root>, bytes: &[u8]) -> Result<Signed<Timestamp>, Refusal> {
    let timestamp = Signed::<Timestamp>::parse(TIMESTAMP, &local_file(TIMESTAMP), bytes)?;
    check_top_level(root, &timestamp, TIMESTAMP)?;
    Ok(timestamp)
}

/// 5.5.2 to 5.5.6.
pub(crate) fn next_snapshot(
    root: &Signed<Root>,
    timestamp: &Signed<Timestamp>,
    trusted: Option<&Signed<Snapshot>>,
    bytes: &[u8],
    clock: Clock,
) -> Result<Signed<Snapshot>, Refusal> {
    let expected = timestamp.body().snapshot();
    check_bytes(&local_file(SNAPSHOT), bytes, expected)?;
    let snapshot = local_snapshot(root, bytes)?;
    same_version(SNAPSHOT, expected, &snapshot)?;
    for (file, before) in trusted.iter().flat_map(|trusted| &trusted.body().meta) {
        let role = file.strip_suffix(".json").unwrap_or(file);
        match snapshot.body().meta.get(file) {
            None => return Err(Refusal::Vanished { role: role.to_owned() }),
            Some(now) => not_older(role, before.version.get(), now.version.get())?,
        }
    }
    clock.check(SNAPSHOT, &snapshot)?;
    Ok(snapshot)
}

/// A snapshot from the local folder, for what must not be undercut.
pub(crate) fn local_snapshot(root: &Signed<Root>, bytes: &[u8]) -> Result<Signed<Snapshot>, Refusal> {
    let snapshot = Signed::<Snapshot>::parse(SNAPSHOT, &local_file(SNAPSHOT), bytes)?;
    check_top_level(root, &snapshot, SNAPSHOT)?;
    Ok(snapshot)
}

/// 5.6.2 to 5.6.5, for the top-level targets role and for delegated ones.
pub(crate) fn next_targets(
    role: &str,
    authority: Option<Authority<'_>>,
    expected: &MetaFile,
    bytes: &[u8],
    clock: Clock,
) -> Result<Signed<Targets>, Refusal> {
    check_bytes(&local_file(role), bytes, expected)?;
    let targets = Signed::<Targets>::parse(role, &local_file(role), bytes)?;
    check_delegated(role, authority, &targets)?;
    same_version(role, expected, &targets)?;
    clock.check(role, &targets)?;
    Ok(targets)
}

/// Signed as the metadata says that delegates to it; nothing is believed on the word of another delegation.
pub(crate) fn check_delegated(
    role: &str,
    authority: Option<Authority<'_>>,
    targets: &Signed<Targets>,
) -> Result<(), Refusal> {
    match authority {
        Some(authority) => targets.check_signed(role, authority),
        None => Err(nobody(role)),
    }
}

fn check_top_level<T: Metadata>(
    root: &Signed<Root>,
    metadata: &Signed<T>,
    role: &str,
) -> Result<(), Refusal> {
    match root.body().authority(role) {
        Some(authority) => metadata.check_signed(role, authority),
        None => Err(nobody(role)),
    }
}

fn nobody(role: &str) -> Refusal {
    Refusal::Signatures { role: role.to_owned(), counted: 0, threshold: 1, rejected: Vec::new() }
}

fn not_older(role: &str, trusted: u64, offered: u64) -> Result<(), Refusal> {
    if offered < trusted {
        Err(Refusal::Rollback { role: role.to_owned(), trusted, offered })
    } else {
        Ok(())
    }
}

fn same_version<T: Metadata>(role: &str, expected: &MetaFile, metadata: &Signed<T>) -> Result<(), Refusal> {
    let (expected, offered) = (expected.version.get(), metadata.version());
    if expected == offered {
        return Ok(());
    }
    Err(Refusal::Version { role: role.to_owned(), expected, offered })
}

/// Length and digests, where the referring metadata gives them.
fn check_bytes(what: &str, bytes: &[u8], expected: &MetaFile) -> Result<(), Refusal> {
    if let Some(length) = expected.length.filter(|length| *length != bytes.len() as u64) {
        return Err(Refusal::Length { what: what.to_owned(), expected: length, actual: bytes.len() as u64 });
    }
    let Some(hashes) = &expected.hashes else { return Ok(()) };
    let mut digests = Digests::of(what, hashes)?;
    digests.update(bytes);
    digests.check(what)
}

/// The digests of one file that are known here, while it is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digests {
    sha256: Option<(Sha256, String)>,
    sha512: Option<(Sha512, String)>,
}

impl Digests {
    /// Those of `hashes` that are known here; none is not enough.
    pub(crate) fn of(
        what: &str,
        hashes: &std::collections::BTreeMap<String, String>,
    ) -> Result<Self, Refusal> {
        let expected = |algorithm: &str| hashes.get(algorithm).cloned();
        let digests = Self {
            sha256: expected("sha256").map(|digest| (Sha256::new(), digest)),
            sha512: expected("sha512").map(|digest| (Sha512::new(), digest)),
        };
        if digests.sha256.is_none() && digests.sha512.is_none() {
            return Err(Refusal::NoKnownDigest { what: what.to_owned() });
        }
        Ok(digests)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some((digest, _)) = &mut self.sha256 {
            digest.update(bytes);
        }
        if let Some((digest, _)) = &mut self.sha512 {
            digest.update(bytes);
        }
    }

    pub(crate) fn check(self, what: &str) -> Result<(), Refusal> {
        let found = [
            self.sha256.map(|(digest, expected)| ("SHA-256", hex::encode(digest.finalize()), expected)),
            self.sha512.map(|(digest, expected)| ("SHA-512", hex::encode(digest.finalize()), expected)),
        ];
        for (algorithm, actual, expected) in found.into_iter().flatten() {
            if actual != expected {
                let expected = expected.escape_debug().to_string();
                return Err(Refusal::Digest { what: what.to_owned(), algorithm, expected, actual });
            }
        }
        Ok(())
    }
}
