//! Reading an archive while it arrives: bounded work for bytes that nobody has vouched for yet.

use std::fs::File;
use std::io::{BufReader, Write as _};

use crate::common::{Bench, write_skill};
use flate2::Compression;
use flate2::write::GzEncoder;
use swarm_artifact::{ArchiveDigest, Limits, MANIFEST_NAME};
use swarm_store::{ArchiveError, PackageOptions, check_contents, package, read_ahead};
use tar::Header;

/// An archive of these files; nobody checks what they say.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    for (path, bytes) in files {
        let mut header = Header::new_ustar();
        header.set_path(path).unwrap();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        gzip.write_all(header.as_bytes()).unwrap();
        gzip.write_all(bytes).unwrap();
        gzip.write_all(&vec![0; bytes.len().next_multiple_of(512) - bytes.len()]).unwrap();
    }
    gzip.write_all(&[0; 1024]).unwrap();
    gzip.finish().unwrap()
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn the_manifest_is_the_one_of_the_ordinary_way() {
    let bench = Bench::new();
    let (path, packaged) = bench.artifact("assembly", "1.0.0");
    let ahead = read_ahead(BufReader::new(File::open(&path).unwrap()), Limits::default()).unwrap();
    let manifest = ahead.check(&packaged.digest, Limits::default()).unwrap();
    let ordinary = check_contents(&File::open(&path).unwrap(), &packaged.digest, Limits::default()).unwrap();
    assert_eq!(manifest, ordinary);
}

#[test]
fn notes_about_one_archive_say_nothing_about_another() {
    let bench = Bench::new();
    let (path, _) = bench.artifact("assembly", "1.0.0");
    let ahead = || read_ahead(BufReader::new(File::open(&path).unwrap()), Limits::default()).unwrap();
    let other = ArchiveDigest::of(b"something shorter");
    assert!(ahead().check(&other, Limits::default()).is_err());
}

#[test]
fn a_manifest_is_not_parsed_before_the_archive_is_verified() {
    let archive = archive(&[(MANIFEST_NAME, b"\xff not even text")]);
    let contents = read_ahead(archive.as_slice(), Limits::default()).unwrap();
    let error = contents.check(&ArchiveDigest::of(&archive), Limits::default()).unwrap_err();
    assert!(matches!(error, ArchiveError::ManifestNotText), "{error}");
}

#[test]
fn of_a_bomb_no_more_is_unpacked_than_its_sender_paid_for() {
    let bomb = archive(&[(MANIFEST_NAME, b"x"), ("zeros.bin", &vec![0; 64 << 20])]);
    let limits = Limits::default();
    let error = read_ahead(bomb.as_slice(), limits).unwrap_err();
    let ArchiveError::GzipBomb { unpacked, packed, .. } = error else { panic!("{error}") };
    assert!(unpacked < 5 << 20 && packed < bomb.len() as u64 / 10, "{unpacked} bytes came of {packed}");
    // Every other bound holds, too.
    let small = Limits { max_file_bytes: 1 << 20, ..limits };
    assert!(matches!(read_ahead(bomb.as_slice(), small), Err(ArchiveError::FileTooLarge { .. })));
    let few = Limits { max_files: 1, ..limits };
    assert!(matches!(read_ahead(bomb.as_slice(), few), Err(ArchiveError::TooManyFiles { .. })));
}

#[test]
fn an_archive_that_begins_dense_is_left_to_the_ordinary_way() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("skill");
    write_skill(&source, "assembly", "1.0.0");
    std::fs::write(source.join("a_zeros.bin"), vec![0; 8 << 20]).unwrap();
    std::fs::write(source.join("noise.bin"), noise(1 << 20)).unwrap();
    let path = folder.path().join("dense.tar.gz");
    let digest = package(&source, &path, &PackageOptions::default()).unwrap().digest;
    let open = || File::open(&path).unwrap();
    let error = read_ahead(BufReader::new(open()), Limits::default()).unwrap_err();
    assert!(matches!(error, ArchiveError::GzipBomb { .. }), "{error}");
    // Which knows how long the whole is.
    check_contents(&open(), &digest, Limits::default()).unwrap();
}
