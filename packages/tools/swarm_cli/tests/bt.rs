//! `cell bt run`: what a trace of a scripted tree says.

use std::fs;
use std::process::{Command, Output};

const TREE: &str = r#"<root BTCPP_format="4" main_tree_to_execute="Main"><include path="sub.xml"/>
  <BehaviorTree ID="Main"><Sequence>
    <SeesPart pose="{pose}"/>
    <SubTree ID="Pick" pose="{pose}"/>
    <Place at="{pose}" _skipIf="pose == '0;0'"/>
  </Sequence></BehaviorTree></root>"#;
const SUB: &str = r#"<root BTCPP_format="4"><BehaviorTree ID="Pick"><Grasp name="gently" at="{pose}"/></BehaviorTree></root>"#;
const LEAVES: &str = r#"{"SeesPart": {"kind": "condition", "answers": "S", "outputs": {"pose": ["1;2"]}},
  "gently": ["RUNNING", "SUCCESS"], "Place": "F"}"#;

fn run(tree: &str, leaves: &str, ticks: &str, more: &[&str]) -> (Output, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("tree.xml"), tree).expect("written");
    fs::write(at("sub.xml"), SUB).expect("written");
    fs::write(at("leaves.json"), leaves).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cell"));
    command.args(["bt", "run"]).arg(at("tree.xml")).arg("--leaves").arg(at("leaves.json"));
    let output = command.args(["--ticks", ticks, "--trace"]).arg(at("out.jsonl")).args(more).output();
    (output.expect("cell runs"), fs::read_to_string(at("out.jsonl")).unwrap_or_default())
}

/// The trace without its first line, as short text: `s2 SUCCESS`, `2 IDLE>SUCCESS`, `= RUNNING`.
fn short(trace: &str) -> Vec<String> {
    let lines =
        trace.lines().skip(1).map(|line| -> serde_json::Value { serde_json::from_str(line).expect("JSON") });
    let text = |line: &serde_json::Value, key: &str| line[key].as_str().unwrap_or("-").to_owned();
    lines
        .map(|line| match line["event"].as_str() {
            Some("begin") => format!("#{} at {}", line["step"], line["t_ns"]),
            Some("call") => {
                format!("{} {} {}", text(&line, "call"), text(&line, "path"), text(&line, "answer"))
            }
            Some("transition") => format!("{} {}>{}", line["uid"], text(&line, "from"), text(&line, "to")),
            Some("ticked") => format!("= {}", text(&line, "answer")),
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn every_transition_and_leaf_call_is_written_in_order() {
    let (output, trace) = run(TREE, LEAVES, "2", &[]);
    assert!(output.status.success(), "{output:?}");
    let first = [
        "#1 at 0",
        "1 IDLE>RUNNING",
        "start SeesPart::2 SUCCESS",
        "2 IDLE>SUCCESS",
        "3 IDLE>RUNNING",
        "start Pick::3/gently RUNNING",
        "4 IDLE>RUNNING",
        "= RUNNING",
    ];
    let second = [
        "#2 at 10000000",
        "running Pick::3/gently SUCCESS",
        "4 RUNNING>SUCCESS",
        "4 SUCCESS>IDLE",
        "3 RUNNING>SUCCESS",
        "start Place::5 FAILURE",
        "5 IDLE>FAILURE",
        "2 SUCCESS>IDLE",
        "3 SUCCESS>IDLE",
        "5 FAILURE>IDLE",
        "1 RUNNING>FAILURE",
        "1 FAILURE>IDLE",
        "= FAILURE",
    ];
    assert_eq!(short(&trace), [&first[..], &second[..]].concat());
}

#[test]
fn a_halt_is_written_too() {
    let (output, trace) = run(TREE, LEAVES, "1", &["--halt-after", "1", "--period-ms", "5"]);
    assert!(output.status.success(), "{output:?}");
    let lines = short(&trace);
    let halt = lines.iter().position(|line| line == "halt Pick::3/gently DONE").expect("halted");
    assert!(lines[..halt].contains(&"#2 at 0".to_owned()), "{lines:?}");
    assert_eq!(lines[lines.len() - 2..], ["1 RUNNING>IDLE", "Some(\"halted\")"]);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let error = |output: Output| String::from_utf8(output.stderr).expect("text");
    let (output, _) = run(&TREE.replace("<Sequence>", "<Sequenc>"), LEAVES, "1", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(error(output).contains("tree.xml:"), "names the line");
    let (output, _) = run(TREE, r#"{"SeesPart": "S", "gently": "S"}"#, "1", &[]);
    assert_eq!(output.status.code(), Some(2));
    let said = error(output);
    assert!(said.contains("leaf 'Place': is used at tree.xml:5 but the script file has neither"), "{said}");
    let (output, trace) = run(TREE, &LEAVES.replace("\"S\"", "\"R\""), "3", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(trace.ends_with("\"uid\":2}\n") && trace.contains("a condition answered RUNNING"), "{trace}");
}
