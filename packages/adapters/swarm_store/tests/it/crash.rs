//! Whatever breaks, and at whatever moment: the store holds the old state or the new one, and works on.

use std::fs;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::{Bench, NOW};
use proptest::prelude::*;
use swarm_artifact::{Intent, Trust};
use swarm_store::{Fault, Step, Store, StoreError, read_trust, signature_path};

const VERSIONS: [&str; 4] = ["1.0.0", "1.1.0", "1.2.0", "1.3.0"];

/// Ingests and deploys the next of `VERSIONS`, and says that it is good. Any order of versions: a rollback is meant.
fn one_round(store: &Store, archive: &Path, trust: &Trust) -> Result<(), StoreError> {
    let object = store.ingest(archive, &signature_path(archive), trust, NOW)?;
    let deployed = store.deploy(&object, Intent::Rollback, NOW)?;
    store.mark_good(deployed.generation)?;
    Ok(())
}

/// What must hold after any accident: the pointer is whole and its artifact sound. Gives the generation.
fn check(root: &Path, trust: &Trust) -> u64 {
    let store = Store::open(root).unwrap();
    let Some(deployed) = store.deployed().unwrap() else { return 0 };
    let current = store.current(trust).unwrap().expect("something is deployed");
    assert_eq!(current.id(), deployed.current);
    deployed.generation
}

/// No object is half written.
fn check_all_objects(root: &Path, trust: &Trust) {
    let store = Store::open(root).unwrap();
    for entry in fs::read_dir(root.join("objects")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        store.object(name.parse().unwrap(), trust).unwrap_or_else(|error| panic!("half an object: {error}"));
    }
}

#[test]
fn every_change_is_on_the_disk_before_the_next_step_builds_on_it() {
    let bench = Bench::new();
    let (archive, _) = bench.artifact("assembly", "1.0.0");
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&steps);
    let store = bench.store().with_fault(Fault::injected(move |step| {
        seen.lock().unwrap().push(format!("{step:?}"));
        Ok(())
    }));
    let object = store.ingest(&archive, &signature_path(&archive), &bench.trust, NOW).unwrap();
    store.deploy(&object, Intent::Upgrade, NOW).unwrap();
    assert_eq!(
        steps.lock().unwrap().join(" "),
        "CreateStaging CopyArchive CopySignatures Unpack WriteAcceptance SyncStaging PublishObject SyncObjects \
         WritePointer SyncPointer ReplacePointer SyncRoot"
    );
}

/// Deploys 1.0.0, then 1.1.0 with the disk failing before step `failing`. Gives whether that step was reached.
fn fail_at(failing: usize, damaged_before: bool) -> bool {
    let bench = Bench::new();
    let root = bench.path("store");
    let (old, new) = (bench.artifact("assembly", "1.0.0").0, bench.artifact("assembly", "1.1.0").0);
    one_round(&bench.store(), &old, &bench.trust).unwrap();
    if damaged_before {
        let object = bench.ingest(&bench.store(), "assembly", "1.1.0");
        fs::write(object.path(&object.manifest().skill.envelope), "damaged").unwrap();
    }
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let store = bench.store().with_fault(Fault::injected(move |step| {
        if counter.fetch_add(1, Ordering::Relaxed) == failing {
            return Err(io::Error::new(io::ErrorKind::StorageFull, format!("injected before {step:?}")));
        }
        Ok(())
    }));
    let result = one_round(&store, &new, &bench.trust);
    let generation = check(&root, &bench.trust);
    let reached = count.load(Ordering::Relaxed) > failing;
    if reached {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("injected before"), "{error}");
        assert!((1..=2).contains(&generation), "{error}: generation {generation}");
        // The disk works again, and so does the store.
        one_round(&bench.store(), &new, &bench.trust).unwrap();
    } else {
        result.unwrap();
    }
    assert_eq!(check(&root, &bench.trust), 2);
    check_all_objects(&root, &bench.trust);
    reached
}

#[test]
fn an_error_of_the_disk_at_any_step_leaves_the_old_state_or_the_new_one() {
    // An ingest and two changes of the pointer: 8 + 2 * 4 steps; one more where a damaged object is in the way.
    for (damaged_before, expected) in [(false, 16), (true, 17)] {
        let steps = (0..100).take_while(|failing| fail_at(*failing, damaged_before)).count();
        assert_eq!(steps, expected, "steps that were made to fail");
    }
}

const WORKER: &str = "SWARM_STORE_TEST_WORKER";

/// The process that is killed: deploys one version after the other for ever and says each step.
fn worker(folder: &Path) {
    let trust = read_trust(&folder.join("trust.yaml")).unwrap();
    let store = Store::open(folder.join("store")).unwrap().with_fault(Fault::injected(|step: Step| {
        writeln!(io::stdout(), "step {step:?}")?;
        Ok(())
    }));
    for version in VERSIONS.iter().cycle() {
        one_round(&store, &folder.join(format!("assembly_v{version}.tar.gz")), &trust).unwrap();
        // The next ingest has its full work again.
        store.prune(0).unwrap();
    }
}

proptest! {
    // A case is a process; shrinking the moment of a kill means nothing.
    #![proptest_config(ProptestConfig { cases: 1, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kill_9_at_any_moment_leaves_the_old_state_or_the_new_one(
        moments in prop::collection::vec(0_usize..40, 25)
    ) {
        if let Some(folder) = std::env::var_os(WORKER) {
            worker(Path::new(&folder));
        }
        let bench = Bench::new();
        fs::write(bench.path("trust.yaml"), bench.trust.to_yaml()).unwrap();
        let archives: Vec<PathBuf> = VERSIONS.iter().map(|version| bench.artifact("assembly", version).0).collect();
        let root = bench.path("store");
        let mut generation = 0;
        for moment in moments {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "crash::kill_9_at_any_moment_leaves_the_old_state_or_the_new_one", "--nocapture"])
                .env(WORKER, bench.folder.path())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
            let steps = lines.filter(|line| line.starts_with("step ")).take(moment + 1).count();
            child.kill().unwrap();
            child.wait().unwrap();
            prop_assert_eq!(steps, moment + 1, "the worker ended by itself");

            let after = check(&root, &bench.trust);
            check_all_objects(&root, &bench.trust);
            prop_assert!(after >= generation, "generation {} became {}", generation, after);
            // The lock is free, leftovers are cleared away, and the store goes on.
            one_round(&bench.store(), &archives[moment % 4], &bench.trust).unwrap();
            prop_assert_eq!(fs::read_dir(root.join("staging")).unwrap().count(), 0);
            generation = check(&root, &bench.trust);
        }
    }
}
