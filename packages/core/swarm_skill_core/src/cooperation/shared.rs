//! Entries of the blackboard that roles share, carried in every report.
//!
//! - `cell_...` is *cell-shared*: any role writes it, every role reads it.
//! - `role_...` is *role-shared*: it belongs to one role, and whoever plays the role has it; a successor finds what its predecessor
//!   left. Other roles do not see it, though their reports carry it.
//! - Anything else is *local*.
//!
//! The last writer wins, by [`Stamp`]: epoch first, so that a role that was replaced cannot undo anything. Everybody repeats what it
//! knows, so an entry outlives its writer.

use std::collections::BTreeMap;

use super::Cooperation;
use crate::message::{Report, SharedEntry, SharedValue, Stamp};

/// Entries at most; a report must stay small.
const MOST_ENTRIES: usize = 32;
/// Bytes of a text and numbers of a vector at most.
const LONGEST: usize = 256;

/// An entry that cannot be shared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SharedError {
    #[error("'{key}' cannot be shared: {MOST_ENTRIES} entries are, and no more fit into a report")]
    TooMany { key: String },
    #[error("'{key}' cannot be shared: it is {found} long, at most {LONGEST} are allowed")]
    TooLong { key: String, found: usize },
    #[error("'{key}' cannot be shared: it holds a number that is not finite")]
    NotFinite { key: String },
}

impl Cooperation {
    /// Writes a shared entry.
    pub fn share(&mut self, key: &str, value: SharedValue) -> Result<(), SharedError> {
        let length = match &value {
            SharedValue::Text(text) => text.len(),
            SharedValue::Vector(numbers) => numbers.len(),
            SharedValue::Bool(_) | SharedValue::Int(_) | SharedValue::Float(_) => 0,
        };
        if length > LONGEST {
            return Err(SharedError::TooLong { key: key.to_owned(), found: length });
        }
        let finite = match &value {
            SharedValue::Float(number) => number.is_finite(),
            SharedValue::Vector(numbers) => numbers.iter().all(|number| number.is_finite()),
            SharedValue::Bool(_) | SharedValue::Int(_) | SharedValue::Text(_) => true,
        };
        if !finite {
            return Err(SharedError::NotFinite { key: key.to_owned() });
        }
        let name = self.wire_name(key);
        let before = self.own.entries.get(&name).map_or(0, |entry| entry.stamp.sequence);
        if before == 0 && self.own.entries.len() >= MOST_ENTRIES {
            return Err(SharedError::TooMany { key: key.to_owned() });
        }
        let stamp = Stamp { epoch: self.epoch, sequence: before + 1, writer: self.config.me };
        self.own.entries.insert(name, SharedEntry { stamp, value });
        self.urgent = true;
        Ok(())
    }

    /// A shared entry as it is known here.
    pub fn shared(&self, key: &str) -> Option<&SharedEntry> {
        self.own.entries.get(&self.wire_name(key))
    }

    pub(super) fn take_in_entries(&mut self, report: &Report) {
        merge(&mut self.own.entries, &report.entries);
    }

    /// Role-shared entries travel under their role's name.
    fn wire_name(&self, key: &str) -> String {
        if key.starts_with("role_") { format!("{}:{key}", self.config.me) } else { key.to_owned() }
    }
}

fn merge(own: &mut BTreeMap<String, SharedEntry>, heard: &BTreeMap<String, SharedEntry>) {
    for (key, entry) in heard {
        if let Some(known) = own.get_mut(key) {
            if known.stamp < entry.stamp {
                known.clone_from(entry);
            }
        } else if own.len() < MOST_ENTRIES {
            own.insert(key.clone(), entry.clone());
        }
    }
}
