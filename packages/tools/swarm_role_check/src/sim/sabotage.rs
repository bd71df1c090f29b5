//! Deliberate faults of the protocol: what it checks is made meaningless from outside, in the configuration or on a message's way,
//! so that the shipped code stays as it is. The invariants must notice each.

use std::sync::Arc;

use swarm_base::Duration;
use swarm_skill_core::{RoleMessage, Standing, Timing};

use crate::player::Player;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    Nothing,
    /// Every message looks newer than the last: nothing is told to be old.
    Order,
    /// Every message looks like one of the hearer's epoch, and its sender like the one that is known: no stale leader is told.
    Fencing,
    /// All who play a role look the same: no second player of a role is told.
    Instances,
    /// A role is believed to have entered as soon as it is ready: the second step of the barrier is left out.
    SecondStep,
    /// A ticket is believed to have been heard as soon as it is drawn.
    Acknowledgements,
    /// Nobody sees another one's tickets.
    Tickets,
    /// A role that lost another one goes on for long.
    Patience,
    /// Progress of the others looks complete.
    Paces,
    /// What is handed over looks taken as soon as it is offered.
    HandOver,
    /// Every robot is believed to stand whenever it is not told to move.
    Rest,
    /// A successor is not told which rounds of which meetings its predecessor has left behind.
    Rounds,
}

impl Sabotage {
    pub const ALL: [Self; 11] = [
        Self::Order,
        Self::Fencing,
        Self::Instances,
        Self::SecondStep,
        Self::Acknowledgements,
        Self::Tickets,
        Self::Patience,
        Self::Paces,
        Self::HandOver,
        Self::Rest,
        Self::Rounds,
    ];

    pub(super) fn instance(self, instance: u64) -> u64 {
        if matches!(self, Self::Instances | Self::Fencing) && instance != 100 { 0 } else { instance }
    }

    pub(super) fn timing(self, timing: Timing) -> Timing {
        let long = Duration::from_millis(60_000);
        if self == Self::Patience { Timing { hold_timeout: long, ..timing } } else { timing }
    }

    /// The message as player `to` hears it.
    pub(super) fn deliver(self, mut message: RoleMessage, to: usize, players: &[Player]) -> RoleMessage {
        let hearer = &players[to];
        let known = |message: &RoleMessage| hearer.cooperation.own_report().heard[message.from as usize];
        match self {
            Self::Nothing | Self::Instances | Self::Patience | Self::Rest => {}
            Self::Order => message.sequence = known(&message).sequence + 1,
            Self::Fencing => {
                message.epoch = hearer.cooperation.epoch();
                message.sequence = message.sequence.max(known(&message).sequence + 1);
                let instance = known(&message).instance;
                Arc::make_mut(&mut message.report).instance = instance;
            }
            Self::SecondStep => {
                let report = Arc::make_mut(&mut message.report);
                report.entered = report.ready;
                report.gates.values_mut().for_each(|gate| gate.entered = gate.ready);
            }
            Self::Acknowledgements => {
                let instance = hearer.instance;
                let report = Arc::make_mut(&mut message.report);
                if report.standing == Standing::Active {
                    report.heard[hearer.role as usize].sequence = u64::MAX;
                    report.heard[hearer.role as usize].instance = instance;
                }
            }
            Self::Tickets => Arc::make_mut(&mut message.report).tickets.clear(),
            Self::Rounds => Arc::make_mut(&mut message.report).inherits.clear(),
            Self::Paces => {
                let report = Arc::make_mut(&mut message.report);
                report.paces.insert("sweep".to_owned(), f64::MAX);
            }
            Self::HandOver => {
                let gate = swarm_skill_core::Gate { ready: 1, entered: 0 };
                let gates = &mut Arc::make_mut(&mut message.report).gates;
                gates.entry("handover:peg:leader:follower".to_owned()).or_insert(gate).ready = 1;
            }
        }
        message
    }
}
