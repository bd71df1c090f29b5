//! `ros2 run swarm_registry_bridge swarm_registry_bridge`: the cell's side of the registry. See the crate's page.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use r2r::swarm_msgs::msg::BridgeStatus;
use swarm_artifact::{ArtifactId, Limits, Trust};
use swarm_base::ErrorChain;
use swarm_registry_bridge::runtime::RuntimeClients;
use swarm_registry_bridge::settings::Declared;
use swarm_registry_bridge::{listen, serve, tell};
use swarm_registry_client::ApplyDelta;
use swarm_registry_client::bridge::{Active, Bridge, Site};
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

    let bridge = Bridge::open(settings.engine, Arc::new(Machine { trust_file: settings.trust_file }))?;
    let shared = Arc::clone(bridge.shared());
    let runtime = Arc::new(RuntimeClients::create(&mut shell)?);
    listen::listen(&mut shell, &shared)?;
    serve::serve(&mut shell, &shared, &runtime)?;
    tell::report(&shell, &shared);
    let status = shell.publisher::<BridgeStatus>("~/status", qos::LATCHED)?;

    let (clock, shutdown, lifecycle) = (shell.clock(), shell.shutdown(), shell.lifecycle());
    let telling = {
        let shutdown = shutdown.clone();
        std::thread::Builder::new()
            .name("tell".to_owned())
            .spawn(move || tell::tell(&shared, &status, &clock, &shutdown))
            .context("cannot start the thread tell")?
    };
    let active: Active = Arc::new(move || lifecycle.is_active());
    let engine = bridge.start(runtime, &active, &shutdown)?;
    shell.spin_managed(Threads { telling: Some(telling), _engine: engine })?;
    Ok(())
}

/// The machine that the node runs on.
struct Machine {
    trust_file: PathBuf,
}

impl Site for Machine {
    fn unix_now(&self) -> i64 {
        swarm_store::unix_now()
    }

    fn trust(&self) -> Result<Trust, String> {
        swarm_store::read_trust(&self.trust_file).map_err(|error| error.to_string())
    }

    fn deltas(&self) -> Option<ApplyDelta> {
        Some(apply_delta)
    }
}

fn apply_delta(base: &Path, delta: &Path, artifact: ArtifactId, output: &Path) -> Result<(), String> {
    let file = File::open(delta).map_err(|error| format!("cannot open '{}': {error}", delta.display()))?;
    let made = swarm_store::apply_delta(base, file, artifact, output, Limits::default());
    made.map(drop).map_err(|error| ErrorChain(&error).to_string())
}

/// The threads look at the life cycle themselves: an inactive bridge hears and shows, and does nothing.
struct Threads {
    telling: Option<JoinHandle<()>>,
    /// They may wait for the registry or for the runtime, and are left behind at the end of the process.
    _engine: Vec<JoinHandle<()>>,
}

impl Managed for Threads {
    fn on_shutdown(&mut self, _from: PrimaryState) -> Result<(), TransitionError> {
        // A panic in it has been printed where it happened.
        let _ = self.telling.take().map(JoinHandle::join);
        Ok(())
    }
}
