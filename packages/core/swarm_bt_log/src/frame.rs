//! Records in a stream: each with its length and checksum, so that a cut end is found and everything before it can be read.

use std::ops::Range;

/// What every recording begins with; its last character is the version of the format.
pub const MAGIC: &[u8; 16] = b"swarm bt run  2\n";

/// Of length and checksum.
const HEAD: usize = 8;

/// Opens a record in `out`: [`close`] fills in what is not known yet.
pub(crate) fn open(out: &mut Vec<u8>, kind: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    out.push(kind);
    start
}

pub(crate) fn close(out: &mut [u8], start: usize) {
    let Some(record) = out.get_mut(start..) else { return };
    let Some((head, body)) = record.split_at_mut_checked(HEAD) else { return };
    let (length, sum) = head.split_at_mut(4);
    length.copy_from_slice(&(body.len() as u32).to_le_bytes());
    sum.copy_from_slice(&checksum(body).to_le_bytes());
}

/// CRC-32 over length and body: a record of zeros, as a disk leaves them behind a lost write, is none.
fn checksum(body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(body.len() as u32).to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// Where records stand, and how the bytes end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frames {
    /// Of kind and body, in order.
    pub(crate) records: Vec<Range<usize>>,
    /// Bytes behind the last whole record.
    pub(crate) cut: usize,
    /// A record that is whole by its length but not by its checksum, with more behind it than a cut leaves: its place.
    pub(crate) damaged: Option<usize>,
}

/// Finds the records behind [`MAGIC`]. Stops at the first that is not whole.
pub(crate) fn frames(bytes: &[u8]) -> Frames {
    let mut found = Frames { records: Vec::new(), cut: 0, damaged: None };
    let mut at = MAGIC.len();
    while at < bytes.len() {
        let rest = &bytes[at..];
        let Some(length) = whole(rest) else {
            found.cut = rest.len();
            found.damaged = resumes(rest).then_some(at);
            break;
        };
        found.records.push(at + HEAD..at + HEAD + length);
        at += HEAD + length;
    }
    found
}

/// Length of kind and body of the record that `bytes` begin with.
fn whole(bytes: &[u8]) -> Option<usize> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let (length, sum) = head.split_at(4);
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    let body = rest.get(..length).filter(|body| !body.is_empty())?;
    (checksum(body) == u32::from_le_bytes(sum.try_into().ok()?)).then_some(length)
}

/// Whether a whole record follows somewhere: then this is no cut, but damage in the middle.
fn resumes(bytes: &[u8]) -> bool {
    // A cut leaves less than one record; looking through a few megabytes is enough to tell.
    let window = bytes.len().min(1 << 22);
    (1..window).any(|at| whole(&bytes[at..]).is_some())
}
