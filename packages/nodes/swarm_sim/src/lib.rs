//! The simulated cell as a ROS node: what robot controllers, sensors and cameras would publish and obey, from `swarm_mujoco`.
//!
//! The node is thin: physics, drivers and sensors are `swarm_mujoco`'s. Here they get topics, a thread and a pace.
//!
//! Flow:
//! 1. the spin thread puts permits and commands into the [`inbox`] as they arrive;
//! 2. the [`physics`] thread, at the [`pace`] of the wall clock times `realtime_factor`, takes the inbox, makes one control cycle of
//!    2 ms and publishes what the sensors measured ([`topics`]);
//! 3. every change of a driver goes out at once as a [`report`], so that a stop can be judged in simulated cycles;
//! 4. where pictures are wanted, threads of their own draw what the physics leaves on a [`canvas`]: as files ([`view`]), or as
//!    cameras that are served over RTSP (`cameras`).
//!
//! Time: permits and commands age in *simulated* time, counted in cycles, so that a stop takes the same number of cycles on a slow
//! machine as on a fast one. Before a cycle takes them they age by real clocks, times `realtime_factor`: what has waited while the
//! physics was held up, or was long on its way, is not young for that. Message stamps are ROS time, as far apart
//! as the cycles ([`stamping`]); with `publish_clock` they are simulated time, and so is `/clock`.

#[cfg(feature = "cameras")]
pub mod cameras;
pub mod canvas;
pub mod inbox;
pub mod messages;
pub mod pace;
pub mod physics;
pub mod report;
pub mod stamping;
pub mod topics;
pub mod view;
