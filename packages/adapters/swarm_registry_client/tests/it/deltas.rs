//! Downloads by a delta: few bytes where all is well, and the whole artifact whatever is wrong with the delta.

use std::fs;
use std::path::Path;

use crate::common::{Bench, Fault, NOTHING, NOW, apply_delta, bytes};
use swarm_artifact::ArtifactId;
use swarm_delta::encode;
use swarm_registry_client::{Cache, ClientError, Connection, Downloaded};
use swarm_tuf::{Mode, Target};

const LENGTH: usize = 600_000;

/// Weights, of which every hundredth changes with the step.
fn weights(step: u32) -> Vec<u8> {
    let mut random = 1_u32;
    let word = |i: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let change = if i % 100 == 7 { step.wrapping_mul(random) >> 9 } else { 0 };
        (0x3d00_0000 | (random >> 9) ^ change).to_le_bytes()
    };
    (0..LENGTH as u32 / 4).flat_map(word).collect()
}

/// A cell that has the old artifact in its cache, and is to have the new one.
struct Cell {
    bench: Bench,
    cache: Cache,
    connection: Connection,
    old: ArtifactId,
    new: ArtifactId,
    target: Target,
}

impl Cell {
    fn new() -> Self {
        let mut bench = Bench::new();
        let connection = bench.server.connection();
        let cache = bench.cache().with_deltas(Some(apply_delta));
        let old = bench.artifact("1.0.0", &weights(0));
        bench.assign("1.0.0", &weights(0));
        let target = bench.repositories().look(Mode::Online, NOW, &NOTHING).unwrap().target.unwrap();
        cache.download(&connection, old, &target, |_| true).unwrap();
        let new = bench.artifact("1.1.0", &weights(1));
        bench.assign("1.1.0", &weights(1));
        let target = bench.repositories().look(Mode::Online, NOW, &NOTHING).unwrap().target.unwrap();
        let cell = Self { bench, cache, connection, old, new, target };
        cell.bench.server.put(&cell.delta_url(), &encode(&weights(0), &weights(1)));
        cell.bench.server.asked();
        cell
    }

    fn delta_url(&self) -> String {
        format!("/api/v1/csa/{}/delta?from={}", self.new, self.old)
    }

    fn download(&self) -> Result<Downloaded, ClientError> {
        self.cache.download_from(&self.connection, self.new, &self.target, &[self.old], |_| true)
    }

    /// Paths that were asked for, of deltas and archives.
    fn asked(&self) -> Vec<String> {
        let asked = self.bench.server.asked().into_iter().map(|request| request.path);
        asked.filter(|path| path.contains("/delta") || path.ends_with("/download")).collect()
    }

    fn is_whole(&self) -> bool {
        fs::read(self.cache.archive(self.new)).is_ok_and(|bytes| bytes == weights(1))
    }

    /// Files that are neither archives nor signature files.
    fn leftovers(&self) -> Vec<String> {
        let names = fs::read_dir(self.bench.path("cache")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let kept = |name: &String| Path::new(name).extension().is_some_and(|it| it == "gz" || it == "sig");
        names.filter(|name| !kept(name)).collect()
    }
}

#[test]
fn an_artifact_is_made_of_the_one_that_is_here_and_of_few_bytes() {
    let cell = Cell::new();
    let how = cell.download().unwrap();
    let (base, length) = how.by_delta.unwrap();
    assert_eq!((base, how.no_delta), (cell.old, None));
    assert!(length < LENGTH as u64 / 50, "{length} bytes");
    assert_eq!(cell.asked(), [cell.delta_url()]);
    assert!(cell.is_whole());
    assert_eq!(cell.leftovers(), [] as [String; 0]);
    cell.cache.verify(cell.new, &cell.target, &cell.bench.trust, NOW).unwrap();
}

#[test]
fn whatever_is_wrong_with_a_delta_the_artifact_is_downloaded() {
    let instead = |status, body: &[u8]| Fault::Instead { status, headers: vec![], body: body.to_vec() };
    let good = encode(&weights(0), &weights(1));
    let mut flipped = good.clone();
    let at = flipped.len() - 40;
    flipped[at] ^= 1;
    // Says that its result has 2^60 bytes.
    let mut bomb = good.clone();
    bomb[13..21].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    let refusal = br#"{"type":"x","title":"x","status":404,"code":"no_delta","detail":"There is no delta.","action":"Download it."}"#;
    let cases: Vec<(Fault, &str)> = vec![
        (instead("200 OK", b"garbage, and not a delta"), "this is no delta"),
        (instead("200 OK", &bytes(100_000)), "this is no delta"),
        (instead("200 OK", &[]), "ends at byte 0"),
        (instead("200 OK", &flipped), "is of no use"),
        (instead("200 OK", &bomb), "1152921504606846976 bytes"),
        (instead("200 OK", &good[..good.len() / 2]), "ends at byte"),
        (instead("200 OK", &encode(&weights(2), &weights(1))), "is for the base"),
        // Right, and makes another artifact: the signed metadata decides.
        (instead("200 OK", &encode(&weights(0), &weights(3))), "SHA-256 digest"),
        (instead("200 OK", &[&good[..], &vec![0; LENGTH]].concat()), "endless data"),
        (Fault::Endless, "endless data"),
        (instead("404 Not Found", refusal), "There is no delta. Download it."),
        (instead("500 Internal Server Error", b""), "status 500"),
        (instead("206 Partial Content", &good), "expected a Content-Range"),
        (instead("302 Found", b""), "status 302"),
    ];
    for (fault, expected) in cases {
        let cell = Cell::new();
        cell.bench.server.fault(&cell.delta_url(), [fault.clone()]);
        let how = cell.download().unwrap_or_else(|error| panic!("after {fault:?}: {error}"));
        let why = how.no_delta.unwrap();
        assert!(how.by_delta.is_none() && why.contains(expected), "{fault:?}: {why}");
        assert!(cell.is_whole(), "{fault:?}");
        assert_eq!(cell.leftovers(), [] as [String; 0], "{fault:?}");
        assert_eq!(
            cell.asked(),
            [cell.delta_url(), format!("/api/v1/csa/{}/download", cell.new)],
            "{fault:?}"
        );
    }
}

#[test]
fn a_base_that_was_damaged_on_the_disk_makes_nothing() {
    let cell = Cell::new();
    let mut damaged = weights(0);
    damaged[LENGTH / 2] ^= 1;
    fs::write(cell.cache.archive(cell.old), damaged).unwrap();
    let why = cell.download().unwrap().no_delta.unwrap();
    assert!(why.contains("is for the base"), "{why}");
    assert!(cell.is_whole());
}

#[test]
fn a_delta_that_was_cut_goes_on() {
    let cell = Cell::new();
    let away =
        || Fault::Instead { status: "503 Service Unavailable", headers: vec![], body: b"away".to_vec() };
    cell.bench.server.fault(&cell.delta_url(), [Fault::CutAfter(1_000)]);
    cell.bench.server.fault(&format!("/api/v1/csa/{}/download", cell.new), [away()]);
    let error = cell.download().unwrap_err().to_string();
    assert!(error.contains("status 503"), "{error}");
    assert_eq!(cell.leftovers(), [format!("{}-{}.delta.tmp", cell.new, cell.old)]);
    cell.cache.discard_others(Some(cell.new)).unwrap();
    cell.bench.server.asked();
    let how = cell.download().unwrap();
    assert!(how.by_delta.is_some() && cell.is_whole(), "{how:?}");
    let asked = cell.bench.server.asked();
    let range = asked.iter().find(|request| request.path == cell.delta_url()).unwrap();
    assert_eq!(range.headers["range"], "bytes=1000-");
    assert_eq!(cell.leftovers(), [] as [String; 0]);
}

#[test]
fn no_delta_is_asked_for_where_none_can_help() {
    // Nothing applies it.
    let cell = Cell::new();
    let cache = cell.cache.clone().with_deltas(None);
    let how = cache.download_from(&cell.connection, cell.new, &cell.target, &[cell.old], |_| true).unwrap();
    assert_eq!(how, Downloaded::default());
    // The base is not here, or is the artifact itself.
    let cell = Cell::new();
    let gone: ArtifactId = "ab".repeat(32).parse().unwrap();
    let bases = [gone, cell.new];
    let how = cell.cache.download_from(&cell.connection, cell.new, &cell.target, &bases, |_| true).unwrap();
    assert_eq!(how, Downloaded::default());
    // A download is under way.
    let cell = Cell::new();
    let stopped = cell.cache.download(&cell.connection, cell.new, &cell.target, |_| false);
    assert!(matches!(stopped, Err(ClientError::Stopped)));
    assert_eq!(cell.download().unwrap(), Downloaded::default());
    assert!(cell.asked().iter().all(|path| !path.contains("/delta")));
    assert!(cell.is_whole());
}

#[test]
fn a_delta_that_is_told_to_end_is_no_download() {
    let cell = Cell::new();
    let stopped = cell.cache.download_from(&cell.connection, cell.new, &cell.target, &[cell.old], |_| false);
    assert!(matches!(stopped, Err(ClientError::Stopped)));
    assert_eq!(cell.asked(), [cell.delta_url()]);
    assert!(!cell.cache.archive(cell.new).exists());
    assert!(cell.download().unwrap().by_delta.is_some());
}
