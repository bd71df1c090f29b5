//! From the upload to a cell's cache: a registry makes the delta, and a cell makes the artifact out of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use crate::common::{Csactl, Setup, artifact, text};
use swarm_artifact::{ArchiveDigest, ArtifactId, Limits};
use swarm_registry_client::{Cache, Connection, Downloaded, Settings};
use swarm_tuf::repository::{Keyring, Lifetimes, NewRole, NewRoles, Repository};
use swarm_tuf::{
    Client, Ed25519Signer, Fetch, Host, Mode, Moment, Refusal, Target, TargetFile, find, refresh,
};

fn apply_delta(base: &Path, delta: &Path, artifact: ArtifactId, output: &Path) -> Result<(), String> {
    let delta = File::open(delta).map_err(|error| error.to_string())?;
    let made = swarm_store::apply_delta(base, delta, artifact, output, Limits::default());
    made.map(drop).map_err(|error| error.to_string())
}

/// What signed metadata says of these archives.
struct Metadata {
    root: Vec<u8>,
    files: BTreeMap<String, Vec<u8>>,
    kept: BTreeMap<String, Vec<u8>>,
}

impl Host for Metadata {
    type Error = Refusal;

    fn load(&mut self, file: &str) -> Result<Option<Vec<u8>>, Refusal> {
        Ok(self.kept.get(file).cloned())
    }

    fn fetch(&mut self, fetch: &Fetch) -> Result<Option<Vec<u8>>, Refusal> {
        Ok(self.files.get(&fetch.file).cloned())
    }

    fn store(&mut self, file: &str, bytes: &[u8]) -> Result<(), Refusal> {
        self.kept.insert(file.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&mut self, file: &str) -> Result<(), Refusal> {
        self.kept.remove(file);
        Ok(())
    }
}

fn signed(archives: &[(&str, &[u8])]) -> Vec<Target> {
    let mut keyring = Keyring::default();
    let mut role = |seed: u8| NewRole {
        keys: vec![keyring.add(Ed25519Signer::new(ed25519_dalek::SigningKey::from_bytes(&[seed; 32])))],
        threshold: std::num::NonZeroU64::MIN,
    };
    let roles = NewRoles { root: role(1), targets: role(2), snapshot: role(3), timestamp: role(4) };
    let day = 86_400;
    let lifetimes = Lifetimes { root_s: day, targets_s: day, snapshot_s: day, timestamp_s: day };
    let mut repository = Repository::create(roles, lifetimes);
    for (name, bytes) in archives {
        repository.set_target("targets", &name.parse().unwrap(), TargetFile::of(bytes)).unwrap();
    }
    let now = Moment(1_800_000_000);
    let files = repository.publish(&keyring, now).unwrap();
    let files: BTreeMap<_, _> = files.into_iter().map(|file| (file.name, file.bytes)).collect();
    let mut host = Metadata { root: files["1.root.json"].clone(), files, kept: BTreeMap::new() };
    let mut client =
        Client::new(&host.root.clone(), now, Mode::Online, swarm_tuf::Limits::default()).unwrap();
    refresh(&mut client, &mut host).unwrap();
    archives.iter().map(|(name, _)| find(&mut client, &mut host, &name.parse().unwrap()).unwrap()).collect()
}

#[test]
fn a_cell_makes_the_next_version_out_of_the_one_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Setup::local(&folder.path().join("data")).start();
    let csactl = Csactl::at(&registry.address);
    let paths = ["1.0.0", "1.1.0", "1.2.0"].map(|version| artifact(folder.path(), version));
    for path in &paths {
        csactl.run(&["upload", text(path)]).expect(0);
    }
    let archives = paths.each_ref().map(|path| std::fs::read(path).unwrap());
    let ids = archives.each_ref().map(|bytes| ArchiveDigest::of(bytes).id);
    let named = [("a/1", &archives[0][..]), ("a/2", &archives[1][..]), ("a/3", &archives[2][..])];
    let targets = signed(&named);

    let settings = Settings { url: registry.address.clone(), ..Settings::default() };
    let connection = Connection::new(&settings).unwrap();
    let cache = Cache::open(&folder.path().join("cache")).unwrap().with_deltas(Some(apply_delta));
    let fetch = |at: usize, bases: &[ArtifactId]| {
        cache.download_from(&connection, ids[at], &targets[at], bases, |_| true).unwrap()
    };
    assert_eq!(fetch(0, &[]), Downloaded::default());
    let how = fetch(1, &ids[..1]);
    let (base, bytes) = how.by_delta.unwrap_or_else(|| panic!("{how:?}"));
    assert!(base == ids[0] && bytes < archives[1].len() as u64 / 2, "{bytes} of {}", archives[1].len());
    assert_eq!(std::fs::read(cache.archive(ids[1])).unwrap(), archives[1]);
    cache.verify(ids[1], &targets[1], &crate::common::trust(), swarm_store::unix_now()).unwrap();

    // What is withdrawn comes in no way.
    csactl.run(&["quarantine", &ids[2].to_string(), "--reason", "it drops parts"]).expect(0);
    let refused = cache.download_from(&connection, ids[2], &targets[2], &ids[1..2], |_| true).unwrap_err();
    assert_eq!(refused.problem_code(), Some("quarantined"));
    assert!(!cache.archive(ids[2]).exists());
}
