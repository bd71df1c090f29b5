//! The few calls that have no safe interface elsewhere. Each is safe to call from here on.

use std::mem::MaybeUninit;

use rustix::io::Errno;
use rustix::process::Pid;

/// A scheduling policy and its static priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scheduling {
    pub(crate) policy: i32,
    pub(crate) priority: i32,
}

fn last_error() -> Errno {
    // `last_os_error` always holds a number; zero would be no error of the call that was seen to fail.
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// The scheduling of a thread; `None` is the calling one.
#[expect(unsafe_code, reason = "neither std nor rustix asks for a thread's policy")]
pub(crate) fn scheduling(thread: Option<Pid>) -> Result<Scheduling, Errno> {
    // As the kernel has it: 0 is the calling thread.
    let thread = Pid::as_raw(thread);
    let mut parameters = MaybeUninit::<libc::sched_param>::uninit();
    // SAFETY: a thread that is not there makes the calls fail; the pointer is to a `sched_param` that outlives the call.
    let (policy, result) =
        unsafe { (libc::sched_getscheduler(thread), libc::sched_getparam(thread, parameters.as_mut_ptr())) };
    if policy < 0 || result != 0 {
        return Err(last_error());
    }
    // SAFETY: the call succeeded, so it has written the parameters.
    let priority = unsafe { parameters.assume_init() }.sched_priority;
    Ok(Scheduling { policy, priority })
}

/// `SCHED_FIFO` for the calling thread.
#[expect(unsafe_code, reason = "neither std nor rustix sets a thread's policy")]
pub(crate) fn set_fifo(priority: u8) -> Result<(), Errno> {
    let parameters = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: 0 is the calling thread; the reference is to a `sched_param` that outlives the call. A new thread does not
    // inherit the policy (RESET_ON_FORK), so that nothing the program starts later competes with this one.
    let result = unsafe {
        libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters)
    };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// What the kernel has counted of the calling thread.
#[expect(unsafe_code, reason = "rustix has no getrusage")]
pub(crate) fn thread_usage() -> libc::rusage {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the pointer is to a `rusage` that outlives the call.
    let result = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
    // It fails only for a bad pointer or an unknown first argument.
    assert_eq!(result, 0, "getrusage(RUSAGE_THREAD) failed");
    // SAFETY: the call succeeded, so it has written the usage.
    unsafe { usage.assume_init() }
}

/// Tells the allocator to give nothing back to the kernel; true when it takes every setting.
#[expect(unsafe_code, reason = "the settings of the C library's allocator")]
pub(crate) fn keep_heap() -> bool {
    // SAFETY: `mallopt` takes two integers and its own locks.
    unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, -1) == 1 && libc::mallopt(libc::M_MMAP_MAX, 0) == 1 }
}

/// Bytes between the caller's frame and the lowest address of the calling thread's stack.
#[expect(unsafe_code, reason = "neither std nor rustix knows the bounds of a stack")]
pub(crate) fn stack_room() -> Result<usize, Errno> {
    let here = 0u8;
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut lowest = std::ptr::null_mut();
    let mut size = 0;
    // SAFETY: the pointer is to an object that outlives the call, and the thread is the calling one.
    let got = unsafe { libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) };
    if got != 0 {
        return Err(Errno::from_raw_os_error(got));
    }
    // SAFETY: `attributes` was initialised by the call above and is destroyed once; the pointers are to locals.
    let got = unsafe {
        let got = libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut lowest, &raw mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        got
    };
    if got != 0 {
        return Err(Errno::from_raw_os_error(got));
    }
    Ok((&raw const here).addr().saturating_sub(lowest.addr()))
}
