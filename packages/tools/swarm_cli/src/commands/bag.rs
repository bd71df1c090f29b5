//! `cell bag`: rosbag2 bags, without a ROS install.

use crate::{Outcome, bag};

/// rosbag2 bags (.db3, .mcap, folders of them), without ROS: what is in them, whether they are whole, a part of one, and
/// playing them for Foxglove.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Bag {
    Info(bag::info::Args),
    Check(bag::check::Args),
    Play(bag::play::Args),
    Cut(bag::cut::Args),
}

pub(crate) fn run(command: &Bag) -> anyhow::Result<Outcome> {
    match command {
        Bag::Info(args) => bag::info::run(args),
        Bag::Check(args) => bag::check::run(args),
        Bag::Play(args) => bag::play::run(args),
        Bag::Cut(args) => bag::cut::run(args),
    }
}
