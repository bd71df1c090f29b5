//! The clock against simulated cameras and networks whose truth is known.

mod accuracy;
mod faults;
mod simulated;
