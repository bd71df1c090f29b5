//! A part of a ring on its way into a bag.
//!
//! It is written without a sync in between, so that it can be read as soon as the system has taken it; that is what somebody
//! waits for who pressed the button. [`Written::make_durable`] then waits for the disk.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use crate::durable;
use crate::error::{At, BagError};
use crate::metadata::{FILE_NAME, Metadata, Span};
use crate::recorder::refuse_full;
use crate::topic::Topic;
use crate::write::{BagWriter, Split, Stamp, Survives, WriteOptions};

/// Beside the messages of a bag: its index.
const INDEX: u64 = 4 << 20;

/// A message of a snapshot.
pub(super) type Cut = (Stamp, Bytes);

/// Messages of a ring, which goes on beside.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Each with its messages, in the order of their times.
    topics: Vec<(Topic, Vec<Cut>)>,
}

impl Snapshot {
    pub(super) fn new(mut topics: Vec<(Topic, Vec<Cut>)>) -> Self {
        let time = |(stamp, _): &Cut| stamp.received;
        // They are in order but for what a clock does that is set back a little; a sort takes memory even where there is nothing
        // to sort.
        for (_, messages) in topics.iter_mut().filter(|(_, messages)| !messages.is_sorted_by_key(time)) {
            messages.sort_by_key(time);
        }
        Self { topics }
    }

    /// Count and times of its messages.
    pub fn span(&self) -> Span {
        let mut span = Span::default();
        self.messages().for_each(|(stamp, _)| span.add(stamp.received));
        span
    }

    fn messages(&self) -> impl Iterator<Item = &Cut> {
        self.topics.iter().flat_map(|(_, messages)| messages)
    }

    /// All messages in the order of their times, with the index of their topic.
    fn in_order(&self) -> impl Iterator<Item = (usize, &Cut)> {
        let head = |(topic, number): (usize, usize)| {
            let (stamp, _) = self.topics[topic].1.get(number)?;
            Some(Reverse((stamp.received, topic, number)))
        };
        let mut heads: BinaryHeap<_> = (0..self.topics.len()).filter_map(|topic| head((topic, 0))).collect();
        std::iter::from_fn(move || {
            let Reverse((_, topic, number)) = heads.pop()?;
            heads.extend(head((topic, number + 1)));
            Some((topic, &self.topics[topic].1[number]))
        })
    }

    /// Writes a bag. It can be read when this is back, and survives a cut of the power after [`Written::make_durable`].
    ///
    /// As with [`BagWriter::make`], nothing is ever replaced, and after an error there is no bag. A snapshot is never split.
    pub fn write(&self, path: impl AsRef<Path>, options: WriteOptions) -> Result<Written, BagError> {
        let path = path.as_ref();
        let bytes: usize = self.messages().map(|(_, bytes)| bytes.len() + 64).sum();
        refuse_full(path, bytes as u64 + INDEX)?;
        let options = WriteOptions {
            sync_every: Duration::MAX,
            survives: Survives::ProcessEnd,
            split: Split::default(),
            ..options
        };
        let (metadata, ()) = BagWriter::make(path, options, |bag| -> Result<(), BagError> {
            let ids = self.topics.iter().map(|(topic, _)| bag.add_topic(topic.clone()));
            let ids = ids.collect::<Result<Vec<_>, _>>()?;
            for (topic, (stamp, bytes)) in self.in_order() {
                bag.write_bytes(ids[topic], *stamp, bytes)?;
            }
            Ok(())
        })?;
        Ok(Written { path: path.to_owned(), metadata })
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

#[cfg(test)]
mod tests {
    use crate::item::{Item, Kind};
    use crate::msg::Bool;
    use crate::qos::Qos;
    use crate::ring::{Ring, RingOptions};
    use crate::topic::Topic;

    #[test]
    fn messages_of_all_topics_are_in_the_order_of_their_times() {
        let ring = Ring::new(RingOptions::default());
        let topics = ["/a", "/b", "/c"].map(|name| {
            ring.add_topic(Topic::of::<Bool>(name, Qos::reliable(1)).expect("a known type"))
                .expect("a new topic")
        });
        // The third topic's clock is set back a little on the way.
        for (topic, times) in topics.into_iter().zip([[1, 4, 7, 10], [2, 4, 8, 9], [3, 6, 5, 11]]) {
            for time in times {
                let bytes = vec![time as u8].into();
                ring.push(topic, Item { stamp: time.into(), bytes, kind: Kind::Message });
            }
        }
        let snapshot = ring.cut(None);
        let order: Vec<(i64, usize, u8)> =
            snapshot.in_order().map(|(topic, (stamp, bytes))| (stamp.received, topic, bytes[0])).collect();
        let expected = [
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 0),
            (4, 1),
            (5, 2),
            (6, 2),
            (7, 0),
            (8, 1),
            (9, 1),
            (10, 0),
            (11, 2),
        ];
        assert_eq!(order, expected.map(|(time, topic)| (time, topic, time as u8)));
    }
}
