//! `role_check`: simulates and explores the protocol between roles.
//!
//! `--out FILE` writes the figures as `{"figures": {..}}`, which `cargo xtask evidence` reads.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use serde_json::json;
use swarm_role_check::explore::{self, Extent};
use swarm_role_check::sim::{self, Judge, Plan, Sabotage, Summary, World};

#[derive(Debug, Parser)]
#[command(about = "Evidence about the protocol between roles that is shipped")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Random episodes under faults, deliberate faults of the protocol, and the whole exploration.
    Proof {
        #[arg(long, default_value_t = 1_000_000)]
        episodes: u64,
        /// First seed; random where absent, and printed.
        #[arg(long)]
        seed: Option<u64>,
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Play one episode, and show what every player did in every tick.
    Show { seed: u64 },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().what {
        What::Proof { episodes, seed, out } => prove(episodes, seed, out.as_deref()),
        What::Show { seed } => Ok(show(seed)),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("role_check: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything that was promised holds.
fn prove(episodes: u64, seed: Option<u64>, out: Option<&Path>) -> anyhow::Result<bool> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // Seeds follow one another; the rest of 64 bits is far enough away.
    let seed = seed.unwrap_or_else(|| u64::from(rand::random::<u32>()) << 24);
    println!("seed {seed}");
    let summary = sim::play_all(seed..seed.saturating_add(episodes), Sabotage::Nothing, threads);
    let Summary { done, replaced, ended_by_fault, ticks, .. } = summary;
    println!(
        "{} episodes, {ticks} ticks: {done} done, {replaced} with a role taken over, {ended_by_fault} ended by a fault",
        summary.episodes
    );
    for (invariant, (seed, tick)) in &summary.broken {
        println!("BROKEN {invariant:?}: seed {seed}, tick {tick}");
    }

    let mut missed = 0;
    for sabotage in Sabotage::ALL {
        let found = sim::play_all(seed..seed + sim::SABOTAGED_EPISODES, sabotage, threads).broken;
        let names: Vec<String> = found.keys().map(|invariant| format!("{invariant:?}")).collect();
        println!(
            "without {sabotage:?}: {}",
            if names.is_empty() { "MISSED".to_owned() } else { names.join(", ") }
        );
        missed += u64::from(found.is_empty());
    }

    let outcomes: Vec<_> = explore::searches(Extent::Whole).into_iter().map(explore::explore).collect();
    for outcome in &outcomes {
        println!("{}: {} states, {} transitions", outcome.search, outcome.states, outcome.transitions);
        if let Some(broken) = &outcome.broken {
            println!("BROKEN {broken}");
        }
    }
    let broken = outcomes.iter().filter(|outcome| outcome.broken.is_some()).count() as u64;
    let states: u64 = outcomes.iter().map(|outcome| outcome.states).sum();
    let violations = summary.violations + broken + missed;
    let figures = json!({
        "episodes": summary.episodes,
        "violations": violations,
        "worst_bound_ticks": summary.worst_bound_ticks,
        "states_explored": states,
        "transitions_explored": outcomes.iter().map(|outcome| outcome.transitions).sum::<u64>(),
        "depth_ticks": explore::searches(Extent::Whole).iter().map(|search| search.depth).max(),
        "allowed_bound_ticks": sim::Plan::LONGEST_END_BOUND,
        "episodes_done": done,
        "episodes_replaced": replaced,
        "episodes_ended_by_fault": ended_by_fault,
        "protocol_faults_seeded": Sabotage::ALL.len(),
        "protocol_faults_missed": missed,
    });
    if let Some(path) = out {
        let text = json!({ "figures": figures }).to_string();
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    println!("{figures}");
    Ok(violations == 0)
}

fn show(seed: u64) -> bool {
    let plan = Plan::draw(seed);
    println!("{plan:#?}");
    let (mut world, mut judge) = (World::new(plan, Sabotage::Nothing), Judge::default());
    loop {
        world.step();
        println!("tick {}", world.tick);
        for (player, alive) in world.players.iter().zip(world.alive) {
            let (role, instance, report) = (player.role, player.instance, player.cooperation.own_report());
            let mark = if alive { "" } else { " (not running)" };
            println!("  {role} {instance}{mark}: {:?} {report:?}", player.deed);
        }
        if let Some(broken) = judge.look(&world) {
            println!("BROKEN {broken:?}");
            return false;
        }
        if world.has_ended() {
            return true;
        }
    }
}
