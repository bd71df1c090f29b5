//! Reading a `.db3` of schema 1 to 4.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};

use super::{BagMessage, Filter, StorageReader};
use crate::definition::Definition;
use crate::error::{At, BagError};
use crate::metadata::{Listing, Span, TopicCount};
use crate::topic::Topic;

/// Messages that are fetched at once; at most [`BATCH_BYTES`] of them.
const BATCH: i64 = 256;
const BATCH_BYTES: usize = 16 << 20;

#[derive(Debug)]
pub(super) struct SqliteReader {
    db: Connection,
    listing: Option<Listing>,
    /// Row ids of the topics.
    ids: Vec<i64>,
    topics: Vec<TopicCount>,
    span: Span,
    wanted: Vec<bool>,
    filter: Filter,
    batch: VecDeque<BagMessage>,
    /// Time and row id of the last message that was fetched.
    after: (i64, i64),
    done: bool,
    damage: Option<String>,
}

impl SqliteReader {
    pub(super) fn open(path: &Path) -> Result<Self, BagError> {
        let db = connect(path).at("open", path)?;
        let (ids, topics) = topics(&db).at("read the topics of", path)?;
        let listing = listing(&db);
        let wanted = vec![true; topics.len()];
        let mut reader = Self {
            db,
            listing,
            ids,
            topics,
            span: Span::default(),
            wanted,
            filter: Filter::default(),
            batch: VecDeque::new(),
            after: (i64::MIN, i64::MIN),
            done: false,
            damage: cut(path).at("read", path)?,
        };
        if let Err(error) = reader.count() {
            reader.note(format!("not all messages can be counted: {error}"));
        }
        Ok(reader)
    }

    /// The first damage says where it begins.
    fn note(&mut self, damage: String) {
        self.damage.get_or_insert(damage);
    }

    fn count(&mut self) -> rusqlite::Result<()> {
        let mut statement = self.db.prepare(
            "SELECT topic_id, COUNT(*), MIN(timestamp), MAX(timestamp) FROM messages GROUP BY topic_id",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let count: i64 = row.get(1)?;
            let span = Span { count: count.unsigned_abs(), first: row.get(2)?, last: row.get(3)? };
            if let Some(index) = self.ids.iter().position(|known| *known == id) {
                self.topics[index].count = span.count;
                self.span.merge(span);
            }
        }
        Ok(())
    }

    fn fetch(&mut self) -> rusqlite::Result<()> {
        let mut statement = self.db.prepare_cached(
            "SELECT timestamp, id, topic_id, data FROM messages WHERE (timestamp, id) > (?1, ?2) AND timestamp < ?3 \
             ORDER BY timestamp, id LIMIT ?4",
        )?;
        let until = self.filter.until.unwrap_or(i64::MAX);
        let mut rows = statement.query(params![self.after.0, self.after.1, until, BATCH])?;
        let (mut count, mut bytes) = (0, 0);
        while bytes < BATCH_BYTES
            && let Some(row) = rows.next()?
        {
            count += 1;
            let (received, id, topic): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            self.after = (received, id);
            let Some(topic) = self.ids.iter().position(|known| *known == topic) else { continue };
            if self.wanted[topic] {
                let data: Vec<u8> = row.get(3)?;
                bytes += data.len();
                self.batch.push_back(BagMessage { topic, stamp: received.into(), data });
            }
        }
        self.done = count < BATCH && bytes < BATCH_BYTES;
        Ok(())
    }
}

impl StorageReader for SqliteReader {
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
        self.listing.is_some()
    }

    fn rewind(&mut self, wanted: &[bool], filter: &Filter) {
        self.wanted = wanted.to_vec();
        self.filter = filter.clone();
        self.batch.clear();
        // Row ids begin at 1.
        self.after = (filter.from.unwrap_or(i64::MIN), 0);
        self.done = false;
    }

    fn next(&mut self) -> Option<BagMessage> {
        while self.batch.is_empty() && !self.done {
            if let Err(error) = self.fetch() {
                self.damage =
                    Some(format!("the messages after time {} ns cannot be read: {error}", self.after.0));
                self.done = true;
            }
        }
        self.batch.pop_front()
    }

    fn damage(&self) -> Option<String> {
        self.damage.clone()
    }
}

/// A bag that was cut off has its log beside it, which SQLite reads along. Where that cannot be done, on a read-only medium,
/// the file is taken as it is.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = |immutable: &str| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let db = Connection::open_with_flags(uri(&absolute, immutable), flags | OpenFlags::SQLITE_OPEN_URI)?;
        db.query_row("SELECT COUNT(*) FROM sqlite_master", [], |_| Ok(()))?;
        Ok(db)
    };
    open("").or_else(|error| open("?immutable=1").map_err(|_: rusqlite::Error| error))
}

/// SQLite takes what is missing of a page for zeros and says nothing, so a file that is shorter than it should be is found
/// here. Sizes in the header: https://www.sqlite.org/fileformat2.html#the_database_header.
fn cut(path: &Path) -> io::Result<Option<String>> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
        return Ok(None); // what is missing is in the log
    }
    let file = File::open(path)?;
    let mut header = [0; 100];
    if file.read_exact_at(&mut header, 0).is_err() {
        return Ok(Some("cut off in the header".to_owned()));
    }
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65536,
        size => u64::from(size),
    };
    let (length, full) = (file.metadata()?.len(), u64::from(number(28)) * page);
    // The count of pages holds only for the change that it was written with.
    let known = number(24) == number(92);
    Ok((known && length < full)
        .then(|| format!("cut off at byte {length} of {full}; the messages before the cut may be damaged")))
}

/// Only letters, digits and a few signs go into a URI as they are.
fn uri(path: &Path, query: &str) -> String {
    let mut uri = "file://".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            let _ = write!(uri, "%{byte:02x}");
        }
    }
    uri + query
}

fn topics(db: &Connection) -> rusqlite::Result<(Vec<i64>, Vec<TopicCount>)> {
    let columns: Vec<String> = db
        .prepare("SELECT name FROM pragma_table_info('topics')")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    // Columns that came with schema 2 (QoS) and 4 (hash).
    let column = |name: &'static str| if columns.iter().any(|known| known == name) { name } else { "''" };
    let query = format!(
        "SELECT id, name, type, serialization_format, {}, {} FROM topics ORDER BY id",
        column("offered_qos_profiles"),
        column("type_description_hash")
    );
    let mut statement = db.prepare(&query)?;
    let rows = statement.query_map([], |row| {
        let (id, type_name, type_hash): (i64, String, String) = (row.get(0)?, row.get(2)?, row.get(5)?);
        let definition = Definition { type_hash, ..definition(db, &type_name) };
        let topic = Topic {
            name: row.get(1)?,
            type_name,
            serialization: row.get(3)?,
            definition,
            offered_qos: row.get(4)?,
        };
        Ok((id, TopicCount { topic, count: 0 }))
    })?;
    rows.collect::<rusqlite::Result<Vec<_>>>().map(|rows| rows.into_iter().unzip())
}

/// The last row counts; before schema 3 there is none.
fn listing(db: &Connection) -> Option<Listing> {
    let text: String =
        db.query_row("SELECT metadata FROM metadata ORDER BY id DESC LIMIT 1", [], |row| row.get(0)).ok()?;
    Listing::parse_bare(&text).ok()
}

/// Empty where the bag has none, as before schema 4.
fn definition(db: &Connection, type_name: &str) -> Definition {
    db.query_row(
        "SELECT encoding, encoded_message_definition FROM message_definitions WHERE topic_type = ?",
        [type_name],
        |row| Ok(Definition { encoding: row.get(0)?, text: row.get(1)?, type_hash: String::new() }),
    )
    .unwrap_or_default()
}
