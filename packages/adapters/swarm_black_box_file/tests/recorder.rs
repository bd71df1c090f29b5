//! The recorder on a real folder, and on disks that are full, dead or slow.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ed25519_dalek::SigningKey;
use swarm_base::{Clock, Duration, Time};
use swarm_black_box::{
    Cycle, Entry, Header, Limits, Place, Record, Replay, Verification, junction, records, verify,
};
use swarm_black_box_file::{Disk, Folder, Health, Mode, OnDiskFailure, Options, Output, Recorder};
use swarm_safety_core::{Inputs, State, Timing, Tolerances, step};
use swarm_safety_setup::{SetupError, Sources};

const PERIOD: Duration = Duration::from_millis(1);

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn session() -> Header {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let read = |name: &str| Ok::<_, SetupError>(std::fs::read_to_string(root.join(name)).unwrap());
    Header {
        software: "a test".to_owned(),
        started_unix_ns: 0,
        started_at: Time::ZERO,
        first_epoch: 1,
        sources: Sources::gather(read("config/cell.yaml").unwrap(), read).unwrap(),
        timing: Timing::default(),
        tolerances: Tolerances::default(),
        limits: Limits::default(),
        public_key: [0; 32],
        place: Place::default(),
    }
}

/// The clock of the cycles.
#[derive(Clone, Debug, Default)]
struct Now(Arc<AtomicU64>);

impl Clock for Now {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::Relaxed))
    }
}

/// The deciding side: cycles of 1 ms of a cell that hears nothing, a snapshot every 100.
struct Deciding {
    config: swarm_safety_core::Config,
    state: State,
    now: Now,
}

impl Deciding {
    fn start(header: &Header) -> Self {
        let config = header.ceiling_config().unwrap();
        let state = State::new(&config, 1);
        Self { config, state, now: Now::default() }
    }

    fn run(&mut self, cycles: u64, recorder: &mut Recorder) {
        self.run_with(cycles, &Inputs::default(), &mut |entry| recorder.take(entry));
    }

    fn stop(&mut self, recorder: &mut Recorder) {
        let mut inputs = Inputs::default();
        inputs.hear_emergency_stop(true);
        self.run_with(1, &inputs, &mut |entry| recorder.take(entry));
    }

    fn run_with(&mut self, cycles: u64, inputs: &Inputs, take: &mut dyn FnMut(Entry)) {
        for _ in 0..cycles {
            if self.state.cycle().is_multiple_of(100) {
                take(Entry::Snapshot(self.state));
            }
            let now = Time(self.now.0.fetch_add(PERIOD.0, Ordering::Relaxed) + PERIOD.0);
            let (state, verdict) = step(&self.config, &self.state, inputs, now);
            self.state = state;
            take(Entry::Cycle { generation: 0, cycle: Cycle { now, inputs: *inputs, verdict } });
        }
    }
}

fn options(mode: Mode) -> Options {
    Options { mode, key: Some(key()), max_file_bytes: 2 << 20, max_bytes: 20 << 20, ..Options::default() }
}

fn recorder(options: Options, disk: impl Disk + 'static, deciding: &Deciding) -> Recorder {
    Recorder::new(options, session(), Box::new(disk), Box::new(deciding.now.clone())).unwrap()
}

/// The folder's files by name, verified.
fn verified(folder: &Path) -> Vec<(String, Vec<u8>, Verification)> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let open = |path: std::path::PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        let found = verify(&bytes, Some(&[key().verifying_key()])).unwrap();
        (path.file_name().unwrap().to_string_lossy().into_owned(), bytes, found)
    };
    files.into_iter().map(open).collect()
}

#[test]
fn a_continuous_recording_is_a_series_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let mut deciding = Deciding::start(&session());
    let mut recorder = recorder(options(Mode::Continuous), Folder(folder.path().into()), &deciding);
    deciding.run(6_000, &mut recorder);
    recorder.finish();
    let files = verified(folder.path());
    assert!(files.len() > 1, "{} files", files.len());
    assert!(files.iter().all(|(_, _, found)| found.is_whole()));
    for pair in files.windows(2) {
        junction(&pair[0].2, &pair[1].2.header, &[]).unwrap();
        assert_eq!(pair[0].2.last_cycle + 1, pair[1].2.first_cycle);
        let first = records(&pair[1].1).unwrap().nth(1).unwrap().1;
        assert!(matches!(first, Record::Snapshot(_)), "a file can be replayed by itself");
    }
    assert_eq!(files.last().unwrap().2.last_cycle, 6_000);
}

#[test]
fn a_further_start_goes_on_where_the_series_ends() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut deciding = Deciding::start(&session());
        let mut recorder = recorder(options(Mode::Continuous), Folder(folder.path().into()), &deciding);
        deciding.run(250, &mut recorder);
        // It is killed: what was sealed is there, and the cycle behind the seal that came with it.
        drop(recorder);
    }
    let files = verified(folder.path());
    assert_eq!(files.iter().map(|(_, _, found)| found.cycles).collect::<Vec<_>>(), [201, 201]);
    junction(&files[0].2, &files[1].2.header, &[]).unwrap();
}

#[test]
fn on_a_stop_the_time_around_it_is_kept_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mode = Mode::OnStop { before: Duration::from_millis(500), after: Duration::from_millis(300) };
    let mut deciding = Deciding::start(&session());
    let mut recorder = recorder(options(mode), Folder(folder.path().into()), &deciding);
    deciding.run(5_000, &mut recorder);
    assert_eq!(verified(folder.path()).len(), 0);
    deciding.stop(&mut recorder);
    deciding.run(2_000, &mut recorder);
    recorder.finish();
    let files = verified(folder.path());
    assert_eq!(files.len(), 1);
    let (name, bytes, found) = &files[0];
    assert_eq!(name, "0000000000_stop.swarmbox");
    assert!(found.is_whole(), "{:?}", found.faults);
    // At least 500 ms before the stop in cycle 5001, from the recorded state in front of that.
    assert!((4_400..=4_501).contains(&found.first_cycle), "{}", found.first_cycle);
    assert_eq!(found.last_cycle, 5_301);
    let first = records(bytes).unwrap().nth(1).unwrap().1;
    assert!(matches!(first, Record::Snapshot(_)));
}

#[test]
fn the_folder_stays_within_its_bound_and_says_what_was_removed() {
    let folder = tempfile::tempdir().unwrap();
    let most = 8 << 20;
    let options = Options { max_bytes: most, ..options(Mode::Continuous) };
    let mut deciding = Deciding::start(&session());
    let mut recorder = recorder(options, Folder(folder.path().into()), &deciding);
    deciding.run(200, &mut recorder);
    deciding.stop(&mut recorder);
    for _ in 0..20 {
        deciding.run(1_000, &mut recorder);
        let size: u64 =
            std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
        assert!(size <= most, "{size} bytes");
    }
    recorder.finish();
    let files = verified(folder.path());
    assert_eq!(files[0].0, "0000000000_stop.swarmbox", "the stop is still there");
    let removed: Vec<u64> = files.iter().flat_map(|(_, _, found)| found.removed.clone()).collect();
    assert!(!removed.is_empty());
    for pair in files.windows(2) {
        junction(&pair[0].2, &pair[1].2.header, &removed).unwrap();
    }
    assert!(junction(&files[0].2, &files[1].2.header, &[]).is_err());
}

#[test]
fn to_make_room_no_file_is_read_whole_and_what_it_knew_is_known_all_the_same() {
    let options = Options { max_file_bytes: 4 << 20, max_bytes: 16 << 20, ..options(Mode::Continuous) };
    let (folder, mut deciding, mut recorder, state) = with_bad_disk(options);
    deciding.stop(&mut recorder);
    while !folder.path().join("0000000007.swarmbox").exists() {
        deciding.run(1_000, &mut recorder);
    }
    recorder.finish();
    let read = state.lock().unwrap().longest_read;
    assert!(0 < read && read <= 2 << 20, "{read} bytes");
    let files = verified(folder.path());
    assert_eq!(files[0].0, "0000000000_stop.swarmbox");
    // To begin a file one or two are removed; of the others it knows from these.
    let removed: Vec<u64> = files.iter().flat_map(|(_, _, found)| found.removed.clone()).collect();
    assert!(removed.len() > 2, "{removed:?}");
    junction(&files[0].2, &files[1].2.header, &removed).unwrap();
}

#[test]
fn cycles_that_did_not_fit_the_queue_are_recorded_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut deciding = Deciding::start(&session());
    let mut recorder = recorder(options(Mode::Continuous), Folder(folder.path().into()), &deciding);
    deciding.run(150, &mut recorder);
    deciding.run_with(42, &Inputs::default(), &mut drop);
    // With a state right behind the gap every cycle that was recorded can be derived again.
    recorder.take(Entry::Snapshot(deciding.state));
    deciding.run(150, &mut recorder);
    assert_eq!(recorder.health().status().lost_cycles, 42);
    recorder.finish();
    let files = verified(folder.path());
    let (_, bytes, found) = &files[0];
    assert_eq!((found.lost, found.cycles), (42, 300));
    assert!(found.is_whole(), "{:?}", found.faults);
    let mut replay = Replay::begin(found.header.clone()).unwrap();
    for (_, record) in records(bytes).unwrap() {
        replay.take(&record).unwrap();
    }
    assert_eq!((replay.found().exact, replay.found().without_state), (300, 0));
}

/// A disk that can be told to be full, and to be slow.
#[derive(Clone, Debug)]
struct Bad {
    folder: Folder,
    state: Arc<Mutex<BadState>>,
}

#[derive(Debug, Default)]
struct BadState {
    trouble: Trouble,
    watched: Option<Health>,
    /// Whether the recorder seemed to fail while the disk was at work.
    seen: Vec<bool>,
    longest_read: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Trouble {
    #[default]
    None,
    /// Takes half of what it is given, then no more.
    Full,
    /// Even making a file fails.
    Dead,
    /// Takes so long for each piece.
    Slow(Duration),
}

impl Bad {
    fn note_read(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap();
        state.longest_read = state.longest_read.max(bytes.len());
    }
}

#[derive(Debug)]
struct BadOutput {
    inner: Box<dyn Output>,
    state: Arc<Mutex<BadState>>,
    now: Now,
}

#[derive(Debug)]
struct BadDisk {
    bad: Bad,
    now: Now,
}

impl Disk for BadDisk {
    fn probe(&mut self) -> io::Result<()> {
        if self.bad.state.lock().unwrap().trouble == Trouble::Dead {
            return Err(io::Error::other("the disk is gone"));
        }
        self.bad.folder.probe()
    }

    fn create(&mut self, name: &str) -> io::Result<Box<dyn Output>> {
        let state = Arc::clone(&self.bad.state);
        if state.lock().unwrap().trouble == Trouble::Dead {
            return Err(io::Error::other("the disk is gone"));
        }
        let inner = self.bad.folder.create(name)?;
        Ok(Box::new(BadOutput { inner, state, now: self.now.clone() }))
    }

    fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
        self.bad.folder.list()
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let bytes = self.bad.folder.read(name)?;
        self.bad.note_read(&bytes);
        Ok(bytes)
    }

    fn read_start(&mut self, name: &str, most: usize) -> io::Result<Vec<u8>> {
        let bytes = self.bad.folder.read_start(name, most)?;
        self.bad.note_read(&bytes);
        Ok(bytes)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.bad.folder.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.bad.folder.remove(name)
    }
}

impl Output for BadOutput {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let trouble = self.state.lock().unwrap().trouble;
        match trouble {
            Trouble::None => self.inner.write_all(bytes),
            Trouble::Full | Trouble::Dead => {
                self.inner.write_all(&bytes[..bytes.len() / 2])?;
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            Trouble::Slow(time) => {
                self.now.0.fetch_add(time.0, Ordering::Relaxed);
                let mut state = self.state.lock().unwrap();
                let failing = state.watched.as_ref().is_some_and(|health| health.is_failing(self.now.now()));
                state.seen.push(failing);
                self.inner.write_all(bytes)
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.inner.sync()
    }
}

fn on_failure(policy: OnDiskFailure) -> Options {
    Options { on_disk_failure: policy, ..options(Mode::Continuous) }
}

fn with_bad_disk(options: Options) -> (tempfile::TempDir, Deciding, Recorder, Arc<Mutex<BadState>>) {
    let folder = tempfile::tempdir().unwrap();
    let deciding = Deciding::start(&session());
    let state = Arc::new(Mutex::new(BadState::default()));
    let bad = Bad { folder: Folder(folder.path().into()), state: Arc::clone(&state) };
    let disk = BadDisk { bad, now: deciding.now.clone() };
    let recorder = recorder(options, disk, &deciding);
    (folder, deciding, recorder, state)
}

fn fails(health: &Health, deciding: &Deciding) -> (bool, bool) {
    (health.is_failing(deciding.now.now()), health.must_stop(deciding.now.now()))
}

#[test]
fn a_full_disk_costs_what_does_not_fit_and_nothing_before_or_after_it() {
    for trouble in [Trouble::Full, Trouble::Dead] {
        let (folder, mut deciding, mut recorder, state) = with_bad_disk(on_failure(OnDiskFailure::Continue));
        let health = recorder.health();
        deciding.run(500, &mut recorder);
        assert_eq!(fails(&health, &deciding), (false, false));
        state.lock().unwrap().trouble = trouble;
        deciding.run(2_000, &mut recorder);
        assert_eq!(fails(&health, &deciding), (true, false), "{trouble:?}");
        assert!(health.status().trouble.unwrap().contains("cannot"), "{trouble:?}");
        state.lock().unwrap().trouble = Trouble::None;
        // It is tried again after a second.
        deciding.run(2_000, &mut recorder);
        assert_eq!(fails(&health, &deciding), (false, false), "{trouble:?}");
        let lost = health.status().lost_cycles;
        recorder.finish();
        let files = verified(folder.path());
        let known: u64 = files.iter().map(|(_, _, found)| found.cycles).sum();
        // Half of a segment was written when the disk became full: its cycles are counted as lost and readable all the same.
        assert!(lost + known >= 4_500 && lost + known <= 4_600, "{lost} lost, {known} there");
        for (name, _, found) in &files {
            assert!(found.faults.is_empty(), "{name}: {:?}", found.faults);
        }
        let noted: u64 = files.iter().map(|(_, _, found)| found.lost).sum();
        assert_eq!(noted, lost, "what is lost is recorded too");
        let junctions = files.windows(2).map(|pair| junction(&pair[0].2, &pair[1].2.header, &[]));
        assert!(junctions.into_iter().all(|found| found.is_ok()));
    }
}

#[test]
fn the_cell_stops_for_a_dead_disk_if_it_is_configured_to() {
    let (_folder, mut deciding, mut recorder, state) = with_bad_disk(on_failure(OnDiskFailure::Stop));
    let health = recorder.health();
    deciding.run(300, &mut recorder);
    assert_eq!(fails(&health, &deciding), (false, false));
    state.lock().unwrap().trouble = Trouble::Dead;
    deciding.run(300, &mut recorder);
    assert_eq!(fails(&health, &deciding), (true, true));
}

#[test]
fn a_dead_disk_is_found_before_anything_has_to_be_written_and_so_is_its_return() {
    let (folder, deciding, mut recorder, state) = with_bad_disk(on_failure(OnDiskFailure::Stop));
    let health = recorder.health();
    state.lock().unwrap().trouble = Trouble::Dead;
    recorder.look_after_disk();
    assert_eq!(fails(&health, &deciding), (true, true));
    assert_eq!(health.status().trouble.unwrap(), "cannot write to the folder: the disk is gone");
    state.lock().unwrap().trouble = Trouble::None;
    recorder.look_after_disk();
    assert_eq!(fails(&health, &deciding), (true, true), "not again at once");
    deciding.now.0.fetch_add(1_000_000_000, Ordering::Relaxed);
    recorder.look_after_disk();
    assert_eq!(fails(&health, &deciding), (false, false));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the probe leaves nothing behind");
}

#[test]
fn a_disk_that_does_not_come_back_counts_as_failing_while_it_is_waited_for() {
    let (_folder, mut deciding, recorder, state) = with_bad_disk(on_failure(OnDiskFailure::Stop));
    let health = recorder.health();
    let mut recorder = recorder;
    state.lock().unwrap().watched = Some(health.clone());
    for (millis, failing) in [(900, false), (1_100, true)] {
        state.lock().unwrap().trouble = Trouble::Slow(Duration::from_millis(millis));
        deciding.run(300, &mut recorder);
        let seen = std::mem::take(&mut state.lock().unwrap().seen);
        assert!(!seen.is_empty() && seen.iter().all(|seen| *seen == failing), "{millis} ms: {seen:?}");
        // It came back in the end, and nothing was lost.
        assert_eq!((fails(&health, &deciding), health.status().lost_cycles), ((false, false), 0));
    }
}

#[test]
fn options_that_contradict_each_other_are_all_named() {
    let deciding = Deciding::start(&session());
    let options = Options {
        max_bytes: 1 << 20,
        max_file_bytes: 1000,
        segment: Duration::ZERO,
        ..options(Mode::Continuous)
    };
    let made = Recorder::new(options, session(), Box::new(Folder("/nowhere".into())), Box::new(deciding.now));
    let problems = made.unwrap_err().0;
    assert_eq!(problems.len(), 2, "{problems:?}");
}
