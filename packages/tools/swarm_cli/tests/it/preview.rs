//! `cell preview` as a user or a script sees it, on a skill without policies, so that it needs no ONNX Runtime.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Exit code, standard output, standard error.
type Said = (i32, String, String);

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn cell(arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_cell")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A skill's folder: the leader takes part A and moves it so far along y, in a workspace that ends at y = -0.1 m.
fn skill(folder: &Path, over_m: f64) -> PathBuf {
    let model = folder.join("model");
    fs::create_dir_all(model.join("trees")).unwrap();
    let source = "schema_version: 1\nskill_id: lift\nversion: 1.0.0\nenvelope: safety_envelope.yaml\n\
                  roles:\n  leader: {tree: trees/leader.xml, tree_id: Lift, robot_group: ur5e}\n";
    fs::write(model.join("skill.yaml"), source).unwrap();
    let tree = format!(
        r#"<root BTCPP_format="4"><BehaviorTree ID="Lift"><Sequence name="lift">
            <EnterPhase phase="take"/>
            <Release width="0.06"/>
            <Locate part="part_a"/>
            <MoveToPart name="onto it" part="part_a" xyz="-0.160;0;-0.025" rpy="0;3.14159265;0"/>
            <Grip force="40"/>
            <EnterPhase phase="move"/>
            <MoveLinear name="over" xyz="0;{over_m};0"/>
        </Sequence></BehaviorTree></root>"#
    );
    fs::write(model.join("trees/leader.xml"), tree).unwrap();
    let envelope = repository().join("tests/data/cooperative_assembly/safety_envelope.yaml");
    let text = fs::read_to_string(envelope).unwrap();
    let narrow = text.replace("max_m: [0.75, 0.6, 0.8]", "max_m: [0.75, -0.1, 0.8]");
    assert_ne!(narrow, text, "the shipped envelope has another workspace");
    fs::write(model.join("safety_envelope.yaml"), narrow).unwrap();
    model
}

fn preview(artifact: &Path, more: &[&str]) -> Said {
    preview_in(&repository().join("config/cell.yaml"), artifact, more)
}

fn preview_in(declaration: &Path, artifact: &Path, more: &[&str]) -> Said {
    let line = [
        "preview",
        "--artifact",
        artifact.to_str().unwrap(),
        "--cell",
        declaration.to_str().unwrap(),
        "--part",
        "part_a=-0.11,-0.29,0.045,0,0,0.15",
    ];
    cell(&[&line, more].concat())
}

#[test]
fn a_skill_within_its_envelope_is_accepted_as_folder_and_as_archive() {
    let folder = tempfile::tempdir().unwrap();
    let model = skill(folder.path(), 0.05);
    let (code, out, err) = preview(&model, &["--json"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&said["accepted"], &said["refused_because"]), (&Value::Bool(true), &Value::Null));
    assert!(said["duration_s"].as_f64().unwrap() > 1.0);
    assert_eq!(said["phases"][1]["phase"], "move");
    assert_eq!(said["arms"][0]["robot"], "ur5e_left");
    let margins = said["margins"].as_array().unwrap();
    assert!(margins.len() >= 6 && margins.iter().all(|margin| margin["margin"].as_f64().unwrap() >= 0.0));

    let archive = folder.path().join("lift.tar.gz");
    let line = ["package", "--model-dir", model.to_str().unwrap(), "--output", archive.to_str().unwrap()];
    assert_eq!(cell(&line).0, 0);
    assert_eq!(preview(&archive, &["--json"]), (code, out, err), "the archive has another preview");
}

#[test]
fn a_skill_that_leaves_its_envelope_is_refused_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = preview(&skill(folder.path(), 0.35), &[]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    let refusal = out.lines().last().unwrap();
    assert!(
        refusal.starts_with("refused: the preview breaks the envelope: workspace of ur5e_left is -0."),
        "{refusal}"
    );
    assert!(refusal.ends_with(", role leader, phase move, node over"), "{refusal}");
}

/// A skill that goes where a scanner sends it, once a light is green.
#[test]
fn peripherals_answer_what_the_question_says() {
    let folder = tempfile::tempdir().unwrap();
    let model = skill(folder.path(), 0.05);
    let tree = r#"<root BTCPP_format="4"><BehaviorTree ID="Lift"><Sequence>
        <WaitTopic peripheral="light" pick="/data" value="{green}" timeout_s="1"/>
        <CallService peripheral="scanner" request="json:{}" pick="/x" value="{x}"/>
        <EnterPhase phase="move"/>
        <MoveLinear xyz="0;0.05;0" _skipIf="x &lt; 1 || !green"/>
      </Sequence></BehaviorTree></root>"#;
    fs::write(model.join("trees/leader.xml"), tree).unwrap();
    let repository = repository();
    fs::create_dir(folder.path().join("config")).unwrap();
    let declaration = fs::read_to_string(repository.join("config/cell.yaml")).unwrap();
    let peripherals = "peripherals:\n  - {name: scanner, service: /scan, type: driver_msgs/srv/Scan}\n  \
                       - {name: light, subscribe: /light, type: std_msgs/msg/Bool}\n\nnodes:\n";
    let cell = folder.path().join("config/cell.yaml");
    fs::write(&cell, declaration.replace("\nnodes:\n", &format!("\n{peripherals}"))).unwrap();
    fs::copy(repository.join("config/safety_ceiling.yaml"), folder.path().join("config/safety_ceiling.yaml"))
        .unwrap();
    std::os::unix::fs::symlink(repository.join("urdf"), folder.path().join("urdf")).unwrap();

    let asked = |answers: &[&str]| {
        let mut line = vec!["--json"];
        line.extend(answers.iter().flat_map(|answer| ["--answer", answer]));
        let (_, out, err) = preview_in(&cell, &model, &line);
        let said: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
        (
            said["refused_because"].as_str().unwrap_or_default().to_owned(),
            said["duration_s"].as_f64().unwrap(),
        )
    };
    let (refusal, moving_s) = asked(&["light={\"data\": true}", "scanner={\"x\": 1}"]);
    assert_eq!(refusal, "");
    let (refusal, standing_s) = asked(&["light={\"data\": true}", "scanner={\"x\": 0}"]);
    assert!(refusal.is_empty() && standing_s < moving_s, "{refusal}; {standing_s} s, {moving_s} s");
    let (refusal, _) = asked(&["light={\"data\": true}"]);
    assert!(refusal.ends_with("CallService: there is no /x in null"), "{refusal}");
    let (refusal, _) = asked(&["scanner={\"x\": 1}"]);
    assert!(refusal.contains("WaitTopic: ") && refusal.contains("light"), "{refusal}");

    let (code, _, err) = preview_in(&cell, &model, &["--answer", "lamp=1"]);
    assert_eq!(code, 2);
    assert!(err.contains("--answer is for 'lamp', which is none of the peripherals of "), "{err}");
}

#[test]
fn what_is_wrong_with_the_question_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let model = skill(folder.path(), 0.05);
    let (code, _, err) = preview(&model, &["--part", "part_b=1,2"]);
    assert_eq!(code, 2);
    assert!(err.contains("expected NAME=X,Y,Z or NAME=X,Y,Z,ROLL,PITCH,YAW"), "{err}");
    let (code, _, err) = preview(&model, &["--voxel", "0"]);
    assert_eq!((code, err.trim()), (2, "error: --voxel is 0, expected 0.005 to 0.5 m"));
    fs::write(model.join("trees/leader.xml"), "<root").unwrap();
    let (code, out, _) = preview(&model, &[]);
    assert_eq!(code, 1);
    assert!(out.starts_with("refused: the tree of role leader: trees/leader.xml"), "{out}");
}
