//! Whether a bag holds what it says, and whether what it says fits together.
//!
//! Every message is read once. Compared are
//! - counts: of the storage's index, of metadata.yaml, of what was read, and of what the recorder said on
//!   [`LOSS_TOPIC`];
//! - topics, types and QoS between metadata.yaml and the storage. Where these differ, readers differ: PyPI `rosbags` shows the
//!   count and gives no message, without an error;
//! - times: stamps in the messages of a topic must not go back, and pictures of one camera have times of their own;
//! - gaps of topics that come regularly;
//! - the messages themselves, as far as all have in common: CDR's header, and pictures that begin with one that stands alone.
//!
//! A *problem* is where one of these is not so. A *note* is what a reader should know besides: losses that were counted, a
//! version that is newer than those known here.

mod flow;

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Duration;

use crate::metadata::{Listing, VERSION};
use crate::msg::RecordingLoss;
use crate::qos::Profiles;
use crate::read::BagReader;
use crate::recorder::LOSS_TOPIC;
use crate::topic::Topic;

use flow::Flow;

/// What is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Longest gap within any topic. Without it a topic that comes regularly may have gaps of up to [`REGULAR_GAP`] of its
    /// intervals, and others any.
    pub longest_gap: Option<Duration>,
}

/// Intervals of a regular topic that one of its gaps may last.
pub const REGULAR_GAP: i64 = 5;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub problems: Vec<Problem>,
    pub notes: Vec<String>,
    pub topics: Vec<TopicReport>,
    /// Whether every file was ended by its recorder.
    pub finished: bool,
}

impl Report {
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One topic as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicReport {
    pub name: String,
    pub type_name: String,
    pub messages: u64,
    /// First and last time of reception, nanoseconds since the epoch.
    pub first: Option<i64>,
    pub last: Option<i64>,
    /// Median of the times between two messages; none of fewer than three.
    pub interval: Option<Duration>,
    /// The longest time between two messages.
    pub longest_gap: Option<Duration>,
    /// What the recorder said last.
    pub loss: Option<RecordingLoss>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub kind: ProblemKind,
    /// Topic or file.
    pub subject: String,
    pub expected: String,
    pub actual: String,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// Something cannot be read, or the bag was cut off.
    Damage,
    /// Two places say different counts.
    Count,
    /// The recorder said another count than there is.
    Loss,
    /// A topic is not on both sides, or with another type.
    Topic,
    /// QoS differs between metadata.yaml and storage.
    Qos,
    /// Stamps go back or stand still.
    Time,
    /// Nothing came for too long.
    Gap,
    /// A message is no message.
    Message,
}

impl ProblemKind {
    /// One word, for scripts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Damage => "damage",
            Self::Count => "count",
            Self::Loss => "loss",
            Self::Topic => "topic",
            Self::Qos => "qos",
            Self::Time => "time",
            Self::Gap => "gap",
            Self::Message => "message",
        }
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: expected {}, found {}", self.kind.name(), self.subject, self.expected, self.actual)
    }
}

/// Reads all of the bag and compares.
pub fn check(bag: &mut BagReader, options: CheckOptions) -> Report {
    let mut report = Report { finished: bag.is_finished(), ..Report::default() };
    let mut flows: Vec<Flow> = bag.topics().iter().map(Flow::of).collect();
    let mut losses = BTreeMap::new();
    bag.rewind(&crate::Filter::default());
    let (mut newest, mut early) = (i64::MIN, 0_u64);
    while let Some(message) = bag.next() {
        early += u64::from(message.stamp.received < newest);
        newest = newest.max(message.stamp.received);
        flows[message.topic].take(message.stamp.received, &message.data);
        if bag.topics()[message.topic].name == LOSS_TOPIC
            && let Ok(loss) = bag.decode::<RecordingLoss>(&message)
        {
            losses.insert(loss.topic.clone(), loss);
        }
    }
    if early > 0 {
        let expected = "messages in the order of their times, as the storage's index has them";
        report.problem(
            ProblemKind::Damage,
            "the bag",
            expected,
            format!("{early} that are older than one before"),
        );
    }
    for damage in bag.damage() {
        report.problem(ProblemKind::Damage, "the bag", "a bag that can be read to its end", damage);
    }
    if !report.finished {
        let cut = "one that was cut off or is still being recorded; it ends at the last sync";
        report.problem(ProblemKind::Damage, "the bag", "a bag that its recorder finished", cut);
    }
    report.compare_counts(bag, &flows);
    report.compare_losses(bag.topics(), &flows, &losses);
    if let Some(listing) = bag.listing() {
        report.compare_listing("metadata.yaml", listing, bag, &flows);
    }
    for (topic, flow) in bag.topics().iter().zip(&mut flows) {
        report.problems.extend(flow.problems(topic, options));
        report.notes.extend(flow.note(topic));
        report.topics.push(TopicReport {
            name: topic.name.clone(),
            type_name: topic.type_name.clone(),
            messages: flow.count,
            first: flow.first,
            last: flow.last,
            interval: flow.interval(),
            longest_gap: flow.longest_gap(),
            loss: losses.get(&topic.name).cloned(),
        });
    }
    report
}

impl Report {
    fn problem(
        &mut self,
        kind: ProblemKind,
        subject: impl Into<String>,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) {
        let (subject, expected, actual) = (subject.into(), expected.into(), actual.into());
        self.problems.push(Problem { kind, subject, expected, actual });
    }

    /// What the storage counts against what it gives, and what each file says of itself.
    fn compare_counts(&mut self, bag: &BagReader, flows: &[Flow]) {
        for (counted, flow) in bag.metadata().topics.iter().zip(flows) {
            if counted.count != flow.count {
                let expected = format!("{} messages, as the storage's index says", counted.count);
                self.problem(
                    ProblemKind::Count,
                    &counted.topic.name,
                    expected,
                    format!("{} messages", flow.count),
                );
            }
        }
        for ((name, said), file) in bag.file_listings().zip(&bag.metadata().files) {
            if let Some(said) = said.and_then(|said| said.messages)
                && said != file.span.count
            {
                let expected = format!("{said} messages, as the file says of itself");
                self.problem(ProblemKind::Count, name, expected, format!("{} messages", file.span.count));
            }
        }
    }

    fn compare_losses(&mut self, topics: &[Topic], flows: &[Flow], losses: &BTreeMap<String, RecordingLoss>) {
        if !topics.iter().any(|topic| topic.name == LOSS_TOPIC) {
            self.notes.push(format!("no {LOSS_TOPIC} in the bag: its recorder did not say what it lost"));
            return;
        }
        let mut found = BTreeMap::<&str, u64>::new();
        for (topic, flow) in topics.iter().zip(flows).filter(|(topic, _)| topic.name != LOSS_TOPIC) {
            *found.entry(&topic.name).or_default() += flow.count;
        }
        for (name, loss) in losses {
            let there = found.get(name.as_str()).copied().unwrap_or(0);
            // Behind the last report of a bag that was cut off may be more.
            if if self.finished { there != loss.recorded } else { there < loss.recorded } {
                let expected = format!("{} messages, as the recorder said on {LOSS_TOPIC}", loss.recorded);
                self.problem(ProblemKind::Loss, name, expected, format!("{there} messages"));
            }
            let sum = loss.recorded + loss.dropped_queue + loss.dropped_disk;
            if sum != loss.received {
                let expected = format!("{} received = recorded + dropped", loss.received);
                self.problem(ProblemKind::Loss, name, expected, sum.to_string());
            }
            for (count, why) in [
                (loss.dropped_queue, "were dropped while the disk was slow"),
                (loss.dropped_disk, "were dropped since the disk was full or refused"),
                (loss.lost_network, "were lost before they came to the recorder"),
            ] {
                if count > 0 {
                    self.notes.push(format!("{name}: {count} messages {why}"));
                }
            }
        }
        if self.finished {
            for name in found.keys().filter(|name| !losses.contains_key(**name)) {
                let expected = format!("a last report on {LOSS_TOPIC}");
                self.problem(ProblemKind::Loss, *name, expected, "none");
            }
        }
    }

    fn compare_listing(&mut self, place: &str, listing: &Listing, bag: &BagReader, flows: &[Flow]) {
        if let Some(version) = listing.version.filter(|version| *version > u64::from(VERSION)) {
            self.notes.push(format!(
                "{place} has version {version}, newer than {VERSION}, which is the newest known here; messages are read from the storage"
            ));
        }
        let stored = bag.metadata();
        if listing.storage != stored.storage.identifier() && !stored.files.is_empty() {
            let expected = format!("storage {}, as {place} says", listing.storage);
            self.problem(ProblemKind::Topic, "the bag", expected, stored.storage.identifier());
        }
        let total: u64 = flows.iter().map(|flow| flow.count).sum();
        if let Some(said) = listing.messages.filter(|said| *said != total) {
            let expected = format!("{said} messages, as {place} says");
            self.problem(ProblemKind::Count, "the bag", expected, format!("{total} messages"));
        }
        for said in &listing.topics {
            let same = |topic: &&Topic| topic.name == said.name && topic.type_name == said.type_name;
            let there: Vec<(&Topic, &Flow)> =
                bag.topics().iter().zip(flows).filter(|(topic, _)| same(topic)).collect();
            if there.is_empty() {
                let other = bag.topics().iter().find(|topic| topic.name == said.name);
                let actual = other.map_or("no such topic".to_owned(), |topic| topic.type_name.clone());
                let expected = format!("{} in the storage, as {place} says", said.type_name);
                self.problem(ProblemKind::Topic, &said.name, expected, actual);
                continue;
            }
            let offered = |topic: &Topic| Profiles::parse(&topic.offered_qos);
            if !there.iter().any(|(topic, _)| offered(topic).as_ref() == Some(&said.qos)) {
                let actual = offered(there[0].0)
                    .map_or("a text that is no list of profiles".to_owned(), |qos| {
                        format!("{qos}; some readers give no message of it")
                    });
                let expected = format!("QoS {} in the storage, as {place} says", said.qos);
                self.problem(ProblemKind::Qos, &said.name, expected, actual);
            }
            let count: u64 = there.iter().map(|(_, flow)| flow.count).sum();
            let twice = listing.topics.iter().filter(|other| other.name == said.name).count() > 1;
            if count != said.messages && !twice {
                let expected = format!("{} messages, as {place} says", said.messages);
                self.problem(ProblemKind::Count, &said.name, expected, format!("{count} messages"));
            }
        }
        for topic in bag.topics() {
            if !listing.topics.iter().any(|said| said.name == topic.name) {
                let expected = format!("no such topic, as {place} says");
                self.problem(
                    ProblemKind::Topic,
                    &topic.name,
                    expected,
                    format!("{} in the storage", topic.type_name),
                );
            }
        }
    }
}
