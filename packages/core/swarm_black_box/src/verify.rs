//! Verifying: is this what was written, all of it, by whom it says?

use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};
use swarm_safety_core::wire::WireError;

use crate::chain::{first_link, link};
use crate::reading::{Frame, NotABlackBox, Tail, frames};
use crate::record::{CloseReason, Digest, Header, Place, Record, Seal};

/// What was found in one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    pub header: Header,
    pub records: u64,
    pub cycles: u64,
    /// First and last cycle; both 0 if there is none.
    pub first_cycle: u64,
    pub last_cycle: u64,
    /// Cycles that the recorder says it has lost.
    pub lost: u64,
    pub segments: u64,
    /// Files of the series that the recorder says it has removed, to make room.
    pub removed: Vec<u64>,
    /// Who vouches for the seals.
    pub signed: Signed,
    pub end: End,
    /// Where the next file should go on.
    pub next: Place,
    /// Everything that is wrong, in the order of the file. Empty if nothing is.
    pub faults: Vec<Fault>,
}

/// Whose seals they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// By a key that the caller trusts.
    Trusted,
    /// By the key that the file itself names; the caller named none. Whoever can write the file can choose that key.
    BySelf,
    /// By nobody: hashes alone, which show damage but not a forger.
    HashOnly,
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Closed by the recorder, and sealed: nothing is missing behind it.
    Closed(CloseReason),
    /// Not closed: the recorder is still at work, was killed, or the end was cut off. What stands behind the last seal is
    /// linked, but not proven.
    Open { unsealed_records: u64, cut_bytes: usize },
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Number of the record, from 0.
    pub record: u64,
    /// Of its first byte in the file.
    pub offset: usize,
    /// Number of the segment that it stands in.
    pub segment: u64,
    pub problem: Problem,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error(
        "its link does not follow from the record before: this record was changed, or one was taken out, put in or moved here"
    )]
    Link,
    #[error("it cannot be decoded ({0})")]
    Undecodable(WireError),
    #[error(
        "no record begins here: a length of {0} bytes is absurd, and the rest of the file cannot be read"
    )]
    Length(u32),
    #[error("the first record is no header")]
    NoHeader,
    #[error("a second header")]
    SecondHeader,
    #[error("cycle {found} follows cycle {last}, {lost} cycles are known to be lost in between")]
    CycleGap { last: u64, found: u64, lost: u64 },
    #[error("the seal says segment {found}, expected {expected}")]
    SegmentNumber { found: u64, expected: u64 },
    #[error("the seal covers cycles {}, records {}; the segment has cycles {}, records {}", Span(.said.0, .said.1), .said.2, Span(.seen.0, .seen.1), .seen.2)]
    SealContent { said: (u64, u64, u64), seen: (u64, u64, u64) },
    #[error("the seal names another link than that of the record before it")]
    SealHead,
    #[error("the seal does not follow the one before it")]
    SealOrder,
    #[error(
        "the seal's signature is not that of the file's key: it was not sealed by the cell, or was changed afterwards"
    )]
    Signature,
    #[error("the file is sealed with key {}, which is none of the trusted ones", Hex(.0))]
    UntrustedKey([u8; 32]),
    #[error("the file is sealed by hashes alone, although a trusted key was asked for")]
    NoKey,
    #[error("the file's key {} is no Ed25519 key", Hex(.0))]
    BadKey([u8; 32]),
    #[error("a record behind the end that the recorder has set")]
    AfterClose,
}

struct Span(u64, u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self(0, 0) { f.write_str("none") } else { write!(f, "{} to {}", self.0, self.1) }
    }
}

impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

/// Bytes as hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "segment {}, record {} at byte {}: {}",
            self.segment, self.record, self.offset, self.problem
        )
    }
}

impl Verification {
    /// Everything is as it was written, up to the end that the recorder has set.
    pub fn is_whole(&self) -> bool {
        self.faults.is_empty() && matches!(self.end, End::Closed(_))
    }
}

/// Why nothing could be verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error(transparent)]
    NotABlackBox(#[from] NotABlackBox),
    #[error("the file has no whole header, so that nothing in it can be judged")]
    NoHeader,
}

/// Verifies one file. `trusted` are the keys that a seal may be of; `None` takes the one that the file names.
pub fn verify(file: &[u8], trusted: Option<&[VerifyingKey]>) -> Result<Verification, Unreadable> {
    let mut frames = frames(file)?;
    let first = frames.next().ok_or(Unreadable::NoHeader)?;
    let mut judge = match first.record() {
        Ok(Record::Header(header)) => Judge::new(header),
        _ => return Err(Unreadable::NoHeader),
    };
    judge.judge_key(&first, trusted);
    judge.follow(&first);
    for frame in frames.by_ref() {
        judge.follow(&frame);
        match frame.record() {
            Ok(record) => judge.judge(&frame, &record),
            Err(error) => judge.note(&frame, Problem::Undecodable(error)),
        }
    }
    Ok(judge.finish(frames.tail()))
}

struct Judge {
    found: Verification,
    key: Option<VerifyingKey>,
    head: Digest,
    /// Link before the present record.
    before: Digest,
    segment_cycles: Option<(u64, u64)>,
    segment_records: u64,
    last_cycle: Option<u64>,
    lost_since: u64,
    closing: Closing,
}

/// How far the end of the file has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    Not,
    Said(CloseReason),
    Sealed(CloseReason),
}

impl Judge {
    fn new(header: Header) -> Self {
        let next = header.place;
        Self {
            found: Verification {
                header,
                records: 0,
                cycles: 0,
                first_cycle: 0,
                last_cycle: 0,
                lost: 0,
                segments: 0,
                removed: Vec::new(),
                signed: Signed::HashOnly,
                end: End::Open { unsealed_records: 0, cut_bytes: 0 },
                next,
                faults: Vec::new(),
            },
            key: None,
            head: first_link(),
            before: first_link(),
            segment_cycles: None,
            segment_records: 0,
            last_cycle: None,
            lost_since: 0,
            closing: Closing::Not,
        }
    }

    fn note(&mut self, frame: &Frame<'_>, problem: Problem) {
        let (record, offset, segment) = (frame.number, frame.offset, self.found.next.segment);
        self.found.faults.push(Fault { record, offset, segment, problem });
    }

    fn judge_key(&mut self, frame: &Frame<'_>, trusted: Option<&[VerifyingKey]>) {
        let bytes = self.found.header.public_key;
        if bytes == [0; 32] {
            if trusted.is_some() {
                self.note(frame, Problem::NoKey);
            }
            return;
        }
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) => self.key = Some(key),
            Err(_) => return self.note(frame, Problem::BadKey(bytes)),
        }
        self.found.signed = match trusted {
            None => Signed::BySelf,
            Some(trusted) if trusted.iter().any(|key| key.as_bytes() == &bytes) => Signed::Trusted,
            Some(_) => {
                self.note(frame, Problem::UntrustedKey(bytes));
                Signed::BySelf
            }
        };
    }

    /// Compares the record's link with what it should be, and goes on from the one that stands there: so one changed record is
    /// one fault.
    fn follow(&mut self, frame: &Frame<'_>) {
        if link(&self.head, frame.bytes) != frame.link {
            self.note(frame, Problem::Link);
        }
        (self.before, self.head) = (self.head, frame.link);
        self.found.records += 1;
        self.segment_records += 1;
        if let Closing::Sealed(_) = self.closing {
            self.note(frame, Problem::AfterClose);
        }
    }

    fn judge(&mut self, frame: &Frame<'_>, record: &Record) {
        match record {
            Record::Header(_) => self.note(frame, Problem::SecondHeader),
            Record::Cycle(cycle) => self.judge_cycle(frame, cycle.verdict.cycle),
            Record::Snapshot(_) | Record::Limits(_) => {}
            Record::Removed(file) => self.found.removed.push(*file),
            Record::Lost(count) => {
                self.found.lost = self.found.lost.saturating_add(*count);
                self.lost_since = self.lost_since.saturating_add(*count);
            }
            Record::Close(reason) => self.closing = Closing::Said(*reason),
            Record::Seal(seal) => self.judge_seal(frame, seal),
        }
    }

    fn judge_cycle(&mut self, frame: &Frame<'_>, found: u64) {
        let lost = std::mem::take(&mut self.lost_since);
        if let Some(last) = self.last_cycle {
            let next = last.saturating_add(1);
            if found != next.saturating_add(lost) {
                self.note(frame, Problem::CycleGap { last, found, lost });
            }
        } else {
            self.found.first_cycle = found;
        }
        self.found.cycles += 1;
        self.found.last_cycle = found;
        self.last_cycle = Some(found);
        self.segment_cycles = Some((self.segment_cycles.map_or(found, |(first, _)| first), found));
    }

    fn judge_seal(&mut self, frame: &Frame<'_>, seal: &Seal) {
        let place = self.found.next;
        if seal.segment != place.segment {
            self.note(frame, Problem::SegmentNumber { found: seal.segment, expected: place.segment });
        }
        let (first, last) = self.segment_cycles.take().unwrap_or((0, 0));
        let seen = (first, last, self.segment_records - 1);
        let said = (seal.first_cycle, seal.last_cycle, seal.records);
        if said != seen {
            self.note(frame, Problem::SealContent { said, seen });
        }
        if seal.head != self.before {
            self.note(frame, Problem::SealHead);
        }
        if seal.previous != place.previous_seal {
            self.note(frame, Problem::SealOrder);
        }
        let signature = Signature::from_bytes(&seal.signature);
        if self.key.is_some_and(|key| key.verify_strict(&seal.signed_bytes(), &signature).is_err()) {
            self.note(frame, Problem::Signature);
        }
        self.found.segments += 1;
        self.found.next.segment = seal.segment.saturating_add(1);
        self.found.next.previous_seal = seal.digest();
        self.segment_records = 0;
        if let Closing::Said(reason) = self.closing {
            self.closing = Closing::Sealed(reason);
        }
    }

    fn finish(mut self, tail: Tail) -> Verification {
        let cut_bytes = match tail {
            Tail::Whole => 0,
            Tail::Cut { bytes, .. } => bytes,
            Tail::Broken { offset, length } => {
                let (record, segment) = (self.found.records, self.found.next.segment);
                self.found.faults.push(Fault { record, offset, segment, problem: Problem::Length(length) });
                0
            }
        };
        self.found.end = match self.closing {
            Closing::Sealed(reason) if tail == Tail::Whole => End::Closed(reason),
            _ => End::Open { unsealed_records: self.segment_records, cut_bytes },
        };
        self.found.next.file = self.found.header.place.file.saturating_add(1);
        self.found
    }
}

/// What is wrong between a file and the one after it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Junction {
    #[error("file {after} does not follow file {before}: {} between them missing", Missing(.before, .after))]
    FileMissing { before: u64, after: u64 },
    #[error(
        "file {after} follows another end of file {before}: its header names seal {}, the file before ends with seal {} - the end of that file was cut off or replaced",
        Hex(.named),
        Hex(.found)
    )]
    Seal { before: u64, after: u64, named: Digest, found: Digest },
    #[error("file {after} begins with segment {found}, expected {expected}")]
    Segment { after: u64, found: u64, expected: u64 },
    #[error("file {after} is sealed with another key than file {before}")]
    Key { before: u64, after: u64 },
}

struct Missing<'a>(&'a u64, &'a u64);

impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1.checked_sub(self.0 + 1) {
            Some(1) => f.write_str("one is"),
            Some(count) if count > 1 => write!(f, "{count} are"),
            _ => f.write_str("they are out of order, or some are"),
        }
    }
}

/// Whether `after` goes on where `before` ends. Files in between may be missing if the recorder has said that it `removed` them.
pub fn junction(before: &Verification, after: &Header, removed: &[u64]) -> Result<(), Junction> {
    let (expected, place) = (before.next, after.place);
    let (one, two) = (before.header.place.file, place.file);
    if place.file != expected.file {
        let gone =
            expected.file < place.file && (expected.file..place.file).all(|file| removed.contains(&file));
        return if gone { Ok(()) } else { Err(Junction::FileMissing { before: one, after: two }) };
    }
    if place.previous_seal != expected.previous_seal {
        let (named, found) = (place.previous_seal, expected.previous_seal);
        return Err(Junction::Seal { before: one, after: two, named, found });
    }
    if place.segment != expected.segment {
        let (found, expected) = (place.segment, expected.segment);
        return Err(Junction::Segment { after: two, found, expected });
    }
    if after.public_key != before.header.public_key {
        return Err(Junction::Key { before: one, after: two });
    }
    Ok(())
}
