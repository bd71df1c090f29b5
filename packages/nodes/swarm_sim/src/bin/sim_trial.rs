//! `ros2 run swarm_sim sim_trial reset|look|stop`: what a series of measured runs does to a simulated cell.
//!
//! - `reset --seed N` puts the arms and parts back to where the seed puts them; with `--by-hand` as a person does who reaches into the
//!   cell, under emergency stop.
//! - `look` prints what the simulator knows of the parts: whether they are mated, and how deep; and how much time it has given up since
//!   its start because it could not keep up.
//! - `stop` waits until arms move, presses `/emergency_stop`, and prints in how many simulated cycles every commanded velocity
//!   was zero; then it lets go of the button, so that the safety monitor can be reset.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use futures::{FutureExt as _, Stream, StreamExt as _};
use r2r::std_msgs::msg::Bool;
use r2r::swarm_msgs::msg::{SafetyStatus, SimReport};
use r2r::swarm_msgs::srv::ResetSim;
use swarm_ros::arguments::Arguments;
use swarm_ros::{CommandNode, qos};

/// Longest wait for the simulator to be there, and for arms to stand.
const PATIENCE: Duration = Duration::from_secs(30);

/// Subscriptions of `/emergency_stop` that hear a reliable, volatile publisher: the simulator's, and two of the safety monitor's. A
/// stop that only the simulator hears would be measured as one that nobody obeys.
const LISTENERS: usize = 3;

/// Statuses of the safety monitor over which the button is let go again and again, so that everybody has heard it.
const STATUSES_TO_LET_GO: usize = 20;

/// Acts on a simulated cell.
#[derive(Debug, Parser)]
#[command(name = "sim_trial")]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put the cell back to its start
    Reset {
        /// Where the parts lie
        #[arg(long)]
        seed: u64,
        /// Press /emergency_stop first: parts and arms that jump are then no fault of the skill that is loaded
        #[arg(long)]
        by_hand: bool,
    },
    /// Print {"mated": .., "depth_m": .., "lost_s": ..}: the truth, not what cameras see
    Look,
    /// Press /emergency_stop while arms move, and print {"cycles": N}
    Stop {
        /// Reference speed of some arm from which the button is pressed, rad/s
        #[arg(long, default_value_t = 0.05)]
        above: f64,
        /// Seconds to wait for that
        #[arg(long, default_value_t = 60.0)]
        timeout: f64,
    },
}

fn main() -> ExitCode {
    let outcome = match Options::parse_from(Arguments::of_process().own).command {
        Command::Reset { seed, by_hand } => reset(seed, by_hand),
        Command::Look => look(),
        Command::Stop { above, timeout } => stop(above, timeout),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sim_trial: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn reset(seed: u64, by_hand: bool) -> anyhow::Result<()> {
    let mut command = CommandNode::create("sim_trial")?;
    if by_hand {
        stop_by_hand(&mut command)?;
    }
    let request = ResetSim::Request { seed };
    let answer = command.call::<ResetSim::Service>("/sim/reset", &request, PATIENCE, PATIENCE)?;
    if !answer.success {
        bail!("the simulated cell was not reset: {}", answer.message);
    }
    Ok(())
}

/// Presses the button until the safety monitor says that the cell is stopped by it, and lets go. The stop is held until somebody resets
/// the safety monitor, and no later finding takes the place of its cause.
fn stop_by_hand(command: &mut CommandNode) -> anyhow::Result<()> {
    let mut statuses = command.node.subscribe::<SafetyStatus>("/safety_monitor", qos::SENSOR)?;
    let button = command.node.create_publisher::<Bool>("/emergency_stop", qos::STOP_RELIABLE)?;
    let stopped = command.wait_for(PATIENCE, |_| {
        let pressed = button.publish(&Bool { data: true });
        let stopped = newest(&mut statuses)
            .filter(|status| i64::from(status.state) == SafetyStatus::STATE_ESTOP as i64);
        pressed.map(|()| stopped).transpose()
    });
    if stopped.transpose()?.is_none() {
        bail!(
            "/emergency_stop was pressed, and after {} s the safety monitor does not show it: is it running and active?",
            PATIENCE.as_secs()
        );
    }
    let mut heard = 0;
    let let_go = command.wait_for(PATIENCE, |_| {
        heard += usize::from(newest(&mut statuses).is_some());
        let released = button.publish(&Bool { data: false });
        released.map(|()| (heard >= STATUSES_TO_LET_GO).then_some(())).transpose()
    });
    let_go.transpose()?.context("the safety monitor has fallen silent while /emergency_stop was let go")
}

fn look() -> anyhow::Result<()> {
    let mut command = CommandNode::create("sim_trial")?;
    let mut reports = command.node.subscribe::<SimReport>("/sim/report", qos::EVENTS)?;
    let Some(report) = command.wait_for(PATIENCE, |_| newest(&mut reports)) else {
        bail!("nothing heard on /sim/report within {} s: is the simulator running?", PATIENCE.as_secs());
    };
    let SimReport { mated, mating_depth: depth_m, lost_time: lost_s, .. } = report;
    println!("{}", serde_json::json!({ "mated": mated, "depth_m": depth_m, "lost_s": lost_s }));
    Ok(())
}

fn stop(above: f64, timeout: f64) -> anyhow::Result<()> {
    let timeout = Duration::try_from_secs_f64(timeout).context("--timeout")?;
    let mut command = CommandNode::create("sim_trial")?;
    let mut reports = command.node.subscribe::<SimReport>("/sim/report", qos::EVENTS)?;
    let button = command.node.create_publisher::<Bool>("/emergency_stop", qos::STOP_RELIABLE)?;
    let moving = command.wait_for(timeout, |_| {
        let heard = button.get_inter_process_subscription_count().is_ok_and(|count| count >= LISTENERS);
        newest(&mut reports)
            .filter(|report| heard && report.drivers.iter().any(|driver| driver.reference_speed > above))
    });
    let Some(pressed_at) = moving else {
        bail!(
            "within {} s no arm moved faster than {above} rad/s while safety monitor and simulator both listened to /emergency_stop",
            timeout.as_secs_f64()
        );
    };
    if pressed_at.emergency_stop_cycles >= 0 {
        bail!("the simulator still shows an earlier stop: run `sim_trial reset` first");
    }
    // Again and again, as every stop by topic should be.
    let stopped = command.wait_for(PATIENCE, |_| {
        let pressed = button.publish(&Bool { data: true });
        let stopped = newest(&mut reports)
            .filter(|report| report.cycle > pressed_at.cycle && report.emergency_stop_cycles >= 0);
        pressed.map(|()| stopped).transpose()
    });
    let stopped = stopped.transpose()?;
    let Some(stopped) = stopped else {
        bail!(
            "/emergency_stop was pressed, and the arms are still commanded to move after {} s",
            PATIENCE.as_secs()
        );
    };
    button.publish(&Bool { data: false })?;
    println!("{}", serde_json::json!({ "cycles": stopped.emergency_stop_cycles }));
    // Until the middleware has delivered the release, which the next report follows.
    command.wait_for(PATIENCE, |_| newest(&mut reports).filter(|report| report.cycle > stopped.cycle + 50));
    Ok(())
}

/// The newest of the messages that have arrived.
fn newest<T>(messages: &mut (impl Stream<Item = T> + Unpin)) -> Option<T> {
    let mut last = None;
    while let Some(Some(message)) = messages.next().now_or_never() {
        last = Some(message);
    }
    last
}
