//! The `.mcap` storage: profile `ros2`, chunks with their indexes, and a file that is complete at every instant.
//!
//! Records come from the `mcap` crate and wait in memory. A sync ends the chunk and hands them to [`landing`], through which a
//! reader sees the bag as of the last sync, or of the one before, and never half of one. An unfinished file has no index, so
//! readers scan it, which is slower, and read messages in the order of the file. [`McapFile::finish`] leaves an ordinary file.

mod landing;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use enumset::EnumSet;
use mcap::records::MessageHeader;
use mcap::write::NoSeek;

use landing::{Landing, PRIVATE, wrong_place};

use super::{Compression, Stamp, StorageFile};
use crate::error::{At, BagError};
use crate::metadata::Metadata;
use crate::topic::Topic;

/// Chunks of this size before compression, as rosbag2's plugin makes them.
const CHUNK: u64 = 768 << 10;
/// See [`Landing`].
const ROOM: u64 = 16 << 20;

pub(super) struct McapFile {
    path: PathBuf,
    writer: mcap::Writer<NoSeek<Collected>>,
    collected: Collected,
    landing: Landing<File>,
    /// Schema ids by type.
    schemas: BTreeMap<String, u16>,
}

impl std::fmt::Debug for McapFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("McapFile")
            .field("path", &self.path)
            .field("landing", &self.landing)
            .finish_non_exhaustive()
    }
}

impl McapFile {
    pub(super) fn create(path: &Path, compression: Compression) -> Result<Self, BagError> {
        let file = File::create_new(path).at("create", path)?;
        let collected = Collected::default();
        let writer = mcap::WriteOptions::new()
            .profile("ros2")
            .library(concat!("swarm_bag ", env!("CARGO_PKG_VERSION")))
            .compression(match compression {
                Compression::None => None,
                Compression::Zstd => Some(mcap::Compression::Zstd),
            })
            .compression_threads(0)
            .chunk_size(Some(CHUNK))
            .disable_seeking(true)
            // What is written before the end is known cannot be part of a checksum over everything.
            .calculate_data_section_crc(false)
            .create(NoSeek::new(collected.clone()))
            .at("begin", path)?;
        let landing = Landing::begin(file, &collected.take(), ROOM).at("begin", path)?;
        Ok(Self { path: path.to_owned(), writer, collected, landing, schemas: BTreeMap::new() })
    }
}

impl StorageFile for McapFile {
    fn add_topic(&mut self, id: u16, topic: &Topic) -> Result<(), BagError> {
        let definition = &topic.definition;
        let schema = match self.schemas.get(&topic.type_name) {
            Some(schema) => *schema,
            None => self
                .writer
                .add_schema(&topic.type_name, &definition.encoding, definition.text.as_bytes())
                .at("add a type to", &self.path)?,
        };
        self.schemas.insert(topic.type_name.clone(), schema);
        let metadata = BTreeMap::from([
            ("offered_qos_profiles".to_owned(), topic.offered_qos.clone()),
            ("topic_type_hash".to_owned(), definition.type_hash.clone()),
        ]);
        self.writer
            .add_channel_with_id(id, schema, &topic.name, &topic.serialization, &metadata)
            .at("add a topic to", &self.path)?;
        Ok(())
    }

    fn write(&mut self, topic: u16, stamp: Stamp, data: &[u8]) -> Result<(), BagError> {
        let header = MessageHeader {
            channel_id: topic,
            sequence: 0, // rosbag2 has none in Jazzy
            log_time: stamp.received.unsigned_abs(),
            publish_time: stamp.published.unsigned_abs(),
        };
        self.writer.write_to_known_channel(&header, data).at("write to", &self.path)
    }

    fn sync(&mut self) -> Result<(), BagError> {
        self.writer.flush().at("close a chunk of", &self.path)?;
        let padding = wrong_place(self.size());
        if padding > 0 {
            let zeros = vec![0; padding as usize];
            self.writer.write_private_record(PRIVATE, &zeros, EnumSet::empty()).at("write to", &self.path)?;
        }
        self.landing.land(&self.collected.take()).at("write to", &self.path)
    }

    fn unsynced(&self) -> usize {
        self.collected.len()
    }

    fn size(&self) -> u64 {
        self.landing.frontier() + self.collected.len() as u64
    }

    fn describe(&mut self, metadata: &Metadata) -> Result<(), BagError> {
        let record = mcap::records::Metadata {
            name: "rosbag2".to_owned(),
            metadata: BTreeMap::from([("serialized_metadata".to_owned(), metadata.bare_yaml())]),
        };
        self.writer.write_metadata(&record).at("write to", &self.path)
    }

    fn finish(mut self: Box<Self>) -> Result<(), BagError> {
        self.sync()?;
        self.writer.finish().at("finish", &self.path)?;
        self.landing.finish(&self.collected.take()).at("finish", &self.path)
    }
}

/// Where the `mcap` crate writes: bytes that wait for the next sync.
#[derive(Clone, Debug, Default)]
struct Collected(Arc<Mutex<Vec<u8>>>);

impl Collected {
    fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.bytes())
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }
}

impl Write for Collected {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
