//! Phases: all roles enter one together, in the order of the run's list.

use swarm_base::Role;

use super::Cooperation;
use crate::message::Standing;

/// Answer to the wish to enter a phase or to pass a meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Not everybody is there, or not everybody is known to have entered.
    Waiting,
    /// Every role has entered: act.
    Acting,
}

/// A phase that cannot be entered now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhaseError {
    #[error("'{phase}' is no phase of this run; its phases are {known}")]
    Unknown { phase: String, known: String },
    #[error("phase '{phase}' cannot be entered now; the next one is '{next}'")]
    OutOfOrder { phase: String, next: String },
    #[error("phase '{phase}' is over; the run is in phase '{current}'")]
    Over { phase: String, current: String },
}

impl Cooperation {
    /// Declares this role ready for `phase` and says whether it may act in it. To be repeated until it may, or until the barrier is
    /// [left](Self::leave_phase).
    pub fn enter(&mut self, phase: &str) -> Result<Entry, PhaseError> {
        let Some(number) = self.phase_number(phase) else {
            let known: Vec<&str> = self.config.phases.iter().map(|phase| phase.name.as_str()).collect();
            return Err(PhaseError::Unknown { phase: phase.into(), known: known.join(", ") });
        };
        if number < self.own.entered {
            let current = self.phase().to_owned();
            return Err(PhaseError::Over { phase: phase.into(), current });
        }
        if number > self.own.entered + 1 {
            let next = self.config.phases[self.own.entered as usize].name.clone();
            return Err(PhaseError::OutOfOrder { phase: phase.into(), next });
        }
        if number > self.own.ready {
            self.own.ready = number;
            self.urgent = true;
        }
        self.enter_if_all_are_ready();
        let all_entered =
            self.own.entered >= number && self.peers.iter().all(|peer| peer.report.entered >= number);
        if !all_entered {
            return Ok(Entry::Waiting);
        }
        self.acted = self.acted.max(number);
        Ok(Entry::Acting)
    }

    /// Leaves the barrier of a phase without having passed it. A role that has entered already has committed itself: others may act
    /// relying on it, so the run ends.
    pub fn leave_phase(&mut self, phase: &str) {
        let Some(number) = self.phase_number(phase) else { return };
        if number <= self.acted || number != self.own.ready {
            return;
        }
        if number == self.own.entered {
            self.abort(format!("left the barrier of phase '{phase}' after entering it"));
        } else {
            self.own.ready = number - 1;
            self.urgent = true;
        }
    }

    /// The phase that this role has entered last; empty before the first.
    pub fn phase(&self) -> &str {
        match self.own.entered {
            0 => "",
            number => &self.config.phases[number as usize - 1].name,
        }
    }

    /// Share of the phases that this role has left behind, 0..1.
    pub fn progress(&self) -> f64 {
        if self.own.standing == Standing::Done {
            return 1.0;
        }
        f64::from(self.own.entered.saturating_sub(1)) / (self.config.phases.len().max(1)) as f64
    }

    /// The roles that have not entered `phase`, as words for a message.
    pub fn missing_at(&self, phase: &str) -> String {
        let number = self.phase_number(phase).unwrap_or(0);
        words(self.peers.iter().filter(|peer| peer.report.entered < number).map(|peer| peer.role))
    }

    fn phase_number(&self, phase: &str) -> Option<u32> {
        self.config.phases.iter().position(|known| known.name == phase).map(|index| index as u32 + 1)
    }

    /// Step 2 of the protocol. Who has fallen silent is not relied on: it may be about to be replaced. And a role that has promised to
    /// replace another enters nothing in the old epoch.
    pub(super) fn enter_if_all_are_ready(&mut self) {
        let wanted = self.own.ready;
        if wanted > self.own.entered
            && self.aborted.is_none()
            && !self.has_promised()
            && self.is_recognised()
            && self.peers.iter().all(|peer| peer.report.ready >= wanted)
            && self.lost().is_empty()
        {
            self.own.entered = wanted;
            self.urgent = true;
        }
    }
}

/// Roles as words for a message.
pub(super) fn words(roles: impl Iterator<Item = Role>) -> String {
    let names: Vec<&str> = roles.map(Role::as_str).collect();
    if names.is_empty() { "nobody".into() } else { names.join(", ") }
}
