//! A number for the whole state of a role's cooperation, for exploring it and for comparing two runs.

use std::hash::{Hash, Hasher};

use swarm_base::Time;

use super::Cooperation;
use crate::message::{Report, SharedValue};

impl Cooperation {
    /// Feeds everything that decides what this role does next into `into`, with times as ages: two states that differ only in the time of
    /// day are equal.
    pub fn hash_state(&self, now: Time, into: &mut impl Hasher) {
        let age = |time: Time| now.since(time);
        self.epoch.hash(into);
        self.own.hash_state(into);
        self.wish.hash(into);
        self.sequence.hash(into);
        (self.sent.map(age), self.urgent, self.holding_since.map(age)).hash(into);
        (&self.aborted, self.acted, &self.passed, &self.watched, &self.recovering).hash(into);
        (self.at_rest, self.finished).hash(into);
        for peer in &self.peers {
            (peer.instance, peer.sequence, age(peer.heard), age(peer.confirmed)).hash(into);
            peer.standby.map(|(instance, heard)| (instance, age(heard))).hash(into);
            peer.report.hash_state(into);
        }
        self.leases.hash(into);
        for (name, pace) in &self.paces {
            name.hash(into);
            pace.hash_into(into);
        }
        // Of the times of what was sent only those matter that a peer can still confirm.
        for peer in &self.peers {
            let confirmed = peer.report.heard[self.config.me as usize].sequence;
            (confirmed..=self.sequence).for_each(|sequence| self.sent_times.of(sequence).map(age).hash(into));
        }
    }
}

impl Report {
    /// Feeds every field into `into`.
    pub fn hash_state(&self, into: &mut impl Hasher) {
        let Self {
            instance,
            ready,
            entered,
            standing,
            hold,
            contact_force_n,
            heard,
            lost,
            gates,
            tickets,
            paces,
            entries,
            vote,
            inherits,
        } = self;
        (instance, ready, entered, standing, hold).hash(into);
        (contact_force_n.to_bits(), heard, lost, gates, tickets, vote, inherits).hash(into);
        for (name, pace) in paces {
            (name, pace.to_bits()).hash(into);
        }
        for (key, entry) in entries {
            (key, entry.stamp).hash(into);
            match &entry.value {
                SharedValue::Bool(value) => (0, value).hash(into),
                SharedValue::Int(value) => (1, value).hash(into),
                SharedValue::Float(value) => (2, value.to_bits()).hash(into),
                SharedValue::Text(value) => (3, value).hash(into),
                SharedValue::Vector(values) => {
                    (4, values.len()).hash(into);
                    for value in values {
                        value.to_bits().hash(into);
                    }
                }
            }
        }
    }
}
