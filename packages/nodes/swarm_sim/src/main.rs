//! `ros2 run swarm_sim swarm_sim`: the simulated cell. See the crate's page.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration as StdDuration;

use anyhow::Context as _;
use r2r::swarm_msgs::srv::ResetSim;
use swarm_base::{Duration, MonotonicClock};
use swarm_mujoco::{Cell, Look, Options};
use swarm_ros::{CellFile, Managed, NodeShell, ParameterSpec, TransitionError};
use swarm_sim::canvas::Canvas;
use swarm_sim::inbox::Inbox;
use swarm_sim::physics::{Order, Physics};
use swarm_sim::stamping::Stamping;
use swarm_sim::topics::{self, Extras, Stamps, Topics};
use swarm_sim::view;

/// Longest wait of a reset for the physics thread; a cycle is 2 ms.
const RESET_TIMEOUT: StdDuration = StdDuration::from_secs(2);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("swarm_sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let mut shell = NodeShell::create("swarm_sim")?;
    let cell_file = CellFile::from_parameter(&shell)?;
    let realtime_factor = shell.declare(
        ParameterSpec::<f64>::new("realtime_factor", 1.0)
            .describe("Simulated seconds per second")
            .range(0.05..=2.0)
            .read_only(),
    );
    let permit_timeout_us = shell.declare(
        ParameterSpec::<i64>::new("permit_timeout_us", 20_000)
            .describe("Age of a permit from which a driver stops its arm, microseconds of simulated time")
            .range(2_000..=1_000_000)
            .read_only(),
    );
    let command_timeout_us = shell.declare(
        ParameterSpec::<i64>::new("command_timeout_us", 100_000)
            .describe(
                "Age of a joint command from which a driver stops its arm, microseconds of simulated time",
            )
            .range(2_000..=1_000_000)
            .read_only(),
    );
    let seed = shell.declare(
        ParameterSpec::<i64>::new("seed", 0)
            .describe("Where the parts lie at start")
            .range(0..=i64::MAX)
            .read_only(),
    );
    let publish_clock = shell.declare(
        ParameterSpec::<bool>::new("publish_clock", false)
            .describe("Publish /clock and stamp all messages with simulated time")
            .read_only(),
    );
    let publish_tf = shell.declare(
        ParameterSpec::<bool>::new("publish_tf", true)
            .describe("Publish /tf and /tf_static; false where robot_state_publisher does")
            .read_only(),
    );
    let view_dir = shell.declare(
        ParameterSpec::<String>::new("view_dir", String::new())
            .describe("Folder for pictures of the run (PNG, 10 per simulated second); empty = none")
            .read_only(),
    );
    let cameras = shell.declare(
        ParameterSpec::<Vec<String>>::new("cameras", Vec::new())
            .describe("Cameras that can be served, each with its size and its frames per simulated second: \"overview 640x480 15\"; besides overview each robot has one at its gripper, <robot>_wrist")
            .read_only(),
    );
    let cameras_address = shell.declare(
        ParameterSpec::<String>::new("cameras_address", String::new())
            .describe("Where the cameras are served over RTSP, as in 127.0.0.1:8554; port 0: a free one; empty: nowhere")
            .read_only(),
    );
    shell.check_parameters()?;

    let robots: Vec<String> = cell_file.config.robots.iter().map(|robot| robot.name.clone()).collect();
    let stamps =
        if publish_clock.get() { Stamps::Simulated } else { Stamps::Ros(shell.clock(), Stamping::default()) };
    let extras = Extras { clock: publish_clock.get(), tf: publish_tf.get() };
    let topics = Topics::create(&mut shell, &robots, stamps, extras)?;
    let inbox = Arc::new(Inbox::new(robots.clone(), realtime_factor.get()));
    let clock = MonotonicClock::new();
    topics::subscribe(&mut shell, &robots, &inbox, clock)?;
    let mut canvases = Vec::new();
    let folder = view_dir.get();
    if !folder.is_empty() {
        let (config, root) = (cell_file.config.clone(), cell_file.path(""));
        let canvas = view::start(config, root, folder.clone().into(), shell.shutdown());
        canvases.push(canvas.with_context(|| format!("cannot draw into {folder}"))?);
    }
    let address = cameras_address.get();
    if !address.is_empty() {
        let served = serve_cameras(&shell, &cell_file, &address, &cameras.get());
        canvases.extend(served.with_context(|| format!("cannot serve cameras at {address}"))?);
    }
    let priority = cell_file.config.node("swarm_sim").and_then(|node| node.schedule.fifo());
    let physics = Physics::start(topics, inbox, clock, realtime_factor.get(), canvases, priority)
        .context("cannot start the physics thread")?;
    serve_reset(&mut shell, physics.orders())?;
    let mut status = physics.status();
    shell.diagnostics().add("physics", move || status().report());

    let simulator = Simulator {
        cell_file,
        options: Options {
            permit_timeout: micros(permit_timeout_us.get()),
            command_timeout: micros(command_timeout_us.get()),
            look: Look::default(),
        },
        seed: seed.get().unsigned_abs(),
        orders: physics.orders(),
    };
    shell.spin_managed(simulator)?;
    Ok(())
}

/// Serves the cameras for as long as the node is there; gives what to show them on.
#[cfg(feature = "cameras")]
fn serve_cameras(
    shell: &NodeShell,
    cell_file: &CellFile,
    address: &str,
    specs: &[String],
) -> anyhow::Result<Vec<Canvas>> {
    use swarm_sim::cameras::{CameraSpec, Cameras};
    let address =
        address.parse().context("cameras_address is no address with a port, as in 127.0.0.1:8554")?;
    let specs: Result<Vec<CameraSpec>, String> = specs.iter().map(|text| text.parse()).collect();
    let specs = specs.map_err(|mistake| anyhow::anyhow!("cameras: {mistake}"))?;
    let cameras = Cameras::start(&cell_file.config, &cell_file.path(""), address, &specs, &shell.shutdown())?;
    let canvases = cameras.canvases().collect();
    shell.diagnostics().add("cameras", move || cameras.report());
    Ok(canvases)
}

#[cfg(not(feature = "cameras"))]
fn serve_cameras(_: &NodeShell, _: &CellFile, _: &str, _: &[String]) -> anyhow::Result<Vec<Canvas>> {
    anyhow::bail!("this node was built without its feature `cameras`")
}

/// What the life cycle does with the physics thread.
struct Simulator {
    cell_file: CellFile,
    options: Options,
    seed: u64,
    orders: Sender<Order>,
}

impl Simulator {
    fn order(&self, order: Order) -> Result<(), TransitionError> {
        self.orders
            .send(order)
            .map_err(|_| TransitionError::Broken("the physics thread has ended".to_owned()))
    }
}

impl Managed for Simulator {
    fn on_configure(&mut self) -> Result<(), TransitionError> {
        let mut cell = Cell::new(&self.cell_file.config, &self.cell_file.path(""), self.options)
            .map_err(|error| TransitionError::Failed(swarm_base::ErrorChain(&error).to_string()))?;
        cell.reset(self.seed);
        self.order(Order::Load(Box::new(cell)))
    }

    fn on_activate(&mut self) -> Result<(), TransitionError> {
        self.order(Order::Run)
    }

    fn on_deactivate(&mut self) -> Result<(), TransitionError> {
        self.order(Order::Pause)
    }

    fn on_cleanup(&mut self) -> Result<(), TransitionError> {
        self.order(Order::Unload)
    }
}

fn serve_reset(shell: &mut NodeShell, orders: Sender<Order>) -> anyhow::Result<()> {
    shell.serve_on_thread::<ResetSim::Service>("/sim/reset", move |request| {
        let (reply, answer) = mpsc::channel();
        let outcome = orders
            .send(Order::Reset { seed: request.seed, reply })
            .map_err(|_| "the physics thread has ended".to_owned())
            .and_then(|()| {
                answer
                    .recv_timeout(RESET_TIMEOUT)
                    .unwrap_or_else(|_| Err("the physics thread does not answer".to_owned()))
            });
        match outcome {
            Ok(()) => ResetSim::Response { success: true, message: String::new() },
            Err(message) => ResetSim::Response { success: false, message },
        }
    })?;
    Ok(())
}

/// A parameter in microseconds; its range leaves no negative value.
fn micros(us: i64) -> Duration {
    Duration::from_micros(us.unsigned_abs())
}
