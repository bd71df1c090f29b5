//! Figures that the safety monitor ships with, as defaults of its parameters. They stand here, and not in the node, so that what
//! checks the decision without ROS checks it with the same figures.

/// Default of `max_cycle_gap_us`: longest time between two decisions while robots move. The drivers' permit time-out, after which
/// they have stopped by themselves.
pub const MAX_CYCLE_GAP_US: u32 = 20_000;

/// Default of `stamp_tolerance_us`: how far the clocks of the cell's computers may disagree.
pub const STAMP_TOLERANCE_US: u32 = 5_000;
