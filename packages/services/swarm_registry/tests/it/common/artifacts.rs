//! Real artifacts: the suite's example skill, packaged and signed as `cell package` and `cell sign` do it.

use std::collections::BTreeSet;
use std::path::Path;

use ed25519_dalek::SigningKey;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use swarm_artifact::{ArchiveDigest, KeyRole, SignatureFile, Trust, TrustedKey};
use swarm_store::{PackageOptions, package};

pub(crate) const FORM_TYPE: &str = "multipart/form-data; boundary=cut-here-cut-here";

/// The key that the registry trusts.
pub(crate) fn site_a() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(crate) fn trust() -> Trust {
    let key = TrustedKey {
        key: site_a().verifying_key(),
        signer: "site_a".to_owned(),
        roles: BTreeSet::from([KeyRole::Artifact]),
        not_before_unix: None,
        not_after_unix: None,
        revoked: false,
    };
    Trust { threshold: 1, keys: vec![key] }
}

#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) archive: Vec<u8>,
    pub(crate) signature: String,
}

impl Signed {
    /// The example skill in this version, signed by site A.
    pub(crate) fn version(version: &str) -> Self {
        Self::packaged(version, 6)
    }

    /// Another compression level gives other bytes of the same version.
    pub(crate) fn packaged(version: &str, compression_level: u32) -> Self {
        let version = Some(version.parse().unwrap());
        Self::with(&PackageOptions { skill_id: None, version, compression_level })
    }

    /// The same skill under another name.
    pub(crate) fn of_skill(skill: &str, version: &str) -> Self {
        let (skill_id, version) = (Some(skill.parse().unwrap()), Some(version.parse().unwrap()));
        Self::with(&PackageOptions { skill_id, version, ..PackageOptions::default() })
    }

    fn with(options: &PackageOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("skill.tar.gz");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/data/cooperative_assembly");
        package(&source, &output, options).unwrap();
        Self::signed_by(std::fs::read(output).unwrap(), &site_a())
    }

    /// A skill of its own with a policy of so many bytes of noise.
    pub(crate) fn large(version: &str, bytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (source, output) = (folder.path().join("skill"), folder.path().join("skill.tar.gz"));
        std::fs::create_dir(&source).unwrap();
        let manifest = format!(
            "schema_version: 1\nskill_id: large\nversion: {version}\n\
             roles:\n  leader: {{tree: tree.xml, tree_id: Leader, robot_group: leader}}\nenvelope: envelope.yaml\n"
        );
        let noise = SmallRng::seed_from_u64(bytes as u64).random_iter().take(bytes).collect::<Vec<u8>>();
        for (name, bytes) in [
            ("skill.yaml", manifest.as_bytes()),
            ("tree.xml", b"<root BTCPP_format=\"4\"/>\n"),
            ("envelope.yaml", b"max_tcp_speed_m_s: 0.25\n"),
            ("policy.onnx", &noise),
        ] {
            std::fs::write(source.join(name), bytes).unwrap();
        }
        package(&source, &output, &PackageOptions { compression_level: 1, ..PackageOptions::default() })
            .unwrap();
        Self::signed_by(std::fs::read(output).unwrap(), &site_a())
    }

    pub(crate) fn signed_by(archive: Vec<u8>, key: &SigningKey) -> Self {
        let mut file = SignatureFile::empty();
        file.sign(&ArchiveDigest::of(&archive).signing_digest(), key, "site_a");
        Self { archive, signature: file.to_yaml() }
    }

    pub(crate) fn digest(&self) -> String {
        ArchiveDigest::of(&self.archive).id.to_string()
    }

    /// The form of an upload, with further fields.
    pub(crate) fn form(&self, further: &[(&str, &str)]) -> Vec<u8> {
        let mut fields = vec![("signature", self.signature.as_str()), ("uploaded_by", "the test")];
        fields.extend(further);
        form(Some(&self.archive), &fields)
    }
}

pub(crate) fn form(file: Option<&[u8]>, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut form = Vec::new();
    if let Some(file) = file {
        form.extend_from_slice(
            b"--cut-here-cut-here\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../../x.tar.gz\"\r\n\r\n",
        );
        form.extend_from_slice(file);
        form.extend_from_slice(b"\r\n");
    }
    for (name, value) in fields {
        let field = format!(
            "--cut-here-cut-here\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        form.extend_from_slice(field.as_bytes());
    }
    form.extend_from_slice(b"--cut-here-cut-here--\r\n");
    form
}
