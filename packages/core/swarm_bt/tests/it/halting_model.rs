//! Every interleaving of a leaf's life with what the tree wants of it, explored until nothing new is found.
//!
//! The leaf is an action that asks a robot for a goal: sent, accepted, cancelled (which needs an accepted goal), with
//! results that come late, come not at all, or were there before the cancellation. Each tick or halt of the tree is tried
//! with each thing that the robot and the conditions may do in it; the states that come out are the next to be tried.
//! Promised in each of them:
//!
//! 1. A goal is sent only when the robot has none. (nav2 and others send the next one while the last is being cancelled.)
//! 2. A goal is asked about as running only until it was told to stop, and told to stop once.
//! 3. A goal that is being cancelled is asked about exactly once in every tick, whatever the tree does; and it is counted.
//! 4. A robot with a goal that nobody has told to stop has a node that shows RUNNING: nothing goes on unseen.
//! 5. A node that shows RUNNING has a robot that does something, or still stops: nothing waits for ever.
//! 6. After a halt every goal has been told to stop.

use std::collections::HashSet;

use swarm_base::Time;
use swarm_bt::{Halt, LeafCall, Leaves, Loader, Mode, NodeStatus, State, Status, Tree, halt, tick};

/// What the robot does for one leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Goal {
    None,
    /// On its way to the robot, which may still refuse it.
    Sent,
    Accepted,
    /// Told to stop before it was accepted, so that it cannot be cancelled yet.
    SentUnwanted,
    Cancelling,
}

impl Goal {
    fn stops(self) -> bool {
        matches!(self, Goal::SentUnwanted | Goal::Cancelling)
    }

    fn is_wanted(self) -> bool {
        matches!(self, Goal::Sent | Goal::Accepted)
    }
}

/// The robots, and the choices of one step: those given first, then always the first possibility.
#[derive(Clone, Debug)]
struct World {
    /// By uid.
    goals: Vec<Goal>,
    given: Vec<usize>,
    /// Of each choice made: what was chosen, of how many.
    made: Vec<(usize, usize)>,
    asked: Vec<u16>,
}

impl World {
    fn choose<T: Copy>(&mut self, among: &[T]) -> T {
        let chosen = self.given.get(self.made.len()).copied().unwrap_or(0);
        self.made.push((chosen, among.len()));
        among[chosen]
    }

    fn goal(&mut self, leaf: &LeafCall<'_>) -> &mut Goal {
        &mut self.goals[usize::from(leaf.uid())]
    }
}

impl Leaves for World {
    fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        if leaf.id().starts_with('C') {
            return self.choose(&[Status::Success, Status::Failure]);
        }
        assert_eq!(*self.goal(leaf), Goal::None, "promise 1: leaf {} is started", leaf.uid());
        let (goal, answer) = self.choose(&[
            (Goal::Sent, Status::Running),
            (Goal::Accepted, Status::Running),
            (Goal::None, Status::Failure),
            (Goal::None, Status::Success),
        ]);
        *self.goal(leaf) = goal;
        answer
    }

    fn running(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        let goal = *self.goal(leaf);
        assert!(goal.is_wanted(), "promise 2: leaf {} is {goal:?} and continued", leaf.uid());
        let (goal, answer) = self.choose(&[
            (goal, Status::Running),
            (Goal::Accepted, Status::Running),
            (Goal::None, Status::Success),
            (Goal::None, Status::Failure),
        ]);
        *self.goal(leaf) = goal;
        answer
    }

    fn halt(&mut self, leaf: &mut LeafCall<'_>) -> Halt {
        let goal = *self.goal(leaf);
        assert!(goal.is_wanted(), "promise 2: leaf {} is {goal:?} and told to stop", leaf.uid());
        let (goal, answer) = match goal {
            Goal::Sent => (Goal::SentUnwanted, Halt::Pending),
            _ => self.choose(&[(Goal::Cancelling, Halt::Pending), (Goal::None, Halt::Done)]),
        };
        *self.goal(leaf) = goal;
        answer
    }

    fn halting(&mut self, leaf: &mut LeafCall<'_>) -> Halt {
        let goal = *self.goal(leaf);
        assert!(goal.stops(), "promise 3: leaf {} is {goal:?} and asked whether it has stopped", leaf.uid());
        self.asked.push(leaf.uid());
        // Nothing new (the answer may be lost), accepted so that it can be cancelled, refused, cancelled or done.
        let next = [(goal, Halt::Pending), (Goal::Cancelling, Halt::Pending), (Goal::None, Halt::Done)];
        let (goal, answer) = self.choose(&next);
        *self.goal(leaf) = goal;
        answer
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Tick,
    Halt,
}

/// One step; what came of it, and the choices that were made.
fn step(tree: &Tree, state: &State, goals: &[Goal], event: Event, given: Vec<usize>) -> (State, World) {
    let mut state = state.clone();
    let mut world = World { goals: goals.to_vec(), given, made: Vec::new(), asked: Vec::new() };
    match event {
        Event::Tick => tick(tree, &mut state, Time(0), &mut world).map(|_| ()),
        Event::Halt => halt(tree, &mut state, Time(0), &mut world, &mut ()),
    }
    .expect("these trees tick without errors");

    let stopping = |goals: &[Goal]| {
        (0..).zip(goals).filter(|(_, goal)| goal.stops()).map(|(uid, _)| uid).collect::<Vec<u16>>()
    };
    assert_eq!(world.asked, stopping(goals), "promise 3: asked");
    assert_eq!(state.halting(), stopping(&world.goals).len(), "promise 3: counted");
    for (uid, goal) in (0..).zip(&world.goals) {
        let Some(kept) = state.status(uid).filter(|_| tree.leaf_model(uid).is_some()) else { continue };
        let is_action = tree.node(uid).is_some_and(|node| !node.id.starts_with('C'));
        if goal.is_wanted() {
            assert_eq!(kept, NodeStatus::Running, "promise 4: leaf {uid} has goal {goal:?}");
        }
        if is_action && kept == NodeStatus::Running {
            assert_ne!(*goal, Goal::None, "promise 5: leaf {uid}");
        }
        assert!(event == Event::Tick || !goal.is_wanted(), "promise 6: leaf {uid} has goal {goal:?}");
    }
    (state, world)
}

/// All states that can be reached; how many there are.
fn explore(body: &str, mode: Mode) -> usize {
    let registry = crate::common::registry(["A", "B", "C"]);
    let xml = format!(r#"<root BTCPP_format="4"><BehaviorTree ID="T">{body}</BehaviorTree></root>"#);
    let tree = Loader::new(&registry).mode(mode).document("t.xml", &xml).load().expect("loads");
    // A tick's number tells nothing of what comes next.
    let key = |state: &State, goals: &[Goal]| {
        let state = format!("{state:?}").replace(&format!("ticks: {},", state.tick_count()), "");
        (state, goals.to_vec())
    };
    let start = (State::new(&tree), vec![Goal::None; tree.nodes().len() + 1]);
    let mut seen = HashSet::from([key(&start.0, &start.1)]);
    let mut open = vec![start];
    while let Some((state, goals)) = open.pop() {
        assert!(seen.len() < 100_000, "the model has become too large to explore");
        for event in [Event::Tick, Event::Halt] {
            let mut given = Vec::new();
            loop {
                let (next, world) = step(&tree, &state, &goals, event, given);
                if seen.insert(key(&next, &world.goals)) {
                    open.push((next, world.goals));
                }
                // The next combination of choices: the last one that can be raised is, those behind it begin again.
                let mut made = world.made;
                while made.last().is_some_and(|(chosen, of)| chosen + 1 == *of) {
                    made.pop();
                }
                let Some((chosen, _)) = made.last_mut() else { break };
                *chosen += 1;
                given = made.into_iter().map(|(chosen, _)| chosen).collect();
            }
        }
    }
    seen.len()
}

#[test]
fn no_interleaving_of_goals_ticks_and_halts_breaks_a_promise() {
    let trees = [
        "<A/>",
        "<ReactiveSequence><C/><A/></ReactiveSequence>",
        "<ReactiveFallback><C/><Sequence><A/><B/></Sequence></ReactiveFallback>",
        r#"<Parallel success_count="1"><A/><B/></Parallel>"#,
        "<WhileDoElse><C/><A/><B/></WhileDoElse>",
        "<IfThenElse><A/><B/></IfThenElse>",
        r#"<TryCatch catch_on_halt="true"><A/><B/></TryCatch>"#,
        "<ReactiveSequence><C/><RetryUntilSuccessful num_attempts=\"2\"><A/></RetryUntilSuccessful></ReactiveSequence>",
        "<ReactiveSequence><C/><SequenceWithMemory><A/><B/></SequenceWithMemory></ReactiveSequence>",
    ];
    for mode in [Mode::Strict, Mode::Compat] {
        for body in trees {
            let states = explore(body, mode);
            println!("{mode:?}: {states} states of {body}");
            assert!(states > 4, "{body} hardly moves");
        }
    }
}
