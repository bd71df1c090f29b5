//! The program as it is started by hand: no set-up, a real port, connections that break, and the end by a signal.

mod crash;
mod program;
mod slow;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::common::artifacts::{FORM_TYPE, Signed, trust};
use program::{Running, files, until};
use serde_json::json;

#[test]
fn it_starts_without_set_up_and_keeps_what_it_has_when_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let signed = Signed::version("1.0.0");
    let mut running = Running::start(folder.path());
    let (status, accepted) = running.upload(&signed);
    assert_eq!(status, 201, "{accepted}");
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    let running = Running::start(folder.path());
    let (status, list) = running.ask("GET /api/v1/csa/list HTTP/1.1", "");
    assert_eq!((status, &list["items"][0]), (200, &accepted));
}

#[test]
fn a_connection_that_breaks_leaves_nothing_behind_but_the_parts_of_an_upload_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let signed = Signed::version("1.0.0");
    let form = signed.form(&[]);
    let head = format!("Content-Type: {FORM_TYPE}\r\nContent-Length: {}\r\n\r\n", form.len());
    let half = &form[..form.len() / 2];
    drop(running.send("POST /api/v1/csa/upload HTTP/1.1", &[head.as_bytes(), half].concat()));

    let length = signed.archive.len();
    let (status, begun) =
        running.ask("POST /api/v1/csa/uploads HTTP/1.1", &json!({"length": length}).to_string());
    assert_eq!(status, 201, "{begun}");
    let place = format!("/api/v1/csa/uploads/{}", begun["upload_id"].as_str().unwrap());
    let head = format!(
        "Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\nContent-Length: {length}\r\n\r\n"
    );
    let sent = [head.as_bytes(), &signed.archive[..1000]].concat();
    drop(running.send(&format!("PATCH {place} HTTP/1.1"), &sent));
    until("what arrived before the cut counts", || {
        running.ask(&format!("GET {place} HTTP/1.1"), "").1["received"] == 1000
    });
    assert_eq!(running.ask(&format!("DELETE {place} HTTP/1.1"), "").0, 204);

    assert_eq!(running.ask("GET /api/v1/csa/list HTTP/1.1", "").1["items"], json!([]));
    let data = folder.path().join("swarm_registry_data");
    assert_eq!((files(&data.join("staging")), files(&data.join("artifacts"))), (0, 0));
    assert_eq!(running.upload(&signed).0, 201);
}

#[test]
fn files_are_read_again_by_sighup_and_kept_where_they_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let trust_file = folder.path().join("trust.yaml");
    let hang_up = || {
        let told = Command::new("kill").args(["-HUP", &running.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    };
    // One that cannot be used changes nothing; the next one is used, so that both were read in their order.
    std::fs::write(&trust_file, "no trust").unwrap();
    hang_up();
    assert_eq!(running.upload(&Signed::version("1.0.0")).0, 201);
    let mut other = trust();
    other.keys[0].key = ed25519_dalek::SigningKey::from_bytes(&[8; 32]).verifying_key();
    std::fs::write(&trust_file, other.to_yaml()).unwrap();
    hang_up();
    let mut version = 0;
    until("the other trust file is used", || {
        version += 1;
        running.upload(&Signed::version(&format!("2.0.{version}"))).0 == 422
    });
    std::fs::write(&trust_file, trust().to_yaml()).unwrap();
    hang_up();
    until("the first trust file is used again", || running.upload(&Signed::version("3.0.0")).0 == 201);
}

#[test]
fn it_ends_by_sigterm_and_lets_a_request_end_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(folder.path());
    let signed = Signed::version("1.0.0");
    let form = signed.form(&[]);
    let head = format!("Content-Type: {FORM_TYPE}\r\nContent-Length: {}\r\n\r\n", form.len());
    let (first, second) = form.split_at(form.len() / 2);
    let mut stream = running.send("POST /api/v1/csa/upload HTTP/1.1", &[head.as_bytes(), first].concat());
    until("the request has begun", || running.open_files("/staging/") > 0);
    let killed = Command::new("kill").args(["-TERM", &running.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    until("it takes no new connection", || TcpStream::connect(&running.address).is_err());
    stream.write_all(second).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(running.child.wait().unwrap().success());
}

#[test]
fn settings_that_cannot_be_used_are_refused_before_anything_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_swarm_registry"))
        .args(["--listen", "8080", "--max-artifact-bytes", "many"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    for part in ["REGISTRY_LISTEN", "MAX_ARTIFACT_BYTES", "nobody could sign in"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(files(folder.path()), 0);
}
