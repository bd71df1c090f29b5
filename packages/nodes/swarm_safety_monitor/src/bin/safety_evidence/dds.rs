//! From an rclpy publisher's `publish` to the publishing thread's knowing that every permit is withdrawn: another process, the
//! middleware, the spin thread, the deciding thread and its wake-up of the next.

use std::io::{BufRead, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, bail, ensure};
use r2r::std_msgs::msg::Bool;
use swarm_base::{Clock as _, Duration, Shutdown, Time};
use swarm_ros::{Managed, NodeShell, qos};
use swarm_rt::KernelClock;
use swarm_rt::latency::Latencies;
use swarm_rt::wake::{self, Sleeper};
use swarm_safety_core::SafetyState;
use swarm_safety_monitor::deciding::{self, Terms};

use crate::cell::{Bench, Place, RUN_UP_TRIES};

const PERIOD: Duration = Duration::from_millis(1);
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_millis(5_000);

const PRESS: &str = include_str!("press.py");

/// The listening node has nothing to do in any state of its life.
struct Nothing;

impl Managed for Nothing {}

/// The rclpy process, ended when this is dropped.
struct Button {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

pub(crate) fn measure(presses: u64, place: Place) -> anyhow::Result<Latencies> {
    let mut bench = Bench::new(PERIOD, 4096, None)?;
    let decider = bench.decider.take().expect("made with one");
    let shutdown = Shutdown::new();
    let terms = Terms { priority: Some(place.priority), cpu: Some(place.cpu), guarded: true };
    let (deciding, lacks) = deciding::start(decider, &terms, || true, shutdown.clone())?;
    for lack in lacks {
        eprintln!("not in real time: {lack}");
    }
    let listening = std::mem::replace(&mut bench.listening, wake::pair().0);
    let bench = Arc::new(Mutex::new(bench));

    let mut shell = NodeShell::create("safety_evidence")?;
    let hears = Arc::clone(&bench);
    shell.subscribe("/emergency_stop", qos::STOP_RELIABLE, move |message: Bool| {
        lock(&hears).mouth.emergency_stop(message.data);
    })?;
    let ends = shell.shutdown();
    let measuring = std::thread::spawn(move || {
        let latencies = press_and_wait(presses, &bench, listening);
        ends.request();
        latencies
    });
    shell.spin_managed(Nothing)?;
    shutdown.request();
    // A panic in it has been printed.
    let _ = deciding.join();
    measuring.join().map_err(|_| anyhow::anyhow!("the measuring thread panicked"))?
}

fn press_and_wait(presses: u64, bench: &Mutex<Bench>, mut listening: Sleeper) -> anyhow::Result<Latencies> {
    let mut button = Button::start()?;
    let mut latencies = Latencies::new();
    for _ in 0..presses {
        run_up(bench)?;
        let pressed = button.say("press")?;
        let seen = wait_for(SafetyState::Estop, bench, &mut listening)?;
        latencies.record(seen - pressed);
        button.say("release")?;
    }
    Ok(latencies)
}

/// As [`Bench::run_up`], leaving the spin thread room between two tries.
fn run_up(bench: &Mutex<Bench>) -> anyhow::Result<()> {
    let mut ready = None;
    for _ in 0..RUN_UP_TRIES {
        if lock(bench).try_run_up(&mut ready).is_some() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    bail!("the cell did not come to run again within 2 s of a released stop")
}

/// When the thread that is woken after each cycle saw the cell in `state`.
fn wait_for(state: SafetyState, bench: &Mutex<Bench>, listening: &mut Sleeper) -> anyhow::Result<Time> {
    let end = KernelClock.now() + PATIENCE;
    loop {
        listening.sleep_until(KernelClock.now() + PERIOD);
        let now = KernelClock.now();
        if lock(bench).newest().is_some_and(|cycle| cycle.verdict.state == state) {
            return Ok(now);
        }
        ensure!(now < end, "no {} within 5 s of a published stop", state.name());
    }
}

impl Button {
    fn start() -> anyhow::Result<Self> {
        let mut command = Command::new("python3");
        command.args(["-c", PRESS]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("cannot start python3 for the rclpy publisher")?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (input, output) = (input.context("no standard input")?, output.context("no standard output")?);
        let mut button = Self { process, input, output: BufReader::new(output).lines() };
        let ready = button.line()?;
        ensure!(ready == "ready", "the rclpy publisher said '{ready}' instead of 'ready'");
        Ok(button)
    }

    /// Gives the time at which it began to publish.
    fn say(&mut self, word: &str) -> anyhow::Result<Time> {
        writeln!(self.input, "{word}").context("the rclpy publisher is gone")?;
        let line = self.line()?;
        line.parse().map(Time).with_context(|| format!("the rclpy publisher said '{line}' instead of a time"))
    }

    fn line(&mut self) -> anyhow::Result<String> {
        self.output.next().context("the rclpy publisher ended; is ROS in the environment?")?.context("read")
    }
}

impl Drop for Button {
    fn drop(&mut self) {
        // One that has ended already cannot be killed; either way it is gone afterwards.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn lock(bench: &Mutex<Bench>) -> MutexGuard<'_, Bench> {
    // A sample or a press is whole or not there.
    bench.lock().unwrap_or_else(PoisonError::into_inner)
}
