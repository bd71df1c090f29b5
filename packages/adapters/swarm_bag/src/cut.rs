//! A part of a bag as a bag of its own.
//!
//! - Video begins at the key frame before the beginning, so that the first picture asked for can be seen.
//! - What latched topics said before the beginning ([`Latched`]) stands at the beginning: /tf_static and /robot_description hold
//!   for all that follows.
//! - [`LOSS_TOPIC`] stays behind: its counts are those of the whole recording, and would be wrong of a part.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::BagError;
use crate::latched::Latched;
use crate::metadata::Metadata;
use crate::qos::Profiles;
use crate::read::{BagReader, Filter};
use crate::recorder::LOSS_TOPIC;
use crate::topic::Topic;
use crate::video::VideoMessage;
use crate::write::{BagWriter, Stamp, TopicId, WriteOptions};

/// What goes into the new bag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Nanoseconds since the epoch; `from` is in, `until` is not.
    pub from: Option<i64>,
    pub until: Option<i64>,
    /// Names; none stands for all.
    pub topics: Option<Vec<String>>,
}

/// How far back a key frame is looked for at first; twice as far each time that it is not found.
const LOOK_BACK: i64 = 2_000_000_000;

/// Writes the part to `out`, in the storage that the name of `out` says, or else that of `bag`. After an error there is no
/// part.
pub fn cut(
    bag: &mut BagReader,
    wanted: &Cut,
    out: &Path,
    options: WriteOptions,
) -> Result<Metadata, BagError> {
    let topics: Vec<Topic> = bag.topics().to_vec();
    let is_wanted = |topic: &Topic| {
        topic.name != LOSS_TOPIC && wanted.topics.as_ref().is_none_or(|names| names.contains(&topic.name))
    };
    if let Some(name) =
        wanted.topics.iter().flatten().find(|name| !topics.iter().any(|topic| topic.name == **name))
    {
        return Err(BagError::NoTopic { path: bag.path().to_owned(), topic: name.clone() });
    }
    let starts = match wanted.from {
        Some(from) => key_frames_before(bag, from, &topics, &is_wanted),
        None => BTreeMap::new(),
    };
    let begin = starts.values().copied().min().into_iter().chain(wanted.from).min();

    let options = WriteOptions { storage: bag.metadata().storage, ..options };
    let (metadata, ()) = BagWriter::make(out, options, |new| -> Result<(), BagError> {
        let ids = add_topics(new, &topics, is_wanted)?;
        if let (Some(from), Some(begin)) = (wanted.from, begin) {
            let latched = topics.iter().filter(|topic| is_wanted(topic) && topic.is_latched());
            let latched: Vec<String> = latched.map(|topic| topic.name.clone()).collect();
            bag.rewind(&Filter { topics: Some(latched), from: None, until: Some(from) });
            let mut before: BTreeMap<usize, Latched> = BTreeMap::new();
            for message in bag.by_ref() {
                before.entry(message.topic).or_default().push(message.stamp, message.data);
            }
            for (topic, latched) in before {
                let Some(id) = ids[topic] else { continue };
                for (stamp, bytes) in latched {
                    new.write_bytes(id, Stamp { received: begin, ..stamp }, &bytes)?;
                }
            }
        }
        let names = topics.iter().filter(|topic| is_wanted(topic)).map(|topic| topic.name.clone()).collect();
        bag.rewind(&Filter { topics: Some(names), from: begin, until: wanted.until });
        for message in bag.by_ref() {
            let start = starts.get(&message.topic).copied().or(wanted.from).unwrap_or(i64::MIN);
            if let Some(id) = ids[message.topic].filter(|_| message.stamp.received >= start) {
                new.write_bytes(id, message.stamp, &message.data)?;
            }
        }
        for (name, text) in &bag.metadata().custom {
            new.set_custom_data(name, text);
        }
        Ok(())
    })?;
    Ok(metadata)
}

/// The wanted topics' numbers in the new bag, by their index.
fn add_topics(
    new: &mut BagWriter,
    topics: &[Topic],
    is_wanted: impl Fn(&Topic) -> bool,
) -> Result<Vec<Option<TopicId>>, BagError> {
    let mut ids: Vec<Option<TopicId>> = Vec::new();
    for topic in topics {
        // Two publishers of one topic may have differed in QoS; here they become one.
        let same = topics
            .iter()
            .take(ids.len())
            .position(|before| before.name == topic.name && before.type_name == topic.type_name);
        ids.push(match same {
            Some(same) => ids[same],
            None if is_wanted(topic) => Some(new.add_topic(as_written_now(topic))?),
            None => None,
        });
    }
    Ok(ids)
}

/// When each video topic must begin, by its index: at the last key frame that is not after `from`.
fn key_frames_before(
    bag: &mut BagReader,
    from: i64,
    topics: &[Topic],
    is_wanted: &impl Fn(&Topic) -> bool,
) -> BTreeMap<usize, i64> {
    let video = |topic: &Topic| VideoMessage::of_type(&topic.type_name).filter(|_| is_wanted(topic));
    let mut missing: Vec<usize> =
        (0..topics.len()).filter(|index| video(&topics[*index]).is_some()).collect();
    let first = bag.metadata().span().first;
    let mut found = BTreeMap::new();
    let (mut until, mut step) = (from.saturating_add(1), LOOK_BACK);
    while !missing.is_empty() && until > first {
        let begin = until.saturating_sub(step);
        let names = missing.iter().map(|index| topics[*index].name.clone()).collect();
        bag.rewind(&Filter { topics: Some(names), from: Some(begin), until: Some(until) });
        for message in bag.by_ref() {
            let decoded = video(&topics[message.topic]).map(|video| video.decode(&message.data));
            if let Some(Ok(picture)) = decoded
                && picture.key_frame
            {
                found.insert(message.topic, message.stamp.received);
            }
        }
        missing.retain(|index| !found.contains_key(index));
        (until, step) = (begin, step.saturating_mul(2));
    }
    found
}

/// Profiles of before version 9 are numbers, which a metadata.yaml of version 9 must not hold.
fn as_written_now(topic: &Topic) -> Topic {
    let offered_qos = Profiles::parse(&topic.offered_qos)
        .map_or_else(|| topic.offered_qos.clone(), |profiles| profiles.to_yaml());
    Topic { offered_qos, ..topic.clone() }
}
