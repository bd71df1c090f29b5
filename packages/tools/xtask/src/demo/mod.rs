//! `cargo xtask demo`: a simulated cell assembles two parts with a signed skill, under the safety gate.
//!
//! 1. Make ROS ready and compile.
//! 2. Lay the run's folder ([`run_folder`], [`skill`]): the cell's declaration for this machine ([`machine`]), fresh keys, the
//!    packaged and signed skill.
//! 3. Start the nodes that the declaration lists: [`programs`] turns it into command lines, as data; [`supervisor`] starts
//!    them, notices when one ends, kills, restarts and stops them; [`interrupt`] lets Ctrl-C end a run in order.
//! 4. Do what an operator does, with the same commands ([`operator`]): deploy, reset, execute; record it.
//! 5. Stop the nodes, write the report; with `--record`, say what is in the bag ([`recording`]).
//!
//! Everything of a run is in `target/demo/<run>/`. With `--fleet`: [`fleet`].

pub mod fleet;
pub mod interrupt;
pub mod machine;
pub mod operator;
pub mod programs;
pub mod recording;
pub mod run_folder;
pub mod session;
pub mod skill;
pub mod soak;
pub mod supervisor;
pub mod trials;

use std::path::Path;
use std::process::Command;

use crate::compile::{self, Profile};
use crate::error::{IoContext, Result};
use crate::layout::Layout;
use crate::process;
use crate::ros::{RosEnv, debian};
use crate::ui::Task;

use interrupt::Interrupt;
use operator::Execution;
use recording::Summary;
use session::Session;

/// What the user chose.
#[derive(Debug, Clone)]
pub struct Options {
    /// Perturbs where the parts lie.
    pub seed: u64,
    pub profile: Profile,
    /// Write pictures of the run.
    pub view: bool,
    /// Record cameras, arms and safety state into a bag.
    pub record: bool,
    pub viewers: Viewers,
}

/// Where the skill runtime serves those who watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewers {
    /// Where the declaration says.
    AsDeclared,
    /// The same, but for metrics.
    MetricsAt(u16),
    /// Nowhere: two cells of one declaration would want the same ports.
    Off,
}

/// Runs the demo; true if the parts were assembled.
pub fn run(layout: &Layout, options: &Options) -> Result<bool> {
    let interrupt = Interrupt::install().doing("listen for Ctrl-C in", layout.root())?;
    if options.record {
        debian::ensure(layout, &debian::DRAWN_CAMERA_TOOLS)?;
    }
    let ros = RosEnv::ready(layout)?;
    let executables = compile::executables(layout, &ros, options.profile)?;
    let mut session = Session::start(layout, &ros, &executables, interrupt, options)?;
    let permit = session.permit();
    println!("{permit}");
    println!("everything of this run is in {}", session.folder().display());

    let recording = session.record(options.seed)?;
    let task = Task::start("deploy the signed skill");
    let artifact = session.package("1.0.0")?;
    session.deploy(&artifact)?;
    task.done();
    let task = Task::start("reset the safety monitor");
    session.reset()?;
    task.done();

    if options.record {
        let task = Task::start("wait until the cameras are recorded");
        session.await_capture()?;
        task.done();
    }

    let task = Task::start(format!("assemble two parts (seed {})", options.seed));
    task.set_length(100);
    let execution = session.execute(|progress| {
        task.advance_to((progress.share * 100.0) as u64);
        task.say(format!("{} · {permit}", progress.text));
    })?;
    if execution.succeeded() {
        task.done();
    } else {
        drop(task);
    }
    session.finish_recording(&recording)?;
    let bag = session.finish_capture()?;
    session.stop()?;
    report(&executables, session.folder(), &execution, bag.as_ref())?;
    if let Some(bag) = bag {
        println!("{bag}");
    }
    Ok(execution.succeeded())
}

/// Prints the summary and writes the page.
fn report(executables: &Path, folder: &Path, execution: &Execution, bag: Option<&Summary>) -> Result<()> {
    let mut command = Command::new(executables.join("swarm_report"));
    command.arg(folder.join("run.jsonl")).arg("--out").arg(folder.join("report.html"));
    if let Some(bag) = bag.and_then(|bag| bag.path().strip_prefix(folder).ok()) {
        command.arg("--recording").arg(bag);
    }
    print!("{}", process::output("writing the report", &mut command)?);
    println!("{execution}");
    Ok(())
}
