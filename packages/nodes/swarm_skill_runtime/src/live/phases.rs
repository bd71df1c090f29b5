//! How long the roles take from the first at a barrier to the last behind it.

use std::collections::BTreeMap;

use swarm_base::{Duration, Time};

/// The phases of one run as they go by.
#[derive(Debug, Default)]
pub(super) struct Phases {
    /// The phase that every role has entered.
    common: String,
    /// When the first role stood at the barrier of a phase that not everybody has entered.
    first_at: BTreeMap<String, Time>,
    last_look: Time,
}

/// All roles have entered a phase.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entered {
    /// The phase before it; empty for the first.
    pub(super) from: String,
    pub(super) to: String,
    pub(super) took: Duration,
}

impl Phases {
    pub(super) fn new(now: Time) -> Self {
        Self { last_look: now, ..Self::default() }
    }

    /// After a tick: the phase that each role has entered last, and the one at whose barrier it stands.
    pub(super) fn look(
        &mut self,
        phases: &[String],
        barriers: &[Option<&str>],
        now: Time,
    ) -> Option<Entered> {
        for phase in barriers.iter().flatten() {
            if !self.first_at.contains_key(*phase) {
                self.first_at.insert((*phase).to_owned(), now);
            }
        }
        let before = std::mem::replace(&mut self.last_look, now);
        let common = phases.first().filter(|first| phases.iter().all(|phase| phase == *first))?;
        if common.is_empty() || *common == self.common {
            return None;
        }
        // Who came and went between two looks had waited for less than the time between them.
        let since = self.first_at.remove(common).unwrap_or(before);
        let from = std::mem::replace(&mut self.common, common.clone());
        Some(Entered { from, to: common.clone(), took: now.since(since) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_runs_from_the_first_at_the_barrier_to_the_last_behind_it() {
        let mut phases = Phases::new(Time::ZERO);
        let names = |names: [&str; 2]| names.map(str::to_owned);
        let mut look = |roles: [&str; 2], at: [Option<&str>; 2], ms: u64| {
            phases.look(&names(roles), &at, Time::from_millis(ms))
        };
        assert_eq!(look(["", ""], [Some("fetch"), None], 10), None);
        assert_eq!(look(["", ""], [Some("fetch"), Some("fetch")], 300), None);
        assert_eq!(look(["fetch", ""], [None, Some("fetch")], 310), None);
        let first = Entered { from: String::new(), to: "fetch".into(), took: Duration::from_millis(310) };
        assert_eq!(look(["fetch", "fetch"], [None, None], 320), Some(first));
        assert_eq!(look(["fetch", "fetch"], [None, None], 330), None);
        // All at once, between two looks.
        let second = Entered { from: "fetch".into(), to: "mate".into(), took: Duration::from_millis(10) };
        assert_eq!(look(["mate", "mate"], [None, None], 340), Some(second));
    }
}
