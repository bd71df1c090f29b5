//! Deploys and rolls back while a skill runs, kills the process at random moments, and looks at what it left.
//!
//! 1. Three versions of a skill are packaged and signed: each role enters one phase and moves; the follower has the demo's policy.
//! 2. A child process ([`child`]) runs the skill over and over on arms that go where they are told, on a clock of its own, and at
//!    the same time deploys, reloads and rolls back through the runtime's own [`Deployer`], on a real store. Orders wait for the
//!    run to end, as the node's do with `swap_wait_s`. Now and then the gate refuses the envelope, and now and then the disk fails when
//!    the pointer is to be flipped, so that the gate has to be given the old envelope back.
//! 3. After a random number of orders the child is killed (SIGKILL) at a random moment of the next one, mostly in the middle of a run. What
//!    the store then says is deployed must verify, and must be the version before or after that order. The next child finds arms that
//!    brake still; what it brings into force by its reload must be that version.
//! 4. The child notes every exchange of the skill in force while a run is in progress, an arm moves, or the envelope in the gate
//!    is another version's. There must be none.
//! 5. Now and then nothing runs, and a rollback is timed: from the order to the skill in force.
//!
//! The last line of the output is one JSON object: `deploys` (deployments and rollbacks begun), `reloads`, `killed`, `torn`,
//! `in_motion`, `waited` (orders that waited for a run), `envelopes_refused`, `flips_failed`, `rollbacks_at_rest`, `rollback_ms_p50`,
//! `rollback_ms_p100`.
//!
//! [`Deployer`]: swarm_skill_runtime::deployer::Deployer

mod cell;
mod child;
mod parent;
mod versions;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Deploys and rolls back while a skill runs, and kills the process at random moments
#[derive(Debug, Parser)]
#[command(name = "swap_evidence")]
struct Options {
    /// Folder with config/, urdf/ and tests/
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Deployments and rollbacks to begin
    #[arg(long, default_value_t = 1000)]
    deploys: u64,
    /// Where random numbers start [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Be the process that is killed, and work in this folder
    #[arg(long, hide = true)]
    child: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(|| swarm_store::unix_now().unsigned_abs());
    let done = match &options.child {
        Some(folder) => child::run(&options.root, folder, seed),
        None => parent::run(&options.root, options.deploys, seed),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("swap_evidence: {error:#}");
            ExitCode::FAILURE
        }
    }
}
