//! The shell's decisions, message by message, with time moved by hand.

mod bench;
mod means;
mod motion;
mod silence;
