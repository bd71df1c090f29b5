//! What a ring keeps, and what it lets go of.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use super::snapshot::Cut;
use super::{RingOptions, RingStatus};
use crate::error::BagError;
use crate::item::{Item, Kind};
use crate::latched::Latched;
use crate::topic::Topic;
use crate::write::{Stamp, TopicId, same_topic};

/// What a message takes beside its bytes.
const ITEM: usize = size_of::<Item>() + 64;

#[derive(Debug)]
pub(super) struct Kept {
    options: RingOptions,
    topics: Vec<Lane>,
    ids: BTreeMap<String, TopicId>,
    /// Time of the newest message, nanoseconds since the epoch; none while there is none.
    newest: Option<i64>,
    /// Of what is within the span.
    bytes: usize,
    crowded_out: u64,
}

/// The messages of one topic, oldest first. Of video the first is a key frame.
#[derive(Debug)]
struct Lane {
    topic: Topic,
    items: VecDeque<Item>,
    /// What a latched topic said before these.
    before: Option<Latched>,
}

impl Kept {
    pub(super) fn new(options: RingOptions) -> Self {
        Self { options, topics: Vec::new(), ids: BTreeMap::new(), newest: None, bytes: 0, crowded_out: 0 }
    }

    pub(super) fn add_topic(&mut self, topic: Topic) -> Result<TopicId, BagError> {
        if let Some(id) = self.ids.get(&topic.name) {
            same_topic(&self.topics[id.index()].topic, &topic)?;
            return Ok(*id);
        }
        let id = u16::try_from(self.topics.len() + 1)
            .map(TopicId)
            .map_err(|_| BagError::TooManyTopics { path: PathBuf::from("the ring") })?;
        self.ids.insert(topic.name.clone(), id);
        let before = topic.is_latched().then(Latched::default);
        self.topics.push(Lane { topic, items: VecDeque::new(), before });
        Ok(id)
    }

    pub(super) fn push(&mut self, topic: TopicId, item: Item) {
        let time = item.stamp.received;
        if self.newest.is_some_and(|newest| time < newest.saturating_sub(nanos(self.options.span))) {
            self.forget(); // the clock was set back
        }
        self.newest = Some(self.newest.map_or(time, |newest| newest.max(time)));
        let lane = &mut self.topics[topic.index()];
        if item.kind == Kind::DeltaFrame && lane.items.is_empty() {
            return; // nothing that it could be the difference to
        }
        self.bytes += cost(&item);
        if lane.items.len() == lane.items.capacity() {
            // By doubling, half of it would stay empty for ever: what a lane holds does not grow on.
            lane.items.reserve_exact(lane.items.len() / 32 + 16);
        }
        lane.items.push_back(item);
        self.let_go();
    }

    pub(super) fn forget(&mut self) {
        for lane in &mut self.topics {
            lane.drop_until(lane.items.len());
        }
        (self.newest, self.bytes) = (None, 0);
    }

    fn let_go(&mut self) {
        let horizon = self.horizon(self.options.span);
        for lane in &mut self.topics {
            while lane.first_is_before(horizon) {
                self.bytes -= lane.drop_first().1;
            }
        }
        while self.bytes > self.options.bytes {
            let oldest = |lane: &&mut Lane| lane.items.front().map(|item| item.stamp.received);
            let full = self.topics.iter_mut().filter(|lane| !lane.items.is_empty());
            let Some(lane) = full.min_by_key(oldest) else { break };
            let (count, bytes) = lane.drop_first();
            self.bytes -= bytes;
            self.crowded_out += count;
        }
    }

    fn horizon(&self, last: Duration) -> i64 {
        self.newest.unwrap_or(0).saturating_sub(nanos(last))
    }

    pub(super) fn latched(&self) -> Vec<(TopicId, Item)> {
        let latched = |(id, lane): (TopicId, &Lane)| {
            let messages = lane.latched_at(lane.items.len())?;
            Some(
                messages
                    .into_iter()
                    .map(move |(stamp, bytes)| (id, Item { stamp, bytes, kind: Kind::Message })),
            )
        };
        self.numbered().filter_map(latched).flatten().collect()
    }

    pub(super) fn status(&self) -> RingStatus {
        let oldest = self.topics.iter().filter_map(|lane| lane.items.front());
        let oldest = oldest.map(|item| item.stamp.received).min();
        let span = oldest.zip(self.newest).map_or(0, |(oldest, newest)| newest.saturating_sub(oldest));
        RingStatus {
            messages: self.topics.iter().map(|lane| lane.items.len() as u64).sum(),
            bytes: self.bytes,
            span: Duration::from_nanos(span.unsigned_abs()),
            crowded_out: self.crowded_out,
        }
    }

    /// Topics with their messages. What latched topics said before stands at the beginning, so that a bag does not begin hours
    /// earlier. Whoever holds this holds the memory beside the ring: nothing is taken but what is needed.
    pub(super) fn cut(&self, last: Option<Duration>) -> Vec<(Topic, Vec<Cut>)> {
        let horizon = last.map_or(i64::MIN, |last| self.horizon(last));
        let begins: Vec<usize> = self.topics.iter().map(|lane| lane.begin(horizon)).collect();
        let firsts = self.topics.iter().zip(&begins).filter_map(|(lane, begin)| lane.items.get(*begin));
        let start = firsts.map(|item| item.stamp.received).min().or(self.newest);
        let cut = |(lane, begin): (&Lane, &usize)| {
            let before = lane.latched_at(*begin).into_iter().flatten();
            let before = before.map(|(stamp, bytes)| {
                let received = start.map_or(stamp.received, |start| start.max(stamp.received));
                (Stamp { received, ..stamp }, bytes)
            });
            let since = lane.items.range(begin..).map(|item| (item.stamp, item.bytes.clone()));
            (lane.topic.clone(), before.chain(since).collect())
        };
        self.topics.iter().zip(&begins).map(cut).collect()
    }

    fn numbered(&self) -> impl Iterator<Item = (TopicId, &Lane)> {
        (1..).map(TopicId).zip(&self.topics)
    }
}

impl Lane {
    /// Where the second message begins that can be understood alone.
    fn second(&self) -> Option<usize> {
        (1..self.items.len()).find(|index| self.items[*index].kind != Kind::DeltaFrame)
    }

    /// Whether the first message, with those that need it, says nothing about the time after the horizon.
    fn first_is_before(&self, horizon: i64) -> bool {
        let Some(first) = self.items.front() else { return false };
        if first.stamp.received >= horizon {
            return false;
        }
        match first.kind {
            Kind::Message => true,
            // The picture at the horizon needs the key frame before it.
            Kind::KeyFrame | Kind::DeltaFrame => {
                self.second().is_some_and(|second| self.items[second].stamp.received <= horizon)
            }
        }
    }

    /// Drops the first message with those that need it. Says how many, and how much.
    fn drop_first(&mut self) -> (u64, usize) {
        let end = self.second().unwrap_or(self.items.len());
        (end as u64, self.drop_until(end))
    }

    /// Drops the first messages; a latched topic's last ones are remembered. Says how much.
    fn drop_until(&mut self, end: usize) -> usize {
        let mut bytes = 0;
        for item in self.items.drain(..end) {
            bytes += cost(&item);
            if let Some(before) = &mut self.before {
                before.push(item.stamp, item.bytes);
            }
        }
        bytes
    }

    /// What a latched topic has said up to its message of this index.
    fn latched_at(&self, end: usize) -> Option<Latched> {
        let mut latched = self.before.clone()?;
        for item in self.items.range(..end) {
            latched.push(item.stamp, item.bytes.clone());
        }
        Some(latched)
    }

    /// Index of the first message that a cut at the horizon takes.
    fn begin(&self, horizon: i64) -> usize {
        let is_late = |item: &Item| item.stamp.received >= horizon;
        let late = self.items.iter().position(is_late).unwrap_or(self.items.len());
        if self
            .items
            .get(late)
            .is_some_and(|item| item.kind != Kind::DeltaFrame && item.stamp.received == horizon)
        {
            return late;
        }
        let key = (0..late).rev().find(|index| self.items[*index].kind == Kind::KeyFrame);
        key.unwrap_or(late)
    }
}

fn cost(item: &Item) -> usize {
    item.bytes.len() + ITEM
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
