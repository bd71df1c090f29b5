//! An archive made by a delta is the archive that was signed, byte for byte, or there is none.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Bench, write_skill};
use swarm_artifact::{ArtifactId, Limits, Sha256Sum};
use swarm_store::{DeltaError, PackageOptions, apply_delta, make_delta, package};

/// An artifact with 800 kB of weights; each `step` changes every hundredth.
fn artifact(bench: &Bench, version: &str, step: u32, options: &PackageOptions) -> (PathBuf, ArtifactId) {
    let source = bench.path(&format!("source_{version}"));
    write_skill(&source, "assembly", version);
    let mut random = 1_u32;
    let weights = (0..200_000_u32).flat_map(|i| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let change = if i % 100 == 7 { step.wrapping_mul(random) >> 9 } else { 0 };
        (0x3d00_0000 | (random >> 9) ^ change).to_le_bytes()
    });
    fs::write(source.join("weights.bin"), weights.collect::<Vec<u8>>()).unwrap();
    let archive = bench.path(&format!("assembly_v{version}.tar.gz"));
    let packaged = package(&source, &archive, options).unwrap();
    (archive, packaged.digest.id)
}

fn leftovers(bench: &Bench) -> Vec<PathBuf> {
    let entries = fs::read_dir(bench.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file() && path.extension().is_none_or(|it| it != "gz")).collect()
}

#[test]
fn the_signed_bytes_come_out_again() {
    let bench = Bench::new();
    let (base, _) = artifact(&bench, "1.0.0", 0, &PackageOptions::default());
    let (result, id) = artifact(&bench, "1.1.0", 1, &PackageOptions::default());
    let delta = make_delta(&base, &result, Limits::default()).unwrap().expect("a delta is worth it");
    assert!(delta.len() < 20_000, "{} bytes", delta.len());

    let output = bench.path("made.tar.gz");
    let digest = apply_delta(&base, &delta[..], id, &output, Limits::default()).unwrap();
    assert_eq!(digest.id, id);
    assert!(fs::read(&output).unwrap() == fs::read(&result).unwrap());
}

#[test]
fn what_would_not_come_out_again_has_no_delta() {
    let bench = Bench::new();
    let (base, _) = artifact(&bench, "1.0.0", 0, &PackageOptions::default());
    let tighter = PackageOptions { compression_level: 9, ..PackageOptions::default() };
    let (result, _) = artifact(&bench, "1.1.0", 1, &tighter);
    // Weights hardly compress, so that two levels may agree on them; the manifest in front is text.
    assert_eq!(make_delta(&base, &result, Limits::default()).unwrap(), None);
}

#[test]
fn a_refused_delta_leaves_nothing_behind() {
    let bench = Bench::new();
    let (base, base_id) = artifact(&bench, "1.0.0", 0, &PackageOptions::default());
    let (result, id) = artifact(&bench, "1.1.0", 1, &PackageOptions::default());
    let (other, _) = artifact(&bench, "1.2.0", 2, &PackageOptions::default());
    let delta = make_delta(&base, &result, Limits::default()).unwrap().unwrap();
    let output = bench.path("made.tar.gz");
    let refused = |base: &Path, delta: &[u8], id, limits| {
        let error = apply_delta(base, delta, id, &output, limits).unwrap_err();
        assert!(!output.exists(), "after: {error}");
        assert_eq!(leftovers(&bench), [] as [PathBuf; 0], "after: {error}");
        error
    };

    let error = refused(&other, &delta, id, Limits::default());
    assert!(matches!(error, DeltaError::Apply { .. }), "{error}");
    let error = refused(&base, &delta[..delta.len() / 2], id, Limits::default());
    assert!(matches!(error, DeltaError::Apply { .. }), "{error}");
    let error = refused(&base, &delta, base_id, Limits::default());
    assert!(
        error.to_string().contains(&id.to_string()) && error.to_string().contains("packaged by other means"),
        "{error}"
    );
    let small = Limits { max_total_bytes: 100_000, ..Limits::default() };
    let error = refused(&base, &delta, id, small);
    assert!(error.to_string().contains("unpacks to more than 100000 bytes"), "{error}");
    fs::write(&base, b"no archive").unwrap();
    let error = refused(&base, &delta, ArtifactId(Sha256Sum([0; 32])), Limits::default());
    assert!(error.to_string().starts_with("cannot unpack"), "{error}");
}
