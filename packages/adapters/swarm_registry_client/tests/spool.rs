//! What is handed in: whole, once, and after whatever happened in between.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Bench, Fault, bytes};
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

#[test]
fn bags_are_counted_and_kept() {
    let marked = spool();
    fs::create_dir(marked.file("demo_001")).unwrap();
    fs::write(marked.file("demo_001.upload"), "").unwrap();
    fs::write(marked.file("demo_002.mcap"), "a bag").unwrap();
    fs::write(marked.file("demo_002.mcap.upload"), "").unwrap();
    assert_eq!(marked.upload(), Ok(None));
    assert_eq!(marked.state(), (0, 2, 0));
    assert!(marked.file("demo_002.mcap").exists() && marked.bench.server.asked().is_empty());
}
