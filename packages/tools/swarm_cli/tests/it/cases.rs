//! Every good artifact is believed, every bad one refused with exactly the sentence that its case states, and what is
//! deployed stays deployed.

use std::collections::BTreeSet;
use std::fs;

use semver::Version;
use swarm_artifact::Intent;
use swarm_cli::cases::{Case, Expected, NOW_UNIX, deployed_before, generate};
use swarm_store::{Deployed, Store, StoreError, read_trust, signature_path};

#[test]
fn every_case_gets_its_verdict_and_its_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let cases = generate(folder.path()).unwrap();
    let mut differing = Vec::new();
    for case in &cases {
        let expected = match &case.expected {
            Expected::Good => Ok(()),
            Expected::Refused { code, message } => Err((*code, message.clone())),
        };
        let found = case.verdict().unwrap();
        if found != expected {
            differing.push(format!("{}:\n  expected {expected:?}\n  found    {found:?}", case.name));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// What the runtime does with an artifact: take it into the store, then deploy it.
fn deploy(store: &Store, case: &Case) -> Result<Deployed, StoreError> {
    let trust = read_trust(&case.trust)?;
    let object = store.ingest(&case.archive, &signature_path(&case.archive), &trust, NOW_UNIX)?;
    store.deploy(&object, Intent::Upgrade, NOW_UNIX)
}

#[test]
fn no_bad_artifact_changes_what_is_deployed() {
    let folder = tempfile::tempdir().unwrap();
    let mut refused = 0;
    for case in generate(&folder.path().join("cases")).unwrap() {
        let Expected::Refused { message, .. } = &case.expected else { continue };
        let bench = tempfile::tempdir_in(folder.path()).unwrap();
        let version = case.deployed.clone().unwrap_or(Version::new(0, 1, 0));
        let before = deployed_before(bench.path(), &version).unwrap();
        let store = Store::open(bench.path().join("store")).unwrap();
        let deployed = deploy(&store, &before).unwrap();

        assert_eq!(deploy(&store, &case).unwrap_err().to_string(), *message, "{}", case.name);

        assert_eq!(store.deployed().unwrap(), Some(deployed), "{}", case.name);
        store.current(&read_trust(&before.trust).unwrap()).unwrap();
        assert_eq!(fs::read_dir(store.root().join("staging")).unwrap().count(), 0, "{}", case.name);
        refused += 1;
    }
    assert!(refused >= 20, "{refused}");
}

#[test]
fn the_cases_are_many_and_named_once() {
    let folder = tempfile::tempdir().unwrap();
    let cases = generate(folder.path()).unwrap();
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len());
    let good = cases.iter().filter(|case| case.expected == Expected::Good).count();
    assert!(good >= 5 && cases.len() - good >= 20, "{good} good of {}", cases.len());
}
