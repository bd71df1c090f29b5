//! What the kernel has counted of a thread. It is read from `/proc`, by any other thread: asking costs the real-time thread
//! nothing, not even a system call that its list would have to allow.

use std::fs;
use std::io;
use std::ops::Sub;

use rustix::process::Pid;
use thiserror::Error;

/// A thread, as the kernel numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadId(Pid);

impl ThreadId {
    /// The calling thread.
    pub fn current() -> Self {
        Self(rustix::thread::gettid())
    }

    /// As `ps -L` and `/proc/PID/task` show it.
    pub fn number(self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    pub(crate) fn pid(self) -> Pid {
        self.0
    }

    /// The kernel holds this thread of this process to a list of system calls ([`super::system_calls`]).
    pub fn is_filtered(self) -> Result<bool, CountersError> {
        const BY_LIST: u64 = 2;
        let (path, status) = read(self, "status")?;
        let mode = number_of(&status, "Seccomp");
        mode.map(|mode| mode == BY_LIST)
            .ok_or(CountersError::Malformed { path, expected: "the mode of seccomp" })
    }
}

/// Since the thread's start, or a difference of two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Page faults that were answered from memory.
    pub minor_faults: u64,
    /// Page faults that waited for a disk.
    pub major_faults: u64,
    /// How often it gave its CPU up to wait: once per sleep, and each time more is a wait for something else.
    pub voluntary_switches: u64,
    /// How often its CPU was taken from it.
    pub involuntary_switches: u64,
}

/// A thread's counters could not be read.
#[derive(Debug, Error)]
pub enum CountersError {
    #[error("cannot read {path}, where the kernel counts for thread {thread}; it may have ended")]
    Read { path: String, thread: i32, source: io::Error },
    #[error("cannot read the counters in {path}: expected {expected}")]
    Malformed { path: String, expected: &'static str },
}

impl Counters {
    /// What was counted until now of a thread of this process.
    pub fn of(thread: ThreadId) -> Result<Self, CountersError> {
        let (stat_path, stat) = read(thread, "stat")?;
        let (minor_faults, major_faults) = faults(&stat).ok_or(CountersError::Malformed {
            path: stat_path,
            expected: "minflt and majflt as fields 10 and 12",
        })?;
        let (status_path, status) = read(thread, "status")?;
        let switches = |field| number_of(&status, field);
        let (Some(voluntary_switches), Some(involuntary_switches)) =
            (switches("voluntary_ctxt_switches"), switches("nonvoluntary_ctxt_switches"))
        else {
            return Err(CountersError::Malformed {
                path: status_path,
                expected: "both numbers of context switches",
            });
        };
        Ok(Self { minor_faults, major_faults, voluntary_switches, involuntary_switches })
    }
}

impl Sub for Counters {
    type Output = Self;

    /// What was counted since `earlier`.
    fn sub(self, earlier: Self) -> Self {
        Self {
            minor_faults: self.minor_faults.saturating_sub(earlier.minor_faults),
            major_faults: self.major_faults.saturating_sub(earlier.major_faults),
            voluntary_switches: self.voluntary_switches.saturating_sub(earlier.voluntary_switches),
            involuntary_switches: self.involuntary_switches.saturating_sub(earlier.involuntary_switches),
        }
    }
}

/// What the kernel says of a thread: the file's path and text.
fn read(thread: ThreadId, file: &str) -> Result<(String, String), CountersError> {
    let path = format!("/proc/self/task/{}/{file}", thread.number());
    match fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(source) => Err(CountersError::Read { path, thread: thread.number(), source }),
    }
}

/// Fields 10 and 12 of proc(5) `stat`; field 2, the name in brackets, may hold spaces and brackets itself.
fn faults(stat: &str) -> Option<(u64, u64)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(10 - 3);
    let minor = fields.next()?.parse().ok()?;
    let major = fields.nth(1)?.parse().ok()?;
    Some((minor, major))
}

fn number_of(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn fields_are_counted_from_the_end_of_the_name() {
        let stat = "12 (a) b (c)) S 1 1 1 0 -1 4194560 101 7 3 9 0 0 0";
        assert_eq!(faults(stat), Some((101, 3)));
        assert_eq!(faults("12 name S 1"), None);
    }

    #[test]
    fn a_thread_is_watched_from_another_while_it_faults_and_waits() {
        const PAGES: usize = 300;
        let (tell, told) = channel();
        let (go, wait) = channel();
        let watched = thread::spawn(move || {
            tell.send(ThreadId::current()).unwrap();
            wait.recv().unwrap();
            // Larger than what the allocator keeps: fresh pages.
            let mut memory = vec![0u8; PAGES * 4096];
            memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
            black_box(&memory);
            tell.send(ThreadId::current()).unwrap();
            wait.recv().unwrap();
        });
        let thread = told.recv().unwrap();
        let before = Counters::of(thread).unwrap();
        go.send(()).unwrap();
        told.recv().unwrap();
        let counted = Counters::of(thread).unwrap() - before;
        go.send(()).unwrap();
        watched.join().unwrap();
        // One where the kernel answers with a huge page.
        assert!(counted.minor_faults >= 1, "{counted:?}");
        let gone = Counters::of(thread).unwrap_err().to_string();
        assert!(gone.contains("it may have ended"), "{gone}");
    }
}
