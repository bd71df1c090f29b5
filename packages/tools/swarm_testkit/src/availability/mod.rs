//! Whether a cell at its work is left to work: stops that nothing calls for, and what slowing down for people costs.
//!
//! Vocabulary
//! - *recording*: what the gate heard and granted in one run of the demo skill in the lock-step cell ([`recording`]).
//! - *repetition*: that run once more, closed loop, through the production's intake checks and decision at 1 kHz, with its own
//!   noise, lateness and losses ([`replay`], [`channel`]).
//! - *false stop*: the gate leaves READY, RUN or SLOW for a stop or DENY in a repetition. Nothing that calls for a stop happens in
//!   one, so that each is printed with its cause.
//! - *graded throughput*: time that the skill takes with people ignored (the recordings), by the time it takes while somebody
//!   passes by and the gate slows the arms down ([`people`]).
//!
//! Flow
//! 1. The demo skill runs in the lock-step cell, over a few seeds, and is recorded.
//! 2. All processors repeat the recordings, with other random numbers each time, until the hours are full.
//! 3. The same seeds run with somebody beside the cell, slowed down by the gate, and once more stopped outright.
//!
//! Modelled: 1 % of all messages lost, on every topic, those to the drivers included; messages and the deciding thread as late as
//! measured on a shared virtual machine; clocks that disagree; noise and bias of joint states, efforts and wrenches at twice
//! the figures of real arms; drives with a time constant; zones in which people are looked for, with nobody there.
//!
//! Not modelled: losses in bursts (a network that fails calls for a stop); noise that is not white; wear, warmth, and a
//! payload that is off; the wake-ups by commands between two cycles of the gate; runs that end otherwise than well.

pub mod channel;
pub mod people;
pub mod recording;
pub mod replay;
mod run;

pub use run::{Availability, Conditions, Demo, Recording, Throughput};
