//! The black box from the command line: short forms of `cargo xtask evidence black-box`, and what its commands say.

use std::process::Command;

use crate::common::{cell, declaration, recording, text};
use serde_json::Value;
use swarm_cli::black_box::kills::{kill, write_all};
use swarm_cli::black_box::tampering::tamper;
use swarm_cli::black_box::work::Work;

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
    let output = cell(&["blackbox", "replay", "--json", files.to_str().unwrap()]);
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
    let genuine = cell(&["blackbox", "verify", path.to_str().unwrap()]);
    assert_eq!(genuine.status.code(), Some(0), "{}", text(&genuine.stdout));
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 3_000;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let output = cell(&["blackbox", "verify", path.to_str().unwrap()]);
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
        cell(&[&["blackbox", "verify", "--json", path.to_str().unwrap()], arguments].concat())
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
    assert_eq!(cell(&["blackbox", "replay", file.to_str().unwrap()]).status.code(), Some(2));
    assert_eq!(cell(&["blackbox", "verify", "/nowhere.swarmbox"]).status.code(), Some(2));
    let empty = tempfile::tempdir().unwrap();
    let output = cell(&["blackbox", "verify", empty.path().to_str().unwrap()]);
    assert!(text(&output.stderr).contains("holds no black-box files"), "{}", text(&output.stderr));
}

/// Cells change between two starts of a monitor: here a robot has got another name.
#[test]
fn an_export_of_two_starts_has_the_topics_of_both_cells() {
    let folder = tempfile::tempdir().unwrap();
    let (root, renamed) = (declaration().parent().unwrap().join(".."), folder.path().join("renamed"));
    std::fs::create_dir_all(renamed.join("config")).unwrap();
    std::os::unix::fs::symlink(root.join("urdf").canonicalize().unwrap(), renamed.join("urdf")).unwrap();
    for file in ["config/cell.yaml", "config/safety_ceiling.yaml"] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        std::fs::write(renamed.join(file), text.replace("ur5e_left", "ur5e_front")).unwrap();
    }
    let boxes = ["one", "two"].map(|name| folder.path().join(name));
    write_all(&mut Work::start(&declaration()).unwrap(), 300, &boxes[0]).unwrap();
    let other = renamed.join("config/cell.yaml");
    write_all(&mut Work::start_again(&other, 1).unwrap(), 200, &boxes[1]).unwrap();
    let bag = folder.path().join("both.mcap");
    let [one, two, out] = [&boxes[0], &boxes[1], &bag].map(|path| path.to_str().unwrap());
    let output = cell(&["blackbox", "export", one, two, "--out", out]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let bag = swarm_bag::BagReader::open(&bag).unwrap();
    let count = |name: &str| {
        bag.metadata().topics.iter().find(|counted| counted.topic.name == name).map(|counted| counted.count)
    };
    let told = ["ur5e_left", "ur5e_front", "panda"].map(|robot| count(&format!("/{robot}/joint_command")));
    assert_eq!(told, [Some(300), Some(200), Some(500)]);
}

#[test]
fn an_export_is_a_bag_with_the_cells_topics() {
    use swarm_bag::BagReader;
    use swarm_bag::msg::{GripperCommand, JointCommand, SafetyStatus};
    let folder = tempfile::tempdir().unwrap();
    let files = recording(folder.path(), 3_000);
    for name in ["incident.mcap", "incident.db3"] {
        let bag = folder.path().join(name);
        let output = cell(&["blackbox", "export", files.to_str().unwrap(), "--out", bag.to_str().unwrap()]);
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
            "/panda/skill_gripper_command",
            "/panda/gripper_command",
        ] {
            assert!(topics.iter().any(|topic| topic == expected), "{name} lacks {expected}: {topics:?}");
        }
        let (mut states, mut grips, mut runs, mut resets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        while let Some(message) = bag.next() {
            if topics[message.topic] == "/safety_monitor" {
                let status: SafetyStatus = bag.decode(&message).unwrap();
                if states.last().map(|(state, _)| state) != Some(&status.state) {
                    states.push((status.state, status.cause));
                }
                runs.push(status.trace_id);
                resets.push((status.state != 0, status.epoch, status.reset_epoch));
            }
            if topics[message.topic] == "/ur5e_left/gripper_command" {
                let grip: GripperCommand = bag.decode(&message).unwrap();
                grips.push((grip.width, grip.force, grip.sequence));
            }
            if topics[message.topic] == "/panda/skill_command" {
                runs.push(bag.decode::<JointCommand>(&message).unwrap().trace_id);
            }
        }
        // DENY, READY, RUN, ESTOP.
        let numbers: Vec<u8> = states.iter().map(|(state, _)| *state).collect();
        assert!(numbers.starts_with(&[0, 1, 2]) && numbers.ends_with(&[6]), "{states:?}");
        assert_eq!(states.last().unwrap().1, "emergency_stop");
        assert_eq!(grips, [(0.04, 20.0, 1)], "one grip was asked for, and told");
        // The recording begins with the cell denied; an envelope begins the second epoch, and the one reset the third.
        resets.dedup();
        assert_eq!(resets, [(false, 1, 0), (true, 3, 3)]);
        // Statuses name no run before the first command, and then that of the commands.
        runs.dedup();
        assert_eq!(runs, ["", "0000000000000000"]);
    }
}
