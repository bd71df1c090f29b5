//! `cell safety eval`: the production decision, fed by hand.

use std::f64::consts::FRAC_PI_2;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn declaration() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../config/cell.yaml")
}

fn eval(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cell"));
    command.args(["safety", "eval", "--cell"]).arg(declaration()).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn verdicts(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// All robots of the shipped cell at home and at rest.
fn at_rest() -> Value {
    let ur5e = |q: [f64; 6]| {
        json!({
            "joints": {"position": q, "velocity": vec![0.0; 6], "effort": vec![0.0; 6]},
            "wrench": {"force": [1.0, 0.0, 0.5], "torque": [0.1, 0.0, 0.0]},
        })
    };
    let panda = json!({
        "joints": {"position": [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785], "velocity": vec![0.0; 7], "effort": vec![0.0; 7]},
        "wrench": {"force": [1.0, 0.0, 0.5], "torque": [0.1, 0.0, 0.0]},
    });
    let bent = |base: f64, last: f64| ur5e([base, -FRAC_PI_2, FRAC_PI_2, -FRAC_PI_2, -FRAC_PI_2, last]);
    json!({
        "ur5e_left": bent(-1.0, 0.5708),
        "ur5e_right": bent(0.5, -1.0708),
        "panda": panda,
    })
}

fn lines(lines: &[Value]) -> String {
    lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn a_cell_at_rest_becomes_ready_by_a_reset_and_runs_by_a_command() {
    let mut moving = at_rest();
    moving["panda"]["command"] = json!({"velocity": [0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]});
    let input = lines(&[
        json!({"robots": at_rest()}),
        json!({"robots": at_rest(), "reset": "current"}),
        json!({"robots": moving}),
        json!({"robots": at_rest(), "emergency_stop": true}),
    ]);
    let found = verdicts(&eval(&[], &input));
    let states: Vec<&str> = found.iter().map(|verdict| verdict["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["DENY", "READY", "RUN", "ESTOP"]);
    assert_eq!(found[1]["reset"], json!({"epoch": 2}));
    let told = found[2]["robots"]["panda"]["velocity"][0].as_f64().unwrap();
    assert!(told > 0.0 && told < 0.1, "ramped up: {told}");
    assert_eq!(found[2]["robots"]["panda"]["velocity"].as_array().unwrap().len(), 7);
    assert_eq!(found[3]["cause"]["code"], "emergency_stop");
    assert_eq!(found[2]["cause"], Value::Null);
    // Nobody is looked for in this cell.
    assert_eq!(found[0]["robots"]["panda"]["measures"]["human_separation_m"], Value::Null);
}

#[test]
fn what_is_left_out_grows_old_and_what_never_came_is_missing() {
    let input = lines(&[json!({"robots": at_rest()}), json!({"dt_s": 0.015}), json!({"now_s": 0.05})]);
    let found = verdicts(&eval(&[], &input));
    for (line, age) in [0.0, 0.015, 0.05].into_iter().enumerate() {
        let said = found[line]["robots"]["panda"]["measures"]["input_age_s"].as_f64().unwrap();
        assert!((said - age).abs() < 1e-12, "line {line} says {said} s, expected {age} s");
    }
    assert_eq!(found[1]["cause"]["code"], "start_up");
    assert_eq!(found[2]["cause"]["code"], "joint_state_timeout");
    let nothing = verdicts(&eval(&[], "{}\n"));
    assert_eq!(nothing[0]["cause"]["code"], "joint_state_timeout");
    assert_eq!(nothing[0]["cause"]["value"], Value::Null);
}

#[test]
fn a_message_that_was_refused_stops_a_cell_that_is_ready() {
    let refused = json!({"panda": {"refused": {"input": "joint_state", "fault": "stamp_backwards"}}});
    let input = lines(&[json!({"robots": at_rest(), "reset": 1}), json!({"robots": refused})]);
    let found = verdicts(&eval(&[], &input));
    assert_eq!((&found[0]["state"], &found[1]["state"]), (&json!("READY"), &json!("STOP1")));
    assert_eq!(found[1]["cause"]["code"], "stamp_backwards");
}

#[test]
fn what_the_monitor_finds_out_about_itself_stops_a_cell_that_is_ready() {
    for (fault, state) in [("not_recorded", "STOP2"), ("not_real_time", "STOP1")] {
        let input = lines(&[
            json!({"robots": at_rest()}),
            json!({"robots": at_rest(), "reset": "current"}),
            json!({"robots": at_rest(), fault: true}),
            json!({"robots": at_rest(), "reset": "current"}),
            json!({"robots": at_rest(), fault: false, "reset": "current"}),
        ]);
        let found = verdicts(&eval(&[], &input));
        assert_eq!((&found[2]["state"], &found[2]["cause"]["code"]), (&json!(state), &json!(fault)));
        assert_eq!((&found[3]["state"], &found[4]["state"]), (&json!(state), &json!("READY")));
    }
}

#[test]
fn a_bad_line_ends_with_its_number_and_what_was_expected() {
    let good = lines(&[json!({"robots": at_rest()})]);
    let cases = [
        ("{\"robot\": {}}", "unknown field `robot`, expected one of"),
        ("{\"robots\": {\"ur10\": {}}}", "the cell has no robot 'ur10'; it has ur5e_left, ur5e_right, panda"),
        (
            "{\"robots\": {\"panda\": {\"joints\": {\"position\": [0], \"velocity\": [0]}}}}",
            "robots.panda: joints.position has 1 values, expected 7",
        ),
        ("{\"now_s\": 1, \"dt_s\": 1}", "expected one of them or none"),
        ("{\"dt_s\": -1}", "dt_s is -1, expected seconds, 0 or more"),
        ("{\"reset\": \"now\"}", "expected \"current\" or the number of an epoch"),
        (
            "{\"robots\": {\"panda\": {\"refused\": {\"input\": \"joint_state\", \"fault\": \"odd\"}}}}",
            "'odd' is not known; expected one of not_finite, wrong_size",
        ),
        ("{\"presence\": {\"door\": {}}}", "presence.door: the ceiling has no zone 'door'"),
        ("not JSON", "line 1 column"),
    ];
    for (line, expected) in cases {
        let output = eval(&[], &format!("{good}\n{line}\n"));
        let said = std::str::from_utf8(&output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(said.contains("standard input, line 3") && said.contains(expected), "{line}: {said}");
        assert_eq!(verdicts(&output).len(), 1, "the lines before it are answered");
    }
}

#[test]
fn a_looser_envelope_is_refused_with_every_looser_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("envelope.yaml");
    let loose = "schema: 1\nrobots:\n  panda:\n    tcp: {provenance: test, speed_m_s: 9.0}\n    gripper: {provenance: test, max_force_n: 900.0}\n";
    std::fs::write(&path, loose).unwrap();
    let output = eval(&["--envelope", path.to_str().unwrap()], "{}\n");
    let said = std::str::from_utf8(&output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("robots.panda.tcp.speed_m_s is 9") && said.contains("robots.panda.gripper.max_force_n"),
        "{said}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn a_tighter_envelope_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("envelope.yaml");
    std::fs::write(&path, "schema: 1\nrobots: {spotter: {tcp: {provenance: test, speed_m_s: 0.11}}}\n")
        .unwrap();
    let input = lines(&[json!({"robots": at_rest()})]);
    let found = verdicts(&eval(&["--envelope", path.to_str().unwrap()], &input));
    assert_eq!(found[0]["robots"]["panda"]["measures"]["tcp_speed_limit_m_s"], 0.11);
}

#[test]
fn what_was_evaluated_can_be_recorded_verified_and_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.swarmbox");
    let input = lines(&vec![json!({"robots": at_rest(), "reset": "current"}); 120]);
    let output = eval(&["--record", path.to_str().unwrap()], &input);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for command in ["verify", "replay"] {
        let mut cell = Command::new(env!("CARGO_BIN_EXE_cell"));
        let output = cell.args(["blackbox", command]).arg(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
