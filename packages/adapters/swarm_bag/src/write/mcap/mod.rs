//! The `.mcap` storage: profile `ros2`, chunks with their indexes, and a file that is complete at every instant.
//!
//! [`records`] makes the records, which wait in memory. A sync ends the chunks and hands them to [`landing`], through which a
//! reader sees the bag as of the last sync, or of the one before, and never half of one. An unfinished file has no index, so
//! readers scan it, which is slower, and read messages in the order of the file. [`McapFile::finish`] leaves an ordinary file.
//!
//! With compression there are two chunks at a time: what is compressed already (video, pictures) goes into one of its own, as
//! it is. In an unfinished file their messages may stand out of order by as much as a chunk holds.

mod landing;
pub(crate) mod records;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use mcap::records::{Channel, MessageHeader};

use landing::{Landing, OnDisk, PRIVATE, wrong_place};
use records::{ChunkContents, Records, Stored};

use super::{Compression, Stamp, StorageFile, WriteOptions};
use crate::error::{At, BagError};
use crate::metadata::Metadata;
use crate::topic::Topic;

/// Chunks of this size before compression, as rosbag2's plugin makes them.
pub(crate) const CHUNK: u64 = 768 << 10;
/// See [`Landing`].
const ROOM: u64 = 16 << 20;
/// More than what stands before each message's bytes.
const MESSAGE: usize = 64;
/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

#[derive(Debug)]
pub(super) struct McapFile {
    path: PathBuf,
    landing: Landing<OnDisk>,
    records: Records,
    schemas: BTreeMap<String, u16>,
    /// Which chunk each topic goes into, by its id.
    lane_of: BTreeMap<u16, usize>,
    lanes: [Lane; 2],
    /// Records that wait for the next sync.
    waiting: Vec<u8>,
}

/// The chunk that messages of one kind go into.
#[derive(Debug)]
struct Lane {
    compression: Compression,
    contents: ChunkContents,
    body: Vec<u8>,
}

impl McapFile {
    pub(super) fn create(path: &Path, options: WriteOptions) -> Result<Self, BagError> {
        let file = File::create_new(path).at("create", path)?;
        let mut records = Records::default();
        let disk = OnDisk { file, survives: options.survives };
        let landing = Landing::begin(disk, &records.begin(), ROOM).at("begin", path)?;
        let lane = |compression| Lane { compression, contents: ChunkContents::default(), body: Vec::new() };
        Ok(Self {
            path: path.to_owned(),
            landing,
            records,
            schemas: BTreeMap::new(),
            lane_of: BTreeMap::new(),
            lanes: [lane(options.compression), lane(Compression::None)],
            waiting: Vec::new(),
        })
    }

    fn end_chunk(&mut self, lane: usize) -> Result<(), BagError> {
        let lane = &mut self.lanes[lane];
        if lane.body.is_empty() {
            return Ok(());
        }
        let contents = std::mem::take(&mut lane.contents);
        let crc = crc32fast::hash(&lane.body);
        let compressed = match lane.compression {
            Compression::None => None,
            Compression::Zstd => {
                Some(zstd::bulk::compress(&lane.body, ZSTD_LEVEL).at("compress a chunk of", &self.path)?)
            }
        };
        let stored = compressed.as_ref().unwrap_or(&lane.body);
        let compression = if compressed.is_some() { "zstd" } else { "" };
        let size = stored.len() as u64;
        let (before, behind) = self.records.chunk(contents, Stored { crc, compression, size });
        let parts = [&before, stored, &behind];
        self.waiting.reserve_exact(parts.iter().map(|part| part.len()).sum()); // beside a ring, memory is scarce
        for part in parts {
            self.waiting.extend_from_slice(part);
        }
        lane.body.clear();
        Ok(())
    }
}

impl StorageFile for McapFile {
    fn add_topic(&mut self, id: u16, topic: &Topic) -> Result<(), BagError> {
        let (schema, new) = schema_of(&mut self.schemas, topic, &mut self.records);
        self.waiting.extend(new);
        self.waiting.extend(self.records.channel(&channel(id, schema, topic)));
        let one_lane = self.lanes[0].compression == Compression::None;
        self.lane_of.insert(id, usize::from(!one_lane && topic.is_compressed()));
        Ok(())
    }

    fn write(&mut self, topic: u16, stamp: Stamp, data: &[u8]) -> Result<(), BagError> {
        let chosen = self.lane_of.get(&topic).copied().unwrap_or(0);
        let lane = &mut self.lanes[chosen];
        // By doubling, a chunk would take nearly twice its size.
        lane.body.reserve_exact(if lane.body.is_empty() { CHUNK as usize } else { MESSAGE } + data.len());
        lane.body.extend(lane.contents.add(&message_header(topic, stamp), data.len()));
        lane.body.extend_from_slice(data);
        if lane.contents.size >= CHUNK { self.end_chunk(chosen) } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), BagError> {
        for lane in 0..self.lanes.len() {
            self.end_chunk(lane)?;
        }
        let padding = wrong_place(self.records.place());
        if padding > 0 {
            self.waiting.extend(self.records.skipped(PRIVATE, padding));
        }
        let landed = self.landing.land(&mut self.waiting).at("write to", &self.path);
        self.waiting.clear();
        landed
    }

    fn unsynced(&self) -> usize {
        self.waiting.len() + self.lanes.iter().map(|lane| lane.body.len()).sum::<usize>()
    }

    fn size(&self) -> u64 {
        self.landing.frontier() + self.unsynced() as u64
    }

    fn describe(&mut self, metadata: &Metadata) -> Result<(), BagError> {
        self.waiting.extend(self.records.metadata(&description(metadata)));
        Ok(())
    }

    fn finish(&mut self) -> Result<(), BagError> {
        self.sync()?;
        let tail = self.records.end();
        let parts: Vec<&[u8]> = tail.iter().map(AsRef::as_ref).collect();
        self.landing.finish(&parts).at("finish", &self.path)
    }

    fn give_up(&mut self) -> bool {
        // What still waits was never handed to the disk.
        self.unsynced() == 0 && self.landing.has_newest()
    }
}

/// Id of the topic's type, and its record where it is new.
pub(crate) fn schema_of(
    known: &mut BTreeMap<String, u16>,
    topic: &Topic,
    records: &mut Records,
) -> (u16, Vec<u8>) {
    if let Some(id) = known.get(&topic.type_name) {
        return (*id, Vec::new());
    }
    // As many types as topics at most; 0 means none.
    let id = known.len() as u16 + 1;
    known.insert(topic.type_name.clone(), id);
    let definition = &topic.definition;
    (id, records.schema(id, &topic.type_name, &definition.encoding, &definition.text))
}

pub(crate) fn channel(id: u16, schema_id: u16, topic: &Topic) -> Channel {
    Channel {
        id,
        schema_id,
        topic: topic.name.clone(),
        message_encoding: topic.serialization.clone(),
        metadata: BTreeMap::from([
            ("offered_qos_profiles".to_owned(), topic.offered_qos.clone()),
            ("topic_type_hash".to_owned(), topic.definition.type_hash.clone()),
        ]),
    }
}

pub(crate) fn message_header(topic: u16, stamp: Stamp) -> MessageHeader {
    MessageHeader {
        channel_id: topic,
        sequence: 0, // rosbag2 has none in Jazzy
        log_time: stamp.received.unsigned_abs(),
        publish_time: stamp.published.unsigned_abs(),
    }
}

/// What the bag says about itself, as rosbag2 keeps it.
pub(crate) fn description(metadata: &Metadata) -> mcap::records::Metadata {
    mcap::records::Metadata {
        name: "rosbag2".to_owned(),
        metadata: BTreeMap::from([("serialized_metadata".to_owned(), metadata.bare_yaml())]),
    }
}
