//! The clock against simulated cameras and networks whose truth is known.

mod simulated;
mod accuracy;
mod faults;
