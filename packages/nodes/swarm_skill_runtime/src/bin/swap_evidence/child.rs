//! The process that is killed: a cell at work, and one order after the other.
//!
//! It says on standard output, a line each: `begin KIND BEFORE AFTER` with the version that is deployed and the one that is to be
//! (`none` where there is none), then `done KIND VERSION MS WAITED` or `refused KIND REASON`; `violations N` after each. A rollback at
//! rest is of the kind `rest`.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use swarm_skill_runtime::beside::Cell as _;
use swarm_skill_runtime::deployer::Order;

use crate::cell::{Cell, robots};
use crate::versions::{self, VERSIONS, deployed, order, places};

pub(crate) fn run(root: &Path, folder: &Path, seed: u64) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    let disturbing = StdRng::seed_from_u64(random.random());
    let cell = Arc::new(Cell::new(robots(root)?, places(folder), disturbing));
    let living = Arc::clone(&cell);
    std::thread::Builder::new().name("cell".into()).spawn(move || living.live())?;
    if cell.deployer.has_deployment() {
        carry_out(&cell, folder, "reload", &Order::Reload)?;
    }
    loop {
        std::thread::sleep(Duration::from_millis(random.random_range(0..40)));
        let active = cell.deployer.active();
        let at = active.and_then(|active| VERSIONS.iter().position(|version| *version == active.version));
        let (kind, order) = match (at, random.random_range(0..4)) {
            (None, _) if cell.deployer.has_deployment() => ("reload", Order::Reload),
            (None, _) => ("deploy", order(folder, &VERSIONS[0])),
            (Some(_), _) if !cell.is_consistent() => ("reload", Order::Reload),
            (Some(0), _) => ("deploy", order(folder, &VERSIONS[random.random_range(1..3)])),
            (Some(_), 0) => ("reload", Order::Reload),
            (Some(1), 1) => ("deploy", order(folder, &VERSIONS[2])),
            (Some(_), 2) => {
                cell.idle.store(true, Ordering::SeqCst);
                while cell.motion().0.is_some() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                ("rest", Order::Rollback(None))
            }
            (Some(_), _) => ("rollback", Order::Rollback(None)),
        };
        carry_out(&cell, folder, kind, &order)?;
        cell.idle.store(false, Ordering::SeqCst);
    }
}

fn carry_out(cell: &Cell, folder: &Path, kind: &str, order: &Order) -> anyhow::Result<()> {
    let before = deployed(folder)?;
    let after = match order {
        Order::Deploy { archive, .. } => versions::of(archive)?,
        Order::Reload => before.clone(),
        Order::Rollback(_) => cell.deployer.last_good(),
    };
    say(&format!("begin {kind} {before} {after}"))?;
    let began = Instant::now();
    let outcome = cell.deployer.carry_out(order, cell);
    let ms = began.elapsed().as_secs_f64() * 1e3;
    match outcome {
        Ok(active) => {
            let waited = u8::from(active.beside.is_some());
            say(&format!("done {kind} {} {ms:.3} {waited}", active.version))?;
        }
        Err(reason) => say(&format!("refused {kind} {reason}"))?,
    }
    // The cell looks once per turn at what is in force.
    std::thread::sleep(Duration::from_millis(5));
    say(&format!("violations {}", cell.violations.load(Ordering::SeqCst)))
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("nobody listens any more")
}
