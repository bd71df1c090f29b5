//! A recorded run, told to a person: a self-contained HTML page ([`page`]) and a summary for the terminal ([`summary`]).
//!
//! Flow: the log's lines become a [`Run`] (phases per role, safety states, stops with their causes, what each robot came to
//! against its limits); the page and the summary only show what stands there. A log may be empty, cut short, or without any
//! stop; what is not known is said to be unknown and never drawn as zero.
//!
//! Deliberately absent: scripts in the page, files and clocks in the library (the binary reads and writes).

mod chart;
mod page;
mod run;
mod summary;

pub use page::page;
pub use run::{Extreme, Notice, PhaseSpan, RobotTrace, RoleTrack, Run, StateSpan, Stop};
pub use summary::summary;
pub use swarm_plot::Samples;
