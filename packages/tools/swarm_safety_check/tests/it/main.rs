//! The bounded forms of what `safety_check` does.

mod explore;
mod faults;
