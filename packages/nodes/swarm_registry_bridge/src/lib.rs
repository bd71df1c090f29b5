//! Keeps a cell in step with the central registry. What to do is decided in `swarm_bridge_core`, what is believed in `swarm_tuf` and
//! `swarm_artifact`; `swarm_registry_client` has network and disk. Here they get topics, services and threads.
//!
//! | module | does | knows ROS |
//! |---|---|---|
//! | [`settings`] | parameters | yes |
//! | [`view`] | what is known of cell and registry, and the plan that follows from it | no |
//! | [`shared`] | the view among threads | no |
//! | [`worker`] | carries the plan out, one step at a time | no |
//! | [`watch`] | waits for news of the director | no |
//! | [`report`] | reports to the registry, and hands in what is in the spool | no |
//! | [`listen`] | topics of runtime and safety monitor into the view | yes |
//! | [`runtime`] | the runtime's services, with an end to every wait | yes |
//! | [`tell`] | status topic and diagnostics | yes |
//! | [`serve`] | `/registry_bridge/sync` and `/registry_bridge/rollback` | yes |
//!
//! Threads: the spin thread hears and serves; `worker` plans and does; `watch` and `report` wait for the registry so that nobody
//! else has to; `tell` says how the cell stands. A registry that hangs holds up one of them, and never the runtime.

pub mod listen;
pub mod report;
pub mod runtime;
pub mod serve;
pub mod settings;
pub mod shared;
pub mod tell;
pub mod view;
pub mod watch;
pub mod worker;
