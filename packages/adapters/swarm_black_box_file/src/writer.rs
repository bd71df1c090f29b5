//! From entries to files: links and seals them, begins and ends files, and tries again on a disk that has failed.

use std::io;

use swarm_base::{Clock, Duration, Time};
use swarm_black_box::{Chain, CloseReason, Entry, Header, Place, Record};

use crate::account::Account;
use crate::announce::Announce;
use crate::disk::{Disk, Output};
use crate::health::Health;
use crate::names::BoxName;
use crate::options::{Mode, Options};
use crate::series::{Going, begin_file, box_files, look_for_room, place_after};

/// How long after a failure the disk is tried again.
const RETRY: Duration = Duration::from_millis(1_000);
/// How long after a success it is, while nothing has to be written: some 2 GB a day.
const PROBE: Duration = Duration::from_millis(10_000);
/// More is not kept back for the end of a segment.
const MOST_PENDING: usize = 1 << 20;

/// The folder's files, of which one at most is being written.
#[derive(Debug)]
pub(crate) struct Writer {
    options: Options,
    session: Header,
    disk: Box<dyn Disk>,
    clock: Box<dyn Clock>,
    announce: Announce,
    health: Health,
    out: Out,
    /// Where the next file stands; `None` until the folder was looked at.
    place: Option<Place>,
    account: Account,
    /// When the disk was last probed.
    probed: Option<Time>,
    /// The disk is waited for up to the cycle of this time.
    synced_until: Option<Time>,
    /// Of the newest cycle that was written.
    newest: Time,
}

#[derive(Debug)]
enum Out {
    Closed,
    Open(Box<OpenFile>),
    Failed { at: Time },
}

#[derive(Debug)]
struct OpenFile {
    name: BoxName,
    chain: Chain,
    output: Box<dyn Output>,
    /// Linked, and not yet handed to the system.
    pending: Vec<u8>,
    bytes: u64,
    generation: u64,
}

impl Writer {
    pub(crate) fn new(
        options: Options,
        session: Header,
        disk: Box<dyn Disk>,
        clock: Box<dyn Clock>,
        health: Health,
    ) -> Self {
        Self {
            options,
            session,
            disk,
            clock,
            announce: Announce::default(),
            health,
            out: Out::Closed,
            place: None,
            account: Account::default(),
            probed: None,
            synced_until: None,
            newest: Time::ZERO,
        }
    }

    pub(crate) fn announce(&self) -> Announce {
        self.announce.clone()
    }

    /// What is sealed is waited for on the disk, up to the cycle of this time: a recorder that is behind comes to it later.
    pub(crate) fn sync_until(&mut self, until: Time) {
        self.synced_until = Some(until);
    }

    /// A recording begins with this entry, whatever the disk does.
    pub(crate) fn begin(&mut self, first: &Entry) {
        self.account.begin(cycle_before(first));
    }

    /// Nothing has come for a while: what is pending is sealed and handed to the system.
    pub(crate) fn rest(&mut self) {
        if let Out::Open(file) = &mut self.out
            && !file.pending.is_empty()
        {
            file.chain.seal(&mut file.pending);
            self.flush(Sealed::Yes);
        }
    }

    /// Looks whether the disk can be written while nothing needs to be: at the start, then every ten seconds, and every second after
    /// a failure.
    pub(crate) fn look_after_disk(&mut self) {
        let now = self.clock.now();
        let pause = if self.place.is_some() { PROBE } else { RETRY };
        if matches!(self.out, Out::Open(_)) || self.probed.is_some_and(|at| now.since(at) < pause) {
            return;
        }
        self.probed = Some(now);
        let (health, disk, place) = (self.health.clone(), self.disk.as_mut(), self.place);
        let found = health.busy(now, || {
            disk.probe()?;
            place.map_or_else(|| place_after(disk), Ok)
        });
        self.place = found.as_ref().ok().copied();
        health.failed(found.err().map(|error| format!("cannot write to the folder: {error}")));
    }

    /// Whether there is a file that takes this entry; begins one if need be.
    pub(crate) fn is_ready(&mut self, entry: &Entry) -> bool {
        let full = matches!(&self.out, Out::Open(file) if self.is_full(file, entry));
        if full {
            self.close(CloseReason::Full);
        }
        match &self.out {
            Out::Open(_) => true,
            Out::Failed { at } if self.clock.now().since(*at) < RETRY => false,
            Out::Closed | Out::Failed { .. } => self.open(entry),
        }
    }

    /// A disk that has failed is tried again without waiting.
    pub(crate) fn retry_now(&mut self) {
        if matches!(self.out, Out::Failed { .. }) {
            self.out = Out::Closed;
        }
    }

    /// This entry was to be recorded, and there is no file for it.
    pub(crate) fn lose(&mut self, entry: &Entry) {
        if let Entry::Cycle { cycle, .. } = entry {
            self.account.lose(cycle.verdict.cycle);
            self.health.change(|status| status.lost_cycles += 1);
        }
    }

    /// Writes an entry that a file [is ready](Self::is_ready) for.
    pub(crate) fn write(&mut self, entry: &Entry) {
        let mut sealed = Sealed::No;
        let mut append = |file: &mut OpenFile, record: &Record| {
            if file.chain.append(record, &mut file.pending) {
                sealed = Sealed::Yes;
            }
        };
        let Out::Open(file) = &mut self.out else { return };
        // A gap is noted before a state that comes right behind it, so that this counts.
        if let missing @ 1.. = self.account.gap(cycle_before(entry)) {
            append(file, &Record::Lost(missing));
        }
        match entry {
            Entry::Snapshot(state) => append(file, &Record::Snapshot(*state)),
            Entry::Cycle { generation, cycle } => {
                if file.generation != *generation {
                    file.generation = *generation;
                    append(file, &Record::Limits(self.announce.get(*generation)));
                }
                append(file, &Record::Cycle(*cycle));
                self.account.write(cycle.verdict.cycle);
                self.newest = cycle.now;
            }
        }
        if sealed == Sealed::Yes || file.pending.len() > MOST_PENDING {
            self.flush(sealed);
        }
    }

    /// A new file begins with a recorded state, so that it can be replayed by itself; without one it begins a little later.
    fn is_full(&self, file: &OpenFile, entry: &Entry) -> bool {
        let size = file.bytes + file.pending.len() as u64;
        let most = self.options.max_file_bytes;
        let slack = if matches!(entry, Entry::Snapshot(_)) { 0 } else { most / 4 };
        size >= most + slack
    }

    fn open(&mut self, entry: &Entry) -> bool {
        match self.try_open(entry) {
            Ok((file, going)) => {
                self.health.failed(None);
                self.health.change(|status| {
                    status.file = Some(file.name.text());
                    status.files += 1;
                    status.bytes += file.bytes;
                    status.trouble = None;
                });
                self.out = Out::Open(Box::new(file));
                self.remove(&going);
                true
            }
            Err(error) => {
                self.fail(&format!("cannot begin a file: {error}"));
                false
            }
        }
    }

    /// Removes what the present file says is removed. One that stays goes when the next file begins: it is not worth a gap.
    fn remove(&mut self, going: &[BoxName]) {
        let (health, disk) = (self.health.clone(), self.disk.as_mut());
        health.busy(self.clock.now(), || {
            for name in going.iter().map(BoxName::text) {
                if let Err(error) = disk.remove(&name) {
                    health.troubled(format!("cannot remove {name} to make room: {error}"));
                }
            }
        });
    }

    /// Begins a file. Says which files are to go now: a recorder that is killed must not leave a gap that no file speaks of.
    fn try_open(&mut self, entry: &Entry) -> io::Result<(OpenFile, Vec<BoxName>)> {
        let now = self.clock.now();
        let health = self.health.clone();
        health.busy(now, || {
            let place = match self.place {
                Some(place) => place,
                None => place_after(self.disk.as_mut())?,
            };
            let room = self.options.max_bytes - self.options.max_file_bytes / 4 * 5;
            let files = box_files(self.disk.as_mut())?;
            let all: Vec<_> =
                files.into_iter().chain([(BoxName { number: place.file, stop: false }, 0)]).collect();
            let Going { files: going, missing } = look_for_room(self.disk.as_mut(), &all, room)?;
            let generation = match entry {
                Entry::Cycle { generation, .. } => *generation,
                Entry::Snapshot(state) => state.generation(),
            };
            let name = BoxName { number: place.file, stop: !matches!(self.options.mode, Mode::Continuous) };
            let header = Header { place, limits: self.announce.get(generation), ..self.session.clone() };
            let mut pending = Vec::new();
            let (key, segment) = (self.options.key.clone(), self.options.segment);
            let mut chain = Chain::begin(header, key, segment, &mut pending);
            for number in &missing {
                chain.append(&Record::Removed(*number), &mut pending);
            }
            if !missing.is_empty() {
                chain.seal(&mut pending);
            }
            let output = begin_file(self.disk.as_mut(), &name, &pending)?;
            let bytes = pending.len() as u64;
            pending.clear();
            Ok((OpenFile { name, chain, output, pending, bytes, generation }, going))
        })
    }

    /// Hands what is pending to the system, and waits for the disk around a stop.
    fn flush(&mut self, sealed: Sealed) {
        let now = self.clock.now();
        let Out::Open(file) = &mut self.out else { return };
        let sync = sealed == Sealed::Yes && self.synced_until.is_some();
        let written = self.health.busy(now, || {
            file.output.write_all(&file.pending)?;
            if sync { file.output.sync() } else { Ok(()) }
        });
        if self.synced_until.is_some_and(|until| self.newest >= until) {
            self.synced_until = None;
        }
        match written {
            Ok(()) => {
                let bytes = file.pending.len() as u64;
                file.bytes += bytes;
                file.pending.clear();
                self.account.flush();
                let seal = (sealed == Sealed::Yes).then(|| file.chain.last_seal());
                self.health.failed(None);
                self.health.change(|status| {
                    status.bytes += bytes;
                    status.last_seal = seal.or(status.last_seal);
                });
            }
            Err(error) => {
                let trouble = format!("cannot write {}: {error}", file.name.text());
                self.fail(&trouble);
            }
        }
    }

    /// Ends the file, if one is being written.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        let mut file = match std::mem::replace(&mut self.out, Out::Closed) {
            Out::Open(file) => file,
            other => return self.out = other,
        };
        let mut end = std::mem::take(&mut file.pending);
        let place = file.chain.close(reason, &mut end);
        let written = self.health.busy(self.clock.now(), || {
            file.output.write_all(&end)?;
            file.output.sync()
        });
        match written {
            Ok(()) => {
                self.place = Some(place);
                self.account.flush();
                self.health.change(|status| {
                    status.file = None;
                    status.bytes += end.len() as u64;
                    status.last_seal = Some(place.previous_seal);
                });
            }
            Err(error) => self.fail(&format!("cannot end {}: {error}", file.name.text())),
        }
    }

    /// Gives the name of a file with a stop to the present one: it is kept longer.
    pub(crate) fn mark_stop(&mut self) {
        let Out::Open(file) = &mut self.out else { return };
        if file.name.stop {
            return;
        }
        let marked = BoxName { stop: true, ..file.name };
        let (from, to) = (file.name.text(), marked.text());
        match self.health.busy(self.clock.now(), || self.disk.rename(&from, &to)) {
            Ok(()) => {
                self.health.change(|status| status.file = Some(to));
                file.name = marked;
            }
            Err(error) => {
                self.health.troubled(format!("cannot rename {from} to {to}: {error}"));
            }
        }
    }

    /// Gives the present file up. What was not handed to the system is lost; the next file looks at the folder again.
    fn fail(&mut self, trouble: &str) {
        self.health.failed(Some(trouble.to_owned()));
        self.health.change(|status| status.file = None);
        let lost = self.account.give_up();
        self.health.change(|status| status.lost_cycles += lost);
        self.place = None;
        let now = self.clock.now();
        // Not tried again at once: what failed is to be seen for as long.
        self.probed = Some(now);
        self.out = Out::Failed { at: now };
    }
}

/// The cycle that an entry stands behind.
fn cycle_before(entry: &Entry) -> u64 {
    match entry {
        Entry::Snapshot(state) => state.cycle(),
        Entry::Cycle { cycle, .. } => cycle.verdict.cycle.saturating_sub(1),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sealed {
    No,
    Yes,
}
