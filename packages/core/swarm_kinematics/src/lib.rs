//! Kinematics of one serial arm and distances between arms: URDF text in, fixed-size values out.
//!
//! Vocabulary
//! - *joint vector* [`JointVector`]: one entry per actuated joint from base to flange, rad (m for a prismatic joint), padded with
//!   zeros to [`MAX_JOINTS`].
//! - *body*: what one joint carries, with every link that fixed joints hang on it. Body 0 is the base, body `i` moves with joint `i`.
//! - *flange*: the link where a tool is mounted; *tool*: a frame fixed to the flange, usually the tool centre point.
//! - *twist*: linear velocity of the tool's origin (m/s), then angular velocity (rad/s), both along the axes of the world.
//! - *capsule*: all points within a radius of a segment; each stands for (part of) a link, and contains its collision mesh.
//!
//! Flow: [`ArmModel::load`] once (allocates, may fail); then per cycle, without allocation, [`ArmModel::forward`] gives
//! [`BodyPoses`], and from these come [`ArmModel::tool`], [`ArmModel::jacobian`], [`ArmModel::capsules`] and their
//! [`closest`] distance. [`ArmModel::differential_ik`] and [`ArmModel::solve_ik`] go the other way.
//!
//! Offline, [`fit`] makes the capsules from the collision geometry.
//!
//! Deliberately absent: dynamics, mesh formats, path planning, any I/O (the caller reads files).

mod capsules;
mod distance;
pub mod fit;
mod flange;
mod ik;
mod load;
mod model;
mod momentum;
mod obstacle;
pub mod portable;
mod self_pairs;
mod travel;
mod urdf;

pub use capsules::{ArmCapsules, Closest, LinkCapsule, MAX_CAPSULES, closest};
pub use distance::{Capsule, segment_distance};
pub use flange::default_flange;
pub use ik::{DifferentialIk, IkError, IkOptions, IkSolution, ServoOptions};
pub use load::{Load, STANDARD_GRAVITY};
pub use model::{ArmModel, ArmSpec, BodyPoses, JointInfo, JointKind, ModelError, Placed};
pub use momentum::BodyVelocities;
pub use obstacle::Obstacle;
pub use travel::{CapsuleLevers, CapsuleTravel, closest_after_travel};
pub use urdf::UrdfError;

/// Longest chain that is supported.
pub const MAX_JOINTS: usize = 7;

/// One value per joint, base to flange; entries beyond the arm's joints are zero.
pub type JointVector = nalgebra::SVector<f64, MAX_JOINTS>;

/// Rigid transformation: maps coordinates of the frame named first into the frame named second (`tool_in_world`).
pub type Pose = nalgebra::IsometryMatrix3<f64>;

/// Linear velocity (m/s), then angular velocity (rad/s), world axes.
pub type Twist = nalgebra::Vector6<f64>;

/// Force (N), then torque (N m), in axes that the holder names.
pub type Wrench = nalgebra::Vector6<f64>;

/// Twist of the tool per joint velocity; columns beyond the arm's joints are zero.
pub type Jacobian = nalgebra::SMatrix<f64, 6, MAX_JOINTS>;

/// Velocity of a point per joint velocity, world axes; columns beyond the arm's joints are zero.
pub type PointJacobian = nalgebra::SMatrix<f64, 3, MAX_JOINTS>;
