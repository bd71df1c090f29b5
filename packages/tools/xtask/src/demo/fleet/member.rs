//! A cell of the fleet: a ROS graph of its own, with simulator, safety monitor, skill runtime and the bridge to the registry.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::central::Central;
use crate::compile::Profile;
use crate::demo::interrupt::Interrupt;
use crate::demo::machine::PermitTimeout;
use crate::demo::operator::{Execution, Progress};
use crate::demo::run_folder::RunFolder;
use crate::demo::session::{Bench, Session};
use crate::demo::skill::{Materials, Signers};
use crate::demo::supervisor::WaitError;
use crate::demo::{Options, Viewers};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::ros::underlay::Variables;

/// In it a run has begun, on a machine that is busy for a while too.
const BEGIN_LIMIT: Duration = Duration::from_mins(2);

/// A cell that has joined the registry.
#[derive(Debug)]
pub struct Member {
    pub site: &'static str,
    session: Session,
    runs: u64,
}

/// A run of the skill on a cell.
#[derive(Debug)]
pub struct Run {
    pub execution: Execution,
    /// Of it the simulator gave up so much, because it could not keep up with the clock.
    lost_s: f64,
}

impl fmt::Display for Run {
    /// `aborted after 3.1 s: leader: .. (the simulation gave up 0.42 s of it)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (the simulation gave up {:.2} s of it)", self.execution, self.lost_s)
    }
}

/// What all cells have in common.
#[derive(Debug)]
pub struct Common<'a> {
    pub layout: &'a Layout,
    pub run: &'a RunFolder,
    pub executables: &'a Path,
    pub signers: &'a Signers,
    pub permit: PermitTimeout,
    /// Of the ROS that they run on.
    pub variables: &'a Variables,
    pub interrupt: &'a Interrupt,
}

/// What a cell's bridge says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Bridge {
    pub state: String,
    pub detail: String,
    /// Digest of what is deployed; empty = nothing.
    pub running: String,
}

impl Member {
    /// Certifies the cell, declares the registry to it, and starts its nodes in the ROS domain.
    pub fn start(site: &'static str, domain: u16, common: &Common<'_>, central: &Central) -> Result<Self> {
        let run = common.run.part(site)?;
        let materials = Materials::lay(common.layout, run.path(), common.signers.clone(), common.permit)?;
        materials.declare(&central.admit(site, run.path())?)?;
        let mut variables = common.variables.clone();
        variables.extend(BTreeMap::from([
            ("ROS_DOMAIN_ID".to_owned(), domain.to_string()),
            ("ROS_AUTOMATIC_DISCOVERY_RANGE".to_owned(), "LOCALHOST".to_owned()),
        ]));
        let bench = Bench { run, materials, permit: common.permit, variables };
        let options =
            Options { seed: 1, profile: Profile::Release, view: false, record: false, viewers: Viewers::Off };
        let session = Session::begin(bench, common.executables, common.interrupt.clone(), &options)?;
        Ok(Self { site, session, runs: 0 })
    }

    /// Puts the parts back by hand and runs the skill once, as an operator does; each run finds the parts elsewhere.
    pub fn run_skill(&mut self, mut show: impl FnMut(&Progress)) -> Result<Run> {
        self.runs += 1;
        self.session.reset_by_hand(self.runs)?;
        let deadline = Instant::now() + BEGIN_LIMIT;
        loop {
            self.session.reset_patiently()?;
            let before = self.session.simulation_lost_s()?;
            let execution = self.session.execute(&mut show)?;
            if execution.has_run() {
                let lost_s = self.session.simulation_lost_s()? - before;
                return Ok(Run { execution, lost_s });
            }
            // A machine that is held up lets the safety monitor deny motion between reset and start.
            if Instant::now() > deadline {
                let (site, seconds) = (self.site, BEGIN_LIMIT.as_secs());
                let problem = format!("{site} began no run within {seconds} s; the last answer: {execution}");
                return Err(Error::Failed(problem));
            }
        }
    }

    /// Asks the cell's bridge, over ROS.
    pub fn bridge(&mut self) -> Result<Bridge> {
        let status = self.session.bridge_status()?;
        serde_json::from_value(status).map_err(|error| Error::Malformed {
            path: format!("bridge_status of {}", self.site).into(),
            problem: error.to_string(),
        })
    }

    /// Fails when a node of the cell has ended, or the user has interrupted.
    pub fn look_after(&mut self, what: &str) -> std::result::Result<(), WaitError> {
        self.session.supervisor().look_after(what)
    }

    pub fn stop(&mut self) -> Result<()> {
        self.session.stop()
    }
}
