//! The last moments in memory, for a stop that may come.

use std::collections::VecDeque;

use swarm_base::{Duration, Time};
use swarm_black_box::Entry;

/// Entries of at least the last `before`, beginning with a recorded state.
#[derive(Debug)]
pub(crate) struct Ring {
    before: Duration,
    most: usize,
    /// Each begins with a snapshot and goes up to the next one.
    parts: VecDeque<Part>,
    entries: usize,
}

#[derive(Debug)]
struct Part {
    begins: Option<Time>,
    entries: Vec<Entry>,
}

impl Ring {
    /// Holds at most `most` entries; if these are less than `before`, the oldest go.
    pub(crate) fn new(before: Duration, most: usize) -> Self {
        Self { before, most, parts: VecDeque::new(), entries: 0 }
    }

    #[expect(clippy::large_types_passed_by_value, reason = "the ring keeps it")]
    pub(crate) fn push(&mut self, entry: Entry) {
        if matches!(entry, Entry::Snapshot(_)) || self.parts.is_empty() {
            self.parts.push_back(Part { begins: None, entries: Vec::new() });
        }
        let part = self.parts.back_mut().expect("a part was pushed if there was none");
        if let Entry::Cycle { cycle, .. } = &entry {
            part.begins.get_or_insert(cycle.now);
            let now = cycle.now;
            part.entries.push(entry);
            self.entries += 1;
            self.forget(now);
        } else {
            part.entries.push(entry);
            self.entries += 1;
        }
    }

    /// Everything, oldest first; the ring is empty afterwards.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Entry> + use<> {
        self.entries = 0;
        std::mem::take(&mut self.parts).into_iter().flat_map(|part| part.entries)
    }

    fn forget(&mut self, now: Time) {
        while let Some(next) = self.parts.get(1).and_then(|part| part.begins)
            && (now.since(next) >= self.before || self.entries > self.most)
        {
            self.entries -= self.parts.pop_front().map_or(0, |part| part.entries.len());
        }
    }
}
