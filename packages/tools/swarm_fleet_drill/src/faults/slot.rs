//! One cell at a time, run after run: its process, its link, its disk, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use swarm_api::artifact::Artifact;
use swarm_api::deployment::Deploy;
use swarm_artifact::{ArchiveDigest, ArtifactId};

use super::LONGEST;
use super::child::{PACE, Process, Said};
use super::disk::Disk;
use super::judge::{Finding, Judge};
use super::plan::{Fault, Plan};
use crate::artifacts::Made;
use crate::bed::Bed;
use crate::cell::Installed;
use crate::link::{Link, Weather};

const LOOK_EVERY: Duration = Duration::from_millis(2);
/// A cell at work is judged so often.
const JUDGE_EVERY: Duration = Duration::from_millis(50);
/// As a supervisor does it with a program that ended.
const RESTART_AFTER: Duration = Duration::from_millis(30);
/// Room for three of the four versions: what runs, what was last good and what is wanted. So the cache has to choose.
const CACHE_LIMIT_BYTES: u64 = 1_600 << 10;

/// What all cells have around them.
#[derive(Debug)]
pub(crate) struct World<'a> {
    bed: &'a Bed,
    made: BTreeMap<ArtifactId, Made>,
    /// What can be assigned, with its number in the registry.
    versions: Vec<(ArtifactId, i64)>,
}

impl<'a> World<'a> {
    pub(crate) fn new(bed: &'a Bed, versions: &[&str]) -> Result<Self> {
        let mut world = Self { bed, made: BTreeMap::new(), versions: Vec::new() };
        for version in versions {
            let made = bed.publish(version)?;
            let artifact: Artifact = bed.http.get(&format!("/api/v1/csa/{}", made.id))?;
            world.versions.push((made.id, artifact.id));
            world.made.insert(made.id, made);
        }
        Ok(world)
    }
}

/// What came of the runs.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) runs: u64,
    pub(crate) torn: u64,
    pub(crate) unverified: u64,
    pub(crate) swapped_in_motion: u64,
    /// Seconds from the last fault, of each run that converged.
    pub(crate) converged_s: Vec<f64>,
    /// The same without faults, from the assignment.
    pub(crate) calm_s: Vec<f64>,
    pub(crate) judged: u64,
    pub(crate) kills: u64,
    pub(crate) ends_by_itself: u64,
    pub(crate) cuts: u64,
    pub(crate) stalls: u64,
    pub(crate) bytes_changed: u64,
    pub(crate) full_disks: u64,
    pub(crate) clock_jumps: u64,
    pub(crate) damaged_files: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.torn += other.torn;
        self.unverified += other.unverified;
        self.swapped_in_motion += other.swapped_in_motion;
        self.converged_s.extend(other.converged_s);
        self.calm_s.extend(other.calm_s);
        self.judged += other.judged;
        self.kills += other.kills;
        self.ends_by_itself += other.ends_by_itself;
        self.cuts += other.cuts;
        self.stalls += other.stalls;
        self.bytes_changed += other.bytes_changed;
        self.full_disks += other.full_disks;
        self.clock_jumps += other.clock_jumps;
        self.damaged_files += other.damaged_files;
    }
}

#[derive(Debug)]
pub(crate) struct Slot<'a> {
    world: &'a World<'a>,
    link: Link,
    disk: Disk,
    installed: Installed,
    process: Option<Process>,
    /// It is not started before.
    down_until: Instant,
    clock_offset_s: i64,
    /// Index of what is assigned.
    wanted: usize,
    /// What this disk's cell was ever assigned.
    assigned: BTreeSet<ArtifactId>,
    damaged: BTreeSet<ArtifactId>,
    judged: Instant,
    /// The same fault is reported once.
    found: Vec<Finding>,
    tally: Tally,
}

/// A fault's beginning or end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    Begins,
    Ends,
}

impl<'a> Slot<'a> {
    pub(crate) fn open(world: &'a World<'a>, work: &Path, index: u64, seed: u64) -> Result<Self> {
        let link = Link::open(world.bed.registry.address, seed.wrapping_add(index << 32))?;
        let disk = Disk::open(&work.join(format!("disk-{index}")))?;
        disk.exchange()?;
        let (site_id, registry) = (format!("cell-{index}"), format!("http://{}", link.address));
        let installed = Installed::at(world.bed, &site_id, &registry, &disk.cell(), PACE);
        let now = Instant::now();
        Ok(Self {
            world,
            link,
            disk,
            installed: Installed { cache_limit_bytes: CACHE_LIMIT_BYTES, ..installed },
            process: None,
            down_until: now,
            clock_offset_s: 0,
            wanted: 0,
            assigned: BTreeSet::new(),
            damaged: BTreeSet::new(),
            judged: now,
            found: Vec::new(),
            tally: Tally::default(),
        })
    }

    pub(crate) fn can_be_filled(&self) -> bool {
        self.disk.can_be_filled()
    }

    /// One run; `number` is `None` where it is for comparison.
    pub(crate) fn run(&mut self, plan: &Plan, number: Option<u64>) -> Result<()> {
        // 1.
        if plan.new_cell {
            self.kill();
            self.disk.exchange()?;
            // What the registry assigned before still holds for it.
            self.assigned = BTreeSet::from([self.wanted_id()]);
            self.damaged.clear();
        }
        self.assign(plan.forward)?;
        self.down_until = Instant::now();
        // 2.
        let mut edges: Vec<_> = plan
            .faults
            .iter()
            .flat_map(|it| [(it.at_ms, Edge::Begins, it.fault), (it.at_ms + it.for_ms, Edge::Ends, it.fault)])
            .collect();
        edges.sort_by_key(|(at_ms, ..)| *at_ms);
        let begun = Instant::now();
        for (at_ms, edge, fault) in edges {
            self.live_until(begun + Duration::from_millis(at_ms))?;
            self.fault(edge, fault)?;
        }
        self.all_is_well()?;
        // 3.
        let well = Instant::now();
        let converged = loop {
            self.tend()?;
            let said = self.process.as_ref().map(Process::said).unwrap_or_default();
            if said.in_step && said.running == Some(self.wanted_id()) {
                break true;
            }
            if well.elapsed() > LONGEST {
                eprintln!(
                    "run {number:?} does not converge: wanted {}, {said:?}; {plan:?}",
                    self.wanted_id()
                );
                break false;
            }
            thread::sleep(LOOK_EVERY);
        };
        let seconds = well.elapsed().as_secs_f64();
        self.judge(&format!("{number:?}: {plan:?}"));
        if plan.killed_at_the_end {
            self.kill();
            self.judge(&format!("{number:?}, killed at its end: {plan:?}"));
        }
        if number.is_some() {
            self.tally.runs += 1;
        }
        ensure!(converged || number.is_some(), "a cell does not get in step without any fault");
        let times = if number.is_some() { &mut self.tally.converged_s } else { &mut self.tally.calm_s };
        times.extend(converged.then_some(seconds));
        Ok(())
    }

    pub(crate) fn end(mut self) -> Tally {
        self.kill();
        self.tally.bytes_changed = self.link.changed_bytes();
        self.tally
    }

    fn wanted_id(&self) -> ArtifactId {
        self.world.versions[self.wanted].0
    }

    fn assign(&mut self, forward: usize) -> Result<()> {
        self.wanted = (self.wanted + forward) % self.world.versions.len();
        let (id, csa_id) = self.world.versions[self.wanted];
        self.assigned.insert(id);
        let deploy =
            Deploy { site_id: self.installed.site_id.clone(), csa_id, reason: "the drill".to_owned() };
        self.world.bed.http.post("/api/v1/deployments", &deploy)
    }

    fn live_until(&mut self, moment: Instant) -> Result<()> {
        while Instant::now() < moment {
            self.tend()?;
            if self.judged.elapsed() >= JUDGE_EVERY {
                self.judge("at work");
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// What a supervisor does: a program that has ended is started again.
    fn tend(&mut self) -> Result<()> {
        if self.process.as_mut().is_some_and(Process::has_ended)
            && let Some(process) = self.process.take()
        {
            self.tally.ends_by_itself += 1;
            self.count(&process.kill());
            self.down_until = Instant::now() + RESTART_AFTER;
        }
        if self.process.is_none() && Instant::now() >= self.down_until {
            self.process = Some(Process::start(&self.installed, self.clock_offset_s)?);
        }
        Ok(())
    }

    fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            let said = process.kill();
            self.count(&said);
        }
    }

    fn count(&mut self, said: &Said) {
        self.tally.swapped_in_motion += said.swapped_in_motion;
        self.tally.unverified += said.given_unverified;
    }

    fn fault(&mut self, edge: Edge, fault: Fault) -> Result<()> {
        match (edge, fault) {
            (Edge::Begins, Fault::Kill | Fault::Damage) => {
                self.tally.kills += u64::from(self.process.is_some());
                self.kill();
                self.judge("killed");
                // Until the fault ends.
                self.down_until = Instant::now() + LONGEST;
                if fault == Fault::Damage {
                    self.damage()?;
                }
            }
            (Edge::Ends, Fault::Kill | Fault::Damage) => self.down_until = Instant::now(),
            (Edge::Begins, Fault::Cut) => {
                self.tally.cuts += 1;
                self.link.set(Weather::Cut);
            }
            (Edge::Begins, Fault::Stall) => {
                self.tally.stalls += 1;
                self.link.set(Weather::Stalled);
            }
            (Edge::Begins, Fault::Noise) => self.link.set(Weather::Noisy),
            (Edge::Ends, Fault::Cut | Fault::Stall | Fault::Noise) => self.link.set(Weather::Fine),
            (Edge::Begins, Fault::FullDisk) => {
                self.tally.full_disks += 1;
                self.disk.fill()?;
            }
            (Edge::Ends, Fault::FullDisk) => self.disk.free()?,
            (Edge::Begins, Fault::Clock(offset_s)) => {
                self.tally.clock_jumps += 1;
                self.set_clock(offset_s);
            }
            (Edge::Ends, Fault::Clock(_)) => self.set_clock(0),
            (Edge::Begins, Fault::Reassign) => self.assign(1)?,
            (Edge::Ends, Fault::Reassign) => {}
        }
        Ok(())
    }

    /// Faults of one kind that overlap end with the first of them.
    fn all_is_well(&mut self) -> Result<()> {
        self.link.set(Weather::Fine);
        self.disk.free()?;
        self.set_clock(0);
        self.down_until = self.down_until.min(Instant::now());
        Ok(())
    }

    fn set_clock(&mut self, offset_s: i64) {
        self.clock_offset_s = offset_s;
        if let Some(process) = &mut self.process {
            process.set_clock(offset_s);
        }
    }

    /// A byte of an archive in the cache of a cell that is down.
    fn damage(&mut self) -> Result<()> {
        let cache = self.disk.cell().join("bridge/cache");
        let archives = fs::read_dir(cache).into_iter().flatten().flatten().map(|entry| entry.path());
        let Some(path) = archives.into_iter().find(|path| path.to_string_lossy().ends_with(".tar.gz")) else {
            return Ok(());
        };
        let failed = || format!("cannot change '{}'", path.display());
        let mut bytes = fs::read(&path).with_context(failed)?;
        let at = bytes.len() / 2;
        let Some(byte) = bytes.get_mut(at) else { return Ok(()) };
        *byte ^= 0x10;
        // In place, which a full disk lets pass.
        let file = fs::File::options().write(true).open(&path).with_context(failed)?;
        file.write_all_at(&bytes[at..=at], at as u64).with_context(failed)?;
        self.damaged.insert(ArchiveDigest::of(&bytes).id);
        self.tally.damaged_files += 1;
        Ok(())
    }

    fn judge(&mut self, when: &str) {
        let judge = Judge {
            made: &self.world.made,
            trust: &self.world.bed.trust,
            assigned: &self.assigned,
            damaged: &self.damaged,
        };
        let found = judge.judge(&self.disk.cell());
        self.tally.judged += 1;
        self.judged = Instant::now();
        for finding in found.iter().filter(|finding| !self.found.contains(finding)) {
            eprintln!("{finding:?} ({when})");
            match finding {
                Finding::Torn(_) => self.tally.torn += 1,
                Finding::Unverified(_) => self.tally.unverified += 1,
            }
        }
        self.found = found;
    }
}
