//! Evidence `safety-availability`: false stops in hours of simulated nominal work, and what slowing down for people costs.
//! What is done, and what it means, says [`swarm_testkit::availability`]. The last line is the result as JSON.

use std::ops::Range;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use swarm_testkit::availability::people::{GANGWAY_Y_M, INTERVAL_S, Policy, RELEASE_AFTER_S, WALK_M_S};
use swarm_testkit::availability::{Conditions, Demo, Throughput};
use swarm_testkit::{parse_seeds, repository};

#[derive(Debug, Parser)]
#[command(about = "Counts stops that nothing calls for, in hours of simulated work. Use a release build.")]
struct Arguments {
    /// Hours of work.
    #[arg(long, default_value_t = 100.0)]
    hours: f64,
    /// Runs of the demo skill that are recorded and repeated, and that are run beside somebody: A..B, B not included.
    #[arg(long, value_parser = parse_seeds, default_value = "0..8")]
    seeds: Range<u64>,
    /// Of noise, lateness and losses; random where absent, and printed.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(rand::random);
    println!("seed {seed}");
    let demo = Demo::load(&repository())?;
    let recordings = demo.record(arguments.seeds)?;
    println!("{} runs recorded", recordings.len());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (began, cpu_before) = (Instant::now(), cpu_s());
    let work = demo.repeat(&recordings, Conditions::NOMINAL, arguments.hours, threads, seed)?;
    let (cpu_s, wall_s) = (cpu_s() - cpu_before, began.elapsed().as_secs_f64());
    for (of, number, at_s, state, cause) in &work.false_stops {
        println!("FALSE STOP repetition {number} of run {of}, {at_s:.3} s: {state:?}, {cause}");
    }
    println!(
        "{:.2} h in {} repetitions, {} false stops; {cpu_s:.0} s of processors in {wall_s:.0} s",
        work.hours(),
        work.repetitions,
        work.false_stops.len()
    );

    let graded = demo.throughput(&recordings, Policy::Graded)?;
    let stopped = demo.throughput(&recordings, Policy::StopOnly)?;
    let against = |with: &Throughput| with.unrestricted_s / with.duration_s;
    let share = |of: u64, throughput: &Throughput| of as f64 / throughput.passed.cycles as f64;
    let result = json!({
        "figures": {
            "hours": work.hours(),
            "false_stops": work.false_stops.len(),
            "graded_throughput": against(&graded),
            "cycles": work.cycles,
            "repetitions": work.repetitions,
            "slow_share": work.slow as f64 / work.cycles as f64,
            "deviation_rad_max": work.deviation_rad,
            "cpu_s": cpu_s,
            "wall_s": wall_s,
        },
        "reference": {
            "unrestricted_s": graded.unrestricted_s,
            "graded_failed": graded.failed,
            "stop_only_failed": stopped.failed,
            "graded_s": graded.duration_s,
            "stop_only_s": stopped.duration_s,
            "stop_only_throughput": against(&stopped),
            "graded_slow_share": share(graded.passed.slowed, &graded),
            "person_present_share": share(graded.passed.present, &graded),
            "person_nearest_m": graded.passed.nearest_m,
            "person_interval_s": INTERVAL_S,
            "person_speed_m_s": WALK_M_S,
            "person_path_y_m": GANGWAY_Y_M,
            "stop_only_release_after_s": RELEASE_AFTER_S,
            "stop_only_standing_share": share(stopped.passed.slowed, &stopped),
            "runs": recordings.len(),
        },
        "ratios": {
            "cpu_per_simulated_time": cpu_s / (work.hours() * 3600.0),
        },
    });
    println!("{result}");
    Ok(())
}

/// Processor time of this process, s.
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
