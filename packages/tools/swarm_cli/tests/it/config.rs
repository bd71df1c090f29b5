//! `cell config check`, run as a person runs it.

use std::path::Path;
use std::process::{Command, Output};

fn check(file: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cell"));
    command.args(["config", "check"]).arg(file).args(arguments).output().unwrap()
}

fn shipped() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap().join("config/cell.yaml")
}

#[test]
fn the_shipped_declaration_is_good() {
    let output = check(&shipped(), &[]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{}: good\n", shipped().display()));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn every_mistake_is_a_line_and_the_exit_code_says_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cell.yaml");
    let text = std::fs::read_to_string(shipped()).unwrap();
    std::fs::write(
        &file,
        text.replace("schema: 1", "schema: 2").replace("spotter: panda", "spotter: pandora"),
    )
    .unwrap();
    let output = check(&file, &[]);
    let lines: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].ends_with("schema: expected 1 (the form that this program reads), found the number 2"),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].contains("roles.spotter: expected a robot of this cell (")
            && lines[1].ends_with(", found 'pandora'"),
        "{}",
        lines[1]
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_file_that_is_named_and_missing_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config/cell.yaml");
    std::fs::create_dir(folder.path().join("config")).unwrap();
    std::fs::copy(shipped(), &file).unwrap();
    let output = check(&file, &["--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let missing: Vec<_> =
        answer["missing_files"].as_array().unwrap().iter().filter_map(|path| path.as_str()).collect();
    assert!(
        missing.contains(&folder.path().join("config/safety_ceiling.yaml").to_str().unwrap()),
        "{missing:?}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_driver_that_the_ceiling_contradicts_is_told() {
    let root = shipped().ancestors().nth(2).unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config/cell.yaml");
    std::fs::create_dir(folder.path().join("config")).unwrap();
    std::fs::copy(root.join("config/safety_ceiling.yaml"), file.with_file_name("safety_ceiling.yaml"))
        .unwrap();
    std::os::unix::fs::symlink(root.join("urdf"), folder.path().join("urdf")).unwrap();
    let robot = "  - name: panda\n";
    let driver = "    driver: {kind: forward_velocity, controller: /panda, period_us: 4000, deceleration_rad_s2: 2.0}\n";
    let text = std::fs::read_to_string(shipped()).unwrap();
    assert!(text.contains(robot));
    std::fs::write(&file, text.replacen(robot, &format!("{robot}{driver}"), 1)).unwrap();

    let output = check(&file, &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("robot 'panda': its driver brakes with 2 rad/s^2") && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&check(&file, &["--json"]).stdout).unwrap();
    assert!(answer["refusal"].as_str().unwrap().contains("7.5 rad/s^2"), "{answer}");
}

#[test]
fn a_declaration_that_is_not_there_is_not_a_refusal() {
    let output = check(Path::new("/nowhere/cell.yaml"), &[]);
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: cannot read '/nowhere/cell.yaml'"));
    assert_eq!(output.status.code(), Some(2));
}
