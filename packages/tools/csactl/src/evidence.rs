//! The restore drill: a registry with artifacts, a backup of it, the registry destroyed, the backup restored, everything verified.
//!
//! 1. Artifacts are packaged, signed and handed in; some are quarantined, so that there is more to lose than bytes.
//! 2. A backup is taken while further artifacts come in.
//! 3. The registry is ended, and its data folder removed.
//! 4. Timed: the backup is restored and verified, the registry started on it, every artifact downloaded from it and verified,
//!    the audit log followed.
//! 5. What was acknowledged before the backup began is compared with what the new registry has.
//!
//! The reference beside it is what nobody can do without: the same files read, hashed, written and synced.

use std::any::Any;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use swarm_api::artifact::{Artifact, Reason};
use swarm_artifact::{KeyRole, SignatureFile, Trust, TrustedKey};
use swarm_audit::Verifier;
use swarm_registry_client::{PART, Submission};
use swarm_store::{PackageOptions, package};

use crate::backup::database::Address;
use crate::backup::place::{Missing, Place};
use crate::backup::restore::restore;
use crate::backup::runtime;
use crate::backup::take::{Options, take};
use crate::commands::audit::follow;
use crate::commands::verify_all::verify_downloads;
use crate::connection::{self, Registry};
use crate::transfer::upload;

/// A registry that runs until it is dropped.
#[derive(Debug)]
pub struct Running {
    /// Such as `http://127.0.0.1:8080`.
    pub address: String,
    pub kept: Box<dyn Any>,
}

/// Starts a registry in the development profile on a data folder, with a trust file.
pub type Start<'a> = &'a dyn Fn(&Path, &Path) -> anyhow::Result<Running>;

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub artifacts: u32,
    /// Of each, in KiB; noise, which does not compress.
    pub kib: usize,
    /// Every so many-th is quarantined.
    pub quarantined_every: u32,
}

/// Carries the drill out below `work`; gives `{figures, reference, ratios}`.
pub fn restore_drill(work: &Path, size: Size, start: Start<'_>) -> anyhow::Result<Value> {
    let key = SigningKey::from_bytes(&[42; 32]);
    let trust = trust(&key);
    let trust_path = work.join("trust.yaml");
    fs::write(&trust_path, trust.to_yaml())?;
    let (data, place) = (work.join("registry"), work.join("backups"));
    let maker = Maker { folder: work.join("artifacts"), key, kib: size.kib };

    // 1.
    let running = start(&data, &trust_path)?;
    let registry = connection::Registry::plain(&running.address)?;
    let mut acknowledged = Vec::new();
    for number in 0..size.artifacts {
        let artifact = maker.hand_in(&registry, number)?;
        if number % size.quarantined_every == 0 {
            let reason = Reason { reason: "withdrawn for the drill".to_owned() };
            registry.post_now::<Artifact>(&format!("/api/v1/csa/{}/quarantine", artifact.digest), &reason)?;
        }
        acknowledged.push(artifact.digest);
    }
    let mut before = Verifier::default();
    ensure!(follow(&registry, &mut before, |_| ())?.is_none(), "the audit log is broken before the drill");

    // 2.
    let runtime = runtime()?;
    let backups = Place::open(&place.display().to_string(), Missing::Make)?;
    let artifacts = Place::open(&data.join("artifacts").display().to_string(), Missing::Refuse)?;
    let database = Address::parse(&format!("sqlite:{}", data.join("registry.db").display()))?;
    let ended = AtomicBool::new(false);
    let (taken, backup_seconds, meanwhile) = std::thread::scope(|scope| -> anyhow::Result<_> {
        let writer = scope.spawn(|| -> anyhow::Result<u32> {
            let mut count = 0;
            while !ended.load(Ordering::Relaxed) {
                maker.hand_in(&registry, size.artifacts + count)?;
                count += 1;
            }
            Ok(count)
        });
        let begun = Instant::now();
        let options = Options { now_unix: swarm_store::unix_now(), reread: false, retention_days: None };
        let taken = runtime.block_on(take(&database, &artifacts, &backups, options));
        let seconds = begun.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        let meanwhile =
            writer.join().map_err(|_| anyhow::anyhow!("the uploads beside the backup broke off"))??;
        Ok((taken?, seconds, meanwhile))
    })?;

    // 3.
    drop(running);
    fs::remove_dir_all(&data).with_context(|| format!("cannot remove '{}'", data.display()))?;

    // 4.
    let begun = Instant::now();
    let artifacts = Place::open(&data.join("artifacts").display().to_string(), Missing::Make)?;
    let report = restore(&runtime, &backups, &taken.id, &database, &artifacts, Some(&trust))?;
    let running = start(&data, &trust_path)?;
    let registry = Registry::plain(&running.address)?;
    let verdict = verify_downloads(&registry, Some(&trust))?;
    let mut after = Verifier::default();
    let broken = follow(&registry, &mut after, |_| ())?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(broken.is_none(), "the audit log is broken after the restore: {broken:?}");
    ensure!(after.head().0 >= before.head().0, "the audit log is shorter than before");

    // 5.
    let bad: BTreeSet<&str> = verdict.bad.iter().map(|bad| bad.digest.as_str()).collect();
    let lost = |digest: &&String| {
        let found = registry.get::<Artifact>(&format!("/api/v1/csa/{digest}"));
        found.is_err() || bad.contains(digest.as_str())
    };
    let artifacts_lost = acknowledged.iter().filter(lost).count();
    let reference = copy_and_hash(&place.join("artifacts"), &work.join("copy"))?;
    Ok(json!({
        "figures": {
            "seconds": seconds,
            "rows_lost": report.rows_lost,
            "artifacts_lost": artifacts_lost.max(report.artifacts_lost),
            "artifacts": verdict.artifacts,
            "bytes": verdict.bytes,
            "bad": verdict.bad.len(),
            "rows": report.rows,
            "audit_entries": after.head().0,
            "backup_seconds": backup_seconds,
            "uploads_during_backup": meanwhile,
        },
        "reference": { "copy_and_hash_seconds": reference },
        "ratios": { "ratio_copy_and_hash": seconds / reference },
    }))
}

fn trust(key: &SigningKey) -> Trust {
    let key = TrustedKey {
        key: key.verifying_key(),
        signer: "drill".to_owned(),
        roles: BTreeSet::from([KeyRole::Artifact]),
        not_before_unix: None,
        not_after_unix: None,
        revoked: false,
    };
    Trust { threshold: 1, keys: vec![key] }
}

/// Makes artifacts, each another version of one skill.
struct Maker {
    folder: PathBuf,
    key: SigningKey,
    kib: usize,
}

impl Maker {
    fn hand_in(&self, registry: &Registry, number: u32) -> anyhow::Result<Artifact> {
        let folder = self.folder.join(number.to_string());
        let source = folder.join("source");
        fs::create_dir_all(&source)?;
        let skill = format!(
            "schema_version: 1\nskill_id: drill\nversion: 1.0.{number}\n\
             roles:\n  leader: {{tree: tree.xml, tree_id: Leader, robot_group: leader}}\nenvelope: envelope.yaml\n"
        );
        fs::write(source.join("skill.yaml"), skill)?;
        fs::write(source.join("tree.xml"), "<root BTCPP_format=\"4\"/>\n")?;
        fs::write(source.join("envelope.yaml"), "max_tcp_speed_m_s: 0.25\n")?;
        // Noise that differs from artifact to artifact and is the same on every run: SHA-256 in counter mode.
        let mut noise = Vec::with_capacity(self.kib * 1024);
        for block in 0..self.kib * 32 {
            noise.extend_from_slice(&Sha256::digest(format!("{number} {block}")));
        }
        fs::write(source.join("policy.onnx"), noise)?;
        let archive = folder.join("artifact.tar.gz");
        let options = PackageOptions { compression_level: 1, ..PackageOptions::default() };
        let packaged = package(&source, &archive, &options)?;
        let mut signature = SignatureFile::empty();
        signature.sign(&packaged.digest.signing_digest(), &self.key, "drill");
        let submission = Submission {
            signature: signature.to_yaml(),
            uploaded_by: "the drill".to_owned(),
            parent: None,
            training_data: None,
        };
        let accepted = upload(registry, &archive, submission, PART, None, |_| Ok(()))?;
        // Only the registry and its backup have it from now on.
        fs::remove_dir_all(&folder)?;
        Ok(accepted)
    }
}

/// Seconds to read, hash, write and sync every file below `from`.
fn copy_and_hash(from: &Path, to: &Path) -> anyhow::Result<f64> {
    fs::create_dir_all(to)?;
    let begun = Instant::now();
    let mut left = vec![from.to_owned()];
    let mut number = 0;
    while let Some(path) = left.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
            continue;
        }
        let bytes = fs::read(&path)?;
        std::hint::black_box(Sha256::digest(&bytes));
        let mut file = File::create(to.join(number.to_string()))?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        number += 1;
    }
    Ok(begun.elapsed().as_secs_f64())
}
