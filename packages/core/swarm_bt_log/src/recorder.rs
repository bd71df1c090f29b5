//! Writes a run while it happens.

use std::fmt;
use std::io::{self, Write};

use swarm_base::Time;
use swarm_bt::{
    Halt, LeafCall, Leaves, Observer, SlotId, State, Status, TickError, Tree, halt, settle, tick_observed,
};

use crate::frame::{self, MAGIC};
use crate::recipe::Recipe;
use crate::wire::{put_number, put_signed, put_text, put_value};

/// Kinds of records.
pub(crate) mod kind {
    pub(crate) const HEADER: u8 = 0;
    pub(crate) const TICK: u8 = 1;
    pub(crate) const HALT: u8 = 2;
    pub(crate) const CLOSE: u8 = 3;
}

/// What comes next inside of a step.
pub(crate) mod mark {
    /// No more calls: outcome and digest follow.
    pub(crate) const END: u8 = 0;
    pub(crate) const START: u8 = 1;
    pub(crate) const RUNNING: u8 = 2;
    pub(crate) const HALT: u8 = 3;
    pub(crate) const HALTING: u8 = 4;
    /// Added to a call that wrote entries.
    pub(crate) const WROTE: u8 = 8;
}

/// The outcome of a step that ended in an error; statuses are 0 to 3.
pub(crate) const ERROR: u8 = 4;

/// Records a run step by step: one `write` to `W` per tick, after it, so that whatever ends the process loses at most the tick
/// that was under way. What `W` does with it (buffering, a queue, `fsync`) is its own affair, and then so is what is lost.
///
/// After the first ticks nothing is allocated here. A write that fails ends the recording, never the run: [`Recorder::health`].
pub struct Recorder<W> {
    out: W,
    record: Vec<u8>,
    /// How often each entry had been written when it was last accounted for.
    known: Box<[u64]>,
    slots: Box<[SlotId]>,
    last: Time,
    steps: u64,
    failed: Option<io::Error>,
    lost: u64,
}

/// How a recording is doing.
#[derive(Debug)]
pub struct Health<'a> {
    /// Ticks and halts written.
    pub steps: u64,
    /// Those that were not, because a write had failed.
    pub lost: u64,
    /// The write that failed.
    pub error: Option<&'a io::Error>,
}

impl<W: Write> Recorder<W> {
    /// Begins the recording of a run of `tree`, which `recipe` makes. The run begins with [`State::new`]; what is written into
    /// the blackboard before its first tick counts as written from outside.
    pub fn begin(mut out: W, recipe: &Recipe, tree: &Tree) -> io::Result<Self> {
        let fresh = State::new(tree);
        let mut record = MAGIC.to_vec();
        let at = frame::open(&mut record, kind::HEADER);
        record.extend_from_slice(&recipe.digest());
        put_text(&mut record, env!("CARGO_PKG_VERSION"));
        recipe.put(&mut record);
        record.extend_from_slice(&fresh.digest().to_le_bytes());
        frame::close(&mut record, at);
        out.write_all(&record)?;
        let slots: Box<[SlotId]> = tree.slots().map(|(slot, ..)| slot).collect();
        let known = slots.iter().map(|slot| fresh.writes(*slot)).collect();
        // Enough for a tick in which every leaf answers and writes a few numbers; it grows once if not.
        record.reserve(256 + 16 * tree.nodes().len());
        Ok(Recorder { out, record, known, slots, last: Time::ZERO, steps: 0, failed: None, lost: 0 })
    }

    /// Ticks and records, as [`tick_observed`].
    pub fn tick<O: Observer>(
        &mut self,
        tree: &Tree,
        state: &mut State,
        now: Time,
        leaves: &mut dyn Leaves,
        observer: &mut O,
    ) -> Result<Status, TickError> {
        let at = self.open(kind::TICK, state, now);
        let mut listening = Listening { leaves, record: &mut self.record, known: &mut self.known };
        let answer = tick_observed(tree, state, now, &mut listening, observer);
        self.close(at, answer.as_ref().map_or(ERROR, |status| *status as u8), state);
        answer
    }

    /// As [`swarm_bt::tick_until_settled`]; each tick is a step of its own.
    pub fn tick_until_settled<O: Observer>(
        &mut self,
        tree: &Tree,
        state: &mut State,
        now: Time,
        leaves: &mut dyn Leaves,
        observer: &mut O,
        limit: u32,
    ) -> Result<Status, TickError> {
        settle(state, limit, |state| self.tick(tree, state, now, leaves, observer))
    }

    /// Halts and records, as [`swarm_bt::halt()`].
    pub fn halt<O: Observer>(
        &mut self,
        tree: &Tree,
        state: &mut State,
        now: Time,
        leaves: &mut dyn Leaves,
        observer: &mut O,
    ) -> Result<(), TickError> {
        let at = self.open(kind::HALT, state, now);
        let mut listening = Listening { leaves, record: &mut self.record, known: &mut self.known };
        let answer = halt(tree, state, now, &mut listening, observer);
        self.close(at, if answer.is_ok() { 0 } else { ERROR }, state);
        answer
    }

    /// Says that the run ends here on purpose, and gives back what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.record.clear();
        let at = frame::open(&mut self.record, kind::CLOSE);
        frame::close(&mut self.record, at);
        self.out.write_all(&self.record)?;
        self.out.flush()?;
        Ok(self.out)
    }

    pub fn health(&self) -> Health<'_> {
        Health { steps: self.steps, lost: self.lost, error: self.failed.as_ref() }
    }

    fn open(&mut self, kind: u8, state: &State, now: Time) -> usize {
        self.record.clear();
        let at = frame::open(&mut self.record, kind);
        // The difference of two times, whichever is later: replay adds it again.
        put_signed(&mut self.record, now.0.wrapping_sub(self.last.0).cast_signed());
        self.last = now;
        put_written(&mut self.record, &mut self.known, state, self.slots.iter().copied());
        at
    }

    fn close(&mut self, at: usize, outcome: u8, state: &State) {
        self.record.extend_from_slice(&[mark::END, outcome]);
        self.record.extend_from_slice(&state.digest().to_le_bytes());
        frame::close(&mut self.record, at);
        for (known, slot) in self.known.iter_mut().zip(&self.slots) {
            *known = state.writes(*slot);
        }
        if self.failed.is_some() {
            self.lost += 1;
            return;
        }
        match self.out.write_all(&self.record) {
            Ok(()) => self.steps += 1,
            Err(error) => {
                self.failed = Some(error);
                self.lost += 1;
            }
        }
    }
}

impl<W> fmt::Debug for Recorder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("steps", &self.steps)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

/// The entries among `slots` that have been written since they were last accounted for: how many, then place, how often and
/// value of each.
fn put_written(
    out: &mut Vec<u8>,
    known: &mut [u64],
    state: &State,
    slots: impl Iterator<Item = SlotId> + Clone,
) -> bool {
    let fresh = |known: &[u64], slot: SlotId| {
        let before = known.get(slot.index()).copied().unwrap_or_default();
        state.writes(slot).wrapping_sub(before)
    };
    let count = slots.clone().filter(|slot| fresh(known, *slot) > 0).count();
    put_number(out, count as u64);
    if count == 0 {
        return false;
    }
    for slot in slots {
        let times = fresh(known, slot);
        if times > 0
            && let (Some(value), Some(known)) = (state.get(slot), known.get_mut(slot.index()))
        {
            put_number(out, slot.index() as u64);
            put_number(out, times);
            put_value(out, value);
            *known = known.wrapping_add(times);
        }
    }
    true
}

/// Stands between the tree and its leaves, and notes what they answer.
struct Listening<'a> {
    leaves: &'a mut dyn Leaves,
    record: &'a mut Vec<u8>,
    known: &'a mut [u64],
}

impl Listening<'_> {
    fn note<A: Copy>(
        &mut self,
        call: &mut LeafCall<'_>,
        mark: u8,
        ask: impl FnOnce(&mut dyn Leaves, &mut LeafCall<'_>) -> A,
        code: impl FnOnce(A) -> u8,
    ) -> A {
        // Scripts may have written the same entries before, which replay does by itself.
        for slot in call.outputs() {
            if let Some(known) = self.known.get_mut(slot.index()) {
                *known = call.state().writes(slot);
            }
        }
        let answer = ask(self.leaves, call);
        let at = self.record.len();
        self.record.push(mark | code(answer) << 4);
        put_number(self.record, u64::from(call.uid()));
        let wrote = self.record.len();
        if put_written(self.record, self.known, call.state(), call.outputs()) {
            if let Some(mark) = self.record.get_mut(at) {
                *mark |= mark::WROTE;
            }
        } else {
            self.record.truncate(wrote);
        }
        answer
    }
}

impl Leaves for Listening<'_> {
    fn start(&mut self, call: &mut LeafCall<'_>) -> Status {
        self.note(call, mark::START, |leaves, call| leaves.start(call), |status| status as u8)
    }

    fn running(&mut self, call: &mut LeafCall<'_>) -> Status {
        self.note(call, mark::RUNNING, |leaves, call| leaves.running(call), |status| status as u8)
    }

    fn halt(&mut self, call: &mut LeafCall<'_>) -> Halt {
        self.note(call, mark::HALT, |leaves, call| leaves.halt(call), stopped)
    }

    fn halting(&mut self, call: &mut LeafCall<'_>) -> Halt {
        self.note(call, mark::HALTING, |leaves, call| leaves.halting(call), stopped)
    }
}

fn stopped(answer: Halt) -> u8 {
    match answer {
        Halt::Done => 0,
        Halt::Pending => 1,
    }
}

/// Carries out the ticks of a run for somebody who does not know where they are recorded.
pub trait TickRecorder: fmt::Debug + Send {
    /// As [`Recorder::tick_until_settled`].
    fn tick_until_settled(
        &mut self,
        tree: &Tree,
        state: &mut State,
        now: Time,
        leaves: &mut dyn Leaves,
        observer: &mut dyn Observer,
        limit: u32,
    ) -> Result<Status, TickError>;

    /// As [`Recorder::halt`].
    fn halt(
        &mut self,
        tree: &Tree,
        state: &mut State,
        now: Time,
        leaves: &mut dyn Leaves,
        observer: &mut dyn Observer,
    ) -> Result<(), TickError>;

    /// As [`Recorder::health`].
    fn health(&self) -> Health<'_>;

    /// As [`Recorder::finish`].
    fn finish(self: Box<Self>) -> io::Result<()>;
}

impl<W: Write + Send> TickRecorder for Recorder<W> {
    fn tick_until_settled(
        &mut self,
        tree: &Tree,
        state: &mut State,
        now: Time,
        leaves: &mut dyn Leaves,
        mut observer: &mut dyn Observer,
        limit: u32,
    ) -> Result<Status, TickError> {
        Recorder::tick_until_settled(self, tree, state, now, leaves, &mut observer, limit)
    }

    fn halt(
        &mut self,
        tree: &Tree,
        state: &mut State,
        now: Time,
        leaves: &mut dyn Leaves,
        mut observer: &mut dyn Observer,
    ) -> Result<(), TickError> {
        Recorder::halt(self, tree, state, now, leaves, &mut observer)
    }

    fn health(&self) -> Health<'_> {
        Recorder::health(self)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        Recorder::finish(*self).map(drop)
    }
}
