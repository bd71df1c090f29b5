//! The commands on a machine that has nothing: an empty folder is its whole `PATH`.

use std::process::{Command, Output};

fn on_bare_machine(argument: &str) -> Output {
    let empty = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg(argument).env("PATH", empty.path());
    command.env_remove("ROS_DISTRO").env_remove("AMENT_PREFIX_PATH").output().unwrap()
}

#[test]
fn doctor_names_what_is_missing_and_the_command_for_each() {
    let output = on_bare_machine("doctor");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    for (what, package) in [("cmake", "cmake"), ("C++ compiler", "g++"), ("make", "make")] {
        let line =
            format!("✗ {what}\n    apt-get update && apt-get install -y --no-install-recommends {package}\n");
        assert!(text.contains(&line), "no {line:?} in\n{text}");
    }
    assert!(text.contains("✗ rustc 1.95 or newer\n    rustup toolchain install 1.95"), "{text}");
    assert!(text.contains("not made yet\n    cargo xtask setup\n"), "{text}");
}

#[test]
fn setup_prints_the_exact_line_where_it_may_not_install_packages() {
    let output = on_bare_machine("setup");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("error: missing on this machine: git, cmake, make, C++ compiler, "), "{text}");
    let line = "apt-get update && apt-get install -y --no-install-recommends cmake g++ git ";
    assert!(text.contains("mend it with: ") && text.contains(line), "{text}");
    assert!(text.contains("python3 python3-dev python3-venv"), "{text}");
}

#[test]
fn an_unknown_evidence_lists_the_names() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let output = command.args(["evidence", "speed"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    let (_, names) = text.split_once("[possible values: ").unwrap();
    let names: Vec<&str> = names.split_once(']').unwrap().0.split(", ").collect();
    assert!(["demo", "gate", "capture-sync"].iter().all(|name| names.contains(name)), "{text}");
}
