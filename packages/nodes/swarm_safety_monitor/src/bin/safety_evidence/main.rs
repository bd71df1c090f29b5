//! Measures the deciding thread as it ships: its jitter, its reaction to a stop, its purity. Each beside its reference, on the same
//! CPU in the same seconds. Prints one JSON object as its last line. The loop is the monitor's own; ROS runs only where the
//! middleware itself is measured.

mod cell;
mod dds;
mod gate;
mod jitter;
mod purity;
mod stop;
mod work;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use swarm_ros::arguments::Arguments;
use swarm_rt::purity::allocation::TrapAllocator;

#[global_allocator]
static ALLOCATOR: TrapAllocator = TrapAllocator;

/// Measures the safety monitor's deciding thread
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
    /// The CPU that loop and reference share
    #[arg(long, global = true, default_value_t = 1)]
    cpu: u16,
    /// Priority of SCHED_FIFO
    #[arg(long, global = true, default_value_t = 80)]
    priority: u8,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How late the loop wakes, beside cyclictest; idle and under stress-ng
    Jitter(jitter::Options),
    /// From a stop's message to the permit withdrawn, beside a bare eventfd
    Estop(stop::Options),
    /// Allocations, locks, page faults and system calls of the loop
    Purity(purity::Options),
}

fn main() -> ExitCode {
    let options = Options::parse_from(Arguments::of_process().own);
    let mut lacks = swarm_rt::prepare_process();
    let awake = swarm_rt::keep_cpus_awake();
    lacks.extend(awake.as_ref().err().cloned());
    for lack in &lacks {
        eprintln!("not in real time: {lack}");
    }
    let place = cell::Place { cpu: options.cpu, priority: options.priority };
    let report = match &options.what {
        What::Jitter(wish) => jitter::measure(wish, place),
        What::Estop(wish) => stop::measure(wish, place),
        What::Purity(wish) => purity::measure(wish, place),
    };
    match report {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("safety_evidence: {error:#}");
            ExitCode::FAILURE
        }
    }
}
