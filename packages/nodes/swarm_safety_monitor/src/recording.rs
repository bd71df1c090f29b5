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
        while let Some(entry) = entries.receive() {
            recorder.take(entry);
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
