//! Our page read by the parser of `prometheus_client`, which nobody here wrote.
//!
//! Needs the feature `peer-tests`, and Python with `prometheus_client`; `SWARM_TEST_PYTHON` names the interpreter.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use swarm_metrics::{InferenceEnd, Metrics, RunEnd, Server};

/// Families as [type, samples]; a sample is [name, labels, value].
const PARSE: &str = "
import json, sys, urllib.request
from prometheus_client.parser import text_string_to_metric_families
text = urllib.request.urlopen(sys.argv[1]).read().decode()
families = {family.name: [family.type, [[s.name, s.labels, s.value] for s in family.samples]]
            for family in text_string_to_metric_families(text)}
json.dump(families, sys.stdout)
";

#[test]
fn prometheus_reads_types_labels_and_values_as_they_are_meant() {
    let metrics = Arc::new(Metrics::new());
    metrics.run_ended("assembly", RunEnd::Succeeded);
    metrics.phase_entered("fetch", "a \"b\"\\ c\n", Duration::from_millis(250));
    metrics.safety_violation("contact_force");
    metrics.inference(Duration::from_micros(400), InferenceEnd::Done);
    metrics.tick(Duration::from_micros(80));
    let server = Server::start(0, Arc::clone(&metrics)).unwrap();
    let python = std::env::var_os("SWARM_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command.args(["-c", PARSE, &format!("http://{}/metrics", server.address())]);
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    let families: Value = serde_json::from_slice(&output.stdout).unwrap();
    let types = |name: &str| families[name][0].as_str().unwrap_or("absent").to_owned();
    // The parser takes `_total` off the names of counters.
    for (name, kind) in [
        ("skill_execution", "counter"),
        ("phase_transition_duration_seconds", "histogram"),
        ("safety_violations", "counter"),
        ("policy_inference_seconds", "histogram"),
        ("control_tick_seconds", "histogram"),
        ("control_overruns", "counter"),
    ] {
        assert_eq!(types(name), kind, "{name} in {families}");
    }
    let samples = |name: &str| families[name][1].as_array().unwrap().clone();
    let execution = json!(["skill_execution_total", {"skill_id": "assembly", "status": "succeeded"}, 1]);
    assert!(samples("skill_execution").contains(&execution), "{families}");
    let labels = json!({"from": "fetch", "to": "a \"b\"\\ c\n"});
    let sum = json!(["phase_transition_duration_seconds_sum", labels, 0.25]);
    assert!(samples("phase_transition_duration_seconds").contains(&sum), "{families}");
}
