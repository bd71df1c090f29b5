//! The safety gate as a ROS node: hears the cell, decides with `swarm_safety_core::step`, speaks to the drivers.
//!
//! Every rule is the core's. This crate turns messages into its inputs, runs it in time, and turns its verdict into messages.
//!
//! Flow:
//! 1. the spin thread hands each message to the [`intake`], which checks it and keeps the newest sample of each kind in the cells
//!    of [`heard`];
//! 2. the deciding thread ([`deciding`]), real-time and alone with its memory, steps once per period, and at once when a command, a
//!    stop or a reset arrives, so that either way alone would be enough;
//! 3. the publishing thread ([`publishing`]) takes each cycle off a queue and says it through [`outputs`]: joint commands, gripper
//!    commands, permits, the status;
//! 4. each cycle also goes to the recording thread ([`recording`]), which alone waits for the disk of the black box;
//! 5. slow work stays outside: [`envelopes`] reads and verifies artifacts on a service's own thread, [`exchange`] hands over limits
//!    that are ready to use.
//!
//! [`real_time`] starts the deciding and the publishing thread and finds out what they lack, at the start and once a second.
//!
//! Silence is safe: where this node is dead, inactive or stuck, permits cease and the drivers stop by themselves.
//! Freshness is judged by the monotonic clock; `use_sim_time` has no say.

pub mod board;
pub mod deciding;
pub mod envelopes;
pub mod exchange;
pub mod heard;
pub mod intake;
pub mod outputs;
pub mod parameters;
pub mod publishing;
pub mod real_time;
pub mod recording;
pub mod reports;
pub mod services;
pub mod setup;
