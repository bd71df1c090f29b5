//! Memory that stays.
//!
//! What is mapped now is read in and locked whole (`MCL_CURRENT`); what is mapped later is locked page by page as it is touched
//! (`MCL_FUTURE | MCL_ONFAULT`). Without `MCL_ONFAULT` every thread that the middleware starts would hold its whole stack: with
//! 16 threads of 8 MiB, 136 MB are resident instead of 4.2 (2.1 without any locking; example `memory_cost`). Without the
//! first, code that never ran, such as that of a stop, could wait for the disk when it is needed. What the real-time thread
//! has beyond that, its stack and its cells, is touched before its loop begins.

use std::fs;
use std::hint::black_box;

use rustix::io::Errno;
use rustix::mm::{MlockAllFlags, mlockall};

use super::lack::{Lack, What};
use crate::sys;

/// Larger than what the allocator maps separately by default (128 KiB), so that the check sees both settings.
const PROBE_BYTES: usize = 1 << 20;
const PAGE: usize = 4096;

/// Reads in and locks what is mapped now; locks what will be mapped as it is touched.
pub(super) fn lock() -> Result<(), Lack> {
    // In this order: the first call reads in every page (the code of a stop that never ran must not come from the disk);
    // the second changes only what is done with mappings to come.
    let asked = mlockall(MlockAllFlags::CURRENT)
        .and_then(|()| mlockall(MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT));
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let (locked, resident) = (kib(&status, "VmLck"), kib(&status, "VmRSS"));
    if asked.is_ok() && is_locked(locked, resident) {
        return Ok(());
    }
    let show = |kib: Option<u64>| kib.map_or("an unknown amount".to_owned(), |kib| format!("{kib} KiB"));
    Err(Lack {
        what: What::LockedMemory,
        asked: "all memory locked".to_owned(),
        found: format!("{} of {} resident locked", show(locked), show(resident)),
        errno: asked.err(),
        mend: mend(asked.err()),
    })
}

/// `VmLck` counts whole mappings, so it is not below what is resident, but for the kernel's own pages (vDSO), which cannot be
/// locked and never leave.
fn is_locked(locked_kib: Option<u64>, resident_kib: Option<u64>) -> bool {
    const KERNELS_OWN_KIB: u64 = 64;
    matches!((locked_kib, resident_kib), (Some(locked), Some(resident)) if locked + KERNELS_OWN_KIB >= resident)
}

fn kib(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn mend(errno: Option<Errno>) -> String {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
    let limit = limit.map_or("none".to_owned(), |bytes| format!("{} KiB", bytes / 1024));
    let why = match errno {
        Some(Errno::NOMEM | Errno::PERM | Errno::AGAIN) => format!("the limit is {limit}: "),
        _ => String::new(),
    };
    format!(
        "{why}add `@realtime - memlock unlimited` to /etc/security/limits.d/realtime.conf, the user to the group realtime, and \
         log in again; or `LimitMEMLOCK=infinity` in its systemd unit; or `setcap cap_ipc_lock+ep` on the program; in a \
         container `--ulimit memlock=-1`"
    )
}

/// Lets the allocator give nothing back: a thread that frees must not make the real-time thread's CPU flush its page tables.
pub(super) fn keep_heap() -> Result<(), Lack> {
    let taken = sys::keep_heap();
    let faults = faults_of_a_second_take();
    if taken && faults == 0 {
        return Ok(());
    }
    Err(Lack {
        what: What::Heap,
        asked: "a heap that gives nothing back to the kernel".to_owned(),
        found: format!("{faults} page faults when {PROBE_BYTES} bytes were taken a second time"),
        errno: None,
        mend: "the settings are those of glibc (mallopt): run without another allocator (LD_PRELOAD, MALLOC_* variables)"
            .to_owned(),
    })
}

/// Takes, touches and frees memory twice; the second time it must still be there.
fn faults_of_a_second_take() -> i64 {
    let take = || {
        let before = sys::thread_usage().ru_minflt;
        let mut memory: Vec<u8> = Vec::with_capacity(PROBE_BYTES);
        memory.resize(PROBE_BYTES, 1);
        black_box(&memory[..].iter().step_by(PAGE).count());
        drop(black_box(memory));
        sys::thread_usage().ru_minflt - before
    };
    take();
    take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_proc_are_read_as_they_stand_there() {
        let status = "Name:\tx\nVmPeak:\t  9 kB\nVmLck:\t    2048 kB\nVmRSS:\t   1900 kB\n";
        assert_eq!((kib(status, "VmLck"), kib(status, "VmRSS")), (Some(2048), Some(1900)));
        assert_eq!((kib(status, "Vm"), kib("VmLck: many", "VmLck")), (None, None));
    }

    #[test]
    fn memory_counts_as_locked_only_when_it_is() {
        assert!(is_locked(Some(2048), Some(1900)));
        assert!(is_locked(Some(1990), Some(2048)));
        for (locked, resident) in [(Some(0), Some(1900)), (None, Some(1)), (Some(1), None)] {
            assert!(!is_locked(locked, resident));
        }
    }
}
