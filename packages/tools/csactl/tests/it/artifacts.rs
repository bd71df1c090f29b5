//! Artifacts at the command line: in, listed, out, withdrawn, verified; and the audit log of it all.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Csactl, Setup, artifact, exchange, get, sql, text, trust_file};
use serde_json::json;

#[test]
fn an_artifact_goes_in_is_found_and_comes_out_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Setup::local(&folder.path().join("data")).start();
    let csactl = Csactl::at(&registry.address);
    csactl.run(&["list"]).says(0, &["no artifacts"]);
    let archive = artifact(folder.path(), "1.0.0");
    let accepted =
        csactl.json(&["upload", text(&archive), "--uploaded-by", "site a", "--training-data", "bag 7"]);
    assert_eq!((&accepted["version"], &accepted["signers"]), (&json!("1.0.0"), &json!(["site_a"])));
    assert_eq!(accepted["provenance"]["training_data"], "bag 7");
    assert!(!folder.path().join("cooperative_assembly_v1.0.0.tar.gz.upload").exists());
    csactl
        .run(&["list", "--skill", "cooperative_assembly"])
        .says(0, &["cooperative_assembly", "1.0.0", "active"]);
    for reference in ["1", accepted["digest"].as_str().unwrap(), "cooperative_assembly@1.0.0"] {
        assert_eq!(csactl.json(&["show", reference]), accepted, "{reference}");
    }
    let out = folder.path().join("out.tar.gz");
    csactl.run(&["download", "1", "--out", text(&out)]).says(0, &["the signatures were not judged"]);
    assert!(std::fs::read(&out).unwrap() == std::fs::read(&archive).unwrap());
    assert!(folder.path().join("out.tar.gz.sig").exists());
    csactl.run(&["download", "1", "--out", text(&out)]).says(2, &["exists already"]);
}

#[test]
fn a_refusal_is_the_registry_s_and_a_script_can_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Setup::local(&folder.path().join("data")).start();
    let csactl = Csactl::at(&registry.address);
    csactl.run(&["show", "7"]).says(1, &["GET ", "404 no_such_artifact"]);
    let refused = csactl.run(&["--json", "show", "7"]).expect(1).json();
    assert_eq!(refused["code"], "no_such_artifact");
    csactl.run(&["show", "seven"]).says(2, &["SKILL@VERSION"]);
    let nobody = Csactl::at("http://127.0.0.1:1");
    nobody.run(&["list"]).says(2, &["got no answer", "is the registry up"]);
    assert_eq!(nobody.run(&["--json", "list"]).expect(2).json()["code"], json!(null));
}

#[test]
fn a_withdrawn_artifact_is_listed_and_not_handed_out() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Setup::local(&folder.path().join("data")).start();
    let csactl = Csactl::at(&registry.address);
    csactl.json(&["upload", text(&artifact(folder.path(), "1.0.0"))]);
    let name = "cooperative_assembly@1.0.0";
    let withdrawn = csactl.json(&["quarantine", name, "--reason", "drops the peg"]);
    assert_eq!(withdrawn["quarantine"]["reason"], "drops the peg");
    csactl.run(&["list", "--status", "quarantined"]).says(0, &["quarantined"]);
    let out = folder.path().join("x.tar.gz");
    csactl.run(&["download", name, "--out", text(&out)]).says(1, &["drops the peg"]);
    assert!(!out.exists());
    csactl.run(&["release", name, "--reason", "it was the gripper"]).says(0, &["active"]);
    csactl.run(&["download", name, "--out", text(&out)]).expect(0);
}

#[test]
fn every_artifact_is_verified_and_each_bad_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let registry = Setup::local(&data).start();
    let csactl = Csactl::at(&registry.address);
    let trust = trust_file(folder.path());
    let digests: Vec<String> = ["1.0.0", "1.1.0", "1.2.0"]
        .iter()
        .map(|version| csactl.json(&["upload", text(&artifact(folder.path(), version))]))
        .map(|accepted| accepted["digest"].as_str().unwrap().to_owned())
        .collect();
    csactl.json(&["quarantine", "3", "--reason", "a quarantined one is verified too"]);
    let store = data.join("artifacts");
    let database = format!("sqlite:{}", data.join("registry.db").display());
    let ways: [&[&str]; 3] = [
        &["verify-all", "--trust", text(&trust)],
        &["verify-all", "--trust", text(&trust), "--store", text(&store)],
        &["verify-all", "--trust", text(&trust), "--store", text(&store), "--database-url", &database],
    ];
    for way in ways {
        csactl.run(way).says(0, &["3 artifacts", "0 bad", "digests and signatures"]);
    }
    csactl.run(&["verify-all"]).says(0, &["digests alone"]);

    // One byte in the store, and a trust file that does not know the signer.
    let path = store.join("sha256").join(&digests[1][..2]).join(format!("{}.tar.gz", digests[1]));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for way in ways {
        let verdict = csactl.run(&[&["--json"], way].concat()).expect(1).json();
        let bad = verdict["bad"].as_array().unwrap();
        assert_eq!(bad.len(), 1, "{verdict}");
        assert_eq!(bad[0]["digest"], json!(digests[1]));
    }
    let mut other = crate::common::trust();
    other.keys[0].key = ed25519_dalek::SigningKey::from_bytes(&[8; 32]).verifying_key();
    std::fs::write(&trust, other.to_yaml()).unwrap();
    csactl.run(ways[2]).says(1, &["3 bad", "unknown key"]);
}

#[test]
fn the_audit_log_is_followed_here_and_a_head_that_was_noted_shows_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let registry = Setup::local(&data).start();
    let csactl = Csactl::at(&registry.address);
    csactl.json(&["upload", text(&artifact(folder.path(), "1.0.0"))]);
    let noted = csactl.json(&["audit", "verify"])["head"].as_str().unwrap().to_owned();
    csactl.json(&["quarantine", "1", "--reason", "x"]);
    let verdict = csactl.json(&["audit", "verify", "--expect-head", &noted]);
    assert_eq!((&verdict["intact"], &verdict["entries"]), (&json!(true), &json!(2)));
    csactl.run(&["audit", "list"]).says(0, &["upload", "quarantine", "developer"]);
    let foreign = "ab".repeat(32);
    csactl.run(&["audit", "verify", "--expect-head", &foreign]).says(1, &["cut short or written anew"]);

    // The registry itself would still say whatever it likes; the entries do not fit together any more.
    drop(registry);
    sql(&data.join("registry.db"), "UPDATE audit_log SET who = 'nobody' WHERE seq = 1");
    let registry = Setup::local(&data).start();
    Csactl::at(&registry.address).run(&["audit", "verify"]).says(1, &["NOT what was written", "entry 1"]);
}

/// Passes bytes on to the registry, and cuts the first connection that carries a part of an upload, in the middle.
fn cutting_proxy(to: &str) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (to, cut) = (to.strip_prefix("http://").unwrap().to_owned(), Arc::new(AtomicBool::new(false)));
    let done = Arc::clone(&cut);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (client, server) = (stream.unwrap(), TcpStream::connect(&to).unwrap());
            let done = Arc::clone(&done);
            std::thread::spawn(move || pass(client, server, &done));
        }
    });
    (address, cut)
}

fn pass(mut client: TcpStream, mut server: TcpStream, done: &AtomicBool) {
    let (mut back_from, mut back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut back_from, &mut back_to));
    let mut chunk = [0; 4096];
    while let Ok(count) = client.read(&mut chunk) {
        if count == 0 || server.write_all(&chunk[..count]).is_err() {
            break;
        }
        if chunk[..count].starts_with(b"PATCH") && !done.swap(true, Ordering::SeqCst) {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
}

#[test]
fn an_upload_goes_on_after_a_cut() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Setup::local(&folder.path().join("data")).start();
    let (proxy, cut) = cutting_proxy(&registry.address);
    let csactl = Csactl::at(&proxy);
    let archive = artifact(folder.path(), "1.0.0");
    // Four parts, of which the first is cut.
    assert_eq!(csactl.json(&["upload", text(&archive), "--part-kib", "1"])["version"], "1.0.0");
    assert!(cut.load(Ordering::SeqCst));
}

#[test]
fn a_second_run_goes_on_with_an_upload_that_was_left() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Setup::local(&folder.path().join("data")).start();
    let csactl = Csactl::at(&registry.address);
    let archive = artifact(folder.path(), "1.0.0");
    let length = std::fs::metadata(&archive).unwrap().len();
    let asked = json!({"length": length}).to_string();
    let (_, begun) = exchange(&registry.address, "POST /api/v1/csa/uploads", &asked);
    let begun: serde_json::Value = serde_json::from_slice(&begun).unwrap();
    let note = json!({"registry": registry.address, "upload_id": begun["upload_id"]});
    let note_path = folder.path().join("cooperative_assembly_v1.0.0.tar.gz.upload");
    std::fs::write(&note_path, note.to_string()).unwrap();
    csactl.json(&["upload", text(&archive)]);
    assert!(!note_path.exists());
    // It was this upload that was ended, and no other.
    let place = format!("/api/v1/csa/uploads/{}", begun["upload_id"].as_str().unwrap());
    assert_eq!(get(&registry.address, &place).0, 404);
}
