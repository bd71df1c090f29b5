//! `cyclictest`, the yardstick of real-time Linux (Debian package rt-tests): one thread that sleeps to absolute deadlines and
//! records how late it wakes.

use swarm_base::Duration;

use super::error::{ReferenceError, Running};
use crate::latency::Latencies;

const PROGRAM: &str = "cyclictest";
/// Buckets of one microsecond each. What takes longer is counted apart.
const BUCKETS: u64 = 200_000;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub cpu: u16,
    /// Of `SCHED_FIFO`, 1 to 99; that of the loop beside it, or one would push the other aside.
    pub priority: u8,
    pub period: Duration,
    /// From the begin of a second on `CLOCK_MONOTONIC` to its first deadline. A loop on [`crate::periodic::Periodic::aligned`]
    /// has its deadlines on whole periods; half a period keeps the two from waking in the same moment, forever, by chance.
    pub phase: Duration,
    pub seconds: u64,
}

/// A `cyclictest` that runs. It ends when this is dropped.
#[derive(Debug)]
pub struct Reference {
    running: Running,
}

impl Reference {
    /// Starts it on `settings.cpu` for `settings.seconds`.
    pub fn start(settings: &Settings) -> Result<Self, ReferenceError> {
        let Settings { cpu, priority, period, phase, seconds } = settings;
        let arguments = [
            "--mlockall".to_owned(),
            "--quiet".to_owned(),
            "--threads=1".to_owned(),
            format!("--affinity={cpu}"),
            format!("--priority={priority}"),
            format!("--interval={}", period.as_micros()),
            format!("--secaligned={}", phase.as_micros()),
            format!("--duration={seconds}"),
            format!("--histogram={BUCKETS}"),
        ];
        Ok(Self { running: Running::start(PROGRAM, "rt-tests", &arguments)? })
    }

    /// Waits for its end; how late it woke. A latency is the lower edge of its microsecond, which favours the reference.
    pub fn finish(self) -> Result<Latencies, ReferenceError> {
        parse(&self.running.finish()?)
    }
}

/// Reads the histogram that `cyclictest --histogram --quiet` prints.
fn parse(text: &str) -> Result<Latencies, ReferenceError> {
    let unreadable = |expected, found: &str| ReferenceError::Unreadable {
        program: PROGRAM,
        expected,
        found: found.to_owned(),
    };
    let mut latencies = Latencies::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(us)), Some(Ok(count)), None) = (numbers.next(), numbers.next(), numbers.next()) else {
            return Err(unreadable("a latency and a count", line));
        };
        latencies.record_many(Duration::from_micros(us), count);
    }
    let field = |name: &'static str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        value.parse::<u64>().map_err(|_| unreadable(name, value))
    };
    let max = Duration::from_micros(field("# Max Latencies:")?);
    // All that is known of the overflows is the longest.
    latencies.record_many(max, field("# Histogram Overflows:")?);
    if latencies.count() == 0 || latencies.max() != max {
        return Err(unreadable("a histogram that ends at the longest latency", &latencies.to_string()));
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of cyclictest 2.40 (rt-tests 2.4-1), `--histogram=30`, without its empty buckets.
    const OUTPUT: &str = "# /dev/cpu_dma_latency set to 0us\n# Histogram\n000000 000000\n000015 000003\n000016 000001\n000029 \
                          000035\n# Total: 000000039\n# Min Latencies: 00015\n# Avg Latencies: 00037\n# Max Latencies: \
                          00760\n# Histogram Overflows: 00002\n# Histogram Overflow at cycle number:\n# Thread 0: 00000 00001\n\n";

    #[test]
    fn its_histogram_is_read_with_the_overflows() {
        let latencies = parse(OUTPUT).unwrap();
        assert_eq!(latencies.count(), 41);
        assert_eq!(latencies.max(), Duration::from_micros(760));
        assert_eq!(latencies.p50().as_micros(), 29);
    }

    #[test]
    fn what_is_not_its_histogram_is_an_error_that_shows_it() {
        let cases = [
            (String::new(), "expected # Max Latencies:"),
            (
                OUTPUT.replace("000016 000001", "000016 many"),
                "expected a latency and a count, found \"000016 many\"",
            ),
            (OUTPUT.replace("00760", "?"), "expected # Max Latencies:, found \"?\""),
            (OUTPUT.replace("# Histogram Overflows: 00002", ""), "expected # Histogram Overflows:"),
            (
                OUTPUT.replace("Overflows: 00002", "Overflows: 0"),
                "a histogram that ends at the longest latency",
            ),
        ];
        for (text, expected) in cases {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn it_runs_or_says_what_it_needs() {
        let settings = Settings {
            cpu: 0,
            priority: 1,
            period: Duration::from_millis(1),
            phase: Duration::from_micros(500),
            seconds: 1,
        };
        match Reference::start(&settings).and_then(Reference::finish) {
            // The first deadline waits for a whole second, and the end comes with a signal: about 1000, surely some.
            Ok(latencies) => assert!((1..=1100).contains(&latencies.count()), "{latencies}"),
            // Where it is missing, or may not have SCHED_FIFO (it needs root or rtprio), the error has to say so.
            Err(ReferenceError::NotInstalled { package, .. }) => assert_eq!(package, "rt-tests"),
            Err(ReferenceError::Failed { said, .. }) => {
                assert!(said.contains("root") || said.contains("permi"), "{said}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}
