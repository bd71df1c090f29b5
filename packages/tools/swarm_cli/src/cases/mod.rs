//! Good and bad artifacts, each with the verdict it must get.
//!
//! One list serves three readers: the test that pins our messages, the test that compares our verdicts with the
//! independent verifier `tests/artifact/verify_csa.py`, and `cargo xtask evidence artifact`. Each case is a folder with
//! `artifact.tar.gz`, `artifact.tar.gz.sig` and `trust.yaml`, made from fixed keys: the same files on every run.

mod contents;
mod raw;
mod signatures;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ed25519_dalek::SigningKey;
use semver::Version;
use swarm_artifact::{ArchiveDigest, KeyId, KeyRole, SignatureFile, Trust, TrustedKey};
use swarm_store::{StoreError, read_trust, signature_path};

use crate::commands::verify::{Question, judge};

/// The moment at which our verifier judges: 2027-01-15. The cases use limits in 2020 and 2100, so that a verifier with
/// the machine's clock comes to the same verdict.
pub const NOW_UNIX: i64 = 1_800_000_000;
const IN_2020: i64 = 1_577_836_800;
const IN_2100: i64 = 4_102_444_800;

/// The verdict that a case must get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    Good,
    Refused {
        code: &'static str,
        /// The whole sentence that the user reads.
        message: String,
    },
}

/// One artifact with its signatures, its trust file, and what must come of it.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: &'static str,
    pub archive: PathBuf,
    pub trust: PathBuf,
    /// The version that is deployed when the artifact comes.
    pub deployed: Option<Version>,
    pub expected: Expected,
}

impl Case {
    /// What our verifier says: `Expected::Good`, or the refusal with code and message.
    ///
    /// An error means that it could not look at all.
    pub fn verdict(&self) -> anyhow::Result<Result<(), (&'static str, String)>> {
        let trust = read_trust(&self.trust)?;
        let signatures = signature_path(&self.archive);
        let question = Question {
            archive: &self.archive,
            signatures: &signatures,
            trust: &trust,
            now_unix: NOW_UNIX,
            newer_than: self.deployed.as_ref(),
        };
        match judge(&question) {
            Ok(_) => Ok(Ok(())),
            Err(error) => match StoreError::refusal_code(&error) {
                Some(code) => Ok(Err((code, error.to_string()))),
                None => Err(error).with_context(|| format!("case {}", self.name)),
            },
        }
    }
}

/// Writes all cases below `folder`, each into a folder of its own.
pub fn generate(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let mut bench = Bench { folder: folder.to_owned(), cases: Vec::new() };
    signatures::add_to(&mut bench)?;
    contents::add_to(&mut bench)?;
    Ok(bench.cases)
}

/// A good artifact of the cases' skill, for a cell on which something is deployed already. Not one of [`generate`]'s.
pub fn deployed_before(folder: &Path, version: &Version) -> anyhow::Result<Case> {
    let mut skill = raw::Skill::sound()?;
    skill.source.version = version.clone();
    // Other content under the same version, too.
    skill.source.provenance.insert("note".to_owned(), "deployed before".to_owned());
    let mut bench = Bench { folder: folder.to_owned(), cases: Vec::new() };
    Ok(bench.add_signed("deployed_before", &skill.archive()?, Expected::Good)?.clone())
}

/// Where cases are made.
struct Bench {
    folder: PathBuf,
    cases: Vec<Case>,
}

impl Bench {
    /// A case with the given bytes. `signatures` is the text of the signature file; `None` leaves the file out.
    fn add(
        &mut self,
        name: &'static str,
        archive: &[u8],
        signatures: Option<&str>,
        trust: &Trust,
        expected: Expected,
    ) -> anyhow::Result<&mut Case> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder)?;
        let (path, trust_path) = (folder.join("artifact.tar.gz"), folder.join("trust.yaml"));
        fs::write(&path, archive)?;
        fs::write(&trust_path, trust.to_yaml())?;
        if let Some(text) = signatures {
            fs::write(signature_path(&path), text)?;
        }
        self.cases.push(Case { name, archive: path, trust: trust_path, deployed: None, expected });
        Ok(self.cases.last_mut().expect("a case was pushed"))
    }

    /// A case with an archive that site_a signed properly and site_a is trusted alone.
    fn add_signed(
        &mut self,
        name: &'static str,
        archive: &[u8],
        expected: Expected,
    ) -> anyhow::Result<&mut Case> {
        let signatures = signed(archive, &[SITE_A]).to_yaml();
        self.add(name, archive, Some(&signatures), &trusting(1, &[SITE_A]), expected)
    }
}

fn refused(code: &'static str, message: impl Into<String>) -> Expected {
    Expected::Refused { code, message: message.into() }
}

/// A signer with a fixed key.
#[derive(Clone, Copy)]
pub(crate) struct Signer {
    pub(crate) name: &'static str,
    seed: u8,
}

pub(crate) const SITE_A: Signer = Signer { name: "site_a", seed: 1 };
const SITE_A_SECOND_KEY: Signer = Signer { name: "site_a", seed: 2 };
const SITE_B: Signer = Signer { name: "site_b", seed: 3 };
const MALLORY: Signer = Signer { name: "mallory", seed: 4 };

impl Signer {
    pub(crate) fn key(self) -> SigningKey {
        SigningKey::from_bytes(&[self.seed; 32])
    }

    fn id(self) -> KeyId {
        KeyId::of(&self.key().verifying_key())
    }

    fn trusted(self) -> TrustedKey {
        TrustedKey {
            key: self.key().verifying_key(),
            signer: self.name.to_owned(),
            roles: BTreeSet::from([KeyRole::Artifact]),
            not_before_unix: Some(IN_2020),
            not_after_unix: Some(IN_2100),
            revoked: false,
        }
    }
}

pub(crate) fn trusting(threshold: usize, signers: &[Signer]) -> Trust {
    Trust { threshold, keys: signers.iter().map(|signer| signer.trusted()).collect() }
}

fn signed(archive: &[u8], signers: &[Signer]) -> SignatureFile {
    let digest = ArchiveDigest::of(archive).signing_digest();
    let mut file = SignatureFile::empty();
    for signer in signers {
        file.sign(&digest, &signer.key(), signer.name);
    }
    file
}
