//! Counters and histograms of a running cell, and the HTTP page on which Prometheus reads them.
//!
//! | metric | labels | what |
//! |---|---|---|
//! | `skill_execution_total` | `skill_id`, `status` (succeeded, aborted, canceled) | runs that have ended |
//! | `phase_transition_duration_seconds` | `from`, `to` | from the first role at the barrier of `to` to the last that has entered it |
//! | `safety_violations_total` | `type` (the safety monitor's cause) | times that the safety monitor stopped the cell |
//! | `policy_inference_seconds` | `result` (done, late, failed) | one inference of a policy; of one that answers with chunks, from question to answer |
//! | `policy_observation_deviation` | `role` | largest deviation of the last observation of a policy from its training data, in standard deviations |
//! | `control_tick_seconds` | | one turn of the control loop, without its sleep |
//! | `control_overruns_total` | | turns that ended after the next one should have begun |
//!
//! A label's values come from artifacts and messages, so each label has at most [`MAX_VALUES`] of them; what comes after is counted
//! under `other`. Recording takes no lock that a reader of the page could hold for longer than a look-up.

mod server;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};

pub use server::{MAX_CONNECTIONS, Server, StartError};

/// Values of one label; more become `other`.
pub const MAX_VALUES: usize = 64;

/// Content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    Succeeded,
    Aborted,
    Canceled,
}

/// How an inference ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InferenceEnd {
    Done,
    /// Behind its deadline; the answer is not used.
    Late,
    Failed,
}

/// All metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    executions: IntCounterVec,
    transitions: HistogramVec,
    violations: IntCounterVec,
    inference: HistogramVec,
    deviations: GaugeVec,
    ticks: Histogram,
    overruns: IntCounter,
    skills: Label,
    phases: Label,
    causes: Label,
}

/// The values that a label has had.
#[derive(Debug, Default)]
struct Label(Mutex<BTreeSet<String>>);

impl Metrics {
    pub fn new() -> Self {
        let registry = Registry::new();
        // The only errors are names that are no names or are used twice: mistakes of this function, found by its first test.
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let vec = IntCounterVec::new(Opts::new(name, help), labels).expect("a well-formed name");
            registry.register(Box::new(vec.clone())).expect("registered once");
            vec
        };
        let histogram = |name: &str, help: &str, labels: &[&str], buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let vec = HistogramVec::new(options, labels).expect("a well-formed name");
            registry.register(Box::new(vec.clone())).expect("registered once");
            vec
        };
        let executions = counter(
            "skill_execution_total",
            "Runs of a skill that have ended, by how they ended.",
            &["skill_id", "status"],
        );
        let transitions = histogram(
            "phase_transition_duration_seconds",
            "Time from the first role at the barrier of phase `to` to the last that has entered it.",
            &["from", "to"],
            &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0],
        );
        let violations = counter(
            "safety_violations_total",
            "Times that the safety monitor stopped the cell, by cause.",
            &["type"],
        );
        let inference = histogram(
            "policy_inference_seconds",
            "Time of one inference of a policy.",
            &["result"],
            // From a small network close to contact to one that thinks over a chunk of actions.
            &[5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0],
        );
        let help = "Largest deviation of a policy's last observation from its training data, in standard deviations.";
        let deviations = GaugeVec::new(Opts::new("policy_observation_deviation", help), &["role"])
            .expect("a well-formed name");
        registry.register(Box::new(deviations.clone())).expect("registered once");
        let ticks = histogram(
            "control_tick_seconds",
            "Time of one turn of the control loop, without its sleep.",
            &[],
            &[1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2],
        );
        let overruns =
            counter("control_overruns_total", "Turns that ended after the next one should have begun.", &[]);
        Self {
            executions,
            transitions,
            violations,
            inference,
            deviations,
            ticks: ticks.with_label_values::<&str>(&[]),
            overruns: overruns.with_label_values::<&str>(&[]),
            skills: Label::default(),
            phases: Label::default(),
            causes: Label::default(),
            registry,
        }
    }

    pub fn run_ended(&self, skill_id: &str, end: RunEnd) {
        let status = match end {
            RunEnd::Succeeded => "succeeded",
            RunEnd::Aborted => "aborted",
            RunEnd::Canceled => "canceled",
        };
        self.executions.with_label_values(&[self.skills.value(skill_id).as_str(), status]).inc();
    }

    /// `from` is empty for the first phase of a run, and stands as `start`.
    pub fn phase_entered(&self, from: &str, to: &str, took: Duration) {
        let from = if from.is_empty() { "start" } else { from };
        let labels = [self.phases.value(from), self.phases.value(to)];
        self.transitions.with_label_values(&labels).observe(took.as_secs_f64());
    }

    pub fn safety_violation(&self, cause: &str) {
        self.violations.with_label_values(&[self.causes.value(cause)]).inc();
    }

    pub fn inference(&self, took: Duration, end: InferenceEnd) {
        let result = match end {
            InferenceEnd::Done => "done",
            InferenceEnd::Late => "late",
            InferenceEnd::Failed => "failed",
        };
        self.inference.with_label_values(&[result]).observe(took.as_secs_f64());
    }

    /// The last observation of the policy of a role: its out-of-distribution score.
    pub fn observation_deviation(&self, role: &str, standard_deviations: f64) {
        self.deviations.with_label_values(&[role]).set(standard_deviations);
    }

    pub fn tick(&self, took: Duration) {
        self.ticks.observe(took.as_secs_f64());
    }

    pub fn overrun(&self) {
        self.overruns.inc();
    }

    /// The page: Prometheus text 0.0.4.
    pub fn text(&self) -> String {
        // Writing into a string fails only for a metric without a name.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Label {
    /// The value itself, or `other` when the label has too many.
    fn value(&self, value: &str) -> String {
        // A poisoned lock means that a thread panicked with a whole set behind it.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(value) {
            return value.to_owned();
        }
        if known.len() >= MAX_VALUES {
            return "other".to_owned();
        }
        known.insert(value.to_owned());
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_happens_is_on_the_page() {
        let metrics = Metrics::new();
        metrics.run_ended("assembly", RunEnd::Succeeded);
        metrics.run_ended("assembly", RunEnd::Succeeded);
        metrics.run_ended("assembly", RunEnd::Aborted);
        metrics.phase_entered("", "fetch", Duration::from_millis(30));
        metrics.phase_entered("fetch", "mate", Duration::from_secs(90));
        metrics.safety_violation("joint_velocity");
        metrics.inference(Duration::from_micros(300), InferenceEnd::Late);
        metrics.observation_deviation("follower", 30.0);
        metrics.observation_deviation("follower", 2.5);
        metrics.tick(Duration::from_micros(70));
        metrics.overrun();
        let text = metrics.text();
        for line in [
            "# TYPE skill_execution_total counter",
            r#"skill_execution_total{skill_id="assembly",status="succeeded"} 2"#,
            r#"skill_execution_total{skill_id="assembly",status="aborted"} 1"#,
            r#"phase_transition_duration_seconds_bucket{from="start",to="fetch",le="0.02"} 0"#,
            r#"phase_transition_duration_seconds_bucket{from="start",to="fetch",le="0.05"} 1"#,
            r#"phase_transition_duration_seconds_bucket{from="fetch",to="mate",le="60"} 0"#,
            r#"phase_transition_duration_seconds_sum{from="fetch",to="mate"} 90"#,
            r#"safety_violations_total{type="joint_velocity"} 1"#,
            r#"policy_inference_seconds_count{result="late"} 1"#,
            "# TYPE policy_observation_deviation gauge",
            r#"policy_observation_deviation{role="follower"} 2.5"#,
            r#"control_tick_seconds_bucket{le="0.0001"} 1"#,
            "control_overruns_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "no line {line} in\n{text}");
        }
    }

    #[test]
    fn a_label_has_no_more_values_than_it_may() {
        let metrics = Metrics::new();
        for number in 0..MAX_VALUES + 10 {
            metrics.safety_violation(&format!("cause_{number}"));
        }
        metrics.safety_violation("cause_0");
        let text = metrics.text();
        let lines = text.lines().filter(|line| line.starts_with("safety_violations_total"));
        assert_eq!(lines.count(), MAX_VALUES + 1);
        assert!(text.contains(r#"safety_violations_total{type="other"} 10"#), "{text}");
        assert!(text.contains(r#"safety_violations_total{type="cause_0"} 2"#), "{text}");
    }

    #[test]
    fn a_value_with_quotes_and_line_ends_stays_one_line() {
        let metrics = Metrics::new();
        metrics.safety_violation("a\"b\nc\\d");
        assert!(metrics.text().contains(r#"type="a\"b\nc\\d"} 1"#), "{}", metrics.text());
    }
}
