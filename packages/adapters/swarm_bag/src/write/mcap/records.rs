//! The records of an MCAP: how they are framed, and what the summary at the end has to say about them.
//!
//! Their fields are the `mcap` crate's. Its writer is not used: it has one compression for the whole file, while video is
//! stored as it is beside compressed states, and it copies every message, which a snapshot of 120 MB in a fraction of a second
//! has no time for.
//!
//! Types and topics stand outside of chunks, before the first chunk that needs them, and once more in the summary.

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

/// Makes the records of one file and remembers them for its summary.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Where in the file the next record stands.
    place: u64,
    schemas: Vec<u8>,
    channels: Vec<u8>,
    chunks: Vec<ChunkIndex>,
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
        self.chunks.push(ChunkIndex {
            message_start_time: first,
            message_end_time: last,
            chunk_start_offset: start,
            chunk_length: length,
            message_index_offsets: offsets,
            message_index_length: behind.len() as u64,
            compression: stored.compression.to_owned(),
            compressed_size: stored.size,
            uncompressed_size: contents.size,
        });
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

    /// Data end, summary, footer, magic.
    pub(crate) fn end(&self) -> Vec<u8> {
        // No checksum over the data: some of it was written before what stands ahead of it.
        let mut out = framed(op::DATA_END, &DataEnd::default(), &[]);
        let summary = out.len();
        let mut groups = Vec::new();
        let mut group = |opcode, records: &[u8]| {
            if !records.is_empty() {
                let group_start = self.place + out.len() as u64;
                let group_length = records.len() as u64;
                groups.push(SummaryOffset { group_opcode: opcode, group_start, group_length });
                out.extend(records);
            }
        };
        group(op::SCHEMA, &self.schemas);
        group(op::CHANNEL, &self.channels);
        group(op::STATISTICS, &framed(op::STATISTICS, &self.statistics, &[]));
        let chunks = self.chunks.iter().flat_map(|chunk| framed(op::CHUNK_INDEX, chunk, &[]));
        group(op::CHUNK_INDEX, &chunks.collect::<Vec<_>>());
        let metadata = self.metadata.iter().flat_map(|index| framed(op::METADATA_INDEX, index, &[]));
        group(op::METADATA_INDEX, &metadata.collect::<Vec<_>>());
        let offsets = out.len();
        out.extend(groups.iter().flat_map(|group| framed(op::SUMMARY_OFFSET, group, &[])));
        let footer = Footer {
            summary_start: self.place + summary as u64,
            summary_offset_start: self.place + offsets as u64,
            summary_crc: 0,
        };
        out.extend(framed(op::FOOTER, &footer, &[]));
        // Over the summary and the footer up to the checksum itself.
        let end = out.len() - 4;
        let crc = crc32fast::hash(&out[summary..end]);
        out[end..].copy_from_slice(&crc.to_le_bytes());
        out.extend(mcap::MAGIC);
        out
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
