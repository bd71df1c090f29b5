//! Downloads that go wrong in every way, and the cache that they end in.

use std::fs;

use crate::common::{Bench, Fault, NOTHING, NOW, bytes};
use swarm_artifact::{ArchiveDigest, ArtifactId, SignatureFile, Trust};
use swarm_registry_client::{Cache, ClientError};
use swarm_tuf::{Mode, Target};

/// A registry with one artifact that is assigned, and what is signed of it.
fn assigned(archive: &[u8]) -> (Bench, ArtifactId, Target) {
    let mut bench = Bench::new();
    let artifact = bench.artifact("1.0.0", archive);
    bench.assign("1.0.0", archive);
    let target = bench.repositories().look(Mode::Online, NOW, &NOTHING).unwrap().target.unwrap();
    bench.server.asked();
    (bench, artifact, target)
}

fn url(artifact: ArtifactId) -> String {
    format!("/api/v1/csa/{artifact}/download")
}

fn download(bench: &Bench, cache: &Cache, artifact: ArtifactId, target: &Target) -> Result<(), ClientError> {
    cache.download(&bench.server.connection(), artifact, target, |_| true)
}

fn is_cached(cache: &Cache, artifact: ArtifactId) -> bool {
    cache.entries().unwrap().iter().any(|entry| entry.artifact == artifact)
}

#[test]
fn an_artifact_is_cached_verified_and_evicted() {
    let archive = bytes(1_000_000);
    let (bench, artifact, target) = assigned(&archive);
    let cache = bench.cache();
    let mut told = Vec::new();
    let connection = bench.server.connection();
    cache
        .download(&connection, artifact, &target, |received| {
            told.push(received);
            true
        })
        .unwrap();
    assert_eq!(told.last(), Some(&1_000_000));
    assert!(told.is_sorted());
    assert_eq!(fs::read(cache.archive(artifact)).unwrap(), archive);
    cache.verify(artifact, &target, &bench.trust, NOW).unwrap();
    let entries = cache.entries().unwrap();
    assert_eq!((entries.len(), entries[0].used_unix_s), (1, NOW));
    assert_eq!(entries[0].bytes, cache.bytes());
    cache.evict(artifact).unwrap();
    assert_eq!((cache.entries().unwrap().len(), cache.bytes()), (0, 0));
}

#[test]
fn a_download_goes_on_where_it_was_cut() {
    let archive = bytes(500_000);
    let (bench, artifact, target) = assigned(&archive);
    let cache = bench.cache();
    bench.server.fault(&url(artifact), [Fault::CutAfter(100_000), Fault::CutAfter(50_000)]);
    for _ in 0..2 {
        let error = download(&bench, &cache, artifact, &target).unwrap_err();
        assert!(!error.is_refusal(), "{error}");
        assert!(!is_cached(&cache, artifact), "a part of it has no name");
    }
    download(&bench, &cache, artifact, &target).unwrap();
    let ranges: Vec<_> = bench
        .server
        .asked()
        .into_iter()
        .filter(|request| request.path == url(artifact))
        .map(|request| (request.headers.get("range").cloned(), request.headers.get("if-range").cloned()))
        .collect();
    let tag = Some(format!("\"{artifact}\""));
    let from = |byte: u64| (Some(format!("bytes={byte}-")), tag.clone());
    assert_eq!(ranges, [(None, None), from(100_000), from(150_000)]);
    assert_eq!(fs::read(cache.archive(artifact)).unwrap(), archive);
}

#[test]
fn wrong_bytes_of_every_kind_get_no_name_and_the_next_try_begins_anew() {
    let archive = bytes(10_000);
    let instead = |status, headers: Vec<(&'static str, String)>, body: Vec<u8>| Fault::Instead {
        status,
        headers,
        body,
    };
    let mut flipped = archive.clone();
    flipped[5_000] ^= 1;
    let range = |text: &str| vec![("Content-Range", text.to_owned())];
    // What is there before, what comes, what is said.
    let cases: Vec<(usize, Fault, &str)> = vec![
        (0, instead("200 OK", vec![], flipped.clone()), "SHA-256 digest"),
        (0, instead("200 OK", vec![], [&archive[..], b"x"].concat()), "endless data"),
        (0, Fault::Endless, "endless data"),
        (0, instead("200 OK", vec![], archive[..9_999].to_vec()), "ended after 9999 of 10000 bytes"),
        (
            4_000,
            instead("206 Partial Content", range("bytes 0-9999/10000"), archive.clone()),
            "instead of bytes 4000-9999/10000",
        ),
        (
            4_000,
            instead("206 Partial Content", range("bytes 4000-9999/20000"), archive[4_000..].to_vec()),
            "instead of",
        ),
        (4_000, instead("206 Partial Content", vec![], archive[4_000..].to_vec()), "Content-Range none"),
        (
            4_000,
            instead("206 Partial Content", range("bytes 4000-9999/10000"), flipped[4_000..].to_vec()),
            "SHA-256 digest",
        ),
        (4_000, instead("416 Range Not Satisfiable", vec![], vec![]), "byte 4000 is not there"),
        (0, instead("500 Internal Server Error", vec![], vec![]), "status 500"),
        (0, instead("404 Not Found", vec![], vec![]), "status 404"),
    ];
    for (before, fault, expected) in cases {
        let (bench, artifact, target) = assigned(&archive);
        let cache = bench.cache();
        if before > 0 {
            bench.server.fault(&url(artifact), [Fault::CutAfter(before)]);
            download(&bench, &cache, artifact, &target).unwrap_err();
        }
        bench.server.fault(&url(artifact), [fault.clone()]);
        let error = download(&bench, &cache, artifact, &target).unwrap_err();
        assert!(error.to_string().contains(expected), "{fault:?}: {error}");
        assert!(!is_cached(&cache, artifact) && !cache.archive(artifact).exists(), "{fault:?}");
        download(&bench, &cache, artifact, &target)
            .unwrap_or_else(|error| panic!("after {fault:?}: {error}"));
        assert_eq!(fs::read(cache.archive(artifact)).unwrap(), archive, "{fault:?}");
    }
}

#[test]
fn a_server_without_ranges_sends_everything_and_that_is_taken() {
    let archive = bytes(10_000);
    let (bench, artifact, target) = assigned(&archive);
    let cache = bench.cache();
    bench.server.fault(&url(artifact), [Fault::CutAfter(4_000), Fault::Whole]);
    download(&bench, &cache, artifact, &target).unwrap_err();
    download(&bench, &cache, artifact, &target).unwrap();
    assert_eq!(fs::read(cache.archive(artifact)).unwrap(), archive);
}

#[test]
fn a_download_that_is_told_to_end_keeps_what_it_has() {
    let archive = bytes(2_000_000);
    let (bench, artifact, target) = assigned(&archive);
    let cache = bench.cache();
    let stopped = cache.download(&bench.server.connection(), artifact, &target, |_| false).unwrap_err();
    assert!(matches!(stopped, ClientError::Stopped));
    bench.server.asked();
    download(&bench, &cache, artifact, &target).unwrap();
    assert!(bench.server.asked().iter().any(|request| request.headers.contains_key("range")));
}

#[test]
fn an_artifact_without_a_readable_signature_file_is_not_fetched() {
    let (bench, artifact, target) = assigned(&bytes(10_000));
    let cache = bench.cache();
    bench.server.put(&format!("/api/v1/csa/{artifact}/signature"), b"nonsense: [");
    let error = download(&bench, &cache, artifact, &target).unwrap_err();
    assert!(matches!(error, ClientError::BadSignatureFile { .. }), "{error}");
    bench.server.put(&format!("/api/v1/csa/{artifact}/signature"), &vec![b' '; 70_000]);
    let error = download(&bench, &cache, artifact, &target).unwrap_err();
    assert!(error.to_string().contains("endless data"), "{error}");
    bench.server.remove(&format!("/api/v1/csa/{artifact}/signature"));
    let error = download(&bench, &cache, artifact, &target).unwrap_err();
    assert!(error.to_string().contains("status 404"), "{error}");
    assert!(bench.server.asked().iter().all(|request| request.path != url(artifact)));
}

#[test]
fn what_was_damaged_on_the_disk_is_found_at_the_next_use_and_fetched_again() {
    let archive = bytes(10_000);
    let (bench, artifact, target) = assigned(&archive);
    let cache = bench.cache();
    download(&bench, &cache, artifact, &target).unwrap();
    let mut damaged = archive.clone();
    damaged[9_999] ^= 0x80;
    fs::write(cache.archive(artifact), damaged).unwrap();
    let error = cache.verify(artifact, &target, &bench.trust, NOW).unwrap_err();
    assert!(error.is_refusal(), "{error}");
    assert!(!is_cached(&cache, artifact));
    download(&bench, &cache, artifact, &target).unwrap();
    cache.verify(artifact, &target, &bench.trust, NOW).unwrap();
}

#[test]
fn another_artifact_that_is_signed_as_well_is_not_used_in_its_place() {
    let (mut bench, artifact, target) = assigned(&bytes(10_000));
    let cache = bench.cache();
    download(&bench, &cache, artifact, &target).unwrap();
    let old = bytes(9_000);
    let other = bench.artifact("0.9.0", &old);
    let connection = bench.server.connection();
    fs::write(cache.archive(artifact), &old).unwrap();
    bench.assign("0.9.0", &old);
    let target_of_other = bench.repositories().look(Mode::Online, NOW, &NOTHING).unwrap().target.unwrap();
    cache.download(&connection, other, &target_of_other, |_| true).unwrap();
    fs::copy(cache.signatures(other), cache.signatures(artifact)).unwrap();
    let error = cache.verify(artifact, &target, &bench.trust, NOW).unwrap_err();
    assert!(error.to_string().contains("its metadata says 10000"), "{error}");
    assert!(!is_cached(&cache, artifact) && is_cached(&cache, other));
}

#[test]
fn an_artifact_that_the_cells_own_trust_file_does_not_believe_is_not_used() {
    let archive = bytes(10_000);
    let (bench, artifact, target) = assigned(&archive);
    let cache = bench.cache();
    let mut forged = SignatureFile::empty();
    let thief = ed25519_dalek::SigningKey::from_bytes(&[66; 32]);
    forged.sign(&ArchiveDigest::of(&archive).signing_digest(), &thief, "a");
    bench.server.put(&format!("/api/v1/csa/{artifact}/signature"), forged.to_yaml().as_bytes());
    download(&bench, &cache, artifact, &target).unwrap();
    let error = cache.verify(artifact, &target, &bench.trust, NOW).unwrap_err();
    assert!(matches!(error, ClientError::NotSigned(_)), "{error}");
    assert!(!is_cached(&cache, artifact), "it is not kept");
    let nobody = Trust { threshold: 1, keys: vec![] };
    bench.server.fault("/", []);
    download(&bench, &cache, artifact, &target).unwrap();
    assert!(cache.verify(artifact, &target, &nobody, NOW).is_err());
}

#[test]
fn what_a_crash_left_is_cleared_up_and_what_is_wanted_or_whole_stays() {
    let (bench, artifact, target) = assigned(&bytes(10_000));
    let cache = bench.cache();
    download(&bench, &cache, artifact, &target).unwrap();
    let other: ArtifactId = "ab".repeat(32).parse().unwrap();
    let wanted: ArtifactId = "cd".repeat(32).parse().unwrap();
    let file = |artifact: ArtifactId, ending: &str| bench.path("cache").join(format!("{artifact}{ending}"));
    for path in
        [file(other, ".tmp"), file(other, ".tar.gz.sig"), file(wanted, ".tmp"), bench.path("cache/.tmpXYZ")]
    {
        fs::write(path, "x").unwrap();
    }
    cache.discard_others(Some(wanted)).unwrap();
    let mut left: Vec<_> = fs::read_dir(bench.path("cache"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    let mut expected =
        [format!("{artifact}.tar.gz"), format!("{artifact}.tar.gz.sig"), format!("{wanted}.tmp")];
    expected.sort();
    assert_eq!(left, expected);
}
