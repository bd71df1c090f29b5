//! What holds the roles of a run together: phases and other meetings, leases, progress in step, shared entries, fail-over.
//!
//! # Vocabulary
//!
//! - *ready*: a role has done its part of the earlier phases and stands at the barrier of the next one.
//! - *entered*: the role has heard that every role is ready, and has committed itself to the phase. It still stands.
//! - *acting*: the role has heard that every role has entered. Only now may it move in the phase.
//! - *hold*: stand still, with the tree's clock stopped; *abort*: the run is over for this role, for good.
//! - *instance*: the executor that plays a role; *epoch*: which instances play, see [`failover`]; *safe point*: a phase at whose
//!   barrier a role may change its instance.
//! - *lease*: the right to use a resource that only one role may use, see [`lease`]; *token*: its number.
//!
//! # Protocol of a phase
//!
//! 1. A role that reaches the barrier of phase *k* reports `ready = k`.
//! 2. Once it has heard `ready >= k` from every other role, and that each of them hears it, it reports `entered = k`.
//! 3. Once it has heard `entered >= k` from every other role it acts.
//!
//! Readiness can be taken back ([`Cooperation::leave_phase`]), entering cannot: who leaves then ends the run. A [`Report`] holds
//! the whole state of its sender, and it is repeated; so loss, delay, duplication and reordering of messages can make a step later
//! but never wrong. There is no coordinator that could be lost.
//!
//! # Promise
//!
//! Whatever the link does to the messages, for one run id:
//!
//! - **A role acts in phase *k* only if every role of the run has entered *k*.** (All or none: no role can ever act in a phase
//!   that another one has not committed itself to.)
//! - **A role enters phase *k* only if every role has stood ready at its barrier.** (No role is ever more than one phase ahead.)
//! - **Bounded:** a role that has not heard from an unfinished peer for `peer_timeout` holds, and after `hold_timeout` more it aborts;
//!   a role that hears of an abort aborts with its next tick. So no later than `peer_timeout + hold_timeout` after a role fell silent
//!   or gave up, every other one has aborted, even if no message gets through at all. The one exception is a role that fell silent at
//!   a safe point while a successor stands by: the others finish their way to that point, and the bound begins there.
//! - Whoever wants everybody to hold (a spotter) is obeyed for `hold_timeout` at most; then the run is aborted.
//! - **No resource is leased to two roles at once, and no token is used after a greater one** ([`lease`]).
//! - **Of two instances of one role at most one acts** ([`failover`]).
//!
//! Agreement in the strong sense ("every role knows that every role knows") cannot be had over a link that loses messages. What can
//! remain is one role acting and another one, entered and standing, that has not heard so yet: either it hears, or it aborts in bounded
//! time and takes the others with it.

mod config;
mod digest;
pub(crate) mod failover;
pub(crate) mod lease;
mod meeting;
mod pace;
mod peer;
mod phase;
mod shared;

use std::collections::BTreeMap;
use std::sync::Arc;

use swarm_base::{Duration, Role, Time};

pub use config::{CooperationConfig, Phase, Timing};
pub use lease::{Fence, StaleToken, Token};
pub use meeting::MeetingError;
pub use pace::PaceError;
pub use peer::Receipt;
pub use phase::{Entry, PhaseError};
pub use shared::SharedError;

use crate::message::{Gate, Report, RoleMessage, Standing};
use pace::Pace;
use peer::{Peer, SentTimes};

/// What the other roles leave to this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leave {
    Go,
    /// Stand still; the reason names the role that it comes from.
    Hold(String),
    /// The run is over; the reason names the role that it comes from.
    Abort(String),
}

/// One role's view of the others, and its own report.
#[derive(Clone, Debug)]
pub struct Cooperation {
    config: Arc<CooperationConfig>,
    /// The epoch now; grows with every re-assignment of a role.
    epoch: u64,
    peers: Vec<Peer>,
    own: Report,
    /// Why this role's own tree wants everybody to hold.
    wish: Option<String>,
    sequence: u64,
    sent_times: SentTimes,
    /// When a report was sent last.
    sent: Option<Time>,
    /// The report says something that the others should hear at once.
    urgent: bool,
    holding_since: Option<Time>,
    aborted: Option<String>,
    /// Phases in which this role has acted.
    acted: u32,
    /// Rounds of each meeting that this role has left behind.
    passed: BTreeMap<String, u32>,
    /// Work that this role does in step with others.
    paces: BTreeMap<String, Pace>,
    leases: lease::Leases,
    /// The arm is meant to stand since the last tick.
    at_rest: bool,
    /// The tree has succeeded; the role is done as soon as its arm is at rest.
    finished: bool,
    /// Roles whose loss this role's tree deals with itself, since the last tick of the tree.
    watched: Vec<Role>,
    /// The tree is dealing with the loss of one of them.
    recovering: Vec<Role>,
}

impl Cooperation {
    /// A run that begins `now`: every peer counts as heard from at this moment.
    pub fn new(config: CooperationConfig, now: Time) -> Self {
        let others = config.roles.iter().filter(|&&role| role != config.me);
        Self {
            epoch: config.epoch,
            peers: others.map(|&role| Peer::new(role, now)).collect(),
            own: Report { instance: config.instance, ..Report::default() },
            wish: None,
            sequence: 0,
            sent_times: SentTimes::new(now),
            sent: None,
            urgent: true,
            holding_since: None,
            aborted: None,
            acted: 0,
            passed: BTreeMap::new(),
            paces: BTreeMap::new(),
            leases: lease::Leases::default(),
            at_rest: true,
            finished: false,
            watched: Vec::new(),
            recovering: Vec::new(),
            config: Arc::new(config),
        }
    }

    /// Judges the peers. To be called once per tick, after all [`receive`](Self::receive)s and before anything moves.
    pub fn judge(&mut self, now: Time) -> Leave {
        if let Some(reason) = self.abort_reason() {
            self.abort(reason.clone());
            return Leave::Abort(reason);
        }
        if self.own.standing == Standing::Standby {
            return Leave::Hold(format!("stands by for {}", self.config.me));
        }
        self.note_lost(now);
        let lost = self.lost();
        // A loss that is over excuses none that comes later, and its time has stopped running.
        self.recovering.retain(|role| lost.contains(role));
        self.fail_over(now);
        self.enter_if_all_are_ready();
        self.update_leases();

        self.urgent |= self.own.hold != self.wish;
        self.own.hold.clone_from(&self.wish);
        let reason = self.reason_to_hold(now);
        // A role's own wish and a loss that its tree deals with do not make it hold, but they are as limited as any other reason.
        let limited = reason.is_some() || self.wish.is_some() || !self.recovering.is_empty();
        self.holding_since = limited.then(|| self.holding_since.unwrap_or(now));
        let leave = reason.map_or(Leave::Go, Leave::Hold);
        self.give_up_if_held_too_long(now, leave)
    }

    /// Asks everybody to stand still, or takes this role's wish back.
    pub fn set_hold(&mut self, wish: Option<String>) {
        self.wish = wish;
        if self.wish.is_some() {
            self.urgent |= self.own.hold != self.wish;
            self.own.hold.clone_from(&self.wish);
        }
    }

    /// Gives the run up for every role. The first reason stays.
    pub fn abort(&mut self, reason: String) {
        if self.aborted.is_none() {
            self.urgent = true;
        }
        let reason = self.aborted.get_or_insert(reason).clone();
        self.own.standing = Standing::Aborted(reason);
    }

    /// This role's tree has succeeded. The role is done, and gives back what it has leased, with the tick after which its arm is
    /// [at rest](Self::set_at_rest): a peer takes the ticket of a role that is done for one that is not there.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Norm of this role's contact force, N, for the others to see.
    pub fn set_contact_force(&mut self, force_n: f64) {
        self.own.contact_force_n = if force_n.is_finite() { force_n } else { f64::MAX };
    }

    /// The message to send now, if there is one: at once after a change, otherwise as a heartbeat.
    pub fn outgoing(&mut self, now: Time) -> Option<RoleMessage> {
        let due = self.sent.is_none_or(|when| now.since(when) >= self.config.timing.heartbeat);
        if !due && !self.urgent {
            return None;
        }
        self.sequence += 1;
        self.sent_times.note(self.sequence, now);
        self.sent = Some(now);
        self.urgent = false;
        Some(RoleMessage {
            run: Arc::clone(&self.config.run),
            from: self.config.me,
            epoch: self.epoch,
            sequence: self.sequence,
            report: Arc::new(self.own.clone()),
        })
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

    /// The epoch now.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The roles that have not been heard for too long, by this role or by another one.
    pub fn lost(&self) -> Vec<Role> {
        let lost = |role: &Role| {
            self.own.lost.contains(role)
                || self.peers.iter().any(|peer| peer.counts() && peer.report.lost.contains(role))
        };
        self.peers.iter().filter(|peer| peer.counts()).map(|peer| peer.role).filter(lost).collect()
    }

    /// Whether no role has lost that one. While a tree goes on asking, its role does not hold for that loss: the tree deals with it
    /// ([`OnRoleLost`](crate::registry)). It has until the hold time-out.
    pub fn watch(&mut self, role: Role) -> bool {
        self.watched.push(role);
        let live = !self.lost().contains(&role);
        if !live && !self.recovering.contains(&role) {
            self.recovering.push(role);
        }
        live
    }

    /// Forgets what was [watched](Self::watch). To be called before every tick of the tree.
    pub fn forget_watched(&mut self) {
        self.watched.clear();
    }

    fn abort_reason(&self) -> Option<String> {
        if let Some(reason) = &self.aborted {
            return Some(reason.clone());
        }
        self.peers.iter().find_map(|peer| match &peer.report.standing {
            Standing::Aborted(reason) if names_a_role(reason) => Some(reason.clone()),
            Standing::Aborted(reason) => Some(format!("{}: {reason}", peer.role)),
            Standing::Done if peer.report.entered < self.own.ready => {
                let phase = &self.config.phases[self.own.ready as usize - 1].name;
                Some(format!("{}: finished without entering phase '{phase}'", peer.role))
            }
            Standing::Done | Standing::Active | Standing::Standby => None,
        })
    }

    fn reason_to_hold(&self, now: Time) -> Option<String> {
        if let Some(reason) = self.loss_to_hold_for(now) {
            return Some(reason);
        }
        let wish = |peer: &Peer| {
            let counts = peer.report.standing == Standing::Active;
            peer.report.hold.as_ref().filter(|_| counts).map(|reason| format!("{}: {reason}", peer.role))
        };
        self.peers.iter().find_map(wish).or_else(|| self.unconfirmed_lease(now)).or_else(|| self.ahead())
    }

    /// Words for a loss that nothing excuses.
    fn loss_to_hold_for(&self, now: Time) -> Option<String> {
        let timeout = self.config.timing.peer_timeout;
        self.lost().into_iter().find_map(|lost| {
            let dealt_with = self.watched.contains(&lost) || self.recovering.contains(&lost);
            if dealt_with || self.may_be_replaced_later(lost, now) {
                return None;
            }
            let silence = format!("no message from {lost} for more than {} ms", timeout.as_micros() / 1_000);
            if self.own.lost.contains(&lost) {
                return Some(silence);
            }
            let reporter = self.peers.iter().find(|peer| peer.report.lost.contains(&lost))?;
            Some(format!("{}: {silence}", reporter.role))
        })
    }

    fn note_lost(&mut self, now: Time) {
        let timeout = self.config.timing.peer_timeout;
        let silent = |peer: &&Peer| peer.counts() && now.since(peer.heard) > timeout;
        if self.peers.iter().any(|peer| silent(&peer)) || !self.own.lost.is_empty() {
            let lost: Vec<Role> = self.peers.iter().filter(silent).map(|peer| peer.role).collect();
            self.urgent |= self.own.lost != lost;
            self.own.lost = lost;
        }
    }

    fn give_up_if_held_too_long(&mut self, now: Time, leave: Leave) -> Leave {
        let limit = self.config.timing.hold_timeout;
        let Some(since) = self.holding_since.filter(|since| now.since(*since) >= limit) else {
            return leave;
        };
        let why = match leave {
            Leave::Hold(reason) => reason,
            Leave::Go | Leave::Abort(_) => self.wish.clone().unwrap_or_else(|| {
                self.recovering.iter().map(|role| format!("{role} was lost")).collect::<Vec<_>>().join(", ")
            }),
        };
        let reason = format!("held for {:.1} s: {why}", now.since(since).as_secs_f64());
        self.abort(reason.clone());
        Leave::Abort(reason)
    }

    /// Whether every unfinished peer knows this instance.
    fn is_recognised(&self) -> bool {
        self.peers.iter().filter(|peer| peer.counts()).all(|peer| {
            let heard = peer.report.heard[self.config.me as usize];
            heard.sequence > 0 && heard.instance == self.config.instance
        })
    }

    fn own_gate(&mut self, name: &str) -> &mut Gate {
        if !self.own.gates.contains_key(name) {
            self.own.gates.insert(name.to_owned(), Gate::default());
        }
        self.own.gates.get_mut(name).expect("it has just been put there")
    }

    /// Words for a span of time that a reader compares with settings in milliseconds.
    fn milliseconds(span: Duration) -> u64 {
        span.as_micros() / 1_000
    }
}

/// Whether a reason already says which role it comes from, so that it is passed on as it is.
pub(crate) fn names_a_role(reason: &str) -> bool {
    Role::ALL.iter().any(|role| reason.strip_prefix(role.as_str()).is_some_and(|rest| rest.starts_with(": ")))
}

#[cfg(test)]
mod tests;
