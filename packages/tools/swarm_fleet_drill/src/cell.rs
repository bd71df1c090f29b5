//! A simulated cell: the production engine of the bridge, and a simulated runtime.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context as _, Result};
use swarm_artifact::Trust;
use swarm_base::Shutdown;
use swarm_bridge_core::{OfflinePolicy, Then, Windows};
use swarm_registry_client::Settings as Registry;
use swarm_registry_client::bridge::{Active, Bridge, Settings, Shared, Site};

use crate::bed::Bed;
use crate::runtime::{Defect, Pace, Runtime};

/// The node's own default.
const KEEP_RUNNING_FOR_S: u32 = 7 * 86_400;

/// A cell's clock, which somebody may set.
#[derive(Debug, Default)]
pub(crate) struct WallClock {
    offset_s: AtomicI64,
}

impl WallClock {
    pub(crate) fn unix_now(&self) -> i64 {
        swarm_store::unix_now().saturating_add(self.offset_s.load(Ordering::Relaxed)).max(0)
    }

    /// Sets it to so many seconds beside the right time.
    pub(crate) fn set_offset(&self, offset_s: i64) {
        self.offset_s.store(offset_s, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Machine {
    clock: Arc<WallClock>,
    trust_file: PathBuf,
}

impl Site for Machine {
    fn unix_now(&self) -> i64 {
        self.clock.unix_now()
    }

    fn trust(&self) -> Result<Trust, String> {
        swarm_store::read_trust(&self.trust_file).map_err(|error| error.to_string())
    }
}

/// What a cell is given when it is set up.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    pub(crate) site_id: String,
    /// Address of the registry, or of the link to it.
    pub(crate) registry: String,
    /// Folder for everything of the cell.
    pub(crate) folder: PathBuf,
    pub(crate) image_root: PathBuf,
    pub(crate) director_root: PathBuf,
    pub(crate) trust_file: PathBuf,
    pub(crate) cache_limit_bytes: u64,
    pub(crate) pace: Pace,
}

impl Installed {
    pub(crate) fn at(bed: &Bed, site_id: &str, registry: &str, folder: &Path, pace: Pace) -> Self {
        Self {
            site_id: site_id.to_owned(),
            registry: registry.to_owned(),
            folder: folder.to_owned(),
            image_root: bed.pinned_root("image"),
            director_root: bed.pinned_root("director"),
            trust_file: bed.trust_file(),
            cache_limit_bytes: 1 << 30,
            pace,
        }
    }
}

/// A cell that works until the process ends, or until it is told to end.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) site_id: String,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) bridge: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Cell {
    pub(crate) fn start(
        installed: Installed,
        clock: &Arc<WallClock>,
        defect: &Arc<Defect>,
        shutdown: &Shutdown,
    ) -> Result<Self> {
        let machine = Arc::new(Machine { clock: Arc::clone(clock), trust_file: installed.trust_file });
        let trust = machine.trust().map_err(anyhow::Error::msg)?;
        let settings = Settings {
            registry: Registry { url: installed.registry, ..Registry::default() },
            site_id: installed.site_id.clone(),
            image_root: installed.image_root,
            director_root: installed.director_root,
            data: installed.folder.join("bridge"),
            cache_limit_bytes: installed.cache_limit_bytes,
            windows: Windows::parse([], "+00:00")?,
            offline: OfflinePolicy { keep_running_for_s: KEEP_RUNNING_FOR_S, then: Then::Keep },
        };
        let bridge = Bridge::open(settings, machine)?;
        let store = installed.folder.join("store");
        let runtime = Runtime::open(&store, trust, Arc::clone(clock), installed.pace, Arc::clone(defect));
        let runtime = Arc::new(runtime.with_context(|| format!("cell {}", installed.site_id))?);
        let shared = Arc::clone(bridge.shared());
        let active: Active = Arc::new(|| true);
        let threads = bridge.start(Arc::clone(&runtime) as _, &active, shutdown)?;
        Ok(Self { site_id: installed.site_id, runtime, bridge: shared, threads })
    }

    /// Lets the cell's time pass: what the runtime says reaches the bridge, as topics would carry it.
    pub(crate) fn tick(&self, now: Instant) {
        let Some((runtime, safety)) = self.runtime.tick(now) else { return };
        let at = self.bridge.now().monotonic;
        let news = {
            let mut view = self.bridge.view();
            // The monitor speaks two hundred times as often as the runtime, and so first.
            let safety = view.hear_safety(at, safety);
            view.hear_runtime(at, runtime) || safety
        };
        if news {
            self.bridge.wake();
        }
    }

    pub(crate) fn join(self) {
        for thread in self.threads {
            // A panic in it has been printed where it happened.
            let _ = thread.join();
        }
    }
}
