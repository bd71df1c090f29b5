//! Three signed versions of a skill, and the places that a runtime needs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ed25519_dalek::SigningKey;
use semver::Version;
use swarm_artifact::{ArchiveDigest, Intent, KeyRole, SignatureFile, Trust, TrustedKey};
use swarm_skill_runtime::deployer::{Order, Places};
use swarm_store::{PackageOptions, Store, package, signature_path};

pub(crate) const VERSIONS: [Version; 3] =
    [Version::new(1, 0, 0), Version::new(1, 1, 0), Version::new(1, 2, 0)];

/// Speed that each version goes home with, a share of the limits: so they are not the same.
const SPEEDS: [&str; 3] = ["1.0", "0.9", "0.8"];

pub(crate) fn places(folder: &Path) -> Places {
    Places {
        store: folder.join("store"),
        trust_file: folder.join("trust.yaml"),
        onnx_runtime: std::env::var_os("ORT_DYLIB_PATH").unwrap_or_else(|| "libonnxruntime.so".into()).into(),
        provider: swarm_onnx::Provider::Cpu,
    }
}

pub(crate) fn order(folder: &Path, version: &Version) -> Order {
    Order::Deploy {
        archive: archive(folder, version),
        signature: PathBuf::new(),
        skill_id: "evidence".to_owned(),
        intent: Intent::Upgrade,
    }
}

/// Packages and signs all versions with a key that is made for it.
pub(crate) fn make(root: &Path, folder: &Path) -> anyhow::Result<()> {
    // Signs nothing that anyone else trusts.
    let key = SigningKey::from_bytes(&[7; 32]);
    let trusted = TrustedKey {
        key: key.verifying_key(),
        signer: "evidence".to_owned(),
        roles: BTreeSet::from([KeyRole::Artifact]),
        not_before_unix: None,
        not_after_unix: None,
        revoked: false,
    };
    fs::write(places(folder).trust_file, Trust { threshold: 1, keys: vec![trusted] }.to_yaml())?;
    for (version, speed) in VERSIONS.iter().zip(SPEEDS) {
        let source = folder.join(format!("source_{version}"));
        write_source(root, &source, version, speed)
            .with_context(|| format!("cannot write {}", source.display()))?;
        let archive = archive(folder, version);
        package(&source, &archive, &PackageOptions::default())?;
        let mut signatures = SignatureFile::empty();
        signatures.sign(&ArchiveDigest::of(&fs::read(&archive)?).signing_digest(), &key, "evidence");
        fs::write(signature_path(&archive), signatures.to_yaml())?;
    }
    Ok(())
}

fn archive(folder: &Path, version: &Version) -> PathBuf {
    folder.join(format!("evidence_v{version}.tar.gz"))
}

/// The version in an archive, by the archive's name.
pub(crate) fn of(wanted: &Path) -> anyhow::Result<String> {
    let folder = wanted.parent().context("an archive is in a folder")?;
    let found = VERSIONS.into_iter().find(|version| archive(folder, version) == wanted);
    found
        .map(|version| version.to_string())
        .with_context(|| format!("{} is none of the archives", wanted.display()))
}

/// The version that the store names, `none` where it names none. Nothing is verified.
pub(crate) fn deployed(folder: &Path) -> anyhow::Result<String> {
    let deployed = Store::open(&places(folder).store)?.deployed()?;
    Ok(deployed
        .map_or_else(|| "none".to_owned(), |deployed| deployed.current_deployment().version.to_string()))
}

fn write_source(root: &Path, source: &Path, version: &Version, speed: &str) -> std::io::Result<()> {
    fs::create_dir_all(source.join("trees"))?;
    let skill = format!(
        "schema_version: 1\nskill_id: evidence\nversion: {version}\nroles:\n\
         \x20 leader: {{tree: trees/leader.xml, tree_id: Main, robot_group: ur5e}}\n\
         \x20 follower: {{tree: trees/follower.xml, tree_id: Main, robot_group: ur5e, policy: mate}}\n\
         \x20 spotter: {{tree: trees/spotter.xml, tree_id: Main, robot_group: panda}}\n\
         policies:\n  mate: {{file: mate.onnx, golden: mate.golden.json, deadline_us: 20000}}\n\
         envelope: safety_envelope.yaml\nprovenance: {{note: \"made for {version}\"}}\n"
    );
    fs::write(source.join("skill.yaml"), skill)?;
    let tree = format!(
        "<root BTCPP_format=\"4\"><BehaviorTree ID=\"Main\"><Sequence>\
         <EnterPhase phase=\"home\"/><MoveJoints speed=\"{speed}\"/></Sequence></BehaviorTree></root>\n"
    );
    for role in ["leader", "follower", "spotter"] {
        fs::write(source.join(format!("trees/{role}.xml")), &tree)?;
    }
    let policies = root.join("tests/data/cooperative_assembly/policies");
    fs::copy(policies.join("insert_peg.onnx"), source.join("mate.onnx"))?;
    fs::copy(policies.join("insert_peg.golden.json"), source.join("mate.golden.json"))?;
    fs::write(source.join("safety_envelope.yaml"), "schema: 1\n")
}
