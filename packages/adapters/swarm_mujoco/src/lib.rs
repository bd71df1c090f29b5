//! The cell's physics: arms, grippers, wrench sensors and two parts to be mated, on MuJoCo.
//!
//! [`Cell`] is a lock-step machine: one call of [`Cell::step`] is one control cycle of 2 ms. What the drivers received since the
//! last cycle goes in, what the sensors measured comes out. It has no clock, thread or topic: the same seed and the same inputs
//! give the same bits.
//!
//! Vocabulary
//! - *scene*: the cell's declaration and its URDF files put together, once, as a tree of links ([`urdf::compose`]). The
//!   `/robot_description` text and the MuJoCo model are both written from it, so they can't disagree.
//! - *driver*: what runs in a robot controller below our software. It follows joint velocities while it has a fresh permit and a
//!   fresh command, and else brakes to a stand ([`driver`]). It needs no physics to be tested.
//! - *servo*: turns the driver's reference into joint torques inside the limits of the URDF.
//! - *part A* is the receptacle (leader), *part B* the peg (follower); their frames and sizes are in [`parts`].
//!
//! One cycle of [`Cell::step`]
//! 1. Each driver takes its messages and decides the reference velocity.
//! 2. Two physics steps of 1 ms: reference integrated, torques computed, MuJoCo stepped, wrench sampled.
//! 3. Sensors are read into an [`Observation`]; at 30 Hz a noisy camera looks at the parts.
//!
//! Frames: `world` is z up, origin on the table's top centre. Metres, radians, newtons, seconds.

pub mod driver;
pub mod parts;
pub mod urdf;

mod camera;
mod cell;
mod error;
mod gripper;
mod mjcf;
mod noise;
#[cfg(feature = "render")]
mod render;
mod servo;

pub use cell::{
    CONTROL_PERIOD, Cell, Commands, GripperCommand, Look, Mating, Observation, Options, Parts, RobotInbox,
    RobotState,
};
pub use error::SimError;
pub use gripper::GripperState;
#[cfg(feature = "render")]
pub use render::Renderer;
