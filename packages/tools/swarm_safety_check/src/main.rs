//! `safety_check`: explores the safety decision, mutates it, and injects faults into it.
//!
//! `--out FILE` writes the figures as `{"figures": {..}}`, which `cargo xtask evidence` reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Map, Value, json};
use swarm_safety_check::explore::invariants::INVARIANTS;
use swarm_safety_check::explore::{self, Extent, Outcome};
use swarm_safety_check::faults::{self, Found, OnBinary, Rig, published};
use swarm_safety_check::mutants::{self, Fate, MUTANTS, Mutant};

#[derive(Debug, Parser)]
#[command(about = "Evidence about the safety decision that is shipped")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Do every history of inputs, of any length or up to a depth, and judge every step.
    Explore {
        #[arg(long, value_enum, default_value_t = Length::Short)]
        length: Length,
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Build deliberate defects of the decision one by one; exploration and tests must find each.
    Mutants {
        #[arg(long, value_enum, default_value_t = Length::Short)]
        length: Length,
        /// Chooses the mutants of the short form; random where absent, and printed.
        #[arg(long)]
        seed: Option<u64>,
        /// The workspace whose core is mutated; it stays untouched.
        #[arg(long, default_value = ".")]
        root: PathBuf,
        /// Where copies are built.
        #[arg(long, default_value = SCRATCH)]
        scratch: PathBuf,
        /// Only these.
        #[arg(long)]
        only: Vec<String>,
        /// Writes who killed which, as Markdown.
        #[arg(long)]
        table: Option<PathBuf>,
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// The whole exploration and all mutants.
    Proof {
        /// The workspace whose core is mutated; it stays untouched.
        #[arg(long, default_value = ".")]
        root: PathBuf,
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Print the faults, what each must bring about, and where each is run.
    FaultList {
        #[arg(long, value_enum, default_value_t = Format::Markdown)]
        format: Format,
    },
    /// Inject what goes wrong in real cells, into every arm at random moments; the decision must find each.
    Faults {
        /// Random moments per fault and arm.
        #[arg(long, default_value_t = 1000)]
        phases: usize,
        /// Random where absent, and printed.
        #[arg(long)]
        seed: Option<u64>,
        /// Writes the faults and how they were found, as Markdown.
        #[arg(long)]
        table: Option<PathBuf>,
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

/// Where mutants are built, below the workspace's root.
const SCRATCH: &str = "target/safety-mutants";

/// How many mutants the short form tries.
const FEW: usize = 3;

/// For whom a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// packages/nodes/swarm_safety_monitor/FAULTS.md
    Markdown,
    /// tests/ros/test_faults.py
    Json,
}

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Length {
    /// Under a minute: what the tests do.
    Short,
    /// What the figures are claimed with.
    Whole,
}

fn main() -> ExitCode {
    match run(Arguments::parse().what) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("safety_check: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything that was promised holds.
fn run(what: What) -> anyhow::Result<bool> {
    match what {
        What::Explore { length, out } => {
            let (figures, holds) = explored(length)?;
            written(out.as_deref(), &figures)?;
            Ok(holds)
        }
        What::Proof { root, out } => {
            let (mut figures, explored) = explored(Length::Whole)?;
            let mutants: Vec<&'static Mutant> = MUTANTS.iter().collect();
            let (more, killed) = mutated(&root, &root.join(SCRATCH), &mutants, None)?;
            figures.extend(more);
            written(out.as_deref(), &figures)?;
            Ok(explored && killed)
        }
        What::FaultList { format } => {
            let rig = Rig::cold()?;
            match format {
                Format::Markdown => print!("{}", published::markdown(&rig.config)),
                Format::Json => println!("{:#}", published::json(&rig.config)),
            }
            Ok(true)
        }
        What::Faults { phases, seed, table, out } => {
            let (figures, holds) = injected(phases, seed, table.as_deref())?;
            written(out.as_deref(), &figures)?;
            Ok(holds)
        }
        What::Mutants { length, seed, root, scratch, only, table, out } => {
            let chosen: Vec<&'static Mutant> = match (only.as_slice(), length) {
                ([], Length::Whole) => MUTANTS.iter().collect(),
                ([], Length::Short) => {
                    let seed = seed.unwrap_or_else(rand::random);
                    println!("seed {seed}");
                    MUTANTS.sample(&mut StdRng::seed_from_u64(seed), FEW).collect()
                }
                (only, _) => only.iter().map(|id| named(id)).collect::<anyhow::Result<_>>()?,
            };
            let (figures, holds) = mutated(&root, &scratch, &chosen, table.as_deref())?;
            written(out.as_deref(), &figures)?;
            Ok(holds)
        }
    }
}

fn injected(
    phases: usize,
    seed: Option<u64>,
    table: Option<&Path>,
) -> anyhow::Result<(Map<String, Value>, bool)> {
    let seed = seed.unwrap_or_else(rand::random);
    println!("seed {seed}");
    let found = faults::inject_all(phases, seed, threads())?;
    for Found { fault, episodes, detected, worst_cycles, causes, wrong, missed } in &found {
        let (id, causes) = (fault.id, causes.join(", "));
        println!("{id}: {detected}/{episodes}, worst {worst_cycles} cycles; {causes}");
        if let Some((arm, phase)) = missed {
            println!("MISSED {id}: arm {arm}, phase {phase} of seed {seed}; other causes: {wrong:?}");
        }
    }
    if let Some(path) = table {
        let text = published::measured(&found, &Rig::cold()?.config);
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    let sum = |of: &dyn Fn(&Found) -> u32| found.iter().map(of).sum::<u32>();
    let (total, detected) = (sum(&|found| found.episodes), sum(&|found| found.detected));
    let worst = found.iter().map(|found| found.worst_cycles).max().unwrap_or(0);
    println!("{} faults, {detected} of {total} found, worst {worst} cycles", found.len());
    let on_binary = found.iter().filter(|found| !matches!(found.fault.binary, OnBinary::No(_))).count();
    let figures = json!({
        "faults": found.len(), "total": total, "detected": detected, "worst_cycles": worst,
        "faults_on_binary": on_binary,
    });
    let Value::Object(figures) = figures else { unreachable!("written as an object") };
    Ok((figures, detected == total && worst <= 2))
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn explored(length: Length) -> anyhow::Result<(Map<String, Value>, bool)> {
    let extent = match length {
        Length::Short => Extent::Short,
        Length::Whole => Extent::Whole,
    };
    let outcomes = explore::explore_all(&explore::searches(extent), threads(), &|outcome| {
        let Outcome { search, transitions, states, .. } = outcome;
        println!("{search}: {transitions} transitions, {states} states");
    })?;
    let transitions: u64 = outcomes.iter().map(|outcome| outcome.transitions).sum();
    let states: u64 = outcomes.iter().map(|outcome| outcome.states).sum();
    println!("met: {}", explore::reached(&outcomes).join(", "));
    let broken: Vec<&String> = outcomes.iter().filter_map(|outcome| outcome.broken.as_ref()).collect();
    for broken in &broken {
        println!("BROKEN {broken}");
    }
    println!("{transitions} transitions, {states} states, {} broken", broken.len());
    let whole = outcomes.iter().filter(|outcome| outcome.search.depth.is_none());
    let (any_length, any_length_states) = whole.fold((0, 0), |(transitions, states), outcome| {
        (transitions + outcome.transitions, states + outcome.states)
    });
    println!(
        "of these of any length, until nothing was new: {any_length} transitions, {any_length_states} states"
    );
    // Two more are judged apart: see `explore::invariants`.
    let figures = json!({
        "transitions": transitions, "states": states, "invariants": INVARIANTS.len() + 2, "broken": broken.len(),
        "any_length_transitions": any_length, "any_length_states": any_length_states,
    });
    let Value::Object(figures) = figures else { unreachable!("written as an object") };
    Ok((figures, broken.is_empty()))
}

fn named(id: &str) -> anyhow::Result<&'static Mutant> {
    MUTANTS.iter().find(|mutant| mutant.id == id).with_context(|| format!("no mutant is called '{id}'"))
}

fn mutated(
    root: &Path,
    scratch: &Path,
    chosen: &[&'static Mutant],
    table: Option<&Path>,
) -> anyhow::Result<(Map<String, Value>, bool)> {
    let scratch = std::path::absolute(scratch)?;
    let fates = mutants::try_all(root, &scratch, chosen, &mut |fate| {
        let Fate { mutant, invariants, tests } = fate;
        let word = if fate.killed() { "killed" } else { "SURVIVED" };
        println!("{word} {}: {} tests; {}", mutant.id, tests.len(), invariants.join(", "));
    })?;
    if let Some(path) = table {
        fs::write(path, mutants::table(&fates)).with_context(|| format!("writing {}", path.display()))?;
    }
    let count = |of: &dyn Fn(&Fate) -> bool| fates.iter().filter(|fate| of(fate)).count();
    let (killed, explored) = (count(&Fate::killed), count(&|fate| !fate.invariants.is_empty()));
    let tested = count(&|fate| !fate.tests.is_empty());
    println!("{killed} of {} mutants killed: {explored} by the exploration, {tested} by tests", fates.len());
    let mut figures = Map::new();
    figures.insert("mutants".to_owned(), json!(fates.len()));
    figures.insert("mutants_killed".to_owned(), json!(killed));
    figures.insert("mutants_killed_by_exploration".to_owned(), json!(explored));
    figures.insert("mutants_killed_by_tests".to_owned(), json!(tested));
    Ok((figures, killed == fates.len()))
}

fn written(out: Option<&Path>, figures: &Map<String, Value>) -> anyhow::Result<()> {
    let Some(path) = out else { return Ok(()) };
    let text = serde_json::to_string_pretty(&json!({ "figures": figures }))?;
    fs::write(path, text + "\n").with_context(|| format!("writing the figures to {}", path.display()))
}
