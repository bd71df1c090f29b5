//! The program killed in the middle of an upload: nothing half is ever seen, nothing is left behind, and it goes on.

use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use swarm_artifact::ArchiveDigest;

use super::program::{Running, files, until};
use crate::common::artifacts::{FORM_TYPE, Signed};

/// Artifacts in the store, which is looked at as it lies on the disk.
fn stored(data: &Path) -> Vec<PathBuf> {
    let Ok(folders) = std::fs::read_dir(data.join("artifacts/sha256")) else { return Vec::new() };
    let inside = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    inside.map(|file| file.unwrap().path()).collect()
}

/// What has to hold after a crash, whenever it came.
fn check(data: &Path, running: &Running) {
    assert_eq!(files(&data.join("staging")), 0, "something was left behind");
    for path in stored(data) {
        let digest = ArchiveDigest::of(&std::fs::read(&path).unwrap()).id;
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(name, format!("{digest}.tar.gz"), "an artifact that is not whole");
    }
    let listed = running.ask("GET /api/v1/csa/list?limit=1000 HTTP/1.1", "").1;
    for item in listed["items"].as_array().unwrap() {
        let digest = item["digest"].as_str().unwrap();
        let file = data.join(format!("artifacts/sha256/{}/{digest}.tar.gz", &digest[..2]));
        assert_eq!(std::fs::metadata(&file).unwrap().len(), item["size"], "{item}");
    }
    assert_eq!(running.ask("GET /api/v1/audit/verify HTTP/1.1", "").1["intact"], true);
}

fn kill(mut running: Running) {
    running.child.kill().unwrap();
    running.child.wait().unwrap();
}

/// So many bytes of an upload, whose answer may never come.
fn begin_upload(running: &Running, signed: &Signed, bytes: usize) -> TcpStream {
    let form = signed.form(&[]);
    let head = format!("Content-Type: {FORM_TYPE}\r\nContent-Length: {}\r\n\r\n", form.len());
    running
        .send("POST /api/v1/csa/upload HTTP/1.1", &[head.as_bytes(), &form[..bytes.min(form.len())]].concat())
}

#[test]
fn killed_before_the_last_step_an_artifact_is_not_listed_and_its_bytes_are_used_later() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("swarm_registry_data");
    let running = Running::start(folder.path());
    let signed = Signed::version("1.0.0");
    // Somebody else writes into the database, so that the last step has to wait.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = format!("sqlite:{}", data.join("registry.db").display());
    sqlx::any::install_default_drivers();
    let mut writer = runtime.block_on(async {
        let mut writer = <sqlx::AnyConnection as sqlx::Connection>::connect(&url).await.unwrap();
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut writer).await.unwrap();
        writer
    });
    let sending = begin_upload(&running, &signed, usize::MAX);
    until("the artifact has its name in the store", || stored(&data).len() == 1);
    let (status, list) = running.ask("GET /api/v1/csa/list HTTP/1.1", "");
    assert_eq!((status, &list["items"]), (200, &json!([])));
    kill(running);
    drop(sending);
    runtime.block_on(async { sqlx::raw_sql("ROLLBACK").execute(&mut writer).await.unwrap() });
    drop(writer);

    let running = Running::start(folder.path());
    check(&data, &running);
    assert_eq!(running.ask("GET /api/v1/csa/list HTTP/1.1", "").1["items"], json!([]));
    let (status, accepted) = running.upload(&signed);
    assert_eq!((status, &accepted["digest"]), (201, &Value::from(signed.digest())));
    assert_eq!(stored(&data).len(), 1);
    check(&data, &running);
}

#[test]
fn killed_at_any_instant_it_has_whole_artifacts_or_none() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("swarm_registry_data");
    let begun = Instant::now();
    let running = Running::start(folder.path());
    assert_eq!(running.upload(&Signed::large("1.0.0", 3_000_000)).0, 201);
    // So long may the whole take here; the instants lie within.
    let longest = begun.elapsed();
    kill(running);
    for round in 0..12 {
        let signed = Signed::large(&format!("1.1.{round}"), 3_000_000);
        let running = Running::start(folder.path());
        // Half of them are killed while they receive.
        let sent = random.random_range(0..2 * signed.archive.len());
        let sending = begin_upload(&running, &signed, sent);
        let instant = longest.mul_f64(random.random_range(0.0..1.0));
        // Either the answer came before the instant, or it never comes.
        sending.set_read_timeout(Some(instant.max(Duration::from_millis(1)))).unwrap();
        let mut first = [0; 12];
        let answered = (&sending).read_exact(&mut first).is_ok() && &first == b"HTTP/1.1 201";
        kill(running);

        let running = Running::start(folder.path());
        check(&data, &running);
        let listed = running.ask("GET /api/v1/csa/list?limit=1000 HTTP/1.1", "").1;
        let listed = listed["items"].as_array().unwrap().len();
        assert!(listed > round + usize::from(answered), "round {round}: an acknowledged artifact is lost");
        // The same again: it was there, or it is now.
        let (status, accepted) = running.upload(&signed);
        assert!(matches!(status, 200 | 201), "round {round}: {status} {accepted}");
        check(&data, &running);
        kill(running);
    }
}
