//! `deltas_evidence OUTPUT.json`: a policy of 40 MB, fine-tuned a little; how large its deltas are, and how fast they are applied.
//! A signed artifact that holds them is made out of the one before, too, as a cell does it.
//! Beside them, in the same run: zstd's own way (`--patch-from`), and SHA-256 alone, faster than which nothing is verified.

use std::hint::black_box;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal};
use serde_json::json;
use sha2::{Digest, Sha256};
use swarm_delta::{Limits, apply, encode};
use swarm_store::{PackageOptions, Packaged, apply_delta, make_delta, package};
use zstd::stream::{Decoder, Encoder};

/// Sizes and speed of deltas between versions of a policy
#[derive(Parser)]
struct Arguments {
    /// Of the random weights
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Size of the policy
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=1000))]
    megabytes: u32,
    /// Where the figures go, as JSON
    output: PathBuf,
}

const WEIGHTS_PER_MB: u32 = 250_000;
const MB: f64 = 1e6;
/// The fastest of so many: a shared machine only ever makes it slower.
const ROUNDS: usize = 7;

/// What was seen of one delta.
struct Seen {
    delta_bytes: usize,
    patch_bytes: usize,
    encode_s: f64,
    apply_s: f64,
    patch_apply_s: f64,
}

fn main() -> Result<()> {
    let Arguments { seed, megabytes, output } = Arguments::parse();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let trained = Normal::new(0.0_f32, 0.05)?;
    let weights: Vec<f32> = (0..megabytes * WEIGHTS_PER_MB).map(|_| trained.sample(&mut random)).collect();
    let sparse: Vec<f32> = (weights.iter())
        .map(|weight| if random.random_ratio(1, 100) { trained.sample(&mut random) } else { *weight })
        .collect();
    let step = Normal::new(0.0_f32, 1e-5)?;
    let dense: Vec<f32> = weights.iter().map(|weight| weight + step.sample(&mut random)).collect();

    let base = bytes(&weights);
    let artifact = see_artifact(&base, &bytes(&sparse))?;
    let whole_mb = zstd::bulk::compress(&base, 3)?.len() as f64 / MB;
    let sparse = see("1 % of the weights are others", &base, &bytes(&sparse))?;
    let dense = see("every weight moved by N(0, 1e-5)", &base, &bytes(&dense))?;
    let sha256_s = fastest(|| {
        black_box(Sha256::digest(black_box(&base)));
        Ok(())
    })?;

    let gb = base.len() as f64 / 1e9;
    let dense_fraction = dense.delta_bytes as f64 / base.len() as f64;
    let sparse_mb = sparse.delta_bytes as f64 / MB;
    let slower_s = sparse.apply_s.max(dense.apply_s);
    let figures = json!({
        "sparse_mb": sparse_mb,
        "dense_fraction": dense_fraction,
        // Of the slower of the two; apply includes verifying the result's digest.
        "apply_gb_per_s": gb / slower_s,
        "sparse_apply_gb_per_s": gb / sparse.apply_s,
        "dense_apply_gb_per_s": gb / dense.apply_s,
        "sparse_encode_s": sparse.encode_s,
        "dense_encode_s": dense.encode_s,
        "policy_mb": base.len() as f64 / MB,
        // A packaged artifact with this policy: the cell unpacks the old one, and compresses the new one again.
        "artifact_mb": artifact.whole_bytes as f64 / MB,
        "artifact_delta_mb": artifact.delta_bytes as f64 / MB,
        "artifact_apply_s": artifact.apply_s,
        // Below this rate of the link the delta brings the artifact sooner than a download of the whole.
        "artifact_worth_below_mb_per_s": (artifact.whole_bytes - artifact.delta_bytes) as f64 / MB / artifact.apply_s,
        "zstd_patch_mb": sparse.patch_bytes as f64 / MB,
    });
    let reference = json!({
        "zstd_whole_mb": whole_mb,
        "zstd_patch_dense_fraction": dense.patch_bytes as f64 / base.len() as f64,
        // Without verifying.
        "zstd_patch_apply_gb_per_s": gb / sparse.patch_apply_s.max(dense.patch_apply_s),
        "sha256_gb_per_s": gb / sha256_s,
    });
    let ratios = json!({
        "patch_to_delta": sparse.patch_bytes as f64 / sparse.delta_bytes as f64,
        "apply_to_sha256": sha256_s / slower_s,
    });
    let text = serde_json::to_string_pretty(&json!({
        "figures": figures, "reference": reference, "ratios": ratios,
    }))?;
    std::fs::write(&output, text).with_context(|| format!("cannot write {}", output.display()))?;
    println!("apply and verify: {:.2} GB/s; SHA-256 alone: {:.2} GB/s", gb / slower_s, gb / sha256_s);
    // 0.95 MB of 40.
    let most_mb = 0.95 * f64::from(megabytes) / 40.0;
    if sparse_mb > most_mb || dense_fraction > 0.55 {
        bail!(
            "the deltas are too large: {sparse_mb:.3} MB (at most {most_mb:.3}), {dense_fraction:.3} of the whole (at most 0.55)"
        );
    }
    Ok(())
}

fn bytes(weights: &[f32]) -> Vec<u8> {
    weights.iter().flat_map(|weight| weight.to_le_bytes()).collect()
}

fn see(what: &str, base: &[u8], result: &[u8]) -> Result<Seen> {
    let begin = Instant::now();
    let delta = encode(base, result);
    let encode_s = begin.elapsed().as_secs_f64();
    let limits = Limits { max_result: result.len() as u64 };
    let mut made = Vec::with_capacity(result.len());
    let apply_s = fastest(|| {
        made.clear();
        apply(&delta[..], Cursor::new(base), &mut made, limits)?;
        Ok(())
    })?;
    ensure!(made == result, "{what}: the delta makes something else");

    let patch = patch_from(base, result)?;
    let patch_apply_s = fastest(|| {
        made.clear();
        let mut decoder = Decoder::with_ref_prefix(&patch[..], base)?;
        decoder.window_log_max(27)?;
        std::io::copy(&mut decoder, &mut made)?;
        Ok(())
    })?;
    ensure!(made == result, "{what}: the patch makes something else");
    let seen = Seen { delta_bytes: delta.len(), patch_bytes: patch.len(), encode_s, apply_s, patch_apply_s };
    println!(
        "{what}: {:.3} MB, made in {encode_s:.2} s, applied in {apply_s:.3} s; zstd --patch-from {:.3} MB",
        seen.delta_bytes as f64 / MB,
        seen.patch_bytes as f64 / MB
    );
    Ok(seen)
}

/// An artifact made out of the one before it.
struct SeenArtifact {
    whole_bytes: u64,
    delta_bytes: u64,
    apply_s: f64,
}

fn see_artifact(base: &[u8], result: &[u8]) -> Result<SeenArtifact> {
    let folder = tempfile::tempdir().context("cannot make a folder for artifacts")?;
    let (old, _) = artifact(folder.path(), "1.0.0", base)?;
    let (new, packaged) = artifact(folder.path(), "1.1.0", result)?;
    let limits = swarm_artifact::Limits::default();
    let delta = make_delta(&old, &new, limits)?.context("the artifact has no delta")?;
    let made = folder.path().join("made.tar.gz");
    let apply_s = fastest(|| {
        apply_delta(&old, &delta[..], packaged.digest.id, &made, limits)?;
        Ok(())
    })?;
    let (whole_bytes, delta_bytes) = (packaged.digest.length, delta.len() as u64);
    println!(
        "the artifact of {:.2} MB: a delta of {:.3} MB, applied in {apply_s:.2} s",
        whole_bytes as f64 / MB,
        delta_bytes as f64 / MB
    );
    Ok(SeenArtifact { whole_bytes, delta_bytes, apply_s })
}

/// Packages a skill with one policy.
fn artifact(folder: &Path, version: &str, policy: &[u8]) -> Result<(PathBuf, Packaged)> {
    let source = folder.join(version);
    std::fs::create_dir_all(source.join("trees"))?;
    let skill = format!(
        "schema_version: 1\nskill_id: fine_tuned\nversion: {version}\n\
         roles:\n  leader: {{tree: trees/leader.xml, tree_id: Leader, robot_group: leader}}\n\
         envelope: safety_envelope.yaml\nprovenance: {{note: fine-tuned a little}}\n"
    );
    std::fs::write(source.join("skill.yaml"), skill)?;
    std::fs::write(source.join("trees/leader.xml"), "<root BTCPP_format=\"4\"/>\n")?;
    std::fs::write(source.join("safety_envelope.yaml"), "joints: {}\n")?;
    std::fs::write(source.join("policy.onnx"), policy)?;
    let archive = folder.join(format!("fine_tuned_v{version}.tar.gz"));
    let packaged = package(&source, &archive, &PackageOptions::default())
        .with_context(|| format!("cannot package {}", source.display()))?;
    Ok((archive, packaged))
}

/// As `zstd --patch-from` does: the base as prefix, in a window that holds both.
fn patch_from(base: &[u8], result: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = Encoder::with_ref_prefix(Vec::new(), 3, base)?;
    encoder.window_log(27)?;
    encoder.long_distance_matching(true)?;
    encoder.set_pledged_src_size(Some(result.len() as u64))?;
    encoder.write_all(result)?;
    Ok(encoder.finish()?)
}

fn fastest(mut round: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        round()?;
        best = best.min(begin.elapsed().as_secs_f64());
    }
    Ok(best)
}
