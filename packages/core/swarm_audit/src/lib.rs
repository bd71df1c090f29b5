//! The audit log as a chain: each entry's hash covers the entry and the hash before it, so that none can be changed, taken out
//! or put in between without every later hash changing. Whoever keeps the last hash elsewhere also notices a log cut short.
//!
//! The registry writes the chain; the registry, the command line and a restore follow it with the same [`Verifier`].

use sha2::{Digest, Sha256};
use swarm_api::audit::AuditEntry;
use swarm_artifact::{ParseSumError, Sha256Sum};

/// The hash before the first entry.
pub const BEGINNING: Sha256Sum = Sha256Sum([0; 32]);

/// First bytes of what is hashed, so that no other hash of the suite can be taken for an entry's.
const DOMAIN: &[u8] = b"swarm-registry-audit-v1\0";

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at_unix: i64,
    pub who: String,
    /// A verb such as `upload` or `quarantine`.
    pub action: String,
    /// What it was done to; a digest mostly.
    pub subject: String,
    pub detail: String,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: i64,
    pub event: Event,
    pub previous: Sha256Sum,
    pub hash: Sha256Sum,
}

impl Entry {
    /// The entry that follows `previous`.
    pub fn after(previous: Sha256Sum, seq: i64, event: Event) -> Self {
        let hash = hash(previous, seq, &event);
        Self { seq, event, previous, hash }
    }
}

/// As it goes over HTTP.
impl From<Entry> for AuditEntry {
    fn from(entry: Entry) -> Self {
        let event = entry.event;
        Self {
            seq: entry.seq,
            at: swarm_yaml::moment(event.at_unix),
            at_unix: event.at_unix,
            who: event.who,
            action: event.action,
            subject: event.subject,
            detail: event.detail,
            previous: entry.previous.to_string(),
            hash: entry.hash.to_string(),
        }
    }
}

impl TryFrom<AuditEntry> for Entry {
    type Error = ParseSumError;

    /// Reads what came over HTTP; the text of the moment is for people, the number is what was hashed.
    fn try_from(entry: AuditEntry) -> Result<Self, ParseSumError> {
        Ok(Self {
            seq: entry.seq,
            previous: entry.previous.parse()?,
            hash: entry.hash.parse()?,
            event: Event {
                at_unix: entry.at_unix,
                who: entry.who,
                action: entry.action,
                subject: entry.subject,
                detail: entry.detail,
            },
        })
    }
}

/// Where a log is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error("entry {expected} of the audit log is missing: {found} follows {} directly", expected - 1)]
    Missing { expected: i64, found: i64 },
    #[error(
        "entry {seq} of the audit log follows hash {stated}, the entry before it has {expected}; one of the two was changed"
    )]
    Broken { seq: i64, expected: Sha256Sum, stated: Sha256Sum },
    #[error("entry {seq} of the audit log was changed: its hash is {actual}, it states {stated}")]
    Changed { seq: i64, stated: Sha256Sum, actual: Sha256Sum },
    #[error(
        "the audit log ends with entry {actual_seq} ({actual}), its head says {expected_seq} ({expected}); the end was cut off"
    )]
    CutOff { expected_seq: i64, expected: Sha256Sum, actual_seq: i64, actual: Sha256Sum },
}

/// Follows a log entry by entry.
#[derive(Clone, Copy, Debug)]
pub struct Verifier {
    seq: i64,
    hash: Sha256Sum,
}

impl Default for Verifier {
    fn default() -> Self {
        Self { seq: 0, hash: BEGINNING }
    }
}

impl Verifier {
    pub fn next(&mut self, entry: &Entry) -> Result<(), ChainError> {
        if entry.seq != self.seq + 1 {
            return Err(ChainError::Missing { expected: self.seq + 1, found: entry.seq });
        }
        if entry.previous != self.hash {
            return Err(ChainError::Broken { seq: entry.seq, expected: self.hash, stated: entry.previous });
        }
        let actual = hash(entry.previous, entry.seq, &entry.event);
        if actual != entry.hash {
            return Err(ChainError::Changed { seq: entry.seq, stated: entry.hash, actual });
        }
        (self.seq, self.hash) = (entry.seq, entry.hash);
        Ok(())
    }

    /// The last entry that was followed, and its hash.
    pub const fn head(&self) -> (i64, Sha256Sum) {
        (self.seq, self.hash)
    }

    /// The log has no further entry, and its head says so; gives the number of entries and the last hash.
    pub fn finish(self, head_seq: i64, head: Sha256Sum) -> Result<(i64, Sha256Sum), ChainError> {
        if (self.seq, self.hash) == (head_seq, head) {
            return Ok((self.seq, self.hash));
        }
        Err(ChainError::CutOff {
            expected_seq: head_seq,
            expected: head,
            actual_seq: self.seq,
            actual: self.hash,
        })
    }
}

fn hash(previous: Sha256Sum, seq: i64, event: &Event) -> Sha256Sum {
    let mut sha256 = Sha256::new();
    sha256.update(DOMAIN);
    sha256.update(previous.0);
    sha256.update(seq.to_be_bytes());
    sha256.update(event.at_unix.to_be_bytes());
    // Each text with its length before it: no two events give the same bytes.
    for text in [&event.who, &event.action, &event.subject, &event.detail] {
        sha256.update((text.len() as u64).to_be_bytes());
        sha256.update(text.as_bytes());
    }
    Sha256Sum(sha256.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(count: i64) -> Vec<Entry> {
        let mut previous = BEGINNING;
        let entry = |seq| {
            let event = Event {
                at_unix: 1_800_000_000 + seq,
                who: "ada".to_owned(),
                action: "upload".to_owned(),
                subject: format!("artifact {seq}"),
                detail: String::new(),
            };
            let entry = Entry::after(previous, seq, event);
            previous = entry.hash;
            entry
        };
        (1..=count).map(entry).collect()
    }

    fn verify(entries: &[Entry], head: &Entry) -> Result<(i64, Sha256Sum), ChainError> {
        let mut verifier = Verifier::default();
        entries.iter().try_for_each(|entry| verifier.next(entry))?;
        verifier.finish(head.seq, head.hash)
    }

    #[test]
    fn a_log_as_it_was_written_is_believed() {
        let log = chain(5);
        assert_eq!(verify(&log, &log[4]), Ok((5, log[4].hash)));
        assert_eq!(Verifier::default().finish(0, BEGINNING), Ok((0, BEGINNING)));
    }

    #[test]
    fn an_entry_is_the_same_after_it_went_over_http() {
        for entry in chain(3) {
            let sent = AuditEntry::from(entry.clone());
            assert_eq!(Entry::try_from(sent.clone()), Ok(entry));
            Entry::try_from(AuditEntry { hash: "no hash".to_owned(), ..sent }).unwrap_err();
        }
    }

    #[test]
    fn every_change_is_noticed_at_its_place() {
        let log = chain(5);
        let changed = |at: usize, change: fn(&mut Event)| {
            let mut log = log.clone();
            change(&mut log[at].event);
            verify(&log, &log[4])
        };
        assert!(matches!(
            changed(2, |event| event.who = "eve".into()),
            Err(ChainError::Changed { seq: 3, .. })
        ));
        assert!(matches!(changed(0, |event| event.at_unix += 1), Err(ChainError::Changed { seq: 1, .. })));
        // A byte moved from one field into the next.
        let moved = |event: &mut Event| (event.who, event.action) = ("adau".into(), "pload".into());
        assert!(matches!(changed(1, moved), Err(ChainError::Changed { seq: 2, .. })));

        let mut rewritten = log.clone();
        rewritten[2] = Entry::after(log[1].hash, 3, Event { who: "eve".into(), ..log[2].event.clone() });
        assert!(matches!(verify(&rewritten, &log[4]), Err(ChainError::Broken { seq: 4, .. })));

        let without = [&log[..2], &log[3..]].concat();
        assert_eq!(verify(&without, &log[4]), Err(ChainError::Missing { expected: 3, found: 4 }));
        assert!(matches!(verify(&log[..4], &log[4]), Err(ChainError::CutOff { actual_seq: 4, .. })));
    }
}
