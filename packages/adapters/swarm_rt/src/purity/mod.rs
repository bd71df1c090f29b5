//! A real-time thread that does what it must not ends the process, in the release build too: the arms stop because their
//! permit expires, and the last words say why. A sample of good behaviour proves little; a guard that was never tripped
//! proves that it did not happen.
//!
//! | forbidden | guard | what is left |
//! |---|---|---|
//! | taking and freeing memory | [`allocation::forbid`] | `SIGABRT`, and a line on standard error |
//! | system calls but sleeping, waking, ending; so contended locks too | [`system_calls::allow_only`] | `SIGSYS` |
//! | page faults, waiting for others | cannot be forbidden; [`counters::Counters`] counts them | |

pub mod allocation;
pub mod counters;
mod last_words;
pub mod system_calls;
