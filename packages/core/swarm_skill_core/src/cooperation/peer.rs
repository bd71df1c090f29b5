//! What is known of another role, and which of its messages are believed.

use std::sync::Arc;

use swarm_base::{Role, Time};

use super::Cooperation;
use crate::message::{Heard, Report, RoleMessage, Standing};

/// What became of a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    Accepted,
    /// Of another run.
    Foreign,
    /// Not newer than one that was accepted before.
    Old,
    /// From a role that does not take part, or from this role itself.
    Stranger,
    /// Of an epoch that is over, or from a role that is being replaced: a stale leader is told nothing and can do nothing.
    Stale,
    /// From an executor that plays the role of another one. The run goes on with the one that it knows.
    Impostor,
    /// From a robot that could take over a role.
    Standby,
}

#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) role: Role,
    /// The instance that plays the role: the first that was heard, or the one that was voted for.
    pub(super) instance: Option<u64>,
    pub(super) sequence: u64,
    pub(super) heard: Time,
    /// When the newest message was sent that the peer is known to have heard.
    pub(super) confirmed: Time,
    pub(super) report: Arc<Report>,
    /// An instance that stands by for the role, and when it was heard.
    pub(super) standby: Option<(u64, Time)>,
}

impl Peer {
    pub(super) fn new(role: Role, now: Time) -> Self {
        Self {
            role,
            instance: None,
            sequence: 0,
            heard: now,
            confirmed: now,
            report: Arc::default(),
            standby: None,
        }
    }

    /// Whether the run needs it still.
    pub(super) fn counts(&self) -> bool {
        self.report.standing == Standing::Active
    }
}

impl Cooperation {
    /// Takes in a message that arrived.
    pub fn receive(&mut self, message: &RoleMessage, now: Time) -> Receipt {
        if message.run != self.config.run {
            return Receipt::Foreign;
        }
        let Some(index) = self.peers.iter().position(|peer| peer.role == message.from) else {
            return Receipt::Stranger;
        };
        if message.report.standing == Standing::Standby {
            self.peers[index].standby = Some((message.report.instance, now));
            return Receipt::Standby;
        }
        if message.epoch > self.epoch {
            self.hear_of_later_epoch(message, now);
        }
        if message.epoch != self.epoch || self.is_being_replaced(message.from) {
            return Receipt::Stale;
        }
        let peer = &mut self.peers[index];
        if *peer.instance.get_or_insert(message.report.instance) != message.report.instance {
            return Receipt::Impostor;
        }
        if message.sequence <= peer.sequence {
            return Receipt::Old;
        }
        self.accept(index, message, now);
        Receipt::Accepted
    }

    fn accept(&mut self, index: usize, message: &RoleMessage, now: Time) {
        let report = &message.report;
        let me = self.config.me as usize;
        let peer = &mut self.peers[index];
        peer.sequence = message.sequence;
        peer.heard = now;
        // An answer is due at once to what makes the peer wait for one.
        self.urgent |= peer.report.tickets != report.tickets || report.heard[me].sequence == 0;
        peer.report = Arc::clone(report);
        self.own.heard[peer.role as usize] = Heard { instance: report.instance, sequence: message.sequence };

        let heard = report.heard[me];
        if self.own.standing == Standing::Standby {
            // The peers hear the role's present instance, as they should.
        } else if heard.sequence > 0 && heard.instance != self.config.instance {
            let role = self.config.me;
            self.abort(format!(
                "the run has another {role}: {} hears instance {:x}, this is {:x}; a role is taken over at a safe point only",
                message.from, heard.instance, self.config.instance
            ));
        } else if let Some(sent) = self.sent_times.of(heard.sequence) {
            let peer = &mut self.peers[index];
            peer.confirmed = peer.confirmed.max(sent);
        }
        self.leases.note(&report.tickets);
        self.take_in_entries(report);
    }
}

/// When the last messages were sent, by their numbers.
#[derive(Clone, Debug)]
pub(super) struct SentTimes {
    times: [Time; Self::KEPT as usize],
    newest: u64,
}

impl SentTimes {
    /// More than a lease term's worth of messages; who confirms an older one confirms nothing that counts.
    const KEPT: u64 = 64;

    pub(super) fn new(now: Time) -> Self {
        Self { times: [now; Self::KEPT as usize], newest: 0 }
    }

    pub(super) fn note(&mut self, sequence: u64, now: Time) {
        self.newest = sequence;
        self.times[(sequence % Self::KEPT) as usize] = now;
    }

    pub(super) fn of(&self, sequence: u64) -> Option<Time> {
        let kept = sequence > 0 && sequence <= self.newest && self.newest - sequence < Self::KEPT;
        kept.then(|| self.times[(sequence % Self::KEPT) as usize])
    }
}
