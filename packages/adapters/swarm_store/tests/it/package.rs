//! Packaging: the same folder gives the same bytes, and what the cell would refuse is refused here.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::common::{Bench, write_skill};
use semver::Version;
use swarm_store::{PackageOptions, package};

#[test]
fn the_same_files_give_the_same_bytes_whatever_their_times_modes_and_order() {
    let bench = Bench::new();
    let (first, _) = bench.artifact("assembly", "1.0.0");

    let folder = bench.path("elsewhere");
    fs::create_dir(&folder).unwrap();
    for name in ["zz", "aa"] {
        fs::write(folder.join(name), "in another order of creation").unwrap();
        fs::remove_file(folder.join(name)).unwrap();
    }
    write_skill(&folder, "assembly", "1.0.0");
    let envelope = folder.join("safety_envelope.yaml");
    fs::set_permissions(&envelope, fs::Permissions::from_mode(0o600)).unwrap();
    fs::File::options().write(true).open(&envelope).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let second = bench.path("second.tar.gz");
    package(&folder, &second, &PackageOptions::default()).unwrap();
    assert_eq!(fs::read(first).unwrap(), fs::read(second).unwrap());
}

/// If this fails, a dependency packs differently, and artifacts packaged before and after it have different identities.
#[test]
fn the_bytes_of_an_archive_are_pinned() {
    let bench = Bench::new();
    let (_, packaged) = bench.artifact("assembly", "1.0.0");
    assert_eq!(
        packaged.digest.id.to_string(),
        "86e07d36723f17b7bce6fbb5ee507b3765f645c6bde8167773a274b2bd925656"
    );
}

#[test]
fn name_and_version_can_be_given_and_dot_files_are_left_out() {
    let bench = Bench::new();
    let folder = bench.path("source");
    write_skill(&folder, "assembly", "1.0.0");
    fs::write(folder.join("trees/.leader.xml.swp"), "").unwrap();
    let options = PackageOptions {
        skill_id: Some("polishing".parse().unwrap()),
        version: Some(Version::new(2, 0, 0)),
        ..PackageOptions::default()
    };
    let packaged = package(&folder, &bench.path("a.tar.gz"), &options).unwrap();
    assert_eq!(packaged.manifest.skill.skill_id.as_str(), "polishing");
    assert_eq!(packaged.manifest.skill.version, Version::new(2, 0, 0));
    assert_eq!(packaged.left_out, [folder.join("trees/.leader.xml.swp")]);
}

/// What is done to a good folder.
type Spoil = fn(&std::path::Path);

#[test]
fn each_bad_folder_has_its_sentence_and_nothing_is_written() {
    let bench = Bench::new();
    let folder = bench.path("source");
    let output = bench.path("a.tar.gz");
    let cases: [(Spoil, &str); 6] = [
        (
            |f| fs::remove_file(f.join("skill.yaml")).unwrap(),
            "'{}' has no skill.yaml: describe the skill there (see `cell package --help`)",
        ),
        (
            |f| fs::remove_file(f.join("trees/leader.xml")).unwrap(),
            "skill.yaml names 'trees/leader.xml', which is not in '{}'",
        ),
        (
            |f| std::os::unix::fs::symlink("/etc/passwd", f.join("trees/link")).unwrap(),
            "'{}/trees/link' is a symbolic link; an artifact contains regular files only",
        ),
        (
            |f| fs::write(f.join("two words.txt"), "").unwrap(),
            "'{}/two words.txt' cannot be packaged: 'two words.txt' has the segment 'two words.txt'; use letters, digits, '.', '_' and '-', and no leading dot",
        ),
        (
            |f| fs::write(f.join("manifest.yaml"), "").unwrap(),
            "the folder holds '{}/manifest.yaml', which `cell package` makes itself; remove it",
        ),
        (
            |f| fs::write(f.join("skill.yaml"), "schema_version: 1\n").unwrap(),
            "in '{}': skill.yaml cannot be used: 4 mistakes\n  line 1, column 1: skill_id: missing; expected the skill's name\n  line 1, column 1: version: missing; expected the skill's version\n  line 1, column 1: roles: missing; expected which tree each role runs\n  line 1, column 1: envelope: missing; expected the path of the safety envelope",
        ),
    ];
    for (spoil, expected) in cases {
        write_skill(&folder, "assembly", "1.0.0");
        spoil(&folder);
        let error = package(&folder, &output, &PackageOptions::default()).unwrap_err().to_string();
        assert_eq!(error, expected.replace("{}", &folder.display().to_string()));
        assert!(!output.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
