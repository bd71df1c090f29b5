//! What the black box is measured by: a cell at work, tampering, killed writers, a replay, the cost of handing an entry over.

pub mod hand_over;
pub mod kills;
pub mod tampering;
pub mod work;
