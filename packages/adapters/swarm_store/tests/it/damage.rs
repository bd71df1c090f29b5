//! Archives damaged at random and signed by somebody who did not look: refused, or exactly the files they should hold.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::LazyLock;

use crate::common::{Bench, NOW};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use proptest::prelude::*;
use swarm_artifact::{ArchiveDigest, Limits, Manifest};
use swarm_store::{ArchiveError, Store, StoreError, check_contents, read_ahead, signature_path};

/// A sound archive, and the tar inside.
static SOUND: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let bench = Bench::new();
    let archive = fs::read(bench.artifact("assembly", "1.0.0").0).unwrap();
    let mut tar = Vec::new();
    GzDecoder::new(archive.as_slice()).read_to_end(&mut tar).unwrap();
    (archive, tar)
});

#[derive(Clone, Debug)]
enum Damage {
    Set { at: prop::sample::Index, to: u8 },
    Remove { at: prop::sample::Index, count: usize },
    Insert { at: prop::sample::Index, bytes: Vec<u8> },
    Repeat { at: prop::sample::Index, count: usize },
}

impl Damage {
    fn any() -> impl Strategy<Value = Self> {
        let at = any::<prop::sample::Index>;
        // Whole blocks now and then: that is how entries get lost or doubled.
        let count = || prop_oneof![1_usize..40, (1_usize..4).prop_map(|blocks| blocks * 512)];
        prop_oneof![
            (at(), any::<u8>()).prop_map(|(at, to)| Self::Set { at, to }),
            (at(), count()).prop_map(|(at, count)| Self::Remove { at, count }),
            (at(), prop::collection::vec(any::<u8>(), 1..600))
                .prop_map(|(at, bytes)| Self::Insert { at, bytes }),
            (at(), count()).prop_map(|(at, count)| Self::Repeat { at, count }),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Set { at, to } => {
                let at = at.index(bytes.len());
                bytes[at] = *to;
            }
            Self::Remove { at, count } => {
                let at = at.index(bytes.len());
                bytes.drain(at..(at + count).min(bytes.len()));
            }
            Self::Insert { at, bytes: new } => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Repeat { at, count } => {
                let at = at.index(bytes.len()) / 512 * 512;
                let piece = bytes[at..(at + count).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

fn check(archive: &[u8]) -> Result<Manifest, ArchiveError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar.gz");
    fs::write(&path, archive).unwrap();
    let digest = ArchiveDigest::of(archive);
    let checked = check_contents(&File::open(path).unwrap(), &digest, Limits::default());
    // Read ahead, the same archives are accepted, with the same manifest.
    let ahead = read_ahead(archive, Limits::default());
    let ahead = ahead.and_then(|contents| contents.check(&digest, Limits::default()));
    assert_eq!(ahead.as_ref().ok(), checked.as_ref().ok(), "{ahead:?} {checked:?}");
    checked
}

fn sound_manifest() -> Manifest {
    check(&SOUND.0).unwrap()
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

proptest! {
    // A failing input is printed whole; there is no need for a file of seeds.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn damaged_gzip_is_refused_or_harmless(damages in prop::collection::vec(Damage::any(), 1..4)) {
        let mut archive = SOUND.0.clone();
        for damage in &damages {
            damage.apply(&mut archive);
        }
        // Only the gzip header (time, system) can change without the contents changing.
        if let Ok(manifest) = check(&archive) {
            prop_assert_eq!(manifest, sound_manifest());
        }
    }

    #[test]
    fn a_damaged_tar_is_refused_or_harmless(damages in prop::collection::vec(Damage::any(), 1..4)) {
        let mut tar = SOUND.1.clone();
        for damage in &damages {
            damage.apply(&mut tar);
        }
        // A changed manifest may be another sound manifest (its provenance is free text); its files are what it says.
        if let Ok(manifest) = check(&gzip(&tar)) {
            prop_assert_eq!(manifest.files, sound_manifest().files);
        }
    }

    #[test]
    fn any_bytes_are_refused(archive in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(check(&archive).is_err());
        prop_assert!(check(&gzip(&archive)).is_err());
    }
}

#[test]
fn an_archive_that_changes_between_verifying_and_reading_is_refused() {
    let bench = Bench::new();
    let (first, packaged) = bench.artifact("assembly", "1.0.0");
    let (second, _) = bench.artifact("assembly", "1.0.1");
    fs::rename(second, &first).unwrap();
    let error =
        check_contents(&File::open(&first).unwrap(), &packaged.digest, Limits::default()).unwrap_err();
    assert!(matches!(error, ArchiveError::Changed { .. }), "{error}");
}

#[test]
fn a_refused_artifact_leaves_nothing_behind() {
    let bench = Bench::new();
    let store = bench.store();
    let archive = bench.path("bad.tar.gz");
    let tar = &SOUND.1[..SOUND.1.len() - 1024];
    fs::write(&archive, gzip(tar)).unwrap();
    bench.sign(&archive);
    let error = store.ingest(&archive, &signature_path(&archive), &bench.trust, NOW).unwrap_err();
    assert!(matches!(error, StoreError::Refused { source: ArchiveError::Truncated(_), .. }), "{error}");
    for folder in ["objects", "staging"] {
        assert_eq!(fs::read_dir(store.root().join(folder)).unwrap().count(), 0, "{folder}");
    }
}

#[test]
fn what_is_not_a_file_or_too_large_is_refused_before_it_is_read() {
    let bench = Bench::new();
    let store = bench.store();
    let (archive, packaged) = bench.artifact("assembly", "1.0.0");
    let limits = Limits { max_archive_bytes: packaged.digest.length - 1, ..Limits::default() };
    let refused = |store: &Store, archive: &Path| {
        store
            .ingest(archive, &signature_path(&bench.path("assembly_v1.0.0.tar.gz")), &bench.trust, NOW)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(&store.clone().with_limits(limits), &archive),
        format!(
            "'{}' is {} bytes long, more than the {} that such a file may have",
            archive.display(),
            packaged.digest.length,
            limits.max_archive_bytes
        )
    );
    // A folder; a named pipe, which would wait for a writer for ever, is told apart in the same place.
    assert_eq!(
        refused(&store, bench.folder.path()),
        format!("'{}' is not a regular file; an archive is one", bench.folder.path().display())
    );
}
