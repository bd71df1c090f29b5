//! `ros2 run swarm_safety_monitor reset_safety`: shows why the cell stands, and resets it with the epoch that was shown.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use futures::{FutureExt as _, StreamExt as _};
use r2r::swarm_msgs::msg::SafetyStatus;
use r2r::swarm_msgs::srv::ResetSafety;
use swarm_ros::arguments::Arguments;
use swarm_ros::{CommandNode, qos};

/// Resets the safety monitor: a deliberate act, after the cause is gone. Leads to READY, never to motion.
#[derive(Debug, Parser)]
#[command(name = "reset_safety")]
struct Options {
    /// Who resets, for the log
    #[arg(long, default_value_t = whoami())]
    by: String,
    /// Seconds to wait for the safety monitor
    #[arg(long, default_value_t = 5.0)]
    timeout: f64,
}

fn main() -> ExitCode {
    let options = Options::parse_from(Arguments::of_process().own);
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reset_safety: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let timeout = Duration::try_from_secs_f64(options.timeout).context("--timeout")?;
    let mut command = CommandNode::create("reset_safety")?;
    let mut statuses = command.node.subscribe::<SafetyStatus>("/safety_monitor", qos::SENSOR)?;
    let Some(Some(status)) = command.wait_for(timeout, |_| statuses.next().now_or_never()) else {
        bail!(
            "nothing heard on /safety_monitor within {} s: is the safety monitor running and active?",
            options.timeout
        );
    };
    println!("{}", describe(&status));
    let request = ResetSafety::Request { epoch: status.epoch, reset_by: options.by.clone() };
    let answer = command.call::<ResetSafety::Service>("/safety_monitor/reset", &request, timeout, timeout)?;
    if !answer.success {
        bail!("refused: {}", answer.message);
    }
    println!("READY, epoch {}", answer.epoch);
    Ok(())
}

fn describe(status: &SafetyStatus) -> String {
    let state = ["DENY", "READY", "RUN", "SLOW", "STOP2", "STOP1", "ESTOP"];
    let state = state.get(usize::from(status.state)).unwrap_or(&"unknown state");
    let place = [&status.robot, &status.joint].map(String::as_str).join(" ");
    match status.cause.as_str() {
        "" => format!("{state}, epoch {}", status.epoch),
        cause => format!("{state}, epoch {}: {cause} {} - {}", status.epoch, place.trim(), status.detail),
    }
}

fn whoami() -> String {
    std::env::var("USER").unwrap_or_else(|_| "operator".to_owned())
}
