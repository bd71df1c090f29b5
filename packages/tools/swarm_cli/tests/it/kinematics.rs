//! `cell kinematics` as a script sees it: what it answers, and how it refuses bad input. Whether the answers are right is for
//! `peer.rs` to say.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

const UR5E: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../urdf/ur5e/ur5e.urdf");
const PANDA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../urdf/panda/panda.urdf");
const GRIPPER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../urdf/gripper/parallel_gripper.urdf");
const HOME: &str = "0,-1.57,1.57,-1.57,-1.57,0\n";

fn cell(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cell"));
    command.arg("kinematics").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit code, standard output, standard error.
fn said(arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut child = cell(arguments).spawn().unwrap();
    // A command that ends early closes the pipe.
    child.stdin.take().unwrap().write_all(input).ok();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn answered(arguments: &[&str], input: &str) -> Vec<String> {
    let (code, out, err) = said(arguments, input.as_bytes());
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    out.lines().map(str::to_owned).collect()
}

fn numbers(line: &str, skip: usize) -> Vec<f64> {
    line.split(',').skip(skip).map(|text| text.parse().unwrap()).collect()
}

#[test]
fn every_link_of_the_arm_is_printed_or_the_named_ones() {
    let all = answered(&["fk", "--urdf", PANDA], "0,-0.785,0,-2.356,0,1.571,0.785\n");
    assert_eq!(all[0], "row,link,x,y,z,qx,qy,qz,qw");
    assert!(all.iter().any(|line| line.starts_with("1,panda_link8,")), "{all:?}");
    assert!(all.iter().all(|line| !line.contains("finger")), "fingers are not of the arm: {all:?}");
    let named =
        answered(&["fk", "--urdf", UR5E, "--link", "tool0", "--link", "wrist_1_link"], &HOME.repeat(2));
    let starts: Vec<String> =
        named.iter().skip(1).map(|line| line.split(',').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(starts, ["1 tool0", "1 wrist_1_link", "2 tool0", "2 wrist_1_link"]);
}

#[test]
fn quaternion_and_matrix_are_the_same_rotation() {
    let q = answered(&["fk", "--urdf", UR5E, "--link", "tool0"], HOME);
    let [x, y, z, w]: [f64; 4] = numbers(&q[1], 5).try_into().unwrap();
    let m = answered(&["fk", "--urdf", UR5E, "--link", "tool0", "--rotation", "matrix"], HOME);
    let m = numbers(&m[1], 5);
    let expected = [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
        [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
        [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
    ];
    for (value, expected) in m.iter().zip(expected.as_flattened()) {
        assert!((value - expected).abs() < 1e-15, "{m:?}");
    }
    assert!(w >= 0.0);
}

#[test]
fn a_row_of_names_gives_the_order_of_the_columns() {
    let plain = answered(&["jacobian", "--urdf", UR5E], "0.1,-1.2,1.3,-1.4,-1.5,0.6\n");
    let swapped = "wrist_3_joint, elbow_joint,shoulder_pan_joint,wrist_1_joint,wrist_2_joint,shoulder_lift_joint\r\n\
                   0.6,1.3,0.1,-1.4,-1.5,-1.2\r\n";
    assert_eq!(answered(&["jacobian", "--urdf", UR5E], swapped), plain);
    let columns: Vec<&str> = plain[0].split(',').collect();
    assert_eq!(columns.len(), 1 + 36);
    assert_eq!(
        (columns[1], columns[12], columns[36]),
        ("vx/shoulder_pan_joint", "vy/wrist_3_joint", "wz/wrist_3_joint")
    );
}

#[test]
fn joints_beyond_a_link_do_not_move_it() {
    let lines = answered(&["jacobian", "--urdf", UR5E, "--link", "forearm_link"], HOME);
    for (i, value) in numbers(&lines[1], 1).iter().enumerate() {
        assert!(i % 6 < 3 || *value == 0.0, "entry {i} is {value}");
    }
}

#[test]
fn the_tool_counts_for_distances_and_a_second_arm_is_where_it_was_put() {
    let gap = |arguments: &[&str], input: &str| {
        let lines = answered(arguments, input);
        let fields: Vec<String> = lines[1].split(',').map(str::to_owned).collect();
        (fields[1].parse::<f64>().unwrap(), fields[2].clone(), fields[3].clone())
    };
    let two = |x: &str, tool: &[&str]| {
        let base = format!("{x},0,0,0,0,3.141592653589793");
        let mut arguments = vec!["distance", "--urdf", UR5E, "--urdf2", UR5E, "--base2", base.as_str()];
        arguments.extend(tool);
        gap(&arguments, "0,-1.57,1.57,-1.57,-1.57,0,0,-1.57,1.57,-1.57,-1.57,0\n").0
    };
    let [near, far] = ["1.6", "1.7"].map(|x| two(x, &[]));
    assert!(far > near + 0.05, "{near} {far}");
    let both_tools = ["--tool-urdf", GRIPPER, "--tool-urdf2", GRIPPER];
    assert!(two("1.6", &both_tools) < near, "the tools reach farther than the arms");
    let (distance, one, other) =
        gap(&["distance", "--urdf", UR5E, "--tool-urdf", GRIPPER], "0,-1.57,3.1,0,0,0\n");
    assert!(distance < 0.0 && one != other, "{distance} {one} {other}");
}

#[test]
fn bad_rows_are_refused_with_line_and_column_after_the_good_ones_are_answered() {
    let cases: [(&[u8], &str); 10] = [
        (b"0,0,0\n", "line 2 has 3 columns, expected 6: shoulder_pan_joint, shoulder_lift_joint,"),
        (b"0,0,0,0,0,0,0\n", "line 2 has 7 columns, expected 6"),
        (b"0,0,nan,0,0,0\n", "line 2, column 3 (elbow_joint): 'nan' is not a finite number"),
        (b"0,0,0,0,-inf,0\n", "line 2, column 5 (wrist_2_joint): '-inf' is not a finite number"),
        (b"0,0,0,0,0,zero\n", "line 2, column 6 (wrist_3_joint): 'zero' is not a finite number"),
        (b"0,0,0,0,,0\n", "line 2, column 5 (wrist_2_joint): '' is not a finite number"),
        (b"\n", "line 2 is empty, expected 6 numbers"),
        (b"0,0,3.2,0,0,0\n", "line 2, column 3 (elbow_joint): 3.2 is outside the joint's limits -3.14159"),
        (b"0,0,\xff,0,0,0\n", "line 2 is not UTF-8"),
        (
            b"elbow_joint,a,b,c,d,e\n",
            "line 2, column 1 (shoulder_pan_joint): 'elbow_joint' is not a finite number",
        ),
    ];
    for (bad, expected) in cases {
        for what in ["fk", "jacobian", "distance"] {
            let input = [HOME.as_bytes(), bad, HOME.as_bytes()].concat();
            let (code, out, err) = said(&[what, "--urdf", UR5E], &input);
            assert_eq!(code, 2, "{err}");
            assert!(err.starts_with(&format!("error: {expected}")), "{err}");
            let rows: Vec<&str> = out.lines().skip(1).collect();
            assert!(!rows.is_empty() && rows.iter().all(|row| row.starts_with("1,")), "{what}: {out}");
            assert!(out.ends_with('\n'), "{what}: {out}");
        }
    }
}

#[test]
fn names_that_are_no_joints_of_the_arm_are_refused() {
    for (header, expected) in [
        (
            "a,b,c,d,e,f\n",
            "line 1, column 1: 'a' is not the name of a joint that is still missing, expected one of shoulder_pan_joint,",
        ),
        (
            "elbow_joint,elbow_joint,shoulder_pan_joint,wrist_1_joint,wrist_2_joint,wrist_3_joint\n",
            "line 1, column 2: 'elbow_joint' is not the name of a joint that is still missing",
        ),
    ] {
        let (code, out, err) = said(&["fk", "--urdf", UR5E], header.as_bytes());
        assert_eq!(code, 2);
        assert!(err.starts_with(&format!("error: {expected}")), "{err}");
        assert_eq!(out.lines().count(), 1, "{out}");
    }
}

#[test]
fn positions_beyond_the_limits_are_taken_when_asked() {
    let (code, out, _) = said(&["fk", "--urdf", UR5E, "--ignore-limits"], b"0,0,3.2,0,0,700\n");
    assert_eq!((code, out.lines().count() > 2), (0, true));
}

#[test]
fn what_cannot_be_loaded_says_what_is_expected() {
    let cases: [(&[&str], &str); 5] = [
        (&["fk", "--urdf", "none.urdf"], "cannot read 'none.urdf'"),
        (&["fk", "--urdf", GRIPPER], "URDF has no moving joint that could be an arm's"),
        (
            &["fk", "--urdf", UR5E, "--flange", "hand"],
            "URDF has no link 'hand' to be the flange; its links are",
        ),
        (
            &["fk", "--urdf", PANDA, "--link", "panda_leftfinger"],
            "the arm carries no link 'panda_leftfinger': expected one of",
        ),
        (
            &["jacobian", "--urdf", PANDA, "--flange", "panda_leftfinger"],
            "8 actuated joints lead to 'panda_leftfinger', supported are 1 to 7",
        ),
    ];
    for (arguments, expected) in cases {
        let (code, out, err) = said(arguments, b"");
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains(expected), "{err}");
    }
    let folder = tempfile::tempdir().unwrap();
    let bare = folder.path().join("bare.urdf");
    let text = std::fs::read_to_string(UR5E).unwrap();
    std::fs::write(&bare, &text[..text.find("<safety_capsules>").unwrap()]).unwrap();
    let (code, _, err) = said(&["distance", "--urdf", bare.to_str().unwrap()], b"");
    assert_eq!(code, 2);
    assert!(err.contains("not well-formed"), "{err}");
    std::fs::write(&bare, format!("{}</robot>", &text[..text.find("<safety_capsules>").unwrap()])).unwrap();
    let (code, _, err) = said(&["distance", "--urdf", bare.to_str().unwrap()], b"");
    assert_eq!(code, 2);
    assert!(err.contains("has no <safety_capsules>") && err.contains("cell fit-capsules --urdf"), "{err}");
}

#[test]
fn each_row_is_answered_before_the_next_is_asked() {
    let mut child = cell(&["fk", "--urdf", UR5E, "--link", "tool0"]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for row in 1..=3 {
        input.write_all(HOME.as_bytes()).unwrap();
        if row == 1 {
            lines.next().unwrap().unwrap();
        }
        assert!(lines.next().unwrap().unwrap().starts_with(&format!("{row},tool0,")));
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_command_quietly() {
    let mut child = cell(&["fk", "--urdf", UR5E]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || while input.write_all(HOME.as_bytes()).is_ok() {});
    let mut first = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}
