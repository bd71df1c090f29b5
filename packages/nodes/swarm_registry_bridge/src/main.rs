//! `ros2 run swarm_registry_bridge swarm_registry_bridge`: the cell's side of the registry. See the crate's page.

use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use r2r::swarm_msgs::msg::BridgeStatus;
use swarm_api::update::Which;
use swarm_registry_bridge::runtime::RuntimeClients;
use swarm_registry_bridge::settings::Declared;
use swarm_registry_bridge::shared::Shared;
use swarm_registry_bridge::view::View;
use swarm_registry_bridge::worker::Worker;
use swarm_registry_bridge::{listen, report, serve, tell, watch};
use swarm_registry_client::{Cache, Connection, Repositories, Repository, Spool, load_memory, store_memory};
use swarm_ros::{CellFile, Managed, NodeShell, PrimaryState, TransitionError, qos};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("swarm_registry_bridge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let mut shell = NodeShell::create("registry_bridge")?;
    let cell = CellFile::from_parameter(&shell)?;
    let declared = Declared::declare(&shell, &cell);
    shell.check_parameters()?;
    let settings = declared.settings()?;

    let connection = Connection::new(&settings.registry)?;
    let mut memory = load_memory(&settings.data)?;
    let started_unix_s = memory.begin(swarm_store::unix_now());
    store_memory(&settings.data, &memory)?;
    let repository = |which: Which, root| {
        Repository::open(
            which,
            &settings.data.join("metadata").join(which.as_str()),
            root,
            connection.clone(),
        )
    };
    let image = repository(Which::Image, &settings.image_root)?;
    let director = repository(Which::Director, &settings.director_root)?;
    let repositories = Repositories::new(image, director, &settings.site_id);
    let cache = Cache::open(&settings.data.join("cache"))?;
    let spool = Spool::open(&settings.data.join("spool"), &settings.site_id)?;
    // A trust file that is wrong is told now and not at the first deployment.
    swarm_store::read_trust(&settings.trust_file)?;

    let shared = Arc::new(Shared::new(settings.clone(), View::new(settings, memory.clone()), started_unix_s));
    let runtime = Arc::new(RuntimeClients::create(&mut shell)?);
    listen::listen(&mut shell, &shared)?;
    serve::serve(&mut shell, &shared, &runtime)?;
    tell::report(&shell, &shared);
    let status = shell.publisher::<BridgeStatus>("~/status", qos::LATCHED)?;

    let (clock, shutdown, lifecycle) = (shell.clock(), shell.shutdown(), shell.lifecycle());
    let active = move || lifecycle.is_active();
    let worker = Worker {
        shared: Arc::clone(&shared),
        connection: connection.clone(),
        repositories,
        cache,
        runtime,
        active: Box::new(active.clone()),
        shutdown: shutdown.clone(),
        kept: memory,
        not_kept: String::new(),
    };
    let telling = {
        let (shared, shutdown) = (Arc::clone(&shared), shutdown.clone());
        spawn("tell", move || tell::tell(&shared, &status, &clock, &shutdown))?
    };
    // What waits for the network is left behind at the end of the process.
    spawn("watch", {
        let (shared, connection, shutdown) = (Arc::clone(&shared), connection.clone(), shutdown.clone());
        move || watch::watch(&shared, &connection, &shutdown)
    })?;
    spawn("report", {
        let (shared, connection, active, shutdown) =
            (Arc::clone(&shared), connection.clone(), active.clone(), shutdown.clone());
        move || report::report(&shared, &connection, &active, &shutdown)
    })?;
    spawn("hand in", move || report::hand_in(&shared, &connection, &spool, &active, &shutdown))?;
    let work = spawn("worker", move || worker.run())?;
    shell.spin_managed(Bridge { threads: vec![telling], _worker: work })?;
    Ok(())
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .with_context(|| format!("cannot start the thread {name}"))
}

/// The threads look at the life cycle themselves: an inactive bridge hears and shows, and does nothing.
struct Bridge {
    threads: Vec<JoinHandle<()>>,
    /// May wait for the registry or for the runtime. Whatever it is doing is safe to leave: files are whole or not there.
    _worker: JoinHandle<()>,
}

impl Managed for Bridge {
    fn on_shutdown(&mut self, _from: PrimaryState) -> Result<(), TransitionError> {
        for thread in self.threads.drain(..) {
            // A panic in it has been printed where it happened.
            let _ = thread.join();
        }
        Ok(())
    }
}
