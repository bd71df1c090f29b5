//! A skill folder, its keys and its trust file, in a temporary folder of their own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use swarm_artifact::{ArchiveDigest, KeyRole, SignatureFile, Trust, TrustedKey};
use swarm_store::{Object, PackageOptions, Packaged, Store, package, signature_path};

pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) key: SigningKey,
    pub(crate) trust: Trust,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let key = SigningKey::from_bytes(&[1; 32]);
        let trusted = TrustedKey {
            key: key.verifying_key(),
            signer: "site_a".to_owned(),
            roles: BTreeSet::from([KeyRole::Artifact]),
            not_before_unix: None,
            not_after_unix: None,
            revoked: false,
        };
        Self { folder: tempfile::tempdir().unwrap(), key, trust: Trust { threshold: 1, keys: vec![trusted] } }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(self.path("store")).unwrap()
    }

    /// Packages and signs `skill` at `version`; every version has other bytes.
    pub(crate) fn artifact(&self, skill: &str, version: &str) -> (PathBuf, Packaged) {
        let source = self.path(&format!("{skill}_{version}"));
        write_skill(&source, skill, version);
        let archive = self.path(&format!("{skill}_v{version}.tar.gz"));
        let packaged = package(&source, &archive, &PackageOptions::default()).unwrap();
        self.sign(&archive);
        (archive, packaged)
    }

    pub(crate) fn sign(&self, archive: &Path) {
        let digest = ArchiveDigest::of(&fs::read(archive).unwrap());
        let mut signatures = SignatureFile::empty();
        signatures.sign(&digest.signing_digest(), &self.key, "site_a");
        fs::write(signature_path(archive), signatures.to_yaml()).unwrap();
    }

    pub(crate) fn ingest(&self, store: &Store, skill: &str, version: &str) -> Object {
        let (archive, _) = self.artifact(skill, version);
        store.ingest(&archive, &signature_path(&archive), &self.trust, NOW).unwrap()
    }
}

pub(crate) fn write_skill(folder: &Path, skill: &str, version: &str) {
    fs::create_dir_all(folder.join("trees")).unwrap();
    let source = format!(
        "schema_version: 1\nskill_id: {skill}\nversion: {version}\n\
         roles:\n  leader: {{tree: trees/leader.xml, tree_id: Leader, robot_group: leader}}\n\
         envelope: safety_envelope.yaml\nprovenance: {{note: \"made for {version}\"}}\n"
    );
    fs::write(folder.join("skill.yaml"), source).unwrap();
    fs::write(
        folder.join("trees/leader.xml"),
        format!("<root BTCPP_format=\"4\"><!-- {version} --></root>\n"),
    )
    .unwrap();
    fs::write(folder.join("safety_envelope.yaml"), "joints: {}\n").unwrap();
}
