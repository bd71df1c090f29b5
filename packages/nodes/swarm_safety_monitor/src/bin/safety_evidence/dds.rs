//! From an rclpy publisher's `publish` of a stop to an rclpy subscriber's callback with every permit at zero, both in one process beside
//! ours: the middleware twice, the spin thread, the intake, the deciding thread, the publishing, and what rclpy itself takes.

use std::io::{BufRead, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, ensure};
use r2r::std_msgs::msg::Bool;
use swarm_base::{Duration, Shutdown};
use swarm_ros::{Managed, NodeShell, qos};
use swarm_rt::latency::Latencies;
use swarm_safety_monitor::deciding::{self, Terms};
use swarm_safety_monitor::intake::Intake;

use crate::cell::Place;
use crate::gate::Gate;

/// Time between two samples of the cell.
const SAMPLE_PERIOD: std::time::Duration = std::time::Duration::from_millis(2);

const PRESS: &str = include_str!("press.py");

/// The node has nothing to do in any state of its life.
struct Nothing;

impl Managed for Nothing {}

/// Where `/emergency_stop` goes once there is a gate for it.
pub(crate) type Heard = Arc<OnceLock<Arc<Intake>>>;

/// Subscribes to `/emergency_stop`, as the monitor's reliable subscription does.
pub(crate) fn subscribe(shell: &mut NodeShell) -> anyhow::Result<Heard> {
    let heard = Heard::default();
    shell.subscribe("/emergency_stop", qos::STOP_RELIABLE, {
        let heard = Arc::clone(&heard);
        move |message: Bool| {
            if let Some(intake) = heard.get() {
                intake.emergency_stop(message.data);
            }
        }
    })?;
    Ok(heard)
}

/// The rclpy process, ended when this is dropped.
pub(crate) struct Button {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// Presses so often; gives the latencies that the rclpy process has measured.
pub(crate) fn measure(
    presses: u64,
    place: Place,
    mut gate: Gate,
    shell: NodeShell,
    heard: &Heard,
    button: Button,
) -> anyhow::Result<Latencies> {
    let decider = gate.decider.take().context("a gate whose deciding thread has been started")?;
    let shutdown = Shutdown::new();
    let terms = Terms { priority: Some(place.priority), cpu: Some(place.cpu), guarded: true };
    let (deciding, lacks) = deciding::start(decider, &terms, || true, shutdown.clone())?;
    for lack in lacks {
        eprintln!("not in real time: {lack}");
    }
    ensure!(heard.set(Arc::clone(&gate.intake)).is_ok(), "the stop is heard by another gate");
    let ends = shell.shutdown();
    let finished = Arc::new(AtomicBool::new(false));
    let feeding = std::thread::spawn({
        let finished = Arc::clone(&finished);
        move || {
            while !finished.load(Ordering::Acquire) {
                gate.tend();
                std::thread::sleep(SAMPLE_PERIOD);
            }
            gate.finish()
        }
    });
    let measuring = std::thread::spawn(move || {
        let latencies = press_and_wait(presses, button);
        finished.store(true, Ordering::Release);
        ends.request();
        latencies
    });
    shell.spin_managed(Nothing)?;
    shutdown.request();
    // A panic in it has been printed.
    let _ = deciding.join();
    feeding.join().map_err(|_| anyhow::anyhow!("the feeding thread panicked"))??;
    measuring.join().map_err(|_| anyhow::anyhow!("the measuring thread panicked"))?
}

fn press_and_wait(presses: u64, mut button: Button) -> anyhow::Result<Latencies> {
    let mut latencies = Latencies::new();
    for _ in 0..presses {
        latencies.record(button.press()?);
    }
    Ok(latencies)
}

impl Button {
    /// Starts it; it is ready when it has met the subscription and the publisher.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut command = Command::new("python3");
        command.args(["-c", PRESS]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("cannot start python3 for the rclpy process")?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (input, output) = (input.context("no standard input")?, output.context("no standard output")?);
        let mut button = Self { process, input, output: BufReader::new(output).lines() };
        let ready = button.line()?;
        ensure!(ready == "ready", "the rclpy process said '{ready}' instead of 'ready'");
        Ok(button)
    }

    /// Waits until the cell may move, presses, releases; gives the time from the press to the permits at zero.
    fn press(&mut self) -> anyhow::Result<Duration> {
        writeln!(self.input, "press").context("the rclpy process is gone")?;
        let line = self.line()?;
        line.parse()
            .map(Duration)
            .with_context(|| format!("the rclpy process said '{line}' instead of a time"))
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let line = self.output.next();
        line.context("the rclpy process ended; its reason stands above. Is ROS in the environment?")?
            .context("read")
    }
}

impl Drop for Button {
    fn drop(&mut self) {
        // One that has ended already cannot be killed; either way it is gone afterwards.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
