//! What must hold of every tick, judged by what the players do.

use std::collections::BTreeMap;

use swarm_base::Role;
use swarm_skill_core::Fence;

use crate::player::{Player, SWEEP_DELTA};

/// What can be broken, each with its promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// A role acts in a phase only if every role of the run has entered it.
    AllOrNone,
    /// No role is more than one phase ahead of another one.
    OnePhaseAhead,
    /// Of the players of one role only one acts, and after a successor has acted its predecessor never does.
    OnePlayer,
    /// A resource is used by one role at a time, its robot's way to rest included.
    OneUser,
    /// No token is used after a newer one.
    TokenOrder,
    /// A barrier is passed for the n-th time only if all of its roles have come to it n times, and have entered as many rounds; whoever
    /// plays them.
    Meeting,
    /// A thing is let go of only if the other one holds it.
    HeldByOne,
    /// Nobody is further ahead than allowed.
    InStep,
    /// Of a fault that ends the run, nobody moves after its bound.
    Stops,
    /// Of a fault that ends the run, everybody has ended within its bound; and every episode ends.
    Ends,
    /// A second player of a role, and one that rejoins, changes nothing for those who are there.
    RefusedQuietly,
}

/// What earlier ticks have to do with later ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Deeds {
    fences: BTreeMap<&'static str, Fence>,
    /// The player of each role that acted last.
    acted: [Option<usize>; Role::ALL.len()],
}

impl Deeds {
    /// Looks at the tick that has just been. Players beyond the roles are in the order in which they came in. Gives the first broken
    /// promise.
    pub fn look(&mut self, players: &[Player]) -> Option<Invariant> {
        let acting = players.iter().enumerate().filter(|(_, player)| player.deed.acted_in.is_some());
        for (index, player) in acting {
            let broken = self.judge_act(players, index, player);
            if broken.is_some() {
                return broken;
            }
        }
        self.judge_use(players).or_else(|| judge_meetings(players))
    }

    fn judge_act(&mut self, players: &[Player], index: usize, player: &Player) -> Option<Invariant> {
        let phase = player.deed.acted_in.unwrap_or(0);
        for role in Role::ALL.into_iter().filter(|role| *role != player.role) {
            if entered(players, role) < phase {
                return Some(Invariant::AllOrNone);
            }
            if entered(players, role) > phase + 1 {
                return Some(Invariant::OnePhaseAhead);
            }
        }
        let last = &mut self.acted[player.role as usize];
        // Players are in the order in which they came in.
        if last.is_some_and(|last| last > index) {
            return Some(Invariant::OnePlayer);
        }
        let came_in_uninvited = index >= Role::ALL.len() && player.cooperation.taken_over_at().is_none();
        let before_is_there = last.is_some_and(|last| last < index);
        if came_in_uninvited && before_is_there {
            return Some(Invariant::OnePlayer);
        }
        *last = Some(index);
        if player.deed.let_go && !players.iter().any(|other| other.role != player.role && other.holds_item) {
            return Some(Invariant::HeldByOne);
        }
        (player.swept().is_some() && ahead(players, player) > SWEEP_DELTA + 1.0).then_some(Invariant::InStep)
    }

    fn judge_use(&mut self, players: &[Player]) -> Option<Invariant> {
        let mut used: Vec<&'static str> = Vec::new();
        for player in players {
            let Some((resource, token)) = player.deed.used else { continue };
            if used.contains(&resource) {
                return Some(Invariant::OneUser);
            }
            used.push(resource);
            if player.deed.acted_in.is_some() && self.fences.entry(resource).or_default().pass(token).is_err()
            {
                return Some(Invariant::TokenOrder);
            }
        }
        None
    }
}

fn judge_meetings(players: &[Player]) -> Option<Invariant> {
    players.iter().find_map(|player| {
        let (name, with) = player.deed.met?;
        let gate = format!("barrier:{name}");
        // Counted by what was done, since what a role was told may be what is wrong.
        let times = player.came_to(name);
        let all = with.iter().all(|role| {
            let same = || players.iter().filter(|other| other.role == *role);
            let entered = same().map(|other| other.cooperation.own_report().gate(&gate).entered as usize);
            same().any(|other| other.came_to(name) >= times) && entered.max() >= Some(times)
        });
        (!all).then_some(Invariant::Meeting)
    })
}

/// Phases that a role has entered, whoever played it.
fn entered(players: &[Player], role: Role) -> u32 {
    let same = players.iter().filter(|player| player.role == role);
    same.map(|player| player.cooperation.own_report().entered).max().unwrap_or(0)
}

/// How far a player is ahead of the slowest other role.
fn ahead(players: &[Player], player: &Player) -> f64 {
    let pace = |player: &Player| player.cooperation.own_report().paces.get("sweep").copied().unwrap_or(0.0);
    // Of several players of a role the one that has come farthest: a dead predecessor and a refused second one do not count.
    let of_role = |role: Role| {
        let same = players.iter().filter(move |other| other.role == role);
        let present = same.max_by_key(|other| other.cooperation.own_report().entered)?;
        present.is_active().then(|| pace(present))
    };
    let others = Role::ALL.into_iter().filter(|role| *role != player.role);
    pace(player) - others.filter_map(of_role).fold(f64::MAX, f64::min)
}
