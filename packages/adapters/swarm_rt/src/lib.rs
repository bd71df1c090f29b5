//! Real time on Linux, for the one thread that must not be late: everything is asked for and then *looked at*, because only
//! the look tells the truth.
//!
//! Vocabulary
//! - *real-time thread*: the thread that decides. It runs under `SCHED_FIFO`, on memory that is resident, and in its loop
//!   neither allocates, nor locks, nor waits for anything but its [`wake::Sleeper`].
//! - *lack*: something that was asked of the system and is not so ([`Lack`]), with the line that mends it.
//! - *cell*: memory that two threads share without either ever waiting for the other ([`cells`]).
//!
//! Flow of a program with a real-time thread
//! 1. Early in `main`, before other threads exist: [`prepare_process`] makes memory resident, and what
//!    [`keep_cpus_awake`] gives is kept for as long as the program runs.
//! 2. The cells are made; their far ends go to the other threads.
//! 3. The real-time thread starts with [`prepare_thread`]. If there is a [`Lack`], it refuses its work or says so forever.
//! 4. It puts its guards in force: [`purity::system_calls::allow_only`], then [`purity::allocation::forbid`].
//! 5. Its loop waits with [`periodic::Periodic::wait`] for the next period or a [`wake::Waker`], whichever is first.
//! 6. Other threads watch it: [`look_at_thread`], [`purity::counters::Counters`].
//!
//! Time is [`KernelClock`]: `CLOCK_MONOTONIC` itself, so that a deadline means the same to us and to the kernel.
//!
//! Deliberately absent: what the thread decides; logging; ROS. This is the only crate of the workspace with unsafe code: the
//! scheduler, the allocator and the stack have no safe interface.

#[cfg(not(target_os = "linux"))]
compile_error!("swarm_rt is about Linux: futex, SCHED_FIFO, mlockall");

pub mod cells;
#[cfg(not(loom))]
mod clock;
#[cfg(not(loom))]
pub mod latency;
#[cfg(not(loom))]
pub mod periodic;
#[cfg(not(loom))]
pub mod purity;
#[cfg(not(loom))]
pub mod reference;
#[cfg(not(loom))]
mod set_up;
mod sync;
#[cfg(not(loom))]
mod sys;
pub mod wake;

#[cfg(not(loom))]
pub use clock::{KernelClock, cpu_time_of_this_thread};
#[cfg(not(loom))]
pub use set_up::{
    AwakeCpus, Kernel, Lack, Preemption, ThreadWish, Throttling, What, keep_cpus_awake, look_at_thread,
    prepare_process, prepare_thread,
};
