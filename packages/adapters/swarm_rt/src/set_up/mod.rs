//! What a real-time thread needs from the system: asked for, then looked at.
//!
//! | asked | by | looked at in |
//! |---|---|---|
//! | `SCHED_FIFO` and its priority | `sched_setscheduler` | `sched_getscheduler`, `sched_getparam` |
//! | one CPU | `sched_setaffinity` | `sched_getaffinity` |
//! | resident memory | `mlockall` | `VmLck` beside `VmRSS` in `/proc/self/status` |
//! | a heap that is kept | `mallopt` | page faults when the same memory is taken a second time |
//! | a resident stack | touching it | page faults when it is touched a second time |
//! | CPUs that do not rest deeply | `/dev/cpu_dma_latency` | the value read back |
//!
//! What is not so afterwards is a [`Lack`]. Whoever has one refuses to arm, or says in every status that it is degraded. What others
//! can take away later, [`look_at_thread`] finds.

mod affinity;
mod cpu_latency;
mod kernel;
mod lack;
mod memory;
mod scheduling;
mod stack;

pub use cpu_latency::{AwakeCpus, keep_cpus_awake};
pub use kernel::{Kernel, Preemption, Throttling};
pub use lack::{Lack, What};

use crate::purity::counters::ThreadId;

/// What the calling thread wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadWish {
    /// Of `SCHED_FIFO`, 1 (lowest) to 99.
    pub priority: u8,
    /// The only CPU that it may run on; none = any.
    pub cpu: Option<u16>,
    /// How deep its stack will ever be from here, in bytes. It is touched, so the stack must be larger.
    pub stack_bytes: usize,
}

/// Makes the process' memory resident and keeps it so. Call it early in `main`: what is mapped by then is read in whole,
/// and a thread's stack is mapped whole.
pub fn prepare_process() -> Vec<Lack> {
    // The heap first: the memory that its check takes and keeps is then locked too.
    [memory::keep_heap(), memory::lock()].into_iter().filter_map(Result::err).collect()
}

/// Prepares the calling thread. The CPU comes first: `SCHED_FIFO` would hold whatever CPU it starts on.
pub fn prepare_thread(wish: &ThreadWish) -> Vec<Lack> {
    let results = [
        wish.cpu.map_or(Ok(()), affinity::pin),
        stack::make_resident(wish.stack_bytes),
        scheduling::fifo(wish.priority),
    ];
    results.into_iter().filter_map(Result::err).collect()
}

/// What a thread of this process lacks by now of what it was prepared for, as far as others can take it away: policy, priority and
/// CPU. To be asked from any thread, as often as one likes: it costs three system calls.
pub fn look_at_thread(thread: ThreadId, wish: &ThreadWish) -> Vec<Lack> {
    let ThreadWish { priority, cpu, .. } = *wish;
    let number = thread.number();
    let pinned = cpu.map_or(Ok(()), |cpu| {
        affinity::is_pinned(Some(thread.pid()), cpu).map_err(|lack| {
            taken(lack, "taskset, a cpuset", &format!("taskset --cpu-list --pid {cpu} {number}"))
        })
    });
    let fifo = scheduling::is_fifo(Some(thread.pid()), priority).map_err(|lack| {
        taken(lack, "chrt", &format!("chrt --fifo --reset-on-fork --pid {priority} {number}"))
    });
    [pinned, fifo].into_iter().filter_map(Result::err).collect()
}

/// A lack of what was there once.
fn taken(lack: Lack, by: &str, back: &str) -> Lack {
    Lack { mend: format!("find out who took it away ({by}), or give it back with `{back}`"), ..lack }
}
