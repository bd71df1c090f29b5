//! The recording thread: what the deciding thread has decided, into the black box.
//!
//! The deciding thread hands it each cycle itself, so that a publishing thread held up by the middleware leaves no hole in what is
//! recorded; only this thread waits for the disk. A disk that is slow or dead fills the queue, and what does not fit is counted and
//! said in the recording. Whether the cell may go on then, [`Health`] tells the deciding thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use swarm_artifact::{KeyError, private_key_from_pem};
use swarm_base::Clock as _;
use swarm_black_box::{Entry, Header, Place};
use swarm_black_box_file::{Announce, ENTRIES_WAITING, Folder, Health, Options, OptionsError, Recorder};
use swarm_rt::KernelClock;
use swarm_rt::cells::queue::{self, Receiver, Sender};
use swarm_safety_core::{Timing, Tolerances};
use swarm_safety_setup::Sources;

/// Time between two looks into the queue. Far below the length of a segment, far above what a look costs.
const LOOK_PERIOD: std::time::Duration = std::time::Duration::from_millis(10);

/// Looks in a row that find nothing, before what is pending is written all the same.
const QUIET_LOOKS: u32 = 20;

/// Why there can be no black box as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("cannot read the black box's key {}", path.display())]
    ReadKey { path: PathBuf, source: std::io::Error },
    #[error("the black box cannot be sealed with {}", path.display())]
    Key { path: PathBuf, source: KeyError },
    #[error(transparent)]
    Options(#[from] OptionsError),
    #[error("cannot start the recording thread")]
    Thread(#[source] std::io::Error),
}

/// The running thread, and what others need of it.
#[derive(Debug)]
pub struct Recording {
    pub entries: Sender<Entry>,
    pub announce: Announce,
    pub health: Health,
    pub ending: Ending,
}

/// Ends the recording thread.
#[derive(Debug)]
pub struct Ending {
    decided: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Ending {
    /// After the last cycle was handed over: waits until all of them are written.
    pub fn finish(self) {
        self.decided.store(true, Ordering::Release);
        // A panic in it has been printed where it happened.
        let _ = self.thread.join();
    }
}

/// The key in the file `path`; an empty one means none: seals then show damage, but nobody's hand.
pub fn read_key(path: &str) -> Result<Option<ed25519_dalek::SigningKey>, RecordingError> {
    if path.is_empty() {
        return Ok(None);
    }
    let path = PathBuf::from(path);
    let pem = std::fs::read_to_string(&path)
        .map_err(|source| RecordingError::ReadKey { path: path.clone(), source })?;
    private_key_from_pem(&pem).map(Some).map_err(|source| RecordingError::Key { path, source })
}

/// First record of every file of this start.
pub fn session(sources: Sources, timing: Timing, tolerances: Tolerances, first_epoch: u64) -> Header {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Header {
        software: concat!("swarm_safety_monitor ", env!("CARGO_PKG_VERSION")).to_owned(),
        started_unix_ns: u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX),
        started_at: KernelClock.now(),
        first_epoch,
        sources,
        timing,
        tolerances,
        limits: swarm_black_box::Limits::default(),
        public_key: [0; 32],
        place: Place::default(),
    }
}

impl Recording {
    /// Starts the thread, which writes into `folder`.
    pub fn start(folder: PathBuf, options: Options, session: Header) -> Result<Self, RecordingError> {
        let recorder = Recorder::new(options, session, Box::new(Folder(folder)), Box::new(KernelClock))?;
        let (entries, handed_over) = queue::queue(ENTRIES_WAITING);
        let (announce, health) = (recorder.announce(), recorder.health());
        let decided = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new()
            .name("record".to_owned())
            .spawn({
                let decided = Arc::clone(&decided);
                move || record(recorder, handed_over, &decided)
            })
            .map_err(RecordingError::Thread)?;
        Ok(Self { entries, announce, health, ending: Ending { decided, thread } })
    }
}

fn record(mut recorder: Recorder, mut entries: Receiver<Entry>, decided: &AtomicBool) {
    let mut quiet = 0;
    loop {
        // Looked at first: what was handed over before it is still in the queue.
        let ended = decided.load(Ordering::Acquire);
        quiet += 1;
        if take_all(&mut recorder, &mut entries) {
            quiet = 0;
        }
        if ended {
            return recorder.finish();
        }
        if quiet == QUIET_LOOKS {
            recorder.rest();
        }
        recorder.look_after_disk();
        std::thread::sleep(LOOK_PERIOD);
    }
}

/// True if there was anything to take.
fn take_all(recorder: &mut Recorder, entries: &mut Receiver<Entry>) -> bool {
    let mut any = false;
    while let Some(entry) = entries.receive() {
        recorder.take(entry);
        any = true;
    }
    any
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicU64;

    use swarm_base::{Clock, Duration, Time};
    use swarm_black_box_file::{Disk, Mode, OnDiskFailure, Output};
    use swarm_ros::CellFile;
    use swarm_safety_core::{Inputs, State, step};

    use super::*;
    use crate::deciding::{BlackBox, Cycle};
    use crate::setup;

    /// The deciding side in virtual time: a cycle each millisecond.
    #[derive(Debug)]
    struct Deciding {
        black_box: BlackBox,
        config: swarm_safety_core::Config,
        state: State,
        now: Now,
        /// Cycles after which the cell had to stop.
        stops: u64,
    }

    #[derive(Clone, Debug, Default)]
    struct Now(Arc<AtomicU64>);

    impl Clock for Now {
        fn now(&self) -> Time {
            Time(self.0.load(Ordering::Relaxed))
        }
    }

    impl Deciding {
        fn run(&mut self, cycles: u64) {
            for _ in 0..cycles {
                let now = self.now.now() + Duration::from_millis(1);
                self.now.0.store(now.0, Ordering::Relaxed);
                self.black_box.before(&self.state);
                let inputs = Inputs::default();
                let (state, verdict) = step(&self.config, &self.state, &inputs, now);
                self.state = state;
                let occasion = swarm_rt::periodic::Occasion::Event;
                self.black_box.after(&Cycle { now, occasion, generation: 0, inputs, verdict });
                self.stops += u64::from(self.black_box.health.must_stop(now));
            }
        }
    }

    /// A disk that takes its time for each piece, while the cell goes on deciding.
    #[derive(Clone, Debug)]
    struct SlowDisk {
        deciding: Arc<Mutex<Option<Deciding>>>,
        millis: Arc<AtomicU64>,
    }

    impl Output for SlowDisk {
        fn write_all(&mut self, _: &[u8]) -> io::Result<()> {
            let millis = self.millis.load(Ordering::Relaxed);
            self.deciding.lock().unwrap().as_mut().unwrap().run(millis);
            Ok(())
        }
        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Disk for SlowDisk {
        fn probe(&mut self) -> io::Result<()> {
            Ok(())
        }
        fn create(&mut self, _: &str) -> io::Result<Box<dyn Output>> {
            Ok(Box::new(self.clone()))
        }
        fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
            Ok(Vec::new())
        }
        fn read(&mut self, _: &str) -> io::Result<Vec<u8>> {
            Ok(Vec::new())
        }
        fn read_start(&mut self, _: &str, _: usize) -> io::Result<Vec<u8>> {
            Ok(Vec::new())
        }
        fn rename(&mut self, _: &str, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn remove(&mut self, _: &str) -> io::Result<()> {
            Ok(())
        }
    }

    // SR-22
    #[test]
    fn a_disk_that_is_slow_but_never_stuck_stops_the_cell_when_cycles_are_lost_and_until_none_are() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../config/cell.yaml");
        let sources = setup::sources(&CellFile::read(&path).unwrap()).unwrap();
        let session = session(sources, Timing::default(), Tolerances::default(), 1);
        let config = session.ceiling_config().unwrap();
        let now = Now::default();
        let (deciding, millis) = (Arc::new(Mutex::new(None)), Arc::new(AtomicU64::new(900)));
        let disk = SlowDisk { deciding: Arc::clone(&deciding), millis: Arc::clone(&millis) };
        let options =
            Options { mode: Mode::Continuous, on_disk_failure: OnDiskFailure::Stop, ..Options::default() };
        let mut recorder = Recorder::new(options, session, Box::new(disk), Box::new(now.clone())).unwrap();
        let (health, (entries, mut taken)) = (recorder.health(), queue::queue(ENTRIES_WAITING));
        let black_box = BlackBox::new(entries, health.clone());
        let state = State::new(&config, 1);
        *deciding.lock().unwrap() = Some(Deciding { black_box, config, state, now, stops: 0 });
        let run = |cycles| {
            let mut deciding = deciding.lock().unwrap();
            let deciding = deciding.as_mut().unwrap();
            deciding.run(cycles);
            (std::mem::take(&mut deciding.stops), deciding.state.cycle())
        };
        while run(10).0 == 0 {
            take_all_for_a_while(&mut recorder, &mut taken);
        }
        let (_, cycle) = run(0);
        assert!(cycle > ENTRIES_WAITING as u64, "after {cycle} cycles");
        assert_eq!(health.status().trouble, None, "no piece took longer than a second");
        // The disk is quick again: what waits is written, and after a second nothing keeps the cell stopped.
        millis.store(0, Ordering::Relaxed);
        take_all(&mut recorder, &mut taken);
        run(1_001);
        take_all(&mut recorder, &mut taken);
        assert_eq!(run(10).0, 0);
        assert!(health.status().lost_cycles > 0 && health.status().not_taken > 0);
    }

    /// As much as one look at the queue finds: a slow disk lets more come while it is taken.
    fn take_all_for_a_while(recorder: &mut Recorder, entries: &mut Receiver<Entry>) {
        for entry in std::iter::from_fn(|| entries.receive()).take(100) {
            recorder.take(entry);
        }
    }
}
