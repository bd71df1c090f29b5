//! Commands out, answers in, and the time between.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures::StreamExt as _;
use futures::executor::LocalPool;
use futures::future::BoxFuture;
use futures::task::LocalSpawnExt as _;
use r2r::Publisher;
use r2r::std_msgs::msg::Float64MultiArray;
use r2r::swarm_msgs::msg::{JointCommand, SafetyStatus};
use r2r::swarm_msgs::srv::{LoadEnvelope, ResetSafety};
use swarm_ros::stamp::wall_now;
use swarm_ros::{CellFile, qos};

use crate::cell::StandingCell;
use crate::children::Children;

/// Time between two samples of the played sensors.
const SENSOR_PERIOD: Duration = Duration::from_millis(2);
/// Smallest difference between two commands, rad/s: a thousandth of what a joint at rest may show.
const QUANTUM_RAD_S: f64 = 1e-8;
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// Stops of the gate beyond which the machine is too busy for a measurement.
const MAX_STOPS: usize = 50;
/// Trips that are made before the measured ones.
const WARM_UP: usize = 50;

/// Round-trip times, and trips without an answer.
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub(crate) gate_us: Vec<f64>,
    pub(crate) echo_us: Vec<f64>,
    pub(crate) gate_lost: usize,
    /// Times that the gate stopped because this machine kept a sensor value from it for too long, and was reset.
    pub(crate) stops: usize,
    pub(crate) echo_lost: usize,
}

/// One end of a trip: where commands go and answers come from.
struct Route {
    commands: Publisher<JointCommand>,
    answers: Receiver<(Instant, f64)>,
}

/// The measuring node.
pub(crate) struct Bench {
    gate: Route,
    echo: Route,
    statuses: Receiver<SafetyStatus>,
    load: r2r::Client<LoadEnvelope::Service>,
    reset: r2r::Client<ResetSafety::Service>,
    command: JointCommand,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Bench {
    pub(crate) fn connect(cell_config: &Path, children: &Children) -> anyhow::Result<Self> {
        let cell = CellFile::read(cell_config)?;
        let arms = cell.arm_models()?;
        let (robot, arm) = (&cell.config.robots[0].name, &arms[0]);
        let mut node = r2r::Node::create(r2r::Context::create()?, "gate_latency", "")?;
        let mut standing = StandingCell::create(&mut node, &cell, &arms)?;
        let mut tasks = Vec::new();
        let gate = route(&mut node, &mut tasks, &format!("/{robot}"))?;
        let echo = route(&mut node, &mut tasks, "/echo")?;
        let (tell, statuses) = mpsc::channel();
        let messages = node.subscribe::<SafetyStatus>("/safety_monitor", qos::SENSOR)?;
        tasks.push(Box::pin(messages.for_each(move |status| {
            // The bench reads the newest ones only and may be gone.
            let _ = tell.send(status);
            futures::future::ready(())
        })));
        let load =
            node.create_client::<LoadEnvelope::Service>("/safety_monitor/load_envelope", qos::SERVICE)?;
        let reset = node.create_client::<ResetSafety::Service>("/safety_monitor/reset", qos::SERVICE)?;

        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        let spin = std::thread::spawn(move || {
            let mut pool = LocalPool::new();
            for task in tasks {
                // Fails only if the pool is gone.
                let _ = pool.spawner().spawn_local(task);
            }
            while !until.load(Ordering::SeqCst) {
                node.spin_once(Duration::from_millis(10));
                pool.run_until_stalled();
            }
        });
        let until = Arc::clone(&ended);
        let sensors = std::thread::spawn(move || {
            while !until.load(Ordering::SeqCst) {
                if let Err(error) = standing.publish() {
                    eprintln!("gate_latency: cannot publish sensor values: {error}");
                }
                std::thread::sleep(SENSOR_PERIOD);
            }
        });
        let command = JointCommand {
            robot: robot.clone(),
            joint_names: arm.joints().iter().map(|joint| joint.name.clone()).collect(),
            velocity: vec![0.0; arm.dof()],
            skill: "tight@1.0.0".to_owned(),
            artifact: children.artifact.clone(),
            role: "leader".to_owned(),
            trace_id: "gate_latency".to_owned(),
            ..JointCommand::default()
        };
        Ok(Self { gate, echo, statuses, load, reset, command, ended, threads: vec![spin, sensors] })
    }

    /// Loads the envelope and resets, so that commands pass.
    pub(crate) fn make_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        let request = LoadEnvelope::Request { artifact: self.command.artifact.clone() };
        self.newest_status(deadline)?;
        let answer = answer_of(self.load.request(&request)?, deadline).context("load_envelope")?;
        ensure!(answer.success, "the gate refused the envelope: {}", answer.message);
        loop {
            let status = self.newest_status(deadline)?;
            if status.state == SafetyStatus::STATE_READY as u8 {
                self.command.epoch = status.epoch;
                return Ok(());
            }
            let request = ResetSafety::Request { epoch: status.epoch, reset_by: "gate_latency".to_owned() };
            let answer = answer_of(self.reset.request(&request)?, deadline).context("reset")?;
            if !answer.success && Instant::now() > deadline {
                bail!("the gate did not become ready: {}", answer.message);
            }
        }
    }

    /// Alternates between gate and echo.
    pub(crate) fn measure(&mut self, samples: usize, timeout: Duration) -> anyhow::Result<Times> {
        let mut times = Times::default();
        for trip in 1..=samples + WARM_UP {
            let value = trip as f64 * QUANTUM_RAD_S;
            self.command.velocity.fill(value);
            let gate = self.trip(&self.gate, value, timeout)?;
            if gate.is_none() && self.stopped()? {
                times.stops += 1;
                ensure!(
                    times.stops <= MAX_STOPS,
                    "the gate stopped {MAX_STOPS} times; it says: {}",
                    self.state()
                );
                self.make_ready()?;
            }
            let echo = self.trip(&self.echo, value, timeout)?;
            self.command.sequence += 1;
            if trip > WARM_UP {
                note(gate, &mut times.gate_us, &mut times.gate_lost);
                note(echo, &mut times.echo_us, &mut times.echo_lost);
            }
        }
        ensure!(
            !times.gate_us.is_empty() && !times.echo_us.is_empty(),
            "no command came back; the gate says: {}",
            self.state()
        );
        ensure!(
            times.gate_lost * 10 <= samples,
            "{} of {samples} commands did not come back from the gate; it says: {}",
            times.gate_lost,
            self.state()
        );
        Ok(times)
    }

    fn trip(&self, route: &Route, value: f64, timeout: Duration) -> anyhow::Result<Option<Duration>> {
        let mut command = self.command.clone();
        command.header.stamp = wall_now();
        let sent = Instant::now();
        route.commands.publish(&command)?;
        loop {
            let left = (sent + timeout).saturating_duration_since(Instant::now());
            match route.answers.recv_timeout(left) {
                Ok((arrived, answer)) if (answer - value).abs() < QUANTUM_RAD_S / 2.0 => {
                    return Ok(Some(arrived - sent));
                }
                // An earlier command's, from one of the gate's periodic repetitions.
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => bail!("the spin thread has ended"),
            }
        }
    }

    fn newest_status(&self, deadline: Instant) -> anyhow::Result<SafetyStatus> {
        let first = self
            .statuses
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .context("nothing heard on /safety_monitor: does the gate run? see its log above")?;
        Ok(self.statuses.try_iter().last().unwrap_or(first))
    }

    fn stopped(&self) -> anyhow::Result<bool> {
        let state = self.newest_status(Instant::now() + READY_TIMEOUT)?.state;
        let passes =
            [SafetyStatus::STATE_READY as u8, SafetyStatus::STATE_RUN as u8, SafetyStatus::STATE_SLOW as u8];
        Ok(!passes.contains(&state))
    }

    fn state(&self) -> String {
        self.statuses
            .try_iter()
            .last()
            .map_or("nothing".to_owned(), |s| format!("state {} {} {}", s.state, s.cause, s.detail))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            // A panic in it has been printed where it happened.
            let _ = thread.join();
        }
    }
}

fn note(trip: Option<Duration>, times_us: &mut Vec<f64>, lost: &mut usize) {
    match trip {
        Some(time) => times_us.push(time.as_secs_f64() * 1e6),
        None => *lost += 1,
    }
}

fn route(
    node: &mut r2r::Node,
    tasks: &mut Vec<BoxFuture<'static, ()>>,
    prefix: &str,
) -> anyhow::Result<Route> {
    let (tell, answers) = mpsc::channel();
    let messages = node.subscribe::<Float64MultiArray>(&format!("{prefix}/joint_command"), qos::COMMAND)?;
    tasks.push(Box::pin(messages.for_each(move |message| {
        // The bench may be gone.
        let _ = tell.send((Instant::now(), message.data.first().copied().unwrap_or(f64::NAN)));
        futures::future::ready(())
    })));
    Ok(Route { commands: node.create_publisher(&format!("{prefix}/skill_command"), qos::COMMAND)?, answers })
}

/// Waits for a service's answer; the spin thread brings it.
fn answer_of<T: Send + 'static>(
    answer: impl Future<Output = r2r::Result<T>> + Send + 'static,
    deadline: Instant,
) -> anyhow::Result<T> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(futures::executor::block_on(answer)));
    let left = deadline.saturating_duration_since(Instant::now());
    Ok(told.recv_timeout(left).context("no answer")??)
}
