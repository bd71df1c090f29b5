//! An episode under way: players, clocks, link, and what strikes them.

use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use swarm_base::{Duration, Time};
use swarm_skill_core::{Cooperation, CooperationConfig, Phase};

use super::net::{MOST, Net};
use super::plan::{self, Fault, PHASES, Plan, ROLES, SAFE_POINT, When};
use super::sabotage::Sabotage;
use crate::player::{Player, TICK};

/// Epoch in which every episode begins.
const EPOCH: u64 = 7;

#[derive(Debug)]
pub struct World {
    pub plan: Plan,
    /// The three roles in their order, then whoever comes in.
    pub players: Vec<Player>,
    /// Players whose process runs.
    pub alive: [bool; MOST],
    pub tick: u32,
    /// When the fault struck.
    pub struck: Option<u32>,
    net: Net,
    rng: SmallRng,
    phases: Arc<[String]>,
    phase_list: Vec<Phase>,
    /// Since when the role that will be struck has stood at the safe point.
    waiting_since: Option<u32>,
    sabotage: Sabotage,
}

impl World {
    pub fn new(plan: Plan, sabotage: Sabotage) -> Self {
        let rng = SmallRng::seed_from_u64(plan.seed ^ 0x5eed);
        let mut world = Self {
            net: Net::new(plan.weather),
            players: Vec::with_capacity(MOST),
            alive: [false; MOST],
            tick: 0,
            struck: None,
            rng,
            phases: PHASES.iter().map(|(name, _)| (*name).to_owned()).collect(),
            phase_list: plan::phases(),
            waiting_since: None,
            sabotage,
            plan,
        };
        for index in 0..ROLES.len() {
            let config = world.config(index, index as u64 + 1);
            let player = world.player(index, config, index, Cooperation::new);
            world.players.push(player);
        }
        if world.plan.standby {
            let role = world.plan.strike.role;
            let config = world.config(role, 100);
            let player = world.player(role, config, ROLES.len(), Cooperation::stand_by);
            world.players.push(player);
            world.alive[ROLES.len()] = true;
        }
        world
    }

    /// One tick of everything.
    pub fn step(&mut self) {
        self.tick += 1;
        self.start();
        self.strike();
        let (tick, sabotage) = (self.tick, self.sabotage);
        let Self { net, players, alive, plan, .. } = self;
        net.arrived(tick, |to, message| {
            if alive[to] {
                let now = local(plan, to, tick);
                let message = sabotage.deliver(message, to, players);
                players[to].cooperation.receive(&message, now);
            }
        });
        // Nobody's tick comes first by rule.
        let first = self.rng.random_range(0..self.players.len());
        for offset in 0..self.players.len() {
            let index = (first + offset) % self.players.len();
            if self.alive[index] {
                self.tick_player(index);
            } else {
                self.players[index].deed = crate::player::Deed::default();
            }
        }
    }

    /// Everybody whose process runs has ended; a robot that stands by has nothing to end.
    pub fn has_ended(&self) -> bool {
        let running = self.players.iter().zip(self.alive).filter(|(_, alive)| *alive);
        let mut members = running.filter(|(player, _)| player.is_active()).peekable();
        let started = self.plan.starts.iter().all(|start| *start <= self.tick);
        members.peek().is_none() && started
    }

    /// Whether the struck role's part has been taken over by another player.
    pub fn is_replaced(&self) -> bool {
        self.players.iter().any(|player| player.cooperation.taken_over_at().is_some())
    }

    fn tick_player(&mut self, index: usize) {
        let now = local(&self.plan, index, self.tick);
        let player = &mut self.players[index];
        player.tick(now);
        if let Some(message) = player.cooperation.outgoing(now) {
            let count = self.players.len();
            self.net.send(index, &message, count, self.tick, &mut self.rng);
        }
    }

    fn start(&mut self) {
        for index in 0..ROLES.len() {
            if self.plan.starts[index] + 1 == self.tick {
                // Made now, because its patience begins now.
                let config = self.config(index, index as u64 + 1);
                self.players[index] = self.player(index, config, index, Cooperation::new);
                self.alive[index] = true;
            }
        }
    }

    fn strike(&mut self) {
        let strike = self.plan.strike;
        let role = strike.role;
        match self.struck {
            None => {
                let report = self.players[role].cooperation.own_report();
                if report.ready == SAFE_POINT && report.entered < SAFE_POINT {
                    self.waiting_since.get_or_insert(self.tick);
                }
                let due = match strike.when {
                    When::At(tick) => self.tick >= tick && self.alive[role],
                    When::AtSafePoint { ticks } => {
                        self.waiting_since.is_some_and(|since| self.tick >= since + ticks)
                    }
                };
                if due {
                    self.struck = Some(self.tick);
                    self.begin_fault(role, strike.fault);
                }
            }
            Some(since) => self.go_on_with_fault(role, strike.fault, self.tick - since),
        }
    }

    fn begin_fault(&mut self, role: usize, fault: Fault) {
        match fault {
            Fault::None => {}
            Fault::Crash { .. } => self.alive[role] = false,
            Fault::Cut { hears, is_heard, .. } => self.cut(role, !hears, !is_heard),
            Fault::CutOneWay { .. } => self.net.cut[role][(role + 1) % ROLES.len()] = true,
            Fault::Abort => self.players[role].cooperation.abort("gives up".into()),
            Fault::Hold { .. } => self.players[role].cooperation.set_hold(Some("misaligned".into())),
            Fault::Second => self.come_in(role),
        }
    }

    fn go_on_with_fault(&mut self, role: usize, fault: Fault, age: u32) {
        match fault {
            Fault::Crash { restart_after: Some(ticks) } if ticks == age && self.players.len() < MOST => {
                self.come_in(role);
            }
            Fault::Cut { ticks: Some(ticks), .. } if ticks == age => self.cut(role, false, false),
            Fault::CutOneWay { ticks: Some(ticks) } if ticks == age => {
                self.net.cut[role][(role + 1) % ROLES.len()] = false;
            }
            Fault::Hold { ticks } if ticks == age => self.players[role].cooperation.set_hold(None),
            _ => {}
        }
    }

    fn cut(&mut self, role: usize, to_it: bool, from_it: bool) {
        for other in (0..MOST).filter(|&other| other != role) {
            self.net.cut[other][role] = to_it;
            self.net.cut[role][other] = from_it;
        }
    }

    /// A process that knows nothing begins to play a role, in the epoch in which the run began.
    fn come_in(&mut self, role: usize) {
        let config = self.config(role, 200);
        let player = self.player(role, config, ROLES.len(), Cooperation::new);
        self.alive[self.players.len()] = true;
        self.players.push(player);
    }

    fn config(&self, role: usize, instance: u64) -> CooperationConfig {
        CooperationConfig {
            run: "r1".into(),
            epoch: EPOCH,
            me: ROLES[role],
            instance: self.sabotage.instance(instance),
            roles: ROLES.to_vec(),
            phases: self.phase_list.clone(),
            timing: self.sabotage.timing(self.plan.timing),
        }
    }

    fn player(
        &self,
        role: usize,
        config: CooperationConfig,
        clock: usize,
        make: fn(CooperationConfig, Time) -> Cooperation,
    ) -> Player {
        let instance = config.instance;
        let cooperation = make(config, local(&self.plan, clock, self.tick));
        let program = Arc::clone(&self.plan.programs[role]);
        let braking = (self.plan.timing.stop_margin.0 / TICK.0) as u32 - 1;
        let mut player = Player::new(
            ROLES[role],
            instance,
            cooperation,
            program,
            Arc::clone(&self.phases),
            self.plan.patience,
            braking,
        );
        player.hasty = self.sabotage == Sabotage::Rest;
        player
    }
}

/// What a player's clock shows.
fn local(plan: &Plan, player: usize, tick: u32) -> Time {
    let (begin, drift_ppm) = plan.clocks[player];
    let elapsed = i64::from(tick) * TICK.0.cast_signed();
    let wrong = elapsed / 1_000_000 * i64::from(drift_ppm);
    Time(begin) + Duration((elapsed + wrong).unsigned_abs())
}
