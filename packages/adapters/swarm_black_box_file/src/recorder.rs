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
    /// A stop is being recorded until then.
    until: Option<Time>,
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
            until: None,
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
        match self.mode {
            Mode::Continuous => self.writer.write(&entry),
            Mode::OnStop { after, .. } => {
                if let (true, Entry::Cycle { cycle, .. }) = (stops, &entry) {
                    self.until = Some(cycle.now + after);
                }
                if self.until.is_none() {
                    return self.ring.push(entry);
                }
                for kept in self.ring.take() {
                    self.writer.write(&kept);
                }
                self.writer.write(&entry);
                if let (Some(until), Entry::Cycle { cycle, .. }) = (self.until, &entry)
                    && cycle.now >= until
                {
                    self.until = None;
                    self.writer.close(CloseReason::StopRecorded);
                }
            }
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
        if self.until.is_none() {
            self.writer.look_after_disk();
        }
    }

    /// The program ends.
    pub fn finish(mut self) {
        self.writer.close(CloseReason::Shutdown);
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
