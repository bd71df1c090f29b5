//! What a ROS 2 user expects of every node, written once for all nodes of the suite.
//!
//! A node's `main` reads top to bottom: create a [`NodeShell`], declare parameters, create topics and services, start its own
//! threads, then hand the calling thread over to [`NodeShell::spin_managed`].
//!
//! Vocabulary:
//! - *shell*: the node together with everything below; owns the `r2r` node until it spins.
//! - *spin thread*: the thread that called `spin_managed`. It waits for the middleware, takes every message off at once and runs
//!   the handlers. Handlers must be short: whatever blocks or computes gets a thread of its own.
//! - *counted queue*: where a handler leaves messages for another thread; bounded, and every loss is a number in `/diagnostics`.
//!
//! Flow of the spin thread:
//! 1. check all declared parameters, report every mistake at once;
//! 2. offer the parameter, logger and life-cycle services;
//! 3. with `autostart`, configure and activate;
//! 4. repeat until SIGINT or SIGTERM: wait at most [`shell::SPIN_PERIOD`], run handlers, publish waiting log records;
//! 5. deactivate, shut down, publish the last log records, return.
//!
//! Deliberately absent: decisions about the domain (core crates), entities created while spinning, simulated time for anything
//! that guards motion (`use_sim_time` moves message stamps only).

mod answer;
pub mod arguments;
pub mod cell;
pub mod client;
pub mod diagnostics;
pub mod interface;
pub mod lifecycle;
pub mod logging;
mod panics;
pub mod parameters;
pub mod qos;
pub mod queue;
pub mod shell;
mod signals;
pub mod stamp;
mod transport;

pub use cell::{CellFile, CellFileError};
pub use client::{CallError, CommandNode};
pub use diagnostics::{Diagnostics, Level, Report};
pub use lifecycle::{LifecycleState, Managed, PrimaryState, TransitionError};
pub use panics::abort_on_panic;
pub use parameters::{Parameter, ParameterSpec, Parameters};
pub use queue::{CountedQueue, QueueCounts};
pub use shell::{NodeShell, ShellError};
pub use signals::request_shutdown_on_signals;
pub use transport::leave_shared_memory;
