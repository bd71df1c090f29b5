//! The node: topics, services, action, threads.
//!
//! - spin thread: takes messages into the [`World`] (`listen`), serves the action;
//! - control thread, in real time where it is declared so: one [`Engine::turn`] every 10 ms, publishes what it says (`publish`), shows
//!   it ([`crate::live`]);
//! - a thread per deployment service (`serve`): they wait for disk, ONNX Runtime and safety monitor;
//! - a thread while a preview is computed ([`crate::rehearsal`]);
//! - keeper thread: after a restart, of this node or of the safety monitor, brings what is deployed into force again; says what
//!   goes wrong with the recordings of runs.
//!
//! The last two and the control loop are in `control`; what all of them share is in `shared`.

mod control;
mod listen;
mod parameters;
mod publish;
mod recording;
mod serve;
mod shared;
mod view;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use r2r::swarm_msgs::srv::LoadEnvelope;
use swarm_base::{Clock as _, ErrorChain, MonotonicClock};
use swarm_metrics::Metrics;
use swarm_ros::{CellFile, Managed, NodeShell, TransitionError, qos};

use crate::action;
use crate::deployer::Deployer;
use crate::engine::Engine;
use crate::live::Live;
use crate::peripherals::{Declared, RosPeripherals};
use crate::recordings::Recordings;
use crate::rehearsal::Rehearsals;
use crate::robots::Robots;
use crate::world::World;
use parameters::Parameters;
use publish::Publishers;
use recording::RecordingParameters;
pub use shared::Shared;
use view::ViewParameters;

/// Messages come some 2,000 times a second, and the control loop looks at the newest of them every 10 ms.
const GATHERING: Duration = Duration::from_millis(2);

/// Runs the node until it is asked to stop.
pub fn run() -> anyhow::Result<()> {
    let mut shell = NodeShell::create("skill_runtime")?;
    shell.gather(GATHERING);
    let cell = CellFile::from_parameter(&shell)?;
    let parameters = Parameters::declare(&shell, &cell);
    let recording = RecordingParameters::declare(&shell);
    let view = ViewParameters::declare(&shell);
    shell.check_parameters()?;

    let places = parameters.places()?;
    let robots = Arc::new(Robots::load(&cell.config, &|file| {
        cell.read_text(file).map_err(|error| anyhow::anyhow!("{}", ErrorChain(&error)))
    })?);
    let envelopes = shell
        .node()
        .create_client::<LoadEnvelope::Service>("/safety_monitor/load_envelope", qos::SERVICE)
        .context("cannot make a client of /safety_monitor/load_envelope")?;
    let recordings = recording.start()?;
    let health = recordings.as_ref().map(Recordings::health);
    let metrics = Arc::new(Metrics::new());
    let peripherals = &cell.config.peripherals;
    let declared = Declared::load(peripherals)?;
    let shared = Arc::new(Shared {
        clock: MonotonicClock::new(),
        world: Mutex::new(World::new(&robots)),
        engine: Mutex::new(Engine::new(Arc::clone(&robots), parameters.timing())),
        robots: Arc::clone(&robots),
        deployer: Deployer::new(places, Arc::clone(&robots))
            .counting_in(Arc::clone(&metrics))
            .asking(Arc::new(declared.clone())),
        rehearsals: Rehearsals::default(),
        stopped: Mutex::default(),
        metrics: Arc::clone(&metrics),
        last_good: Mutex::default(),
        lifecycle: shell.lifecycle(),
        join_timeout: parameters.join_timeout(),
        swap_wait_s: parameters.swap_wait_s,
        envelopes: Mutex::new(envelopes),
    });

    shared.engine().record(recordings);

    listen::listen(&mut shell, &shared, &robots)?;
    serve::serve(&mut shell, &shared)?;
    action::serve(&mut shell, Arc::clone(&shared))?;
    serve::report(&shell, &shared);
    serve::report_parts(&shell, &shared);
    recording::report(&shell, health.clone());
    let live = Live::start(&view.ports(), &view.cameras(), metrics, Arc::clone(&robots));
    view::report(&shell, &live);
    view::show_cameras(&mut shell, &view.cameras(), &live)?;
    let publishers = Publishers::create(&mut shell, robots)?;
    let heard = Arc::clone(&shared);
    let peripherals = RosPeripherals::connect(&mut shell, peripherals, declared, move |name, message| {
        heard.world().hear_topic(name, message, heard.clock.now());
    })?;
    let shutdown = shell.shutdown();
    let priority = cell.config.node("skill_runtime").and_then(|node| node.schedule.fifo());
    let control = spawn("control", {
        let (shared, shutdown) = (Arc::clone(&shared), shutdown.clone());
        move || {
            control::prepare(priority);
            control::control(&shared, &publishers, peripherals, live, &shutdown);
        }
    })?;
    let keeper = spawn("keeper", {
        let (shared, shutdown) = (Arc::clone(&shared), shutdown.clone());
        move || control::keep(&shared, health.as_ref(), &shutdown)
    })?;
    let result = shell.spin_managed(Runtime { shared: Arc::clone(&shared) });
    shutdown.request();
    // A panic of a thread has been printed by then.
    let _ = control.join();
    let _ = keeper.join();
    // What has been recorded goes to the disk.
    shared.engine().record(None);
    Ok(result?)
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> anyhow::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .with_context(|| format!("cannot start the thread {name}"))
}

struct Runtime {
    shared: Arc<Shared>,
}

impl Managed for Runtime {
    fn on_deactivate(&mut self) -> Result<(), TransitionError> {
        // The control thread goes on turning until the arms stand; the goals' results say when they do. Nothing is waited for here:
        // this is the thread that hears the arms.
        self.shared.engine().cancel_all("the runtime is being deactivated");
        Ok(())
    }
}
