//! Sets of blackboard entries that are certain to have been written.

use swarm_bt::SlotId;

/// A set of entries, as bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slots(Box<[u64]>);

impl Slots {
    /// Room for so many entries, none in it.
    pub(crate) fn none_of(count: usize) -> Self {
        Slots(vec![0; count.div_ceil(64)].into())
    }

    pub(crate) fn contains(&self, slot: SlotId) -> bool {
        let (word, bit) = place(slot);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    pub(crate) fn insert(&mut self, slot: SlotId) {
        let (word, bit) = place(slot);
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= bit;
        }
    }

    pub(crate) fn remove(&mut self, slot: SlotId) {
        let (word, bit) = place(slot);
        if let Some(bits) = self.0.get_mut(word) {
            *bits &= !bit;
        }
    }

    /// What is in both.
    pub(crate) fn intersect(&mut self, other: &Self) {
        for (bits, others) in self.0.iter_mut().zip(&other.0) {
            *bits &= others;
        }
    }

    /// What is in either.
    pub(crate) fn unite(&mut self, other: &Self) {
        for (bits, others) in self.0.iter_mut().zip(&other.0) {
            *bits |= others;
        }
    }
}

fn place(slot: SlotId) -> (usize, u64) {
    let index = slot.index();
    (index / 64, 1 << (index % 64))
}
