//! Groot2-protocol server: shows a running behaviour tree to Groot2, `btview` and whatever else speaks to BehaviorTree.CPP's
//! `Groot2Publisher`, and lets nobody change it.
//!
//! # Vocabulary
//!
//! - *feed*: the end that the ticking thread holds, [`Feed`]; *source*: the end that the server reads, [`Source`].
//! - *shown*: what the server knows of the tree, and answers from; *recording*: transitions kept for a client that asked for it.
//!
//! # Flow
//!
//! 1. [`feed`] makes both ends for one tree; [`Server::show`] hands the source over. A new one replaces it: a new run, a new tree.
//! 2. The ticking thread gives the feed to the tick as its observer, and calls [`Feed::publish`] after it. Neither waits for
//!    anybody: the newest picture goes through a wait-free cell, transitions through a bounded queue that counts its losses.
//! 3. One thread of the server takes both into what is shown, [`Server`]; a thread per connection answers from it.
//!
//! So a client can be slow, half-open or malicious: what it can take from the ticking thread is nothing, and what it can take
//! from the process is bounded by [`zmtp::Limits`] and [`MAX_CONNECTIONS`].
//!
//! # Protocol
//!
//! Protocol id 2, see [`protocol`]. Answered as the original does: full tree, status, blackboards, recording, transitions. Different
//! on purpose: hooks, breakpoints and REPLACE are refused with a reply that says so (the original lets anybody in the network force
//! the status of any node), it binds to loopback unless it is told otherwise, a list of blackboards that is empty means all of them,
//! and a request of another protocol version is refused. Breakpoint notifications (port + 1) are absent: there are no breakpoints.

mod feed;
pub mod protocol;
mod server;
mod shown;
pub mod zmtp;

pub use feed::{Feed, QUEUE, Source, feed};
pub use server::{BindError, MAX_CONNECTIONS, Server};
