//! Judges a cell's disk from outside, with nothing of the bridge: what its store says is deployed has to be whole, signed and assigned, and
//! what its cache calls an artifact has to be that artifact.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;
use swarm_artifact::{ArchiveDigest, ArtifactId, SignatureFile, Trust, verify};

use crate::artifacts::Made;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Something that is called an artifact is not all of it.
    Torn(String),
    /// Something is deployed that nobody signed, or that was not assigned.
    Unverified(String),
}

/// What the judge knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge<'a> {
    pub(crate) made: &'a BTreeMap<ArtifactId, Made>,
    pub(crate) trust: &'a Trust,
    /// What this cell was ever assigned.
    pub(crate) assigned: &'a BTreeSet<ArtifactId>,
    /// Contents that the drill itself has put into the cache.
    pub(crate) damaged: &'a BTreeSet<ArtifactId>,
}

impl Judge<'_> {
    /// Of a cell that may be at work: what goes away meanwhile is not judged.
    pub(crate) fn judge(&self, cell: &Path) -> Vec<Finding> {
        let mut found = Vec::new();
        let pointer = cell.join("store/deployed.json");
        let before = fs::read(&pointer).ok();
        if let Some(text) = &before {
            let deployed = self.deployed(&cell.join("store"), text);
            // It was exchanged while it was looked at.
            if fs::read(&pointer).ok() == before {
                found.extend(deployed);
            }
        }
        found.extend(self.cache(&cell.join("bridge/cache")));
        found
    }

    fn deployed(&self, store: &Path, pointer: &[u8]) -> Option<Finding> {
        let current = serde_json::from_slice::<Value>(pointer).ok();
        let current = current.and_then(|value| value["current"].as_str()?.parse::<ArtifactId>().ok());
        let Some(id) = current else {
            return Some(Finding::Torn(format!("deployed.json is '{}'", String::from_utf8_lossy(pointer))));
        };
        let Some(made) = self.made.get(&id).filter(|_| self.assigned.contains(&id)) else {
            return Some(Finding::Unverified(format!("{id} is deployed, and was never assigned")));
        };
        let object = store.join("objects").join(id.to_string());
        let torn = |what: &str| Some(Finding::Torn(format!("{what} of the deployed {id}")));
        let Ok(archive) = fs::read(object.join("archive.tar.gz")) else { return torn("there is no archive") };
        let digest = ArchiveDigest::of(&archive);
        if digest.id != id {
            return torn("other bytes in the archive");
        }
        for (name, bytes) in &made.files {
            if fs::read(object.join("unpacked").join(name)).ok().as_ref() != Some(bytes) {
                return torn(&format!("other bytes in the unpacked {name}"));
            }
        }
        let signatures = fs::read_to_string(object.join("archive.sig")).unwrap_or_default();
        let verified =
            SignatureFile::parse(&signatures).map_err(|error| error.to_string()).and_then(|file| {
                let now = swarm_store::unix_now();
                verify(&digest, &file, self.trust, now).map_err(|error| error.to_string())
            });
        verified.err().map(|why| Finding::Unverified(format!("{id} is deployed: {why}")))
    }

    fn cache(&self, cache: &Path) -> Vec<Finding> {
        let names = fs::read_dir(cache).into_iter().flatten().flatten().map(|entry| entry.path());
        names.filter_map(|path| self.cached(&path)).collect()
    }

    fn cached(&self, path: &Path) -> Option<Finding> {
        let id: ArtifactId = path.file_name()?.to_str()?.strip_suffix(".tar.gz")?.parse().ok()?;
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            read => read.unwrap_or_default(),
        };
        let found = ArchiveDigest::of(&bytes).id;
        let wrong = found != id && !self.damaged.contains(&found);
        wrong.then(|| {
            Finding::Torn(format!("the cache has {} bytes with digest {found} as {id}", bytes.len()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::Maker;

    /// A cell that has taken an artifact up as it should, and the judge of it.
    struct Bench {
        folder: tempfile::TempDir,
        made: BTreeMap<ArtifactId, Made>,
        trust: Trust,
        assigned: BTreeSet<ArtifactId>,
        id: ArtifactId,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let maker = Maker::new(&folder.path().join("artifacts"), 4).unwrap();
            let made = maker.make("drill", "1.0.0").unwrap();
            let (trust, id) = (maker.trust(), made.id);
            let store = swarm_store::Store::open(folder.path().join("cell/store")).unwrap();
            let signatures = swarm_store::signature_path(&made.archive);
            let object = store.ingest(&made.archive, &signatures, &trust, 1).unwrap();
            store.deploy(&object, swarm_artifact::Intent::Upgrade, 1).unwrap();
            let cache = folder.path().join("cell/bridge/cache");
            fs::create_dir_all(&cache).unwrap();
            fs::copy(&made.archive, cache.join(format!("{id}.tar.gz"))).unwrap();
            Self { folder, made: BTreeMap::from([(id, made)]), trust, assigned: BTreeSet::from([id]), id }
        }

        fn judge(&self) -> Vec<Finding> {
            let damaged = BTreeSet::new();
            let judge =
                Judge { made: &self.made, trust: &self.trust, assigned: &self.assigned, damaged: &damaged };
            judge.judge(&self.folder.path().join("cell"))
        }

        fn object(&self, file: &str) -> std::path::PathBuf {
            self.folder.path().join(format!("cell/store/objects/{}/{file}", self.id))
        }
    }

    #[test]
    fn a_sound_cell_is_found_sound_and_a_new_one_too() {
        assert_eq!(Bench::new().judge(), []);
        let bench = Bench::new();
        fs::remove_dir_all(bench.folder.path().join("cell")).unwrap();
        assert_eq!(bench.judge(), []);
    }

    #[test]
    fn every_torn_file_is_found() {
        for file in ["archive.tar.gz", "unpacked/policy.onnx"] {
            let bench = Bench::new();
            let bytes = fs::read(bench.object(file)).unwrap();
            fs::write(bench.object(file), &bytes[..bytes.len() / 2]).unwrap();
            assert!(matches!(bench.judge()[..], [Finding::Torn(_)]), "{file}: {:?}", bench.judge());
        }
        let bench = Bench::new();
        fs::write(bench.folder.path().join("cell/store/deployed.json"), "{").unwrap();
        assert!(matches!(bench.judge()[..], [Finding::Torn(_)]));
        let bench = Bench::new();
        let cached = bench.folder.path().join(format!("cell/bridge/cache/{}.tar.gz", bench.id));
        fs::write(cached, "half").unwrap();
        assert!(matches!(bench.judge()[..], [Finding::Torn(_)]));
    }

    #[test]
    fn what_nobody_signed_or_assigned_is_found() {
        let mut bench = Bench::new();
        bench.trust.keys[0].key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key();
        assert!(matches!(bench.judge()[..], [Finding::Unverified(_)]));
        let mut bench = Bench::new();
        bench.assigned.clear();
        assert!(matches!(bench.judge()[..], [Finding::Unverified(_)]));
    }
}
