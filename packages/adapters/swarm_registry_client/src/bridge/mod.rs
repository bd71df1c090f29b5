//! The bridge's engine: what keeps a cell in step with its registry, but for what is said to the cell, and how.
//!
//! What to do is decided in `swarm_bridge_core`; here it is carried out, on threads. The cell is behind two traits: [`Exchange`] asks
//! its skill runtime for something, [`Site`] is the machine. Whoever uses the engine tells [`Shared::view`] what the runtime and the
//! safety monitor say, and wakes the worker where that is news.
//!
//! | module | does |
//! |---|---|
//! | `view` | what is known of cell and registry, and the plan that follows from it |
//! | `shared` | the view among threads |
//! | `worker` | carries the plan out, one step at a time |
//! | `watch` | waits for news of the director |
//! | `report` | reports to the registry, and hands in what is in the spool |
//!
//! Threads: `worker` plans and does; `watch`, `report` and `hand in` wait for the registry so that nobody else has to. A registry that
//! hangs holds up one of them, and never the runtime.

mod report;
mod shared;
mod view;
mod watch;
mod worker;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use swarm_api::update::Which;
use swarm_artifact::Trust;
use swarm_base::Shutdown;
use swarm_bridge_core::{Memory, OfflinePolicy, Windows};

pub use self::shared::{Shared, pause};
pub use self::view::{Decision, RuntimeHeard, SafetyHeard, View};
use self::worker::Worker;
use crate::{
    ApplyDelta, Cache, ClientError, Connection, Repositories, Repository, Settings as Registry, Spool,
    load_memory, store_memory,
};

/// What the engine is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    pub registry: Registry,
    /// Name of this cell in the registry.
    pub site_id: String,
    /// Files with the pinned roots of the two repositories.
    pub image_root: PathBuf,
    pub director_root: PathBuf,
    /// Folder for metadata, cache, spool and memory; absolute, because the runtime is told paths in it.
    pub data: PathBuf,
    pub cache_limit_bytes: u64,
    pub windows: Windows,
    pub offline: OfflinePolicy,
}

/// The machine that the engine runs on.
pub trait Site: Send + Sync {
    /// Seconds since 1970-01-01 UTC by the machine's clock, which may jump.
    fn unix_now(&self) -> i64;
    /// The cell's trust file as it is now; or what is wrong with it.
    fn trust(&self) -> Result<Trust, String>;
    /// How an artifact is made out of an older one and a delta; without it, artifacts are downloaded whole.
    fn deltas(&self) -> Option<ApplyDelta> {
        None
    }
}

/// What is asked of the skill runtime. Each call waits for its answer.
pub trait Exchange: Send + Sync {
    fn deploy(
        &self,
        archive: &str,
        signatures: &str,
        skill: &str,
        allow_older: bool,
    ) -> Result<String, Refused>;
    fn roll_back_to(&self, version: &str) -> Result<String, String>;
    /// Activates the runtime, or deactivates it, so that no run is begun.
    fn let_runs_begin(&self, allowed: bool) -> Result<(), String>;
}

/// Why the runtime did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub why: String,
    /// The artifact itself is refused.
    pub unacceptable: bool,
}

/// Whether the engine may act. Otherwise it hears and shows, and does nothing.
pub type Active = Arc<dyn Fn() -> bool + Send + Sync>;

/// An engine whose folders are open and whose settings have been found good. It does nothing before [`Bridge::start`].
pub struct Bridge {
    shared: Arc<Shared>,
    connection: Connection,
    repositories: Repositories,
    cache: Cache,
    spool: Spool,
    kept: Memory,
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Bridge {
    /// Opens everything below the data folder, and reads what the settings name. Another process that works there is an error.
    pub fn open(settings: Settings, site: Arc<dyn Site>) -> Result<Self, ClientError> {
        let connection = Connection::new(&settings.registry)?;
        let repository = |which: Which, root| {
            let folder = settings.data.join("metadata").join(which.as_str());
            Repository::open(which, &folder, root, connection.clone())
        };
        let image = repository(Which::Image, &settings.image_root)?;
        let director = repository(Which::Director, &settings.director_root)?;
        let repositories = Repositories::new(image, director, &settings.site_id);
        // The locks of the repositories' folders keep a second bridge away from here on.
        let mut memory = load_memory(&settings.data)?;
        let started_unix_s = memory.begin(site.unix_now());
        store_memory(&settings.data, &memory)?;
        let cache = Cache::open(&settings.data.join("cache"))?.with_deltas(site.deltas());
        let spool = Spool::open(&settings.data.join("spool"), &settings.site_id)?;
        // A trust file that is wrong is told now and not at the first deployment.
        site.trust().map_err(ClientError::TrustFile)?;
        let view = View::new(settings.clone(), memory.clone());
        let shared = Arc::new(Shared::new(settings, view, site, started_unix_s));
        Ok(Self { shared, connection, repositories, cache, spool, kept: memory })
    }

    /// What is told to the engine, and what it says.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Starts the threads, which end soon after `shutdown` is requested. One that waits for the registry or for the runtime may be left
    /// behind at the end of the process: files are whole or not there.
    pub fn start(
        self,
        runtime: Arc<dyn Exchange>,
        active: &Active,
        shutdown: &Shutdown,
    ) -> Result<Vec<JoinHandle<()>>, ClientError> {
        let Self { shared, connection, repositories, cache, spool, kept } = self;
        let watch = {
            let (shared, connection, shutdown) = (Arc::clone(&shared), connection.clone(), shutdown.clone());
            spawn("watch", move || watch::watch(&shared, &connection, &shutdown))?
        };
        let report = {
            let (shared, connection) = (Arc::clone(&shared), connection.clone());
            let (active, shutdown) = (Arc::clone(active), shutdown.clone());
            spawn("report", move || report::report(&shared, &connection, &*active, &shutdown))?
        };
        let hand_in = {
            let (shared, connection) = (Arc::clone(&shared), connection.clone());
            let (active, shutdown) = (Arc::clone(active), shutdown.clone());
            spawn("hand in", move || report::hand_in(&shared, &connection, &spool, &*active, &shutdown))?
        };
        let worker = Worker {
            shared,
            connection,
            repositories,
            cache,
            runtime,
            active: Arc::clone(active),
            shutdown: shutdown.clone(),
            kept,
            not_kept: String::new(),
        };
        let worker = spawn("worker", move || worker.run())?;
        Ok(vec![worker, watch, report, hand_in])
    }
}

fn spawn(name: &'static str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, ClientError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|source| ClientError::Thread { name, source })
}
