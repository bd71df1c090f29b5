//! What is handed in: whole, once, and after whatever happened in between.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::PathBuf;

use crate::common::{Bench, Fault, bytes};
use swarm_artifact::{ArchiveDigest, SignatureFile};
use swarm_registry_client::{Spool, SpoolState};

/// More than one part.
const LENGTH: usize = (8 << 20) + 1_000;

struct Marked {
    bench: Bench,
    spool: Spool,
}

fn spool() -> Marked {
    let bench = Bench::new();
    let spool = Spool::open(&bench.path("spool"), "cell_1").unwrap();
    Marked { bench, spool }
}

impl Marked {
    fn file(&self, name: &str) -> PathBuf {
        self.bench.path("spool").join(name)
    }

    fn put(&self, name: &str, archive: &[u8], mark: &str) {
        let mut signatures = SignatureFile::empty();
        signatures.sign(&ArchiveDigest::of(archive).signing_digest(), &self.bench.key, "a");
        fs::write(self.file(name), archive).unwrap();
        fs::write(self.file(&format!("{name}.sig")), signatures.to_yaml()).unwrap();
        fs::write(self.file(&format!("{name}.upload")), mark).unwrap();
    }

    fn upload(&self) -> Result<Option<String>, String> {
        self.spool.upload_next(&self.bench.server.connection(), &|| true).map_err(|error| error.to_string())
    }

    fn state(&self) -> (usize, usize, usize) {
        let SpoolState { artifacts, bags, refused } = self.spool.state().unwrap();
        (artifacts, bags, refused)
    }

    fn patches(&self) -> Vec<String> {
        let asked = self.bench.server.asked();
        asked
            .into_iter()
            .filter(|it| it.method == "PATCH")
            .map(|it| it.headers["upload-offset"].clone())
            .collect()
    }
}

#[test]
fn a_marked_artifact_is_handed_in_and_one_without_a_mark_is_left() {
    let marked = spool();
    marked.put("pick_v1.0.0.tar.gz", &bytes(LENGTH), r#"{"uploaded_by":"trainer","training_data":"set 4"}"#);
    fs::write(marked.file("half.tar.gz"), "still being copied").unwrap();
    assert_eq!(marked.state(), (1, 0, 0));
    let said = marked.upload().unwrap().unwrap();
    assert_eq!(said, "pick_v1.0.0.tar.gz was handed in as artifact 7 (pick 1.0.0)");
    assert_eq!(marked.upload(), Ok(None));
    let asked = marked.bench.server.asked();
    let complete = asked.iter().find(|request| request.path.ends_with("/complete")).unwrap();
    let body = String::from_utf8(complete.body.clone()).unwrap();
    assert!(body.contains(r#""uploaded_by":"trainer""#) && body.contains("set 4"), "{body}");
    assert!(marked.file("pick_v1.0.0.tar.gz.uploaded").exists());
    for gone in ["pick_v1.0.0.tar.gz", "pick_v1.0.0.tar.gz.sig", "pick_v1.0.0.tar.gz.upload"] {
        assert!(!marked.file(gone).exists(), "{gone}");
    }
    assert!(marked.file("half.tar.gz").exists());
}

#[test]
fn an_upload_goes_on_at_the_part_that_was_cut() {
    let marked = spool();
    marked.put("pick.tar.gz", &bytes(LENGTH), "");
    let fault = Fault::Instead { status: "500 Internal Server Error", headers: vec![], body: vec![] };
    let first = format!("/api/v1/csa/uploads/{:032x}", 1);
    // The beginning, the first part, and then trouble.
    let connection = marked.bench.server.connection();
    let parts = std::cell::Cell::new(0);
    let once = || {
        parts.set(parts.get() + 1);
        parts.get() <= 1
    };
    let stopped = marked.spool.upload_next(&connection, &once).unwrap_err();
    assert_eq!(stopped.to_string(), "it was told to end");
    assert_eq!(marked.patches(), ["0"]);
    marked.bench.server.fault(&first, [fault]);
    assert!(marked.upload().unwrap_err().contains("status 500"));
    marked.bench.server.asked();
    marked.upload().unwrap().unwrap();
    assert_eq!(marked.patches(), [(8 << 20).to_string()]);
}

#[test]
fn a_registry_that_has_more_than_was_expected_is_asked_where_to_go_on() {
    let marked = spool();
    marked.put("pick.tar.gz", &bytes(LENGTH), "");
    // The part arrives, and its answer is lost: the next try begins too early, until the registry is asked.
    let problem = br#"{"type":"x","title":"x","status":409,"code":"wrong_offset","detail":"It is not there.","action":"Ask."}"#;
    let wrong = Fault::Instead { status: "409 Conflict", headers: vec![], body: problem.to_vec() };
    let connection = marked.bench.server.connection();
    let parts = std::cell::Cell::new(0);
    let place = format!("/api/v1/csa/uploads/{:032x}", 1);
    let told = || {
        parts.set(parts.get() + 1);
        if parts.get() == 2 {
            marked.bench.server.fault(&place, [wrong.clone()]);
        }
        true
    };
    let said = marked.spool.upload_next(&connection, &told).unwrap().unwrap();
    assert!(said.contains("handed in"), "{said}");
    let second = (8 << 20).to_string();
    assert_eq!(marked.patches(), ["0".to_owned(), second.clone(), second]);
    assert!(parts.get() >= 3, "it went on after the refusal");
}

#[test]
fn an_upload_that_the_registry_has_forgotten_begins_anew() {
    let marked = spool();
    marked.put("pick.tar.gz", &bytes(LENGTH), "");
    let connection = marked.bench.server.connection();
    let parts = std::cell::Cell::new(0);
    let once = || {
        parts.set(parts.get() + 1);
        parts.get() <= 1
    };
    marked.spool.upload_next(&connection, &once).unwrap_err();
    marked.bench.server.forget_uploads();
    marked.bench.server.asked();
    marked.upload().unwrap().unwrap();
    assert_eq!(marked.patches(), ["0".to_owned(), (8 << 20).to_string()]);
}

#[test]
fn what_the_registry_does_not_take_is_kept_with_its_reason_and_blocks_nothing() {
    let marked = spool();
    marked.put("a.tar.gz", &bytes(100), "");
    marked.put("b.tar.gz", &bytes(200), "not json");
    marked.put("c.tar.gz", &bytes(300), "");
    fs::remove_file(marked.file("c.tar.gz.sig")).unwrap();
    marked.put("d.tar.gz", &bytes(400), "");
    let problem = br#"{"type":"x","title":"x","status":422,"code":"bad_signature","detail":"It is not signed.","action":"Sign it."}"#;
    let fault =
        Fault::Instead { status: "422 Unprocessable Entity", headers: vec![], body: problem.to_vec() };
    marked.bench.server.fault(&format!("/api/v1/csa/uploads/{:032x}/complete", 1), [fault]);
    for expected in [
        "It is not signed. Sign it.",
        "b.tar.gz.upload cannot be used",
        "c.tar.gz.sig is not there",
        "handed in",
    ] {
        let said = marked.upload().unwrap().unwrap();
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(marked.upload(), Ok(None));
    assert_eq!(marked.state(), (0, 0, 3));
    assert!(marked.file("a.tar.gz").exists());
    assert!(fs::read_to_string(marked.file("a.tar.gz.refused")).unwrap().contains("It is not signed."));
}

#[test]
fn trouble_on_the_way_refuses_nothing() {
    let marked = spool();
    marked.put("a.tar.gz", &bytes(100), "");
    let instead = |status| Fault::Instead { status, headers: vec![], body: vec![] };
    let faults = [
        instead("500 Internal Server Error"),
        instead("403 Forbidden"),
        instead("429 Too Many Requests"),
        Fault::CutAfter(3),
    ];
    for fault in faults {
        marked.bench.server.fault("/api/v1/csa/uploads", [fault.clone()]);
        marked.upload().unwrap_err();
        assert_eq!(marked.state(), (1, 0, 0), "{fault:?}");
    }
    marked.upload().unwrap().unwrap();
}

/// Files of a tar archive by their names.
fn unpacked(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.header().entry_type().is_file());
    let read = files.map(|mut entry| {
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    });
    read.collect()
}

impl Marked {
    /// What `ros2 bag record` leaves behind, marked.
    fn bag(&self, name: &str, video: &[u8]) {
        fs::create_dir(self.file(name)).unwrap();
        fs::write(self.file(name).join("metadata.yaml"), "rosbag2_bagfile_information:").unwrap();
        fs::write(self.file(name).join(format!("{name}_0.mcap")), video).unwrap();
        fs::write(self.file(&format!("{name}.upload")), "").unwrap();
    }

    fn left(&self) -> Vec<String> {
        let names = fs::read_dir(self.bench.path("spool")).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_marked_bag_is_handed_in_as_one_archive_and_one_without_a_mark_is_left() {
    let marked = spool();
    marked.bag("demo_001", &bytes(LENGTH));
    fs::write(marked.file("demo_002.mcap"), "a bag").unwrap();
    fs::write(marked.file("demo_002.mcap.upload"), "{}").unwrap();
    fs::create_dir(marked.file("demo_003")).unwrap();
    assert_eq!(marked.state(), (0, 2, 0));
    let said = marked.upload().unwrap().unwrap();
    assert!(said.starts_with("demo_001 was handed in as bag 3"), "{said}");
    assert!(marked.upload().unwrap().unwrap().starts_with("demo_002.mcap was handed in"));
    assert_eq!(marked.upload(), Ok(None));
    let bags = marked.bench.server.bags();
    let expected = BTreeMap::from([
        ("demo_001/metadata.yaml".to_owned(), b"rosbag2_bagfile_information:".to_vec()),
        ("demo_001/demo_001_0.mcap".to_owned(), bytes(LENGTH)),
    ]);
    assert_eq!(unpacked(&bags[0]), expected);
    assert_eq!(unpacked(&bags[1]), BTreeMap::from([("demo_002.mcap".to_owned(), b"a bag".to_vec())]));
    assert_eq!(marked.left(), ["demo_001.uploaded", "demo_002.mcap.uploaded", "demo_003"]);
}

#[test]
fn a_bag_goes_on_where_it_was_cut_and_waits_for_artifacts() {
    let marked = spool();
    marked.bag("demo", &bytes(3 * LENGTH));
    let connection = marked.bench.server.connection();
    // An artifact is marked while the bag is under way.
    let told = || {
        if !marked.file("pick.tar.gz.upload").exists() {
            marked.put("pick.tar.gz", &bytes(100), "");
            return true;
        }
        true
    };
    let stopped = marked.spool.upload_next(&connection, &told).unwrap_err();
    assert_eq!(stopped.to_string(), "it was told to end");
    // The bag as it was when it was begun is what is handed in; what came later is nobody's to remove.
    fs::write(marked.file("demo").join("late"), "x").unwrap();
    let spool = Spool::open(&marked.bench.path("spool"), "cell_1").unwrap();
    let next = || spool.upload_next(&connection, &|| true).unwrap().unwrap();
    assert!(next().starts_with("pick.tar.gz was handed in"));
    assert!(next().ends_with("it changed since, and is kept"));
    let files = unpacked(&marked.bench.server.bags()[0]);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["demo/demo_0.mcap", "demo/metadata.yaml"]);
    assert!(files["demo/demo_0.mcap"] == bytes(3 * LENGTH));
    assert_eq!(marked.left(), ["demo", "demo.uploaded", "pick.tar.gz.uploaded"]);
}

#[test]
fn a_bag_that_is_not_taken_is_kept_and_one_for_which_there_is_no_room_waits() {
    let marked = spool();
    marked.bag("demo", b"video");
    let problem = |status, code: &str| {
        Fault::Instead {
        status,
        headers: vec![],
        body: format!(
            r#"{{"type":"x","title":"x","status":409,"code":"{code}","detail":"It is {code}.","action":"Wait."}}"#
        )
        .into_bytes(),
    }
    };
    let begin = "/api/v1/bags/uploads";
    for fault in [problem("409 Conflict", "bags_full"), problem("503 Service Unavailable", "unavailable")] {
        marked.bench.server.fault(begin, [fault]);
        marked.upload().unwrap_err();
        assert_eq!(marked.state(), (0, 1, 0));
    }
    marked.bench.server.fault(begin, [problem("413 Payload Too Large", "too_large")]);
    let said = marked.upload().unwrap().unwrap();
    assert!(said.starts_with("demo is not taken: ") && said.contains("It is too_large."), "{said}");
    assert_eq!((marked.upload(), marked.state()), (Ok(None), (0, 0, 1)));
    assert_eq!(marked.left(), ["demo", "demo.refused"]);
    // Marked and gone; and a mark that says nothing.
    fs::write(marked.file("gone.upload"), "").unwrap();
    assert!(marked.upload().unwrap().unwrap().contains("is marked, and is not there"));
    marked.bag("odd", b"video");
    fs::write(marked.file("odd.upload"), "not json").unwrap();
    assert!(marked.upload().unwrap().unwrap().contains("odd.upload cannot be used"));
    assert!(marked.bench.server.bags().is_empty());
}

#[test]
fn what_was_half_packed_is_packed_anew() {
    let marked = spool();
    marked.bag("demo", b"video");
    fs::write(marked.file(".staged-abc"), "half a bag").unwrap();
    fs::write(marked.file(".packed-demo.tar"), "of another bag of this name").unwrap();
    let spool = Spool::open(&marked.bench.path("spool"), "cell_1").unwrap();
    spool.upload_next(&marked.bench.server.connection(), &|| true).unwrap().unwrap();
    assert_eq!(unpacked(&marked.bench.server.bags()[0])["demo/demo_0.mcap"], b"video");
    assert_eq!(marked.left(), ["demo.uploaded"]);
}

#[test]
fn what_may_not_be_read_is_refused_and_what_cannot_be_read_holds_nothing_up() {
    let marked = spool();
    // A folder in the place of an archive's signature file is no file that could be read, today or tomorrow.
    marked.put("a_broken.tar.gz", &bytes(100), "");
    fs::remove_file(marked.file("a_broken.tar.gz.sig")).unwrap();
    fs::create_dir(marked.file("a_broken.tar.gz.sig")).unwrap();
    marked.put("pick_v1.0.0.tar.gz", &bytes(100), "");
    fs::write(marked.file("z.mcap"), "a bag").unwrap();
    fs::write(marked.file("z.mcap.upload"), "").unwrap();
    for expected in ["pick_v1.0.0.tar.gz was handed in", "z.mcap was handed in"] {
        let said = marked.upload().unwrap().unwrap();
        assert!(said.contains(expected), "{said}");
    }
    let error = marked.upload().unwrap_err();
    assert!(error.contains("a_broken.tar.gz.sig"), "{error}");
    assert_eq!(marked.state(), (1, 0, 0), "it is tried again");
}
