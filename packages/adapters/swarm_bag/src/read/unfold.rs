//! The records inside a chunk of an `.mcap`.
//!
//! As `mcap::read::ChunkReader`, which has no bound for a record inside a chunk: a length of nearly 2^64 there, in a damaged file,
//! makes it allocate so much and panic.

use mcap::McapError;
use mcap::read::parse_record;
use mcap::records::{ChunkHeader, Record, op};
use mcap::sans_io::{LinearReadEvent, LinearReader, LinearReaderOptions};

/// A chunk that says it becomes longer than this is taken for garbage: a few bytes can be made to unfold without end.
const MAX_CHUNK: u64 = 1 << 30;
const RECORD_HEADER: usize = 9;

/// The records of one chunk; nothing follows an error.
pub(super) struct Unfolded<'a> {
    reader: LinearReader,
    head: [u8; RECORD_HEADER],
    body: &'a [u8],
    /// Bytes of head and body that the reader has.
    given: usize,
}

impl<'a> Unfolded<'a> {
    /// `body` is the chunk's record without opcode and length, and `header` what it begins with.
    pub(super) fn new(header: &ChunkHeader, body: &'a [u8]) -> Result<Self, McapError> {
        if header.uncompressed_size > MAX_CHUNK {
            return Err(McapError::ChunkTooLarge(header.uncompressed_size));
        }
        // Nothing inside is longer than the whole.
        let most = body.len().max(header.uncompressed_size as usize);
        let options = LinearReaderOptions::default()
            .with_skip_start_magic(true)
            .with_skip_end_magic(true)
            .with_validate_chunk_crcs(true)
            .with_record_length_limit(most);
        let mut head = [op::CHUNK; RECORD_HEADER];
        head[1..].copy_from_slice(&(body.len() as u64).to_le_bytes());
        Ok(Self { reader: LinearReader::new_with_options(options), head, body, given: 0 })
    }

    fn give(&mut self, wanted: usize) {
        let left = match self.given.checked_sub(RECORD_HEADER) {
            None => &self.head[self.given..],
            Some(given) => &self.body[given..],
        };
        let count = wanted.min(left.len());
        self.reader.insert(count).copy_from_slice(&left[..count]);
        self.reader.notify_read(count);
        self.given += count;
    }
}

impl Iterator for Unfolded<'_> {
    type Item = Result<Record<'static>, McapError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let wanted = match self.reader.next_event()? {
                Ok(LinearReadEvent::ReadRequest(wanted)) => wanted,
                Ok(LinearReadEvent::Record { data, opcode }) => {
                    return Some(parse_record(opcode, data).map(Record::into_owned));
                }
                Err(error) => return Some(Err(error)),
            };
            self.give(wanted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(inside: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        let (start, end) = (1_u64, 2_u64);
        for time in [start, end, inside.len() as u64] {
            body.extend(time.to_le_bytes());
        }
        body.extend(0_u32.to_le_bytes()); // no checksum
        body.extend(0_u32.to_le_bytes()); // not compressed
        body.extend((inside.len() as u64).to_le_bytes());
        body.extend(inside);
        body
    }

    fn unfold(body: &[u8]) -> Vec<Result<Record<'static>, McapError>> {
        let Ok(Record::Chunk { header, .. }) = parse_record(op::CHUNK, body) else { panic!("no chunk") };
        Unfolded::new(&header, body).unwrap().take(10).collect()
    }

    #[test]
    fn the_records_of_a_chunk_come_in_their_order() {
        let mut inside = Vec::new();
        for time in [7_u64, 8] {
            inside.push(op::MESSAGE);
            inside.extend(23_u64.to_le_bytes());
            inside.extend(5_u16.to_le_bytes());
            inside.extend(0_u32.to_le_bytes());
            inside.extend(time.to_le_bytes());
            inside.extend(time.to_le_bytes());
            inside.push(9);
        }
        let times = unfold(&chunk(&inside)).into_iter().map(|record| match record.unwrap() {
            Record::Message { header, data } => (header.log_time, data.into_owned()),
            other => panic!("{other:?}"),
        });
        assert_eq!(times.collect::<Vec<_>>(), [(7, vec![9]), (8, vec![9])]);
    }

    #[test]
    fn a_record_that_says_it_is_longer_than_its_chunk_is_an_error() {
        for length in [u64::MAX, u64::MAX - 8, i64::MAX as u64, 1 << 40, 1_000] {
            let mut inside = vec![op::MESSAGE];
            inside.extend(length.to_le_bytes());
            inside.extend([0; 40]);
            let found = unfold(&chunk(&inside));
            assert!(found.first().is_some_and(Result::is_err), "{length}: {found:?}");
        }
    }
}
