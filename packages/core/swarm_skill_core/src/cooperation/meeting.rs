//! Meetings other than phases: barriers of some roles, quorums, hand-overs. Each has a name and can be held again and again.
//!
//! Every role counts its *rounds* of a meeting: how often it was `ready`, and how often it has `entered` ([`Gate`]). As with phases,
//! readiness can be taken back and entering cannot. A role that takes another's place counts on from where that one stood.
//!
//! - *Barrier*: a role passes round *n* only if all its roles have entered it, and enters only if all are ready. All or none, among
//!   the roles named.
//! - *Quorum*: a role passes once `k` roles, itself included, have declared themselves. Nobody is bound by it; who has passed has entered.
//! - *Hand-over*: the giver is ready (offers); the receiver takes hold and is ready (has it); the giver enters and lets go; the
//!   receiver hears that and goes on. At every moment somebody has heard to be holding the thing: the giver lets go only after it
//!   has heard that the receiver holds it.

use swarm_base::Role;

use super::phase::words;
use super::{Cooperation, Entry};
use crate::message::Standing;

/// A meeting that cannot take place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeetingError {
    #[error("{me} takes no part in {meeting}; its roles are {roles}")]
    NotOneOfThem { me: Role, meeting: String, roles: String },
    #[error("{meeting} names {role}, which takes no part in this run")]
    NoSuchRole { meeting: String, role: Role },
    #[error("{meeting} waits for {role}, which has finished")]
    Finished { meeting: String, role: Role },
    #[error("{meeting} needs {needed} roles, but the run has {roles}")]
    TooMany { meeting: String, needed: usize, roles: usize },
}

/// What a hand-over is called in reports. Each pair counts its own rounds: a thing that is handed on goes through several pairs.
fn hand_over(item: &str, from: Role, to: Role) -> String {
    format!("handover:{item}:{from}:{to}")
}

impl Cooperation {
    /// Stands at the barrier of `roles` until all of them have entered the round. To be repeated, or [left](Self::leave_barrier).
    pub fn meet(&mut self, name: &str, roles: &[Role]) -> Result<Entry, MeetingError> {
        let gate = format!("barrier:{name}");
        self.check_roles(&gate, roles)?;
        let round = self.round(&gate);
        self.declare(&gate, round);
        self.check_finished(&gate, roles, round)?;
        let may_enter = self.aborted.is_none() && !self.has_promised() && self.is_recognised();
        if may_enter && self.all(&gate, roles, |gate| gate.ready >= round) {
            self.commit(&gate, round);
        }
        let entered = self.own.gate(&gate).entered >= round && self.all(&gate, roles, |g| g.entered >= round);
        Ok(self.pass_if(&gate, round, entered))
    }

    /// Leaves a barrier without having passed it.
    pub fn leave_barrier(&mut self, name: &str) {
        self.leave_gate(&format!("barrier:{name}"));
    }

    /// Declares this role for something, until `needed` roles have.
    pub fn agree(&mut self, name: &str, needed: usize) -> Result<Entry, MeetingError> {
        let gate = format!("quorum:{name}");
        let roles = self.config.roles.len();
        if needed > roles {
            return Err(MeetingError::TooMany { meeting: gate, needed, roles });
        }
        let round = self.round(&gate);
        self.declare(&gate, round);
        let others = self.peers.iter().filter(|peer| peer.report.gate(&gate).ready >= round).count();
        let met = others + 1 >= needed;
        if met {
            self.commit(&gate, round);
        }
        Ok(self.pass_if(&gate, round, met))
    }

    /// Takes back what [`agree`](Self::agree) has declared, if the quorum was not met.
    pub fn disagree(&mut self, name: &str) {
        self.leave_gate(&format!("quorum:{name}"));
    }

    /// Begins a hand-over: the giver's wait until the receiver has hold of the thing, the receiver's until it is offered.
    pub fn begin_hand_over(&mut self, item: &str, from: Role, to: Role) -> Result<Entry, MeetingError> {
        let gate = hand_over(item, from, to);
        self.check_roles(&gate, &[from, to])?;
        let round = self.round(&gate);
        if self.config.me == from {
            self.declare(&gate, round);
            self.check_finished(&gate, &[to], round)?;
            let taken = self.is_recognised() && self.all(&gate, &[to], |gate| gate.ready >= round);
            if taken && self.aborted.is_none() {
                return Ok(Entry::Acting);
            }
            return Ok(Entry::Waiting);
        }
        self.check_finished(&gate, &[from], round)?;
        let offered = self.all(&gate, &[from], |gate| gate.ready >= round);
        Ok(if offered { Entry::Acting } else { Entry::Waiting })
    }

    /// Ends a hand-over: the giver has let go; the receiver has hold of the thing, and waits until the giver has let go.
    pub fn end_hand_over(&mut self, item: &str, from: Role, to: Role) -> Result<Entry, MeetingError> {
        let gate = hand_over(item, from, to);
        self.check_roles(&gate, &[from, to])?;
        let round = self.round(&gate);
        self.declare(&gate, round);
        let done = self.config.me == from || {
            self.check_finished(&gate, &[from], round)?;
            self.all(&gate, &[from], |gate| gate.entered >= round)
        };
        if done {
            self.commit(&gate, round);
        }
        Ok(self.pass_if(&gate, round, done))
    }

    /// Leaves a hand-over before its end. An offer that nobody has taken is taken back; a receiver that has said that it holds the thing,
    /// and a giver that was told so, end the run: both hold it.
    pub fn leave_hand_over(&mut self, item: &str, from: Role, to: Role) {
        let gate = hand_over(item, from, to);
        let round = self.round(&gate);
        let taken_from_me = self.config.me == from && self.all(&gate, &[to], |gate| gate.ready >= round);
        let taken_by_me = self.config.me == to && self.own.gate(&gate).ready >= round;
        if taken_from_me || taken_by_me {
            self.abort(format!("left the hand-over of '{item}' after {to} had taken hold of it"));
        } else {
            self.leave_gate(&gate);
        }
    }

    /// The roles of a meeting that are not ready for its present round, as words for a message.
    pub fn missing_at_meeting(&self, kind: &str, name: &str, roles: &[Role]) -> String {
        let gate = format!("{kind}:{name}");
        let round = self.round(&gate);
        let missing = self.peers.iter().filter(|peer| peer.report.gate(&gate).ready < round);
        words(missing.map(|peer| peer.role).filter(|role| roles.contains(role)))
    }

    /// The round that this role is in, from 1 on.
    fn round(&self, gate: &str) -> u32 {
        self.passed.get(gate).copied().unwrap_or(0) + 1
    }

    fn declare(&mut self, gate: &str, round: u32) {
        if self.own.gate(gate).ready < round {
            self.own_gate(gate).ready = round;
            self.urgent = true;
        }
    }

    fn commit(&mut self, gate: &str, round: u32) {
        if self.own.gate(gate).entered < round {
            self.own_gate(gate).entered = round;
            self.urgent = true;
        }
    }

    fn pass_if(&mut self, gate: &str, round: u32, passes: bool) -> Entry {
        if !passes {
            return Entry::Waiting;
        }
        self.passed.insert(gate.to_owned(), round);
        Entry::Acting
    }

    fn leave_gate(&mut self, gate: &str) {
        let round = self.round(gate);
        let own = self.own.gate(gate);
        if own.entered >= round {
            self.abort(format!("left {gate} after entering it"));
        } else if own.ready >= round {
            self.own_gate(gate).ready = round - 1;
            self.urgent = true;
        }
    }

    fn all(&self, gate: &str, roles: &[Role], holds: impl Fn(crate::message::Gate) -> bool) -> bool {
        self.peers.iter().filter(|peer| roles.contains(&peer.role)).all(|peer| holds(peer.report.gate(gate)))
    }

    fn check_roles(&self, meeting: &str, roles: &[Role]) -> Result<(), MeetingError> {
        let me = self.config.me;
        if !roles.contains(&me) {
            let roles = words(roles.iter().copied());
            return Err(MeetingError::NotOneOfThem { me, meeting: meeting.to_owned(), roles });
        }
        match roles.iter().find(|role| !self.config.roles.contains(role)) {
            Some(&role) => Err(MeetingError::NoSuchRole { meeting: meeting.to_owned(), role }),
            None => Ok(()),
        }
    }

    /// A role that has finished will not come any more.
    fn check_finished(&self, gate: &str, roles: &[Role], round: u32) -> Result<(), MeetingError> {
        let gone = self.peers.iter().find(|peer| {
            roles.contains(&peer.role)
                && peer.report.standing == Standing::Done
                && peer.report.gate(gate).ready < round
        });
        match gone {
            Some(peer) => Err(MeetingError::Finished { meeting: gate.to_owned(), role: peer.role }),
            None => Ok(()),
        }
    }
}
