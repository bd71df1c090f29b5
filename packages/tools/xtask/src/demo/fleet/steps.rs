//! Registry and cells while they run, and the steps of the demo: what a person does, and what is waited for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use swarm_api::artifact::Status;
use swarm_rollout::State;

use super::central::Central;
use super::member::{Common, Member, Run};
use super::page;
use super::times::Times;
use super::verdict::Facts;
use super::versions::Version;
use super::{CANARY, SITES};
use crate::demo::interrupt::Interrupt;
use crate::demo::machine::PermitTimeout;
use crate::demo::operator::Progress;
use crate::demo::run_folder::RunFolder;
use crate::demo::skill::{SKILL, Signers};
use crate::demo::supervisor::WaitError;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::ros::domain;
use crate::ros::underlay::Variables;
use crate::ui::{Task, seconds};

/// For a cell to download, check and take up an artifact, and for a stage to pass, on a machine that does everything at once.
const TAKE_UP_LIMIT: Duration = Duration::from_mins(4);
/// Between two looks at the registry.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The usual reason why a good version does not do well.
const BUSY: &str = "Two simulated cells need two processors that are not busy otherwise: where the safety monitor names a time-out, \
                    try again with less beside it";

/// Registry and cells, running.
#[derive(Debug)]
pub struct Fleet {
    // In this order they end when it is dropped: nobody misses a registry that is still there.
    members: Vec<Member>,
    central: Central,
    folder: PathBuf,
}

impl Fleet {
    /// Starts registry and cells.
    pub fn begin(
        layout: &Layout,
        variables: &Variables,
        executables: &Path,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let run = RunFolder::create(layout)?;
        let permit = PermitTimeout::for_several_cells();
        println!("{permit}");
        println!("everything of this run is in {}", run.path().display());

        let task = Task::start("root ceremony, certificates, tokens, registry");
        let signers = Signers::appoint(run.path(), executables)?;
        let central = Central::begin(&run, executables, signers.clone(), interrupt.clone())?;
        task.done();
        println!("registry: {}", central.url());

        let domains = domain::free(SITES.len(), std::process::id())?;
        let names: Vec<String> =
            SITES.iter().zip(&domains).map(|(site, it)| format!("{site} (ROS domain {it})")).collect();
        let task = Task::start(format!("start {}", names.join(" and ")));
        let common =
            Common { layout, run: &run, executables, signers: &signers, permit, variables, interrupt };
        let members = SITES.into_iter().zip(domains);
        let members = members.map(|(site, domain)| Member::start(site, domain, &common, &central));
        let members = members.collect::<Result<_>>()?;
        task.done();
        Ok(Self { members, central, folder: run.path().to_path_buf() })
    }

    pub fn release(&mut self, version: &Version, sources: &Path, parent: Option<&Version>) -> Result<()> {
        let Version { number, about, .. } = version;
        let task = Task::start(format!("sign, upload and publish {number}: {about}"));
        self.central.release(version, sources, parent)?;
        task.done();
        Ok(())
    }

    /// Gives every cell its first version, and has it work with it.
    pub fn begin_with(&mut self, version: &Version) -> Result<()> {
        let task = Task::start(format!("assign {} to both cells", version.number));
        self.central.assign(version, &SITES)?;
        for site in SITES {
            self.await_running(site, version)?;
        }
        task.done();
        SITES.into_iter().try_for_each(|site| self.run_well(site, version))
    }

    /// A roll-out that is to pass: every cell works with the version as soon as it has it. Gives its number.
    pub fn roll_out_good(&mut self, version: &Version) -> Result<i64> {
        let id = self.central.roll_out(version, CANARY)?;
        for site in SITES {
            let task = Task::start(format!("roll-out {id} of {}: {site} takes it up", version.number));
            self.await_taken(id, site, version)?;
            task.done();
            self.run_well(site, version)?;
        }
        let what = format!("the end of roll-out {id} of {}", version.number);
        let task = Task::start(format!("roll-out {id} of {} passes its last stage", version.number));
        self.wait_for(&what, |central| match central.rollout(id)?.rollout.state {
            State::Done { .. } => Ok(Some(())),
            State::Failed { reason, .. } => Err(failed_though_good(version, &reason)),
            _ => Ok(None),
        })?;
        task.done();
        Ok(id)
    }

    /// A roll-out that is to fail at the canary, which goes back to `before`. Gives its number, and how long what took.
    pub fn roll_out_bad(&mut self, version: &Version, before: &Version) -> Result<(i64, Times)> {
        let number = version.number;
        let id = self.central.roll_out(version, CANARY)?;
        let task = Task::start(format!("roll-out {id} of {number}: {CANARY} takes it up"));
        self.await_taken(id, CANARY, version)?;
        task.done();
        let task = Task::start(format!("{CANARY} works with {number}"));
        let run = self.execute(CANARY, &task)?;
        if run.execution.succeeded() {
            let problem =
                format!("{number} grips beside the part, and its run {run}: is the mistake still in it?");
            return Err(Error::Failed(problem));
        }
        let ended = Instant::now();
        task.done();
        println!("  {run}");

        let task =
            Task::start(format!("the gate of roll-out {id} fails; {number} is taken back and withdrawn"));
        let why = self.wait_for(&format!("the failure of roll-out {id}"), |central| {
            match central.rollout(id)?.rollout.state {
                State::Failed { reason, .. } => Ok(Some(reason)),
                State::Done { .. } => Err(Error::Failed(format!("roll-out {id} of {number} has passed"))),
                _ => Ok(None),
            }
        })?;
        let noticed = ended.elapsed();
        self.wait_for(&format!("the quarantine of {number}"), |central| {
            Ok((central.artifact(version)?.status == Status::Quarantined).then_some(()))
        })?;
        let withdrawn = ended.elapsed();
        self.await_running(CANARY, before)?;
        let back = ended.elapsed();
        task.done();
        Ok((id, Times { why, noticed, withdrawn, back }))
    }

    /// Waits until a cell has from a roll-out what it is to have.
    fn await_taken(&mut self, id: i64, site: &str, version: &Version) -> Result<()> {
        let number = version.number;
        self.wait_for(&format!("{site} on {SKILL} {number}"), |central| {
            if let State::Failed { reason, .. } = central.rollout(id)?.rollout.state {
                let problem =
                    format!("roll-out {id} of {number} failed before {site} had it: {reason}. {BUSY}");
                return Err(Error::Failed(problem));
            }
            runs(central, site, version)
        })
    }

    fn await_running(&mut self, site: &str, version: &Version) -> Result<()> {
        let what = format!("{site} on {SKILL} {}", version.number);
        self.wait_for(&what, |central| runs(central, site, version))
    }

    pub fn run_well(&mut self, site: &str, version: &Version) -> Result<()> {
        let task = Task::start(format!("{site} works with {}", version.number));
        let run = self.execute(site, &task)?;
        if !run.execution.succeeded() {
            return Err(failed_though_good(version, &format!("the run on {site} {run}")));
        }
        task.done();
        Ok(())
    }

    /// One run on a cell, shown as it goes on.
    fn execute(&mut self, site: &str, task: &Task) -> Result<Run> {
        let Some(member) = self.members.iter_mut().find(|member| member.site == site) else {
            return Err(Error::Failed(format!("no cell is called {site}")));
        };
        task.set_length(100);
        member.run_skill(|Progress { share, text }| {
            task.advance_to((share * 100.0) as u64);
            task.say(text.as_str());
        })
    }

    /// Asks the registry until it answers what is waited for. Ends early when the user interrupts, or when registry or cells fail.
    fn wait_for<T>(&mut self, what: &str, mut ask: impl FnMut(&Central) -> Result<Option<T>>) -> Result<T> {
        let deadline = Instant::now() + TAKE_UP_LIMIT;
        loop {
            if let Some(found) = ask(&self.central)? {
                return Ok(found);
            }
            self.look_after(what)?;
            if Instant::now() > deadline {
                let (limit, cells) = (seconds(TAKE_UP_LIMIT), self.central.cells_text()?);
                let logs = self.folder.join(CANARY).join("logs");
                return Err(Error::Failed(format!(
                    "{what} did not come within {limit}; the cells, as the registry knows them:\n{cells}\
                     what the nodes say: {}, and so for each cell",
                    logs.display()
                )));
            }
            sleep(LOOK_EVERY);
        }
    }

    fn look_after(&mut self, what: &str) -> std::result::Result<(), WaitError> {
        self.central.look_after(what)?;
        self.members.iter_mut().try_for_each(|member| member.look_after(what))
    }

    /// What registry and bridges say now.
    pub fn facts(&mut self, better: i64, bad: i64) -> Result<Facts> {
        let task = Task::start("ask registry and bridges what became of it all");
        let mut bridges = BTreeMap::new();
        for member in &mut self.members {
            bridges.insert(member.site.to_owned(), member.bridge()?);
        }
        let facts = Facts {
            artifacts: self.central.artifacts()?,
            cells: self.central.cells()?,
            history: self.central.history()?.items,
            better: self.central.rollout(better)?.rollout.state,
            bad: self.central.rollout(bad)?.rollout.state,
            bridges,
        };
        task.done();
        Ok(facts)
    }

    pub fn take_pictures(&self, layout: &Layout, variables: &Variables, rollout: i64) -> Result<()> {
        let task = Task::start("take pictures of the registry's pages");
        let pages = [
            ("rollout", format!("/rollouts/{rollout}")),
            ("cells", "/cells".to_owned()),
            ("artifacts", "/".to_owned()),
        ];
        let pictures = pages.map(|(name, path)| (path, self.folder.join(format!("{name}.png"))));
        page::take(layout, variables, &self.central, &pictures)?;
        task.done();
        for (_, picture) in pictures {
            println!("picture: {}", picture.display());
        }
        Ok(())
    }

    pub fn say_where(&self, rollout: i64) {
        println!("page:    {}/rollouts/{rollout}", self.central.url());
        println!("  sign in with the token in {}", self.central.token_file().display());
        println!(
            "  this run's own authority certified it, which browsers warn of: {}",
            self.central.authority().display()
        );
        println!("cells:   {}", self.central.how_to_look());
    }

    /// Lets everything run until the user has seen enough.
    pub fn stay(&mut self) -> Result<()> {
        println!("everything goes on running; Ctrl-C ends it");
        loop {
            match self.look_after("Ctrl-C") {
                Ok(()) => sleep(LOOK_EVERY),
                Err(WaitError::Interrupted(_)) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub fn stop(&mut self) -> Result<()> {
        let task = Task::start("stop cells and registry");
        self.members.iter_mut().try_for_each(Member::stop)?;
        self.central.stop()?;
        task.done();
        Ok(())
    }
}

/// Whether the registry knows from the cell itself that it runs the version.
fn runs(central: &Central, site: &str, version: &Version) -> Result<Option<()>> {
    let cells = central.cells()?;
    let report = cells.iter().find(|cell| cell.site_id == site).and_then(|cell| cell.report.as_ref());
    let running = report.and_then(|report| report.running.as_ref());
    Ok(running.filter(|running| running.version == version.number).map(drop))
}

fn failed_though_good(version: &Version, why: &str) -> Error {
    Error::Failed(format!("{} is a good version, and {why}. {BUSY}", version.number))
}
