//! Bags as rosbag2 writes them by default: nothing is synced.
//!
//! SQLite with `journal_mode=MEMORY` and `synchronous=OFF`, committed twice a second (rosbag2 commits whenever its cache is
//! flushed); an MCAP through buffered writes, chunks of 768 KiB without compression and checksum.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rusqlite::{Connection, params};
use swarm_bag::{Item, Topic};

use crate::work::Sink;

const COMMIT_EVERY: Duration = Duration::from_millis(500);

pub(crate) struct Mcap(Mutex<mcap::Writer<BufWriter<File>>>);

impl Mcap {
    pub(crate) fn create(path: &Path, topics: &[Topic]) -> anyhow::Result<Self> {
        let mut writer = mcap::WriteOptions::new()
            .profile("ros2")
            .chunk_size(Some(768 << 10))
            .compression(None)
            .calculate_chunk_crcs(false)
            .create(BufWriter::new(File::create_new(path)?))?;
        for (id, topic) in (1..).zip(topics) {
            let definition = &topic.definition;
            let schema =
                writer.add_schema(&topic.type_name, &definition.encoding, definition.text.as_bytes())?;
            writer.add_channel_with_id(id, schema, &topic.name, "cdr", &std::collections::BTreeMap::new())?;
        }
        Ok(Self(Mutex::new(writer)))
    }
}

impl Sink for Mcap {
    fn offer(&self, topic: usize, item: Item) {
        let header = mcap::records::MessageHeader {
            channel_id: topic as u16 + 1,
            sequence: 0,
            log_time: item.stamp.received.unsigned_abs(),
            publish_time: item.stamp.published.unsigned_abs(),
        };
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = writer.write_to_known_channel(&header, &item.bytes) {
            eprintln!("reference: {error}");
        }
    }
}

pub(crate) struct Sqlite(Mutex<(Connection, Instant)>);

impl Sqlite {
    pub(crate) fn create(path: &Path, topics: &[Topic]) -> anyhow::Result<Self> {
        let db = Connection::open(path)?;
        db.pragma_update(None, "journal_mode", "MEMORY")?;
        db.pragma_update(None, "synchronous", "OFF")?;
        db.execute_batch(
            "CREATE TABLE schema(schema_version INTEGER PRIMARY KEY,ros_distro TEXT NOT NULL);
             CREATE TABLE metadata(id INTEGER PRIMARY KEY,metadata_version INTEGER NOT NULL,metadata TEXT NOT NULL);
             CREATE TABLE topics(id INTEGER PRIMARY KEY,name TEXT NOT NULL,type TEXT NOT NULL,serialization_format TEXT NOT NULL,offered_qos_profiles TEXT NOT NULL,type_description_hash TEXT NOT NULL);
             CREATE TABLE message_definitions(id INTEGER PRIMARY KEY,topic_type TEXT NOT NULL,encoding TEXT NOT NULL,encoded_message_definition TEXT NOT NULL,type_description_hash TEXT NOT NULL);
             CREATE TABLE messages(id INTEGER PRIMARY KEY,topic_id INTEGER NOT NULL,timestamp INTEGER NOT NULL, data BLOB NOT NULL);
             CREATE INDEX timestamp_idx ON messages (timestamp ASC);
             INSERT INTO schema VALUES (4, 'jazzy');",
        )
        .context("cannot begin a reference bag")?;
        for topic in topics {
            let row = params![topic.name, topic.type_name, topic.offered_qos, topic.definition.type_hash];
            db.execute(
                "INSERT INTO topics (name, type, serialization_format, offered_qos_profiles, type_description_hash) \
                 VALUES (?, ?, 'cdr', ?, ?)",
                row,
            )?;
        }
        db.execute_batch("BEGIN")?;
        Ok(Self(Mutex::new((db, Instant::now()))))
    }
}

impl Sink for Sqlite {
    fn offer(&self, topic: usize, item: Item) {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (db, committed) = &mut *guard;
        let mut write = || -> rusqlite::Result<()> {
            db.prepare_cached("INSERT INTO messages (timestamp, topic_id, data) VALUES (?, ?, ?)")?
                .execute(params![item.stamp.received, (topic as u64).cast_signed() + 1, &item.bytes[..]])?;
            if committed.elapsed() >= COMMIT_EVERY {
                db.execute_batch("COMMIT; BEGIN")?;
                *committed = Instant::now();
            }
            Ok(())
        };
        if let Err(error) = write() {
            eprintln!("reference: {error}");
        }
    }
}
