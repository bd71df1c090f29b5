//! `cell bt run`: what a trace of a scripted tree says. `cell bt replay`: what a recording of it says.

use std::fs;
use std::path::{Path, PathBuf};
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

/// Records `ticks` ticks of the tree with these leaves into `folder/name`.
fn record(folder: &Path, name: &str, leaves: &str, ticks: &str) -> PathBuf {
    let at = |name: &str| folder.join(name);
    fs::write(at("tree.xml"), TREE).expect("written");
    fs::write(at("sub.xml"), SUB).expect("written");
    fs::write(at("leaves.json"), leaves).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cell"));
    command.args(["bt", "run"]).arg(at("tree.xml")).arg("--leaves").arg(at("leaves.json"));
    command.args(["--ticks", ticks, "--trace"]).arg(at("out.jsonl")).arg("--record").arg(at(name));
    let output = command.output().expect("cell runs");
    assert!(output.status.success(), "{output:?}");
    at(name)
}

fn replay(run: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cell"));
    let output = command.args(["bt", "replay"]).arg(run).args(more).output().expect("cell runs");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    (output.status.code(), said)
}

#[test]
fn a_recorded_run_is_replayed_and_looked_into() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = record(folder.path(), "a.run", LEAVES, "6");
    let (code, said) = replay(&run, &[]);
    assert!(
        code == Some(0) && said.contains("6 steps of tree.xml, sub.xml") && said.contains("closed"),
        "{said}"
    );
    assert!(said.ends_with("every step is the same in every bit\n"), "{said}");
    let (_, said) = replay(&run, &["--step", "2", "--back"]);
    let second = said
        .find("step 2\n  tick at 0.010000 s\n  running of Pick::3/gently, answered SUCCESS\n")
        .expect("told");
    let first = said
        .find("step 1\n  tick at 0.000000 s\n  start of SeesPart::2, answered SUCCESS, wrote pose := 1;2")
        .expect("told");
    assert!(second < first, "{said}");
    let (code, said) = replay(&run, &["--step", "7"]);
    assert!(code == Some(2) && said.contains("there is no step 7: the recording has steps 1 to 6"), "{said}");
}

#[test]
fn two_runs_and_two_versions_are_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = record(folder.path(), "a.run", LEAVES, "6");
    let other = record(folder.path(), "b.run", &LEAVES.replace(r#""Place": "F""#, r#""Place": "FS""#), "6");
    let (code, said) = replay(&run, &["--diff", other.to_str().expect("text")]);
    assert!(
        code == Some(1) && said.contains("step 4 differs\n  here   start of Place::5, answered FAILURE"),
        "{said}"
    );
    let version = folder.path().join("v2.xml");
    fs::write(&version, TREE.replace("<Sequence>", "<Fallback>").replace("</Sequence>", "</Fallback>"))
        .expect("written");
    let (code, said) = replay(&run, &["--diff", version.to_str().expect("text")]);
    assert!(code == Some(1) && said.contains("step 1 differs"), "{said}");
}

#[test]
fn a_cut_recording_is_replayed_up_to_the_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = record(folder.path(), "a.run", LEAVES, "6");
    let bytes = fs::read(&run).expect("there");
    // The closing record has 9 bytes.
    fs::write(&run, &bytes[..bytes.len() - 12]).expect("written");
    let (code, said) = replay(&run, &[]);
    assert!(code == Some(0) && said.contains("5 steps") && said.contains("cut: "), "{said}");
    let mut damaged = bytes;
    damaged[500] ^= 1;
    fs::write(&run, &damaged).expect("written");
    let (code, said) = replay(&run, &[]);
    assert!(code == Some(2) && said.contains("damaged, and whole records follow it"), "{said}");
}

#[test]
fn exports_hold_every_transition() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = record(folder.path(), "a.run", LEAVES, "6");
    let at = |name: &str| folder.path().join(name);
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let (code, said) =
        replay(&run, &["--export-btlog", &text(&at("a.btlog")), "--export-mcap", &text(&at("a.mcap"))]);
    assert_eq!(code, Some(0), "{said}");
    let trace = fs::read_to_string(at("out.jsonl")).expect("there");
    let transitions = trace.lines().filter(|line| line.contains("\"transition\"")).count();
    assert!(said.contains(&format!("a.btlog: {transitions} transitions")), "{said}");
    let mcap = fs::read(at("a.mcap")).expect("there");
    let topics: Vec<String> = mcap::MessageStream::new(&mcap)
        .expect("an MCAP")
        .map(|message| message.expect("whole").channel.topic.clone())
        .collect();
    assert_eq!(topics.iter().filter(|topic| *topic == "/bt/transitions").count(), transitions);
    assert_eq!(topics.iter().filter(|topic| *topic == "/bt/steps").count(), 6);
}
