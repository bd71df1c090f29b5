//! `cell bt`: behaviour trees.

use crate::{Outcome, bt_check};

/// Behaviour trees: check them.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Bt {
    Check(bt_check::Args),
}

pub(crate) fn run(command: &Bt) -> anyhow::Result<Outcome> {
    match command {
        Bt::Check(args) => bt_check::run(args),
    }
}
