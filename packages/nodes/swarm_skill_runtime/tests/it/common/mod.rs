//! A signed skill, a store and the shipped cell, without ROS.

pub(crate) mod cell;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ed25519_dalek::SigningKey;
use swarm_artifact::{ArchiveDigest, ArtifactId, Intent, KeyRole, SignatureFile, Trust, TrustedKey};
use swarm_base::Duration;
use swarm_cell::CellConfig;
use swarm_skill_core::{ArmAtRest, check_rest};
use swarm_skill_runtime::beside::Candidate;
use swarm_skill_runtime::deployer::{Deployer, Order, Places, Surroundings};
use swarm_skill_runtime::robots::Robots;
use swarm_store::{PackageOptions, Store, package, read_trust, signature_path};

pub(crate) const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");

/// Each role enters one phase and goes home.
pub(crate) fn tree(id: &str) -> String {
    format!(
        r#"<root BTCPP_format="4"><BehaviorTree ID="{id}"><Sequence>
             <EnterPhase phase="home"/><MoveJoints/>
           </Sequence></BehaviorTree></root>"#
    )
}

/// The files of a skill, each to be replaced by a test.
pub(crate) struct SkillFolder {
    pub(crate) leader: String,
    pub(crate) follower: String,
    /// `trees/lib/home.xml`, for trees that include it.
    pub(crate) library: Option<String>,
    pub(crate) leader_group: String,
    pub(crate) envelope: String,
    /// ONNX file and golden vectors of the follower's policy.
    pub(crate) policy: Option<(Vec<u8>, String)>,
}

impl Default for SkillFolder {
    fn default() -> Self {
        Self {
            leader: tree("Leader"),
            follower: tree("Follower"),
            library: None,
            leader_group: "ur5e".into(),
            envelope: "schema: 1\nrobots:\n  leader: {tcp: {speed_m_s: 0.3}}\n".into(),
            policy: None,
        }
    }
}

pub(crate) struct Bench {
    folder: tempfile::TempDir,
    key: SigningKey,
    robots: Arc<Robots>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::of(shipped_robots())
    }

    /// Of a cell with these robots.
    pub(crate) fn of(robots: Robots) -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
            key: SigningKey::from_bytes(&[7; 32]),
            robots: Arc::new(robots),
        };
        let trusted = TrustedKey {
            key: bench.key.verifying_key(),
            signer: "site".to_owned(),
            roles: BTreeSet::from([KeyRole::Artifact]),
            not_before_unix: None,
            not_after_unix: None,
            revoked: false,
        };
        fs::write(bench.path("trust.yaml"), Trust { threshold: 1, keys: vec![trusted] }.to_yaml()).unwrap();
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn robots(&self) -> Arc<Robots> {
        Arc::clone(&self.robots)
    }

    /// A runtime that has just been started.
    pub(crate) fn deployer(&self) -> Deployer {
        Deployer::new(self.places(), self.robots())
    }

    pub(crate) fn places(&self) -> Places {
        Places {
            store: self.path("store"),
            trust_file: self.path("trust.yaml"),
            onnx_runtime: std::env::var_os("ORT_DYLIB_PATH").unwrap_or_default().into(),
            provider: swarm_onnx::Provider::Cpu,
        }
    }

    /// Packages and signs; gives the order to deploy it.
    pub(crate) fn order(&self, version: &str, files: &SkillFolder) -> Order {
        Order::Deploy {
            archive: self.artifact(version, files),
            signature: PathBuf::new(),
            skill_id: "assembly".into(),
            intent: Intent::Upgrade,
        }
    }

    pub(crate) fn artifact(&self, version: &str, files: &SkillFolder) -> PathBuf {
        let source = self.path(&format!("source_{version}"));
        fs::create_dir_all(source.join("trees")).unwrap();
        let policy = if files.policy.is_some() { ", policy: mate" } else { "" };
        let mut skill = format!(
            "schema_version: 1\nskill_id: assembly\nversion: {version}\nroles:\n\
             \x20 leader: {{tree: trees/leader.xml, tree_id: Leader, robot_group: {}}}\n\
             \x20 follower: {{tree: trees/follower.xml, tree_id: Follower, robot_group: ur5e{policy}}}\n\
             \x20 spotter: {{tree: trees/spotter.xml, tree_id: Spotter, robot_group: panda}}\n\
             envelope: safety_envelope.yaml\nprovenance: {{note: \"made for {version}\"}}\n",
            files.leader_group
        );
        if let Some((onnx, golden)) = &files.policy {
            skill.push_str(
                "policies:\n  mate: {file: mate.onnx, golden: mate.golden.json, deadline_us: 2000}\n",
            );
            fs::write(source.join("mate.onnx"), onnx).unwrap();
            fs::write(source.join("mate.golden.json"), golden).unwrap();
        }
        fs::write(source.join("skill.yaml"), skill).unwrap();
        fs::write(source.join("trees/leader.xml"), &files.leader).unwrap();
        fs::write(source.join("trees/follower.xml"), &files.follower).unwrap();
        if let Some(library) = &files.library {
            fs::create_dir_all(source.join("trees/lib")).unwrap();
            fs::write(source.join("trees/lib/home.xml"), library).unwrap();
        }
        fs::write(source.join("trees/spotter.xml"), tree("Spotter")).unwrap();
        fs::write(source.join("safety_envelope.yaml"), &files.envelope).unwrap();
        let archive = self.path(&format!("assembly_v{version}.tar.gz"));
        package(&source, &archive, &PackageOptions::default()).unwrap();
        self.sign(&archive);
        archive
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(self.path("store")).unwrap()
    }

    /// What a runtime leaves that was killed right after it had made this version the deployed one.
    pub(crate) fn flip(&self, version: &str) {
        let archive = self.artifact(version, &SkillFolder::default());
        let (trust, now) = (read_trust(&self.path("trust.yaml")).unwrap(), swarm_store::unix_now());
        let object = self.store().ingest(&archive, &signature_path(&archive), &trust, now).unwrap();
        self.store().deploy(&object, Intent::Upgrade, now).unwrap();
    }

    fn sign(&self, archive: &Path) {
        let digest = ArchiveDigest::of(&fs::read(archive).unwrap());
        let mut signatures = SignatureFile::empty();
        signatures.sign(&digest.signing_digest(), &self.key, "site");
        fs::write(signature_path(archive), signatures.to_yaml()).unwrap();
    }
}

pub(crate) fn shipped_robots() -> Robots {
    robots_of(&shipped_cell())
}

/// The declaration of the shipped cell.
pub(crate) fn shipped_cell() -> String {
    fs::read_to_string(Path::new(REPOSITORY).join("config/cell.yaml")).unwrap()
}

pub(crate) fn robots_of(cell: &str) -> Robots {
    let read = |file: &str| Ok(fs::read_to_string(Path::new(REPOSITORY).join(file))?);
    Robots::load(&CellConfig::parse(cell).unwrap(), &read).unwrap()
}

/// Arms and safety monitor as a test wants them.
#[derive(Default)]
pub(crate) struct Around {
    pub(crate) run: Option<String>,
    pub(crate) rad_per_s: f64,
    pub(crate) refusal: Option<String>,
    pub(crate) loaded: Mutex<Vec<Option<ArtifactId>>>,
}

impl Surroundings for Around {
    fn await_rest(&self, _: &Candidate<'_>) -> Result<Option<String>, String> {
        let arm =
            ArmAtRest { robot: "panda".into(), joints: Some((Duration::from_millis(2), self.rad_per_s)) };
        check_rest(self.run.as_deref(), &[arm]).map(|()| None).map_err(|error| error.to_string())
    }

    fn load_envelope(&self, artifact: Option<ArtifactId>) -> Result<(), String> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        self.loaded.lock().unwrap().push(artifact);
        Ok(())
    }
}
