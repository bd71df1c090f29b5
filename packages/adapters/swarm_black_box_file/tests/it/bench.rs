//! A cell that decides in virtual time, and a recorder for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ed25519_dalek::SigningKey;
use swarm_base::{Clock, Duration, Time};
use swarm_black_box::{Cycle, Entry, Header, Limits, Place, Verification, verify};
use swarm_black_box_file::{Disk, Mode, Options, Recorder};
use swarm_safety_core::{Inputs, SafetyState, State, Timing, Tolerances, step};
use swarm_safety_setup::{SetupError, Sources};

pub(crate) const PERIOD: Duration = Duration::from_millis(1);

pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(crate) fn session() -> Header {
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
pub(crate) struct Now(pub(crate) Arc<AtomicU64>);

impl Clock for Now {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::Relaxed))
    }
}

/// The deciding side: cycles of 1 ms of a cell that hears nothing, a snapshot every 100.
pub(crate) struct Deciding {
    config: swarm_safety_core::Config,
    pub(crate) state: State,
    pub(crate) now: Now,
}

impl Deciding {
    pub(crate) fn start(header: &Header) -> Self {
        let config = header.ceiling_config().unwrap();
        let state = State::new(&config, 1);
        Self { config, state, now: Now::default() }
    }

    pub(crate) fn run(&mut self, cycles: u64, recorder: &mut Recorder) {
        self.run_with(cycles, &Inputs::default(), &mut |entry| recorder.take(entry));
    }

    pub(crate) fn stop(&mut self, recorder: &mut Recorder) {
        let mut inputs = Inputs::default();
        inputs.hear_emergency_stop(true);
        self.run_with(1, &inputs, &mut |entry| recorder.take(entry));
    }

    /// Cycles of a cell that is not stopped any more, as far as the recorder sees.
    pub(crate) fn run_released(&mut self, cycles: u64, recorder: &mut Recorder) {
        self.run_with(cycles, &Inputs::default(), &mut |mut entry| {
            if let Entry::Cycle { cycle, .. } = &mut entry {
                cycle.verdict.state = SafetyState::Deny;
            }
            recorder.take(entry);
        });
    }

    pub(crate) fn run_with(&mut self, cycles: u64, inputs: &Inputs, take: &mut dyn FnMut(Entry)) {
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

pub(crate) fn options(mode: Mode) -> Options {
    Options { mode, key: Some(key()), max_file_bytes: 2 << 20, max_bytes: 20 << 20, ..Options::default() }
}

pub(crate) fn recorder(options: Options, disk: impl Disk + 'static, deciding: &Deciding) -> Recorder {
    Recorder::new(options, session(), Box::new(disk), Box::new(deciding.now.clone())).unwrap()
}

/// The folder's files by name, verified.
pub(crate) fn verified(folder: &Path) -> Vec<(String, Vec<u8>, Verification)> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let open = |path: std::path::PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        let found = verify(&bytes, Some(&[key().verifying_key()])).unwrap();
        (path.file_name().unwrap().to_string_lossy().into_owned(), bytes, found)
    };
    files.into_iter().map(open).collect()
}
