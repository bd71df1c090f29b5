//! Deploying, going back, and what the store refuses.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Bench, NOW};
use semver::Version;
use swarm_artifact::Intent;
use swarm_store::{Store, StoreError, signature_path};

fn version(store: &Store) -> String {
    store.deployed().unwrap().unwrap().current_deployment().version.to_string()
}

/// Deploys `version` and says that it is good.
fn deploy_good(bench: &Bench, store: &Store, version: &str) {
    let object = bench.ingest(store, "assembly", version);
    let deployed = store.deploy(&object, Intent::Upgrade, NOW).unwrap();
    store.mark_good(deployed.generation).unwrap();
}

#[test]
fn an_artifact_is_ingested_deployed_and_read_back() {
    let bench = Bench::new();
    let store = bench.store();
    assert_eq!(store.deployed().unwrap(), None);
    let object = bench.ingest(&store, "assembly", "1.0.0");
    assert_eq!(store.deployed().unwrap(), None, "ingesting deploys nothing");
    let deployed = store.deploy(&object, Intent::Upgrade, NOW).unwrap();
    assert_eq!((deployed.generation, deployed.current, deployed.last_good), (1, object.id(), None));

    let reopened = bench.store();
    let current = reopened.current(&bench.trust).unwrap().unwrap();
    assert_eq!(current.manifest().skill.version, Version::new(1, 0, 0));
    assert!(current.folder().join("trees/leader.xml").is_file());
    assert_eq!(reopened.mark_good(1).unwrap().last_good, Some(object.id()));
}

#[test]
fn deploying_again_what_is_deployed_changes_nothing() {
    let bench = Bench::new();
    let store = bench.store();
    let object = bench.ingest(&store, "assembly", "1.0.0");
    let first = store.deploy(&object, Intent::Upgrade, NOW).unwrap();
    let again = bench.ingest(&store, "assembly", "1.0.0");
    assert_eq!(store.deploy(&again, Intent::Upgrade, NOW + 1).unwrap(), first);
}

#[test]
fn an_older_version_is_refused_unless_it_is_a_rollback() {
    let bench = Bench::new();
    let store = bench.store();
    let old = bench.ingest(&store, "assembly", "1.0.0");
    store.deploy(&bench.ingest(&store, "assembly", "1.1.0"), Intent::Upgrade, NOW).unwrap();
    assert_eq!(
        store.deploy(&old, Intent::Upgrade, NOW).unwrap_err().to_string(),
        "skill 'assembly': version 1.0.0 is older than the deployed 1.1.0; to go back on purpose, ask for a rollback"
    );
    assert_eq!(version(&store), "1.1.0");
    store.deploy(&old, Intent::Rollback, NOW).unwrap();
    assert_eq!(version(&store), "1.0.0");
}

#[test]
fn the_rollback_rule_remembers_a_skill_while_another_is_deployed() {
    let bench = Bench::new();
    let store = bench.store();
    let old = bench.ingest(&store, "assembly", "1.0.0");
    store.deploy(&bench.ingest(&store, "assembly", "2.0.0"), Intent::Upgrade, NOW).unwrap();
    store.deploy(&bench.ingest(&store, "polishing", "0.1.0"), Intent::Upgrade, NOW).unwrap();
    assert!(matches!(store.deploy(&old, Intent::Upgrade, NOW), Err(StoreError::Version { .. })));
}

#[test]
fn a_rollback_goes_to_the_last_good_and_a_second_one_further_back() {
    let bench = Bench::new();
    let store = bench.store();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        deploy_good(&bench, &store, version);
    }
    store.deploy(&bench.ingest(&store, "assembly", "1.3.0"), Intent::Upgrade, NOW).unwrap();
    for expected in ["1.2.0", "1.1.0", "1.0.0"] {
        store.rollback(&bench.trust, NOW).unwrap();
        assert_eq!(version(&store), expected);
    }
    assert_eq!(
        store.rollback(&bench.trust, NOW).unwrap_err().to_string(),
        "there is no earlier good version to roll back to; assembly 1.0.0 stays deployed"
    );
}

#[test]
fn a_rollback_passes_over_an_artifact_that_is_damaged() {
    let bench = Bench::new();
    let store = bench.store();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        deploy_good(&bench, &store, version);
    }
    let damage = |version: &str| {
        let object = bench.ingest(&store, "assembly", version);
        fs::write(object.archive_path(), "damaged").unwrap();
    };
    damage("1.1.0");
    store.rollback(&bench.trust, NOW).unwrap();
    assert_eq!(version(&store), "1.0.0");

    let bench = Bench::new();
    let store = bench.store();
    deploy_good(&bench, &store, "1.0.0");
    deploy_good(&bench, &store, "1.1.0");
    let object = bench.ingest(&store, "assembly", "1.0.0");
    fs::write(object.archive_path(), "damaged").unwrap();
    let error = store.rollback(&bench.trust, NOW).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(version(&store), "1.1.0");
}

#[test]
fn a_named_rollback_goes_to_versions_that_were_good() {
    let bench = Bench::new();
    let store = bench.store();
    deploy_good(&bench, &store, "1.0.0");
    deploy_good(&bench, &store, "1.1.0");
    store.deploy(&bench.ingest(&store, "assembly", "1.2.0"), Intent::Upgrade, NOW).unwrap();
    store.rollback_to(&Version::new(1, 0, 0), &bench.trust, NOW).unwrap();
    assert_eq!(version(&store), "1.0.0");
    assert_eq!(
        store.rollback_to(&Version::new(1, 2, 0), &bench.trust, NOW).unwrap_err().to_string(),
        "version 1.2.0 of skill 'assembly' was not good here before; versions to go back to: 1.1.0"
    );
    store.rollback_to(&Version::new(1, 1, 0), &bench.trust, NOW).unwrap();
    assert_eq!(version(&store), "1.1.0");
}

#[test]
fn a_late_verdict_about_an_earlier_generation_changes_nothing() {
    let bench = Bench::new();
    let store = bench.store();
    store.deploy(&bench.ingest(&store, "assembly", "1.0.0"), Intent::Upgrade, NOW).unwrap();
    store.deploy(&bench.ingest(&store, "assembly", "1.1.0"), Intent::Upgrade, NOW).unwrap();
    assert_eq!(
        store.mark_good(1).unwrap_err().to_string(),
        "generation 1 is not deployed any more (it is 2 now); what was learned about it changes nothing"
    );
    assert_eq!(store.deployed().unwrap().unwrap().last_good, None);
}

#[test]
fn what_is_read_back_is_verified_again() {
    type Damage = fn(&std::path::Path);
    let damages: [(&str, Damage); 6] = [
        ("its archive has SHA-256", |folder| fs::write(folder.join("archive.tar.gz"), "x").unwrap()),
        ("its bytes differ", |folder| {
            let path = folder.join("unpacked/safety_envelope.yaml");
            let longer = fs::read_to_string(&path).unwrap().replace("joints", "points");
            fs::write(path, longer).unwrap();
        }),
        ("it is longer", |folder| {
            let path = folder.join("unpacked/safety_envelope.yaml");
            let longer = fs::read_to_string(&path).unwrap() + "x";
            fs::write(path, longer).unwrap();
        }),
        ("it is not in the archive", |folder| {
            fs::write(folder.join("unpacked/trees/extra.xml"), "").unwrap();
        }),
        ("No such file", |folder| fs::remove_file(folder.join("unpacked/trees/leader.xml")).unwrap()),
        ("it is not a regular file", |folder| {
            fs::rename(folder.join("unpacked/trees/leader.xml"), folder.join("elsewhere")).unwrap();
            std::os::unix::fs::symlink(folder.join("elsewhere"), folder.join("unpacked/trees/leader.xml"))
                .unwrap();
        }),
    ];
    for (expected, damage) in damages {
        let bench = Bench::new();
        let store = bench.store();
        let object = bench.ingest(&store, "assembly", "1.0.0");
        store.deploy(&object, Intent::Upgrade, NOW).unwrap();
        damage(object.archive_path().parent().unwrap());
        let error = store.current(&bench.trust).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{expected}: {error}");
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        // Ingesting it again mends it.
        bench.ingest(&store, "assembly", "1.0.0");
        store.current(&bench.trust).unwrap();
    }
}

#[test]
fn expiry_stops_a_new_artifact_but_not_a_deployed_one_and_revocation_stops_both() {
    let mut bench = Bench::new();
    let store = bench.store();
    bench.trust.keys[0].not_after_unix = Some(NOW);
    let object = bench.ingest(&store, "assembly", "1.0.0");
    store.deploy(&object, Intent::Upgrade, NOW).unwrap();
    let (archive, _) = bench.artifact("assembly", "1.1.0");
    let late = store.ingest(&archive, &signature_path(&archive), &bench.trust, NOW + 1);
    assert!(
        matches!(late, Err(StoreError::NotBelieved(swarm_artifact::VerifyError::Expired { .. }))),
        "{late:?}"
    );
    store.current(&bench.trust).unwrap();
    bench.trust.keys[0].revoked = true;
    let revoked = store.current(&bench.trust);
    assert!(
        matches!(revoked, Err(StoreError::NotBelieved(swarm_artifact::VerifyError::Revoked { .. }))),
        "{revoked:?}"
    );
}

#[test]
fn a_second_writer_is_told_to_wait() {
    let bench = Bench::new();
    let store = bench.store();
    let object = bench.ingest(&store, "assembly", "1.0.0");
    let held = fs::File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(store.root().join("pointer.lock"))
        .unwrap();
    held.lock().unwrap();
    let error = store.deploy(&object, Intent::Upgrade, NOW).unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    held.unlock().unwrap();
    store.deploy(&object, Intent::Upgrade, NOW).unwrap();
}

#[test]
fn a_reader_never_sees_half_a_pointer() {
    let bench = Bench::new();
    let store = bench.store();
    let objects = ["1.0.0", "1.1.0"].map(|version| bench.ingest(&store, "assembly", version));
    store.deploy(&objects[0], Intent::Upgrade, NOW).unwrap();
    let done = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                store.deployed().unwrap().expect("something is deployed all the time");
                reads += 1;
            }
            reads
        });
        for turn in 1..200 {
            bench.store().deploy(&objects[turn % 2], Intent::Rollback, NOW).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(reads > 200, "the reader looked only {reads} times");
}

#[test]
fn a_pointer_file_that_cannot_be_is_refused() {
    let bench = Bench::new();
    let store = bench.store();
    store.deploy(&bench.ingest(&store, "assembly", "1.0.0"), Intent::Upgrade, NOW).unwrap();
    let path = store.root().join("deployed.json");
    let good = fs::read_to_string(&path).unwrap();
    for bad in [
        String::new(),
        good[..good.len() / 2].to_owned(),
        good.replacen("\"generation\": 1", "\"generation\": 7", 1),
        good.replacen("\"schema_version\": 1", "\"schema_version\": 9", 1),
    ] {
        fs::write(&path, bad).unwrap();
        let error = store.deployed().unwrap_err();
        assert!(matches!(error, StoreError::BadPointer { .. }), "{error}");
    }
}
