//! Leases: the right to use a resource, for one role at a time, without a coordinator that could be lost.
//!
//! 1. Who wants a resource draws a ticket with a number above all that it has heard of, and reports it.
//! 2. It is a role's turn once every unfinished peer is known to have heard of the ticket and then had none that comes earlier. (Who
//!    hears of a ticket draws only later ones: Lamport's mutual exclusion, "Time, Clocks, and the Ordering of Events in a
//!    Distributed System", 1978, with reports that are repeated in place of messages that arrive.)
//! 3. Who has the lease gives it back by dropping its ticket, once its arm is meant to stand. That holds for every way out: what used
//!    the resource has ended, was interrupted, or was the end of the tree. An arm that has been told to stand still brakes for a while.
//!
//! - *Exclusive* by order alone: no clock is compared. Two tickets cannot both be first, because the later one was drawn, or its
//!   owner was asked, after the earlier one had been heard of.
//! - *Token*: epoch, number and role of the ticket. Turns come in the order of tickets, so that a resource that remembers the greatest
//!   token it has seen ([`Fence`]) recognises a user that is late.
//! - *A holder that dies* keeps its ticket: the others hold and abort, or replace it at a safe point. A successor begins without
//!   tickets. By then the dead one has stopped, even if it lives on behind a cut: it stands still once a peer has not confirmed
//!   anything it sent in the last `lease_term` (by its clock), and no peer agrees to a replacement before
//!   [`Timing::fence`](super::Timing::fence) without a message from it (by the peer's). The confirmation counts from when the message
//!   was *sent*, the silence from when it was *heard*, which is later; so only the rates of the clocks matter.

use std::collections::BTreeMap;

use swarm_base::{Role, Time};

use super::Cooperation;
use crate::message::{Standing, Ticket};

/// The right to use a resource, as sent along with what uses it. Greater tokens are newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    pub epoch: u64,
    pub number: u64,
    pub role: Role,
}

/// What a resource keeps to recognise a user that is late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fence(Option<Token>);

/// A resource was used with a lease that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the lease of {} (epoch {}, number {}) is over: {} has used the resource since with epoch {}, number {}",
    .found.role, .found.epoch, .found.number, .newest.role, .newest.epoch, .newest.number
)]
pub struct StaleToken {
    pub found: Token,
    pub newest: Token,
}

impl Fence {
    /// Lets a user pass whose token is not older than any that has passed before.
    pub fn pass(&mut self, token: Token) -> Result<(), StaleToken> {
        match self.0 {
            Some(newest) if token < newest => Err(StaleToken { found: token, newest }),
            _ => {
                self.0 = Some(token);
                Ok(())
            }
        }
    }
}

/// This role's tickets, beyond what its report says of them.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Leases {
    /// The greatest number heard of, by resource.
    numbers: BTreeMap<String, u64>,
    /// The first message that says so, by resource asked for.
    since: BTreeMap<String, u64>,
    /// To be given back when the arm stands.
    leaving: Vec<String>,
}

impl Leases {
    pub(super) fn note(&mut self, tickets: &BTreeMap<String, Ticket>) {
        for (resource, ticket) in tickets {
            match self.numbers.get_mut(resource) {
                Some(number) => *number = ticket.number.max(*number),
                None => {
                    self.numbers.insert(resource.clone(), ticket.number);
                }
            }
        }
    }
}

impl Cooperation {
    /// Asks for a resource, and gives its token when it is this role's turn. To be repeated until then.
    pub fn lease(&mut self, resource: &str) -> Option<Token> {
        self.leases.leaving.retain(|leaving| leaving != resource);
        // A role that has just come must not draw a number below one that is out.
        let knows_all = self.peers.iter().all(|peer| peer.sequence > 0 || !peer.counts());
        if !self.own.tickets.contains_key(resource) && knows_all {
            let number = self.leases.numbers.get(resource).copied().unwrap_or(0) + 1;
            let ticket = Ticket { number, held: false };
            self.own.tickets.insert(resource.to_owned(), ticket);
            self.leases.note(&self.own.tickets);
            self.leases.since.insert(resource.to_owned(), self.sequence + 1);
            self.urgent = true;
        }
        self.update_leases();
        self.token(resource)
    }

    /// The token of a resource that this role has leased.
    pub fn token(&self, resource: &str) -> Option<Token> {
        let ticket = self.own.tickets.get(resource).filter(|ticket| ticket.held)?;
        Some(Token { epoch: self.epoch, number: ticket.number, role: self.config.me })
    }

    /// Tokens of all resources that this role has leased.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, Token)> {
        let names = self.own.tickets.keys().map(String::as_str);
        names.filter_map(|resource| Some((resource, self.token(resource)?)))
    }

    /// Stops asking for a resource; one that is leased is given back with [`give_back`](Self::give_back) or
    /// [`release_at_rest`](Self::release_at_rest).
    pub fn release(&mut self, resource: &str) {
        self.leases.leaving.retain(|leaving| leaving != resource);
        self.leases.since.remove(resource);
        self.urgent |= self.own.tickets.remove(resource).is_some();
    }

    /// Gives a resource back if the arm is meant to stand since the last tick. Whether it is; to be repeated until then.
    pub fn give_back(&mut self, resource: &str) -> bool {
        if self.at_rest {
            self.release(resource);
        }
        self.at_rest
    }

    /// Gives a resource back as soon as the arm is meant to stand: for whoever is stopped while using it.
    pub fn release_at_rest(&mut self, resource: &str) {
        if self.own.tickets.get(resource).is_some_and(|ticket| ticket.held) {
            self.leases.leaving.push(resource.to_owned());
        } else {
            self.release(resource);
        }
    }

    /// Whether the arm is meant to stand after this tick: its last command was zero, and it is not on its way there any more. To be
    /// called at the end of every tick. At rest, what was to be given back goes, and a role that has [finished](Self::finish) is done.
    pub fn set_at_rest(&mut self, at_rest: bool) {
        self.at_rest = at_rest;
        if !at_rest {
            return;
        }
        for resource in std::mem::take(&mut self.leases.leaving) {
            self.release(&resource);
        }
        if self.finished && self.own.standing == Standing::Active {
            self.own.standing = Standing::Done;
            self.own.tickets.clear();
            self.urgent = true;
        }
    }

    /// The role that has leased a resource, as far as is known.
    pub fn holder(&self, resource: &str) -> Option<Role> {
        let held =
            |tickets: &BTreeMap<String, Ticket>| tickets.get(resource).is_some_and(|ticket| ticket.held);
        if held(&self.own.tickets) {
            return Some(self.config.me);
        }
        self.peers.iter().find(|peer| held(&peer.report.tickets)).map(|peer| peer.role)
    }

    /// Takes the turns that have come.
    pub(super) fn update_leases(&mut self) {
        if self.own.tickets.is_empty() || self.has_promised() {
            return;
        }
        let me = self.config.me;
        let Self { own, peers, leases, config, urgent, .. } = self;
        for (resource, ticket) in own.tickets.iter_mut().filter(|(_, ticket)| !ticket.held) {
            let since = leases.since.get(resource).copied().unwrap_or(u64::MAX);
            let mut unfinished = peers.iter().filter(|peer| peer.counts());
            ticket.held = unfinished.all(|peer| {
                let heard = peer.report.heard[me as usize];
                let knows = heard.instance == config.instance && heard.sequence >= since;
                let later = |other: &Ticket| (other.number, peer.role) > (ticket.number, me);
                knows && peer.report.tickets.get(resource).is_none_or(later)
            });
            *urgent |= ticket.held;
        }
    }

    /// A reason to hold because a resource is leased and a peer may be about to be without this role.
    pub(super) fn unconfirmed_lease(&self, now: Time) -> Option<String> {
        let term = self.config.timing.lease_term;
        let (resource, _) = self.own.tickets.iter().find(|(_, ticket)| ticket.held)?;
        let silent = self.peers.iter().find(|peer| peer.counts() && now.since(peer.confirmed) >= term)?;
        Some(format!(
            "the lease of '{resource}' has not been confirmed by {} for {} ms",
            silent.role,
            Self::milliseconds(term)
        ))
    }
}
