//! Progress in step (after Colledanchise and Natale, "Handling Concurrency in Behavior Trees", T-RO 2021): a role that is ahead of
//! the slowest one by more than it may be stands still until the others have come up.
//!
//! Progress never goes back, so what was heard of a peer is at most what it has done: loss and delay make a role wait longer, and never
//! run ahead. A role that has ended its part of the work does not keep anybody waiting.

use swarm_base::Role;

use super::Cooperation;
use super::phase::words;
use crate::message::Standing;

/// Work in step, as this role sees it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pace {
    with: Vec<Role>,
    delta: f64,
    ended: bool,
}

impl Pace {
    pub(super) fn hash_into(&self, into: &mut impl std::hash::Hasher) {
        use std::hash::Hash as _;
        (&self.with, self.delta.to_bits(), self.ended).hash(into);
    }
}

/// Progress that is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PaceError {
    #[error("progress '{name}' is {value}, expected a finite number that does not go back from {before}")]
    Value { name: String, value: f64, before: f64 },
    #[error("progress '{name}' has ended in this run; give every piece of work a name of its own")]
    Ended { name: String },
}

impl Cooperation {
    /// This role's progress in the work `name` that it does in step with others: no more than `delta` ahead of the slowest.
    pub fn keep_pace(&mut self, name: &str, value: f64, delta: f64, with: &[Role]) -> Result<(), PaceError> {
        let before = self.own.paces.get(name).copied();
        let ended = self.paces.get(name).is_some_and(|pace| pace.ended);
        if ended {
            return Err(PaceError::Ended { name: name.to_owned() });
        }
        if !value.is_finite() || before.is_some_and(|before| value < before) {
            let before = before.unwrap_or(f64::NEG_INFINITY);
            return Err(PaceError::Value { name: name.to_owned(), value, before });
        }
        if before != Some(value) {
            self.own.paces.insert(name.to_owned(), value);
            let with = with.iter().copied().filter(|role| *role != self.config.me).collect();
            self.paces.insert(name.to_owned(), Pace { with, delta, ended: false });
        }
        Ok(())
    }

    /// This role's part of the work has ended, one way or another.
    pub fn end_pace(&mut self, name: &str) {
        // Work that has failed before its first progress keeps the others waiting at 0 as well.
        let pace = Pace { with: Vec::new(), delta: 0.0, ended: true };
        self.paces.entry(name.to_owned()).or_insert(pace).ended = true;
        self.own.paces.insert(name.to_owned(), f64::MAX);
        self.urgent = true;
    }

    /// A reason to hold because this role is ahead.
    pub(super) fn ahead(&self) -> Option<String> {
        self.paces.iter().filter(|(_, pace)| !pace.ended).find_map(|(name, pace)| {
            let own = self.own.paces.get(name)?;
            let behind = self.peers.iter().filter(|peer| {
                let theirs = peer.report.paces.get(name).copied().unwrap_or(0.0);
                pace.with.contains(&peer.role)
                    && peer.report.standing == Standing::Active
                    && own - theirs > pace.delta
            });
            let behind = words(behind.map(|peer| peer.role));
            let is_ahead = behind != "nobody";
            is_ahead.then(|| format!("ahead of {behind} in '{name}' by more than {}", pace.delta))
        })
    }
}
