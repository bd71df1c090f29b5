//! Every fate of every message, up to a depth: breadth-first with stateright, over the shipped protocol.
//!
//! - *World*: three roles with a short program each, maybe a robot that stands by, and the messages that are under way. Time is counted
//!   in ticks of one right clock; patience is a few ticks, so that loss, hold, abort and fail-over lie within the depth.
//! - *Action*: one tick in which so many messages at most have another fate than to arrive ([`Fate`]), and in which one process may end.
//! - *Key*: everything that decides what comes next, times as ages.
//!
//! "Exhaustive" means: of all histories of so many ticks with so many unkind fates per tick, each end was reached and judged. That a
//! message is duplicated is left out: the second copy is refused by its number, which the random runs try.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use stateright::{Checker as _, HasDiscoveries, Model, Property};
use swarm_base::{Duration, Role, Time};
use swarm_skill_core::{Cooperation, CooperationConfig, Phase, RoleMessage, Timing};

use crate::invariants::{Deeds, Invariant};
use crate::player::{Player, Step, TICK, Then};

/// What becomes of a message that does not arrive in the tick after it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    Lost,
    /// A tick later, together with the next one, which overtakes it.
    Late,
}

/// One tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Action {
    /// Sender, hearer.
    unkind: [Option<(usize, usize, Fate)>; 2],
    crash: Option<usize>,
}

/// What is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    pub depth: u32,
    /// Messages per tick with an unkind fate, 0 to 2.
    pub unkind: usize,
    /// A robot stands by for the leader.
    pub standby: bool,
    /// The search begins when the leader has come to the safe point.
    pub from_safe_point: bool,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub search: Search,
    pub states: u64,
    pub transitions: u64,
    /// The invariant, and the ticks that lead to it.
    pub broken: Option<String>,
}

/// A world of the search.
#[derive(Clone, Debug)]
pub struct World {
    players: Vec<Player>,
    alive: Vec<bool>,
    /// Sent in the last tick: from, to.
    fresh: Vec<(usize, usize, RoleMessage)>,
    late: Vec<(usize, usize, RoleMessage)>,
    tick: u32,
    depth: u32,
    crashed: Option<u32>,
    deeds: Deeds,
    broken: Option<Invariant>,
}

/// Ticks from the end of a process until every role has ended, if nobody stands by for it and nothing else goes wrong: a message that
/// is late, the peer time-out, the hold time-out, and a tick to hear of the abort.
const END_BOUND: u32 = 2 + 2 + 5 + 2;

fn timing() -> Timing {
    let ticks = |ticks| Duration(ticks * TICK.0);
    Timing {
        heartbeat: ticks(1),
        peer_timeout: ticks(2),
        hold_timeout: ticks(5),
        lease_term: ticks(3),
        stop_margin: ticks(1),
        clock_drift_ppm: 0,
    }
}

impl World {
    fn new(search: Search) -> Self {
        let phases: Arc<[String]> = ["approach".to_owned(), "gripped".to_owned(), "mate".to_owned()].into();
        let program = |role| -> Arc<[Step]> {
            let bench = Step::Use { resource: "bench", ticks: 1, then: Then::GiveBack };
            let work = if role == Role::Follower { Step::Work(6) } else { Step::Work(1) };
            [Step::Enter(0), bench, work, Step::Enter(1), bench, Step::Enter(2), Step::Work(1)].into()
        };
        let player = |role: Role, instance, make: fn(CooperationConfig, Time) -> Cooperation| {
            let config = CooperationConfig {
                run: "r1".into(),
                epoch: 1,
                me: role,
                instance,
                roles: Role::ALL.to_vec(),
                phases: vec![
                    Phase::barrier("approach"),
                    Phase::safe_point("gripped"),
                    Phase::barrier("mate"),
                ],
                timing: timing(),
            };
            Player::new(role, instance, make(config, Time::ZERO), program(role), Arc::clone(&phases), 40, 0)
        };
        let mut players: Vec<Player> =
            Role::ALL.into_iter().map(|role| player(role, 1, Cooperation::new)).collect();
        if search.standby {
            players.push(player(Role::Leader, 2, Cooperation::stand_by));
        }
        let mut world = Self {
            alive: vec![true; players.len()],
            players,
            fresh: Vec::new(),
            late: Vec::new(),
            tick: 0,
            depth: 0,
            crashed: None,
            deeds: Deeds::default(),
            broken: None,
        };
        while search.from_safe_point && world.players[0].cooperation.own_report().ready < 2 {
            world.step(Action::default());
        }
        world.depth = 0;
        world
    }

    fn now(&self) -> Time {
        Time(u64::from(self.tick) * TICK.0)
    }

    fn step(&mut self, action: Action) {
        self.tick += 1;
        self.depth += 1;
        if let Some(role) = action.crash {
            self.alive[role] = false;
            self.crashed = Some(self.tick);
        }
        let now = self.now();
        let fate = |from, to| {
            let mut unkind = action.unkind.iter().flatten();
            unkind.find(|fate| (fate.0, fate.1) == (from, to)).map(|fate| fate.2)
        };
        // What is late comes after what overtook it.
        let mut arrived = Vec::new();
        let late = std::mem::take(&mut self.late);
        for (from, to, message) in std::mem::take(&mut self.fresh) {
            match fate(from, to) {
                None => arrived.push((to, message)),
                Some(Fate::Late) => self.late.push((from, to, message)),
                Some(Fate::Lost) => {}
            }
        }
        arrived.extend(late.into_iter().map(|(_, to, message)| (to, message)));
        for (to, message) in arrived.into_iter().filter(|(to, _)| self.alive[*to]) {
            self.players[to].cooperation.receive(&message, now);
        }
        for index in 0..self.players.len() {
            if !self.alive[index] {
                self.players[index].deed = crate::player::Deed::default();
                continue;
            }
            self.players[index].tick(now);
            if let Some(message) = self.players[index].cooperation.outgoing(now) {
                let others = (0..self.players.len()).filter(|&to| to != index && self.alive[to]);
                self.fresh.extend(others.map(|to| (index, to, message.clone())));
            }
        }
        self.judge();
    }

    fn judge(&mut self) {
        let running = || self.players.iter().zip(&self.alive).filter(|(_, alive)| **alive);
        let all_ended = running().all(|(player, _)| player.has_ended());
        let overdue =
            self.crashed.is_some_and(|since| self.tick - since > END_BOUND) && self.players.len() == 3;
        let ends = (overdue && !all_ended).then_some(Invariant::Ends);
        self.broken = self.broken.or(self.deeds.look(&self.players)).or(ends);
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, into: &mut H) {
        let now = self.now();
        for (player, alive) in self.players.iter().zip(&self.alive) {
            player.cooperation.hash_state(now, into);
            (player.place(), player.holds_item, alive).hash(into);
        }
        for (from, to, message) in self.fresh.iter().chain(&self.late) {
            (from, to, message.epoch, message.sequence).hash(into);
            message.report.hash_state(into);
        }
        (self.fresh.len(), self.crashed.map(|since| self.tick - since), &self.deeds, self.broken).hash(into);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        let digest = |world: &Self| {
            let mut hasher = DefaultHasher::new();
            world.hash(&mut hasher);
            hasher.finish()
        };
        digest(self) == digest(other)
    }
}

/// The model that stateright walks.
#[derive(Debug)]
struct Explorer(Search);

impl Model for Explorer {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.0)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.depth >= self.0.depth {
            return;
        }
        let links = || world.fresh.iter().map(|(from, to, _)| (*from, *to));
        let fates: Vec<(usize, usize, Fate)> =
            links().flat_map(|(from, to)| [(from, to, Fate::Lost), (from, to, Fate::Late)]).collect();
        actions.push(Action::default());
        if self.0.unkind > 0 {
            actions.extend(fates.iter().map(|&fate| Action { unkind: [Some(fate), None], crash: None }));
        }
        if self.0.unkind > 1 {
            for (index, &first) in fates.iter().enumerate() {
                let others =
                    fates[index + 1..].iter().filter(|other| (other.0, other.1) != (first.0, first.1));
                actions
                    .extend(others.map(|&other| Action { unkind: [Some(first), Some(other)], crash: None }));
            }
        }
        if world.crashed.is_none() {
            let active = (0..3).filter(|&role| world.players[role].is_active());
            actions.extend(active.map(|role| Action { unkind: [None; 2], crash: Some(role) }));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.step(action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("every invariant", |_, world: &World| world.broken.is_none())]
    }
}

/// Runs a search to its depth, or to the first broken invariant.
pub fn explore(search: Search) -> Outcome {
    let checker = Explorer(search).checker().finish_when(HasDiscoveries::AnyFailures);
    // One thread: with more, the first world of a key would depend on the scheduler.
    let checker = checker.threads(1).spawn_bfs().join();
    let broken = checker.discoveries().into_iter().next().map(|(_, path)| {
        let what = path.last_state().broken;
        let ticks: Vec<String> = path.into_actions().iter().map(Action::to_string).collect();
        format!("{what:?} from {search:?}: {}", ticks.join("; "))
    });
    Outcome {
        search,
        states: checker.unique_state_count() as u64,
        transitions: checker.state_count() as u64,
        broken,
    }
}

/// How much is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Some seconds.
    Short,
    /// What is claimed with.
    Whole,
}

/// The searches of an extent.
pub fn searches(extent: Extent) -> Vec<Search> {
    let search = |depth, unkind, standby| Search { depth, unkind, standby, from_safe_point: standby };
    match extent {
        Extent::Short => vec![search(4, 2, false), search(6, 1, false), search(4, 1, true)],
        Extent::Whole => vec![search(4, 2, false), search(7, 1, false), search(6, 1, true)],
    }
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { depth, unkind, standby, from_safe_point } = self;
        let standby = if *standby { ", a robot standing by" } else { "" };
        let from = if *from_safe_point { "the leader at the safe point" } else { "the beginning" };
        write!(f, "{depth} ticks from {from}, up to {unkind} unkind fates per tick and one crash{standby}")
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = Vec::new();
        words.extend(self.unkind.iter().flatten().map(|(from, to, fate)| format!("{from}->{to} {fate:?}")));
        words.extend(self.crash.map(|role| format!("{role} crashes")));
        write!(f, "{}", if words.is_empty() { "fair".to_owned() } else { words.join(", ") })
    }
}
