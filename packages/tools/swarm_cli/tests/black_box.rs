//! The black box from the command line: short forms of `cargo xtask evidence black-box`, and what its commands say.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use swarm_cli::black_box::kills::{kill, write_all};
use swarm_cli::black_box::tampering::tamper;
use swarm_cli::black_box::work::Work;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn declaration() -> PathBuf {
    root().join("config/cell.yaml")
}

fn cell(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cell"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // The command may end before it has read everything.
    let writing = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A signed recording of so many cycles in `folder/box`, and the key's public half.
fn recording(folder: &Path, cycles: u64) -> PathBuf {
    let recording = folder.join("box");
    write_all(&mut Work::start(&declaration()).unwrap(), cycles, &recording).unwrap();
    recording
}

#[test]
fn each_of_a_thousand_random_changes_is_found() {
    let seed = rand::random();
    let found = tamper(&mut Work::start(&declaration()).unwrap(), 1_000, seed).unwrap();
    assert_eq!((found.found, found.missed), (1_000, vec![]), "seed {seed}");
}

#[test]
fn writers_that_are_killed_leave_readable_files_and_lose_at_most_a_segment() {
    let (seed, folder) = (rand::random(), tempfile::tempdir().unwrap());
    let killed = kill(12, seed, folder.path(), |into| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cell"));
        command.arg("evidence-black-box").arg("--cell").arg(declaration());
        command.arg("--write-until-killed").arg(into);
        command
    })
    .unwrap();
    assert_eq!(killed.wrong, Vec::<String>::new(), "seed {seed}");
    assert_eq!(killed.readable, 12);
    assert!(killed.segments_lost_max <= 1, "{killed:?}");
}

#[test]
fn another_process_derives_every_verdict_from_the_files_alone() {
    let folder = tempfile::tempdir().unwrap();
    let files = recording(folder.path(), 6_500);
    let output = cell(&["blackbox", "replay", "--json", files.to_str().unwrap()], "");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{found}");
    assert_eq!((&found["cycles"], &found["exact"]), (&6_500.into(), &6_500.into()));
    // The first state begins the replay, each further one is compared.
    assert_eq!((&found["states"], &found["states_exact"]), (&64.into(), &64.into()));
}

#[test]
fn verify_names_the_changed_record_and_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let files = recording(folder.path(), 300);
    let path = files.join("0000000000.swarmbox");
    let genuine = cell(&["blackbox", "verify", path.to_str().unwrap()], "");
    assert_eq!(genuine.status.code(), Some(0), "{}", text(&genuine.stdout));
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 3_000;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let output = cell(&["blackbox", "verify", path.to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(said.contains("WRONG: segment 2, record 30") && said.ends_with("not good\n"), "{said}");
}

#[test]
fn a_seal_that_was_noted_elsewhere_shows_what_was_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let files = recording(folder.path(), 300);
    let path = files.join("0000000000.swarmbox");
    let verify = |arguments: &[&str]| {
        cell(&[&["blackbox", "verify", "--json", path.to_str().unwrap()], arguments].concat(), "")
    };
    let found: Value = serde_json::from_slice(&verify(&[]).stdout).unwrap();
    let seal = found["files"][0]["last_seal"].as_str().unwrap().to_owned();
    assert_eq!(verify(&["--expect-seal", &seal]).status.code(), Some(0));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(verify(&["--open-end"]).status.code(), Some(0));
    assert_eq!(verify(&[]).status.code(), Some(1));
    assert_eq!(verify(&["--open-end", "--expect-seal", &seal]).status.code(), Some(1));
}

#[test]
fn what_is_no_recording_cannot_be_read() {
    let file = declaration();
    assert_eq!(cell(&["blackbox", "replay", file.to_str().unwrap()], "").status.code(), Some(2));
    assert_eq!(cell(&["blackbox", "verify", "/nowhere.swarmbox"], "").status.code(), Some(2));
    let empty = tempfile::tempdir().unwrap();
    let output = cell(&["blackbox", "verify", empty.path().to_str().unwrap()], "");
    assert!(text(&output.stderr).contains("holds no black-box files"), "{}", text(&output.stderr));
}

#[test]
fn an_export_is_a_bag_with_the_cells_topics() {
    use swarm_bag::BagReader;
    use swarm_bag::msg::SafetyStatus;
    let folder = tempfile::tempdir().unwrap();
    let files = recording(folder.path(), 3_000);
    for name in ["incident.mcap", "incident.db3"] {
        let bag = folder.path().join(name);
        let output =
            cell(&["blackbox", "export", files.to_str().unwrap(), "--out", bag.to_str().unwrap()], "");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let mut bag = BagReader::open(&bag).unwrap();
        let topics: Vec<String> = bag.topics().iter().map(|topic| topic.name.clone()).collect();
        for expected in [
            "/joint_states",
            "/safety_monitor",
            "/emergency_stop",
            "/panda/wrench",
            "/panda/joint_command",
            "/panda/skill_command",
        ] {
            assert!(topics.iter().any(|topic| topic == expected), "{name} lacks {expected}: {topics:?}");
        }
        let mut states = Vec::new();
        while let Some(message) = bag.next() {
            if topics[message.topic] == "/safety_monitor" {
                let status: SafetyStatus = bag.decode(&message).unwrap();
                if states.last().map(|(state, _)| state) != Some(&status.state) {
                    states.push((status.state, status.cause));
                }
            }
        }
        // DENY, READY, RUN, ESTOP.
        let numbers: Vec<u8> = states.iter().map(|(state, _)| *state).collect();
        assert!(numbers.starts_with(&[0, 1, 2]) && numbers.ends_with(&[6]), "{states:?}");
        assert_eq!(states.last().unwrap().1, "emergency_stop");
    }
}

#[test]
fn an_incident_tells_cause_margins_inputs_and_what_another_envelope_would_have_done() {
    let folder = tempfile::tempdir().unwrap();
    let files = recording(folder.path(), 3_000);
    let envelope = |speed: f64| {
        let path = folder.path().join(format!("{speed}.yaml"));
        let text =
            format!("schema: 1\nrobots: {{panda: {{tcp: {{provenance: test, speed_m_s: {speed}}}}}}}\n");
        std::fs::write(&path, text).unwrap();
        path
    };
    let incident = |more: &[&str]| {
        let output = cell(&[&["incident", "--json", files.to_str().unwrap()], more].concat(), "");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let found = incident(&[]);
    assert_eq!(found["stop"]["cause"]["code"], "emergency_stop");
    assert_eq!(found["stop"]["cycle"], 2_600);
    assert_eq!(found["what_if"], Value::Null);
    let margins = found["margins"].as_array().unwrap();
    let speed = margins.iter().find(|m| m["robot"] == "panda" && m["quantity"] == "tool speed, m/s").unwrap();
    assert_eq!(speed["limit"], 0.2);
    assert!(speed["nearest"].as_f64().unwrap() > speed["before_stop"].as_f64().unwrap());
    let inputs = found["inputs"].as_array().unwrap();
    let joints = inputs.iter().find(|i| i["robot"] == "panda" && i["input"] == "joint state").unwrap();
    // Every other cycle of 1 ms.
    assert_eq!((&joints["samples"], &joints["longest_gap_s"]), (&1_299.into(), &0.002.into()));

    let slow = envelope(0.02);
    let found = incident(&["--what-if", slow.to_str().unwrap()]);
    // Its first command asks for more than twice that.
    assert_eq!(found["what_if"]["stop"]["cause"]["code"], "tcp_speed_command", "{}", found["what_if"]);
    assert!(found["what_if"]["stop"]["cycle"].as_u64().unwrap() < 2_600);
    let loose = envelope(7.0);
    let found = incident(&["--what-if", loose.to_str().unwrap()]);
    assert!(found["what_if"]["refused"].as_str().unwrap().contains("robots.panda.tcp.speed_m_s"));
}
