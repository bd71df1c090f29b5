//! Fail-over: a role that falls silent at a safe point is taken over by another instance, and what it was can do no harm any more.
//!
//! *Leader* here is the lowest live role (leader, follower, spotter in this order): it proposes who takes over. It needs the votes
//! of all who are left, and they must be more than half of the roles; so two parts of a cut network never both go on, and of two
//! roles none does without the other.
//!
//! 1. A *standby* (an executor that takes no part) says that it is there, see [`Cooperation::stand_by`].
//! 2. A role is silent for [`Timing::fence`](super::Timing::fence). It stood at the barrier of a safe point when it was heard last.
//! 3. Everybody else has come to that barrier, and has not entered. The leader votes for the standby; the others vote as it does. A
//!    [`Vote`] is a promise: to enter nothing and to take no lease in the old epoch, and to refuse the silent role from now on.
//! 4. Whoever has heard the same vote from all who are left begins the next epoch. Messages of the old one are stale.
//! 5. The standby hears of the epoch that it was voted for in, and stands at the barrier in its predecessor's place. With the vote comes
//!    which rounds of which [meetings](super::meeting) its predecessor had left behind ([`Report::inherits`]): it counts on from there,
//!    or it would take the others' part in an earlier round for their part in its first one. All who vote have heard the same of them:
//!    at the barrier of the safe point the rounds before it are over.
//!
//! Why no two instances act: the old one could act beyond the safe point only if all the others had entered it in the old epoch, and
//! each has promised not to. Before the safe point it does not move, since it stood there. Whatever it had leased it has ceased to use
//! ([`lease`](super::lease)).
//!
//! What is refused, and how: messages of an earlier epoch are [`Receipt::Stale`](super::Receipt), those of a second player of a role
//! [`Receipt::Impostor`](super::Receipt); neither is told anything to the tree. The refused side learns from what it hears that the run
//! goes on without it, and aborts with that reason. A role that is lost anywhere but at a safe point, or for which nobody stands by,
//! makes the others hold and abort.

use std::collections::BTreeMap;
use std::sync::Arc;

use swarm_base::{Role, Time};

use super::Cooperation;
use super::peer::{Peer, Receipt};
use crate::message::{Gate, Heard, Report, RoleMessage, Standing, Vote};

impl Cooperation {
    /// An executor that takes no part in the run `config` names until its role is lost at a safe point. `config.epoch` is the epoch in
    /// which it was started: a later one includes it only by vote.
    pub fn stand_by(config: super::CooperationConfig, now: Time) -> Self {
        let mut standby = Self::new(config, now);
        standby.own.standing = Standing::Standby;
        standby
    }

    /// The safe point at which this executor has taken its role over and where its tree begins; `None` if it has been there from the
    /// start, or takes no part yet.
    pub fn taken_over_at(&self) -> Option<&str> {
        let vote = self.own.vote.filter(|vote| vote.role == self.config.me && vote.epoch <= self.epoch)?;
        Some(&self.config.phases.get(vote.phase as usize - 1)?.name)
    }

    /// This role has voted, and waits for the epoch to begin.
    pub(super) fn has_promised(&self) -> bool {
        self.own.vote.is_some_and(|vote| vote.epoch > self.epoch)
    }

    pub(super) fn is_being_replaced(&self, role: Role) -> bool {
        self.own.vote.is_some_and(|vote| vote.epoch > self.epoch && vote.role == role)
    }

    /// Whether nobody need hold for that loss now: the role stands at a safe point, somebody stands by for it, and this role or another
    /// one is still on its way there.
    pub(super) fn may_be_replaced_later(&self, lost: Role, now: Time) -> bool {
        let Some(peer) = self.peers.iter().find(|peer| peer.role == lost) else { return false };
        let number = peer.report.ready;
        let others = || self.peers.iter().filter(|peer| peer.counts() && peer.role != lost);
        self.has_standby(peer, now)
            && self.is_at_safe_point(&peer.report, number)
            && self.own.entered < number
            && others().all(|other| !self.own.lost.contains(&other.role))
            && (self.own.ready < number || others().any(|other| other.report.ready < number))
    }

    /// Steps 3 and 4, as far as this role can go now.
    pub(super) fn fail_over(&mut self, now: Time) {
        if !self.has_promised()
            && let Some(vote) = self.vote(now)
        {
            let lost = self.peers.iter().find(|peer| peer.role == vote.role);
            self.own.inherits = lost.map(|peer| peer.report.gates.clone()).unwrap_or_default();
            self.own.vote = Some(vote);
            self.urgent = true;
        }
        if let Some(vote) = self.own.vote.filter(|vote| vote.epoch > self.epoch) {
            let agrees = |peer: &Peer| peer.report.vote == Some(vote);
            if self.peers.iter().filter(|peer| peer.role != vote.role).all(agrees) {
                self.begin_epoch(vote, now);
            }
        }
    }

    /// The vote that is due.
    fn vote(&self, now: Time) -> Option<Vote> {
        let [lost] = self.own.lost.as_slice() else { return None };
        let peer = self.peers.iter().find(|peer| peer.role == *lost)?;
        let left = self.peers.len();
        let number = peer.report.ready;
        let may = 2 * left > self.config.roles.len()
            && self.own.standing == Standing::Active
            && now.since(peer.heard) >= self.config.timing.fence()
            && self.is_at_safe_point(&peer.report, number)
            && self.is_at_safe_point(&self.own, number)
            && self.own.entered < number;
        if !may {
            return None;
        }
        let leader = self.peers.iter().filter(|other| other.role != *lost).min_by_key(|other| other.role)?;
        if leader.role < self.config.me {
            let proposed = leader.report.vote?;
            let fits = (proposed.epoch, proposed.role, proposed.phase) == (self.epoch + 1, *lost, number);
            return fits.then_some(proposed);
        }
        let (instance, _) = peer.standby.filter(|_| self.has_standby(peer, now))?;
        Some(Vote { epoch: self.epoch + 1, role: *lost, instance, phase: number })
    }

    fn begin_epoch(&mut self, vote: Vote, now: Time) {
        self.epoch = vote.epoch;
        self.urgent = true;
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.role == vote.role) {
            // A successor has been through the phases before, as its predecessor had.
            let entered = vote.phase - 1;
            let report = Report {
                instance: vote.instance,
                ready: entered,
                entered,
                gates: left_behind(&peer.report.gates).collect(),
                ..Report::default()
            };
            *peer =
                Peer { instance: Some(vote.instance), report: Arc::new(report), ..Peer::new(vote.role, now) };
            self.own.heard[vote.role as usize] = Heard::default();
        }
        self.own.lost.retain(|role| *role != vote.role);
        self.recovering.retain(|role| *role != vote.role);
    }

    /// A message of an epoch that this executor is not in. It follows if it has voted for it, or was voted for; else it has been left
    /// behind.
    pub(super) fn hear_of_later_epoch(&mut self, message: &RoleMessage, now: Time) {
        let (me, instance) = (self.config.me, self.config.instance);
        let begun = message.report.vote.filter(|vote| vote.epoch == message.epoch);
        match (begun, &self.own.standing) {
            (Some(vote), _) if Some(vote) == self.own.vote => self.begin_epoch(vote, now),
            (Some(vote), Standing::Standby) if (vote.role, vote.instance) == (me, instance) => {
                self.take_over(vote, &message.report.inherits, now);
            }
            (_, Standing::Standby) => {}
            _ => self.abort(format!(
                "the run goes on under epoch {} without this {me}, which is of epoch {}",
                message.epoch, self.epoch
            )),
        }
    }

    /// Step 5.
    fn take_over(&mut self, vote: Vote, inherits: &BTreeMap<String, Gate>, now: Time) {
        let known = self.config.phases.get(vote.phase as usize - 1);
        if !known.is_some_and(|phase| phase.takeover) {
            self.abort(format!(
                "was to take over at phase {}, which is no safe point of its tree",
                vote.phase
            ));
            return;
        }
        for peer in &mut self.peers {
            *peer = Peer::new(peer.role, now);
        }
        self.epoch = vote.epoch;
        self.own.vote = Some(vote);
        self.own.standing = Standing::Active;
        self.own.ready = vote.phase - 1;
        self.own.entered = vote.phase - 1;
        self.acted = vote.phase - 1;
        self.own.gates = left_behind(inherits).collect();
        self.passed = self.own.gates.iter().map(|(name, gate)| (name.clone(), gate.entered)).collect();
        self.urgent = true;
    }

    fn has_standby(&self, peer: &Peer, now: Time) -> bool {
        peer.standby.is_some_and(|(_, heard)| now.since(heard) <= self.config.timing.peer_timeout)
    }

    /// Whether that role stands at the barrier of phase `number`, and the phase is a safe point.
    fn is_at_safe_point(&self, report: &Report, number: u32) -> bool {
        let phase = number.checked_sub(1).and_then(|index| self.config.phases.get(index as usize));
        phase.is_some_and(|phase| phase.takeover) && report.ready == number
    }
}

/// Meetings as they are for a successor: no round is under way, so it is ready for none that has not been entered.
fn left_behind(gates: &BTreeMap<String, Gate>) -> impl Iterator<Item = (String, Gate)> {
    gates.iter().map(|(name, &Gate { entered, .. })| (name.clone(), Gate { ready: entered, entered }))
}

impl Receipt {
    /// Why a message is refused, for a log; `None` if it is not.
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Accepted | Self::Old | Self::Standby => None,
            Self::Foreign => Some("it belongs to another run"),
            Self::Stranger => Some("its role takes no part in the run"),
            Self::Stale => Some("its epoch is over: the role has been taken over by another robot"),
            Self::Impostor => {
                Some("another executor plays its role; a role is taken over at a safe point only")
            }
        }
    }
}
