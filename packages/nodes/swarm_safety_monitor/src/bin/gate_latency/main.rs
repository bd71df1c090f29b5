//! Measures the time that a command takes through the gate, beside the same trip through a bare echo node.
//!
//! 1. Starts the gate and `echo_node` as processes of their own, and plays the cell for the gate: joint states and wrenches of
//!    arms that stand at home (500 Hz, as the simulator sends them).
//! 2. Loads an envelope, resets, and keeps a run going.
//! 3. Alternates: one command to the gate, wait for its velocities on `joint_command`; one to the echo, wait for its answer. Both
//!    travel as the same message types with the same profiles, between the same pair of processes each, in the same seconds.
//! 4. Prints one JSON object with the percentiles of both and their ratios, and what was lost on the way: a lost trip counts in the
//!    percentiles, as long as was waited for it.
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
    // As the gate does, so that all three talk alike.
    swarm_ros::leave_shared_memory();
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

fn report(times: trip::Times) -> serde_json::Value {
    let (gate_samples, echo_samples) = (times.gate_us.len(), times.echo_us.len());
    let [p50, p99] = percentiles(times.gate_us, times.gate_lost);
    let [echo_p50, echo_p99] = percentiles(times.echo_us, times.echo_lost);
    serde_json::json!({
        "figures": {
            "p50_us": p50, "p99_us": p99, "samples": gate_samples, "lost": times.gate_lost, "stops": times.stops,
        },
        "reference": {
            "echo_p50_us": echo_p50, "echo_p99_us": echo_p99, "echo_samples": echo_samples, "echo_lost": times.echo_lost,
        },
        "ratios": {"ratio_p50": p50 / echo_p50, "ratio_p99": p99 / echo_p99},
    })
}

/// Median and 99th percentile (nearest rank). A trip that was lost took at least [`TRIP_TIMEOUT`].
fn percentiles(mut times_us: Vec<f64>, lost: usize) -> [f64; 2] {
    times_us.resize(times_us.len() + lost, TRIP_TIMEOUT.as_secs_f64() * 1e6);
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
        let times: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentiles(times, 0), [50.0, 99.0]);
        assert_eq!(percentiles(vec![7.0], 0), [7.0, 7.0]);
    }

    #[test]
    fn what_was_lost_is_told_and_counts_as_late() {
        let times = trip::Times {
            gate_us: vec![100.0; 97],
            echo_us: vec![50.0; 100],
            gate_lost: 3,
            stops: 2,
            ..trip::Times::default()
        };
        let report = report(times);
        assert_eq!(report["figures"]["p50_us"], 100.0);
        assert_eq!(report["figures"]["p99_us"], 200_000.0, "three of a hundred did not come back");
        assert_eq!((&report["figures"]["samples"], &report["figures"]["lost"]), (&97.into(), &3.into()));
        assert_eq!((&report["figures"]["stops"], &report["reference"]["echo_lost"]), (&2.into(), &0.into()));
    }
}
