//! One CPU for one thread.

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::kernel::online_cpus;
use super::lack::{Lack, What};

/// Lets the calling thread run on `cpu` alone.
pub(super) fn pin(cpu: u16) -> Result<(), Lack> {
    let asked = only(cpu).ok_or(Errno::INVAL).and_then(|set| sched_setaffinity(None, &set));
    is_pinned(None, cpu).map_err(|lack| Lack { errno: asked.err(), ..lack })
}

/// Whether a thread may run on `cpu` alone; `None` is the calling one.
pub(super) fn is_pinned(thread: Option<Pid>, cpu: u16) -> Result<(), Lack> {
    let found = sched_getaffinity(thread);
    if only(cpu).is_some_and(|wanted| found == Ok(wanted)) {
        return Ok(());
    }
    Err(Lack {
        what: What::Affinity,
        asked: format!("CPU {cpu} alone"),
        found: found.map_or_else(|errno| format!("unknown CPUs ({errno})"), |set| describe(&set)),
        errno: None,
        mend: format!(
            "choose a CPU that is online ({}) and that the process may use (cpuset of its container or systemd unit)",
            online_cpus()
        ),
    })
}

/// The set of this CPU; none if the kernel can have no such CPU.
fn only(cpu: u16) -> Option<CpuSet> {
    let mut set = CpuSet::new();
    let cpu = usize::from(cpu);
    (cpu < CpuSet::MAX_CPU).then(|| {
        set.set(cpu);
        set
    })
}

fn describe(set: &CpuSet) -> String {
    let cpus: Vec<String> =
        (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).map(|cpu| cpu.to_string()).collect();
    format!("CPU {}", cpus.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_runs_there_and_nowhere_else() {
        let before = sched_getaffinity(None).unwrap();
        let cpu = (0..CpuSet::MAX_CPU).rfind(|cpu| before.is_set(*cpu)).unwrap();
        let ran = std::thread::spawn(move || {
            pin(u16::try_from(cpu).unwrap()).unwrap();
            (0..100).map(|_| rustix::thread::sched_getcpu()).collect::<Vec<_>>()
        });
        assert_eq!(ran.join().unwrap(), [cpu; 100]);
    }

    #[test]
    fn a_cpu_that_is_not_there_is_a_lack_that_names_those_that_are() {
        for absent in [1000, u16::MAX] {
            let lack = std::thread::spawn(move || pin(absent)).join().unwrap().unwrap_err();
            assert_eq!(lack.what, What::Affinity);
            let text = lack.to_string();
            assert!(text.starts_with(&format!("asked for CPU {absent} alone, found CPU 0")), "{text}");
            assert!(text.contains(&format!("online ({})", online_cpus())), "{text}");
        }
    }
}
