//! The store has room for the next artifact, however many came before.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use crate::common::{Bench, NOW};
use swarm_artifact::{ArtifactId, Intent};
use swarm_store::{Fault, Object, Step, Store, StoreError};

fn deploy(store: &Store, object: &Object, at_unix: i64) {
    let deployed = store.deploy(object, Intent::Upgrade, at_unix).unwrap();
    store.mark_good(deployed.generation).unwrap();
}

fn there(store: &Store) -> BTreeSet<ArtifactId> {
    let entries = fs::read_dir(store.root().join("objects")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap().parse().unwrap()).collect()
}

fn ids<'o>(objects: impl IntoIterator<Item = &'o Object>) -> BTreeSet<ArtifactId> {
    objects.into_iter().map(Object::id).collect()
}

#[test]
fn what_runs_what_a_rollback_goes_to_and_the_newest_few_stay() {
    let bench = Bench::new();
    let store = bench.store();
    let versions = (0..6).map(|minor| format!("1.{minor}.0"));
    let objects: Vec<Object> = versions.map(|version| bench.ingest(&store, "assembly", &version)).collect();
    assert_eq!(store.prune(0).unwrap(), [], "nothing is deployed yet");
    for (at, object) in (NOW..).zip(&objects) {
        deploy(&store, object, at);
    }
    let removed = store.prune(1).unwrap();
    assert_eq!(removed.into_iter().collect::<BTreeSet<_>>(), ids(&objects[..3]));
    assert_eq!(
        there(&store),
        ids(&objects[3..]),
        "5 runs, 4 was good before it, and 3 is the newest of the others"
    );
    assert_eq!(fs::read_dir(store.root().join("staging")).unwrap().count(), 0);
    assert_eq!(store.rollback(&bench.trust, NOW + 10).unwrap().current, objects[4].id());
    let error = store.rollback_to(&"1.1.0".parse().unwrap(), &bench.trust, NOW + 11).unwrap_err();
    assert!(matches!(error, StoreError::NotInStore { .. }), "{error}");
    // It has not gone for ever.
    let again = bench.ingest(&store, "assembly", "1.1.0");
    store.deploy(&again, Intent::Rollback, NOW + 12).unwrap();
    assert_eq!(store.current(&bench.trust).unwrap().unwrap().id(), again.id());
}

#[test]
fn what_is_the_only_good_one_stays_however_old() {
    let bench = Bench::new();
    let store = bench.store();
    let good = bench.ingest(&store, "assembly", "1.0.0");
    deploy(&store, &good, NOW);
    let later: Vec<Object> =
        ["1.1.0", "1.2.0", "1.3.0"].iter().map(|version| bench.ingest(&store, "assembly", version)).collect();
    for object in &later {
        store.deploy(object, Intent::Upgrade, NOW + 1).unwrap();
    }
    store.prune(0).unwrap();
    assert_eq!(there(&store), ids([&good, &later[2]]));
    assert_eq!(store.rollback_object(&bench.trust).unwrap().id(), good.id());
}

#[test]
fn a_disk_that_fails_while_artifacts_go_leaves_each_whole_or_gone() {
    let bench = Bench::new();
    let objects: Vec<Object> = ["1.0.0", "1.1.0", "1.2.0", "1.3.0"]
        .iter()
        .map(|it| bench.ingest(&bench.store(), "assembly", it))
        .collect();
    deploy(&bench.store(), &objects[3], NOW);
    let failing = bench.store().with_fault(Fault::injected(move |step| {
        if step == Step::RemoveObject { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }));
    let error = failing.prune(0).unwrap_err();
    assert!(error.to_string().contains("move away"), "{error}");
    for id in there(&failing) {
        failing.object(id, &bench.trust).unwrap();
    }
    assert_eq!(bench.store().prune(0).unwrap().len(), 3, "the locks are free");
    assert_eq!(there(&bench.store()), ids([&objects[3]]));
}
