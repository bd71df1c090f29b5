//! Roles, phases, barriers, the deployment state machine and the policy trait.
//!
//! Deliberately absent: ROS, clocks, threads, files.

mod cooperation;
mod insertion;
mod link;
mod message;

pub use cooperation::{Cooperation, CooperationConfig, Entry, Leave, PhaseError, Receipt, Timing};
pub use insertion::{
    ACTION_LEN, Insertion, InsertionFailure, InsertionInputs, InsertionWatch, MAX_ANGULAR_RAD_PER_S,
    MAX_LINEAR_M_PER_S, MeanPose, MeanWrench, OBSERVATION_LEN, Twist, clip_action, is_finite, observe,
    tcp_twist_in_world, tip_in_pocket,
};
pub use link::{LOCAL_QUEUE, Link, LocalLink, contract};
pub use message::{DecodeError, Report, RoleMessage, Standing};
