//! The store of a cell: what is in it after every kind of deployment, damage and kill.

mod ahead;
mod common;
mod crash;
mod damage;
mod delta;
mod deploy;
mod package;
mod prune;
