//! Reading: bytes become records again, as far as they are whole.

use crate::chain::{LINK_BYTES, MAGIC};
use crate::record::{Digest, Record};

/// Length field before each record.
const LENGTH_BYTES: usize = 4;
/// No record is longer: a header carries the cell's URDFs, some 100 kB.
const LONGEST_RECORD: usize = 16 << 20;

/// A record as it stands in the file.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// From 0, which is the header.
    pub number: u64,
    /// Of its first byte in the file.
    pub offset: usize,
    /// Kind and body.
    pub bytes: &'a [u8],
    /// The link that stands behind it.
    pub link: Digest,
}

/// Why the records end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// The last record ends where the bytes end.
    Whole,
    /// The last record is not whole: that many bytes of it are there.
    Cut { offset: usize, bytes: usize },
    /// No record begins here: its length is absurd.
    Broken { offset: usize, length: u32 },
}

/// Not a black box of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotABlackBox {
    #[error("the file has {0} bytes and begins with no black box's magic")]
    Magic(usize),
    #[error("the file is a black box of format {found}; this program reads format {}", MAGIC[7])]
    Version { found: u8 },
}

/// The whole records of a file, in order.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    file: &'a [u8],
    at: usize,
    number: u64,
}

/// Looks at the magic; the records follow.
pub fn frames(file: &[u8]) -> Result<Frames<'_>, NotABlackBox> {
    let Some((magic, _)) = file.split_first_chunk::<8>() else {
        return Err(NotABlackBox::Magic(file.len()));
    };
    if magic[..7] != MAGIC[..7] {
        return Err(NotABlackBox::Magic(file.len()));
    }
    if magic[7] != MAGIC[7] {
        return Err(NotABlackBox::Version { found: magic[7] });
    }
    Ok(Frames { file, at: MAGIC.len(), number: 0 })
}

/// The records of a file as values; those that cannot be decoded are left out. For who has verified the file, or asks for
/// what is left of a damaged one.
pub fn records(file: &[u8]) -> Result<impl Iterator<Item = (Frame<'_>, Record)>, NotABlackBox> {
    Ok(frames(file)?.filter_map(|frame| Some((frame, frame.record().ok()?))))
}

impl<'a> Frames<'a> {
    /// Why there is no further record.
    pub fn tail(&self) -> Tail {
        let rest = self.file.get(self.at..).unwrap_or(&[]);
        match length(rest) {
            _ if rest.is_empty() => Tail::Whole,
            Some(length) if length as usize > LONGEST_RECORD => Tail::Broken { offset: self.at, length },
            _ => Tail::Cut { offset: self.at, bytes: rest.len() },
        }
    }

    /// Bytes up to the end of the last record that was given.
    pub fn offset(&self) -> usize {
        self.at
    }

    fn whole(&self) -> Option<(Frame<'a>, usize)> {
        let rest = self.file.get(self.at..)?;
        let length = length(rest).map(|length| length as usize).filter(|length| *length <= LONGEST_RECORD)?;
        let (bytes, rest) = rest.get(LENGTH_BYTES..)?.split_at_checked(length)?;
        let link = *rest.first_chunk::<LINK_BYTES>()?;
        let frame = Frame { number: self.number, offset: self.at, bytes, link };
        Some((frame, LENGTH_BYTES + length + LINK_BYTES))
    }
}

fn length(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<LENGTH_BYTES>().map(|length| u32::from_le_bytes(*length))
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let (frame, size) = self.whole()?;
        self.at += size;
        self.number += 1;
        Some(frame)
    }
}

impl Frame<'_> {
    /// The record as a value.
    pub fn record(&self) -> Result<Record, swarm_safety_core::wire::WireError> {
        Record::take(self.bytes)
    }
}
