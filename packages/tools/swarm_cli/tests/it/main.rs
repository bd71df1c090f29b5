//! The commands of `cell`, run as a user runs them.

mod bag;
mod black_box;
mod bt;
mod bt_check;
mod calibrate_cameras;
mod cases;
mod cli;
mod common;
mod config;
mod export;
mod fit_capsules;
mod incident;
mod kinematics;
#[cfg(feature = "peer-tests")]
mod peer;
mod preview;
mod safety_eval;
mod watch;
