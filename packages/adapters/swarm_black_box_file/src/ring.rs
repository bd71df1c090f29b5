//! The last moments in memory, for a stop that may come.

use std::collections::VecDeque;

use swarm_base::{Duration, Time};
use swarm_black_box::Entry;

/// Entries of at least the last `before`, beginning with a recorded state unless that was taken out.
#[derive(Debug)]
pub(crate) struct Ring {
    before: Duration,
    most: usize,
    /// Each begins with a snapshot and goes up to the next one; none is empty.
    parts: VecDeque<Part>,
    entries: usize,
}

#[derive(Debug)]
struct Part {
    begins: Option<Time>,
    entries: VecDeque<Entry>,
}

impl Ring {
    /// Holds about `most` entries at most; if these are less than `before`, the oldest go.
    pub(crate) fn new(before: Duration, most: usize) -> Self {
        Self { before, most, parts: VecDeque::new(), entries: 0 }
    }

    /// Takes an entry, and lets go of those that are older than `before`.
    pub(crate) fn push(&mut self, entry: &Entry) {
        self.keep(entry);
        if let Entry::Cycle { cycle, .. } = entry {
            self.forget(cycle.now);
        }
    }

    /// Takes an entry, and lets go of none.
    pub(crate) fn keep(&mut self, entry: &Entry) {
        if matches!(entry, Entry::Snapshot(_)) || self.parts.is_empty() {
            self.parts.push_back(Part { begins: None, entries: VecDeque::new() });
        }
        let part = self.parts.back_mut().expect("a part was pushed if there was none");
        if let Entry::Cycle { cycle, .. } = entry {
            part.begins.get_or_insert(cycle.now);
        }
        part.entries.push_back(*entry);
        self.entries += 1;
    }

    /// The oldest entry.
    pub(crate) fn first(&self) -> Option<&Entry> {
        self.parts.front()?.entries.front()
    }

    /// Takes the oldest entry out.
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let part = self.parts.front_mut()?;
        let entry = part.entries.pop_front()?;
        self.entries -= 1;
        if part.entries.is_empty() {
            self.parts.pop_front();
        }
        Some(entry)
    }

    /// Takes the oldest part out, if there are more entries than may be.
    pub(crate) fn overflow(&mut self) -> Option<VecDeque<Entry>> {
        if self.entries <= self.most || self.parts.len() < 2 {
            return None;
        }
        let part = self.parts.pop_front()?;
        self.entries -= part.entries.len();
        Some(part.entries)
    }

    fn forget(&mut self, now: Time) {
        while let Some(next) = self.parts.get(1).and_then(|part| part.begins)
            && (now.since(next) >= self.before || self.entries > self.most)
        {
            self.entries -= self.parts.pop_front().map_or(0, |part| part.entries.len());
        }
    }
}
