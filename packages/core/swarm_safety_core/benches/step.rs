//! Time of one step for three arms with all checks: `cargo bench -p swarm_safety_core`.
//!
//! Prints percentiles in nanoseconds beside the time of the same step's forward kinematics alone, measured in turns.

use std::time::Instant;

use swarm_kinematics::JointVector;
use swarm_safety_core::step;

#[path = "../tests/it/bench.rs"]
#[allow(dead_code)] // the tests use the rest
mod bench;

const ROUNDS: usize = 200_000;

fn main() {
    let mut cell = bench::Bench::running();
    let mut verdicts = Vec::with_capacity(ROUNDS);
    let mut kinematics = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        // To and fro, so that every cycle has new positions.
        for robot in 0..3 {
            let turn = if (cell.now.0 / 1_000_000_000).is_multiple_of(2) { 1.0 } else { -1.0 };
            cell.wish[robot] = Some(bench::slow(robot) * turn);
        }
        cell.sample();
        let start = Instant::now();
        std::hint::black_box(step(&cell.config, &cell.state, &cell.inputs, cell.now));
        verdicts.push(start.elapsed().as_nanos());
        let start = Instant::now();
        for (arm, q) in cell.config.arms().iter().zip(&cell.q) {
            std::hint::black_box(arm.model.forward(std::hint::black_box::<&JointVector>(q)));
        }
        kinematics.push(start.elapsed().as_nanos());
        cell.step();
    }
    report("step", &mut verdicts);
    report("forward kinematics of 3 arms", &mut kinematics);
}

fn report(name: &str, times: &mut [u128]) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{name}: p50 {} ns, p99 {} ns, p99.9 {} ns, max {} ns over {}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        times.len()
    );
}
