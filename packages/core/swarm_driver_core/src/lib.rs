//! What a driver shell decides. A shell stands between the safety monitor and one arm's ROS 2 driver, and turns joint
//! velocities that the monitor lets pass into what the arm's controller hears. Silence means stop: whatever is missing, late,
//! replayed, absurd or of another epoch makes it say "stand".
//!
//! Vocabulary:
//! - *leave*: the right to move now. It takes a fresh permit that names the robot, and a status that agrees ([`leave`]).
//! - *armed*: a reset has been seen. A shell that starts, or whose monitor stopped, moves nothing before the next reset.
//! - *means*: what the arm offers beside its controller: a speed slider, services that stop its program, error recovery
//!   ([`means`]). They come on top of standing, never instead of it, and nothing waits for them but a new start.
//! - *act*: one request to such a means; data here, carried out by the shell.
//!
//! Flow, once per period, and at once when a message or silence takes leave away ([`Driver::cycle`], [`Driver::next_due`]):
//! 1. follow the newest command, or stand, and why ([`StopCause`]);
//! 2. what the controller is told: velocities, or a trajectory that ends standing even if it is the last one ([`motion`]);
//! 3. which acts are due: every stop reaches for the means, only a person's reset lets go of them;
//! 4. whether the arm obeys ([`effect`]). The monitor's own check of this stays the authority; this one is for people.
//!
//! Requirements of `packages/nodes/swarm_safety_monitor/SAFETY.md` that are met here are named by their ids.
//!
//! Deliberately absent: ROS, threads, clocks (time is an argument), joint names, and any decision about how fast is safe: the
//! monitor has decided that.

pub mod driver;
pub mod effect;
pub mod leave;
pub mod means;
pub mod motion;

pub use driver::{Doing, Driver, Options, Said, StopCause};
pub use effect::Effect;
pub use leave::{Leave, LeaveRules, MonitorState, PermitHeard, StatusHeard};
pub use means::{Act, Means, MeansOffered, Request};
pub use motion::{Kind, Measured, Output, Point};
