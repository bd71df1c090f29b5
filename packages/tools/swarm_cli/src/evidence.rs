//! The figures of the artifact path: every bad artifact refused, verifying as fast as hashing, memory independent of size.
//!
//! 1. All [`crate::cases`] are judged: how many of the bad ones are refused with their exact sentence.
//! 2. A large artifact is packaged and signed. Verifying it, and plain SHA-256 of the same file, take turns; the figure is
//!    the median of each. The reference is the fastest of this process's own SHA-256 and the tools `sha256sum` and
//!    `openssl` where they are installed, so that a slow hash of our own cannot flatter the ratio.
//! 3. A small and the large artifact are verified and ingested in child processes, which report their peak memory.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use swarm_artifact::{ArchiveDigest, SignatureFile};
use swarm_store::{PackageOptions, Store, package, read_trust, signature_path, verify_archive};

use crate::cases::{self, Expected, NOW_UNIX};

/// How large the workload is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) large_mib: u64,
    pub(crate) rounds: usize,
}

/// Runs the workload below `folder` and gives `{name, figures, reference, ratios}`.
pub(crate) fn measure(folder: &Path, size: Size) -> anyhow::Result<Value> {
    let verdicts = judge_cases(&folder.join("cases"))?;
    let small = make_artifact(&folder.join("small"), 1)?;
    let large = make_artifact(&folder.join("large"), size.large_mib)?;
    let speed = measure_speed(&large, size.rounds)?;
    let [verify_small, ingest_small] = peaks(&small)?;
    let [verify_large, ingest_large] = peaks(&large)?;

    let fastest = speed.references.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let references: Map<_, _> =
        speed.references.iter().map(|(name, rate)| (name.clone(), json!(rate))).collect();
    Ok(json!({
        "figures": {
            "bad_total": verdicts.bad_total,
            "bad_refused": verdicts.bad_refused,
            "good_total": verdicts.good_total,
            "good_accepted": verdicts.good_accepted,
            "verify_gb_per_s": speed.verify,
            "archive_bytes_small": fs::metadata(&small.archive)?.len(),
            "archive_bytes_large": fs::metadata(&large.archive)?.len(),
            "verify_peak_kib_small": verify_small,
            "verify_peak_kib_large": verify_large,
            "ingest_peak_kib_small": ingest_small,
            "ingest_peak_kib_large": ingest_large,
        },
        "reference": references,
        "ratios": {
            "ratio_sha256": speed.verify / fastest,
            "ratio_verify_peak_large_to_small": verify_large as f64 / verify_small as f64,
            "ratio_ingest_peak_large_to_small": ingest_large as f64 / ingest_small as f64,
        },
    }))
}

#[derive(Default)]
struct Verdicts {
    bad_total: usize,
    bad_refused: usize,
    good_total: usize,
    good_accepted: usize,
}

fn judge_cases(folder: &Path) -> anyhow::Result<Verdicts> {
    let mut verdicts = Verdicts::default();
    for case in cases::generate(folder)? {
        match (case.verdict()?, case.expected) {
            (verdict, Expected::Good) => {
                verdicts.good_total += 1;
                verdicts.good_accepted += usize::from(verdict.is_ok());
            }
            (verdict, Expected::Refused { code, message }) => {
                verdicts.bad_total += 1;
                verdicts.bad_refused += usize::from(verdict == Err((code, message)));
            }
        }
    }
    Ok(verdicts)
}

/// A signed artifact and the folder with its trust file.
struct Signed {
    archive: PathBuf,
    trust: PathBuf,
}

/// An artifact with a policy of `mib` MiB of noise: trained weights pack hardly better.
fn make_artifact(folder: &Path, mib: u64) -> anyhow::Result<Signed> {
    let source = folder.join("source");
    fs::create_dir_all(&source)?;
    let skill = "schema_version: 1\nskill_id: measured\nversion: 1.0.0\n\
                 roles:\n  leader: {tree: tree.xml, tree_id: Leader, robot_group: leader}\nenvelope: envelope.yaml\n";
    fs::write(source.join("skill.yaml"), skill)?;
    fs::write(source.join("tree.xml"), "<root BTCPP_format=\"4\"/>\n")?;
    fs::write(source.join("envelope.yaml"), "max_tcp_speed_m_s: 0.25\n")?;
    let mut weights = File::create(source.join("policy.onnx"))?;
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..mib {
        let mut chunk = Vec::with_capacity(1 << 20);
        while chunk.len() < 1 << 20 {
            // Marsaglia's xorshift64: noise enough for a compressor, the same on every run.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk.extend_from_slice(&state.to_le_bytes());
        }
        weights.write_all(&chunk)?;
    }
    let archive = folder.join("artifact.tar.gz");
    let options = PackageOptions { compression_level: 1, ..PackageOptions::default() };
    let digest = package(&source, &archive, &options)?.digest;
    fs::remove_dir_all(&source)?;

    let signer = cases::SITE_A;
    let mut signatures = SignatureFile::empty();
    signatures.sign(&digest.signing_digest(), &signer.key(), signer.name);
    fs::write(signature_path(&archive), signatures.to_yaml())?;
    let trust = folder.join("trust.yaml");
    fs::write(&trust, cases::trusting(1, &[signer]).to_yaml())?;
    Ok(Signed { archive, trust })
}

/// Rates in GB (10^9 bytes) per second.
struct Speed {
    verify: f64,
    references: Vec<(String, f64)>,
}

fn measure_speed(artifact: &Signed, rounds: usize) -> anyhow::Result<Speed> {
    let bytes = fs::metadata(&artifact.archive)?.len();
    let trust = read_trust(&artifact.trust)?;
    let signatures = signature_path(&artifact.archive);
    let digest = plain_sha256(&artifact.archive)?;
    let tools: Vec<&[&str]> = [&["sha256sum"][..], &["openssl", "dgst", "-sha256"][..]]
        .into_iter()
        .filter(|tool| run_tool(tool, &artifact.archive).is_ok())
        .collect();

    let mut verify_s = Vec::new();
    let mut reference_s = vec![Vec::new(); 1 + tools.len()];
    for _ in 0..rounds {
        let start = Instant::now();
        let verified = verify_archive(&artifact.archive, &signatures, &trust, NOW_UNIX)?;
        verify_s.push(start.elapsed().as_secs_f64());
        ensure!(
            verified.digest == digest,
            "verifying and plain SHA-256 disagree about '{}'",
            artifact.archive.display()
        );

        let start = Instant::now();
        plain_sha256(&artifact.archive)?;
        reference_s[0].push(start.elapsed().as_secs_f64());
        for (tool, seconds) in tools.iter().zip(&mut reference_s[1..]) {
            let start = Instant::now();
            let said = run_tool(tool, &artifact.archive)?;
            seconds.push(start.elapsed().as_secs_f64());
            ensure!(said.contains(&digest.id.to_string()), "{} found another SHA-256: {said}", tool[0]);
        }
    }
    let rate = |seconds: &mut Vec<f64>| bytes as f64 / 1e9 / median(seconds);
    let names = ["in_process"].into_iter().chain(tools.iter().map(|tool| tool[0]));
    let names = names.map(|name| format!("sha256_gb_per_s_{name}"));
    Ok(Speed {
        verify: rate(&mut verify_s),
        references: names.zip(reference_s.iter_mut().map(rate)).collect(),
    })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The loop that anybody would write to hash a file.
fn plain_sha256(path: &Path) -> anyhow::Result<ArchiveDigest> {
    let mut file = File::open(path)?;
    let mut sha256 = Sha256::new();
    let mut chunk = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            let sum = swarm_artifact::Sha256Sum(sha256.finalize().into());
            return Ok(ArchiveDigest { id: swarm_artifact::ArtifactId(sum), length });
        }
        sha256.update(&chunk[..count]);
        length += count as u64;
    }
}

fn run_tool(tool: &[&str], path: &Path) -> anyhow::Result<String> {
    let output = Command::new(tool[0]).args(&tool[1..]).arg(path).stderr(Stdio::null()).output()?;
    ensure!(output.status.success(), "{} failed", tool[0]);
    Ok(String::from_utf8(output.stdout)?)
}

/// What a child process does before it reports its peak memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Task {
    Verify,
    Ingest,
}

/// Peak memory in KiB of a process that verifies, and of one that ingests.
fn peaks(artifact: &Signed) -> anyhow::Result<[u64; 2]> {
    let peak = |task: &str| -> anyhow::Result<u64> {
        let output = Command::new(std::env::current_exe()?)
            .args(["evidence-artifact", "--child", task, "--out"])
            .arg(&artifact.archive)
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(output.status.success(), "the child process that was to {task} failed");
        String::from_utf8(output.stdout)?.trim().parse().context("the child process gave no number")
    };
    Ok([peak("verify")?, peak("ingest")?])
}

/// In the child process: does `task` on an artifact made by [`make_artifact`] and gives the peak memory in KiB.
pub(crate) fn peak_of(task: Task, archive: &Path) -> anyhow::Result<u64> {
    let folder = archive.parent().context("the archive has no folder")?;
    let trust = read_trust(&folder.join("trust.yaml"))?;
    let signatures = signature_path(archive);
    match task {
        Task::Verify => {
            verify_archive(archive, &signatures, &trust, NOW_UNIX)?;
        }
        Task::Ingest => {
            let store = Store::open(folder.join("store"))?;
            store.ingest(archive, &signatures, &trust, NOW_UNIX)?;
        }
    }
    let status =
        fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status (Linux only)")?;
    let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) else {
        bail!("/proc/self/status has no VmHWM")
    };
    line.trim().trim_end_matches(" kB").parse().with_context(|| format!("VmHWM is '{line}'"))
}
