//! Makes a store with small signed artifacts that hold hardly more than a safety envelope, for tests and measurements of the gate.
//!
//! `make_test_store FOLDER` writes `FOLDER/store`, `FOLDER/trust.yaml`, and prints the artifacts' digests as JSON:
//! `tight` tightens the cell's ceiling, `loose` would loosen it, `untrusted` is signed by a key that `FOLDER/trust.yaml` does not
//! hold (it got into the store under another trust file), `broken` has an envelope that is no YAML.
//! The keys are fixed, public and worthless.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ed25519_dalek::SigningKey;
use swarm_artifact::{ArchiveDigest, KeyRole, SignatureFile, Trust, TrustedKey};
use swarm_store::{PackageOptions, Store, package, signature_path, unix_now};

const TIGHT: &str = "schema: 1\nrobots:\n  leader:\n    tcp: {provenance: \"test\", speed_m_s: 0.3}\n";
const LOOSE: &str = "schema: 1\nrobots:\n  follower:\n    tcp: {provenance: \"test\", speed_m_s: 9.0}\n";
const EXPIRED: &str = "schema: 1\nvalid: {until: 2020-01-01T00:00:00Z}\n";
const ELSEWHERE: &str = "schema: 1\nvalid: {cells: [another_bench]}\n";
const BROKEN: &str = "schema: [1\n";

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).context("usage: make_test_store FOLDER")?);
    let (trusted, stranger) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
    let maker = Maker { folder: folder.clone(), store: Store::open(folder.join("store"))? };
    let digests = serde_json::json!({
        "tight": maker.artifact("tight", TIGHT, &trusted)?,
        "loose": maker.artifact("loose", LOOSE, &trusted)?,
        "expired": maker.artifact("expired", EXPIRED, &trusted)?,
        "elsewhere": maker.artifact("elsewhere", ELSEWHERE, &trusted)?,
        "broken": maker.artifact("broken", BROKEN, &trusted)?,
        "untrusted": maker.artifact("untrusted", TIGHT, &stranger)?,
    });
    fs::write(folder.join("trust.yaml"), trust_in(&trusted).to_yaml())?;
    println!("{digests}");
    Ok(())
}

struct Maker {
    folder: PathBuf,
    store: Store,
}

impl Maker {
    /// Packages, signs and ingests an artifact with this envelope; returns its digest.
    fn artifact(&self, skill: &str, envelope: &str, key: &SigningKey) -> anyhow::Result<String> {
        let source = self.folder.join(skill);
        write_skill(&source, skill, envelope)?;
        let archive = self.folder.join(format!("{skill}.tar.gz"));
        package(&source, &archive, &PackageOptions::default())?;
        let mut signatures = SignatureFile::empty();
        signatures.sign(&ArchiveDigest::of(&fs::read(&archive)?).signing_digest(), key, "test");
        fs::write(signature_path(&archive), signatures.to_yaml())?;
        let object = self.store.ingest(&archive, &signature_path(&archive), &trust_in(key), unix_now())?;
        Ok(object.id().to_string())
    }
}

fn write_skill(folder: &Path, skill: &str, envelope: &str) -> anyhow::Result<()> {
    fs::create_dir_all(folder.join("trees"))?;
    let source = format!(
        "schema_version: 1\nskill_id: {skill}\nversion: 1.0.0\nenvelope: safety_envelope.yaml\n\
         roles:\n  leader: {{tree: trees/leader.xml, tree_id: Leader, robot_group: leader}}\n"
    );
    fs::write(folder.join("skill.yaml"), source)?;
    fs::write(folder.join("trees/leader.xml"), "<root BTCPP_format=\"4\"/>\n")?;
    Ok(fs::write(folder.join("safety_envelope.yaml"), envelope)?)
}

fn trust_in(key: &SigningKey) -> Trust {
    let trusted = TrustedKey {
        key: key.verifying_key(),
        signer: "test".to_owned(),
        roles: BTreeSet::from([KeyRole::Artifact]),
        not_before_unix: None,
        not_after_unix: None,
        revoked: false,
    };
    Trust { threshold: 1, keys: vec![trusted] }
}
