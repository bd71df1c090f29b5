//! From entries to recordings: everything, or what lies around a stop.

use swarm_base::{Clock, Duration, Time};
use swarm_black_box::{CloseReason, Cycle, Entry, Header};

use crate::announce::Announce;
use crate::disk::Disk;
use crate::health::Health;
use crate::options::{Mode, Options, OptionsError};
use crate::ring::Ring;
use crate::writer::Writer;

/// A stop is waited for on the disk for this long after it.
const SYNCED: Duration = Duration::from_millis(1_000);

/// Writes entries to a folder. All calls come from one thread, which may wait for the disk.
#[derive(Debug)]
pub struct Recorder {
    mode: Mode,
    health: Health,
    ring: Ring,
    writer: Writer,
    /// Last cycle that was handed in.
    last_seen: Option<u64>,
    stopped: bool,
    recording: Recording,
}

/// What is to be recorded now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recording {
    Idle,
    /// What lies around a stop, up to the first cycle from then on.
    Until(Time),
    Always,
}

impl Recorder {
    /// `session` is the header without place, key and limits in force, which are the recorder's. The clock must be that of the
    /// entries' times. Touches no disk.
    pub fn new(
        options: Options,
        session: Header,
        disk: Box<dyn Disk>,
        clock: Box<dyn Clock>,
    ) -> Result<Self, OptionsError> {
        options.check()?;
        let before = match options.mode {
            Mode::Continuous => Duration::ZERO,
            Mode::OnStop { before, .. } => before,
        };
        let health = Health::new(options.on_disk_failure, options.slow_after);
        Ok(Self {
            mode: options.mode,
            health: health.clone(),
            ring: Ring::new(before, options.max_ring_entries),
            writer: Writer::new(options, session, disk, clock, health),
            last_seen: None,
            stopped: false,
            recording: Recording::Idle,
        })
    }

    pub fn health(&self) -> Health {
        self.health.clone()
    }

    pub fn announce(&self) -> Announce {
        self.writer.announce()
    }

    /// Takes what the deciding thread has handed over.
    pub fn take(&mut self, entry: Entry) {
        let stops = match &entry {
            Entry::Cycle { cycle, .. } => self.look(cycle),
            Entry::Snapshot(_) => false,
        };
        let wanted = self.wanted(stops, &entry);
        if self.recording == Recording::Idle && wanted != Recording::Idle {
            self.writer.begin(self.ring.first().unwrap_or(&entry));
        }
        self.recording = wanted;
        match self.recording {
            Recording::Idle => return self.ring.push(&entry),
            Recording::Until(_) => self.write_in_turn(&entry),
            Recording::Always if self.writer.is_ready(&entry) => self.writer.write(&entry),
            Recording::Always => self.writer.lose(&entry),
        }
        if stops {
            self.writer.mark_stop();
        }
    }

    /// Nothing has come for a while: what is pending is sealed and handed to the system.
    pub fn rest(&mut self) {
        self.writer.rest();
    }

    /// Looks whether the disk can be written while nothing needs to be: at the start, then every ten seconds, and every second after
    /// a failure. To be called now and then, so that a cell does not learn at a stop that nothing can be recorded.
    pub fn look_after_disk(&mut self) {
        match self.recording {
            Recording::Until(_) => self.write_what_waits(),
            Recording::Idle | Recording::Always => self.writer.look_after_disk(),
        }
    }

    /// The program ends. What still waits for the disk is tried once more.
    pub fn finish(mut self) {
        self.writer.retry_now();
        self.write_what_waits();
        self.writer.close(CloseReason::Shutdown);
    }

    /// What is to be recorded from this entry on.
    fn wanted(&self, stops: bool, entry: &Entry) -> Recording {
        match (self.mode, entry) {
            (Mode::Continuous, _) => Recording::Always,
            (Mode::OnStop { after, .. }, Entry::Cycle { cycle, .. }) if stops => {
                Recording::Until(cycle.now + after)
            }
            (Mode::OnStop { .. }, _) => self.recording,
        }
    }

    /// Writes an entry behind those in memory. While there is no file they wait; those that there is no more room for are lost.
    fn write_in_turn(&mut self, entry: &Entry) {
        if self.ring.first().is_none() && self.writer.is_ready(entry) {
            self.writer.write(entry);
            return self.end_behind(entry);
        }
        self.ring.keep(entry);
        self.write_what_waits();
        while let Some(oldest) = self.ring.overflow() {
            for entry in &oldest {
                // What lies behind the end of the recording was never to be in it.
                if self.recording != Recording::Idle {
                    self.writer.lose(entry);
                    self.end_behind(entry);
                }
            }
        }
    }

    fn write_what_waits(&mut self) {
        while let (Recording::Until(_), Some(first)) = (self.recording, self.ring.first())
            && self.writer.is_ready(first)
            && let Some(entry) = self.ring.pop()
        {
            self.writer.write(&entry);
            self.end_behind(&entry);
        }
    }

    /// Ends the recording of a stop if this was its last entry.
    fn end_behind(&mut self, entry: &Entry) {
        if let (Recording::Until(until), Entry::Cycle { cycle, .. }) = (self.recording, entry)
            && cycle.now >= until
        {
            self.recording = Recording::Idle;
            self.writer.close(CloseReason::StopRecorded);
        }
    }

    /// True if the cell has just come to a stop, or to a worse one.
    fn look(&mut self, cycle: &Cycle) -> bool {
        let number = cycle.verdict.cycle;
        if let Some(missing) = self.last_seen.and_then(|last| number.checked_sub(last + 1)) {
            self.health.change(|status| status.lost_cycles += missing);
        }
        self.last_seen = Some(number);
        let is_stop = cycle.verdict.state.is_stop();
        let stops = is_stop && (!self.stopped || cycle.verdict.changed);
        self.stopped = is_stop;
        if stops {
            self.writer.sync_until(cycle.now + SYNCED);
        }
        stops
    }
}
