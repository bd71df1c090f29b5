//! What a node answers, what it keeps, and how changes are observed.
//!
//! BehaviorTree.CPP has one status enum for two things. Here they are two types, so that neither can hold what it
//! must not: a tick never *answers* IDLE, and a node never *keeps* SKIPPED.

use std::fmt;

use swarm_base::Time;

/// What a tick answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// Not finished; tick again.
    Running,
    Success,
    Failure,
    /// Not executed: a pre-condition (or all children) said so. The parent goes on as if the node were absent.
    Skipped,
}

impl Status {
    /// SUCCESS or FAILURE.
    #[inline]
    pub fn is_completed(self) -> bool {
        matches!(self, Status::Success | Status::Failure)
    }

    /// The name as BehaviorTree.CPP prints it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Running => "RUNNING",
            Status::Success => "SUCCESS",
            Status::Failure => "FAILURE",
            Status::Skipped => "SKIPPED",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a node keeps between ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NodeStatus {
    #[default]
    Idle,
    Running,
    Success,
    Failure,
}

impl NodeStatus {
    /// The name as BehaviorTree.CPP prints it.
    pub fn as_str(self) -> &'static str {
        match self {
            NodeStatus::Idle => "IDLE",
            NodeStatus::Running => "RUNNING",
            NodeStatus::Success => "SUCCESS",
            NodeStatus::Failure => "FAILURE",
        }
    }
}

impl fmt::Display for NodeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One change of a node's kept status. A change to the same status is not a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transition {
    /// The node, see [`crate::Tree::node`].
    pub uid: u16,
    pub previous: NodeStatus,
    pub new: NodeStatus,
}

/// Receives every transition, in the order in which it happens. `()` observes nothing and costs nothing.
pub trait Observer {
    /// Ticks and halts are numbered together from 1 on, see [`crate::State::tick_count`].
    fn begin(&mut self, _tick: u64, _now: Time) {}

    fn transition(&mut self, transition: Transition);
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn begin(&mut self, tick: u64, now: Time) {
        (**self).begin(tick, now);
    }

    fn transition(&mut self, transition: Transition) {
        (**self).transition(transition);
    }
}

impl Observer for () {
    #[inline]
    fn transition(&mut self, _: Transition) {}
}

impl Observer for Vec<Transition> {
    fn transition(&mut self, transition: Transition) {
        self.push(transition);
    }
}

/// The last transitions, in a ring of fixed size: observing allocates nothing, and loss is counted.
#[derive(Clone, Debug)]
pub struct Ring {
    entries: Box<[(u64, Transition)]>,
    /// Transitions ever seen; the next one goes to `seen % entries.len()`.
    seen: u64,
    /// How many of them have been read (or overwritten).
    read: u64,
    overwritten: u64,
    tick: u64,
}

impl Ring {
    /// A ring for `capacity` transitions (at least one).
    pub fn new(capacity: usize) -> Self {
        let empty = Transition { uid: 0, previous: NodeStatus::Idle, new: NodeStatus::Idle };
        Ring {
            entries: vec![(0, empty); capacity.max(1)].into_boxed_slice(),
            seen: 0,
            read: 0,
            overwritten: 0,
            tick: 0,
        }
    }

    /// Transitions that were overwritten before they were drained.
    pub fn overwritten(&self) -> u64 {
        self.overwritten
    }

    /// Takes what has not been read yet, oldest first: the tick's number and the transition.
    pub fn drain(&mut self) -> impl Iterator<Item = (u64, Transition)> + '_ {
        let (from, to) = (self.read, self.seen);
        self.read = to;
        let entries = &self.entries;
        (from..to).map(move |i| entries[(i % entries.len() as u64) as usize])
    }
}

impl Observer for Ring {
    fn begin(&mut self, tick: u64, _now: Time) {
        self.tick = tick;
    }

    #[inline]
    fn transition(&mut self, transition: Transition) {
        let capacity = self.entries.len() as u64;
        if self.seen - self.read == capacity {
            self.read += 1;
            self.overwritten += 1;
        }
        let at = (self.seen % capacity) as usize;
        self.entries[at] = (self.tick, transition);
        self.seen += 1;
    }
}
