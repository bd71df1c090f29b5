//! A fleet that is given a bad artifact.
//!
//! *Canary*: a roll-out has reached its first stage when the defect shows, and a tenth of the fleet cannot be reached at that moment.
//! The registry has to notice by itself, take everything back and quarantine the artifact.
//! *Fleet*: the gates were passed, every cell has it, and a person finds the defect: `csactl rollback ALL`, `csactl quarantine`.
//!
//! In both it is measured from the moment when the defect is known (the first stop that a cell's safety monitor says; the person's
//! command) until every cell that can be reached is back on the last good artifact and the bad one is quarantined, and then for each cell
//! that could not be reached, from the return of its link. Nothing is exchanged in motion, so a cell may have to wait for the end of a
//! run: `seconds` and `return_with_motion_s` have that in them, from `return_s` the time in which the cell moved is taken off.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use swarm_api::artifact::{Artifact, Status};
use swarm_api::cell::CellPage;
use swarm_api::deployment::Deploy;
use swarm_api::update::Versions;
use swarm_artifact::ArtifactId;
use swarm_base::Shutdown;
use swarm_rollout::RolloutStatus;

use crate::artifacts::Made;
use crate::bed::{Bed, SKILL};
use crate::cell::{Cell, Installed, WallClock};
use crate::link::{Link, Weather};
use crate::runtime::{Defect, Pace};
use crate::wait::{until, until_true};

const PACE: Pace = Pace { run_ms: (300, 2_000), pause_ms: (200, 1_000) };
/// For what is not measured.
const PATIENCE: Duration = Duration::from_mins(3);
/// A fleet that needs longer has failed.
const LONGEST: Duration = Duration::from_mins(1);
const TICK: Duration = Duration::from_millis(10);

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) cells: usize,
    /// Of an artifact.
    pub(crate) kib: usize,
    pub(crate) seed: u64,
}

struct Fleet {
    cells: Arc<Vec<Cell>>,
    /// The first so many.
    canaries: usize,
    /// Cells that will not be reached, and their links.
    offline: Vec<(usize, Link)>,
    defect: Arc<Defect>,
    shutdown: Shutdown,
    ticking: thread::JoinHandle<()>,
}

/// What one scene came to.
struct Scene {
    seconds: f64,
    return_s: f64,
    return_with_motion_s: f64,
    had_it: usize,
}

/// Plays both scenes below `work`; gives `{figures, reference, ratios}`.
pub(crate) fn drill(work: &Path, size: Size) -> Result<Value> {
    let bed = Bed::new(work, size.kib)?;
    let good = bed.publish("1.0.0")?;
    let fleet = Fleet::start(&bed, work, size)?;
    let names: Vec<_> = fleet.cells.iter().map(|cell| cell.site_id.clone()).collect();
    until("every cell reports", PATIENCE, || {
        let page: CellPage = bed.http.get("/api/v1/cells?limit=1000")?;
        Ok((page.items.iter().filter(|cell| cell.online).count() == names.len()).then_some(()))
    })?;
    let all = json!([{"name": "all", "percent": 100}]);
    let passing =
        json!({"observe_s": 0, "min_runs": 0, "min_success_rate": 0.0, "max_safety_violations": 1_000_000});
    reach_everybody(&bed, work, &fleet, &good, &all, &passing)?;

    let canary = canary_scene(&bed, work, &fleet, &good)?;
    let found_late = bed.publish("1.2.0")?;
    reach_everybody(&bed, work, &fleet, &found_late, &all, &passing)?;
    let whole = fleet_scene(&bed, &fleet, &good, &found_late)?;
    let long_poll_s = long_poll(&bed, size.cells, &good)?;

    let sum = |of: fn(&Cell) -> u64| fleet.cells.iter().map(of).sum::<u64>();
    let swapped = sum(|cell| cell.runtime.notes.swapped_in_motion.load(Ordering::Relaxed));
    let unverified = sum(|cell| cell.runtime.notes.given_unverified.load(Ordering::Relaxed));
    let bad_runs = sum(|cell| cell.runtime.notes.bad_runs.load(Ordering::Relaxed));
    let offline = fleet.offline.len();
    fleet.end(bed);
    let seconds = canary.seconds.max(whole.seconds);
    Ok(json!({
        "figures": {
            "cells": size.cells,
            "seconds": seconds,
            "return_s": canary.return_s.max(whole.return_s),
            "swapped_in_motion": swapped,
            "unverified": unverified,
            "canary_seconds": canary.seconds,
            "canary_had_it": canary.had_it,
            "canary_return_s": canary.return_s,
            "fleet_seconds": whole.seconds,
            "fleet_had_it": whole.had_it,
            "fleet_return_s": whole.return_s,
            "return_with_motion_s": canary.return_with_motion_s.max(whole.return_with_motion_s),
            "offline": offline,
            "bad_runs": bad_runs,
        },
        "reference": { "long_poll_s": long_poll_s },
        "ratios": { "ratio_long_poll": seconds / long_poll_s },
    }))
}

fn canary_scene(bed: &Bed, work: &Path, fleet: &Fleet, good: &Made) -> Result<Scene> {
    let bad = bed.publish("1.1.0")?;
    let canaries: Vec<_> = fleet.cells.iter().take(fleet.canaries).map(|cell| &cell.site_id).collect();
    let stages = json!([{"name": "canary", "cells": canaries}, {"name": "all", "percent": 100}]);
    let gates = json!({"observe_s": 3600, "min_runs": 1_000_000, "min_success_rate": 0.9, "max_safety_violations": 0});
    let id = roll_out(bed, work, fleet, &bad, &stages, &gates)?;
    until_true("every canary takes the artifact up", PATIENCE, || {
        fleet.cells.iter().take(fleet.canaries).all(|cell| cell.runtime.in_force() == Some(bad.id))
    })?;
    fleet.cut();
    fleet.defect.set(Some(bad.id));
    let reachable = fleet.reachable();
    let begun = until("a canary's safety monitor stops it", PATIENCE, || {
        Ok(reachable.iter().filter_map(|cell| cell.runtime.notes.first_bad.get()).min().copied())
    })?;
    let seconds = fleet.back(bed, good.id, bad.id, begun)?;
    let status: RolloutStatus = bed.http.get(&format!("/api/v1/rollouts/{id}"))?;
    let state = status.rollout.state.name();
    ensure!(state == "failed", "the roll-out of the bad artifact is {state}, expected that it failed");
    fleet.come_back(good.id, bad.id, seconds)
}

fn fleet_scene(bed: &Bed, fleet: &Fleet, good: &Made, bad: &Made) -> Result<Scene> {
    fleet.cut();
    fleet.defect.set(Some(bad.id));
    let (to, reason) = (format!("{SKILL}@{}", good.version), "the drill");
    let begun = Instant::now();
    bed.operator(&["rollback", "ALL", "--to", &to, "--reason", reason, "--yes"])?;
    bed.operator(&["quarantine", &bad.id.to_string(), "--reason", reason])?;
    let seconds = fleet.back(bed, good.id, bad.id, begun)?;
    fleet.come_back(good.id, bad.id, seconds)
}

/// A roll-out that every cell takes up.
fn reach_everybody(
    bed: &Bed,
    work: &Path,
    fleet: &Fleet,
    made: &Made,
    stages: &Value,
    gates: &Value,
) -> Result<()> {
    let id = roll_out(bed, work, fleet, made, stages, gates)?;
    until("a roll-out to every cell ends", PATIENCE, || {
        let status: RolloutStatus = bed.http.get(&format!("/api/v1/rollouts/{id}"))?;
        let state = status.rollout.state.name();
        ensure!(state != "failed", "the roll-out of {} failed: {:?}", made.version, status.history);
        let everywhere = fleet.cells.iter().all(|cell| cell.runtime.in_force() == Some(made.id));
        Ok((state == "done" && everywhere).then_some(()))
    })
}

fn roll_out(
    bed: &Bed,
    work: &Path,
    fleet: &Fleet,
    made: &Made,
    stages: &Value,
    gates: &Value,
) -> Result<u64> {
    let names: Vec<_> = fleet.cells.iter().map(|cell| &cell.site_id).collect();
    let artifact = format!("{SKILL}@{}", made.version);
    let plan = json!({"artifact": artifact, "cells": {"named": names}, "stages": stages, "gates": gates});
    let path = work.join("plan.yaml");
    fs::write(&path, serde_json::to_string_pretty(&plan)?)?;
    let status = bed.operator(&["rollout", "start", &path.display().to_string()])?;
    serde_json::from_value(status["id"].clone()).map_err(Into::into)
}

impl Fleet {
    fn start(bed: &Bed, work: &Path, size: Size) -> Result<Self> {
        let canaries = (size.cells / 5).max(2);
        let offline_canaries = (size.cells / 20).clamp(1, canaries - 1);
        let others = (size.cells / 10).saturating_sub(offline_canaries).max(1);
        let offline: BTreeSet<_> = (0..offline_canaries).chain(size.cells - others..size.cells).collect();
        let (clock, defect, shutdown) = (Arc::new(WallClock::default()), Arc::default(), Shutdown::new());
        let (mut cells, mut links) = (Vec::new(), Vec::new());
        for index in 0..size.cells {
            let mut registry = bed.registry.url();
            if offline.contains(&index) {
                let link = Link::open(bed.registry.address, size.seed)?;
                registry = format!("http://{}", link.address);
                links.push((index, link));
            }
            let site_id = format!("cell-{index:03}");
            let installed = Installed::at(bed, &site_id, &registry, &work.join("cells").join(&site_id), PACE);
            cells.push(Cell::start(installed, &clock, &defect, &shutdown)?);
        }
        let cells = Arc::new(cells);
        let ticking = {
            let (cells, shutdown) = (Arc::clone(&cells), shutdown.clone());
            thread::Builder::new().name("time".to_owned()).spawn(move || {
                while !shutdown.is_requested() {
                    cells.iter().for_each(|cell| cell.tick(Instant::now()));
                    thread::sleep(TICK);
                }
            })?
        };
        Ok(Self { cells, canaries, offline: links, defect, shutdown, ticking })
    }

    /// Every second link ends, and on the others nothing arrives any more.
    fn cut(&self) {
        let weather = [Weather::Cut, Weather::Stalled].into_iter().cycle();
        self.offline.iter().zip(weather).for_each(|((_, link), weather)| link.set(weather));
    }

    fn mend(&self) {
        self.offline.iter().for_each(|(_, link)| link.set(Weather::Fine));
    }

    fn reachable(&self) -> Vec<&Cell> {
        let offline: BTreeSet<_> = self.offline.iter().map(|(index, _)| *index).collect();
        let cells = self.cells.iter().enumerate();
        cells.filter(|(index, _)| !offline.contains(index)).map(|(_, cell)| cell).collect()
    }

    /// Waits until every cell that can be reached is back and the artifact is quarantined; gives the seconds since `begun`.
    fn back(&self, bed: &Bed, good: ArtifactId, bad: ArtifactId, begun: Instant) -> Result<f64> {
        let reachable = self.reachable();
        let quarantined = until("the bad artifact is quarantined", LONGEST, || {
            let artifact: Artifact = bed.http.get(&format!("/api/v1/csa/{bad}"))?;
            Ok((artifact.status == Status::Quarantined).then(Instant::now))
        })?;
        until_true("every cell that can be reached is back", LONGEST, || {
            reachable.iter().all(|cell| cell.runtime.in_force() == Some(good))
        })?;
        let left = reachable.iter().filter_map(|cell| since(cell, good, begun));
        let last = left.max().unwrap_or(quarantined).max(quarantined);
        Ok(last.duration_since(begun).as_secs_f64())
    }

    /// The links return, and with them the cells that could not be reached.
    fn come_back(&self, good: ArtifactId, bad: ArtifactId, seconds: f64) -> Result<Scene> {
        let holders: Vec<_> = self.offline.iter().map(|(index, _)| &self.cells[*index]).collect();
        let holders: Vec<_> =
            holders.into_iter().filter(|cell| cell.runtime.in_force() == Some(bad)).collect();
        ensure!(!holders.is_empty(), "no cell that could not be reached has the bad artifact");
        let moved: Vec<_> = holders.iter().map(|cell| cell.runtime.moved()).collect();
        let returned = Instant::now();
        self.mend();
        let mut back = vec![None; holders.len()];
        until_true("every cell whose link returned is back", LONGEST, || {
            for ((cell, back), moved) in holders.iter().zip(&mut back).zip(&moved) {
                if back.is_none() && cell.runtime.in_force() == Some(good) {
                    let at = since(cell, good, returned).unwrap_or_else(Instant::now);
                    let whole = at.saturating_duration_since(returned);
                    *back = Some((whole, whole.saturating_sub(cell.runtime.moved().saturating_sub(*moved))));
                }
            }
            back.iter().all(Option::is_some)
        })?;
        self.defect.set(None);
        let longest = |of: fn(&(Duration, Duration)) -> Duration| {
            back.iter().flatten().map(of).max().unwrap_or_default()
        };
        let had_it = self.cells.iter().filter(|cell| ever_held(cell, bad)).count();
        Ok(Scene {
            seconds,
            return_s: longest(|back| back.1).as_secs_f64(),
            return_with_motion_s: longest(|back| back.0).as_secs_f64(),
            had_it,
        })
    }

    fn end(self, bed: Bed) {
        self.shutdown.request();
        // A panic in it has been printed where it happened.
        let _ = self.ticking.join();
        // Whoever waits for the registry's news waits no longer.
        drop(bed);
        Arc::into_inner(self.cells).into_iter().flatten().for_each(Cell::join);
    }
}

/// When the cell got the artifact that it has, if that was later than `after`.
fn since(cell: &Cell, artifact: ArtifactId, after: Instant) -> Option<Instant> {
    let held = cell.runtime.notes.held.lock().unwrap_or_else(PoisonError::into_inner);
    held.last().filter(|(at, held)| *held == artifact && *at >= after).map(|(at, _)| *at)
}

fn ever_held(cell: &Cell, artifact: ArtifactId) -> bool {
    let held = cell.runtime.notes.held.lock().unwrap_or_else(PoisonError::into_inner);
    held.iter().any(|(_, held)| *held == artifact)
}

/// What nobody can do without: as many bare clients as there are cells wait for news of the director; seconds from an assignment to the
/// last of their answers. Nothing is signed, believed or exchanged in it.
fn long_poll(bed: &Bed, clients: usize, made: &Made) -> Result<f64> {
    let versions: Versions = bed.http.get("/api/v1/update/director/versions")?;
    let path = format!("/api/v1/update/director/versions?newer_than={}&wait_s=25", versions.timestamp);
    let artifact: Artifact = bed.http.get(&format!("/api/v1/csa/{}", made.id))?;
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..clients)
            .map(|_| scope.spawn(|| bed.http.get::<Versions>(&path).map(|_| Instant::now())))
            .collect();
        // Until all of them wait.
        thread::sleep(Duration::from_secs(1));
        let begun = Instant::now();
        let spare =
            Deploy { site_id: "spare".to_owned(), csa_id: artifact.id, reason: "the drill".to_owned() };
        bed.http.post("/api/v1/deployments", &spare)?;
        let mut last = begun;
        for client in waiting {
            let answered = client.join().map_err(|_| anyhow::anyhow!("a client broke off"))??;
            last = last.max(answered);
        }
        Ok(last.duration_since(begun).as_secs_f64())
    })
}
