//! The project's commands, as a library that `cargo xtask` (src/main.rs) and the tests call.
//!
//! It is the first thing built on a fresh machine, before there is any ROS: few dependencies, and no crate of the project.

pub mod arrows;
pub mod check;
pub mod compile;
pub mod error;
pub mod install;
pub mod layout;
pub mod process;
pub mod ros;
pub mod stamp;
pub mod ui;
