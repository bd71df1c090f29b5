use std::fmt;

use rustix::io::Errno;

/// Which part of the set-up is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Scheduling,
    Affinity,
    LockedMemory,
    Heap,
    Stack,
    CpuLatency,
    /// Of one thread, its list of system calls.
    SystemCalls,
    /// Of one thread, the guard of its memory.
    Allocator,
}

/// Something that was asked of the system and is not so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    pub what: What,
    /// What should be, in words.
    pub asked: String,
    /// What is.
    pub found: String,
    /// How the system refused, if it did.
    pub errno: Option<Errno>,
    /// What a person can do about it.
    pub mend: String,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked for {}, found {}", self.asked, self.found)?;
        if let Some(errno) = self.errno {
            write!(f, " ({errno})")?;
        }
        write!(f, "; {}", self.mend)
    }
}

impl std::error::Error for Lack {}
