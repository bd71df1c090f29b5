//! What real-time figures are held against: `cyclictest` on the same CPU in the same seconds, idle or under `stress-ng`; for how
//! long something takes, work of the same length in the same thread.
//!
//! The same CPU and the same seconds are essential. On a virtual machine with two CPUs, p99.9 of `cyclictest` on one CPU and
//! of the same loop on the other differ by 0.2 to 20 times; on the same CPU at the same time by a few percent, because the
//! tail is the host's and hits both.

pub mod cyclictest;
mod error;
pub mod load;
mod work;

pub use error::ReferenceError;
pub use work::FixedWork;
