//! Fail-over in words: who takes over, and what is refused.

use super::*;
use crate::message::Vote;

const PHASES: [(&str, bool); 3] = [("approach", false), ("gripped", true), ("mate", false)];

fn config(role: Role, instance: u64, epoch: u64) -> CooperationConfig {
    CooperationConfig {
        run: "r1".into(),
        epoch,
        me: role,
        instance,
        roles: Role::ALL.to_vec(),
        phases: PHASES.map(|(name, takeover)| Phase { name: name.into(), takeover }).to_vec(),
        timing: Timing::default(),
    }
}

/// Executors on a link that loses nothing; who is in `silent` neither hears nor is heard.
struct Cell {
    members: Vec<Cooperation>,
    silent: Vec<usize>,
    /// The phase whose barrier each stands at, or in which it acts.
    wants: Vec<usize>,
    leaves: Vec<Leave>,
    tick: u32,
}

impl Cell {
    fn new() -> Self {
        let members: Vec<_> =
            Role::ALL.into_iter().map(|role| Cooperation::new(config(role, 1, 7), Time::ZERO)).collect();
        Self { members, silent: Vec::new(), wants: vec![0; 4], leaves: vec![Leave::Go; 4], tick: 0 }
    }

    fn now(&self) -> Time {
        Time(u64::from(self.tick) * TICK.0)
    }

    fn run(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.tick += 1;
            let now = self.now();
            for index in 0..self.members.len() {
                let member = &mut self.members[index];
                self.leaves[index] = member.judge(now);
                let wanted = PHASES[self.wants[index]].0;
                if self.leaves[index] == Leave::Go && member.own_report().standing == Standing::Active {
                    member.enter(wanted).unwrap();
                }
                let Some(message) = member.outgoing(now) else { continue };
                if self.silent.contains(&index) {
                    continue;
                }
                for to in (0..self.members.len()).filter(|to| *to != index && !self.silent.contains(to)) {
                    self.members[to].receive(&message, now);
                }
            }
        }
    }

    /// The leader waits at the safe point, the others are still on their way, somebody stands by for the leader.
    fn at_safe_point() -> Self {
        let mut cell = Self::new();
        let standby = Cooperation::stand_by(config(Role::Leader, 2, 7), Time::ZERO);
        cell.members.push(standby);
        cell.run(10);
        // All act in the first phase; only the leader goes on to the safe point.
        cell.wants = vec![1, 0, 0, 1];
        cell.run(5);
        cell
    }

    /// The leader falls silent; the others come to the safe point.
    fn lose_leader(&mut self) {
        self.silent.push(0);
        self.run(60);
        assert_eq!(self.leaves[1..3], [Leave::Go, Leave::Go], "they finish their way to the safe point");
        self.wants = vec![1; 4];
        self.run(90);
    }
}

fn ends(cell: &Cell, index: usize) -> String {
    match &cell.members[index].own_report().standing {
        Standing::Aborted(reason) => reason.clone(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_leader_lost_at_a_safe_point_is_taken_over_in_the_next_epoch() {
    let mut cell = Cell::at_safe_point();
    cell.lose_leader();
    assert_eq!(cell.members[3].taken_over_at(), Some("gripped"));
    assert_eq!(cell.members[3].own_report().standing, Standing::Active);
    assert!([1, 2, 3].iter().all(|index| cell.members[*index].epoch() == 8), "{:?}", cell.leaves);
    assert_eq!(cell.members[3].phase(), "gripped", "the run goes on");
    assert!(matches!(cell.leaves[0], Leave::Hold(_)), "the old one stands: {:?}", cell.leaves[0]);

    // Back again, the old leader is told nothing and changes nothing; it learns that the run goes on without it.
    cell.silent.clear();
    cell.run(5);
    assert_eq!(ends(&cell, 0), "the run goes on under epoch 8 without this leader, which is of epoch 7");
    assert!([1, 2, 3].iter().all(|index| cell.leaves[*index] == Leave::Go), "{:?}", cell.leaves);
}

#[test]
fn a_stale_leaders_messages_are_refused_with_a_reason() {
    let mut cell = Cell::at_safe_point();
    let now = cell.now();
    let mut old = cell.members[0].clone();
    cell.lose_leader();
    old.abort("everybody stop".into());
    let stale = old.outgoing(now).unwrap();
    let now = cell.now();
    let receipt = cell.members[1].receive(&stale, now);
    assert_eq!(receipt, Receipt::Stale);
    assert_eq!(receipt.refusal(), Some("its epoch is over: the role has been taken over by another robot"));
    cell.run(5);
    assert_eq!(cell.leaves[1], Leave::Go);
}

#[test]
fn nobody_is_replaced_in_the_middle_of_a_phase() {
    let mut cell = Cell::new();
    cell.members.push(Cooperation::stand_by(config(Role::Leader, 2, 7), Time::ZERO));
    cell.run(10);
    // Not yet at the safe point when it falls silent.
    cell.silent.push(0);
    cell.run(230);
    assert_eq!(cell.members[3].taken_over_at(), None);
    for index in [1, 2] {
        assert!(ends(&cell, index).contains("no message from leader"), "{}", ends(&cell, index));
    }
}

#[test]
fn two_that_are_left_do_not_replace_two() {
    let mut cell = Cell::at_safe_point();
    cell.silent.extend([0, 2]);
    cell.wants = vec![1; 4];
    cell.run(260);
    assert_eq!(cell.members[3].taken_over_at(), None);
    assert!(ends(&cell, 1).contains("no message from"), "{}", ends(&cell, 1));
}

#[test]
fn a_role_that_rejoins_with_the_old_epoch_is_refused_and_the_run_untouched() {
    let mut cell = Cell::new();
    cell.run(10);
    // The follower's process is started a second time while the first one runs.
    let now = cell.now();
    cell.members.push(Cooperation::new(config(Role::Follower, 9, 7), now));
    cell.run(30);
    assert_eq!(
        ends(&cell, 3),
        "the run has another follower: leader hears instance 1, this is 9; a role is taken over at a safe point only"
    );
    assert!((0..3).all(|index| cell.leaves[index] == Leave::Go), "{:?}", cell.leaves);
    let now = cell.now() + Duration::from_millis(100);
    let message = cell.members[3].outgoing(now).unwrap();
    let receipt = cell.members[0].receive(&message, now);
    assert_eq!(receipt, Receipt::Impostor);
    assert_eq!(
        receipt.refusal(),
        Some("another executor plays its role; a role is taken over at a safe point only")
    );
}

#[test]
fn of_two_leaders_that_start_at_once_none_leases_and_the_run_ends() {
    // The follower hears one of them first, the spotter the other one.
    let mut first = Cooperation::new(config(Role::Leader, 1, 7), Time::ZERO);
    let mut second = Cooperation::new(config(Role::Leader, 2, 7), Time::ZERO);
    let mut follower = Cooperation::new(config(Role::Follower, 1, 7), Time::ZERO);
    let mut spotter = Cooperation::new(config(Role::Spotter, 1, 7), Time::ZERO);
    let mut ended = false;
    for tick in 1..60 {
        let now = Time(tick * TICK.0);
        for leader in [&mut first, &mut second] {
            if leader.judge(now) == Leave::Go {
                assert_eq!(leader.lease("bench"), None, "tick {tick}");
                assert_eq!(leader.enter("approach").unwrap(), Entry::Waiting, "tick {tick}");
            }
        }
        follower.judge(now);
        spotter.judge(now);
        let messages = [&mut first, &mut second, &mut follower, &mut spotter].map(|role| role.outgoing(now));
        let [from_first, from_second, from_follower, from_spotter] = messages;
        for message in [&from_first, &from_second, &from_spotter].into_iter().flatten() {
            follower.receive(message, now);
        }
        for message in [&from_second, &from_first, &from_follower].into_iter().flatten() {
            spotter.receive(message, now);
        }
        for message in [&from_follower, &from_spotter].into_iter().flatten() {
            first.receive(message, now);
            second.receive(message, now);
        }
        let all = [&first, &second, &follower, &spotter];
        ended = all.iter().all(|role| matches!(role.own_report().standing, Standing::Aborted(_)));
    }
    assert!(ended, "{first:?}");
}

#[test]
fn a_vote_that_nobody_has_cast_is_not_believed() {
    let mut cell = Cell::new();
    cell.run(10);
    let forged = Vote { epoch: 8, role: Role::Follower, instance: 2, phase: 2 };
    let now = cell.now() + Duration::from_millis(100);
    let mut message = cell.members[0].outgoing(now).unwrap();
    message.epoch = 8;
    Arc::make_mut(&mut message.report).vote = Some(forged);
    assert_eq!(cell.members[2].receive(&message, now), Receipt::Stale);
    assert_eq!(cell.members[2].epoch(), 7);
    assert_eq!(ends(&cell, 2), "the run goes on under epoch 8 without this spotter, which is of epoch 7");
}

#[test]
fn a_shared_entry_is_the_last_writers_and_a_later_epoch_wins() {
    use crate::message::SharedValue;
    let mut cell = Cell::new();
    cell.members[0].share("cell_goal", SharedValue::Int(1)).unwrap();
    cell.members[0].share("role_count", SharedValue::Int(5)).unwrap();
    cell.run(5);
    assert_eq!(cell.members[2].shared("cell_goal").unwrap().value, SharedValue::Int(1));
    assert_eq!(cell.members[2].shared("role_count"), None, "it is the leader's");
    cell.members[2].share("cell_goal", SharedValue::Int(2)).unwrap();
    cell.run(5);
    assert_eq!(cell.members[0].shared("cell_goal").unwrap().value, SharedValue::Int(2));
    let error = cell.members[0].share("cell_x", SharedValue::Float(f64::NAN)).unwrap_err();
    assert_eq!(error.to_string(), "'cell_x' cannot be shared: it holds a number that is not finite");
}

#[test]
fn a_successor_finds_what_its_predecessor_left() {
    use crate::message::SharedValue;
    let mut cell = Cell::at_safe_point();
    cell.members[0].share("role_count", SharedValue::Int(5)).unwrap();
    cell.run(5);
    cell.lose_leader();
    assert_eq!(cell.members[3].taken_over_at(), Some("gripped"));
    assert_eq!(cell.members[3].shared("role_count").unwrap().value, SharedValue::Int(5));
}

/// Members ask until they have passed, for some ticks; who has.
fn passed<const N: usize>(
    cell: &mut Cell,
    members: [usize; N],
    poll: impl Fn(&mut Cooperation) -> Entry,
) -> [bool; N] {
    let mut passed = [false; N];
    for _ in 0..10 {
        for (passed, index) in passed.iter_mut().zip(members) {
            *passed = *passed || poll(&mut cell.members[index]) == Entry::Acting;
        }
        cell.run(1);
    }
    passed
}

#[test]
fn a_successor_counts_meetings_on_from_where_its_predecessor_stood() {
    const PAIR: [Role; 2] = [Role::Leader, Role::Follower];
    let barrier = |own: &mut Cooperation| own.meet("b", &PAIR).unwrap();
    let quorum = |own: &mut Cooperation| own.agree("q", 3).unwrap();
    // What is between begin and end opens or closes the gripper.
    let hand_over = |own: &mut Cooperation| match own.begin_hand_over("peg", PAIR[0], PAIR[1]).unwrap() {
        Entry::Acting => own.end_hand_over("peg", PAIR[0], PAIR[1]).unwrap(),
        Entry::Waiting => Entry::Waiting,
    };
    let mut cell = Cell::new();
    cell.members.push(Cooperation::stand_by(config(Role::Leader, 2, 7), Time::ZERO));
    cell.run(10);
    assert_eq!(passed(&mut cell, [0, 1], barrier), [true; 2]);
    assert_eq!(passed(&mut cell, [0, 1], hand_over), [true; 2]);
    assert_eq!(passed(&mut cell, [0, 1, 2], quorum), [true; 3]);
    cell.wants = vec![1, 0, 0, 1];
    cell.run(5);
    cell.lose_leader();
    assert_eq!(cell.members[3].taken_over_at(), Some("gripped"));

    assert_eq!(passed(&mut cell, [3], barrier), [false], "the follower has not come to this round");
    assert_eq!(passed(&mut cell, [3, 1], barrier), [true; 2]);
    assert_eq!(passed(&mut cell, [3], hand_over), [false], "it let go of what the follower has not taken");
    assert_eq!(passed(&mut cell, [3, 1], hand_over), [true; 2]);
    assert_eq!(passed(&mut cell, [3, 1], quorum), [false; 2], "the spotter has not declared itself");
    assert_eq!(passed(&mut cell, [3, 1, 2], quorum), [true; 3]);
}
