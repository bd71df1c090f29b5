//! Signed artifacts, and what is known of them by whoever made them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ed25519_dalek::SigningKey;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use swarm_artifact::{ArtifactId, KeyRole, SignatureFile, Trust, TrustedKey};
use swarm_store::{PackageOptions, package, signature_path};

const SIGNER: &str = "drill";

/// An artifact as its maker knows it.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) id: ArtifactId,
    pub(crate) version: String,
    /// With its signature file beside it.
    pub(crate) archive: PathBuf,
    /// What is in it, besides the manifest that packaging adds.
    pub(crate) files: BTreeMap<&'static str, Vec<u8>>,
}

/// Makes artifacts below a folder, all signed with one key.
#[derive(Debug)]
pub(crate) struct Maker {
    folder: PathBuf,
    key: SigningKey,
    kib: usize,
}

impl Maker {
    /// `kib` of noise go into each artifact; trained weights pack hardly better.
    pub(crate) fn new(folder: &Path, kib: usize) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make '{}'", folder.display()))?;
        Ok(Self { folder: folder.to_owned(), key: SigningKey::from_bytes(&rand::random()), kib })
    }

    /// Whom cells and registry believe.
    pub(crate) fn trust(&self) -> Trust {
        let key = TrustedKey {
            key: self.key.verifying_key(),
            signer: SIGNER.to_owned(),
            roles: BTreeSet::from([KeyRole::Artifact]),
            not_before_unix: None,
            not_after_unix: None,
            revoked: false,
        };
        Trust { threshold: 1, keys: vec![key] }
    }

    pub(crate) fn make(&self, skill: &str, version: &str) -> Result<Made> {
        let source = tempfile::tempdir_in(&self.folder)?;
        let mut noise = vec![0; self.kib * 1024];
        SmallRng::from_rng(&mut rand::rng()).fill_bytes(&mut noise);
        let manifest = format!(
            "schema_version: 1\nskill_id: {skill}\nversion: {version}\n\
             roles:\n  leader: {{tree: tree.xml, tree_id: Leader, robot_group: leader}}\nenvelope: envelope.yaml\n"
        );
        let files = BTreeMap::from([
            ("tree.xml", b"<root BTCPP_format=\"4\"/>\n".to_vec()),
            ("envelope.yaml", b"max_tcp_speed_m_s: 0.25\n".to_vec()),
            ("policy.onnx", noise),
        ]);
        fs::write(source.path().join("skill.yaml"), manifest)?;
        for (name, bytes) in &files {
            fs::write(source.path().join(name), bytes)?;
        }
        let archive = self.folder.join(format!("{skill}_v{version}.tar.gz"));
        let options = PackageOptions { compression_level: 1, ..PackageOptions::default() };
        let digest = package(source.path(), &archive, &options)
            .with_context(|| format!("cannot package {skill} {version}"))?
            .digest;
        let mut signatures = SignatureFile::empty();
        signatures.sign(&digest.signing_digest(), &self.key, SIGNER);
        fs::write(signature_path(&archive), signatures.to_yaml())?;
        Ok(Made { id: digest.id, version: version.to_owned(), archive, files })
    }
}
