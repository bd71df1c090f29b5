//! Keeps a cell in step with the central registry. What to do is decided in `swarm_bridge_core`, what is believed in `swarm_tuf` and
//! `swarm_artifact`; `swarm_registry_client` has network and disk, and [its engine](swarm_registry_client::bridge) the threads that plan
//! and do. Here it gets the cell's topics and services, and the runtime's.
//!
//! | module | does |
//! |---|---|
//! | [`settings`] | parameters |
//! | [`listen`] | topics of runtime and safety monitor into the engine's view |
//! | [`runtime`] | the runtime's services, with an end to every wait |
//! | [`tell`] | status topic and diagnostics |
//! | [`serve`] | `/registry_bridge/sync` and `/registry_bridge/rollback` |
//!
//! Threads besides the engine's: the spin thread hears and serves; `tell` says how the cell stands.

pub mod listen;
pub mod runtime;
pub mod serve;
pub mod settings;
pub mod tell;
