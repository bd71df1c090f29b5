//! `cell bt check`, run as a person runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn cell(arguments: &[&str], paths: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cell"));
    command.arg("bt").args(arguments).args(paths).output().unwrap()
}

fn skill() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap().join("tests/data/cooperative_assembly")
}

fn tree(folder: &Path, name: &str, body: &str) -> PathBuf {
    let path = folder.join(name);
    let text = format!(r#"<root BTCPP_format="4"><BehaviorTree ID="T">{body}</BehaviorTree></root>"#);
    std::fs::write(&path, text).unwrap();
    path
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_shipped_skill_is_good_as_a_folder_and_as_an_artifact() {
    let output = cell(&["check"], &[&skill()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output);
    assert!(said.contains("leader: exhausted: ") && said.contains("all roles: exhausted: "), "{said}");
    assert!(said.ends_with("3 trees: 0 errors, 0 warnings\n"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("assembly.tar.gz");
    let mut package = Command::new(env!("CARGO_BIN_EXE_cell"));
    package.args(["package", "--model-dir"]).arg(skill()).arg("--output").arg(&archive);
    assert!(package.output().unwrap().status.success());
    assert_eq!(text(&cell(&["check"], &[&archive])), said);
}

#[test]
fn a_deadlock_is_refused_with_a_run_that_cell_bt_run_plays() {
    let folder = tempfile::tempdir().unwrap();
    let phases = |order: [&str; 2]| {
        let [a, b] = order.map(|phase| format!(r#"<EnterPhase phase="{phase}"/><MoveJoints/>"#));
        format!("<Sequence>{a}{b}</Sequence>")
    };
    let leader = tree(folder.path(), "leader.xml", &phases(["grip", "lift"]));
    let follower = tree(
        folder.path(),
        "follower.xml",
        r#"<Sequence><EnterPhase phase="grip"/><Fallback>
        <Sequence><MoveJoints/><EnterPhase phase="lift"/></Sequence><AlwaysSuccess/></Fallback></Sequence>"#,
    );
    let examples = folder.path().join("examples");
    let output = cell(&["check", "--examples", examples.to_str().unwrap()], &[&leader, &follower]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output);
    assert!(said.contains("error BT503 (role leader)"), "{said}");
    assert!(said.contains("leader waits at the barrier of phase 'lift' for follower"), "{said}");

    let line = said
        .lines()
        .find(|line| line.contains("bt run") && line.contains("leader.xml"))
        .expect("how to play it");
    let words: Vec<&str> = line.split_whitespace().collect();
    let played = cell(&words[2..], &[]);
    assert!(played.status.success(), "{played:?}");
    let trace = text(&played);
    let last = trace.lines().rev().find(|line| line.contains("\"call\"")).expect("a leaf is called");
    assert!(last.contains("EnterPhase") && last.contains("RUNNING"), "the leader waits: {trace}");
}

#[test]
fn json_holds_what_a_script_needs() {
    let folder = tempfile::tempdir().unwrap();
    let path = tree(
        folder.path(),
        "t.xml",
        r#"<RetryUntilSuccessful num_attempts="-1"><AlwaysFailure/></RetryUntilSuccessful>"#,
    );
    let output = cell(&["check", "--json"], &[&path]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["findings"][0]["code"], "BT302");
    assert_eq!(report["findings"][0]["line"], 1);
    assert_eq!(report["explored"][0]["exhausted"], true);
    assert!(report["visits"][0]["max_visits"].as_u64().is_some_and(|visits| visits >= 3), "{report}");
}

#[test]
fn leaves_that_nobody_knows_are_taken_as_they_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = tree(
        folder.path(),
        "t.xml",
        r#"<Sequence><Look at="{place}"/><Script code="near := place"/></Sequence>"#,
    );
    assert_eq!(cell(&["check"], &[&path]).status.code(), Some(0));
    let reads = tree(folder.path(), "r.xml", r#"<ScriptCondition code="goal == 1"/>"#);
    let output = cell(&["check"], &[&reads]);
    assert!(text(&output).contains("error BT102"), "{output:?}");
    assert_eq!(cell(&["check", "--given", "goal"], &[&reads]).status.code(), Some(0));
}

#[test]
fn what_cannot_be_read_is_another_exit_code_than_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(cell(&["check"], &[&folder.path().join("none.xml")]).status.code(), Some(2));
    assert_eq!(cell(&["check"], &[]).status.code(), Some(2));
    let broken = tree(folder.path(), "broken.xml", "<Sequence>");
    let output = cell(&["check"], &[&broken]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("error BT001"), "{output:?}");
}
