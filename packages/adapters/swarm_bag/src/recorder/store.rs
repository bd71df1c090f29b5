//! Where a recording goes.

use std::path::Path;

use crate::error::BagError;
use crate::metadata::Metadata;
use crate::topic::Topic;
use crate::write::{BagWriter, Stamp, TopicId};

/// A bag as the recorder needs it. Implemented by [`BagWriter`]; a test implements it to put faults in between.
pub trait Store: Send {
    fn path(&self) -> &Path;
    fn add_topic(&mut self, topic: Topic) -> Result<TopicId, BagError>;
    fn write(&mut self, topic: TopicId, stamp: Stamp, bytes: &[u8]) -> Result<(), BagError>;
    /// Called every few hundredths of a second, also when nothing came.
    fn sync_if_due(&mut self) -> Result<(), BagError>;
    fn set_custom_data(&mut self, name: &str, text: &str);
    fn finish(&mut self) -> Result<Metadata, BagError>;
    /// What a reader finds, also after an error.
    fn metadata(&self) -> Metadata;
    /// Free where the bag is written, bytes; none where that is not known.
    fn disk_free(&self) -> Option<u64>;
}

impl Store for BagWriter {
    fn path(&self) -> &Path {
        BagWriter::path(self)
    }

    fn add_topic(&mut self, topic: Topic) -> Result<TopicId, BagError> {
        BagWriter::add_topic(self, topic)
    }

    fn write(&mut self, topic: TopicId, stamp: Stamp, bytes: &[u8]) -> Result<(), BagError> {
        self.write_bytes(topic, stamp, bytes)
    }

    fn sync_if_due(&mut self) -> Result<(), BagError> {
        BagWriter::sync_if_due(self)
    }

    fn set_custom_data(&mut self, name: &str, text: &str) {
        BagWriter::set_custom_data(self, name, text);
    }

    fn finish(&mut self) -> Result<Metadata, BagError> {
        self.end()
    }

    fn metadata(&self) -> Metadata {
        BagWriter::metadata(self)
    }

    fn disk_free(&self) -> Option<u64> {
        free(BagWriter::path(self))
    }
}

/// An error where less than `reserve` is free for a bag at `path`.
pub(crate) fn refuse_full(path: &Path, reserve: u64) -> Result<(), BagError> {
    match free(path) {
        Some(free) if free < reserve => Err(BagError::DiskFull { path: path.to_owned(), free, reserve }),
        _ => Ok(()),
    }
}

/// Free for whoever is not root, where `path` is or will be.
fn free(path: &Path) -> Option<u64> {
    let absolute = std::path::absolute(path).ok()?;
    let there = absolute.ancestors().find(|folder| folder.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
