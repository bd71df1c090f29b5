//! Writers that are killed at random instants: what they leave must be readable, and little of it missing.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ed25519_dalek::SigningKey;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use std::sync::Arc;

use swarm_base::{Clock, ManualClock, Time};
use swarm_black_box::{Entry, Verification, junction, verify};
use swarm_black_box_file::{Folder, Mode, Options, Recorder};

use super::work::{PERIOD, Work};
use crate::box_files::is_box;

/// What was tried, and what was left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Killed {
    pub tried: u64,
    /// Files left without a fault, each joined to the one before it.
    pub readable: u64,
    /// Most segments that were begun and are not proven by a seal.
    pub segments_lost_max: u64,
    /// Kills that hit the writer before its first seal.
    pub early: u64,
    /// What was wrong, for the first few.
    pub wrong: Vec<String>,
}

const SEGMENT_CYCLES: u64 = 100;
/// Starts of writers in one folder, each going on with the series.
const STARTS: u64 = 10;

/// Key that every recording here is sealed with.
pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// In a child process: writes a black box into `folder` until it is killed, and says on standard output, 8 bytes each, which
/// cycles it has handed to the recorder.
pub fn write_until_killed(declaration: &Path, folder: &Path) -> anyhow::Result<()> {
    let mut work = Work::start(declaration)?;
    let clock = Arc::new(ManualClock::default());
    let options = Options {
        mode: Mode::Continuous,
        key: Some(key()),
        segment: swarm_base::Duration(SEGMENT_CYCLES * PERIOD.0),
        max_file_bytes: 2 << 20,
        max_bytes: 200 << 20,
        ..Options::default()
    };
    let disk = Box::new(Folder(folder.to_owned()));
    let mut recorder = Recorder::new(options, work.header().clone(), disk, Box::new(Shared(clock.clone())))?;
    recorder.announce().limits(Work::limits());
    let mut out = std::io::stdout().lock();
    loop {
        let (snapshot, entry) = work.cycle();
        let Entry::Cycle { cycle, .. } = &entry else { continue };
        let number = cycle.verdict.cycle;
        clock.advance(PERIOD);
        for entry in snapshot.into_iter().chain([entry]) {
            recorder.take(entry);
        }
        out.write_all(&number.to_le_bytes()).and_then(|()| out.flush()).context("the parent is gone")?;
    }
}

/// A clock that the writing loop sets.
#[derive(Debug)]
struct Shared(Arc<ManualClock>);

impl Clock for Shared {
    fn now(&self) -> Time {
        self.0.now()
    }
}

/// Kills `count` writers; `writer` makes the command of one, for the folder that it gets.
pub fn kill(
    count: u64,
    seed: u64,
    work_folder: &Path,
    writer: impl Fn(&Path) -> Command,
) -> anyhow::Result<Killed> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut killed = Killed::default();
    while killed.tried < count {
        let folder = tempfile::tempdir_in(work_folder)?;
        for _ in 0..STARTS.min(count - killed.tried) {
            let old = boxes(folder.path())?;
            let handed_over = kill_one(&writer(folder.path()), &mut rng)?;
            killed.tried += 1;
            match left_behind(folder.path(), &old, handed_over) {
                Ok(lost) => {
                    killed.readable += 1;
                    killed.early += u64::from(handed_over <= SEGMENT_CYCLES);
                    killed.segments_lost_max = killed.segments_lost_max.max(lost);
                }
                Err(error) if killed.wrong.len() < 10 => {
                    killed.wrong.push(format!("kill {} of seed {seed}: {error:#}", killed.tried));
                }
                Err(_) => {}
            }
        }
    }
    Ok(killed)
}

/// Runs a writer for a random time. Gives the last cycle that it has handed to its recorder, 0 if there was none.
fn kill_one(command: &Command, rng: &mut SmallRng) -> anyhow::Result<u64> {
    let mut again = Command::new(command.get_program());
    let mut child =
        again.args(command.get_args()).stdout(Stdio::piped()).spawn().context("cannot start a writer")?;
    let mut said = child.stdout.take().context("a writer without an output")?;
    // It begins to write after some 50 ms of reading the cell.
    let mut first = [0; 8];
    said.read_exact(&mut first).context("the writer ended before it wrote")?;
    let reading = std::thread::spawn(move || {
        let mut all = first.to_vec();
        // An error is the end of the pipe, too.
        let _ = said.read_to_end(&mut all);
        all.len() as u64 / 8
    });
    std::thread::sleep(Duration::from_micros(rng.random_range(0..60_000)));
    child.kill().context("cannot kill a writer")?;
    child.wait()?;
    reading.join().map_err(|_| anyhow::anyhow!("the reading thread has panicked"))
}

/// The black-box files in a folder.
fn boxes(folder: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if is_box(&path) {
            files.insert(path);
        }
    }
    Ok(files)
}

/// Verifies everything in the folder. Gives the segments of the newest start, whose files are not among the `old` ones, that are
/// not proven by a seal. A file that the writer was beginning has another name, and holds nothing.
fn left_behind(folder: &Path, old: &BTreeSet<PathBuf>, handed_over: u64) -> anyhow::Result<u64> {
    let mut before: Option<Verification> = None;
    let mut sealed_cycle = 0;
    for path in &boxes(folder)? {
        let bytes = fs::read(path)?;
        let found =
            verify(&bytes, Some(&[key().verifying_key()])).with_context(|| path.display().to_string())?;
        ensure!(found.faults.is_empty(), "{}: {}", path.display(), found.faults[0]);
        if let Some(before) = &before {
            junction(before, &found.header, &[])?;
        }
        if !old.contains(path) {
            sealed_cycle = sealed_cycle.max(last_sealed_cycle(&bytes)?);
        }
        before = Some(found);
    }
    let unproven = handed_over.saturating_sub(sealed_cycle);
    Ok(unproven.div_ceil(SEGMENT_CYCLES))
}

fn last_sealed_cycle(bytes: &[u8]) -> anyhow::Result<u64> {
    let mut last = 0;
    for (_, record) in swarm_black_box::records(bytes)? {
        if let swarm_black_box::Record::Seal(seal) = record {
            last = last.max(seal.last_cycle);
        }
    }
    Ok(last)
}

/// Writes `cycles` of work into a folder, closed. Gives how many there are.
pub fn write_all(work: &mut Work, cycles: u64, folder: &Path) -> anyhow::Result<()> {
    write(work, cycles, folder, Mode::Continuous)
}

/// The same in the mode of recording that is asked for.
pub fn write(work: &mut Work, cycles: u64, folder: &Path, mode: Mode) -> anyhow::Result<()> {
    let options = Options {
        mode,
        key: Some(key()),
        max_file_bytes: 32 << 20,
        max_bytes: 4 << 30,
        ..Options::default()
    };
    let clock = Arc::new(ManualClock::default());
    let disk = Box::new(Folder(folder.to_owned()));
    let mut recorder = Recorder::new(options, work.header().clone(), disk, Box::new(Shared(clock)))?;
    recorder.announce().limits(Work::limits());
    for _ in 0..cycles {
        let (snapshot, entry) = work.cycle();
        for entry in snapshot.into_iter().chain([entry]) {
            recorder.take(entry);
        }
    }
    let trouble = recorder.health().status().trouble;
    recorder.finish();
    ensure!(trouble.is_none(), "the disk failed: {}", trouble.unwrap_or_default());
    Ok(())
}
