//! Signed artifacts of any size, and the trust file that believes them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ed25519_dalek::SigningKey;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use swarm_artifact::{KeyRole, SignatureFile, Trust, TrustedKey};
use swarm_store::{PackageOptions, package};

const SIGNER: &str = "measurement";

/// A signed archive on disk.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) archive: PathBuf,
    pub(crate) signature: String,
    pub(crate) digest: String,
}

/// Makes artifacts below a folder, all signed with one key.
#[derive(Debug)]
pub(crate) struct Maker {
    folder: PathBuf,
    key: SigningKey,
}

impl Maker {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), key: SigningKey::from_bytes(&rand::random()) }
    }

    /// Writes the trust file; gives its path.
    pub(crate) fn trust(&self) -> Result<PathBuf> {
        let key = TrustedKey {
            key: self.key.verifying_key(),
            signer: SIGNER.to_owned(),
            roles: BTreeSet::from([KeyRole::Artifact]),
            not_before_unix: None,
            not_after_unix: None,
            revoked: false,
        };
        let path = self.folder.join("trust.yaml");
        fs::write(&path, Trust { threshold: 1, keys: vec![key] }.to_yaml())?;
        Ok(path)
    }

    /// An artifact of `skill` with `bytes` of noise as its policy: trained weights pack hardly better.
    pub(crate) fn make(&self, skill: &str, version: &str, bytes: u64) -> Result<Signed> {
        let source = tempfile::tempdir_in(&self.folder)?;
        let manifest = format!(
            "schema_version: 1\nskill_id: {skill}\nversion: {version}\n\
             roles:\n  leader: {{tree: tree.xml, tree_id: Leader, robot_group: leader}}\nenvelope: envelope.yaml\n"
        );
        fs::write(source.path().join("skill.yaml"), manifest)?;
        fs::write(source.path().join("tree.xml"), "<root BTCPP_format=\"4\"/>\n")?;
        fs::write(source.path().join("envelope.yaml"), "max_tcp_speed_m_s: 0.25\n")?;
        let mut weights = File::create(source.path().join("policy.onnx"))?;
        // The same on every run; another one for every version.
        let mut noise =
            SmallRng::seed_from_u64(version.bytes().fold(bytes, |seed, byte| seed * 31 + u64::from(byte)));
        let mut chunk = vec![0; 1 << 16];
        let mut left = bytes;
        while left > 0 {
            noise.fill_bytes(&mut chunk);
            let count = left.min(chunk.len() as u64);
            weights.write_all(&chunk[..count as usize])?;
            left -= count;
        }
        drop(weights);
        let archive = self.folder.join(format!("{skill}_v{version}.tar.gz"));
        let options = PackageOptions { compression_level: 1, ..PackageOptions::default() };
        let digest = package(source.path(), &archive, &options).context("cannot package an artifact")?.digest;
        let mut signatures = SignatureFile::empty();
        signatures.sign(&digest.signing_digest(), &self.key, SIGNER);
        Ok(Signed { archive, signature: signatures.to_yaml(), digest: digest.id.to_string() })
    }
}
