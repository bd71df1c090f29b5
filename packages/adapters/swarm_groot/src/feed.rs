//! From the ticking thread to the server: wait-free, bounded, without allocation for what fits in place.

use std::sync::Arc;

use rtrb::{Consumer, Producer};
use swarm_base::Time;
use swarm_bt::{NodeStatus, Observer, State, Transition, Tree, Value};

use crate::protocol::{WENT_IDLE, status_byte, status_number};

/// Transitions that wait for the server at most; it looks 50 times a second. More are dropped and counted.
pub const QUEUE: usize = 16_384;

/// The ticking thread's end. It is an [`Observer`]: give it to the tick, and call [`Feed::publish`] afterwards.
#[derive(Debug)]
pub struct Feed {
    picture: triple_buffer::Input<Picture>,
    transitions: Producer<Change>,
    /// Status bytes as they are now, see [`Picture::status`].
    status: Box<[u8]>,
    now: Time,
    dropped: u64,
}

/// The server's end.
#[derive(Debug)]
pub struct Source {
    pub(crate) tree: Arc<Tree>,
    pub(crate) picture: triple_buffer::Output<Picture>,
    pub(crate) transitions: Consumer<Change>,
}

/// A tree at the end of a tick.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// One byte per node in the order of their uids, as the protocol has it: see [`crate::protocol::status_byte`].
    pub(crate) status: Box<[u8]>,
    /// The blackboard's entries in the order of [`Tree::slots`]: how often written, and the value.
    pub(crate) entries: Box<[(u64, Option<Value>)]>,
    /// Transitions that did not fit the queue, so far.
    pub(crate) dropped: u64,
    pub(crate) now: Time,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) at: Time,
    pub(crate) uid: u16,
    pub(crate) status: NodeStatus,
}

/// Both ends for a tree whose nodes are all idle.
pub fn feed(tree: &Arc<Tree>) -> (Feed, Source) {
    let status: Box<[u8]> = vec![0; tree.nodes().len()].into();
    let entries = vec![(0, None); tree.slots().count()].into();
    let picture = Picture { status: status.clone(), entries, dropped: 0, now: Time::ZERO };
    let (input, output) = triple_buffer::triple_buffer(&picture);
    let (producer, consumer) = rtrb::RingBuffer::new(QUEUE);
    let feed = Feed { picture: input, transitions: producer, status, now: Time::ZERO, dropped: 0 };
    (feed, Source { tree: Arc::clone(tree), picture: output, transitions: consumer })
}

impl Feed {
    /// Shows the state that a tick has left. Entries that were not written since are not copied. A status whose transition was
    /// not observed is put right here.
    pub fn publish(&mut self, tree: &Tree, state: &State) {
        for (byte, uid) in self.status.iter_mut().zip(1..) {
            let now = state.status(uid).map_or(0, status_number);
            match (now, *byte) {
                (0, 1..=3) => *byte += WENT_IDLE,
                (0, _) => {}
                _ => *byte = now,
            }
        }
        let picture = self.picture.input_buffer_mut();
        picture.status.copy_from_slice(&self.status);
        for ((slot, ..), (writes, value)) in tree.slots().zip(&mut picture.entries) {
            let (now, present) = (state.writes(slot), state.get(slot));
            if *writes != now || value.is_some() != present.is_some() {
                (*writes, *value) = (now, present.cloned());
            }
        }
        (picture.dropped, picture.now) = (self.dropped, self.now);
        self.picture.publish();
    }

    /// Transitions that found the queue full.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Observer for Feed {
    fn begin(&mut self, _tick: u64, now: Time) {
        self.now = now;
    }

    fn transition(&mut self, transition: Transition) {
        let place = usize::from(transition.uid).checked_sub(1);
        if let Some(byte) = place.and_then(|at| self.status.get_mut(at)) {
            *byte = status_byte(transition);
        }
        let change = Change { at: self.now, uid: transition.uid, status: transition.new };
        if self.transitions.push(change).is_err() {
            self.dropped += 1;
        }
    }
}
