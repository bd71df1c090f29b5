//! Writing: records become bytes, each linked to all before it, and sealed in segments.

use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};
use swarm_base::{Duration, Time};

use crate::record::{CloseReason, Digest, Header, Place, Record, Seal};

/// First bytes of a file; the last one is the version of the format.
pub const MAGIC: [u8; 8] = *b"SWARMBB\x03";

/// Length of the link behind each record.
pub(crate) const LINK_BYTES: usize = 32;

/// Link that the first record follows.
pub(crate) fn first_link() -> Digest {
    sha256(&[b"swarm black box chain 1\0"])
}

/// Link of a record: SHA-256 over the link before, the record's length (4 bytes), kind and body.
pub(crate) fn link(previous: &Digest, record: &[u8]) -> Digest {
    sha256(&[previous, &(record.len() as u32).to_le_bytes(), record])
}

pub(crate) fn sha256(parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// A file being written. It holds no bytes: each call appends what is new to `out`, and whoever owns the file writes that.
#[derive(Debug)]
pub struct Chain {
    key: Option<SigningKey>,
    segment_time: Duration,
    head: Digest,
    /// Segment that is being filled.
    place: Place,
    segment_began: Option<Time>,
    cycles: Option<(u64, u64)>,
    records: u64,
    /// Scratch space.
    record: Vec<u8>,
}

impl Chain {
    /// Begins a file: magic and header. `header.public_key` is set here. A segment is sealed when it is `segment_time` long;
    /// without a key the seal only holds hashes, which show damage but no one who can compute SHA-256.
    pub fn begin(
        mut header: Header,
        key: Option<SigningKey>,
        segment_time: Duration,
        out: &mut Vec<u8>,
    ) -> Self {
        header.public_key = key.as_ref().map_or([0; 32], |key| key.verifying_key().to_bytes());
        let mut chain = Self {
            key,
            segment_time,
            head: first_link(),
            place: header.place,
            segment_began: None,
            cycles: None,
            records: 0,
            record: Vec::new(),
        };
        out.extend_from_slice(&MAGIC);
        chain.link(&Record::Header(header), out);
        chain
    }

    /// Appends a record, and before it a seal if the segment is long enough. True if it was sealed.
    pub fn append(&mut self, record: &Record, out: &mut Vec<u8>) -> bool {
        let mut sealed = false;
        if let Record::Cycle(cycle) = record {
            let began = *self.segment_began.get_or_insert(cycle.now);
            // A clock that goes backwards is a finding of the verdict; here it must not keep a segment open.
            if cycle.now < began || cycle.now.since(began) >= self.segment_time {
                self.seal(out);
                self.segment_began = Some(cycle.now);
                sealed = true;
            }
            let number = cycle.verdict.cycle;
            self.cycles = Some((self.cycles.map_or(number, |(first, _)| first), number));
        }
        self.link(record, out);
        sealed
    }

    /// Ends the present segment. Gives the seal's digest.
    pub fn seal(&mut self, out: &mut Vec<u8>) -> Digest {
        let (first_cycle, last_cycle) = self.cycles.take().unwrap_or((0, 0));
        let mut seal = Seal {
            segment: self.place.segment,
            first_cycle,
            last_cycle,
            records: self.records,
            head: self.head,
            previous: self.place.previous_seal,
            signature: [0; 64],
        };
        if let Some(key) = &self.key {
            seal.signature = key.sign(&seal.signed_bytes()).to_bytes();
        }
        self.link(&Record::Seal(seal), out);
        (self.place.segment, self.place.previous_seal) = (seal.segment + 1, seal.digest());
        (self.segment_began, self.records) = (None, 0);
        self.place.previous_seal
    }

    /// Ends the file. Gives the place of the next one.
    pub fn close(mut self, reason: CloseReason, out: &mut Vec<u8>) -> Place {
        self.link(&Record::Close(reason), out);
        self.seal(out);
        Place { file: self.place.file + 1, ..self.place }
    }

    /// Digest of the newest seal.
    pub fn last_seal(&self) -> Digest {
        self.place.previous_seal
    }

    /// Segment that is being filled.
    pub fn segment(&self) -> u64 {
        self.place.segment
    }

    fn link(&mut self, record: &Record, out: &mut Vec<u8>) {
        self.record.clear();
        record.put(&mut self.record);
        self.head = link(&self.head, &self.record);
        self.records += 1;
        out.extend_from_slice(&(self.record.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.record);
        out.extend_from_slice(&self.head);
    }
}
