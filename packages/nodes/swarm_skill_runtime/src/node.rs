//! The node: topics, services, action, threads.
//!
//! - spin thread: takes messages into the [`World`], serves the action;
//! - control thread: one [`Engine::turn`] every 10 ms, publishes what it says, shows it ([`crate::live`]);
//! - a thread per deployment service: they wait for disk, ONNX Runtime and safety monitor;
//! - keeper thread: after a restart, of this node or of the safety monitor, brings what is deployed into force again.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use futures::FutureExt as _;
use r2r::geometry_msgs::msg::WrenchStamped;
use r2r::sensor_msgs::msg::{CompressedImage, JointState};
use r2r::std_srvs::srv::Trigger;
use r2r::swarm_msgs::msg::{
    GripperCommand, GripperState, JointCommand, PartPoses, RuntimeStatus, SafetyStatus,
};
use r2r::swarm_msgs::srv::{Deploy, LoadEnvelope, RollbackTo};
use swarm_artifact::ArtifactId;
use swarm_base::{Clock, Duration, ErrorChain, MonotonicClock, Role, Shutdown};
use swarm_metrics::Metrics;
use swarm_ros::stamp::{RosClock, to_nanos};
use swarm_ros::{
    CellFile, Level, LifecycleState, Managed, NodeShell, Parameter, ParameterSpec, Report, TransitionError,
    qos,
};
use swarm_skill_core::{ArmAtRest, Goal, GripperSample, Skill, Timing};

use crate::beside::{self, Telling};
use crate::deployer::{ActiveSkill, Deployer, Order, Places, Surroundings};
use crate::engine::{Engine, GoalSink, Turn};
use crate::live::{Live, Ports, Seen};
use crate::robots::Robots;
use crate::world::World;
use crate::{action, messages};

/// Period of the control loop.
const PERIOD: std::time::Duration = std::time::Duration::from_millis(10);

/// Time between two statuses without news.
const STATUS_PERIOD: std::time::Duration = std::time::Duration::from_millis(100);

/// Longest time that the safety monitor may take for an envelope.
const ENVELOPE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Longest time from the safety monitor's answer to the status that shows it; it says the status 50 times a second.
const STATUS_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Time between two looks at what another thread fulfils.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(2);

/// Time between two looks of the keeper.
const KEEPER_PERIOD: std::time::Duration = std::time::Duration::from_millis(500);

/// What the threads share.
pub struct Shared {
    clock: MonotonicClock,
    world: Mutex<World>,
    engine: Mutex<Engine>,
    deployer: Deployer,
    last_good: Mutex<String>,
    lifecycle: LifecycleState,
    join_timeout: Duration,
    swap_wait_s: Parameter<f64>,
    envelopes: Mutex<r2r::Client<LoadEnvelope::Service>>,
    metrics: Arc<Metrics>,
    /// Cause of the stop that the safety monitor is in; empty in none.
    stopped: Mutex<String>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("deployer", &self.deployer).finish_non_exhaustive()
    }
}

/// Runs the node until it is asked to stop.
pub fn run() -> anyhow::Result<()> {
    let mut shell = NodeShell::create("skill_runtime")?;
    let cell = CellFile::from_parameter(&shell)?;
    let join_timeout = shell.declare(
        ParameterSpec::<f64>::new("join_timeout_s", 30.0)
            .describe("Time to wait for the other roles' goals where a goal names none")
            .range(0.1..=3_600.0)
            .read_only(),
    );
    let peer_timeout = shell.declare(
        ParameterSpec::<i64>::new("peer_timeout_ms", 200)
            .describe("Silence of a role that makes the others hold")
            .range(20..=10_000)
            .read_only(),
    );
    let hold_timeout = shell.declare(
        ParameterSpec::<f64>::new("hold_timeout_s", 2.0)
            .describe("Longest time for the roles to hold before the run is aborted")
            .range(0.05..=600.0)
            .read_only(),
    );
    let swap_wait_s = shell.declare(
        ParameterSpec::<f64>::new("swap_wait_s", 0.0)
            .describe(
                "Time that a deployment waits for a run to end, and compares the two versions meanwhile; 0 refuses it at once",
            )
            .range(0.0..=3_600.0),
    );
    let path = |name: &str, default: &str, text: &str| {
        shell.declare(ParameterSpec::<String>::new(name, default).describe(text).required().read_only())
    };
    let artifacts = &cell.config.artifacts;
    let store =
        path("artifact_store", &artifacts.store, "Folder of the artifact store; default from cell.yaml");
    let trust_file =
        path("trust_file", &artifacts.trust_file, "File of the trusted keys; default from cell.yaml");
    let library = std::env::var("ORT_DYLIB_PATH").unwrap_or_else(|_| "libonnxruntime.so".into());
    let library = path(
        "onnx_runtime",
        &library,
        "Library of ONNX Runtime; default from the environment variable ORT_DYLIB_PATH",
    );
    let provider = shell.declare(
        ParameterSpec::<String>::new("policy_provider", "cpu")
            .describe("What policies compute on: cpu, cuda or cuda:1; a skill is refused where ONNX Runtime lacks it")
            .required()
            .read_only(),
    );
    let view = view_parameters(&shell);
    shell.check_parameters()?;
    let provider = provider
        .get()
        .parse::<swarm_onnx::Provider>()
        .map_err(|error| anyhow::anyhow!("parameter policy_provider: {error}"))?;

    let robots = Arc::new(Robots::load(&cell.config, &|file| {
        cell.read_text(file).map_err(|error| anyhow::anyhow!("{}", ErrorChain(&error)))
    })?);
    let places = Places {
        store: PathBuf::from(store.get()),
        trust_file: PathBuf::from(trust_file.get()),
        onnx_runtime: PathBuf::from(library.get()),
        provider,
    };
    let timing = Timing {
        peer_timeout: Duration::from_millis(peer_timeout.get().unsigned_abs()),
        hold_timeout: Duration::from_secs_f64(hold_timeout.get()),
        ..Timing::default()
    };
    let client = shell
        .node()
        .create_client::<LoadEnvelope::Service>("/safety_monitor/load_envelope", qos::SERVICE)
        .context("cannot make a client of /safety_monitor/load_envelope")?;
    let metrics = Arc::new(Metrics::new());
    let shared = Arc::new(Shared {
        clock: MonotonicClock::new(),
        world: Mutex::new(World::new(&robots)),
        engine: Mutex::new(Engine::new(Arc::clone(&robots), timing)),
        deployer: Deployer::new(places, Arc::clone(&robots)).counting_in(Arc::clone(&metrics)),
        stopped: Mutex::default(),
        metrics: Arc::clone(&metrics),
        last_good: Mutex::default(),
        lifecycle: shell.lifecycle(),
        join_timeout: Duration::from_secs_f64(join_timeout.get()),
        swap_wait_s,
        envelopes: Mutex::new(client),
    });

    listen(&mut shell, &shared, &robots)?;
    serve(&mut shell, &shared)?;
    action::serve(&mut shell, Arc::clone(&shared))?;
    report(&shell, &shared);
    let live = Live::start(&view.ports(), &view.cameras.get(), metrics, Arc::clone(&robots));
    report_view(&shell, &live);
    for (topic, camera) in view.cameras.get().iter().zip(live.cameras().to_vec()) {
        shell.subscribe::<CompressedImage>(topic, qos::SENSOR, move |message| {
            let header = &message.header;
            camera.show(to_nanos(&header.stamp), &header.frame_id, &message.format, message.data);
        })?;
    }
    let publishers = Publishers::create(&mut shell, Arc::clone(&robots))?;
    let shutdown = shell.shutdown();
    let control = spawn("control", {
        let (shared, shutdown) = (Arc::clone(&shared), shutdown.clone());
        move || control(&shared, &publishers, live, &shutdown)
    })?;
    let keeper = spawn("keeper", {
        let (shared, shutdown) = (Arc::clone(&shared), shutdown.clone());
        move || keep(&shared, &shutdown)
    })?;
    let result = shell.spin_managed(Runtime { shared });
    shutdown.request();
    // A panic of a thread has been printed by then.
    let _ = control.join();
    let _ = keeper.join();
    Ok(result?)
}

/// The parameters of what is shown, see [`Ports`].
struct ViewParameters {
    address: Parameter<String>,
    groot: Parameter<i64>,
    foxglove: Parameter<i64>,
    metrics: Parameter<i64>,
    cameras: Parameter<Vec<String>>,
}

fn view_parameters(shell: &NodeShell) -> ViewParameters {
    let address = shell.declare(
        ParameterSpec::<String>::new("view.address", "127.0.0.1")
            .describe(
                "Address that the view servers listen on. None of them asks who is there: on another address than 127.0.0.1 \
                 everybody in its network sees the cell",
            )
            .validate("an IP address", |text: &String| {
                text.parse::<IpAddr>().map(|_| ()).map_err(|_| format!("'{text}' is no IP address"))
            })
            .read_only(),
    );
    let cameras = shell.declare(
        ParameterSpec::<Vec<String>>::new("view.cameras", Vec::new())
            .describe("Topics of sensor_msgs/CompressedImage whose pictures are shown in Foxglove too")
            .read_only(),
    );
    let port = |name: &str, text: &str| {
        let spec = ParameterSpec::<i64>::new(name, 0).describe(text).range(0..=65_531).read_only();
        shell.declare(spec)
    };
    ViewParameters {
        groot: port(
            "view.groot_port",
            "Groot2 and btview see the leader's tree here, the follower's at +2, the spotter's at +4; 0 = off",
        ),
        foxglove: port("view.foxglove_port", "WebSocket of Foxglove and `cell watch`; 0 = off"),
        metrics: port("view.metrics_port", "Prometheus reads http://.../metrics here; 0 = off"),
        cameras,
        address,
    }
}

impl ViewParameters {
    fn ports(&self) -> Ports {
        // Address and range have been checked by now.
        let port = |parameter: &Parameter<i64>| parameter.get() as u16;
        Ports {
            address: self.address.get().parse().unwrap_or(Ports::default().address),
            groot: port(&self.groot),
            foxglove: port(&self.foxglove),
            metrics: port(&self.metrics),
        }
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> anyhow::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .with_context(|| format!("cannot start the thread {name}"))
}

/// Messages into the world.
fn listen(shell: &mut NodeShell, shared: &Arc<Shared>, robots: &Robots) -> anyhow::Result<()> {
    let heard = Arc::clone(shared);
    shell.subscribe::<JointState>("/joint_states", qos::SENSOR_BACKLOG, move |message| {
        heard.world().hear_joints(&message.name, &message.position, &message.velocity, heard.clock.now());
    })?;
    for (robot, known) in robots.robots.iter().enumerate() {
        let heard = Arc::clone(shared);
        shell.subscribe::<WrenchStamped>(
            &format!("/{}/wrench", known.name),
            qos::SENSOR,
            move |message| {
                heard.world().hear_wrench(robot, messages::wrench(&message.wrench), heard.clock.now());
            },
        )?;
        let heard = Arc::clone(shared);
        shell.subscribe::<GripperState>(
            &format!("/{}/gripper_state", known.name),
            qos::SENSOR,
            move |message| {
                let gripper = GripperSample {
                    width_m: message.width,
                    force_n: message.force,
                    holding: message.holding,
                };
                heard.world().hear_gripper(robot, gripper);
            },
        )?;
    }
    let heard = Arc::clone(shared);
    shell.subscribe::<PartPoses>("/part_poses", qos::SENSOR, move |message| {
        let now = heard.clock.now();
        for part in &message.parts {
            if let Some(pose) = messages::pose(&part.pose) {
                heard.world().hear_part(&part.part, pose, now);
            }
        }
    })?;
    let heard = Arc::clone(shared);
    shell.subscribe::<SafetyStatus>("/safety_monitor", qos::SENSOR_BACKLOG, move |message| {
        let safety = messages::safety(&message);
        heard.count_stop(&safety.view.state, &safety.view.cause);
        heard.world().hear_safety(safety, heard.clock.now());
    })?;
    Ok(())
}

/// The four services of a deployment.
fn serve(shell: &mut NodeShell, shared: &Arc<Shared>) -> anyhow::Result<()> {
    let order = Arc::clone(shared);
    shell.serve_on_thread::<Deploy::Service>("/skill_runtime/deploy", move |request| {
        let wish = Order::Deploy {
            archive: PathBuf::from(request.csa_path),
            signature: PathBuf::from(request.signature_path),
            skill_id: request.skill_id,
        };
        match order.carry_out(&wish) {
            Ok(active) => Deploy::Response {
                success: true,
                skill: active.skill_id.clone(),
                version: active.version.to_string(),
                artifact: active.artifact.to_string(),
                message: deployed(&active),
            },
            Err(message) => Deploy::Response { message, ..Deploy::Response::default() },
        }
    })?;
    for (service, wish) in [("reload", Order::Reload), ("rollback", Order::Rollback(None))] {
        let order = Arc::clone(shared);
        shell.serve_on_thread::<Trigger::Service>(
            &format!("/skill_runtime/{service}"),
            move |_| match order.carry_out(&wish) {
                Ok(active) => Trigger::Response { success: true, message: deployed(&active) },
                Err(message) => Trigger::Response { success: false, message },
            },
        )?;
    }
    let order = Arc::clone(shared);
    shell.serve_on_thread::<RollbackTo::Service>("/skill_runtime/rollback_to", move |request| {
        let result = semver::Version::parse(&request.version)
            .map_err(|error| format!("'{}' is no version such as 1.0.0: {error}", request.version))
            .and_then(|version| order.carry_out(&Order::Rollback(Some(version))));
        let (success, message) = match result {
            Ok(active) => (true, deployed(&active)),
            Err(message) => (false, message),
        };
        let version = order.deployer.active().map(|active| active.version.to_string()).unwrap_or_default();
        RollbackTo::Response { success, version, message }
    })?;
    Ok(())
}

fn deployed(active: &ActiveSkill) -> String {
    let beside = active.beside.as_ref().map(|beside| format!("; {beside}")).unwrap_or_default();
    format!("{} is deployed{beside}", active.title())
}

fn report(shell: &NodeShell, shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    shell.diagnostics().add("skill", move || match shared.deployer.active() {
        Some(active) => {
            Report::ok("deployed").with("skill", active.title()).with("artifact", active.artifact)
        }
        None => Report::new(Level::Warn, "no skill is deployed"),
    });
}

fn report_view(shell: &NodeShell, live: &Live) {
    let missing = live.missing().join("; ");
    shell.diagnostics().add("view", move || match missing.as_str() {
        "" => Report::ok("served"),
        missing => Report::new(Level::Warn, missing),
    });
}

impl Shared {
    /// A goal for the control loop. `mistake` is what is wrong with it already.
    pub fn ask(&self, goal: Goal, skill_id: &str, mistake: Option<String>, sink: Box<dyn GoalSink>) {
        let active = self.deployer.active();
        let other = active
            .as_ref()
            .filter(|active| active.skill_id != skill_id)
            .map(|active| format!("the deployed skill is {}, not '{skill_id}'", active.title()));
        let inactive = (!self.lifecycle.is_active()).then(|| "the runtime is not active".to_owned());
        let busy = self
            .deployer
            .is_busy()
            .then(|| "a deployment is being carried out; try again when it is done".to_owned());
        let patience = if goal.patience == Duration::ZERO { self.join_timeout } else { goal.patience };
        let refusal = mistake.or(inactive).or(busy).or(other);
        self.engine().ask(&Goal { patience, ..goal }, active.as_deref(), refusal, sink, self.clock.now());
    }

    pub fn cancel(&self, role: Option<Role>, reason: &str) {
        self.engine().cancel(role, reason);
    }

    /// Counts a stop of the cell once, however often it is said.
    fn count_stop(&self, state: &str, cause: &str) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let now = if matches!(state, "STOP2" | "STOP1" | "ESTOP") { cause } else { "" };
        if *stopped != now {
            now.clone_into(&mut stopped);
            if !now.is_empty() {
                self.metrics.safety_violation(now);
            }
        }
    }

    fn carry_out(&self, order: &Order) -> Result<Arc<ActiveSkill>, String> {
        if !self.lifecycle.is_active() {
            return Err("the runtime is not active".into());
        }
        let started = Instant::now();
        let result = self.deployer.carry_out(order, self);
        *self.last_good.lock().unwrap_or_else(PoisonError::into_inner) = self.deployer.last_good();
        match &result {
            Ok(active) => tracing::info!(
                "{} is in force after {:.2} s",
                active.title(),
                started.elapsed().as_secs_f64()
            ),
            Err(reason) => tracing::error!("refused: {reason}"),
        }
        result
    }

    // A poisoned lock means that a thread panicked between two statements that each leave a whole value behind.
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl beside::Cell for Shared {
    fn motion(&self) -> (Option<String>, Vec<ArmAtRest>) {
        let run = self.engine().run_in_progress().map(str::to_owned);
        (run, self.world().arms(self.clock.now()))
    }

    fn telling(&self) -> Option<Arc<Telling>> {
        self.engine().telling()
    }

    fn given_up(&self) -> Option<String> {
        (!self.lifecycle.is_active()).then(|| "the runtime was deactivated".into())
    }
}

impl Surroundings for Shared {
    fn await_rest(&self, candidate: &Skill) -> Result<Option<String>, String> {
        let patience = std::time::Duration::from_secs_f64(self.swap_wait_s.get());
        beside::await_rest(self, candidate, patience)
    }

    fn load_envelope(&self, artifact: Option<ArtifactId>) -> Result<(), String> {
        let service = "/safety_monitor/load_envelope";
        let client = self.envelopes.lock().unwrap_or_else(PoisonError::into_inner);
        let there = r2r::Node::is_available(&*client)
            .map_err(|error| format!("cannot look for {service}: {error}"))?;
        wait(there)
            .ok_or_else(|| format!("no node offers {service}; is the safety monitor running?"))?
            .map_err(|error| format!("cannot look for {service}: {error}"))?;
        // After a run the safety monitor goes on guarding it until its last command has grown old.
        let deadline = Instant::now() + STATUS_TIMEOUT;
        while self.world().safety(self.clock.now()).is_moving() && Instant::now() < deadline {
            std::thread::sleep(LOOK_AGAIN);
        }
        let request = LoadEnvelope::Request {
            artifact: artifact.map(|artifact| artifact.to_string()).unwrap_or_default(),
        };
        let answer = client.request(&request).map_err(|error| format!("cannot call {service}: {error}"))?;
        let answer = wait(answer)
            .ok_or_else(|| format!("{service} has not answered within {} s", ENVELOPE_TIMEOUT.as_secs()))?
            .map_err(|error| format!("cannot call {service}: {error}"))?;
        if !answer.success {
            return Err(format!("the safety monitor refuses the envelope: {}", answer.message));
        }
        // A run looks at the status; so a run that is asked for after this order finds what was ordered.
        let deadline = Instant::now() + STATUS_TIMEOUT;
        while self.world().loaded_artifact(self.clock.now()) != Some(request.artifact.as_str()) {
            if Instant::now() >= deadline {
                return Err(format!(
                    "the safety monitor took the envelope, but no /safety_monitor status has named it within {} s",
                    STATUS_TIMEOUT.as_secs()
                ));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }
}

/// Waits on a thread of its own for what the spin thread will fulfil.
fn wait<T>(future: impl Future<Output = T>) -> Option<T> {
    let deadline = Instant::now() + ENVELOPE_TIMEOUT;
    let mut future = Box::pin(future);
    loop {
        if let Some(value) = future.as_mut().now_or_never() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

struct Publishers {
    robots: Arc<Robots>,
    motion: Vec<r2r::Publisher<JointCommand>>,
    grippers: Vec<r2r::Publisher<GripperCommand>>,
    status: r2r::Publisher<RuntimeStatus>,
    clock: RosClock,
}

impl Publishers {
    fn create(shell: &mut NodeShell, robots: Arc<Robots>) -> anyhow::Result<Self> {
        let mut motion = Vec::new();
        let mut grippers = Vec::new();
        for robot in &robots.robots {
            motion.push(shell.publisher(&format!("/{}/skill_command", robot.name), qos::COMMAND)?);
            grippers.push(shell.publisher(&format!("/{}/skill_gripper_command", robot.name), qos::COMMAND)?);
        }
        let status = shell.publisher("/skill_runtime/status", qos::LATCHED)?;
        Ok(Self { robots, motion, grippers, status, clock: shell.clock() })
    }

    fn send(&self, turn: &Turn, active: &ActiveSkill) {
        let artifact = active.artifact.to_string();
        for command in &turn.commands {
            let robot = &self.robots.robots[command.robot];
            let joints = robot.arm.joints();
            let message = JointCommand {
                header: self.clock.header("world"),
                robot: robot.name.clone(),
                joint_names: joints.iter().map(|joint| joint.name.clone()).collect(),
                velocity: command.wish.velocity.iter().take(joints.len()).copied().collect(),
                skill: format!("{}@{}", active.skill_id, active.version),
                artifact: artifact.clone(),
                role: command.role.to_string(),
                trace_id: turn.trace_id.clone(),
                epoch: command.epoch,
                sequence: command.sequence,
            };
            warn_if_failed(self.motion[command.robot].publish(&message));
            if let Some(target) = command.wish.gripper {
                let message = GripperCommand {
                    header: self.clock.header("world"),
                    robot: robot.name.clone(),
                    width: target.width_m,
                    force: target.force_n,
                    artifact: artifact.clone(),
                    epoch: command.epoch,
                    sequence: command.sequence,
                };
                warn_if_failed(self.grippers[command.robot].publish(&message));
            }
        }
    }

    fn status(&self, turn: &Turn, active: Option<&ActiveSkill>, last_good: &str) -> RuntimeStatus {
        RuntimeStatus {
            header: self.clock.header("world"),
            skill: active.map(|active| active.skill_id.clone()).unwrap_or_default(),
            version: active.map(|active| active.version.to_string()).unwrap_or_default(),
            artifact: active.map(|active| active.artifact.to_string()).unwrap_or_default(),
            last_good: last_good.to_owned(),
            trace_id: turn.trace_id.clone(),
            running: turn.running,
            roles: turn.roles.iter().map(messages::role_state).collect(),
        }
    }
}

fn warn_if_failed(published: Result<(), r2r::Error>) {
    if let Err(error) = published {
        tracing::warn!("cannot publish: {error}");
    }
}

/// The control thread: turn after turn until the end, and then until no run is left.
fn control(shared: &Shared, publishers: &Publishers, mut live: Live, shutdown: &Shutdown) {
    let mut next = Instant::now();
    let mut shown: Option<(Instant, RuntimeStatus)> = None;
    loop {
        let stopping = shutdown.is_requested();
        if stopping {
            shared.engine().cancel_all("the runtime shuts down");
        }
        let active = shared.deployer.active();
        let started = Instant::now();
        let turn = {
            let world = shared.world();
            shared.engine().turn(&world, active.as_ref(), &mut live, shared.clock.now())
        };
        if let Some(active) = &active {
            publishers.send(&turn, active);
        }
        let last_good = shared.last_good.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let status = publishers.status(&turn, active.as_deref(), &last_good);
        let due = shown
            .as_ref()
            .is_none_or(|(at, last)| at.elapsed() >= STATUS_PERIOD || !same_news(last, &status));
        if due {
            warn_if_failed(publishers.status.publish(&status));
            shown = Some((Instant::now(), status));
        }
        let at = shared.clock.now();
        live.turned(&turn, started.elapsed(), active.as_deref(), &|| Seen::of(&shared.world(), at), at);
        if stopping && !turn.running {
            return;
        }
        next += PERIOD;
        let now = Instant::now();
        if let Some(rest) = next.checked_duration_since(now) {
            std::thread::sleep(rest);
        } else {
            // Turns that were missed are not made up for.
            live.overrun();
            next = now;
        }
    }
}

/// Whether two statuses say the same, apart from their stamps and the progress within a phase.
fn same_news(a: &RuntimeStatus, b: &RuntimeStatus) -> bool {
    let news = |status: &RuntimeStatus| {
        let roles = status
            .roles
            .iter()
            .map(|role| (role.state, role.phase.clone(), role.message.clone()))
            .collect::<Vec<_>>();
        (status.artifact.clone(), status.last_good.clone(), status.trace_id.clone(), status.running, roles)
    };
    news(a) == news(b)
}

/// The keeper thread. After a restart of this node it brings what is deployed into force; after a restart of the safety monitor it
/// hands over the envelope again. Both only at rest, and both again and again until they succeed.
fn keep(shared: &Shared, shutdown: &Shutdown) {
    let mut last_error = String::new();
    while !shutdown.is_requested() {
        if shared.lifecycle.is_active()
            && !shared.deployer.is_busy()
            && shared.engine().run_in_progress().is_none()
        {
            let due = match shared.deployer.active() {
                None => shared.deployer.has_deployment(),
                Some(active) => shared
                    .world()
                    .loaded_artifact(shared.clock.now())
                    .is_some_and(|loaded| loaded != active.artifact.to_string()),
            };
            if due {
                match shared.deployer.carry_out(&Order::Reload, shared) {
                    Ok(active) => {
                        last_error.clear();
                        tracing::info!("{} is in force again", active.title());
                        *shared.last_good.lock().unwrap_or_else(PoisonError::into_inner) =
                            shared.deployer.last_good();
                    }
                    // The same reason is told once, not twice a second; at the end of the process nothing answers any more.
                    Err(reason) if reason != last_error && !shutdown.is_requested() => {
                        tracing::warn!("what is deployed is not in force yet: {reason}");
                        last_error = reason;
                    }
                    Err(_) => {}
                }
            }
        }
        std::thread::sleep(KEEPER_PERIOD);
    }
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
