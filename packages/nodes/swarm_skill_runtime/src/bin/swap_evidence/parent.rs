//! The process that kills, and looks at what is left.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use swarm_store::Store;

use crate::versions;

/// Orders that a child finishes before it is killed in the next one, at most.
const MOST_FINISHED: u64 = 12;
/// Longest time into an order at which it is cut short, ms; most orders that do not wait for a run take less.
const LONGEST_MS: f64 = 120.0;

#[derive(Debug, Default)]
struct Tally {
    begun: u64,
    killed: u64,
    torn: u64,
    in_motion: u64,
    waited: u64,
    rollbacks_ms: Vec<f64>,
}

pub(crate) fn run(root: &Path, deploys: u64, seed: u64) -> anyhow::Result<()> {
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().context("cannot make a folder for the store")?;
    versions::make(root, folder.path())?;
    let mut tally = Tally::default();
    while tally.begun < deploys {
        let child = start(root, folder.path(), random.random())?;
        let finish = random.random_range(0..=MOST_FINISHED);
        // Squared: early moments, when a pointer may be half flipped, are as many as late ones.
        let delay = LONGEST_MS * random.random::<f64>().powi(2);
        cut_short(child, finish, delay, &mut tally)?;
        if let Err(error) = whole(folder.path()) {
            tally.torn += 1;
            println!("torn after {} orders: {error:#}", tally.begun);
        }
        println!("{} of {deploys} orders, {} kills", tally.begun, tally.killed);
    }
    tally.rollbacks_ms.sort_by(f64::total_cmp);
    let rollbacks = &tally.rollbacks_ms;
    let (Some(slowest), Some(median)) = (rollbacks.last(), rollbacks.get(rollbacks.len() / 2)) else {
        bail!("no rollback at rest came to its end");
    };
    let figures = json!({
        "deploys": tally.begun,
        "killed": tally.killed,
        "torn": tally.torn,
        "in_motion": tally.in_motion,
        "waited": tally.waited,
        "rollbacks_at_rest": rollbacks.len(),
        "rollback_ms_p50": median,
        "rollback_ms_p100": slowest,
    });
    println!("{}", json!({ "figures": figures }));
    Ok(())
}

fn start(root: &Path, folder: &Path, seed: u64) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.arg("--root").arg(root).arg("--child").arg(folder).args(["--seed", &seed.to_string()]);
    command.stdout(Stdio::piped()).spawn().context("cannot start the child")
}

/// Lets the child finish some orders, and kills it `delay_ms` after it has begun the next one.
fn cut_short(mut child: Child, finish: u64, delay_ms: f64, tally: &mut Tally) -> anyhow::Result<()> {
    let out = child.stdout.take().context("the child has no output")?;
    let read = follow(BufReader::new(out), finish, tally);
    std::thread::sleep(Duration::from_secs_f64(delay_ms / 1e3));
    // Its own child only, by its handle.
    child.kill().context("cannot kill the child")?;
    child.wait().context("cannot wait for the child")?;
    tally.killed += 1;
    read
}

/// Reads what the child says until it has begun one more than `finish` orders.
fn follow(mut out: BufReader<ChildStdout>, finish: u64, tally: &mut Tally) -> anyhow::Result<()> {
    let mut begun = 0;
    let mut violations = 0;
    while begun <= finish {
        let mut line = String::new();
        ensure!(out.read_line(&mut line)? > 0, "the child has ended by itself");
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["begin", _] => begun += 1,
            ["done", kind, _, ms, waited] => {
                tally.waited += u64::from(waited == "1");
                if kind == "rest" {
                    tally.rollbacks_ms.push(ms.parse().context("no number of milliseconds")?);
                }
            }
            ["violations", count] => violations = count.parse().context("no number of violations")?,
            _ => bail!("an order was not carried out: {line}"),
        }
    }
    tally.begun += begun;
    tally.in_motion += violations;
    Ok(())
}

/// Whether the store says what is deployed, and that verifies: pointer, signatures, hash, every file.
fn whole(folder: &Path) -> anyhow::Result<()> {
    let places = versions::places(folder);
    let store = Store::open(&places.store)?;
    let trust = swarm_store::read_trust(&places.trust_file)?;
    match store.current(&trust)? {
        Some(object) => {
            let version = &object.manifest().skill.version;
            ensure!(versions::VERSIONS.contains(version), "version {version} is deployed, which nobody made");
        }
        // Killed in the first deployment.
        None => ensure!(!places.store.join("deployed.json").exists(), "the pointer names nothing"),
    }
    Ok(())
}
