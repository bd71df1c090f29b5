//! What every layer shares: names of things, monotonic time, the shutdown token, error chains as text, memory to read into.
//!
//! Deliberately absent: I/O, logging, an async runtime, units as types (units stand in field names: `_rad`, `_m`, `_ns`).

mod error_chain;
mod read_buffer;
mod role;
mod shutdown;
mod time;

pub use error_chain::ErrorChain;
pub use read_buffer::ReadBuffer;
pub use role::{ParseRoleError, Role};
pub use shutdown::Shutdown;
pub use time::{Clock, Duration, ManualClock, MonotonicClock, Time};
