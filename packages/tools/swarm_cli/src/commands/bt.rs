//! `cell bt`: behaviour trees.

use crate::{Outcome, bt, bt_check};

/// Behaviour trees: run them with scripted leaves, replay recorded runs, check them.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Bt {
    Run(bt::run::Args),
    Replay(bt::replay::Args),
    Check(bt_check::Args),
}

pub(crate) fn run(command: &Bt) -> anyhow::Result<Outcome> {
    match command {
        Bt::Run(args) => bt::run::run(args),
        Bt::Replay(args) => bt::replay::run(args),
        Bt::Check(args) => bt_check::run(args),
    }
}
