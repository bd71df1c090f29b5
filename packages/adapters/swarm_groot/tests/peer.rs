//! Our server read by `btview`, which nobody here wrote, over libzmq; see `peer.py`.
//!
//! Needs the feature `peer-tests`, and Python with `btview`; `SWARM_TEST_PYTHON` names the interpreter.

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use common::Ticking;
use serde_json::Value;
use swarm_groot::Server;

/// Between two ticks: `btview` looks ten times a second, and is to see each.
const PACE: Duration = Duration::from_millis(150);

#[test]
fn btview_shows_follows_and_records_our_tree() {
    let server = Server::start(0).unwrap();
    let (mut ticking, source) = Ticking::new();
    server.show(source);
    let found: Value = std::thread::scope(|threads| {
        // Dropped when `btview` has ended, however this ends.
        let (_still_looking, ended) = channel::<()>();
        threads.spawn(move || {
            while ended.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
                ticking.tick();
            }
        });
        let python = std::env::var_os("SWARM_TEST_PYTHON").unwrap_or_else(|| "python3".into());
        let mut command = Command::new(python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peer.py"));
        let output = command.arg(server.address().port().to_string()).output();
        let output = output.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    });
    for shown in ["all [Sequence]", "Script", "part [SubTree]", "Inverter", "Work", "6 nodes"] {
        assert!(found["snapshot"].as_str().unwrap().contains(shown), "no {shown} in\n{}", found["snapshot"]);
    }
    assert!(found["info"].as_str().unwrap().contains("action 2"), "{}", found["info"]);
    let changes = found["echo"].as_array().unwrap();
    assert!(
        changes.iter().any(|change| change["uid"] == 6 && change["to"] == "RUNNING"),
        "Work was seen to run: {changes:?}"
    );
    assert!(found["recorded"].as_u64().unwrap() > 0);
    let expected = serde_json::json!(
        {"Main": {"count": 3, "name": "a < b", "ratio": 0.5}, "part": {"goal": "peg"}}
    );
    assert_eq!(found["blackboards"], expected);
    assert!(found["refused"].as_str().unwrap().contains("this monitor only shows"), "{}", found["refused"]);
    // Each tick changes something; the times of a recording never go back.
    let times: Vec<u64> = serde_json::from_value(found["transition_times"].clone()).unwrap();
    assert!(!times.is_empty() && times.is_sorted(), "{times:?}");
}
