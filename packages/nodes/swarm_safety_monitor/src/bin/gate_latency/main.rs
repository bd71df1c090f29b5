//! Measures the time that a command takes through the gate, beside the same trip through a bare echo node.
//!
//! 1. Starts the gate and `echo_node` as processes of their own, and plays the cell for the gate: joint states and wrenches of
//!    arms that stand at home (500 Hz, as the simulator sends them).
//! 2. Loads an envelope, resets, and keeps a run going.
//! 3. Alternates: one command to the gate, wait for its velocities on `joint_command`; one to the echo, wait for its answer. Both
//!    travel as the same message types with the same profiles, between the same pair of processes each, in the same seconds.
//! 4. Prints one JSON object with the percentiles of both and their ratios.
//!
//! Everything runs in the ROS domain of the environment (`ROS_DOMAIN_ID`), which should be empty otherwise.
//!
//! Each command carries velocities that no other has, far below every limit, so that an answer is recognised by its value and
//! the gate passes it unchanged.

mod cell;
mod children;
mod trip;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use swarm_ros::arguments::Arguments;

/// Measures a command's way through the safety gate beside a bare echo node
#[derive(Debug, Parser)]
#[command(name = "gate_latency")]
struct Options {
    /// The cell's declaration
    #[arg(long, default_value = "config/cell.yaml")]
    cell_config: PathBuf,
    /// Round trips through each
    #[arg(long, default_value_t = 2000)]
    samples: usize,
    /// Folder of the executables [default: this executable's]
    #[arg(long)]
    bin_dir: Option<PathBuf>,
}

/// Longest wait for one answer; a trip that takes longer counts as lost.
const TRIP_TIMEOUT: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    match run(&Options::parse_from(Arguments::of_process().own)) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("gate_latency: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<serde_json::Value> {
    let bin_dir = match &options.bin_dir {
        Some(folder) => folder.clone(),
        None => std::env::current_exe()?.parent().context("this executable has no folder")?.to_owned(),
    };
    let children = children::Children::start(&bin_dir, &options.cell_config)?;
    let mut bench = trip::Bench::connect(&options.cell_config, &children)?;
    bench.make_ready()?;
    let times = bench.measure(options.samples, TRIP_TIMEOUT)?;
    Ok(report(times))
}

fn report(mut times: trip::Times) -> serde_json::Value {
    let [p50, p99] = percentiles(&mut times.gate_us);
    let [echo_p50, echo_p99] = percentiles(&mut times.echo_us);
    serde_json::json!({
        "name": "gate",
        "figures": {"p50_us": p50, "p99_us": p99},
        "reference": {"echo_p50_us": echo_p50, "echo_p99_us": echo_p99},
        "ratios": {"ratio_p50": p50 / echo_p50, "ratio_p99": p99 / echo_p99},
        "samples": {"gate": times.gate_us.len(), "echo": times.echo_us.len()},
        "lost": {"gate": times.gate_lost, "echo": times.echo_lost},
        "stops": times.stops,
    })
}

/// Median and 99th percentile (nearest rank).
fn percentiles(times_us: &mut [f64]) -> [f64; 2] {
    times_us.sort_by(f64::total_cmp);
    [0.50, 0.99].map(|share| {
        let rank = (share * times_us.len() as f64).ceil() as usize;
        times_us[rank.clamp(1, times_us.len()) - 1]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut times: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentiles(&mut times), [50.0, 99.0]);
        assert_eq!(percentiles(&mut [7.0]), [7.0, 7.0]);
    }
}
