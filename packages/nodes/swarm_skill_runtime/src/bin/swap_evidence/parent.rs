//! The process that kills, and looks at what is left.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use swarm_store::Store;

use crate::cell::{BUSY, STAGED};
use crate::versions;

/// Orders that a child finishes before it is killed in the next one, at most.
const MOST_FINISHED: u64 = 12;
/// Longest time into an order at which it is cut short, ms; most orders that do not wait for a run take less.
const LONGEST_MS: f64 = 120.0;

#[derive(Debug, Default)]
struct Tally {
    /// Deployments and rollbacks.
    deploys: u64,
    reloads: u64,
    envelopes_refused: u64,
    flips_failed: u64,
    killed: u64,
    torn: u64,
    in_motion: u64,
    waited: u64,
    rollbacks_ms: Vec<f64>,
}

/// The versions that may be deployed now: before and after the order that a child was killed in.
#[derive(Clone, Debug, PartialEq)]
struct InFlight {
    before: String,
    after: String,
}

pub(crate) fn run(root: &Path, deploys: u64, seed: u64) -> anyhow::Result<()> {
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().context("cannot make a folder for the store")?;
    versions::make(root, folder.path())?;
    let mut tally = Tally::default();
    let mut stood = versions::deployed(folder.path())?;
    while tally.deploys < deploys {
        let child = start(root, folder.path(), random.random())?;
        let finish = random.random_range(0..=MOST_FINISHED);
        // Squared: early moments, when a pointer may be half flipped, are as many as late ones.
        let delay = LONGEST_MS * random.random::<f64>().powi(2);
        let in_flight = cut_short(child, finish, delay, &stood, &mut tally)?;
        if let Err(error) = whole(folder.path(), &in_flight) {
            tally.torn += 1;
            println!("torn after {} orders: {error:#}", tally.deploys);
        }
        stood = versions::deployed(folder.path())?;
        println!("{} of {deploys} orders, {} kills", tally.deploys, tally.killed);
    }
    tally.rollbacks_ms.sort_by(f64::total_cmp);
    let rollbacks = &tally.rollbacks_ms;
    let (Some(slowest), Some(median)) = (rollbacks.last(), rollbacks.get(rollbacks.len() / 2)) else {
        bail!("no rollback at rest came to its end");
    };
    let figures = json!({
        "deploys": tally.deploys,
        "reloads": tally.reloads,
        "killed": tally.killed,
        "torn": tally.torn,
        "in_motion": tally.in_motion,
        "waited": tally.waited,
        "envelopes_refused": tally.envelopes_refused,
        "flips_failed": tally.flips_failed,
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

/// Lets the child finish some orders, and kills it `delay_ms` after it has begun the next one. Gives what it was killed in.
fn cut_short(
    mut child: Child,
    finish: u64,
    delay_ms: f64,
    stood: &str,
    tally: &mut Tally,
) -> anyhow::Result<InFlight> {
    let mut out = BufReader::new(child.stdout.take().context("the child has no output")?);
    let mut heard = Heard::new(stood);
    let read = heard.until(&mut out, finish, tally);
    std::thread::sleep(Duration::from_secs_f64(delay_ms / 1e3));
    // Its own child only, by its handle.
    child.kill().context("cannot kill the child")?;
    child.wait().context("cannot wait for the child")?;
    tally.killed += 1;
    read?;
    // It may have come further than where it was left.
    while heard.line(&mut out, tally)? {}
    tally.in_motion += heard.violations;
    Ok(heard.in_flight)
}

/// What a child has said.
struct Heard {
    /// Version that was deployed when it began; its first reload brings that into force.
    stood: Option<String>,
    in_flight: InFlight,
    begun: u64,
    violations: u64,
}

impl Heard {
    fn new(stood: &str) -> Self {
        let in_flight = InFlight { before: stood.to_owned(), after: stood.to_owned() };
        Self { stood: Some(stood.to_owned()), in_flight, begun: 0, violations: 0 }
    }

    /// Reads until the child has begun one more than `finish` orders.
    fn until(&mut self, out: &mut impl BufRead, finish: u64, tally: &mut Tally) -> anyhow::Result<()> {
        while self.begun <= finish {
            ensure!(self.line(out, tally)?, "the child has ended by itself");
        }
        Ok(())
    }

    /// Reads a line; whether there was one.
    fn line(&mut self, out: &mut impl BufRead, tally: &mut Tally) -> anyhow::Result<bool> {
        let mut line = String::new();
        if out.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["begin", kind, before, after] => {
                self.begun += 1;
                *(if kind == "reload" { &mut tally.reloads } else { &mut tally.deploys }) += 1;
                self.in_flight = InFlight { before: before.to_owned(), after: after.to_owned() };
            }
            ["done", kind, version, ms, waited] => {
                ensure!(version == self.in_flight.after, "{kind} to {:?} gave {version}", self.in_flight);
                let stood = self.stood.take().filter(|_| kind == "reload");
                ensure!(
                    stood.as_deref().is_none_or(|stood| stood == version),
                    "{version} came into force where {stood:?} was deployed"
                );
                version.clone_into(&mut self.in_flight.before);
                tally.waited += u64::from(waited == "1");
                if kind == "rest" {
                    tally.rollbacks_ms.push(ms.parse().context("no number of milliseconds")?);
                }
            }
            ["refused", ..] if line.contains(STAGED) => {
                tally.flips_failed += 1;
                self.in_flight.after.clone_from(&self.in_flight.before);
            }
            ["refused", ..] if line.contains(BUSY) => {
                tally.envelopes_refused += 1;
                self.in_flight.after.clone_from(&self.in_flight.before);
            }
            ["violations", count] => self.violations = count.parse().context("no number of violations")?,
            _ => bail!("an order was not carried out: {line}"),
        }
        Ok(true)
    }
}

/// Whether the store says what is deployed, that it is one of the two, and that it verifies: pointer, signatures, hash, every file.
fn whole(folder: &Path, in_flight: &InFlight) -> anyhow::Result<()> {
    let places = versions::places(folder);
    let store = Store::open(&places.store)?;
    let trust = swarm_store::read_trust(&places.trust_file)?;
    let version = if let Some(object) = store.current(&trust)? {
        object.manifest().skill.version.to_string()
    } else {
        ensure!(!places.store.join("deployed.json").exists(), "the pointer names nothing");
        "none".to_owned()
    };
    ensure!(
        [&in_flight.before, &in_flight.after].contains(&&version),
        "version {version} is deployed after {in_flight:?}"
    );
    Ok(())
}
