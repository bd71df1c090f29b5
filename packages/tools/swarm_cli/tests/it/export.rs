//! `cell export` as a program: what it prints, writes and refuses.

use std::path::Path;
use std::process::{Command, Output};

use swarm_dataset::synthetic::{Camera, Recording, Stream};

fn cell(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cell")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn record(folder: &Path, name: &str) -> String {
    let stream = Path::new(env!("CARGO_MANIFEST_DIR")).join("../swarm_dataset/tests/data/high.h264");
    let stream = Stream::from_annex_b(&std::fs::read(stream).unwrap());
    let mut recording = Recording::new(vec![Camera::new("front", &stream), Camera::new("wrist", &stream)]);
    recording.seconds = 3.0;
    let bag = folder.join(name);
    recording.write(&bag).unwrap();
    bag.display().to_string()
}

#[test]
fn bags_become_a_dataset_and_the_program_says_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let bags = ["a.mcap", "b.db3", "c"].map(|name| record(folder.path(), name));
    let out = folder.path().join("dataset");
    let arguments =
        ["export", &bags[0], &bags[1], &bags[2], "--picture-statistics", "imagenet", "--seed", "7"];
    let dry = cell(&[&arguments[..], &["--dry-run"]].concat());
    assert!(dry.status.success(), "{}", text(&dry.stderr));
    assert!(!out.exists());
    let done = cell(&[&arguments[..], &["--out", out.to_str().unwrap()]].concat());
    assert!(done.status.success(), "{}", text(&done.stderr));
    let said = text(&done.stdout);
    assert_eq!(said.strip_suffix(&format!("dataset: {}\n", out.display())).unwrap(), text(&dry.stdout));
    assert!(
        said.starts_with("3 episodes, 270 rows, 9.0 s; seed 7: 2 for training, 1 for validation\n"),
        "{said}"
    );
    assert!(said.contains("  observation.state [14]\n") && said.contains("  action [14]\n"), "{said}");
    assert!(said.contains("  wrist: capture off its slot by 0.00 ms"), "{said}");
    let info: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("meta/info.json")).unwrap()).unwrap();
    assert_eq!(info["splits"], serde_json::json!({"train": "0:2", "val": "2:3"}));
    let again = cell(&[&arguments[..], &["--out", out.to_str().unwrap()]].concat());
    assert_eq!(again.status.code(), Some(2));
    assert!(
        text(&again.stderr).contains("a dataset is never written over another"),
        "{}",
        text(&again.stderr)
    );
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bag = record(folder.path(), "a.mcap");
    let refused = |arguments: &[&str]| {
        let output = cell(&[&["export", &bag, "--dry-run"], arguments].concat());
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr).to_owned()
    };
    assert_eq!(refused(&["--no-images"]), "error: --no-images is for robomimic\n");
    assert_eq!(
        refused(&["--format", "robomimic", "--reencode"]),
        "error: --reencode is for lerobot; robomimic's pictures are decoded\n"
    );
    assert_eq!(
        refused(&["--validation", "1"]),
        "error: the part for validation is 1: expected 0 up to below 1\n"
    );
    assert!(refused(&["--range", "5"]).contains("expected FROM..TO, as 12.5..30"));
    assert!(refused(&["--camera", "top"]).contains("it has no camera top; it has front, wrist"));
}
