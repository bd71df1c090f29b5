//! The runtime without ROS around it.

mod beside;
mod common;
mod deployment;
mod engine;
mod live;
mod recordings;
mod rehearsal;
mod role_link;
mod sightings;
