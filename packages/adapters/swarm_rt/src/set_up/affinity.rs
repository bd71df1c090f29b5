//! One CPU for one thread.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::kernel::online_cpus;
use super::lack::{Lack, What};

/// Lets the calling thread run on `cpu` alone.
pub(super) fn pin(cpu: u16) -> Result<(), Lack> {
    let mut wanted = CpuSet::new();
    let cpu = usize::from(cpu);
    let asked = if cpu < CpuSet::MAX_CPU {
        wanted.set(cpu);
        sched_setaffinity(None, &wanted)
    } else {
        Err(rustix::io::Errno::INVAL)
    };
    let found = sched_getaffinity(None);
    if asked.is_ok() && found.as_ref() == Ok(&wanted) {
        return Ok(());
    }
    Err(Lack {
        what: What::Affinity,
        asked: format!("CPU {cpu} alone"),
        found: found.map_or_else(|errno| format!("unknown CPUs ({errno})"), |set| describe(&set)),
        errno: asked.err(),
        mend: format!(
            "choose a CPU that is online ({}) and that the process may use (cpuset of its container or systemd unit)",
            online_cpus()
        ),
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
