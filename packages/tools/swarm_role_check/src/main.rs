//! `role_check`: simulates and explores the protocol between roles.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use swarm_role_check::sim::{self, Sabotage};

#[derive(Debug, Parser)]
#[command(about = "Evidence about the protocol between roles that is shipped")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Play random episodes under faults.
    Simulate {
        #[arg(long, default_value_t = 100_000)]
        episodes: u64,
        /// First seed; random where absent, and printed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Explore.
    Explore {
        #[arg(long)]
        whole: bool,
    },
    /// Sabotage.
    Sabotage {
        #[arg(long, default_value_t = 20_000)]
        episodes: u64,
    },
    /// Play one seed and show every tick.
    Show { seed: u64 },
}

fn main() -> ExitCode {
    match Arguments::parse().what {
        What::Simulate { episodes, seed } => {
            let seed = seed.unwrap_or_else(|| u64::from(rand::random::<u32>()) << 20);
            println!("seed {seed}");
            let begin = std::time::Instant::now();
            let summary = sim::play_all(seed..seed + episodes, Sabotage::Nothing, 1);
            println!("{summary:?} {:?}", begin.elapsed());
            ExitCode::SUCCESS
        }
        What::Explore { whole } => {
            for search in swarm_role_check::explore::searches(whole) {
                let begin = std::time::Instant::now();
                println!("{:?} {:?}", swarm_role_check::explore::explore(search), begin.elapsed());
            }
            ExitCode::SUCCESS
        }
        What::Sabotage { episodes } => {
            for sabotage in Sabotage::ALL {
                let summary = sim::play_all(0..episodes, sabotage, 1);
                println!("{sabotage:?}: {} {:?}", summary.violations, summary.broken);
            }
            ExitCode::SUCCESS
        }
        What::Show { seed } => {
            let plan = sim::Plan::draw(seed);
            println!("{plan:#?}");
            let mut world = sim::World::new(plan, Sabotage::Nothing);
            let mut judge = sim::Judge::default();
            for _ in 0..2_600 {
                world.step();
                println!("tick {}", world.tick);
                for (index, player) in world.players.iter().enumerate() {
                    println!("  {index} {} alive {} {:?} {:?}", player.role, world.alive[index], player.deed, player.cooperation.own_report());
                }
                if let Some(broken) = judge.look(&world) {
                    println!("{broken:?}");
                    break;
                }
                if world.has_ended() {
                    break;
                }
            }
            ExitCode::SUCCESS
        }
    }
}
