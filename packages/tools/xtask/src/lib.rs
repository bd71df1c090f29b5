//! The project's commands, as a library that `cargo xtask` (src/main.rs) and the tests call.
//!
//! It is the first thing built on a fresh machine, before there is any ROS: few dependencies, and of the project's
//! crates only the one that reads the cell's declaration and those that say what a registry answers.

pub mod arrows;
pub mod check;
pub mod compile;
pub mod demo;
pub mod doctor;
pub mod error;
pub mod evidence;
pub mod install;
pub mod layout;
pub mod process;
pub mod ros;
pub mod stamp;
pub mod ui;
