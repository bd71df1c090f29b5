//! Backups of a registry that goes on, and restores that lose nothing.

use std::path::{Path, PathBuf};

use crate::bags::hand_in_bag;
use crate::common::{Csactl, Setup, artifact, exchange, get, text, trust_file};
use csactl::evidence::{Running, Size, restore_drill};
use serde_json::{Value, json};

struct Bed {
    folder: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, data: &str, arguments: &[&str]) -> crate::common::Ended {
        let csactl = Csactl::at("http://127.0.0.1:1")
            .with("REGISTRY_DATA_PATH", text(&self.path(data)))
            .with("BACKUP_PLACE", text(&self.path("backups")));
        csactl.run(arguments)
    }

    fn json(&self, data: &str, arguments: &[&str]) -> Value {
        self.run(data, &[&["--json"], arguments].concat()).expect(0).json()
    }

    /// The whole tree of the backups' place, but for notes of restores.
    fn backups(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(&self.path("backups"), &mut found);
        let mut names: Vec<String> = found
            .iter()
            .map(|path| path.strip_prefix(self.path("backups")).unwrap().display().to_string())
            .filter(|name| !name.contains("/restored_"))
            .collect();
        names.sort();
        names
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}

#[test]
fn a_backup_of_a_running_registry_comes_back_whole() {
    let bed = Bed::new();
    let trust = trust_file(bed.folder.path());
    let registry = Setup::local(&bed.path("data")).start();
    let csactl = Csactl::at(&registry.address);
    csactl.json(&["upload", text(&artifact(bed.folder.path(), "1.0.0"))]);
    csactl.json(&["upload", text(&artifact(bed.folder.path(), "1.1.0"))]);
    csactl.json(&["quarantine", "2", "--reason", "drops the peg"]);
    let (list, audit) = (csactl.json(&["list"]), csactl.json(&["audit", "verify"]));
    let taken = bed.json("data", &["backup"]);
    assert_eq!((&taken["artifacts"], &taken["copied"]), (&json!(2), &json!(2)));
    // Behind the backup: not in it, and no harm to it.
    csactl.json(&["upload", text(&artifact(bed.folder.path(), "1.2.0"))]);
    drop(registry);

    let restored = bed.json("new", &["restore", "--trust", text(&trust)]);
    assert_eq!((&restored["rows_lost"], &restored["artifacts_lost"]), (&json!(0), &json!(0)));
    assert_eq!(restored["audit_head"], audit["head"]);
    let registry = Setup::local(&bed.path("new")).start();
    let csactl = Csactl::at(&registry.address);
    assert_eq!(csactl.json(&["list"]), list);
    csactl.run(&["verify-all", "--trust", text(&trust)]).says(0, &["2 artifacts", "0 bad"]);
    let head = audit["head"].as_str().unwrap();
    csactl.run(&["audit", "verify", "--expect-head", head]).says(0, &["intact"]);
    // It goes on: numbers are not used again.
    assert_eq!(csactl.json(&["upload", text(&artifact(bed.folder.path(), "1.3.0"))])["id"], 3);
    bed.run("data", &["list-backups"]).says(0, &["full_backup_", "sqlite"]);
    bed.run("data", &["dr", "status"]).says(0, &["last restore"]);
}

#[test]
fn what_backups_leave_out_is_forgotten_by_a_restore_unless_it_is_there() {
    let bed = Bed::new();
    let registry = Setup::local(&bed.path("data")).start();
    let (status, begun) = exchange(&registry.address, "POST /api/v1/csa/uploads", r#"{"length": 10}"#);
    assert_eq!(status, 201);
    let begun: Value = serde_json::from_slice(&begun).unwrap();
    for bag in ["there.mcap", "gone.mcap"] {
        hand_in_bag(&registry, &bed.path("spool"), bag);
    }
    let bags = Csactl::at(&registry.address).json(&["bags", "list"]);
    bed.json("data", &["backup"]);
    drop(registry);

    // The artifact store has outlived the database, but for one bag.
    let there = bags.as_array().unwrap().iter().find(|bag| bag["name"] == "there.mcap").unwrap();
    let digest = there["digest"].as_str().unwrap();
    let mut objects = Vec::new();
    collect(&bed.path("data/artifacts/bags"), &mut objects);
    let object = objects.iter().find(|path| text(path).contains(digest)).unwrap();
    let again = bed.path("new").join(object.strip_prefix(bed.path("data")).unwrap());
    std::fs::create_dir_all(again.parent().unwrap()).unwrap();
    std::fs::copy(object, again).unwrap();
    assert_eq!(bed.json("new", &["restore"])["rows_lost"], 0);
    let registry = Setup::local(&bed.path("new")).start();
    let upload = format!("/api/v1/csa/uploads/{}", begun["upload_id"].as_str().unwrap());
    assert_eq!(get(&registry.address, &upload).0, 404);
    assert_eq!(Csactl::at(&registry.address).json(&["bags", "list"]), json!([there]));
}

#[test]
fn a_second_backup_copies_only_what_is_new_and_reread_mends_what_was_damaged() {
    let bed = Bed::new();
    let registry = Setup::local(&bed.path("data")).start();
    let csactl = Csactl::at(&registry.address);
    csactl.json(&["upload", text(&artifact(bed.folder.path(), "1.0.0"))]);
    let first = bed.json("data", &["backup"]);
    csactl.json(&["upload", text(&artifact(bed.folder.path(), "1.1.0"))]);
    let second = until_a_second_later(&first, || bed.run("data", &["--json", "backup"]));
    assert_eq!((&second["artifacts"], &second["copied"]), (&json!(2), &json!(1)));
    let damaged = bed.backups().into_iter().find(|name| name.starts_with("artifacts/")).unwrap();
    let path = bed.path("backups").join(damaged);
    let good = std::fs::read(&path).unwrap();
    let mut bytes = good.clone();
    bytes[7] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    bed.run("new", &["restore"]).says(2, &["has the digest", "changed where it is kept"]);
    assert!(!bed.path("new/registry.db").exists(), "a restore that failed leaves no registry");
    let third = until_a_second_later(&second, || bed.run("data", &["--json", "backup", "--reread"]));
    assert_eq!(third["copied"], 1);
    assert!(std::fs::read(&path).unwrap() == good);
    bed.run("new", &["restore"]).expect(0);
}

/// Ids have seconds: a backup within the same one is refused.
fn until_a_second_later(before: &Value, run: impl Fn() -> crate::common::Ended) -> Value {
    loop {
        let ended = run();
        if ended.code == 0 {
            let taken = ended.json();
            assert_ne!(taken["id"], before["id"]);
            return taken;
        }
        ended.says(2, &["already; try again in a second"]);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_restore_overwrites_nothing_and_believes_no_damaged_backup() {
    let bed = Bed::new();
    let registry = Setup::local(&bed.path("data")).start();
    let csactl = Csactl::at(&registry.address);
    csactl.json(&["upload", text(&artifact(bed.folder.path(), "1.0.0"))]);
    let id = bed.json("data", &["backup"])["id"].as_str().unwrap().to_owned();
    let before = std::fs::read(bed.path("data/registry.db")).unwrap();
    bed.run("data", &["restore"]).says(2, &["exists already and is not overwritten"]);
    assert!(std::fs::read(bed.path("data/registry.db")).unwrap() == before);
    for bad in ["full_backup_20200101_000000", "../data", "full_backup_"] {
        bed.run("new", &["restore", "--backup-id", bad]).says(2, &["full_backup_"]);
    }
    // Another registry's artifact under the same digest cannot be; damaged bytes can.
    let artifact = bed.backups().into_iter().find(|name| name.starts_with("artifacts/")).unwrap();
    let there = bed.path("new").join(&artifact);
    std::fs::create_dir_all(there.parent().unwrap()).unwrap();
    std::fs::write(&there, b"damaged").unwrap();
    bed.run("new", &["restore"]).says(2, &["is there already with the digest", "not overwritten"]);
    std::fs::remove_file(&there).unwrap();

    let database = bed.path("backups").join(format!("backups/{id}/database.sqlite"));
    let good = std::fs::read(&database).unwrap();
    let mut bytes = good.clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&database, &bytes).unwrap();
    bed.run("new", &["restore"]).says(2, &["the backup was damaged"]);
    std::fs::write(&database, &good).unwrap();
    let manifest = bed.path("backups").join(format!("backups/{id}/manifest.json"));
    let text_of = std::fs::read_to_string(&manifest).unwrap();
    std::fs::remove_file(&manifest).unwrap();
    bed.run("new", &["restore"]).says(2, &["no whole backup"]);
    bed.run("new", &["dr", "status"]).says(1, &["PROBLEM", "cut off"]);
    std::fs::write(&manifest, text_of).unwrap();
    bed.run("new", &["restore", "--backup-id", &id]).expect(0);
}

#[test]
fn no_backup_is_one_whose_artifacts_are_not_all_there() {
    let bed = Bed::new();
    let registry = Setup::local(&bed.path("data")).start();
    let csactl = Csactl::at(&registry.address);
    let digest = csactl.json(&["upload", text(&artifact(bed.folder.path(), "1.0.0"))])["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = bed.path("data/artifacts/sha256").join(&digest[..2]).join(format!("{digest}.tar.gz"));
    std::fs::remove_file(path).unwrap();
    bed.run("data", &["backup"]).says(2, &[&digest, "there is no backup without it"]);
    assert!(!bed.backups().iter().any(|name| name.ends_with("manifest.json")));
}

#[test]
fn what_is_not_supported_is_said() {
    let bed = Bed::new();
    bed.run("nowhere", &["backup"]).says(2, &["there is no folder"]);
    std::fs::create_dir_all(bed.path("empty/artifacts")).unwrap();
    bed.run("empty", &["backup"]).says(2, &["there is no database"]);
    bed.run("empty", &["backup", "--type", "incremental"]).says(2, &["only 'full' is known"]);
    bed.run("empty", &["backup", "--out", "ftp://x"]).says(2, &["expected a folder or s3://BUCKET/PREFIX"]);
    bed.run("empty", &["backup", "--database-url", "mysql://root:hunter2@h/x"]).says(2, &["DATABASE_URL"]);
}

#[test]
fn the_drill_loses_nothing() {
    let work = tempfile::tempdir().unwrap();
    let start = |data: &Path, trust: &Path| {
        let trust = swarm_store::read_trust(trust)?;
        let registry = Setup { trust, ..Setup::local(data) }.start();
        Ok(Running { address: registry.address.clone(), kept: Box::new(registry) })
    };
    let size = Size { artifacts: 12, kib: 16, quarantined_every: 5 };
    let measured = restore_drill(work.path(), size, &start).unwrap();
    let figures = &measured["figures"];
    for none in ["rows_lost", "artifacts_lost", "bad"] {
        assert_eq!(figures[none], 0, "{measured}");
    }
    assert!(figures["artifacts"].as_u64().unwrap() >= 12, "{measured}");
    assert!(figures["audit_entries"].as_i64().unwrap() >= 15, "{measured}");
    assert!(measured["reference"]["copy_and_hash_seconds"].as_f64().unwrap() > 0.0);
}
