//! The measured series behind `cargo xtask evidence demo`: the demo's skill over many seeds in one running cell, emergency
//! stops in the middle of runs, and the times of deploying and rolling back.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use super::interrupt::Interrupt;
use super::session::Session;
use super::{Options, Viewers};
use crate::compile::Profile;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::ros::RosEnv;
use crate::ui::Task;

/// Part poses that are tried.
pub const SEEDS: u64 = 20;

/// Runs that are stopped by `/emergency_stop`, each as soon as an arm moves faster than the next of these, rad/s.
const STOPS_ABOVE_RAD_S: [f64; 5] = [0.05, 0.1, 0.2, 0.3, 0.4];

/// Runs that may end by themselves before each of them.
const STOP_ATTEMPTS: usize = 3;

/// Runs the series; gives the figures by name.
pub fn measure(
    layout: &Layout,
    ros: &RosEnv,
    executables: &Path,
    interrupt: Interrupt,
    task: &Task,
) -> Result<BTreeMap<String, f64>> {
    let options = Options {
        seed: 1,
        profile: Profile::Release,
        view: false,
        record: false,
        viewers: Viewers::AsDeclared,
    };
    let mut cell = Session::start(layout, ros, executables, interrupt, &options)?;
    let artifact = cell.package("1.0.0")?;

    let began = Instant::now();
    cell.deploy(&artifact)?;
    cell.reset()?;
    let deploy_to_ready_s = began.elapsed().as_secs_f64();

    task.set_length(SEEDS + STOPS_ABOVE_RAD_S.len() as u64 + 1);
    let mut succeeded = 0_u64;
    for seed in 1..=SEEDS {
        begin_anew(&mut cell, seed)?;
        let execution = cell.execute(|_| ())?;
        // The skill's own word, and the simulator's.
        let mated = cell.parts_are_mated()?;
        succeeded += u64::from(execution.succeeded() && mated);
        task.advance_to(seed);
        let truth = if mated { "mated" } else { "not mated" };
        task.line(&format!("  seed {seed}: {truth}, {execution}"));
    }

    let mut worst = 0_u64;
    for (index, above) in STOPS_ABOVE_RAD_S.into_iter().enumerate() {
        let cycles = stop_in_motion(&mut cell, index as u64 + 1, above, task)?;
        worst = worst.max(cycles);
        task.line(&format!("  emergency stop above {above} rad/s: {cycles} cycles"));
        task.advance_to(SEEDS + index as u64 + 1);
    }

    let newer = cell.package("1.1.0")?;
    cell.deploy(&newer)?;
    let began = Instant::now();
    let said = cell.rollback()?;
    let rollback_s = began.elapsed().as_secs_f64();
    if !said.contains("1.0.0") {
        return Err(Error::Failed(format!("the rollback did not lead back to version 1.0.0: {said}")));
    }
    cell.stop()?;
    Ok(BTreeMap::from([
        ("success_rate".to_owned(), succeeded as f64 / SEEDS as f64),
        ("estop_stop_cycles_max".to_owned(), worst as f64),
        ("deploy_to_ready_s".to_owned(), deploy_to_ready_s),
        ("rollback_s".to_owned(), rollback_s),
        ("seeds".to_owned(), SEEDS as f64),
        ("permit_timeout_s".to_owned(), cell.permit().seconds()),
    ]))
}

/// A run that something else ends first measures no stop, and is begun anew.
fn stop_in_motion(cell: &mut Session, seed: u64, above: f64, task: &Task) -> Result<u64> {
    for _ in 0..STOP_ATTEMPTS {
        begin_anew(cell, seed)?;
        match cell.stop_in_motion(above)? {
            Ok(cycles) => return Ok(cycles),
            Err(execution) => task.line(&format!("  no emergency stop above {above} rad/s: {execution}")),
        }
    }
    Err(Error::Failed(format!("{STOP_ATTEMPTS} runs ended before an arm moved faster than {above} rad/s")))
}

/// Everything where the trial of `seed` begins. Arms that are put elsewhere contradict their velocities, which the safety monitor holds
/// against them for some seconds.
fn begin_anew(cell: &mut Session, seed: u64) -> Result<()> {
    cell.reset_simulation(seed)?;
    cell.reset_patiently().map(drop)
}
