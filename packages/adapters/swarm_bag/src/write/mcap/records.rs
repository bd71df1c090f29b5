//! The records of an MCAP: how they are framed, and what the summary at the end has to say about them.
//!
//! Their fields are the `mcap` crate's. Its writer is not used: it has one compression for the whole file, while video is
//! stored as it is beside compressed states, and it copies every message, which a snapshot of 120 MB in a fraction of a second
//! has no time for.
//!
//! Types and topics stand outside of chunks, before the first chunk that needs them, and once more in the summary.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Cursor;

use binrw::BinWrite;
use mcap::records::{
    Channel, ChunkHeader, ChunkIndex, DataEnd, Footer, Header, MessageHeader, MessageIndex,
    MessageIndexEntry, Metadata, MetadataIndex, SchemaHeader, Statistics, SummaryOffset, op,
};

use super::landing::RECORD_HEADER;

/// A message's record without its data: opcode, length, topic, sequence, two times.
pub(crate) const MESSAGE_HEAD: usize = RECORD_HEADER + 22;

/// Which messages a chunk holds.
#[derive(Debug, Default)]
pub(crate) struct ChunkContents {
    index: BTreeMap<u16, Vec<MessageIndexEntry>>,
    /// Of its records, before compression.
    pub(crate) size: u64,
    span: Option<(u64, u64)>,
}

impl ChunkContents {
    /// Notes a message and returns what stands before its data.
    pub(crate) fn add(&mut self, header: &MessageHeader, length: usize) -> [u8; MESSAGE_HEAD] {
        let entry = MessageIndexEntry { log_time: header.log_time, offset: self.size };
        self.index.entry(header.channel_id).or_default().push(entry);
        self.size += (MESSAGE_HEAD + length) as u64;
        let (first, last) = self.span.unwrap_or((header.log_time, header.log_time));
        self.span = Some((first.min(header.log_time), last.max(header.log_time)));
        let mut head = [0; MESSAGE_HEAD];
        head[0] = op::MESSAGE;
        head[1..9].copy_from_slice(&(22 + length as u64).to_le_bytes());
        head[9..11].copy_from_slice(&header.channel_id.to_le_bytes());
        head[11..15].copy_from_slice(&header.sequence.to_le_bytes());
        head[15..23].copy_from_slice(&header.log_time.to_le_bytes());
        head[23..].copy_from_slice(&header.publish_time.to_le_bytes());
        head
    }
}

/// How the records of a chunk are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    /// Of the records before compression.
    pub(crate) crc: u32,
    /// As MCAP names it; empty for none.
    pub(crate) compression: &'static str,
    /// Bytes in the file.
    pub(crate) size: u64,
}

/// Encoded records that are kept until the end of the file. There are four more a second for as long as a recording goes on: they
/// take the memory that they take in the file, and are never copied.
#[derive(Debug, Default)]
struct Kept {
    parts: Vec<Vec<u8>>,
}

/// What [`Kept`] grows by, bytes.
const PART: usize = 64 << 10;

impl Kept {
    fn push(&mut self, record: &[u8]) {
        match self.parts.last_mut() {
            Some(last) if last.capacity() - last.len() >= record.len() => last.extend_from_slice(record),
            _ => {
                let mut part = Vec::with_capacity(PART.max(record.len()));
                part.extend_from_slice(record);
                self.parts.push(part);
            }
        }
    }
}

/// Makes the records of one file and remembers them for its summary.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Where in the file the next record stands.
    place: u64,
    schemas: Vec<u8>,
    channels: Vec<u8>,
    /// Where each chunk is.
    chunks: Kept,
    metadata: Vec<MetadataIndex>,
    statistics: Statistics,
}

impl Records {
    /// Magic and header.
    pub(crate) fn begin(&mut self) -> Vec<u8> {
        let header = Header {
            profile: "ros2".to_owned(),
            library: concat!("swarm_bag ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let head = [mcap::MAGIC, &framed(op::HEADER, &header, &[])].concat();
        self.place += head.len() as u64;
        head
    }

    /// Where the next record will stand.
    pub(crate) fn place(&self) -> u64 {
        self.place
    }

    pub(crate) fn schema(&mut self, id: u16, name: &str, encoding: &str, text: &str) -> Vec<u8> {
        let header = SchemaHeader { id, name: name.to_owned(), encoding: encoding.to_owned() };
        let length = (text.len() as u32).to_le_bytes();
        let record = framed(op::SCHEMA, &header, &[&length[..], text.as_bytes()].concat());
        self.schemas.extend(&record);
        self.statistics.schema_count += 1;
        self.placed(record)
    }

    pub(crate) fn channel(&mut self, channel: &Channel) -> Vec<u8> {
        let record = framed(op::CHANNEL, channel, &[]);
        self.channels.extend(&record);
        self.statistics.channel_count += 1;
        self.statistics.channel_message_counts.insert(channel.id, 0);
        self.placed(record)
    }

    /// What stands before and behind the stored records of a chunk.
    pub(crate) fn chunk(&mut self, contents: ChunkContents, stored: Stored) -> (Vec<u8>, Vec<u8>) {
        let (first, last) = contents.span.unwrap_or_default();
        let header = ChunkHeader {
            message_start_time: first,
            message_end_time: last,
            uncompressed_size: contents.size,
            uncompressed_crc: stored.crc,
            compression: stored.compression.to_owned(),
            compressed_size: stored.size,
        };
        let mut before = framed(op::CHUNK, &header, &[]);
        let body = before.len() as u64 - RECORD_HEADER as u64 + stored.size;
        before[1..RECORD_HEADER].copy_from_slice(&body.to_le_bytes());
        let (start, length) = (self.place, RECORD_HEADER as u64 + body);
        self.place += length;

        let statistics = &mut self.statistics;
        let mut behind = Vec::new();
        let mut offsets = BTreeMap::new();
        for (channel_id, records) in contents.index {
            offsets.insert(channel_id, self.place + behind.len() as u64);
            statistics.message_count += records.len() as u64;
            *statistics.channel_message_counts.entry(channel_id).or_default() += records.len() as u64;
            behind.extend(framed(op::MESSAGE_INDEX, &MessageIndex { channel_id, records }, &[]));
        }
        if statistics.chunk_count == 0 {
            (statistics.message_start_time, statistics.message_end_time) = (first, last);
        }
        statistics.message_start_time = statistics.message_start_time.min(first);
        statistics.message_end_time = statistics.message_end_time.max(last);
        statistics.chunk_count += 1;
        let index = ChunkIndex {
            message_start_time: first,
            message_end_time: last,
            chunk_start_offset: start,
            chunk_length: length,
            message_index_offsets: offsets,
            message_index_length: behind.len() as u64,
            compression: stored.compression.to_owned(),
            compressed_size: stored.size,
            uncompressed_size: contents.size,
        };
        self.chunks.push(&framed(op::CHUNK_INDEX, &index, &[]));
        (before, self.placed(behind))
    }

    pub(crate) fn metadata(&mut self, metadata: &Metadata) -> Vec<u8> {
        let record = framed(op::METADATA, metadata, &[]);
        let (offset, length) = (self.place, record.len() as u64);
        self.metadata.push(MetadataIndex { offset, length, name: metadata.name.clone() });
        self.statistics.metadata_count += 1;
        self.placed(record)
    }

    /// A record that readers skip.
    pub(crate) fn skipped(&mut self, opcode: u8, length: u64) -> Vec<u8> {
        let mut record = framed(opcode, &(), &[]);
        record[1..].copy_from_slice(&length.to_le_bytes());
        record.resize(record.len() + length as usize, 0);
        self.placed(record)
    }

    /// Data end, summary, footer, magic, one behind the other.
    pub(crate) fn end(&self) -> Vec<Cow<'_, [u8]>> {
        // No checksum over the data: some of it was written before what stands ahead of it.
        let data_end = framed(op::DATA_END, &DataEnd::default(), &[]);
        let summary_start = self.place + data_end.len() as u64;
        let mut parts: Vec<Cow<'_, [u8]>> = vec![data_end.into()];

        let statistics = framed(op::STATISTICS, &self.statistics, &[]);
        let metadata = self.metadata.iter().flat_map(|index| framed(op::METADATA_INDEX, index, &[]));
        let groups: [(u8, Vec<Cow<'_, [u8]>>); 5] = [
            (op::SCHEMA, vec![self.schemas.as_slice().into()]),
            (op::CHANNEL, vec![self.channels.as_slice().into()]),
            (op::STATISTICS, vec![statistics.into()]),
            (op::CHUNK_INDEX, self.chunks.parts.iter().map(|part| part.as_slice().into()).collect()),
            (op::METADATA_INDEX, vec![metadata.collect::<Vec<_>>().into()]),
        ];
        let (mut group_start, mut end) = (summary_start, Vec::new());
        for (group_opcode, records) in groups {
            let group_length = records.iter().map(|part| part.len() as u64).sum();
            if group_length > 0 {
                let offset = SummaryOffset { group_opcode, group_start, group_length };
                end.extend(framed(op::SUMMARY_OFFSET, &offset, &[]));
                parts.extend(records);
                group_start += group_length;
            }
        }
        let footer = Footer { summary_start, summary_offset_start: group_start, summary_crc: 0 };
        end.extend(framed(op::FOOTER, &footer, &[]));
        // Over the summary and the footer up to the checksum itself.
        let checksum = end.len() - 4;
        let mut crc = crc32fast::Hasher::new();
        parts[1..].iter().map(AsRef::as_ref).chain([&end[..checksum]]).for_each(|part| crc.update(part));
        end[checksum..].copy_from_slice(&crc.finalize().to_le_bytes());
        end.extend(mcap::MAGIC);
        parts.push(end.into());
        parts
    }

    fn placed(&mut self, record: Vec<u8>) -> Vec<u8> {
        self.place += record.len() as u64;
        record
    }
}

/// Opcode, length, fields, and the rest of the body.
fn framed<T>(opcode: u8, fields: &T, rest: &[u8]) -> Vec<u8>
where
    T: BinWrite,
    for<'a> T::Args<'a>: Default,
{
    let mut out = Cursor::new(vec![opcode; RECORD_HEADER]);
    out.set_position(RECORD_HEADER as u64);
    fields.write_le(&mut out).unwrap_or_else(|error| unreachable!("memory takes every write: {error}"));
    let mut out = out.into_inner();
    out.extend(rest);
    let length = (out.len() - RECORD_HEADER) as u64;
    out[1..RECORD_HEADER].copy_from_slice(&length.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_takes_no_more_memory_until_the_end_than_its_index_takes_in_the_file() {
        const TOPICS: u16 = 30;
        const CHUNKS: u64 = 20_000;
        let mut records = Records::default();
        records.begin();
        for log_time in 0..CHUNKS {
            let mut contents = ChunkContents::default();
            for channel_id in 1..=TOPICS {
                contents.add(&MessageHeader { channel_id, sequence: 0, log_time, publish_time: 0 }, 8);
            }
            records.chunk(contents, Stored { crc: 0, compression: "", size: 0 });
        }
        let held: usize = records.chunks.parts.iter().map(Vec::capacity).sum();
        let written: usize = records.chunks.parts.iter().map(Vec::len).sum();
        assert!(written >= CHUNKS as usize * usize::from(TOPICS) * 10, "an id and a place for each topic");
        assert!(held * 100 <= written * 101 + PART * 100, "{held} bytes for {written}");
        // Nor is it copied to be written.
        let borrowed = records.end().iter().filter(|part| matches!(part, Cow::Borrowed(_))).count();
        assert!(borrowed >= records.chunks.parts.len(), "{borrowed}");
    }
}
