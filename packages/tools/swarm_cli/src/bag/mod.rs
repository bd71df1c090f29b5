//! What `cell bag` does; what of it is decided stands in `swarm_bag`.

pub(crate) mod check;
pub(crate) mod cut;
pub(crate) mod info;
pub(crate) mod play;
mod times;
