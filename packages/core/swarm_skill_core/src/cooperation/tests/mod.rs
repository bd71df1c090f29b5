//! The promise of the protocol under a link that drops, delays, duplicates and reorders, and the bounds of hold and abort.

mod answers;
mod failover;

use proptest::prelude::*;

use super::*;

const TICK: Duration = Duration::from_millis(10);
const PHASES: [&str; 4] = ["approach", "grip", "mate", "retreat"];

/// How badly a link treats messages; shares are of 256.
#[derive(Clone, Copy, Debug)]
struct Weather {
    drop: u8,
    duplicate: u8,
    /// Each message is under way for 0 to so many ticks, so messages overtake each other.
    delay_ticks: u8,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// From this tick on the role neither sends nor hears.
    Silent {
        role: usize,
        tick: u32,
    },
    Aborts {
        role: usize,
        tick: u32,
    },
}

/// Three roles that each want to work for some ticks in every phase, and the messages between them.
struct World {
    roles: Vec<Cooperation>,
    under_way: Vec<(u32, usize, RoleMessage)>,
    work_left: Vec<u32>,
    wants: Vec<usize>,
    leaves: Vec<Leave>,
    acts: Vec<Option<usize>>,
    random: u64,
    weather: Weather,
    fault: Fault,
    tick: u32,
}

impl World {
    fn new(seed: u64, weather: Weather, fault: Fault) -> Self {
        let config = |me| CooperationConfig {
            run: "r1".into(),
            epoch: 7,
            me,
            roles: Role::ALL.to_vec(),
            instance: 0,
            phases: PHASES.map(Phase::barrier).to_vec(),
            timing: Timing::default(),
        };
        Self {
            roles: Role::ALL.map(|me| Cooperation::new(config(me), Time::ZERO)).into(),
            under_way: Vec::new(),
            work_left: vec![0; 3],
            wants: vec![0; 3],
            leaves: vec![Leave::Go; 3],
            acts: vec![None; 3],
            random: seed | 1,
            weather,
            fault,
            tick: 0,
        }
    }

    fn now(&self) -> Time {
        Time(u64::from(self.tick) * TICK.0)
    }

    /// xorshift64: enough to shuffle messages, and the seed that proptest prints replays it.
    fn draw(&mut self, below: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 33) as u32 % below
    }

    fn silent(&self, role: usize) -> bool {
        matches!(self.fault, Fault::Silent { role: silent, tick } if silent == role && self.tick >= tick)
    }

    fn step(&mut self) {
        self.tick += 1;
        let now = self.now();
        let (arrived, later) = self.under_way.drain(..).partition(|(due, ..)| *due <= self.tick);
        self.under_way = later;
        let arrived: Vec<(u32, usize, RoleMessage)> = arrived;
        for (_, to, message) in arrived {
            if !self.silent(to) {
                self.roles[to].receive(&message, now);
            }
        }
        for role in 0..3 {
            self.step_role(role);
            if !self.silent(role) {
                self.send_from(role);
            }
        }
    }

    fn step_role(&mut self, role: usize) {
        let now = self.now();
        self.leaves[role] = self.roles[role].judge(now);
        self.acts[role] = None;
        if matches!(self.fault, Fault::Aborts { role: bad, tick } if bad == role && tick == self.tick) {
            self.roles[role].abort("gives up".into());
        }
        if self.leaves[role] != Leave::Go || self.roles[role].own_report().standing != Standing::Active {
            return;
        }
        if self.wants[role] == PHASES.len() {
            self.roles[role].finish();
            self.roles[role].set_at_rest(true);
            return;
        }
        if self.roles[role].enter(PHASES[self.wants[role]]).unwrap() == Entry::Acting {
            self.acts[role] = Some(self.wants[role]);
            if self.work_left[role] == 0 {
                self.wants[role] += 1;
                self.work_left[role] = self.draw(30);
            } else {
                self.work_left[role] -= 1;
            }
        }
    }

    fn send_from(&mut self, from: usize) {
        let now = self.now();
        let Some(message) = self.roles[from].outgoing(now) else { return };
        for to in (0..3).filter(|&to| to != from) {
            if self.draw(256) < u32::from(self.weather.drop) {
                continue;
            }
            let copies = if self.draw(256) < u32::from(self.weather.duplicate) { 2 } else { 1 };
            for _ in 0..copies {
                let due = self.tick + self.draw(u32::from(self.weather.delay_ticks) + 1);
                self.under_way.push((due, to, message.clone()));
            }
        }
    }

    /// The invariants of the module's promise, on what the roles really did and not on what they heard.
    fn check_promise(&self) -> Result<(), TestCaseError> {
        for role in 0..3 {
            for other in 0..3 {
                let (own, others) = (self.roles[role].own_report(), self.roles[other].own_report());
                if let Some(phase) = self.acts[role] {
                    prop_assert!(
                        others.entered > phase as u32,
                        "tick {}: {} acts in {} but {} has entered {} phases only",
                        self.tick,
                        Role::ALL[role],
                        PHASES[phase],
                        Role::ALL[other],
                        others.entered
                    );
                }
                prop_assert!(others.ready >= own.entered, "entered {} before all were ready", own.entered);
                prop_assert!(own.entered.abs_diff(others.entered) <= 1, "more than one phase apart");
            }
        }
        Ok(())
    }

    fn all_stand(&self, standing: &Standing) -> bool {
        self.roles.iter().all(|role| &role.own_report().standing == standing)
    }
}

fn any_weather(drop: std::ops::Range<u8>) -> impl Strategy<Value = Weather> {
    (drop, any::<u8>(), 0_u8..12).prop_map(|(drop, duplicate, delay_ticks)| Weather {
        drop,
        duplicate,
        delay_ticks,
    })
}

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::None),
        (0_usize..3, 1_u32..200).prop_map(|(role, tick)| Fault::Silent { role, tick }),
        (0_usize..3, 1_u32..200).prop_map(|(role, tick)| Fault::Aborts { role, tick }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// All or none, whatever the link does and whoever fails.
    #[test]
    fn no_role_acts_in_a_phase_that_another_has_not_entered(
        seed in any::<u64>(), weather in any_weather(0..255), fault in any_fault()
    ) {
        let mut world = World::new(seed, weather, fault);
        for _ in 0..600 {
            world.step();
            world.check_promise()?;
        }
    }

    /// A link that loses a quarter of the messages delays a run, but does not stop it.
    #[test]
    fn a_lossy_link_only_delays(seed in any::<u64>(), weather in any_weather(0..64)) {
        let mut world = World::new(seed, weather, Fault::None);
        let ticks = (0..3_000).find(|_| { world.step(); world.all_stand(&Standing::Done) });
        prop_assert!(ticks.is_some(), "not done after {} ticks: {:?}", world.tick, world.roles);
    }

    /// A role that falls silent stops the others: hold after the peer time-out, abort after the hold time-out.
    #[test]
    fn a_lost_peer_makes_the_others_hold_and_then_abort(
        seed in any::<u64>(), role in 0_usize..3, tick in 1_u32..40, drop in 0_u8..16
    ) {
        let weather = Weather { drop, duplicate: 32, delay_ticks: 2 };
        let mut world = World::new(seed, weather, Fault::Silent { role, tick });
        // The last message may have been under way for two ticks; one tick more until it is judged.
        let hold_by = tick + 20 + 2 + 1;
        let abort_by = hold_by + 200 + 1;
        while world.tick < tick - 1 {
            world.step();
        }
        // A role that has finished may fall silent; that is another test.
        prop_assume!(world.roles[role].own_report().standing == Standing::Active);
        while world.tick < abort_by {
            world.step();
            world.check_promise()?;
            if world.tick >= hold_by {
                for other in 0..3 {
                    prop_assert_ne!(&world.leaves[other], &Leave::Go, "{} still goes at tick {}", Role::ALL[other], world.tick);
                }
            }
        }
        for other in 0..3 {
            prop_assert!(matches!(world.leaves[other], Leave::Abort(_)), "{} has not aborted", Role::ALL[other]);
        }
    }

    /// An abort reaches everybody: by message if one gets through, by silence if none does.
    #[test]
    fn an_abort_ends_the_run_of_every_role(
        seed in any::<u64>(), weather in any_weather(0..255), role in 0_usize..3, tick in 1_u32..40
    ) {
        let mut world = World::new(seed, weather, Fault::Aborts { role, tick });
        for _ in 0..2_000 {
            world.step();
            world.check_promise()?;
        }
        for role in &world.roles {
            prop_assert!(matches!(role.own_report().standing, Standing::Aborted(_)), "{:?}", role);
        }
    }
}

fn pair(now: Time) -> (Cooperation, Cooperation) {
    let config = |me| CooperationConfig {
        run: "r1".into(),
        epoch: 1,
        me,
        roles: vec![Role::Leader, Role::Spotter],
        instance: 0,
        phases: vec![Phase::barrier("approach"), Phase::barrier("grip")],
        timing: Timing::default(),
    };
    (Cooperation::new(config(Role::Leader), now), Cooperation::new(config(Role::Spotter), now))
}

fn exchange(a: &mut Cooperation, b: &mut Cooperation, now: Time) {
    for _ in 0..3 {
        if let Some(message) = a.outgoing(now) {
            b.receive(&message, now);
        }
        if let Some(message) = b.outgoing(now) {
            a.receive(&message, now);
        }
        a.judge(now);
        b.judge(now);
    }
}

#[test]
fn messages_of_another_run_epoch_or_role_are_dropped() {
    let (mut leader, mut spotter) = pair(Time::ZERO);
    spotter.enter("approach").unwrap();
    let good = spotter.outgoing(Time::ZERO).unwrap();
    assert_eq!(
        leader.receive(&RoleMessage { run: "r0".into(), ..good.clone() }, Time::ZERO),
        Receipt::Foreign
    );
    assert_eq!(leader.receive(&RoleMessage { epoch: 0, ..good.clone() }, Time::ZERO), Receipt::Stale);
    assert_eq!(
        leader.receive(&RoleMessage { from: Role::Follower, ..good.clone() }, Time::ZERO),
        Receipt::Stranger
    );
    assert_eq!(
        leader.receive(&RoleMessage { from: Role::Leader, ..good.clone() }, Time::ZERO),
        Receipt::Stranger
    );
    assert_eq!(leader.enter("approach"), Ok(Entry::Waiting), "none of these was believed");
    assert_eq!(leader.receive(&good, Time::ZERO), Receipt::Accepted);
    assert_eq!(leader.receive(&good, Time::ZERO), Receipt::Old);
}

#[test]
fn phases_are_entered_in_order() {
    let (mut leader, mut spotter) = pair(Time::ZERO);
    assert_eq!(
        leader.enter("grip").unwrap_err().to_string(),
        "phase 'grip' cannot be entered now; the next one is 'approach'"
    );
    assert_eq!(
        leader.enter("paint").unwrap_err().to_string(),
        "'paint' is no phase of this run; its phases are approach, grip"
    );
    for phase in ["approach", "grip"] {
        leader.enter(phase).unwrap();
        spotter.enter(phase).unwrap();
        exchange(&mut leader, &mut spotter, Time::ZERO);
        assert_eq!(leader.enter(phase), Ok(Entry::Acting));
    }
    assert_eq!(
        leader.enter("approach").unwrap_err().to_string(),
        "phase 'approach' is over; the run is in phase 'grip'"
    );
}

#[test]
fn a_hold_is_released_when_the_wish_is_taken_back() {
    let (mut leader, mut spotter) = pair(Time::ZERO);
    spotter.set_hold(Some("misaligned by 3 mm".into()));
    exchange(&mut leader, &mut spotter, Time::from_millis(10));
    assert_eq!(leader.judge(Time::from_millis(10)), Leave::Hold("spotter: misaligned by 3 mm".into()));
    assert_eq!(spotter.judge(Time::from_millis(10)), Leave::Go, "the spotter goes on watching");
    spotter.set_hold(None);
    exchange(&mut leader, &mut spotter, Time::from_millis(20));
    assert_eq!(leader.judge(Time::from_millis(20)), Leave::Go);
}

#[test]
fn a_hold_that_lasts_too_long_becomes_an_abort() {
    let (mut leader, mut spotter) = pair(Time::ZERO);
    spotter.set_hold(Some("misaligned".into()));
    let mut now = Time::ZERO;
    while now <= Time::from_millis(2_100) {
        exchange(&mut leader, &mut spotter, now);
        now = now + TICK;
    }
    let Leave::Abort(reason) = leader.judge(now) else { panic!("the leader still waits") };
    assert!(
        reason.starts_with("spotter: held for 2.0 s: misaligned")
            || reason.starts_with("held for 2.0 s: spotter: "),
        "{reason}"
    );
}

#[test]
fn a_peer_that_finished_early_is_not_waited_for() {
    let (mut leader, mut spotter) = pair(Time::ZERO);
    spotter.finish();
    spotter.set_at_rest(true);
    leader.enter("approach").unwrap();
    exchange(&mut leader, &mut spotter, Time::from_millis(10));
    assert_eq!(
        leader.judge(Time::from_millis(10)),
        Leave::Abort("spotter: finished without entering phase 'approach'".into())
    );
}

#[test]
fn a_finished_peer_may_fall_silent() {
    let (mut leader, mut spotter) = pair(Time::ZERO);
    spotter.finish();
    spotter.set_at_rest(true);
    exchange(&mut leader, &mut spotter, Time::from_millis(10));
    assert_eq!(leader.judge(Time::from_millis(60_000)), Leave::Go);
}
