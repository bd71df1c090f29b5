//! A recording as it is read again.

use std::ops::Range;

use swarm_base::Time;
use swarm_bt::{Halt, Status, Value};

use crate::frame::{MAGIC, frames};
use crate::recipe::Recipe;
use crate::recorder::{ERROR, kind, mark};
use crate::wire::{Cursor, Malformed};

/// Bytes that are no recording.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(
        "not a recorded run: it begins with {found:?} instead of \"swarm bt run  2\"; a recording of another version needs the program of that version"
    )]
    Magic { found: String },
    #[error(
        "the recording has no whole header: it was cut before its first tick, and there is nothing to replay"
    )]
    NoHeader,
    #[error("record {index} at byte {at}: {source}")]
    Record { index: usize, at: usize, source: Malformed },
    #[error("the documents in the header do not have the digest that stands before them")]
    Digest,
    #[error(
        "record at byte {at} is damaged, and whole records follow it: the file was changed, or the disk is failing"
    )]
    Damaged { at: usize },
}

/// How a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// On purpose.
    Closed,
    /// Behind a whole step: the recorder is at work, or was killed between two ticks.
    Open,
    /// In the middle of a record: so many bytes of a step that was under way.
    Cut { bytes: usize },
}

/// A whole recording in memory.
#[derive(Debug)]
pub struct Recording {
    bytes: Vec<u8>,
    steps: Vec<Range<usize>>,
    /// Time before each step.
    times: Vec<Time>,
    pub recipe: Recipe,
    /// Of the engine that recorded.
    pub version: String,
    /// Of the state before the first step.
    pub first_digest: u64,
    pub tail: Tail,
}

/// A tick or a halt with everything that came from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub what: StepKind,
    pub now: Time,
    /// Written into the blackboard from outside before it.
    pub outside: Vec<Written>,
    /// Leaf calls, in order.
    pub calls: Vec<CallRecord>,
    pub outcome: Outcome,
    /// Of the state after it.
    pub digest: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    Tick,
    Halt,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer of a tick.
    Answer(Status),
    Halted,
    Error,
}

/// An entry that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// [`swarm_bt::SlotId::index`].
    pub slot: usize,
    /// How often; the value is the last one.
    pub times: u64,
    pub value: Value,
}

/// A leaf call, its answer and what it wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRecord {
    pub uid: u16,
    pub answer: CallAnswer,
    pub wrote: Vec<Written>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallAnswer {
    Start(Status),
    Running(Status),
    Halt(Halt),
    Halting(Halt),
}

impl Recording {
    /// Reads a recording up to its end or cut.
    pub fn read(bytes: Vec<u8>) -> Result<Self, ReadError> {
        if !bytes.starts_with(MAGIC) {
            let found = bytes.get(..MAGIC.len().min(bytes.len())).unwrap_or_default();
            return Err(if MAGIC.starts_with(found) {
                ReadError::NoHeader
            } else {
                ReadError::Magic { found: String::from_utf8_lossy(found).into_owned() }
            });
        }
        let found = frames(&bytes);
        if let Some(at) = found.damaged {
            return Err(ReadError::Damaged { at });
        }
        let mut tail = if found.cut > 0 { Tail::Cut { bytes: found.cut } } else { Tail::Open };
        let mut records = found.records.into_iter().enumerate();
        let body = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
        let (_, first) = records.next().ok_or(ReadError::NoHeader)?;
        let at = first.start;
        let header = header(body(&first)).map_err(|source| ReadError::Record { index: 0, at, source })?;
        if header.recipe.digest() != header.digest {
            return Err(ReadError::Digest);
        }
        let (mut steps, mut times, mut now) = (Vec::new(), Vec::new(), Time::ZERO);
        for (index, range) in records {
            let at = range.start;
            let wrong = |source| ReadError::Record { index, at, source };
            if body(&range).first() == Some(&kind::CLOSE) {
                tail = Tail::Closed;
                continue;
            }
            times.push(now);
            now = step(body(&range), now).map_err(wrong)?.now;
            steps.push(range);
        }
        let Header { recipe, version, first_digest, .. } = header;
        Ok(Recording { bytes, steps, times, recipe, version, first_digest, tail })
    }

    /// Ticks and halts together.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// A step by its number, from 1 on, as [`swarm_bt::State::tick_count`] counts them.
    pub fn step(&self, number: usize) -> Option<Step> {
        let at = number.checked_sub(1)?;
        let bytes = self.bytes.get(self.steps.get(at)?.clone())?;
        // `read` has read every step once.
        step(bytes, *self.times.get(at)?).ok()
    }
}

struct Header {
    digest: [u8; 32],
    version: String,
    recipe: Recipe,
    first_digest: u64,
}

fn header(bytes: &[u8]) -> Result<Header, Malformed> {
    let mut from = Cursor(bytes);
    if from.byte()? != kind::HEADER {
        return Err(Malformed { expected: "a header" });
    }
    let digest = from.bytes(32)?.try_into().map_err(|_| Malformed { expected: "a digest" })?;
    let version = from.text()?.to_owned();
    let recipe = Recipe::take(&mut from)?;
    Ok(Header { digest, version, recipe, first_digest: from.fixed()? })
}

fn step(bytes: &[u8], before: Time) -> Result<Step, Malformed> {
    let mut from = Cursor(bytes);
    let what = match from.byte()? {
        kind::TICK => StepKind::Tick,
        kind::HALT => StepKind::Halt,
        _ => return Err(Malformed { expected: "a tick or a halt" }),
    };
    let now = Time(before.0.wrapping_add(from.signed()? as u64));
    let outside = written(&mut from)?;
    let mut calls = Vec::new();
    loop {
        let byte = from.byte()?;
        if byte == mark::END {
            break;
        }
        let answer = answer(byte & 7, byte >> 4)?;
        let uid = from.number()?.try_into().map_err(|_| Malformed { expected: "a node's uid" })?;
        let wrote = if byte & mark::WROTE == 0 { Vec::new() } else { written(&mut from)? };
        calls.push(CallRecord { uid, answer, wrote });
    }
    let outcome = match (from.byte()?, what) {
        (ERROR, _) => Outcome::Error,
        (0, StepKind::Halt) => Outcome::Halted,
        (code, _) => Outcome::Answer(status(code)?),
    };
    let digest = from.fixed()?;
    if !from.0.is_empty() {
        return Err(Malformed { expected: "an end" });
    }
    Ok(Step { what, now, outside, calls, outcome, digest })
}

fn written(from: &mut Cursor<'_>) -> Result<Vec<Written>, Malformed> {
    let count = from.count()?;
    (0..count)
        .map(|_| Ok(Written { slot: from.number()? as usize, times: from.number()?, value: from.value()? }))
        .collect()
}

fn answer(mark: u8, code: u8) -> Result<CallAnswer, Malformed> {
    let stopped = || match code {
        0 => Ok(Halt::Done),
        1 => Ok(Halt::Pending),
        _ => Err(Malformed { expected: "the answer to a halt" }),
    };
    Ok(match mark {
        mark::START => CallAnswer::Start(status(code)?),
        mark::RUNNING => CallAnswer::Running(status(code)?),
        mark::HALT => CallAnswer::Halt(stopped()?),
        mark::HALTING => CallAnswer::Halting(stopped()?),
        _ => return Err(Malformed { expected: "a leaf call" }),
    })
}

fn status(code: u8) -> Result<Status, Malformed> {
    Ok(match code {
        0 => Status::Running,
        1 => Status::Success,
        2 => Status::Failure,
        3 => Status::Skipped,
        _ => return Err(Malformed { expected: "a status" }),
    })
}
