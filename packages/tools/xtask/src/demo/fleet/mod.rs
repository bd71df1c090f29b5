//! `cargo xtask demo --fleet`: a registry and two simulated cells. A good version goes out through a canary; a bad one is noticed
//! there, taken back and withdrawn, and never reaches the other cell.
//!
//! 1. The central computer ([`central`], by [`csactl`]): root ceremony, certificates of the sites, tokens of the people, the registry.
//! 2. Two cells join it ([`member`]), each in a ROS domain of its own; 1.0.0 is published and assigned to both.
//! 3. 1.1.0 goes to the canary, and after a good run there to the other cell.
//! 4. 1.2.0 has a mistake that nothing finds before an arm tries it ([`versions`]). The canary's run fails, and with it the gate; the
//!    registry takes the version back and withdraws it, by itself. The canary works again.
//! 5. What registry and bridges say then is held against what was to happen ([`verdict`]), and shown: a table, and with
//!    `--screenshot` pictures of the registry's pages ([`page`]).
//!
//! [`steps`] are what a person does, and what is waited for in between. Each command can be typed by hand: they are those of "A
//! registry for many cells" in the README.

pub mod central;
pub mod csactl;
pub mod member;
pub mod page;
pub mod steps;
pub mod times;
pub mod verdict;
pub mod versions;

use std::path::PathBuf;

use super::interrupt::Interrupt;
use super::skill::source;
use crate::compile::{self, Profile};
use crate::error::{IoContext, Result};
use crate::layout::Layout;
use crate::ros::underlay::process_variables;
use crate::ros::{RosEnv, debian};

use steps::Fleet;
use versions::{BAD, BETTER, FIRST};

/// The cells; the first is the canary of every roll-out.
const SITES: [&str; 2] = ["bench_a", "bench_b"];
const CANARY: &str = SITES[0];

/// What the user chose.
#[derive(Debug, Clone)]
pub struct Options {
    pub profile: Profile,
    /// Leave everything running at the end, until Ctrl-C.
    pub keep: bool,
    /// Take pictures of the registry's pages.
    pub screenshot: bool,
    /// Programs that are there already, for the ROS of this process's environment; nothing is compiled.
    pub executables: Option<PathBuf>,
}

/// Runs the demo; true if all of it happened.
pub fn run(layout: &Layout, options: &Options) -> Result<bool> {
    let interrupt = Interrupt::install().doing("listen for Ctrl-C in", layout.root())?;
    if options.screenshot {
        debian::ensure(layout, &debian::PAGE_TOOLS)?;
    }
    let (variables, executables) = if let Some(folder) = &options.executables {
        (process_variables(), folder.canonicalize().doing("find", folder)?)
    } else {
        let ros = RosEnv::ready(layout)?;
        (ros.variables().clone(), compile::executables(layout, &ros, options.profile)?)
    };
    let sources = source(layout);
    let mut fleet = Fleet::begin(layout, &variables, &executables, &interrupt)?;

    fleet.release(&FIRST, &sources, None)?;
    fleet.begin_with(&FIRST)?;
    fleet.release(&BETTER, &sources, Some(&FIRST))?;
    let better = fleet.roll_out_good(&BETTER)?;
    fleet.release(&BAD, &sources, Some(&BETTER))?;
    let (bad, times) = fleet.roll_out_bad(&BAD, &BETTER)?;
    fleet.run_well(CANARY, &BETTER)?;

    let facts = fleet.facts(better, bad)?;
    println!("\n{}\n{times}", verdict::table(&facts.history));
    let problems = verdict::problems(&facts);
    for problem in &problems {
        println!("✗ {problem}");
    }
    if options.screenshot {
        fleet.take_pictures(layout, &variables, bad)?;
    }
    fleet.say_where(bad);
    if options.keep {
        fleet.stay()?;
    }
    fleet.stop()?;
    Ok(problems.is_empty())
}
