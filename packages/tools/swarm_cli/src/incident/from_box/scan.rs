//! A first look at one start of the monitor: where it stopped.

use anyhow::Context as _;
use swarm_base::Time;
use swarm_black_box::{Header, Record, records};
use swarm_safety_core::{CauseKind, SafetyState};

use crate::box_files::{BoxFile, header};
use crate::box_walk::unix_ns;
use crate::incident::recorded::{Start, Stop, StopLine, utc};

/// A stop as a first look finds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundStop {
    pub now: Time,
    pub cycle: u64,
    state: SafetyState,
    before: Option<SafetyState>,
    kind: Option<CauseKind>,
}

impl FoundStop {
    /// Whether it made a stop worse that held already.
    pub(super) fn is_escalation(&self) -> bool {
        self.before.is_some_and(SafetyState::is_stop)
    }

    pub(super) fn plain(&self, header: &Header) -> Stop {
        let at_ns = unix_ns(header, self.now);
        Stop { at_ns, cycle: self.cycle, state: self.state, before: self.before, cause: None }
    }
}

/// A first look at one start.
#[derive(Debug)]
pub(super) struct Scan {
    pub header: Header,
    cycles: u64,
    pub lost: u64,
    pub stops: Vec<FoundStop>,
    /// Bytes of the last file that are no whole record.
    pub cut_bytes: usize,
}

impl Scan {
    pub(super) fn of(files: &[BoxFile]) -> anyhow::Result<Self> {
        let header = header(&files[0].bytes).context("a file of a start has a header")?;
        let mut scan = Self { header, cycles: 0, lost: 0, stops: Vec::new(), cut_bytes: 0 };
        let mut before = None;
        for file in files {
            let mut whole = swarm_black_box::MAGIC.len();
            for (frame, record) in records(&file.bytes)? {
                // Behind a record stand its link and in front of it its length.
                whole = frame.offset + 4 + frame.bytes.len() + frame.link.len();
                match record {
                    Record::Lost(count) => scan.lost += count,
                    Record::Cycle(cycle) => {
                        scan.cycles += 1;
                        let (now, verdict) = (cycle.now, &cycle.verdict);
                        if verdict.state.is_stop() && before != Some(verdict.state) {
                            let kind = verdict.cause.map(|cause| cause.kind);
                            let (cycle, state) = (verdict.cycle, verdict.state);
                            scan.stops.push(FoundStop { now, cycle, state, before, kind });
                        }
                        before = Some(verdict.state);
                    }
                    _ => {}
                }
            }
            scan.cut_bytes = file.bytes.len().saturating_sub(whole);
        }
        Ok(scan)
    }

    pub(super) fn listed(&self, number: usize, files: usize) -> Start {
        let stop = |(index, stop): (usize, &FoundStop)| StopLine {
            number: index + 1,
            utc: utc(unix_ns(&self.header, stop.now)),
            state: stop.state.name(),
            code: stop.kind.map_or("", CauseKind::code).to_owned(),
        };
        Start {
            number,
            started_utc: utc(unix_ns(&self.header, self.header.started_at)),
            first_epoch: self.header.first_epoch,
            files,
            cycles: self.cycles,
            stops: self.stops.iter().enumerate().map(stop).collect(),
        }
    }
}
