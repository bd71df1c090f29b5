//! What kind of kernel this is: nothing to be asked for, only to be shown.

use std::fmt;
use std::fs;

/// How soon a kernel lets a thread run that became runnable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preemption {
    /// PREEMPT_RT: bounded, if the hardware is.
    RealTime,
    /// Any other: no bound.
    Unbounded,
}

/// Share of time that real-time threads may take together (`/proc/sys/kernel/sched_rt_*_us`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttling {
    Off,
    /// Beyond `runtime_us` of every `period_us` all real-time threads of a CPU stand still.
    On {
        runtime_us: u64,
        period_us: u64,
    },
    Unknown,
}

/// The running kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    pub release: String,
    pub preemption: Preemption,
    pub throttling: Throttling,
    /// CPUs that the scheduler leaves alone (`isolcpus`), as the kernel writes them (`2-3`); empty = none.
    pub isolated_cpus: String,
}

impl Kernel {
    /// The kernel that this runs on.
    pub fn look() -> Self {
        Self::read(|path| fs::read_to_string(path).ok())
    }

    fn read(file: impl Fn(&str) -> Option<String>) -> Self {
        let line = |path: &str| file(path).map(|text| text.trim().to_owned());
        let version = line("/proc/sys/kernel/version").unwrap_or_default();
        // /sys/kernel/realtime exists only in some real-time kernels; the version names every one.
        let real_time = line("/sys/kernel/realtime").as_deref() == Some("1")
            || version.split_whitespace().any(|word| word == "PREEMPT_RT");
        let number = |path: &str| line(path)?.parse::<i64>().ok();
        let throttling = match (
            number("/proc/sys/kernel/sched_rt_runtime_us"),
            number("/proc/sys/kernel/sched_rt_period_us"),
        ) {
            (Some(..0), _) => Throttling::Off,
            (Some(runtime), Some(period)) => {
                Throttling::On { runtime_us: runtime.unsigned_abs(), period_us: period.unsigned_abs() }
            }
            _ => Throttling::Unknown,
        };
        Self {
            release: line("/proc/sys/kernel/osrelease").unwrap_or_default(),
            preemption: if real_time { Preemption::RealTime } else { Preemption::Unbounded },
            throttling,
            isolated_cpus: line("/sys/devices/system/cpu/isolated").unwrap_or_default(),
        }
    }

    /// What would make a thread on `cpu` later than it has to be, one line each with what to do about it.
    pub fn advice(&self, cpu: Option<u16>) -> Vec<String> {
        let mut lines = Vec::new();
        if self.preemption == Preemption::Unbounded {
            lines.push(format!(
                "kernel {} is not PREEMPT_RT: wake-ups have no bound; install a real-time kernel (Ubuntu: `pro enable \
                 realtime-kernel`)",
                self.release
            ));
        }
        if let Some(cpu) = cpu
            && !contains(&self.isolated_cpus, cpu)
        {
            lines.push(format!(
                "CPU {cpu} is shared with everything else; boot with `isolcpus={cpu} nohz_full={cpu} rcu_nocbs={cpu}`"
            ));
        }
        lines
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.preemption {
            Preemption::RealTime => "PREEMPT_RT",
            Preemption::Unbounded => "not PREEMPT_RT",
        };
        write!(f, "kernel {}, {kind}, ", self.release)?;
        match self.throttling {
            Throttling::Off => write!(f, "no throttling"),
            Throttling::On { runtime_us, period_us } => {
                write!(f, "real-time threads throttled to {runtime_us} of {period_us} us")
            }
            Throttling::Unknown => write!(f, "throttling unknown"),
        }
    }
}

/// Whether a list as the kernel writes them (`0-1,4`) holds `cpu`.
fn contains(list: &str, cpu: u16) -> bool {
    list.split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        matches!((first.parse::<u16>(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&cpu))
    })
}

/// The CPUs that are online, as the kernel writes them.
pub(super) fn online_cpus() -> String {
    fs::read_to_string("/sys/devices/system/cpu/online")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(files: &'static [(&str, &str)]) -> Kernel {
        Kernel::read(|path| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn a_real_time_kernel_is_known_by_its_version_or_its_file() {
        let by_version = kernel(&[("/proc/sys/kernel/version", "#1 SMP PREEMPT_RT Wed Jan 1\n")]);
        let by_file = kernel(&[("/sys/kernel/realtime", "1\n")]);
        let dynamic = kernel(&[("/proc/sys/kernel/version", "#1 SMP PREEMPT_DYNAMIC Wed Jan 1\n")]);
        assert_eq!(by_version.preemption, Preemption::RealTime);
        assert_eq!(by_file.preemption, Preemption::RealTime);
        assert_eq!(dynamic.preemption, Preemption::Unbounded);
    }

    #[test]
    fn throttling_is_off_on_or_unknown() {
        const RUNTIME: &str = "/proc/sys/kernel/sched_rt_runtime_us";
        const PERIOD: &str = "/proc/sys/kernel/sched_rt_period_us";
        assert_eq!(kernel(&[(RUNTIME, "-1\n"), (PERIOD, "1000000\n")]).throttling, Throttling::Off);
        assert_eq!(
            kernel(&[(RUNTIME, "950000\n"), (PERIOD, "1000000\n")]).throttling,
            Throttling::On { runtime_us: 950_000, period_us: 1_000_000 }
        );
        assert_eq!(kernel(&[]).throttling, Throttling::Unknown);
    }

    #[test]
    fn advice_names_what_is_not_isolated() {
        let isolated =
            kernel(&[("/sys/kernel/realtime", "1"), ("/sys/devices/system/cpu/isolated", "1,4-6\n")]);
        assert_eq!(isolated.advice(Some(5)), Vec::<String>::new());
        assert_eq!(isolated.advice(None), Vec::<String>::new());
        assert!(isolated.advice(Some(2))[0].contains("isolcpus=2"));
        assert!(kernel(&[]).advice(None)[0].contains("PREEMPT_RT"));
    }

    #[test]
    fn this_machine_answers() {
        let shown = Kernel::look().to_string();
        assert!(shown.starts_with("kernel ") && !shown.contains("unknown"), "{shown}");
    }
}
