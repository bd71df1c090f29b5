//! What threads share without waiting for each other.
//!
//! | cell | writers | readers | what may be lost |
//! |---|---|---|---|
//! | [`newest`] | one | one | older values, as it should be |
//! | [`queue`] | one | one | a value that finds it full, counted |
//! | [`presses`] | any | one | nothing |
//!
//! Each operation is a bounded number of steps, whatever the other side does: nothing here can hold the real-time thread up.
//! A value with a destructor is dropped on the writer's side by [`newest`], but on the reader's side by [`queue`]; on the
//! real-time thread use types that own no memory, or send them back to be dropped elsewhere.

#[cfg(not(loom))]
pub mod newest;
pub mod presses;
#[cfg(not(loom))]
pub mod queue;
