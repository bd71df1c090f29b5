//! The table of the crate's documentation, cell by cell: what each cooperative node answers to timeout, partition, late join,
//! duplicate and reordered message.

use super::*;

/// What a node's leaf asks of the cooperation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    EnterPhase,
    SafePoint,
    Barrier,
    Quorum,
    Lease,
    Handover,
    ProgressSync,
    OnRoleLost,
}

const NODES: [Node; 8] = [
    Node::EnterPhase,
    Node::SafePoint,
    Node::Barrier,
    Node::Quorum,
    Node::Lease,
    Node::Handover,
    Node::ProgressSync,
    Node::OnRoleLost,
];

/// What becomes of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Arrive,
    /// Each arrives three times.
    Thrice,
    /// After each, all that its sender has sent before arrives again, latest first.
    OldOnesAfter,
}

/// Three roles at one kind of node.
struct Trio {
    node: Node,
    fate: Fate,
    roles: Vec<Cooperation>,
    /// Tick in which each begins.
    begins: [u32; 3],
    /// The follower neither hears nor is heard from this tick on.
    cut_from: u32,
    sent: Vec<(usize, RoleMessage)>,
    leaves: Vec<Leave>,
    /// Whether each has passed the node, and in which tick.
    passed: [Option<u32>; 3],
    begun: [bool; 3],
    tick: u32,
}

const FOLLOWER: usize = 1;
/// What the hand-over is called in reports.
const PEG: &str = "handover:peg:leader:follower";
const NEVER: u32 = u32::MAX;

impl Trio {
    fn new(node: Node, fate: Fate, begins: [u32; 3], cut_from: u32) -> Self {
        let roles = (0..3).map(|role| Cooperation::new(Self::config(role), Time::ZERO)).collect();
        Self {
            node,
            fate,
            roles,
            begins,
            cut_from,
            sent: Vec::new(),
            leaves: vec![Leave::Go; 3],
            passed: [None; 3],
            begun: [false; 3],
            tick: 0,
        }
    }

    fn config(role: usize) -> CooperationConfig {
        CooperationConfig {
            run: "r1".into(),
            epoch: 1,
            me: Role::ALL[role],
            instance: 1,
            roles: Role::ALL.to_vec(),
            phases: vec![Phase::barrier("approach"), Phase::safe_point("gripped")],
            timing: Timing::default(),
        }
    }

    fn now(&self) -> Time {
        Time(u64::from(self.tick) * TICK.0)
    }

    fn run(&mut self, ticks: u32) -> &mut Self {
        for _ in 0..ticks {
            self.step();
        }
        self
    }

    fn step(&mut self) {
        self.tick += 1;
        let now = self.now();
        for role in 0..3 {
            if self.tick <= self.begins[role] {
                continue;
            }
            if !self.begun[role] {
                self.begun[role] = true;
                self.roles[role] = Cooperation::new(Self::config(role), now);
            }
            self.leaves[role] = self.roles[role].judge(now);
            self.roles[role].forget_watched();
            if self.leaves[role] == Leave::Go && self.passed[role].is_none() && self.poll(role) {
                self.passed[role] = Some(self.tick);
            }
            if let Some(message) = self.roles[role].outgoing(now) {
                self.deliver(role, &message);
            }
        }
    }

    fn deliver(&mut self, from: usize, message: &RoleMessage) {
        self.sent.push((from, message.clone()));
        let is_cut = |role: usize| role == FOLLOWER && self.tick >= self.cut_from;
        for to in (0..3).filter(|&to| to != from && self.begun[to] && !is_cut(from) && !is_cut(to)) {
            let now = Time(u64::from(self.tick) * TICK.0);
            match self.fate {
                Fate::Arrive => drop(self.roles[to].receive(message, now)),
                Fate::Thrice => {
                    for _ in 0..3 {
                        self.roles[to].receive(message, now);
                    }
                }
                Fate::OldOnesAfter => {
                    for (_, old) in self.sent.iter().rev().filter(|(sender, _)| *sender == from) {
                        self.roles[to].receive(old, now);
                    }
                }
            }
        }
    }

    /// One tick of the leaf; whether the node is passed.
    fn poll(&mut self, role: usize) -> bool {
        const PAIR: [Role; 2] = [Role::Leader, Role::Follower];
        let acting = |entry: Entry| entry == Entry::Acting;
        let tick = self.tick;
        let own = &mut self.roles[role];
        match self.node {
            Node::EnterPhase => acting(own.enter("approach").unwrap()),
            Node::SafePoint => {
                acting(own.enter(if own.own_report().entered == 0 { "approach" } else { "gripped" }).unwrap())
                    && own.phase() == "gripped"
            }
            Node::Barrier => role < 2 && acting(own.meet("b", &PAIR).unwrap()),
            Node::Quorum => acting(own.agree("q", 2).unwrap()),
            Node::Lease => role < 2 && own.lease("bench").is_some(),
            Node::Handover => match role {
                0 | 1 if own.own_report().gate(PEG).entered > 0 => true,
                0 | 1 if acting(own.begin_hand_over("peg", PAIR[0], PAIR[1]).unwrap()) => {
                    acting(own.end_hand_over("peg", PAIR[0], PAIR[1]).unwrap())
                }
                _ => false,
            },
            Node::ProgressSync => {
                // The follower works at a third of the leader's speed.
                let step = if role == FOLLOWER { 0.01 } else { 0.03 };
                let done = own.own_report().paces.get("sweep").map_or(0.0, |done| done + step);
                own.keep_pace("sweep", done, 0.1, &PAIR).unwrap();
                if done >= 1.0 {
                    own.end_pace("sweep");
                }
                done >= 1.0
            }
            Node::OnRoleLost => role != FOLLOWER && tick > 40 && own.watch(Role::Follower) && tick > 60,
        }
    }

    fn has_aborted(&self, role: usize) -> bool {
        matches!(self.leaves[role], Leave::Abort(_))
    }
}

/// Ticks of the peer time-out and of the hold time-out, each with one to judge.
const HOLDS_AFTER: u32 = 20 + 2;
const ABORTS_AFTER: u32 = HOLDS_AFTER + 200 + 2;

#[test]
fn duplicates_and_overtaken_messages_change_nothing() {
    for node in NODES {
        let mut clean = Trio::new(node, Fate::Arrive, [0; 3], NEVER);
        clean.run(180);
        assert!(clean.passed[0].is_some(), "{node:?} is not passed at all");
        for fate in [Fate::Thrice, Fate::OldOnesAfter] {
            let mut trio = Trio::new(node, fate, [0; 3], NEVER);
            trio.run(180);
            assert_eq!(trio.passed, clean.passed, "{node:?} with {fate:?}");
            let reports =
                |trio: &Trio| trio.roles.iter().map(|role| role.own_report().clone()).collect::<Vec<_>>();
            assert_eq!(reports(&trio), reports(&clean), "{node:?} with {fate:?}");
        }
    }
}

#[test]
fn who_joins_late_is_waited_for() {
    let late = 10;
    for node in NODES {
        let mut trio = Trio::new(node, Fate::Arrive, [0, late, 0], NEVER);
        trio.run(late);
        match node {
            // Two of three are enough, and they are there.
            Node::Quorum => assert!(trio.passed[0].is_some() && trio.passed[2].is_some()),
            // Its progress counts as none: the leader has come as far as it may be ahead, and not further.
            Node::ProgressSync => assert!(trio.roles[0].own_report().paces["sweep"] <= 0.13 + 1e-9),
            Node::OnRoleLost => assert!(trio.roles[0].watch(Role::Follower), "it is not lost yet"),
            _ => assert_eq!(trio.passed, [None; 3], "{node:?}"),
        }
        trio.run(300);
        assert!(trio.passed[0].is_some(), "{node:?} is not passed after the follower has come");
        assert!(!trio.has_aborted(0), "{node:?}: {:?}", trio.leaves[0]);
    }
}

#[test]
fn a_partition_makes_everybody_hold_and_then_abort() {
    for node in NODES {
        // So early that nobody has passed, but for the lease, which the leader has by then.
        let cut_from = if node == Node::Lease { 8 } else { 2 };
        let mut trio = Trio::new(node, Fate::Arrive, [0; 3], cut_from);
        trio.run(cut_from + HOLDS_AFTER);
        match node {
            Node::Quorum => assert!(trio.passed[0].is_some() && trio.passed[2].is_some()),
            Node::Lease => {
                assert!(trio.roles[0].token("bench").is_some(), "the holder keeps its lease");
                assert_eq!(trio.roles[FOLLOWER].token("bench"), None, "nobody else gets it");
            }
            // The first child goes on: the role does not hold.
            Node::OnRoleLost => {}
            _ => assert_eq!(trio.passed, [None; 3], "{node:?}"),
        }
        if node != Node::OnRoleLost {
            assert!(
                trio.leaves.iter().all(|leave| matches!(leave, Leave::Hold(_))),
                "{node:?}: {:?}",
                trio.leaves
            );
        }
        trio.run(ABORTS_AFTER - HOLDS_AFTER);
        assert!((0..3).all(|role| trio.has_aborted(role)), "{node:?}: {:?}", trio.leaves);
        assert_eq!(trio.roles[FOLLOWER].token("bench"), None);
    }
}

#[test]
fn the_tree_that_watches_a_role_goes_on_after_its_loss_until_the_hold_time_out() {
    let mut trio = Trio::new(Node::OnRoleLost, Fate::Arrive, [0; 3], 61);
    trio.passed[0] = None;
    trio.run(60);
    // Goes on watching after what `poll` has done.
    let mut answers = Vec::new();
    for _ in 0..(ABORTS_AFTER + 5) {
        trio.step();
        if trio.leaves[0] == Leave::Go {
            answers.push(trio.roles[0].watch(Role::Follower));
        }
    }
    assert!(answers[..18].iter().all(|live| *live), "there until the peer time-out");
    let recovery = answers.iter().filter(|live| !**live).count();
    assert!((195..=205).contains(&recovery), "{recovery} ticks of recovery");
    assert!(matches!(trio.leaves[2], Leave::Abort(_)));
    let Leave::Abort(reason) = &trio.leaves[0] else { panic!("{:?}", trio.leaves[0]) };
    assert!(reason.contains("held for 2.0 s"), "{reason}");
}

#[test]
fn a_loss_that_is_over_neither_ends_the_run_nor_excuses_the_next_one() {
    let mut trio = Trio::new(Node::OnRoleLost, Fate::Arrive, [0; 3], 61);
    trio.run(60);
    let watch = |trio: &mut Trio, ticks: u32| {
        let mut live = false;
        for _ in 0..ticks {
            trio.step();
            // Both ask, whatever the other one is told.
            live = [0, 2].map(|role| trio.roles[role].watch(Role::Follower)) == [true; 2];
        }
        live
    };
    assert!(!watch(&mut trio, 60), "it is lost, and dealt with");
    assert_eq!(trio.leaves[0], Leave::Go);
    trio.cut_from = NEVER;
    assert!(watch(&mut trio, ABORTS_AFTER), "it is back");
    assert_eq!(
        trio.leaves,
        [Leave::Go, Leave::Go, Leave::Go],
        "longer than the hold time-out after the loss"
    );
    // Lost once more, and nobody watches any longer.
    trio.cut_from = trio.tick + 1;
    trio.run(HOLDS_AFTER + 2);
    assert!(matches!(trio.leaves[0], Leave::Hold(_)), "{:?}", trio.leaves[0]);
}

#[test]
fn a_role_is_done_when_its_arm_stands_and_keeps_its_lease_until_then() {
    let mut trio = Trio::new(Node::Lease, Fate::Arrive, [0; 3], NEVER);
    trio.run(20);
    trio.roles[0].set_at_rest(false);
    trio.roles[0].finish();
    trio.run(20);
    assert_eq!(trio.roles[0].own_report().standing, Standing::Active);
    assert_eq!(trio.passed[FOLLOWER], None, "the arm still moves");
    trio.roles[0].set_at_rest(true);
    assert_eq!(trio.roles[0].own_report().standing, Standing::Done);
    trio.run(20);
    assert!(trio.passed[FOLLOWER].is_some());
}

#[test]
fn each_pair_counts_the_hand_overs_of_a_thing_that_is_handed_on() {
    let mut trio = Trio::new(Node::Handover, Fate::Arrive, [0; 3], NEVER);
    trio.run(20);
    assert!(trio.passed[FOLLOWER].is_some(), "from the leader to the follower");
    let (from, to) = (Role::Follower, Role::Spotter);
    assert_eq!(trio.roles[2].begin_hand_over("peg", from, to), Ok(Entry::Waiting), "it has not been offered");
    assert_eq!(trio.roles[FOLLOWER].begin_hand_over("peg", from, to), Ok(Entry::Waiting));
    trio.run(3);
    assert_eq!(trio.roles[2].begin_hand_over("peg", from, to), Ok(Entry::Acting));
    assert_eq!(trio.roles[2].end_hand_over("peg", from, to), Ok(Entry::Waiting));
    trio.run(3);
    assert_eq!(trio.roles[FOLLOWER].begin_hand_over("peg", from, to), Ok(Entry::Acting), "it is taken");
}

#[test]
fn a_timeout_before_the_commitment_takes_the_declaration_back() {
    for node in NODES {
        // Nobody else comes.
        let mut trio = Trio::new(node, Fate::Arrive, [0, 1_000, 1_000], NEVER);
        trio.run(5);
        let (from, to) = (Role::Leader, Role::Follower);
        let own = &mut trio.roles[0];
        match node {
            Node::EnterPhase | Node::SafePoint => own.leave_phase("approach"),
            Node::Barrier => own.leave_barrier("b"),
            Node::Quorum => own.disagree("q"),
            Node::Lease => own.release("bench"),
            Node::Handover => own.leave_hand_over("peg", from, to),
            // They have none.
            Node::ProgressSync | Node::OnRoleLost => continue,
        }
        let report = own.own_report();
        assert_eq!((report.ready, report.standing.clone()), (0, Standing::Active), "{node:?}");
        assert!(report.gates.values().all(|gate| gate.ready == 0), "{node:?}");
        assert!(report.tickets.is_empty(), "{node:?}");
    }
}

#[test]
fn leaving_after_the_commitment_ends_the_run() {
    type LeaveNode = fn(&mut Cooperation);
    let cases: [(Node, LeaveNode, &str); 4] = [
        (
            Node::EnterPhase,
            |own| own.leave_phase("approach"),
            "left the barrier of phase 'approach' after entering it",
        ),
        (
            Node::SafePoint,
            |own| own.leave_phase("gripped"),
            "left the barrier of phase 'gripped' after entering it",
        ),
        (Node::Barrier, |own| own.leave_barrier("b"), "left barrier:b after entering it"),
        (
            Node::Handover,
            |own| own.leave_hand_over("peg", Role::Leader, Role::Follower),
            "left the hand-over of 'peg' after follower had taken hold of it",
        ),
    ];
    for (node, leave, expected) in cases {
        let mut trio = Trio::new(node, Fate::Arrive, [0; 3], NEVER);
        // Until one has committed itself and has not passed.
        let committed = (0..200).find_map(|_| {
            trio.step();
            (0..2).find(|&role| {
                let report = trio.roles[role].own_report();
                let waits = match node {
                    Node::EnterPhase => report.entered == 1,
                    Node::SafePoint => report.entered == 2,
                    Node::Handover => role == FOLLOWER && report.gate(PEG).ready == 1,
                    _ => report.gates.values().any(|gate| gate.entered == 1),
                };
                waits && trio.passed[role].is_none()
            })
        });
        let role = committed.unwrap_or_else(|| panic!("{node:?}: nobody waits committed"));
        leave(&mut trio.roles[role]);
        assert_eq!(trio.roles[role].own_report().standing, Standing::Aborted(expected.into()), "{node:?}");
        trio.run(5);
        assert!((0..3).all(|role| trio.has_aborted(role)), "{node:?}: {:?}", trio.leaves);
    }
}

#[test]
fn a_lease_goes_from_one_to_the_other_with_a_greater_token() {
    let mut trio = Trio::new(Node::Lease, Fate::Arrive, [0; 3], NEVER);
    trio.run(20);
    let first = trio.roles[0].token("bench").unwrap();
    assert_eq!(trio.passed[FOLLOWER], None, "two at once");
    assert_eq!(trio.roles[FOLLOWER].holder("bench"), Some(Role::Leader));
    // Stopped while using it, it gives the resource back at rest, and not before.
    trio.roles[0].set_at_rest(false);
    assert!(!trio.roles[0].give_back("bench"), "the arm still moves");
    trio.roles[0].release_at_rest("bench");
    trio.run(20);
    assert_eq!(trio.passed[FOLLOWER], None, "the arm still moves");
    trio.roles[0].set_at_rest(true);
    trio.run(20);
    let second = trio.roles[FOLLOWER].token("bench").unwrap();
    assert!(second > first);
    let mut fence = Fence::default();
    fence.pass(first).unwrap();
    fence.pass(second).unwrap();
    assert_eq!(
        fence.pass(first).unwrap_err().to_string(),
        "the lease of leader (epoch 1, number 1) is over: follower has used the resource since with epoch 1, number 2"
    );
}
