//! A list of system calls for one thread, kept by the kernel (seccomp).
//!
//! The list, which cannot be taken back:
//! - sleeping: `futex` wait, on the word of its own sleeper alone. A contended lock waits on another word, so it is a breach;
//!   so are `nanosleep`, `read`, `poll` and every other way to wait.
//! - waking: `futex` wake, on the words of the wakers that it was given.
//! - `clock_gettime`, where the kernel's clock cannot be read in user space; `restart_syscall` and `rt_sigreturn`, by which the
//!   kernel goes on with a sleep after SIGCONT or a signal's handler.
//! - last words: `write` to a descriptor that nothing else knows; the calls of `abort`.
//! - ending: `exit`, `exit_group`, and what the C library calls to give up a thread's stack.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use rustix::io::Errno;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use thiserror::Error;

use swarm_base::Clock as _;

use super::last_words;
use crate::wake::{Sleeper, Waker};
use crate::{KernelClock, Lack, What};

/// The cells' ends that the thread works with.
#[derive(Clone, Copy, Debug)]
pub struct Allowed<'a> {
    /// What it sleeps on.
    pub sleeper: &'a Sleeper,
    /// Whom it wakes.
    pub wakers: &'a [&'a Waker],
}

/// What becomes of a call that is not on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// The process ends with `SIGSYS`.
    KillsTheProcess,
    /// The call fails with `EPERM`: to find out what a thread calls, with `strace -f`. It guards nothing.
    FailsTheCall,
}

/// The list could not be put in force.
#[derive(Debug, Error)]
pub enum FilterError {
    #[error("cannot write the list of system calls for {architecture}: {source}")]
    Write { architecture: &'static str, source: BackendError },
    #[error(
        "the kernel does not take a list of system calls for this thread (it needs CONFIG_SECCOMP_FILTER): {source}"
    )]
    Install { source: seccompiler::Error },
    #[error("cannot keep standard error open for last words: {source}")]
    LastWords { source: Errno },
}

impl From<FilterError> for Lack {
    fn from(error: FilterError) -> Self {
        Self {
            what: What::SystemCalls,
            asked: "a list of system calls that the thread may make".to_owned(),
            found: format!("no list: {error}"),
            errno: None,
            mend: "use a kernel with CONFIG_SECCOMP_FILTER and, in a container, a profile that allows seccomp(2)"
                .to_owned(),
        }
    }
}

/// Ends of the argument list of `futex`.
const ADDRESS: u8 = 0;
const OPERATION: u8 = 1;
const WAIT: u64 = (libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG) as u64;
const WAKE: u64 = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as u64;

/// Calls that are allowed with any argument.
const ANYHOW: [(&str, libc::c_long); 13] = [
    ("clock_gettime", libc::SYS_clock_gettime),
    ("restart_syscall", libc::SYS_restart_syscall),
    ("rt_sigreturn", libc::SYS_rt_sigreturn),
    // abort
    ("rt_sigprocmask", libc::SYS_rt_sigprocmask),
    ("rt_sigaction", libc::SYS_rt_sigaction),
    ("getpid", libc::SYS_getpid),
    ("gettid", libc::SYS_gettid),
    ("tgkill", libc::SYS_tgkill),
    // ending
    ("exit", libc::SYS_exit),
    ("exit_group", libc::SYS_exit_group),
    ("sigaltstack", libc::SYS_sigaltstack),
    ("munmap", libc::SYS_munmap),
    ("madvise", libc::SYS_madvise),
];

/// Calls that are allowed with the arguments said here.
const BOUND: [(&str, libc::c_long); 2] = [
    ("futex (wait on the thread's own sleeper, wake its wakers)", libc::SYS_futex),
    ("write (last words)", libc::SYS_write),
];

/// Names of every call on the list.
pub const LISTED: [&str; ANYHOW.len() + BOUND.len()] = {
    let mut names = [""; ANYHOW.len() + BOUND.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = if at < BOUND.len() { BOUND[at].0 } else { ANYHOW[at - BOUND.len()].0 };
        at += 1;
    }
    names
};

/// Puts the list in force for the calling thread, for good. A panic of this thread ends the process from now on.
pub fn allow_only(allowed: Allowed<'_>, breach: Breach) -> Result<(), FilterError> {
    let last_words = last_words::descriptor().map_err(|source| FilterError::LastWords { source })?;
    last_words::speak_for_this_thread();
    // The first look at the clock finds out where the kernel keeps it, by a call that is not on the list.
    let _ = KernelClock.now();
    let program = compile(allowed, breach, last_words)
        .map_err(|source| FilterError::Write { architecture: std::env::consts::ARCH, source })?;
    apply_filter(&program).map_err(|source| FilterError::Install { source })
}

fn compile(allowed: Allowed<'_>, breach: Breach, last_words: RawFd) -> Result<BpfProgram, BackendError> {
    let equals = |argument, length, value| SeccompCondition::new(argument, length, SeccompCmpOp::Eq, value);
    let futex = |address: usize, operation| {
        SeccompRule::new(vec![
            equals(ADDRESS, SeccompCmpArgLen::Qword, address as u64)?,
            equals(OPERATION, SeccompCmpArgLen::Dword, operation)?,
        ])
    };
    let mut futexes = vec![futex(allowed.sleeper.address(), WAIT)?];
    for waker in allowed.wakers {
        futexes.push(futex(waker.address(), WAKE)?);
    }
    let written = SeccompRule::new(vec![equals(0, SeccompCmpArgLen::Dword, last_words as u64)?])?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ANYHOW.map(|(_, call)| (call, Vec::new())).into();
    rules.extend(BOUND.map(|(_, call)| call).into_iter().zip([futexes, vec![written]]));
    let otherwise = match breach {
        Breach::KillsTheProcess => SeccompAction::KillProcess,
        Breach::FailsTheCall => SeccompAction::Errno(libc::EPERM as u32),
    };
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, SeccompAction::Allow, architecture)?.try_into()
}
