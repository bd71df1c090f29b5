//! Roles, phases, barriers, the deployment state machine and the policy trait.
//!
//! Deliberately absent: ROS, clocks, threads, files.

mod cooperation;
mod link;
mod message;

pub use cooperation::{Cooperation, CooperationConfig, Entry, Leave, PhaseError, Receipt, Timing};
pub use link::{LOCAL_QUEUE, Link, LocalLink, contract};
pub use message::{DecodeError, Report, RoleMessage, Standing};
