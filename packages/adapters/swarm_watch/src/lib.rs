//! `cell watch`: a running cell in the terminal.
//!
//! One time line for all roles, what each role does now and for whom it waits, who holds which lease, and how near the safety
//! limits are. It reads the runtime's Foxglove WebSocket, the same views that the Foxglove application shows, so that there is one
//! way out of the runtime and no ROS is needed here.
//!
//! | module | does | knows sockets or terminals |
//! |---|---|---|
//! | [`client`] | views off the WebSocket | sockets |
//! | [`timeline`] | remembers views, and turns them into columns | no |
//! | [`app`] | keys: pause, scroll, zoom, end | no |
//! | [`draw`] | the screen | no |
//! | [`text`] | one view as lines, for scripts and people without a terminal | no |
//! | [`run`] | the loop | both |

pub mod app;
pub mod client;
pub mod draw;
pub mod run;
pub mod text;
pub mod timeline;

pub use client::{Client, ClientError};
pub use run::{Output, watch};
