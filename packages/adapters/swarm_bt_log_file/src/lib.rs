//! Files for recorded runs of behaviour trees (`swarm_bt_log`).
//!
//! - [`RunFile`] is one recording as a `Write` whose every write goes to the system at once, unbuffered: from then on a process
//!   that is killed loses nothing of it. That the machine may lose power is a thread's affair, which asks the disk for what is
//!   new every [`Sync::every`]. For who may wait for a disk that is slow.
//! - [`RunFolder`] keeps the recordings of many runs within a bound, written by a thread of its own: for who may wait for nothing.
//!
//! A file that exists is never written to: a run has files of its own.
//!
//! Deliberately absent: the format (core's).

mod file;
mod folder;
mod room;

pub use file::{RunFile, Sync};
pub use folder::{EXTENSION, Health, Options, RunFolder, RunStreams, Status, Stream};
