//! The command as people call it: what it prints, how it exits, what it leaves.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use swarm_artifact::ArchiveDigest;
use swarm_store::{PackageOptions, package};

fn csa_delta(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_csa_delta")).args(arguments).current_dir(folder).output().unwrap()
}

fn said(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const SKILL: &str = "schema_version: 1
skill_id: assembly
version: VERSION
roles:
  leader: {tree: trees/leader.xml, tree_id: Leader, robot_group: leader}
envelope: safety_envelope.yaml
";

fn artifact(folder: &Path, version: &str, changed: u8) {
    let source = folder.join(version);
    fs::create_dir_all(source.join("trees")).unwrap();
    let weights: Vec<u8> = (0..200_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let weights: Vec<u8> = weights
        .iter()
        .enumerate()
        .map(|(i, byte)| if i % 1_000 == 0 { byte ^ changed } else { *byte })
        .collect();
    fs::write(source.join("weights.bin"), weights).unwrap();
    fs::write(source.join("skill.yaml"), SKILL.replace("VERSION", version)).unwrap();
    for (name, text) in [("trees/leader.xml", "<root/>"), ("safety_envelope.yaml", "joints: {}\n")] {
        fs::write(source.join(name), text).unwrap();
    }
    package(&source, &folder.join(format!("{version}.tar.gz")), &PackageOptions::default()).unwrap();
}

#[test]
fn a_delta_is_made_and_applied() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    artifact(here, "1.0.0", 0);
    artifact(here, "1.1.0", 9);
    let made = csa_delta(here, &["make", "1.0.0.tar.gz", "1.1.0.tar.gz", "delta"]);
    assert!(made.status.success(), "{}", said(&made.stderr));
    assert_eq!(said(&made.stdout), format!("{} bytes\n", fs::metadata(here.join("delta")).unwrap().len()));

    let wanted = fs::read(here.join("1.1.0.tar.gz")).unwrap();
    let id = ArchiveDigest::of(&wanted).id.to_string();
    let applied = csa_delta(here, &["apply", "1.0.0.tar.gz", "delta", "made.tar.gz", "--digest", &id]);
    assert!(applied.status.success(), "{}", said(&applied.stderr));
    assert!(fs::read(here.join("made.tar.gz")).unwrap() == wanted);

    let other = "0".repeat(64);
    let refused = csa_delta(here, &["apply", "1.0.0.tar.gz", "delta", "other.tar.gz", "--digest", &other]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused.stderr).contains("packaged by other means"), "{}", said(&refused.stderr));
    assert!(!here.join("other.tar.gz").exists());
}

#[test]
fn where_the_whole_is_better_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    artifact(folder.path(), "1.0.0", 0);
    fs::write(folder.path().join("foreign.tar.gz"), "no archive").unwrap();
    let refused = csa_delta(folder.path(), &["make", "1.0.0.tar.gz", "foreign.tar.gz", "delta"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused.stderr).contains("cannot unpack 'foreign.tar.gz'"), "{}", said(&refused.stderr));
    assert!(!folder.path().join("delta").exists());
}
