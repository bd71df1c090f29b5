//! The `.db3` storage: rosbag2's schema version 4, in one SQLite file.
//!
//! While the bag is written SQLite keeps a write-ahead log (`.db3-wal`) beside it. [`SqliteFile::sync`] commits, and moves the
//! log into the bag: a cut between two syncs leaves a whole database, also for readers that open it as immutable and never
//! look at the log. A cut within a sync leaves the log, from which SQLite itself mends the database at the next opening.
//! After [`SqliteFile::finish`] one file is left, in the journal mode that works from read-only media.
//!
//! Somebody who reads the bag meanwhile holds nobody up: what a reader keeps from being moved stays in the log until it has
//! gone. If it is there still at the end, the log stays beside the bag, until the next who opens the bag for writing and closes
//! it; the two files together are the bag.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, params};

use super::{Stamp, StorageFile, Survives, WriteOptions};
use crate::error::{At, BagError};
use crate::metadata::{Metadata, VERSION};
use crate::read::BagReader;
use crate::topic::Topic;

/// rosbag2_storage_sqlite3/sqlite_storage.cpp, `SqliteStorage::initialize`, to the letter.
const SCHEMA: &str = "
CREATE TABLE schema(schema_version INTEGER PRIMARY KEY,ros_distro TEXT NOT NULL);
CREATE TABLE metadata(id INTEGER PRIMARY KEY,metadata_version INTEGER NOT NULL,metadata TEXT NOT NULL);
CREATE TABLE topics(id INTEGER PRIMARY KEY,name TEXT NOT NULL,type TEXT NOT NULL,serialization_format TEXT NOT NULL,offered_qos_profiles TEXT NOT NULL,type_description_hash TEXT NOT NULL);
CREATE TABLE message_definitions(id INTEGER PRIMARY KEY,topic_type TEXT NOT NULL,encoding TEXT NOT NULL,encoded_message_definition TEXT NOT NULL,type_description_hash TEXT NOT NULL);
CREATE TABLE messages(id INTEGER PRIMARY KEY,topic_id INTEGER NOT NULL,timestamp INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX timestamp_idx ON messages (timestamp ASC);
";
const SCHEMA_VERSION: i64 = 4;

/// How long the end of a bag waits for its readers to go.
const READERS_LEAVE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct SqliteFile {
    path: PathBuf,
    survives: Survives,
    /// None once finished.
    db: Option<Connection>,
    /// Messages that were written, and those of them that were synced.
    written: u64,
    synced: u64,
    /// Bytes of messages since the file was begun, and since the last sync.
    size: u64,
    unsynced: usize,
}

impl SqliteFile {
    pub(super) fn create(path: &Path, options: WriteOptions) -> Result<Self, BagError> {
        // SQLite would open a file that exists.
        std::fs::File::create_new(path).at("create", path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let begin = || -> rusqlite::Result<Connection> {
            let db = Connection::open_with_flags(path, flags)?;
            db.pragma_update(None, "journal_mode", "WAL")?;
            let synchronous = match options.survives {
                Survives::PowerCut => "NORMAL",
                Survives::ProcessEnd => "OFF",
            };
            db.pragma_update(None, "synchronous", synchronous)?;
            // The log is moved by `sync` alone.
            db.pragma_update(None, "wal_autocheckpoint", 0)?;
            db.execute_batch(SCHEMA)?;
            db.execute("INSERT INTO schema VALUES (?, ?)", params![SCHEMA_VERSION, options.ros_distro])?;
            db.execute_batch("BEGIN")?;
            Ok(db)
        };
        let db = Some(begin().at("begin", path)?);
        let survives = options.survives;
        let mut file =
            Self { path: path.to_owned(), survives, db, written: 0, synced: 0, size: 0, unsynced: 0 };
        file.sync()?;
        Ok(file)
    }

    fn db(&self) -> Result<&Connection, BagError> {
        self.db.as_ref().ok_or_else(|| BagError::Failed { path: self.path.clone() })
    }

    fn insert_topic(db: &Connection, id: u16, topic: &Topic) -> rusqlite::Result<()> {
        let definition = &topic.definition;
        db.execute(
            "INSERT INTO topics (id, name, type, serialization_format, offered_qos_profiles, type_description_hash) \
             VALUES (?, ?, ?, ?, ?, ?)",
            params![
                id,
                topic.name,
                topic.type_name,
                topic.serialization,
                topic.offered_qos,
                definition.type_hash
            ],
        )?;
        let known: i64 = db.query_row(
            "SELECT COUNT(*) FROM message_definitions WHERE topic_type = ?",
            [&topic.type_name],
            |row| row.get(0),
        )?;
        if known == 0 {
            db.execute(
                "INSERT INTO message_definitions (topic_type, encoding, encoded_message_definition, type_description_hash) \
                 VALUES (?, ?, ?, ?)",
                params![topic.type_name, definition.encoding, definition.text, definition.type_hash],
            )?;
        }
        Ok(())
    }

    /// Commits, and moves the log into the bag as far as no reader is in the way. Waits for none: `PASSIVE` is the form of it
    /// that does not. The log is written over from its beginning next time: to shorten it would make the file system's journal
    /// work at every sync.
    fn commit_and_move_log(&self) -> Result<(), BagError> {
        let db = self.db()?;
        db.execute_batch("COMMIT").at("commit", &self.path)?;
        let pages = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        let (logged, moved) =
            db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], pages).at("commit", &self.path)?;
        if moved < logged && self.survives == Survives::PowerCut {
            // SQLite syncs the log when it begins to move it, which a reader may have kept it from.
            let mut log = self.path.clone().into_os_string();
            log.push("-wal");
            File::open(log).and_then(|log| log.sync_data()).at("sync the log of", &self.path)?;
        }
        Ok(())
    }
}

impl StorageFile for SqliteFile {
    fn add_topic(&mut self, id: u16, topic: &Topic) -> Result<(), BagError> {
        Self::insert_topic(self.db()?, id, topic).at("add a topic to", &self.path)
    }

    fn write(&mut self, topic: u16, stamp: Stamp, data: &[u8]) -> Result<(), BagError> {
        self.db()?
            .prepare_cached("INSERT INTO messages (timestamp, topic_id, data) VALUES (?, ?, ?)")
            .and_then(|mut insert| insert.execute(params![stamp.received, topic, data]))
            .at("write to", &self.path)?;
        self.written += 1;
        self.size += data.len() as u64;
        self.unsynced += data.len();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), BagError> {
        self.unsynced = 0;
        self.commit_and_move_log()?;
        self.db()?.execute_batch("BEGIN").at("commit", &self.path)?;
        self.synced = self.written;
        Ok(())
    }

    fn unsynced(&self) -> usize {
        self.unsynced
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn describe(&mut self, metadata: &Metadata) -> Result<(), BagError> {
        let row = params![VERSION, metadata.bare_yaml()];
        self.db()?
            .execute("INSERT INTO metadata (metadata_version, metadata) VALUES (?, ?)", row)
            .at("write to", &self.path)?;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), BagError> {
        self.commit_and_move_log()?;
        let db = self.db()?;
        let begun = Instant::now();
        loop {
            match db.pragma_update(None, "journal_mode", "DELETE") {
                Err(error) if is_busy(&error) && begun.elapsed() < READERS_LEAVE => {
                    sleep(READERS_LEAVE / 50);
                }
                Err(error) if is_busy(&error) => break, // all is in the bag and its log, and synced
                left => break left.at("finish", &self.path)?,
            }
        }
        self.db = None;
        match self.survives {
            Survives::PowerCut => {
                File::open(&self.path).and_then(|file| file.sync_all()).at("finish", &self.path)
            }
            Survives::ProcessEnd => Ok(()),
        }
    }

    fn give_up(&mut self) -> bool {
        let Some(db) = self.db.take() else { return true };
        if !db.is_autocommit() {
            let _ = db.execute_batch("ROLLBACK"); // SQLite may have done so already
        }
        drop(db);
        // A commit may have got into the log and no farther. Readers are what counts.
        BagReader::open(&self.path).is_ok_and(|bag| bag.metadata().span().count > self.synced)
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}
