//! How long it took to notice the bad version, to withdraw it, and to be back on the good one.

use std::fmt;
use std::time::Duration;

use super::CANARY;
use super::versions::{BAD, BETTER};

/// How long it took from the end of the run that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// The registry's reason.
    pub why: String,
    pub noticed: Duration,
    pub withdrawn: Duration,
    pub back: Duration,
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "from the end of the run that failed until")?;
        writeln!(f, "  the gate failed                 {:>5.2} s  {}", self.noticed.as_secs_f64(), self.why)?;
        writeln!(f, "  {} was in quarantine         {:>5.2} s", BAD.number, self.withdrawn.as_secs_f64())?;
        writeln!(f, "  {CANARY} ran {} again         {:>5.2} s", BETTER.number, self.back.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_from_the_end_of_the_run() {
        let times = Times {
            why: "1 of 1 runs failed".to_owned(),
            noticed: Duration::from_millis(240),
            withdrawn: Duration::from_millis(260),
            back: Duration::from_millis(2300),
        };
        let expected = "from the end of the run that failed until\n  the gate failed                  0.24 s  1 of 1 runs failed\n  \
                        1.2.0 was in quarantine          0.26 s\n  bench_a ran 1.1.0 again          2.30 s\n";
        assert_eq!(times.to_string(), expected);
    }
}
