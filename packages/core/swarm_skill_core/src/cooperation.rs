//! Phases with barriers: all roles of a run enter a phase, or none acts in it.
//!
//! # Vocabulary
//!
//! - *ready*: a role has done its part of the earlier phases and stands at the barrier of the next one.
//! - *entered*: the role has heard that every role is ready, and has committed itself to the phase. It still stands.
//! - *acting*: the role has heard that every role has entered. Only now may it move in the phase.
//! - *hold*: stand still, with the tree's clock stopped; *abort*: the run is over for this role, for good.
//!
//! # Protocol
//!
//! 1. A role that reaches the barrier of phase *k* reports `ready = k`.
//! 2. Once it has heard `ready >= k` from every other role it reports `entered = k`.
//! 3. Once it has heard `entered >= k` from every other role it acts.
//!
//! Both counters only grow, a [`Report`] holds both, and it is repeated; so loss, delay, duplication and reordering of messages
//! can make a step later but never wrong. There is no coordinator that could be lost.
//!
//! # Promise
//!
//! Whatever the link does to the messages, for one run id and epoch:
//!
//! - **A role acts in phase *k* only if every role of the run has entered *k*.** (All or none: no role can ever act in a phase
//!   that another one has not committed itself to.)
//! - **A role enters phase *k* only if every role has stood ready at its barrier.** (No role is ever more than one phase ahead.)
//! - **Bounded:** a role that has not heard from an unfinished peer for `peer_timeout` holds, and after `hold_timeout` more it aborts;
//!   a role that hears of an abort aborts with its next tick. So no later than `peer_timeout + hold_timeout` after a role fell silent
//!   or gave up, every other one has aborted, even if no message gets through at all.
//! - Whoever wants everybody to hold (a spotter) is obeyed for `hold_timeout` at most; then the run is aborted.
//!
//! Agreement in the strong sense ("every role knows that every role knows") cannot be had over a link that loses messages. What can
//! remain is one role acting and another one, entered and standing, that has not heard so yet: either it hears, or it aborts in bounded
//! time and takes the others with it.

use std::sync::Arc;

use swarm_base::{Duration, Role, Time};

use crate::message::{Report, RoleMessage, Standing};

/// Who takes part in a run, in which phases, and how patient everybody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CooperationConfig {
    /// Trace id of the run.
    pub run: Arc<str>,
    /// Run epoch. A run never shares it with an earlier one of the same id.
    pub epoch: u64,
    pub me: Role,
    /// All roles of the run, `me` among them.
    pub roles: Vec<Role>,
    /// Phases in the order in which they are entered.
    pub phases: Vec<String>,
    pub timing: Timing,
}

/// Patience with the other roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// An unchanged report is repeated after this time.
    pub heartbeat: Duration,
    /// Silence of a peer that makes a role hold.
    pub peer_timeout: Duration,
    /// Holding for longer than this, for whatever reason, becomes an abort.
    pub hold_timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(20),
            peer_timeout: Duration::from_millis(200),
            hold_timeout: Duration::from_millis(2_000),
        }
    }
}

/// What the other roles leave to this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leave {
    Go,
    /// Stand still; the reason names the role that it comes from.
    Hold(String),
    /// The run is over; the reason names the role that it comes from.
    Abort(String),
}

/// Answer to the wish to enter a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Not everybody is there, or not everybody is known to have entered.
    Waiting,
    /// Every role has entered the phase: act.
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

/// What became of a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    Accepted,
    /// Of another run or epoch.
    Foreign,
    /// Not newer than one that was accepted before.
    Old,
    /// From a role that does not take part, or from this role itself.
    Stranger,
}

/// One role's view of the others, and its own report.
#[derive(Debug)]
pub struct Cooperation {
    config: CooperationConfig,
    peers: Vec<Peer>,
    own: Report,
    /// Why this role's own tree wants everybody to hold.
    wish: Option<String>,
    sequence: u64,
    /// The report that was sent last, and when.
    sent: Option<(Time, Arc<Report>)>,
    holding_since: Option<Time>,
    aborted: Option<String>,
}

#[derive(Debug)]
struct Peer {
    role: Role,
    sequence: u64,
    heard: Time,
    report: Arc<Report>,
}

impl Cooperation {
    /// A run that begins `now`: every peer counts as heard from at this moment.
    pub fn new(config: CooperationConfig, now: Time) -> Self {
        let peers = config
            .roles
            .iter()
            .filter(|&&role| role != config.me)
            .map(|&role| Peer { role, sequence: 0, heard: now, report: Arc::default() })
            .collect();
        Self {
            config,
            peers,
            own: Report::default(),
            wish: None,
            sequence: 0,
            sent: None,
            holding_since: None,
            aborted: None,
        }
    }

    /// Takes in a message that arrived.
    pub fn receive(&mut self, message: &RoleMessage, now: Time) -> Receipt {
        if message.run != self.config.run || message.epoch != self.config.epoch {
            return Receipt::Foreign;
        }
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.role == message.from) else {
            return Receipt::Stranger;
        };
        if message.sequence <= peer.sequence {
            return Receipt::Old;
        }
        peer.sequence = message.sequence;
        peer.heard = now;
        peer.report = Arc::clone(&message.report);
        Receipt::Accepted
    }

    /// Judges the peers. To be called once per tick, after all [`receive`](Self::receive)s and before anything moves.
    pub fn judge(&mut self, now: Time) -> Leave {
        if let Some(reason) = self.abort_reason() {
            self.abort(reason.clone());
            return Leave::Abort(reason);
        }
        self.enter_if_all_are_ready();

        let lost = self.lost_peer(now);
        self.own.hold = self.wish.clone().or_else(|| lost.clone());
        let Some(reason) = lost.or_else(|| self.requested_hold()) else {
            // The role's own wish does not make it hold itself (it has to go on watching), but it is as limited as any other.
            self.holding_since = self.wish.is_some().then(|| self.holding_since.unwrap_or(now));
            return self.give_up_if_held_too_long(now, Leave::Go);
        };
        self.holding_since.get_or_insert(now);
        self.give_up_if_held_too_long(now, Leave::Hold(reason))
    }

    /// Declares this role ready for `phase` and says whether it may act in it. To be repeated until it may.
    pub fn enter(&mut self, phase: &str) -> Result<Entry, PhaseError> {
        let phases = &self.config.phases;
        let Some(index) = phases.iter().position(|known| known == phase) else {
            return Err(PhaseError::Unknown { phase: phase.into(), known: phases.join(", ") });
        };
        let number = index as u32 + 1;
        if number < self.own.entered {
            let current = phases[self.own.entered as usize - 1].clone();
            return Err(PhaseError::Over { phase: phase.into(), current });
        }
        if number > self.own.entered + 1 {
            let next = phases[self.own.entered as usize].clone();
            return Err(PhaseError::OutOfOrder { phase: phase.into(), next });
        }
        self.own.ready = self.own.ready.max(number);
        self.enter_if_all_are_ready();
        let all_entered =
            self.own.entered >= number && self.peers.iter().all(|peer| peer.report.entered >= number);
        Ok(if all_entered { Entry::Acting } else { Entry::Waiting })
    }

    /// Asks everybody to stand still, or takes this role's wish back.
    pub fn set_hold(&mut self, wish: Option<String>) {
        self.wish = wish;
        if self.wish.is_some() {
            self.own.hold = self.wish.clone();
        }
    }

    /// Gives the run up for every role. The first reason stays.
    pub fn abort(&mut self, reason: String) {
        let reason = self.aborted.get_or_insert(reason).clone();
        self.own.standing = Standing::Aborted(reason);
    }

    /// This role's tree has succeeded.
    pub fn finish(&mut self) {
        if self.aborted.is_none() {
            self.own.standing = Standing::Done;
        }
    }

    /// Norm of this role's contact force, N, for the others to see.
    pub fn set_contact_force(&mut self, force_n: f64) {
        self.own.contact_force_n = if force_n.is_finite() { force_n } else { f64::MAX };
    }

    /// The message to send now, if there is one: at once after a change, otherwise as a heartbeat.
    pub fn outgoing(&mut self, now: Time) -> Option<RoleMessage> {
        let due = self.sent.as_ref().is_none_or(|(when, report)| {
            now.since(*when) >= self.config.timing.heartbeat
                || (report.ready, report.entered, &report.standing, &report.hold)
                    != (self.own.ready, self.own.entered, &self.own.standing, &self.own.hold)
        });
        if !due {
            return None;
        }
        self.sequence += 1;
        let report = Arc::new(self.own.clone());
        self.sent = Some((now, Arc::clone(&report)));
        Some(RoleMessage {
            run: self.config.run.clone(),
            from: self.config.me,
            epoch: self.config.epoch,
            sequence: self.sequence,
            report,
        })
    }

    /// The roles that have not entered `phase`, as words for a message.
    pub fn missing_at(&self, phase: &str) -> String {
        let number =
            self.config.phases.iter().position(|known| known == phase).map_or(0, |index| index as u32 + 1);
        let missing = self.peers.iter().filter(|peer| peer.report.entered < number);
        let names: Vec<_> = missing.map(|peer| peer.role.as_str()).collect();
        if names.is_empty() { "nobody".into() } else { names.join(", ") }
    }

    /// The latest report of another role; `None` if it takes no part.
    pub fn peer(&self, role: Role) -> Option<&Report> {
        self.peers.iter().find(|peer| peer.role == role).map(|peer| &*peer.report)
    }

    pub fn own_report(&self) -> &Report {
        &self.own
    }

    pub fn me(&self) -> Role {
        self.config.me
    }

    /// The phase that this role has entered last; empty before the first.
    pub fn phase(&self) -> &str {
        match self.own.entered {
            0 => "",
            number => &self.config.phases[number as usize - 1],
        }
    }

    /// Share of the phases that this role has left behind, 0..1.
    pub fn progress(&self) -> f64 {
        if self.own.standing == Standing::Done {
            return 1.0;
        }
        f64::from(self.own.entered.saturating_sub(1)) / (self.config.phases.len().max(1)) as f64
    }

    fn enter_if_all_are_ready(&mut self) {
        let wanted = self.own.ready;
        if self.aborted.is_none() && self.peers.iter().all(|peer| peer.report.ready >= wanted) {
            self.own.entered = wanted;
        }
    }

    fn abort_reason(&self) -> Option<String> {
        if let Some(reason) = &self.aborted {
            return Some(reason.clone());
        }
        self.peers.iter().find_map(|peer| match &peer.report.standing {
            Standing::Aborted(reason) if names_a_role(reason) => Some(reason.clone()),
            Standing::Aborted(reason) => Some(format!("{}: {reason}", peer.role)),
            Standing::Done if peer.report.entered < self.own.ready => {
                let phase = &self.config.phases[self.own.ready as usize - 1];
                Some(format!("{}: finished without entering phase '{phase}'", peer.role))
            }
            Standing::Done | Standing::Active => None,
        })
    }

    /// A reason to hold because a peer that is not done has not been heard from.
    fn lost_peer(&self, now: Time) -> Option<String> {
        let lost = self.peers.iter().find(|peer| {
            peer.report.standing == Standing::Active
                && now.since(peer.heard) > self.config.timing.peer_timeout
        })?;
        Some(format!(
            "no message from {} for more than {} ms",
            lost.role,
            self.config.timing.peer_timeout.as_micros() / 1_000
        ))
    }

    fn requested_hold(&self) -> Option<String> {
        self.peers
            .iter()
            .find_map(|peer| peer.report.hold.as_ref().map(|reason| format!("{}: {reason}", peer.role)))
    }

    fn give_up_if_held_too_long(&mut self, now: Time, leave: Leave) -> Leave {
        let limit = self.config.timing.hold_timeout;
        let Some(since) = self.holding_since.filter(|since| now.since(*since) >= limit) else {
            return leave;
        };
        let why = match leave {
            Leave::Hold(reason) => reason,
            Leave::Go | Leave::Abort(_) => self.wish.clone().unwrap_or_default(),
        };
        let reason = format!("held for {:.1} s: {why}", now.since(since).as_secs_f64());
        self.abort(reason.clone());
        Leave::Abort(reason)
    }
}

/// Whether a reason already says which role it comes from, so that it is passed on as it is.
pub(crate) fn names_a_role(reason: &str) -> bool {
    Role::ALL.iter().any(|role| reason.strip_prefix(role.as_str()).is_some_and(|rest| rest.starts_with(": ")))
}

#[cfg(test)]
mod tests;
