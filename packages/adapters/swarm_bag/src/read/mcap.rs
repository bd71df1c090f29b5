//! Reading an `.mcap`, with its index or without one.
//!
//! A file becomes a list of *pieces*, each a chunk or a message that stands alone, with its place and the times it spans: from
//! the summary where there is one, else by walking over the records. Messages come out in order of time by loading every
//! piece that begins before the earliest message at hand.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use mcap::McapError;
use mcap::read::parse_record;
use mcap::records::{Channel, Record, SchemaHeader, op};
use mcap::sans_io::{SummaryReadEvent, SummaryReader, SummaryReaderOptions};

use super::unfold::Unfolded;
use super::{BagMessage, Filter, StorageReader};
use crate::definition::Definition;
use crate::error::{At, BagError};
use crate::metadata::{Listing, Span, TopicCount};
use crate::topic::Topic;
use crate::write::Stamp;

const RECORD_HEADER: u64 = 9;
/// A record that is said to be longer is taken for garbage.
const MAX_RECORD: u64 = 4 << 30;

#[derive(Clone, Copy, Debug)]
struct Piece {
    first: u64,
    last: u64,
    /// Of the record's header.
    offset: u64,
}

/// A message that waits for its turn, ordered by time, then by its place in the file.
#[derive(Debug)]
struct Waiting {
    order: (i64, u64, usize),
    message: BagMessage,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

/// Topics and pieces of a file.
#[derive(Debug, Default)]
struct Index {
    schemas: BTreeMap<u16, (SchemaHeader, String)>,
    channels: BTreeMap<u16, Channel>,
    counts: BTreeMap<u16, u64>,
    span: Span,
    pieces: Vec<Piece>,
    listing: Option<Listing>,
}

#[derive(Debug)]
pub(super) struct McapReader {
    file: File,
    ids: BTreeMap<u16, usize>,
    topics: Vec<TopicCount>,
    span: Span,
    /// In order of their first times.
    pieces: Vec<Piece>,
    listing: Option<Listing>,
    has_summary: bool,
    wanted: Vec<bool>,
    filter: Filter,
    ahead: VecDeque<Piece>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    damage: Option<String>,
}

impl McapReader {
    pub(super) fn open(path: &Path) -> Result<Self, BagError> {
        let file = File::open(path).at("open", path)?;
        let summary = Index::from_summary(&file).unwrap_or(None);
        let has_summary = summary.is_some();
        let (mut index, damage) = match summary {
            Some(index) => (index, None),
            // No summary, or a broken one: the data section says it all.
            None => Index::from_scan(&file).at("read", path)?,
        };
        index.pieces.sort_by_key(|piece| (piece.first, piece.offset));
        let (ids, topics) = index.topics();
        Ok(Self {
            file,
            ids,
            wanted: vec![true; topics.len()],
            topics,
            span: index.span,
            pieces: index.pieces,
            listing: index.listing,
            has_summary,
            filter: Filter::default(),
            ahead: VecDeque::new(),
            waiting: BinaryHeap::new(),
            damage,
        })
    }

    fn load(&mut self, piece: Piece) -> Result<(), McapError> {
        let (opcode, body) = read_record(&self.file, piece.offset)?;
        let mut place = 0;
        let (ids, wanted, filter, waiting) = (&self.ids, &self.wanted, &self.filter, &mut self.waiting);
        for_each_message(opcode, &body, |header, data| {
            let Some(topic) = ids.get(&header.channel_id).copied() else { return };
            let stamp = Stamp { received: signed(header.log_time), published: signed(header.publish_time) };
            place += 1;
            if wanted[topic] && filter.has_time(stamp.received) {
                let order = (stamp.received, piece.offset, place);
                waiting.push(Reverse(Waiting {
                    order,
                    message: BagMessage { topic, stamp, data: data.to_vec() },
                }));
            }
        })
    }
}

impl StorageReader for McapReader {
    fn topics(&self) -> &[TopicCount] {
        &self.topics
    }

    fn span(&self) -> Span {
        self.span
    }

    fn listing(&self) -> Option<&Listing> {
        self.listing.as_ref()
    }

    fn is_finished(&self) -> bool {
        self.has_summary
    }

    fn rewind(&mut self, wanted: &[bool], filter: &Filter) {
        self.wanted = wanted.to_vec();
        self.filter = filter.clone();
        self.waiting.clear();
        let in_time = |piece: &&Piece| {
            filter.from.is_none_or(|from| signed(piece.last) >= from)
                && filter.until.is_none_or(|until| signed(piece.first) < until)
        };
        self.ahead = self.pieces.iter().filter(in_time).copied().collect();
    }

    fn next(&mut self) -> Option<BagMessage> {
        while let Some(piece) = self.ahead.front().copied() {
            let earliest = self.waiting.peek().map(|Reverse(waiting)| waiting.order.0);
            if earliest.is_some_and(|earliest| earliest < signed(piece.first)) {
                break;
            }
            self.ahead.pop_front();
            if let Err(error) = self.load(piece) {
                self.damage = Some(format!("the chunk at byte {} cannot be read: {error}", piece.offset));
            }
        }
        self.waiting.pop().map(|Reverse(waiting)| waiting.message)
    }

    fn damage(&self) -> Option<String> {
        self.damage.clone()
    }
}

impl Index {
    /// None if the file has no summary that lists every message.
    fn from_summary(file: &File) -> Result<Option<Self>, McapError> {
        let size = file.metadata()?.len();
        let mut reader = SummaryReader::new_with_options(
            SummaryReaderOptions::default()
                .with_file_size(size)
                .with_record_length_limit(MAX_RECORD as usize),
        );
        let mut place = 0;
        while let Some(event) = reader.next_event() {
            match event? {
                SummaryReadEvent::SeekRequest(to) => {
                    place = match to {
                        io::SeekFrom::Start(offset) => offset,
                        io::SeekFrom::End(offset) => size.saturating_add_signed(offset),
                        io::SeekFrom::Current(offset) => place.saturating_add_signed(offset),
                    };
                    reader.notify_seeked(place);
                }
                SummaryReadEvent::ReadRequest(wanted) => {
                    let read = file.read_at(reader.insert(wanted), place)?;
                    place += read as u64;
                    reader.notify_read(read);
                }
            }
        }
        let Some(summary) = reader.finish() else { return Ok(None) };
        let Some(stats) = &summary.stats else { return Ok(None) };
        if stats.message_count > 0 && summary.chunk_indexes.is_empty() {
            return Ok(None); // messages outside of chunks are in no index
        }
        let counted: u64 = stats.channel_message_counts.values().sum();
        let is_told = |channel: &u16| summary.channels.contains_key(channel);
        if counted != stats.message_count || !stats.channel_message_counts.keys().all(is_told) {
            return Ok(None); // counts and repeated channels are optional: without them messages have no topic
        }
        let mut index = Self {
            counts: stats.channel_message_counts.clone(),
            span: Span {
                count: stats.message_count,
                first: signed(stats.message_start_time),
                last: signed(stats.message_end_time),
            },
            pieces: summary
                .chunk_indexes
                .iter()
                .map(|chunk| Piece {
                    first: chunk.message_start_time,
                    last: chunk.message_end_time,
                    offset: chunk.chunk_start_offset,
                })
                .collect(),
            ..Self::default()
        };
        for metadata in &summary.metadata_indexes {
            let (opcode, body) = read_record(file, metadata.offset)?;
            index.take(opcode, &body, metadata.offset)?;
        }
        for schema in summary.schemas.values() {
            let header =
                SchemaHeader { id: schema.id, name: schema.name.clone(), encoding: schema.encoding.clone() };
            index.schemas.insert(schema.id, (header, String::from_utf8_lossy(&schema.data).into_owned()));
        }
        for channel in summary.channels.values() {
            index.channels.insert(
                channel.id,
                Channel {
                    id: channel.id,
                    schema_id: channel.schema.as_ref().map_or(0, |schema| schema.id),
                    topic: channel.topic.clone(),
                    message_encoding: channel.message_encoding.clone(),
                    metadata: channel.metadata.clone(),
                },
            );
        }
        Ok(Some(index))
    }

    /// Walks over the records to the end of the data, or to where it was cut; then says so.
    fn from_scan(file: &File) -> io::Result<(Self, Option<String>)> {
        let size = file.metadata()?.len();
        let mut index = Self::default();
        let mut offset = mcap::MAGIC.len() as u64;
        let damage = loop {
            let cut = |what: &str| Some(format!("cut off at byte {offset} of {size}, {what}"));
            let Ok((opcode, length)) = record_header(file, offset) else {
                break cut("where a record should begin");
            };
            let next = offset.saturating_add(RECORD_HEADER).saturating_add(length);
            match opcode {
                op::DATA_END | op::FOOTER => break None,
                op::CHUNK | op::MESSAGE | op::SCHEMA | op::CHANNEL | op::METADATA => {
                    let read =
                        read_record(file, offset).and_then(|(_, body)| index.take(opcode, &body, offset));
                    if let Err(error) = read {
                        break cut(&format!("in a record: {error}"));
                    }
                }
                _ if next > size => break cut("in a record"),
                _ => {}
            }
            offset = next;
        };
        Ok((index, damage))
    }

    fn take(&mut self, opcode: u8, body: &[u8], offset: u64) -> Result<(), McapError> {
        match parse_record(opcode, body)? {
            Record::Schema { header, data } => {
                self.schemas.insert(header.id, (header, String::from_utf8_lossy(&data).into_owned()));
            }
            Record::Channel(channel) => {
                self.channels.insert(channel.id, channel);
            }
            Record::Metadata(metadata) if metadata.name == "rosbag2" => {
                let text = metadata.metadata.get("serialized_metadata");
                self.listing = text.and_then(|text| Listing::parse_bare(text).ok()).or(self.listing.take());
            }
            Record::Message { header, .. } => {
                *self.counts.entry(header.channel_id).or_default() += 1;
                self.span.add(signed(header.log_time));
                self.pieces.push(Piece { first: header.log_time, last: header.log_time, offset });
            }
            Record::Chunk { header, .. } => {
                // A chunk counts only when all of it can be read.
                let mut inside = Self::default();
                for record in Unfolded::new(&header, body)? {
                    match record? {
                        Record::Schema { header, data } => {
                            let text = String::from_utf8_lossy(&data).into_owned();
                            inside.schemas.insert(header.id, (header, text));
                        }
                        Record::Channel(channel) => {
                            inside.channels.insert(channel.id, channel);
                        }
                        Record::Message { header, .. } => {
                            *inside.counts.entry(header.channel_id).or_default() += 1;
                            inside.span.add(signed(header.log_time));
                        }
                        _ => {}
                    }
                }
                self.schemas.extend(inside.schemas);
                self.channels.extend(inside.channels);
                inside
                    .counts
                    .into_iter()
                    .for_each(|(id, count)| *self.counts.entry(id).or_default() += count);
                self.span.merge(inside.span);
                self.pieces.push(Piece {
                    first: header.message_start_time,
                    last: header.message_end_time,
                    offset,
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn topics(&self) -> (BTreeMap<u16, usize>, Vec<TopicCount>) {
        let mut ids = BTreeMap::new();
        let mut topics = Vec::new();
        for channel in self.channels.values() {
            let schema = self.schemas.get(&channel.schema_id);
            let of_channel = |key: &str| channel.metadata.get(key).cloned().unwrap_or_default();
            let topic = Topic {
                name: channel.topic.clone(),
                type_name: schema.map(|(header, _)| header.name.clone()).unwrap_or_default(),
                serialization: channel.message_encoding.clone(),
                definition: Definition {
                    encoding: schema.map(|(header, _)| header.encoding.clone()).unwrap_or_default(),
                    text: schema.map(|(_, text)| text.clone()).unwrap_or_default(),
                    type_hash: of_channel("topic_type_hash"),
                },
                offered_qos: of_channel("offered_qos_profiles"),
            };
            ids.insert(channel.id, topics.len());
            topics.push(TopicCount { topic, count: self.counts.get(&channel.id).copied().unwrap_or(0) });
        }
        (ids, topics)
    }
}

fn for_each_message(
    opcode: u8,
    body: &[u8],
    mut take: impl FnMut(&mcap::records::MessageHeader, &[u8]),
) -> Result<(), McapError> {
    match parse_record(opcode, body)? {
        Record::Message { header, data } => take(&header, &data),
        Record::Chunk { header, .. } => {
            for record in Unfolded::new(&header, body)? {
                if let Record::Message { header, data } = record? {
                    take(&header, &data);
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn record_header(file: &File, offset: u64) -> io::Result<(u8, u64)> {
    let mut head = [0; RECORD_HEADER as usize];
    file.read_exact_at(&mut head, offset)?;
    let [opcode, length @ ..] = head;
    Ok((opcode, u64::from_le_bytes(length)))
}

/// Opcode and body. What is longer than the file is an error before anything is allocated.
fn read_record(file: &File, offset: u64) -> Result<(u8, Vec<u8>), McapError> {
    let (opcode, length) = record_header(file, offset)?;
    let left = file.metadata()?.len().saturating_sub(offset + RECORD_HEADER);
    if length > left.min(MAX_RECORD) {
        return Err(McapError::UnexpectedEof);
    }
    let mut body = vec![0; length as usize];
    file.read_exact_at(&mut body, offset + RECORD_HEADER)?;
    Ok((opcode, body))
}

/// Times after the year 2262 are no times.
fn signed(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}
