//! What a repository needs though nobody changes anything: signatures before they expire, and other keys in time.

use super::{Lifetimes, Repository};
use crate::moment::Moment;
use crate::names::{ROOT, SNAPSHOT, TIMESTAMP};

/// When something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upkeep {
    /// How long before its end a role is signed anew, in seconds.
    pub renew_before: Lifetimes,
    /// How old a key may become, in seconds, by role. Keys without [`crate::Key::created`] are left alone.
    pub rotate_after: Lifetimes,
}

/// Something that is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chore {
    /// Do [`Repository::touch`].
    Renew { role: String },
    /// Do [`Repository::set_keys`] with new keys, as many as there are.
    Rotate { role: String },
}

impl Repository {
    /// What is due now. Done and published, the list is empty.
    pub fn chores(&self, now: Moment, upkeep: &Upkeep) -> Vec<Chore> {
        let mut chores = Vec::new();
        let top = [ROOT, SNAPSHOT, TIMESTAMP].into_iter();
        for role in top.chain(self.roles.keys().map(String::as_str)) {
            let aged = |created: Moment| created.plus(upkeep.rotate_after.of(role)) <= now;
            let keys = self.keys(role).map(|(keys, _)| keys).unwrap_or_default();
            if keys.iter().filter_map(|key| key.created_at()).any(aged) {
                chores.push(Chore::Rotate { role: role.to_owned() });
            }
            let renew_from = |expires: Moment| Moment(expires.0.saturating_sub(upkeep.renew_before.of(role)));
            if self.expires(role).is_none_or(|expires| renew_from(expires) <= now) {
                chores.push(Chore::Renew { role: role.to_owned() });
            }
        }
        chores
    }
}
