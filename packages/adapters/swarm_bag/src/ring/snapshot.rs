//! A part of a ring on its way into a bag.
//!
//! It is written without a sync in between, so that it can be read as soon as the system has taken it; that is what somebody
//! waits for who pressed the button. [`Written::make_durable`] then waits for the disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::durable;
use crate::error::{At, BagError};
use crate::item::Item;
use crate::metadata::{FILE_NAME, Metadata, Span};
use crate::recorder::refuse_full;
use crate::topic::Topic;
use crate::write::{BagWriter, Split, Survives, TopicId, WriteOptions};

/// Beside the messages of a bag: its index.
const INDEX: u64 = 4 << 20;

/// Messages of a ring, which goes on beside.
#[derive(Clone, Debug)]
pub struct Snapshot {
    topics: Vec<Topic>,
    messages: Vec<(TopicId, Item)>,
}

impl Snapshot {
    pub(super) fn new((topics, mut messages): (Vec<Topic>, Vec<(TopicId, Item)>)) -> Self {
        messages.sort_by_key(|(_, item)| item.stamp.received);
        Self { topics, messages }
    }

    /// Count and times of its messages.
    pub fn span(&self) -> Span {
        let mut span = Span::default();
        self.messages.iter().for_each(|(_, item)| span.add(item.stamp.received));
        span
    }

    /// Writes a bag. It can be read when this is back, and survives a cut of the power after [`Written::make_durable`].
    ///
    /// As with [`BagWriter::create`], nothing is ever replaced. After an error there is no bag: one that lacks its end would
    /// look like one that has nothing to say about it. A snapshot is never split.
    pub fn write(&self, path: impl AsRef<Path>, options: WriteOptions) -> Result<Written, BagError> {
        let path = path.as_ref();
        let bytes: usize = self.messages.iter().map(|(_, item)| item.bytes.len() + 64).sum();
        refuse_full(path, bytes as u64 + INDEX)?;
        let options = WriteOptions {
            sync_every: Duration::MAX,
            survives: Survives::ProcessEnd,
            split: Split::default(),
            ..options
        };
        let mut bag = BagWriter::create(path, options)?;
        let fill = || -> Result<Metadata, BagError> {
            let ids = self.topics.iter().map(|topic| bag.add_topic(topic.clone()));
            let ids = ids.collect::<Result<Vec<_>, _>>()?;
            for (topic, item) in &self.messages {
                bag.write_bytes(ids[topic.index()], item.stamp, &item.bytes)?;
            }
            bag.finish()
        };
        match fill() {
            Ok(metadata) => Ok(Written { path: path.to_owned(), metadata }),
            Err(error) => {
                let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                Err(error)
            }
        }
    }
}

/// A snapshot that can be read.
#[derive(Debug)]
#[must_use = "it may still be lost with the power"]
pub struct Written {
    path: PathBuf,
    metadata: Metadata,
}

impl Written {
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Waits until all of it is on the disk.
    pub fn make_durable(self) -> Result<Metadata, BagError> {
        if self.path.is_dir() {
            let files = self.metadata.files.iter().map(|file| file.name.as_str());
            for file in files.chain([FILE_NAME]) {
                sync(&self.path.join(file))?;
            }
            sync(&self.path)?;
        } else {
            sync(&self.path)?;
        }
        durable::folder_of(&self.path)?;
        Ok(self.metadata)
    }
}

fn sync(path: &Path) -> Result<(), BagError> {
    File::open(path).and_then(|file| file.sync_all()).at("write", path)
}
