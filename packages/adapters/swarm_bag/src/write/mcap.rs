//! The `.mcap` storage: profile `ros2`, chunks with their indexes, and a file that is complete at every instant.
//!
//! Records come from the `mcap` crate. Into the file they come through [`Landing`], which solves the format's weakness: an
//! MCAP ends with a footer, and a writer that is cut off leaves none, so that strict readers refuse the whole file. Here the
//! file always has its end, at a fixed place ahead of the data:
//!
//! ```text
//!   magic  header  chunk  chunk  [ private record: the room ahead ]  data end  footer  magic
//!                                ^ frontier                          ^ end
//! ```
//!
//! Flow of a sync
//! 1. The new records, but for the first 9 bytes (opcode and length), go into the room behind the frontier, and behind them
//!    the header of a new private record over the room that is left. To a reader nothing has changed yet.
//! 2. They are made durable.
//! 3. The first 9 bytes replace the header of the old private record. This one small write makes the new records part of
//!    the file, and is made durable too.
//!
//! So a reader sees the bag as of the last sync, or of the one before, and never half of one. The footer of such an unfinished
//! file points to no summary, and readers scan it; that is slower and reads messages in the order of the file.
//! [`McapFile::finish`] cuts the room away and leaves an ordinary, indexed file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use mcap::records::MessageHeader;
use mcap::write::NoSeek;

use super::{Compression, Stamp, StorageFile};
use crate::error::{At, BagError};
use crate::metadata::Metadata;
use crate::topic::Topic;

/// Chunks of this size before compression, as rosbag2's plugin makes them.
const CHUNK: u64 = 768 << 10;
/// What the file grows by. The room takes no space on the disk before something is written there.
const ROOM: u64 = 16 << 20;

/// Opcode and length.
const RECORD_HEADER: usize = 9;
const DATA_END: u8 = 0x0f;
const FOOTER: u8 = 0x02;
/// From here on opcodes are private, and every reader skips what it does not know.
const PRIVATE: u8 = 0x80;
/// Data end (no checksum), footer (no summary), magic.
const END: usize = RECORD_HEADER + 4 + RECORD_HEADER + 20 + mcap::MAGIC.len();

pub(super) struct McapFile {
    path: PathBuf,
    writer: mcap::Writer<NoSeek<Collected>>,
    collected: Collected,
    landing: Landing,
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
        let landing = Landing::begin(file, &collected.take()).at("begin", path)?;
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
        self.landing.land(&self.collected.take()).at("write to", &self.path)
    }

    fn unsynced(&self) -> usize {
        self.collected.len()
    }

    fn size(&self) -> u64 {
        self.landing.frontier + self.collected.len() as u64
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

/// The file itself; see the module's text for its form.
#[derive(Debug)]
struct Landing {
    file: File,
    /// Where the next record begins, and now the private record.
    frontier: u64,
    /// Where data end, footer and magic stand.
    end: u64,
}

impl Landing {
    /// `head` is the magic and the header record.
    fn begin(file: File, head: &[u8]) -> io::Result<Self> {
        let frontier = head.len() as u64;
        let end = frontier + ROOM;
        file.write_all_at(&[head, &room(frontier, end)].concat(), 0)?;
        file.write_all_at(&unindexed_end(), end)?;
        file.sync_all()?;
        Ok(Self { file, frontier, end })
    }

    /// Adds whole records, durably.
    fn land(&mut self, records: &[u8]) -> io::Result<()> {
        let Some((first, rest)) = records.split_at_checked(RECORD_HEADER) else { return Ok(()) };
        let frontier = self.frontier + records.len() as u64;
        if frontier + RECORD_HEADER as u64 > self.end {
            self.grow(frontier + ROOM)?;
        }
        self.file.write_all_at(rest, self.frontier + first.len() as u64)?;
        self.file.write_all_at(&room(frontier, self.end), frontier)?;
        self.file.sync_data()?;
        self.file.write_all_at(first, self.frontier)?;
        self.file.sync_data()?;
        self.frontier = frontier;
        Ok(())
    }

    /// Moves the end farther away. The private record first: while it reaches past the end of the file, scanning readers
    /// stop there, at the right place; an end in the middle of the file would be garbage to them.
    fn grow(&mut self, end: u64) -> io::Result<()> {
        self.file.write_all_at(&room(self.frontier, end), self.frontier)?;
        self.file.write_all_at(&unindexed_end(), end)?;
        self.end = end;
        Ok(())
    }

    /// Ends the file with `tail`: data end, summary, footer, magic.
    fn finish(self, tail: &[u8]) -> io::Result<()> {
        let (first, rest) = tail.split_at(RECORD_HEADER);
        self.file.write_all_at(rest, self.frontier + first.len() as u64)?;
        // From here to the next line only a reader without an index sees a private record that is too long.
        self.file.set_len(self.frontier + tail.len() as u64)?;
        self.file.write_all_at(first, self.frontier)?;
        self.file.sync_all()
    }
}

/// Header of a private record from `start` to `end`.
fn room(start: u64, end: u64) -> [u8; RECORD_HEADER] {
    record_header(PRIVATE, end - start - RECORD_HEADER as u64)
}

fn record_header(opcode: u8, length: u64) -> [u8; RECORD_HEADER] {
    let mut header = [opcode; RECORD_HEADER];
    header[1..].copy_from_slice(&length.to_le_bytes());
    header
}

/// The end of a file without a summary.
fn unindexed_end() -> [u8; END] {
    let mut end = [0; END];
    let footer = RECORD_HEADER + 4;
    end[..RECORD_HEADER].copy_from_slice(&record_header(DATA_END, 4));
    end[footer..footer + RECORD_HEADER].copy_from_slice(&record_header(FOOTER, 20));
    end[END - mcap::MAGIC.len()..].copy_from_slice(mcap::MAGIC);
    end
}
