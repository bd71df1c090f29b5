//! `SCHED_FIFO`.

use rustix::process::Pid;

use super::lack::{Lack, What};
use crate::sys::{self, Scheduling};

/// Runs the calling thread under `SCHED_FIFO`.
pub(super) fn fifo(priority: u8) -> Result<(), Lack> {
    let asked = sys::set_fifo(priority);
    is_fifo(None, priority).map_err(|lack| Lack { errno: asked.err(), ..lack })
}

/// Whether a thread runs under `SCHED_FIFO` with this priority; `None` is the calling one.
pub(super) fn is_fifo(thread: Option<Pid>, priority: u8) -> Result<(), Lack> {
    let found = sys::scheduling(thread);
    let is_so = found.is_ok_and(|found| {
        found.policy & !libc::SCHED_RESET_ON_FORK == libc::SCHED_FIFO && found.priority == i32::from(priority)
    });
    if is_so {
        return Ok(());
    }
    Err(Lack {
        what: What::Scheduling,
        asked: format!("SCHED_FIFO with priority {priority}"),
        found: found.map_or_else(|errno| format!("an unknown policy ({errno})"), describe),
        errno: None,
        mend: mend(priority),
    })
}

fn describe(found: Scheduling) -> String {
    let name = match found.policy & !libc::SCHED_RESET_ON_FORK {
        libc::SCHED_OTHER => "SCHED_OTHER",
        libc::SCHED_FIFO => "SCHED_FIFO",
        libc::SCHED_RR => "SCHED_RR",
        libc::SCHED_BATCH => "SCHED_BATCH",
        libc::SCHED_IDLE => "SCHED_IDLE",
        libc::SCHED_DEADLINE => "SCHED_DEADLINE",
        other => return format!("policy {other} with priority {}", found.priority),
    };
    format!("{name} with priority {}", found.priority)
}

fn mend(priority: u8) -> String {
    if !(1..=99).contains(&priority) {
        return "give a priority from 1 to 99".to_owned();
    }
    format!(
        "add `@realtime - rtprio {priority}` to /etc/security/limits.d/realtime.conf, the user to the group realtime, and log \
         in again; or `LimitRTPRIO={priority}` in its systemd unit; or `setcap cap_sys_nice+ep` on the program; in a \
         container `--ulimit rtprio={priority} --cap-add sys_nice`. Root is refused only where the group scheduler gives \
         its control group no time (cpu.rt_runtime_us)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Run on a thread of its own: a test's thread goes on to other tests.
    fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(work).join().unwrap()
    }

    #[test]
    fn fifo_is_what_the_kernel_says_it_is() {
        on_a_thread(|| match fifo(7) {
            Ok(()) => {
                let found = sys::scheduling(None).unwrap();
                assert_eq!(
                    (found.policy & !libc::SCHED_RESET_ON_FORK, found.priority),
                    (libc::SCHED_FIFO, 7)
                );
            }
            // Without the right to it (it needs root, CAP_SYS_NICE or rtprio) the lack says what runs instead.
            Err(lack) => {
                assert_eq!(lack.what, What::Scheduling);
                assert!(lack.errno.is_some() && lack.found.starts_with("SCHED_OTHER"), "{lack}");
            }
        });
    }

    #[test]
    fn a_priority_that_cannot_be_is_a_lack_that_says_so() {
        let lack = on_a_thread(|| fifo(100)).unwrap_err();
        let text = lack.to_string();
        assert_eq!(
            text,
            "asked for SCHED_FIFO with priority 100, found SCHED_OTHER with priority 0 (Invalid argument (os error 22)); give a \
             priority from 1 to 99"
        );
    }
}
