//! How long a driver waits for the next permit: 20 ms, or longer where the machine cannot keep that.

use std::fmt;
use std::path::Path;

/// What drivers use unless told otherwise, ms.
const DEFAULT_MS: u64 = 20;

/// Says 1 on a kernel with `PREEMPT_RT`.
const REAL_TIME_KERNEL: &str = "/sys/kernel/realtime";

/// On a kernel that is not fully preemptible, threads of this machine are now and then held up for tens of milliseconds; a
/// simulated run that stopped each time would show nothing of the skill.
const WITHOUT_REAL_TIME_MS: u64 = 200;

/// The same where several simulated cells share the processors; the longest that the simulator takes.
const SEVERAL_CELLS_MS: u64 = 1000;

/// The time-out chosen for permits and, with it, for the inputs of the safety monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PermitTimeout {
    pub milliseconds: u64,
}

impl PermitTimeout {
    /// The default on a PREEMPT_RT kernel, else a longer one.
    pub fn for_this_machine() -> Self {
        let real_time =
            std::fs::read_to_string(Path::new(REAL_TIME_KERNEL)).is_ok_and(|text| text.trim() == "1");
        Self { milliseconds: if real_time { DEFAULT_MS } else { WITHOUT_REAL_TIME_MS } }
    }

    /// The same, where several simulated cells run on it.
    pub fn for_several_cells() -> Self {
        let alone = Self::for_this_machine();
        if alone.is_default() { alone } else { Self { milliseconds: SEVERAL_CELLS_MS } }
    }

    pub fn is_default(self) -> bool {
        self.milliseconds == DEFAULT_MS
    }

    pub fn seconds(self) -> f64 {
        self.milliseconds as f64 * 1e-3
    }
}

impl fmt::Display for PermitTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "permit time-out {} ms", self.milliseconds)?;
        if !self.is_default() {
            write!(f, " (no real-time kernel here; {DEFAULT_MS} ms on a real cell)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launch_file_has_the_same_rule() {
        let launch = include_str!("../../../../../launch/cell.launch.py");
        let rule = [
            format!("WITHOUT_REAL_TIME_MS = {WITHOUT_REAL_TIME_MS}\n"),
            format!("REAL_TIME_KERNEL = '{REAL_TIME_KERNEL}'\n"),
        ];
        assert!(rule.iter().all(|line| launch.contains(line)), "{rule:?}");
    }

    #[test]
    fn a_longer_time_out_is_said() {
        let relaxed = PermitTimeout { milliseconds: WITHOUT_REAL_TIME_MS };
        assert_eq!(
            relaxed.to_string(),
            "permit time-out 200 ms (no real-time kernel here; 20 ms on a real cell)"
        );
        let strict = PermitTimeout { milliseconds: DEFAULT_MS };
        assert_eq!(strict.to_string(), "permit time-out 20 ms");
    }
}
